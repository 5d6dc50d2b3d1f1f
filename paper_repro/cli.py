"""The command line. The commands stand in the order in which people need them, here and in ``--help``.

What is heavy is imported late: --help, --version and a status of nothing take no second.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paper_repro import __version__
from paper_repro.llm import commands as asking
from paper_repro.report.options import complete_profiles, named_notebooks
from paper_repro.report.options import inputs as _inputs
from paper_repro.report.options import own as _own
from paper_repro.report.options import paths_of as _paths
from paper_repro.report.options import where as _where
from paper_repro.report.parameters import FOLDERS, declared, distribute
from paper_repro.texts import commands as describing
from paper_repro.tools import paths as places
from paper_repro.tools.command import INCOMPLETE, PROGRAM, Program, debug, with_options
from paper_repro.tools.errors import UserError

if TYPE_CHECKING:
    from paper_repro.texts.pools import Benchmark
    from paper_repro.tools.paths import Paths


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
@debug
def cli() -> None:
    """Re-run, audit and learn from "Not All LLM-Generated Data Are Equal" (ICLR 2025)."""


@cli.command("list")
@named_notebooks
@debug
def list_(notebooks: tuple[str, ...]) -> None:
    """List the notebooks, what they make and their parameters.

    The parameters of the NOTEBOOKS that are named are explained.
    """
    from paper_repro.report import notebooks as driver
    from paper_repro.report import overview

    chosen = list(dict.fromkeys(map(driver.find, notebooks)))
    click.echo("\n".join(overview.lines(chosen or driver.available(), whole=bool(chosen))))
    if not chosen:
        click.echo(f"{PROGRAM} list 4: a notebook's parameters in full; {PROGRAM} run 4: run it")


@cli.command()
@_where
@_inputs
def doctor(**common: Any) -> None:
    """Check what this machine has, and say how to get what is missing.

    Exit code 1 means that something is missing without which the profile does not run.
    """
    paths = _paths(common)
    from paper_repro.report.doctor import checks
    from paper_repro.runs import profiles

    profile = profiles.load(paths.profile)
    click.echo(f"paper_repro {__version__}, profile {profile.name}: {profile.title}")
    folders = [Path(common[name]) if common[name] else None for name in ("data_dir", "encoder_dir")]
    found = checks(profile, paths, *folders)
    click.echo("\n".join(map(str, found)))
    if any(check.state == "missing" for check in found):
        sys.exit(INCOMPLETE)


@cli.command()
@named_notebooks
@_where
@_own
@_inputs
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Training processes; 0: as many as fit.")
@click.option("--scheduler", default="", metavar="ADDRESS", help="A Dask cluster trains: tcp://host:port, or its file.")
@click.option(
    "--at-once", type=click.IntRange(min=0), default=1, help="Notebooks side by side, if none trains; 0: one a core."
)
@click.option(
    "-p", "extra", type=(str, str), multiple=True, metavar="NAME VALUE", help="Any other parameter of a notebook."
)
def run(notebooks: tuple[str, ...], extra: tuple[tuple[str, str], ...], at_once: int, **common: Any) -> None:
    """Run NOTEBOOKS (all by default), then build the report.

    A notebook is called by its number, its name or a part of it: 4, losses, 04_train_losses. With --benchmark only
    those run that work on any benchmark. The primer, 00, has data of its own and runs with the miniature world or when
    it is named. Exit code 0 means that every notebook ran to its end and every table is complete.
    """
    from paper_repro.report import notebooks as driver
    from paper_repro.runs import fetch as fetching
    from paper_repro.tools.machine import available_cores

    paths = _paths(common)
    common |= _checked(common)
    if common["scheduler"]:
        _reach(common)
    chosen = list(dict.fromkeys(map(driver.find, notebooks))) or _usual(paths.profile)
    if not chosen:
        raise UserError(f"there are no notebooks in {places.NOTEBOOKS}; run this in a checkout of the project")
    if common["benchmark_file"]:
        chosen = _for_own(chosen, asked=bool(notebooks))
    parameters = distribute(chosen, common, extra)
    count = "1 notebook" if len(parameters) == 1 else f"{len(parameters)} notebooks"
    click.echo(f"Profile {paths.profile}: {count}; tables and figures go to {paths.figures}")
    if common["benchmark_file"]:
        _introduce(common)
        paths.claim(paths.written, Path(common["benchmark_file"]))
    first, *others = ("train" in declared(path) for path in chosen)
    needed = any(others) and not first and not common["encoder_dir"]  # whoever brings an encoder needs no other
    with fetching.ahead(paths) if needed else nullcontext():
        ended = driver.run_all(parameters, paths=paths, echo=click.echo, at_once=at_once or available_cores())
    page, gaps = _report(paths, [name for name, outcome in ended.items() if outcome.status == "done"])
    problems = [outcome.error.splitlines()[0] for outcome in ended.values() if outcome.error] + gaps
    if problems:
        lines = "".join(f"\n- {problem}" for problem in problems)
        click.echo(f"{PROGRAM}: not complete:{lines}", err=True)
    click.echo(f"Report: {page or 'none yet, no table or figure has been made'}")
    if problems:
        sys.exit(INCOMPLETE)


def _reach(common: Mapping[str, Any]) -> None:
    """UserError now, not in every notebook, where no scheduler answers."""
    from paper_repro.runs import dask

    if common["workers"]:
        raise UserError("--workers are processes here, a cluster has its own: give --workers or --scheduler, not both")
    with dask.connected(common["scheduler"]):
        pass


def _usual(profile: str) -> list[Path]:
    """All notebooks; on the real benchmarks only those that have to do with data."""
    from paper_repro.report import notebooks as driver
    from paper_repro.runs import profiles

    made = profiles.load(profile).kind == "miniature"
    return [path for path in driver.available() if made or "data_dir" in declared(path)]


def _for_own(chosen: Sequence[Path], *, asked: bool) -> list[Path]:
    """Those of the notebooks that take your own benchmark; UserError where another was asked for by name."""
    from paper_repro.report import notebooks as driver

    able = [path for path in chosen if "benchmark_file" in declared(path)]
    if not able or (asked and len(able) < len(chosen)):
        other = next(path.stem for path in chosen if path not in able)
        takers = [path.stem for path in driver.available() if "benchmark_file" in declared(path)]
        raise UserError(f"{other}: it is about the paper's benchmarks; with --benchmark there are {', '.join(takers)}")
    return able


def _introduce(common: Mapping[str, Any]) -> None:
    """Say what your own benchmark holds. What is wrong with its files is told here, before any kernel."""
    from paper_repro.runs import profiles
    from paper_repro.texts import benchmarks

    opened = benchmarks.load(Path(common["benchmark_file"]), data_dir=_folder(common["data_dir"]))
    click.echo(f"Benchmark {opened.name}, {opened.classes} classes: {benchmarks.summary(opened)}")
    for remark in benchmarks.remarks(opened):
        click.echo(remark)
    if profiles.load(common["profile"]).kind == "miniature" and not common["encoder_dir"]:
        click.echo(
            f"The encoder of {common['profile']} knows the words of its miniature world only: try --profile mini"
        )


def _report(paths: Paths, notebooks: Sequence[str]) -> tuple[str, list[str]]:
    """Build the report; its path ("" where there is nothing to report) and what the notebooks' products lack."""
    from paper_repro.report import manifest, page

    if not (paths.figures / manifest.MANIFEST).exists():
        return "", []
    try:
        return str(page.build(paths)), manifest.gaps(paths.figures, notebooks)
    except UserError as error:
        return "", [str(error)]


