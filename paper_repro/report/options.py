"""The options that several commands share, what the shell offers for them, and the folders that they mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paper_repro.tools.command import debug, with_options

if TYPE_CHECKING:
    from paper_repro.tools.paths import Paths


def complete_profiles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The profiles that begin with what was typed."""
    from paper_repro.runs import profiles

    return [name for name in profiles.names() if name.startswith(incomplete)]


def complete_notebooks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The notebooks that begin with what was typed, with or without their number."""
    from paper_repro.report import notebooks

    names = [path.stem for path in notebooks.available()]
    return [name for name in names if name.startswith(incomplete) or name[3:].startswith(incomplete)]


own = click.option(
    "--benchmark",
    "benchmark_file",
    default="",
    metavar="FILE.toml",
    type=click.Path(),
    help="A benchmark of your own instead of the profile's (docs/own_benchmark.md).",
)
profile = click.option(
    "--profile",
    default="demo",
    show_default=True,
    shell_complete=complete_profiles,
    help="Size of the experiments: demo, mini, base or paper.",
)
where = with_options(
    profile,
    click.option("--results-dir", default="", metavar="DIR", help="Runs and executed notebooks go here."),
    click.option("--figures-dir", default="", metavar="DIR", help="Tables and figures go here."),
    debug,
)
"""Which profile's results are meant."""
inputs = with_options(
    click.option(
        "--data-dir",
        default="",
        envvar="PAPER_REPRO_DATA",
        metavar="DIR",
        help="The benchmarks' original files; else the cache, else the hub.  [env: PAPER_REPRO_DATA]",
    ),
    click.option("--encoder-dir", default="", metavar="DIR", help="An encoder in Hugging Face layout."),
)
"""Where data and weights lie."""
named_notebooks = click.argument("notebooks", nargs=-1, shell_complete=complete_notebooks)


def paths_of(common: Mapping[str, Any]) -> Paths:
    """The places that the options of :data:`where` and :data:`own` mean. UserError for an unknown profile."""
    from paper_repro.runs import profiles
    from paper_repro.tools.paths import Paths

    profile = profiles.check_name(common["profile"])
    described = None
    if common.get("benchmark_file"):
        from paper_repro.texts import description

        described = description.read(Path(common["benchmark_file"])).path
    return Paths.of(profile, common["results_dir"], common["figures_dir"], described)
