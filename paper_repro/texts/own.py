"""A benchmark of your own: one TOML file that says where its texts are and how to ask for more of them.

It is a prompt file (:mod:`paper_repro.texts.prompts`) with a title and a table ``[data]``; its name is the file's.
``assets/examples/workshop.toml`` is one, whole. ``[data]`` holds

* ``file``: a CSV with a header line, or JSON lines, in UTF-8 (:mod:`paper_repro.texts.tabular`); paths go from the TOML file;
* ``text``, ``label``, ``pair``: the names of its columns ("text", "label" and none, unless given);
* ``dev``, ``test``: how many texts D_P' and the test set get, drawn from ``file`` by ``seed`` with the classes in the
  proportions that they have there; or a file of the same form whose texts they are. What is left of ``file`` is D_P;
* ``generated``: the JSON lines that are D_Q, or that ``paper-repro generate`` will write.

A text that stands in several places stays in one, so that the sets share none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_repro.texts import generated, original_files, prompts
from paper_repro.texts.original_files import Row
from paper_repro.texts.pools import Benchmark, Pool
from paper_repro.texts.prompts import Template
from paper_repro.texts.tabular import Columns, read_rows
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import BUNDLED

EXAMPLE = BUNDLED / "examples" / "workshop.toml"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
SYMBOLS = {"train": "D_P", "dev": "D_P'", "test": "the test set"}


@dataclass(frozen=True)
class Data:
    """The table ``[data]``, its paths absolute. ``dev`` and ``test`` are a number of texts or a file."""

    file: Path
    dev: int | Path
    test: int | Path
    generated: Path
    text: str = "text"
    label: str = "label"
    pair: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Description:
    """What a benchmark file says. ``form`` is its prompt with the label names, in class order."""

    path: Path
    name: str
    title: str
    form: Template
    data: Data


@dataclass(frozen=True)
class Real:
    """The texts of the real world, split: "train" (D_P), "dev" (D_P') and "test".

    ``repeated`` counts the texts that were left out because they stood in the files before, ``contradicting`` those of
    them that had another label there.
    """

    pools: Mapping[str, Pool]
    repeated: int
    contradicting: int

    @property
    def summary(self) -> str:
        sizes = ", ".join(f"{SYMBOLS[name]} {len(pool)}" for name, pool in self.pools.items())
        if not self.repeated:
            return f"{sizes}; no text is repeated"
        other = f", {self.contradicting} of them with another label" if self.contradicting else ""
        return f"{sizes}; {self.repeated} repeated texts left out{other}"


def read(path: Path) -> Description:
    """The benchmark file at ``path``, checked; the texts are not looked at yet.

    Raises UserError for a file that is missing or no TOML, unknown and missing fields, and values of a wrong type.
    """
    path = path.expanduser().resolve()
    if path.suffix != ".toml" or not NAME.fullmatch(path.stem):
        raise UserError(f"{path}: a benchmark file is called by letters, digits, - and _, then .toml: my_texts.toml")
    if path.stem in original_files.NAMES:
        raise UserError(f"{path}: {path.stem} is a benchmark of the paper; give yours another name")
    if not path.is_file():
        raise UserError(f"no benchmark file {path}; {EXAMPLE} is one to copy")
    form = prompts.template(path)
    entries = prompts.entries(path)
    if "data" not in entries:
        raise UserError(f"{path}: table [data] is missing; it says where the texts are")
    title = entries.get("title")
    if not isinstance(title, str) or not title.strip():
        raise UserError(f"{path}: title = {title!r}; expected text")
    data = _data(path, entries["data"])
    if form.paired != (data.pair is not None):
        what = "holds {pair}, but [data] names no column 'pair'" if form.paired else "must hold {pair}, too"
        raise UserError(f"{path}: example = {form.example!r} {what}")
    return Description(path, path.stem, title, form, data)


def _data(path: Path, table: Any) -> Data:
    if not isinstance(table, dict):
        raise UserError(f"{path}: data = {table!r}; expected a table [data]")
    known = {field.name for field in fields(Data)}
    unknown, missing = set(table) - known, {"file", "dev", "test", "generated"} - set(table)
    if unknown or missing:
        what = f"unknown field {min(unknown)!r}" if unknown else f"field {min(missing)!r} is missing"
        raise UserError(f"{path}: [data]: {what}; it has {', '.join(sorted(known))}")
    return Data(**{name: _value(path, name, value) for name, value in table.items()})


def _value(path: Path, name: str, value: Any) -> Any:
    """A value of ``[data]`` in the form that :class:`Data` wants."""
    sized = name in ("dev", "test")
    if name == "seed" or (sized and type(value) is int):
        if type(value) is not int or value < sized:
            raise UserError(f"{path}: [data]: {name} = {value!r}; expected a whole number, {int(sized)} or more")
        return value
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{path}: [data]: {name} = {value!r}; expected {'a number or a file' if sized else 'text'}")
    return path.parent / value if sized or name in ("file", "generated") else value


def real_pools(described: Description) -> Real:
    """The real texts, split by the file's rule: the same file and seed give the same pools.

    Raises UserError for a file that cannot be read as texts with these labels (:func:`paper_repro.texts.tabular.read_rows`),
    for sizes that leave nothing for D_P, and for a class that one of the pools lacks.
    """
    data, labels = described.data, described.form.labels
    columns = Columns(data.text, data.label, data.pair)
    parts: dict[str, list[Row]] = {}
    seen: dict[tuple[str, str | None], int] = {}
    left_out: list[bool] = []
    for name, source in (("test", data.test), ("dev", data.dev), ("train", data.file)):
        if isinstance(source, Path):
            parts[name] = _new_ones(read_rows(source, columns, labels), seen, left_out)
    rng = np.random.default_rng(data.seed)
    for name, size in (("test", data.test), ("dev", data.dev)):
        if isinstance(size, int):
            parts[name], parts["train"] = _draw(described, name, size, parts["train"], rng)
    pools = {name: original_files.make_pool(name, parts[name]) for name in ("train", "dev", "test")}
    for pool in pools.values():
        _expect_every_class(described, pool)
    return Real(pools, len(left_out), sum(left_out))


def _new_ones(rows: Sequence[Row], seen: dict[tuple[str, str | None], int], left_out: list[bool]) -> list[Row]:
    """The rows whose texts are not among the ``seen`` (with their labels); both grow.

    ``left_out`` tells of every other row whether its label differs from the first one's.
    """
    kept = []
    for row in rows:
        content = (row.text, row.pair)
        if content in seen:
            left_out.append(seen[content] != row.label)
        else:
            seen[content] = row.label
            kept.append(row)
    return kept


def _draw(
    described: Description, name: str, size: int, rows: Sequence[Row], rng: np.random.Generator
) -> tuple[list[Row], list[Row]]:
    """``size`` of the rows, and those that are left, both in their order."""
    if size >= len(rows):
        raise UserError(
            f"{described.path}: [data]: {name} = {size}, but {described.data.file.name} has {len(rows)} different "
            f"texts for it; leave some for D_P"
        )
    chosen = set(stratified(np.array([row.label for row in rows]), size, rng).tolist())
    return [row for i, row in enumerate(rows) if i in chosen], [row for i, row in enumerate(rows) if i not in chosen]


def stratified(labels: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``size`` different rows, ascending, with the classes in the proportions of ``labels`` (examples,).

    A class gets its share rounded down; what is left goes to the largest fractions, of equals to the first.
    """
    counts = np.bincount(labels)
    share = size * counts / len(labels)
    take = np.floor(share).astype(np.int64)
    order = np.argsort(take - share, kind="stable")
    take[order[: size - take.sum()]] += 1
    drawn = [rng.choice(np.flatnonzero(labels == label), number, replace=False) for label, number in enumerate(take)]
    return np.sort(np.concatenate(drawn))


def _expect_every_class(described: Description, pool: Pool) -> None:
    counts = np.bincount(pool.labels, minlength=len(described.form.labels))
    if counts.min() == 0:
        label, symbol = described.form.labels[int(counts.argmin())], SYMBOLS[pool.name]
        hint = "; take more texts for it, or give more of this label" if pool.name != "train" else ""
        raise UserError(f"{described.path}: none of the {len(pool)} texts of {symbol} is labelled {label!r}{hint}")


def load(described: Description) -> Benchmark:
    """The benchmark with all its pools. Raises UserError as :func:`real_pools` does, and for a missing D_Q."""
    pools = {**real_pools(described).pools, "generated": generated_pool(described)}
    return Benchmark(described.name, described.title, described.form.labels, pools)


def generated_pool(described: Description) -> Pool:
    """D_Q. Raises UserError where there is none yet, and for a damaged file."""
    path = described.data.generated
    if not path.exists():
        command = f"paper-repro generate --benchmark {described.path}"
        raise UserError(f"{described.name}: no generated texts yet (no file {path}); make them by: {command}")
    return generated.read_pool(path, described.form)