def _checked(common: Mapping[str, Any]) -> dict[str, Any]:
    """The options that can be judged without loading anything. Kernels run elsewhere, so folders become absolute."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", common["device"]):
        raise UserError(f"--device {common['device']!r} is not known; expected auto, cpu, cuda or cuda:0, cuda:1, ...")
    folders = {name: common[name] for name in FOLDERS}
    for name in ("data_dir", "encoder_dir"):
        if folders[name] and not Path(folders[name]).is_dir():
            raise UserError(f"--{name.replace('_', '-')}: {folders[name]} is not a folder")
    folders["benchmark_file"] = common["benchmark_file"]
    places = {name: str(Path(folder).resolve()) if folder else "" for name, folder in folders.items()}
    file = Path(common["scheduler"])
    return {**places, "scheduler": str(file.resolve())} if common["scheduler"] and file.is_file() else places


@cli.command()
@_where
@_own
def status(**common: Any) -> None:
    """Show what is done, running, failed or missing, and why."""
    paths = _paths(common)
    from paper_repro.report import notebooks as driver
    from paper_repro.report import status

    found = driver.available()
    names = [path.stem for path in found if not paths.benchmark or "benchmark_file" in declared(path)]
    click.echo("\n".join(status.lines(paths, names)))


@cli.command()
@_where
@_own
@click.option("--open", "opened", is_flag=True, help="Open it in the browser.")
def report(opened: bool, **common: Any) -> None:
    """Build the report from what is there and print its path."""
    paths = _paths(common)
    from paper_repro.report import page

    place = page.build(paths)
    click.echo(f"Report: {place}")
    if opened:
        click.launch(place.as_uri())


@cli.command()
@_where
@_own
@_inputs
def plan(**common: Any) -> None:
    """Count the training runs of a profile and the time left.

    One row per table; a run that several tables share is counted once.
    """
    _paths(common)
    from paper_repro.report.workload import grids, workload
    from paper_repro.runs.results import open_results

    results = open_results(**common, offline=True)
    click.echo(workload(results, grids(results.profile)).to_string(index=False, float_format="{:.1f}".format))
    click.echo("minutes: on one worker, by the median of finished runs of the same kind; they are counted in new only")


@cli.command()
@_where
@_inputs
def fetch(**common: Any) -> None:
    """Get data and weights once, verified; no network afterwards."""
    paths = _paths(common)
    from paper_repro.runs.fetch import fetch as get

    folders = {name: Path(common[name]) if common[name] else None for name in ("data_dir", "encoder_dir")}
    get(paths.profile, **folders, cache=paths.cache, echo=click.echo)


@cli.command()
@_where
@_inputs
@click.option("--to", default="", metavar="DIR", help="The archive's folder; else that of the shipped reference.")
def archive(to: str, **common: Any) -> None:
    """Pack finished runs into files: no texts, no weights."""
    paths = _paths(common)
    from paper_repro.report.workload import archive_parts
    from paper_repro.runs.archive import pack
    from paper_repro.runs.results import open_results

    results, folder = open_results(**common), Path(to) if to else paths.archive
    written = pack(results, archive_parts(results.profile), folder)
    size = sum(path.stat().st_size for path in folder.glob("*.parquet")) / 1e6
    click.echo(f"{len(written)} of {len(list(folder.glob('*.parquet')))} files written, {size:.1f} MB in all: {folder}")


@cli.command()
@_where
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def unpack(files: tuple[Path, ...], **common: Any) -> None:
    """Put the runs of an archive into the store.

    FILES are those of the archive, by default the shipped one. Tables are then made from the runs, without data or
    weights: paper-repro run.
    """
    paths = _paths(common)
    from paper_repro.runs.archive import unpack as put
    from paper_repro.runs.store import Store

    chosen = list(files) or sorted(paths.archive.glob("*.parquet"))
    if not chosen:
        raise UserError(f"no runs of {paths.profile} are shipped (no file in {paths.archive}); name the files")
    new, total = put(chosen, Store(paths.results))
    click.echo(f"{new} of {total} runs and scores are new in {paths.results}")


@cli.command()
@named_notebooks
@click.option("--to", default="classroom", show_default=True, metavar="DIR", help="The folder for the copies.")
@debug
def student(notebooks: tuple[str, ...], to: str) -> None:
    """Copy notebooks with exercises for a class.

    DIR/student has them without solutions, DIR/source with solutions and tests for nbgrader. Without NOTEBOOKS all
    that have exercises are copied.
    """
    from paper_repro.report import notebooks as driver
    from paper_repro.teaching import student as copies

    chosen = list(dict.fromkeys(map(driver.find, notebooks))) or driver.available()
    click.echo("\n".join(map(str, copies.write(chosen, Path(to)))))


# Which benchmarks a language model is asked about, and where the results go.
_whose = with_options(
    click.option(
        "--profile",
        default="demo",
        show_default=True,
        shell_complete=complete_profiles,
        help="Whose benchmarks: demo's world, or mini's real ones.",
    ),
    click.option(
        "--data-dir", default="", envvar="PAPER_REPRO_DATA", metavar="DIR", help="The benchmarks' original files."
    ),
    click.option("--results-dir", default="", metavar="DIR", help="What is asked and answered goes there."),
)


cli.add_command(describing.init)


@cli.command()
@asking.generate_options
@_whose
@debug
def generate(**given: Any) -> None:
    """Have a language model write D_Q.

    You can stop at any time: the same command continues and asks nothing twice.
    """
    own, name = given["benchmark"].endswith(".toml"), given["benchmark"]
    benchmark, task, paths, target = _asked_about(given)
    out = Path(given["out"]) if given["out"] else None
    if target is not None:
        folder = out or target.parent / f"{target.stem}.generation"
    else:
        folder = (out or paths.results / "generated") / name
    stopped = asking.generate(given, benchmark, task, folder, target)
    if given["dry_run"]:
        return
    if own:
        click.echo(f"To train on it: paper-repro run --benchmark {name}")
    else:
        profile = paths.profile if benchmark.truth == {} else "mini"
        command = f"paper-repro run --profile {profile} --data-dir {folder.parent}"
        click.echo(f"To train on it, once it is there for all three: {command}")
    if stopped:
        click.echo(f"{PROGRAM}: {stopped}", err=True)
        sys.exit(INCOMPLETE)


@cli.command("few-shot")
@asking.few_shot_options
@_whose
@debug
def few_shot(**given: Any) -> None:
    """Ask a language model for the labels of the test set.

    It is shown eight examples. Its labels are the first row of Table 1.
    """
    benchmark, task, paths, _ = _asked_about(given)
    asking.few_shot(given, benchmark, task, paths.asked("few_shot", benchmark.name))
    own = f" --benchmark {given['benchmark']}" if paths.benchmark else ""
    click.echo(f"In Table 1: paper-repro run 04 --profile {paths.profile}{own} -p few_shot asked")


@cli.command()
@asking.diversity_options
@_whose
@debug
def diversity(**given: Any) -> None:
    """Ask a language model how diverse D_Q or another set is (the cluster-agent)."""
    benchmark, _, paths, _ = _asked_about(given, generated=True)
    asking.diversity(given, benchmark, paths.asked("diversity", benchmark.name))


def _asked_about(
    given: Mapping[str, Any], *, generated: bool = False
) -> tuple[Benchmark, str | Path, Paths, Path | None]:
    """The benchmark (your own: without D_Q unless ``generated``), its prompt file, where results go; your own D_Q."""
    from paper_repro.runs import profiles
    from paper_repro.texts import benchmarks, description
    from paper_repro.tools.paths import Paths

    name, profile = given["benchmark"], given["profile"]
    if name.endswith(".toml"):
        described = description.read(Path(name))
        where = Paths.of(profiles.check_name(profile), given["results_dir"], description=described.path)
        opened = benchmarks.load(described, data_dir=_folder(given["data_dir"]), generated=generated)
        return opened, described.path, where, described.generated
    found = benchmarks.load(name, kind=profiles.load(profile).kind, data_dir=_folder(given["data_dir"]))
    return found, name, Paths.of(profile, given["results_dir"]), None


def _folder(name: str) -> Path | None:
    return Path(name) if name else None


def main() -> None:
    """The console script."""
    cli(prog_name=PROGRAM)
