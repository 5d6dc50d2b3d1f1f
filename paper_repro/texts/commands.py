"""``paper-repro init``: from files of labelled texts to the description of a benchmark."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click

from paper_repro.tools.command import debug
from paper_repro.tools.errors import UserError

FILE = click.Path(path_type=Path)
COMMON_NAMES = ("train", "training", "data", "dataset", "texts")


@click.command()
@click.argument("data", type=FILE, required=False)
@click.option("--train", type=FILE, help="D_P, another way to give DATA.")
@click.option("--dev", default="", metavar="FILE|N", help="D_P': a file, or how many texts are drawn from DATA.")
@click.option("--test", default="", metavar="FILE|N", help="The test set, likewise.")
@click.option("--generated", type=FILE, help="D_Q, if you have one.")
@click.option("--title", default="", help="What tables call the benchmark; by default the description's name.")
@click.option("--text", default="text", show_default=True, help="The column with the texts.")
@click.option("--label", default="label", show_default=True, help="The column with the labels.")
@click.option("--pair", default="", help="The column with the second texts, where examples are pairs.")
@click.option("--encoding", default="utf-8", show_default=True, help="Of text files: cp1252, utf-16, ...")
@click.option("--separator", default="", help="Of columns in CSV, if not the comma.")
@click.option("-o", "--out", type=FILE, help="The description; by default DATA's name with .toml, here.")
@debug
def init(data: Path | None, train: Path | None, generated: Path | None, out: Path | None, **given: Any) -> None:
    """Look at files of labelled texts and write the description of a benchmark of your own.

    DATA is a CSV, TSV, JSON lines, Parquet or Arrow file. D_P' and the test set are drawn from it, or files as well.
    """
    from paper_repro.texts import benchmarks, description, propose
    from paper_repro.tools.files import write_whole

    if (data is None) == (train is None):
        raise UserError("give one file with labelled texts: paper-repro init data.csv --text ... --label ...")
    source = (data or train or Path()).expanduser()
    target = (out or _named(source)).expanduser().resolve()
    if target.exists():
        raise UserError(f"{target}: it is there already; remove it, or name another file by -o")
    pools = {"train": source, "generated": (generated or target.with_suffix(".generated.jsonl")).expanduser()}
    pools |= {pool: Path(given[pool]).expanduser() for pool in ("dev", "test") if not _count(given[pool])}
    sizes = {pool: int(given[pool]) for pool in ("dev", "test") if _count(given[pool]) and given[pool]}
    if generated and not pools["generated"].exists():
        raise UserError(f"no file {generated}: expected generated texts, or leave --generated out")
    made = pools["generated"].exists()
    try:
        names = ("text", "label", "pair", "encoding", "separator")
        how = description.Reading(**{name: given[name] for name in names})
    except ValueError as error:
        raise UserError(f"--{error}") from None
    content = propose.toml(target, how, pools, sizes, title=given["title"], prompt=not made).encode()
    found = benchmarks.load(description.parse(content, target), generated=made)
    write_whole(target, content)
    click.echo(f"{propose.overview(found).to_string()}\n")
    click.echo(f"{found.classes} classes: {benchmarks.summary(found)}")
    for remark in benchmarks.remarks(found):
        click.echo(remark)
    file = shlex.quote(str(out or target.name))
    click.echo(f"\nWritten: {target}. To go on:")
    if not made:
        server = "--model NAME --base-url http://127.0.0.1:8000/v1"
        click.echo(f"paper-repro generate --benchmark {file} --texts 3000 {server}")
    click.echo(f"paper-repro run --benchmark {file} --profile mini")


def _count(size: str) -> bool:
    """Whether it is a number of texts (empty: one that is proposed), not a file."""
    return not size or (size.isascii() and size.isdigit())


def _named(source: Path) -> Path:
    """The description's name from that of the data, or of their folder where theirs says nothing."""
    from paper_repro.texts.description import NAMES

    stem = source.name.split(".")[0]
    stem = source.resolve().parent.name if stem in COMMON_NAMES else stem
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_") or "benchmark"
    return Path(f"my-{name}.toml" if name in NAMES else f"{name}.toml")
