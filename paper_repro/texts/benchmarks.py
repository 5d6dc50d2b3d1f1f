"""Benchmarks with all their pools: the paper's D_P (train), D_P' (dev), test set and D_Q (generated).

A description (:mod:`paper_repro.texts.description`) says what a benchmark is. Published texts come from a data
directory (``<folder>/<benchmark>/`` with the original public files), else the Hugging Face cache, else the hub, and are
compared with their content hashes. Another version of them, with your splits or your D_Q, lies in the data directory as
JSON lines: ``<benchmark>/{train,dev,test,generated}.jsonl`` with the keys ``text`` (of pairs ``sentence1`` and
``sentence2``) and ``label``. The miniature world makes texts of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paper_repro.texts import description, diversity_sets, hub, readers
from paper_repro.texts.description import Data, Description, Reading, columns
from paper_repro.texts.pools import POOL_NAMES, SYMBOLS, Benchmark, FewShot, Pool
from paper_repro.texts.readers import Row
from paper_repro.texts.world import WorldConfig, make
from paper_repro.tools.errors import UserError

REAL = ("train", "dev", "test")
RARE = 10  # examples of a class below which :func:`remarks` says so


def load(
    benchmark: str | Path | Description,
    *,
    kind: Literal["real", "miniature"] = "real",
    data_dir: Path | None = None,
    offline: bool = False,
    world: WorldConfig | None = None,
    generated: bool = True,
) -> Benchmark:
    """A benchmark with the pools "train", "dev", "test" and, unless ``generated`` is False, "generated".

    ``benchmark`` is a name or the path of a description. Its files that do not lie beside it are looked for in
    ``<data_dir>/<its name>/``. Published texts are looked for in ``data_dir`` (or
    ``PAPER_REPRO_DATA``), and only there when it is given; else in the Hugging Face cache; else, unless ``offline``,
    on the hub. Of the miniature world (``world`` turns its knobs) the truth is known for each pool. Raises UserError
    for an unknown benchmark and for texts that are missing, cannot be read, or are not the published ones.
    """
    if kind == "miniature":
        worlds = make(config := world or WorldConfig())
        if benchmark not in worlds:
            raise UserError(f"Unknown benchmark {str(benchmark)!r}: the miniature world has {', '.join(worlds)}")
        return replace(worlds[str(benchmark)], sets=partial(diversity_sets.world_set, config, benchmark))
    if kind != "real":
        raise UserError(f"Unknown kind of benchmark {kind!r}, expected 'real' or 'miniature'.")
    described = benchmark if isinstance(benchmark, Description) else description.read(benchmark)
    place = _place(described, data_dir, offline)
    try:
        made = _assembled(place, generated)
    except UserError as error:
        raise UserError(f"{error}. {place.remedy}" if place.remedy else str(error)) from error
    folder = diversity_sets.place(made.name, data_directory(data_dir))
    return replace(made, sets=partial(diversity_sets.shipped_set, folder, made.name)) if folder else made


def bundled(name: str) -> Pool:
    """The D_Q that comes with the package (3,000 texts a benchmark; see ``assets/generated/DATA_CARD.md``)."""
    return read_generated(description.read(name))


# ---------------------------------------------------------------- where the texts are


@dataclass(frozen=True)
class _Place:
    """Where the files of a description are found, in words too, and what to do where they are not right."""

    described: Description
    data: Data
    locate: Callable[[str], Path]
    origin: str
    remedy: str = ""

    def d_q(self) -> Path | None:
        """D_Q, where it does not lie where the description says; None where it does."""
        return None if self.described.generated.exists() or self.described.hub else self.locate(self.described.made)


def data_directory(data_dir: Path | None) -> Path | None:
    """``data_dir`` if given, else ``PAPER_REPRO_DATA``, else None (the hub's cache and the hub)."""
    given = str(data_dir or os.environ.get("PAPER_REPRO_DATA", ""))
    return Path(os.path.expanduser(given)) if given else None


def _place(described: Description, data_dir: Path | None, offline: bool) -> _Place:
    folder = data_directory(data_dir)
    if described.hub is None:

        def locate(file: str) -> Path:
            near, far = described.beside(file), (folder or Path()) / described.name / file
            return far if folder and not near.exists() and far.exists() else near

        return _Place(described, described.data, locate, str(described.path))
    if folder is None:
        return _on_hub(described, described.hub, offline)
    place = folder / described.name
    if not place.is_dir():
        raise UserError(
            f"There is no folder {place}. Give the folder that holds {described.name} (--data-dir or "
            "PAPER_REPRO_DATA), or leave it out to fetch the data from the hub."
        )
    if (place / "train.jsonl").exists():
        own = _replaced(described, place)
        return _Place(own, own.data, place.joinpath, f"your own data in {place}")
    way = f"Put the files as published into {place}, or leave the data directory out to fetch them from the hub"
    return _Place(described, described.data, place.joinpath, f"directory {folder}", way)


def _on_hub(described: Description, data: Data, offline: bool) -> _Place:
    sources = [how for pool in REAL if isinstance(how := data.reading(pool), Reading)]
    files = dict.fromkeys(_file(how.file) for how in sources)
    try:
        got = {file: hub.get_file(data.repository, data.revision, file, offline=offline) for file in files}
    except hub.NotCachedError as error:
        raise UserError(
            f"{described.name}: {error} Ways out: connect and run 'paper-repro fetch' (HF_HUB_OFFLINE unset); copy a "
            "filled cache and point HF_HOME to it; or give the original files by --data-dir or PAPER_REPRO_DATA."
        ) from error
    where = "hub" if "hub" in {origin for _, origin in got.values()} else "cache"

    def locate(file: str) -> Path:
        return Path(file.replace(_file(file), str(got[_file(file)][0])))

    way = f"The way out: {hub.refetch(next(iter(got.values()))[0])}"
    return _Place(described, data, locate, f"Hugging Face {where} ({data.repository}@{data.revision[:7]})", way)


def _file(source: str) -> str:
    return source.partition("::")[0]


def _replaced(described: Description, place: Path) -> Description:
    """The description of JSON lines that a user put in the place of published files."""
    text, label, *pair = columns(described.paired)
    files: dict[str, Any] = {pool: str(place / f"{pool}.jsonl") for pool in POOL_NAMES}
    data = Data(**files, text=text, label=label, pair="".join(pair), keep_duplicates=True)
    title = f"{described.title} (your own data)"
    return replace(described, title=title, written=(), data=data, published={}, few_shot="")


# ---------------------------------------------------------------- pools


def _assembled(place: _Place, generated: bool) -> Benchmark:
    described = place.described
    pools, left_out = _real(described, place.data, place.locate)
    for name, expected in described.published.items():
        pool = pools[name]
        if pool.fingerprint != expected:
            raise UserError(
                f"{described.name}, pool {name}, from {place.origin}: the content differs from the published data "
                f"({len(pool)} examples, SHA-256 {pool.fingerprint[:12]}..., expected {expected[:12]}...)"
            )
    leaked = 0
    if generated:
        pools["generated"], leaked = _unseen(read_generated(described, place.d_q()), pools["test"], place)
    return Benchmark(
        described.name,
        described.title,
        described.labels,
        pools,
        few_shot=_few_shot(described, len(pools["test"])),
        labelled=_labelled(described),
        origin=place.origin,
        repeated=len(left_out),
        contradicting=sum(left_out),
        leaked=leaked,
    )


def _unseen(made: Pool, test: Pool, place: _Place) -> tuple[Pool, int]:
    """D_Q without the texts that stand in the test set, and how many these are; whole, where duplicates are kept."""
    known = set() if place.data.keep_duplicates else set(test.inputs)
    rows = [row for row, example in enumerate(made.inputs) if example not in known]
    if not rows:
        raise UserError(f"{place.described.generated}: all texts of D_Q stand in the test set as well")
    return made if len(rows) == len(made) else made.subset(rows), len(made) - len(rows)


def _real(described: Description, data: Data, locate: Callable[[str], Path]) -> tuple[dict[str, Pool], list[bool]]:
    """D_P, D_P' and the test set, split as described; of each text left out, whether its label differs."""
    seen: dict[tuple[str, ...], int] = {}
    left_out: list[bool] = []
    pools: dict[str, Pool] = {}
    splits = _splits(described.beside(data.splits)) if data.splits else {}
    for name in reversed(REAL):
        if isinstance(how := data.reading(name), Reading):
            pool = make_pool(name, readers.read(locate(how.file), how, described.spellings))
            if not set(rows := splits.get(name, range(len(pool)))) <= set(range(len(pool))):
                found = f"{len(pool)} examples, but the splits take number {max(rows) + 1}"
                raise UserError(f"{locate(how.file)}: {found}; the file seems cut short")
            pool = pool.subset(rows)
            pools[name] = pool if data.keep_duplicates else _new_ones(pool, seen, left_out)
            if not len(pools[name]):
                raise UserError(f"{locate(how.file)}: all texts of {SYMBOLS[name]} stand in another set as well")
    rng = np.random.default_rng(data.seed)
    for name in ("test", "dev"):
        if isinstance(size := data.reading(name), int):
            rest = pools["train"]
            if size >= len(rest):
                found = f"{name} = {size}, but there are {len(rest)} different texts for it"
                raise UserError(f"{described.path}: [data]: {found}; leave some for D_P")
            chosen = stratified(rest.labels, size, rng)
            pools[name] = rest.subset(chosen, name)
            pools["train"] = rest.subset(np.setdiff1d(np.arange(len(rest)), chosen))
    return {name: pools[name] for name in REAL}, left_out


def _splits(path: Path) -> Mapping[str, Sequence[int]]:
    """0-based rows by pool."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {pool: [int(row) for row in content[pool]] for pool in REAL if pool in content}
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({error}), expected JSON with lists of row numbers by pool") from error


def _new_ones(pool: Pool, seen: dict[tuple[str, ...], int], left_out: list[bool]) -> Pool:
    """The examples whose texts are not among the ``seen`` (with their labels); both lists grow."""
    kept = []
    for row, (example, label) in enumerate(zip(pool.inputs, pool.labels.tolist(), strict=True)):
        if example in seen:
            left_out.append(seen[example] != label)
        else:
            seen[example] = label
            kept.append(row)
    return pool.subset(kept)


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


def make_pool(name: str, rows: Sequence[Row]) -> Pool:
    """A pool of rows in their order; a pool of pairs if the rows are pairs."""
    pairs = tuple(row.pair for row in rows if row.pair is not None)
    return Pool(name, tuple(row.text for row in rows), np.array([row.label for row in rows], np.int64), pairs or None)


# ---------------------------------------------------------------- what the generator made


def read_generated(described: Description, path: Path | None = None) -> Pool:
    """D_Q, from the file that the description names or from another."""
    path, how = path or described.generated, described.data.reading("generated")
    assert isinstance(how, Reading)
    if not path.exists():
        command = f"paper-repro generate --benchmark {described.path}"
        raise UserError(f"{described.name}: no generated texts yet (no file {path}); make them by: {command}")
    return make_pool("generated", readers.read(path, how, described.spellings, other=columns(described.paired)))


def _few_shot(described: Description, size: int) -> FewShot | None:
    if not described.few_shot:
        return None
    path = described.beside(described.few_shot)
    labels = read_labels(path, described)
    if len(labels) != size:
        raise UserError(f"{path}: {len(labels)} labels, but {described.name} has {size} test texts; take the line out")
    return FewShot(labels, described.generator)


def read_labels(path: Path, described: Description) -> NDArray[np.int64]:
    """(examples,) class indices from a CSV with test_row (0, 1, ...) and label; -1 where no label was given.

    Raises UserError with file and line for anything else.
    """
    known, found = {**dict(zip(described.labels, range(len(described.labels)), strict=True)), "": -1}, []
    for number, (place, row) in enumerate(readers.records(path, Reading(format="csv"), {"test_row", "label"})):
        if row.get("test_row") != str(number) or row.get("label") not in known:
            raise UserError(f"{place}: found {row}; expected test_row {number} and a label, one of {list(known)}")
        found.append(known[row["label"]])
    return np.array(found, dtype=np.int64)


def _labelled(described: Description) -> tuple[tuple[str, int], ...]:
    if not described.labelled:
        return ()
    path, classes = described.beside(described.labelled), described.spellings
    how = Reading(format="csv", text="text_sha256")
    return tuple((row.text, row.label) for row in readers.read(path, how, classes))


# ---------------------------------------------------------------- what one should know before training


def summary(benchmark: Benchmark) -> str:
    """The sizes of the pools and how many texts were left out because they stand in two places, in a line."""
    told = ", ".join(f"{SYMBOLS[name]} {len(pool)}" for name, pool in benchmark.pools.items())
    if benchmark.repeated:
        other = f", {benchmark.contradicting} of them with another label" if benchmark.contradicting else ""
        told += f"; {benchmark.repeated} repeated texts left out{other}"
    if benchmark.leaked:
        told += f"; {benchmark.leaked} of D_Q's texts left out, because they stand in the test set"
    return told


def remarks(benchmark: Benchmark) -> list[str]:
    """What may surprise, a line each: classes that a pool hardly has, and texts of D_Q that stand in other pools."""
    told = []
    for name, pool in benchmark.pools.items():
        counts = np.bincount(pool.labels, minlength=benchmark.classes)
        scarce = {benchmark.label_names[i]: int(n) for i, n in enumerate(counts) if n < RARE}
        if scarce:
            told.append(
                f"{SYMBOLS[name]}: few or no texts labelled {', '.join(f'{k!r} ({n})' for k, n in scarce.items())}"
            )
    if "generated" in benchmark.pools:
        made = benchmark.pools["generated"]
        for name in ("test", "dev"):
            if both := len(set(made.inputs) & set(benchmark.pools[name].inputs)):
                told.append(f"D_Q: {both} of its {len(made)} texts stand in {SYMBOLS[name]}, too")
    return told
