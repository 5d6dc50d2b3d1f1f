"""Sets of generated texts whose diversity was varied on purpose, and a language model's judgement of them.

For Financial and Tweet Irony the package ships six sets of 900 texts, classes equal, written by the model that wrote
D_Q; ``assets/diversity/DATA_CARD.md`` says how. They vary diversity as Zhu et al. (arXiv 2506.19262) do: down by
paraphrasing fewer and fewer sources, up by guiding the writer. Sets of your own lie in ``<data>/<benchmark>/diversity``
with the files of the shipped ones. The miniature world makes its sets by its knobs, so that the truth is known.

A set is a pool called ``diversity:<name>``, found by :meth:`paper_repro.texts.pools.Benchmark.pool`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from paper_repro.texts import description, readers, world
from paper_repro.texts.derived import DIVERSITY
from paper_repro.texts.description import Description, Reading
from paper_repro.texts.pools import Pool, Truth
from paper_repro.texts.world import WorldConfig
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import BUNDLED

LEVELS: Mapping[str, int | None] = {
    "paraphrase-30": 1,
    "paraphrase-90": 2,
    "paraphrase-300": 3,
    "sampled-900": 4,
    "topics-900": 5,
    "voices-900": 6,
}
"""The real sets with their levels of diversity, as they were made to be, the lowest first."""
WORLD_LEVELS: Mapping[str, int | None] = {
    "copies-30": 1,
    "copies-3": 2,
    "sampled": 3,
    "narrowed": None,
    "shifted": None,
}
"""The miniature world's: each source 30 or 3 times; its own D_Q; and two that differ from it in another way."""
KNOBS: Mapping[str, Mapping[str, Any]] = {"narrowed": {"narrowing": 1.0}, "shifted": {"input_shift": 1.0}}
"""What the world's two other sets turn."""
MADE_OF = {
    "paraphrase-30": "30 texts of D_Q and 29 paraphrases of each",
    "paraphrase-90": "90 texts and 9 paraphrases of each",
    "paraphrase-300": "300 texts and 2 paraphrases of each",
    "sampled-900": "900 texts of D_Q",
    "topics-900": "90 topics, ten texts each",
    "voices-900": "90 voices or settings, ten texts each",
    "copies-30": "each source 30 times, with one filler redrawn",
    "copies-3": "each source 3 times",
    "sampled": "texts of D_Q",
    "narrowed": "the same with the commonest word for each concept",
    "shifted": "texts about what Q judges correctly",
}
WORLD_SHARE = 0.36
"""Size of the world's sets, of that of its D_Q: training takes little time then."""
SHIPPED = BUNDLED / "diversity"
FEWEST = 10
"""Texts below which a set cannot be measured; the cluster-agent sees so many at once."""


@dataclass(frozen=True)
class Draw:
    """What the cluster-agent made of ten texts of a set: the sizes of the clusters that it found valid, and how many
    it rejected when it was asked again."""

    set_name: str
    sizes: tuple[int, ...]
    rejected: int


def place(benchmark: str, data_dir: Path | None) -> Path | None:
    """The folder with a benchmark's sets: in the data directory, else the shipped one; None where there is none."""
    if not (SHIPPED / benchmark).is_dir():
        return None
    own = data_dir / benchmark / "diversity" if data_dir else None
    return own if own and own.is_dir() else SHIPPED / benchmark


@lru_cache(maxsize=8)
def read(folder: Path, benchmark: str) -> Mapping[str, Pool]:
    """The sets of a folder by name. ``texts.jsonl.gz`` holds their texts (id, label, text) and ``sets.jsonl.gz`` a line
    for each set (set, ids); ids may also be of the bundled D_Q.

    Raises UserError for a set that is not one of :data:`LEVELS`, names a text that does not exist, has fewer than
    :data:`FEWEST` texts, lacks a class, or repeats one text only; and where one of the sets is missing.
    """
    described = description.read(benchmark)
    texts = {**_texts(described.generated, described), **_texts(folder / "texts.jsonl.gz", described)}
    sets = {}
    for line, row in _lines(folder / "sets.jsonl.gz", ("set", "ids")):
        name, ids = str(row["set"]), [str(one) for one in row["ids"]]
        if name not in LEVELS:
            raise UserError(f"{line}: set {name!r} is not known; expected one of {', '.join(LEVELS)}")
        sets[name] = _checked(f"{line}: set {name!r}", ids, texts, described)
    if missing := [name for name in LEVELS if name not in sets]:
        raise UserError(f"{folder / 'sets.jsonl.gz'}: no line for the set {missing[0]!r}")
    return sets


def _texts(path: Path, described: Description) -> dict[str, tuple[str, int]]:
    """(text, class) by id."""
    rows, found = _lines(path, ("id", "text", "label")), {}
    for line, row in rows:
        if row["label"] not in described.labels:
            raise UserError(f"{line}: label {row['label']!r}, expected one of {', '.join(described.labels)}")
        found[str(row["id"])] = str(row["text"]), described.labels.index(row["label"])
    return found


def _lines(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    for line, row in readers.records(path, Reading(format="json"), set(columns)):
        if lacking := [column for column in columns if column not in row]:
            raise UserError(f"{line}: no {lacking[0]!r}; expected {', '.join(columns)}")
        yield line, row


def _checked(where: str, ids: list[str], texts: Mapping[str, tuple[str, int]], described: Description) -> Pool:
    if unknown := [one for one in ids if one not in texts]:
        raise UserError(f"{where} names a text that does not exist, {unknown[0]!r}")
    if len(ids) < FEWEST:
        raise UserError(f"{where} has {len(ids)} texts; expected at least {FEWEST}")
    words, labels = zip(*(texts[one] for one in ids), strict=True)
    if lacking := [name for label, name in enumerate(described.labels) if label not in labels]:
        raise UserError(f"{where} has no text labelled {lacking[0]!r}; expected some of each class")
    if len(set(words)) == 1:
        raise UserError(f"{where} repeats a single text; expected different ones")
    return Pool("generated", words, np.array(labels, dtype=np.int64))


def draws(folder: Path) -> list[Draw]:
    """The cluster-agent's recorded judgements, ``judgements.jsonl.gz``: a line for each draw (arm: the set; texts: ids;
    clusters: the numbers of their texts in the draw, from 0, and whether they were found valid).

    Raises UserError for a draw with a text that is not in its set, and for a cluster with a number that no text has.
    """
    members = {str(row["set"]): set(row["ids"]) for _, row in _lines(folder / "sets.jsonl.gz", ("set", "ids"))}
    found = []
    for line, row in _lines(folder / "judgements.jsonl.gz", ("arm", "texts", "clusters")):
        ids, clusters = row["texts"], row["clusters"]
        if strangers := [one for one in ids if one not in members.get(row["arm"], ())]:
            raise UserError(f"{line}: the text {strangers[0]!r} does not exist in the set {row['arm']!r}")
        known = {str(number) for number in range(len(ids))}  # the reader leaves numbers as they are written
        if beyond := [number for cluster in clusters for number in cluster["texts"] if number not in known]:
            raise UserError(f"{line}: a cluster names text {beyond[0]}, which does not exist; the draw has {len(ids)}")
        sizes = tuple(len(cluster["texts"]) for cluster in clusters if cluster["valid"])
        found.append(Draw(row["arm"], sizes, len(clusters) - len(sizes)))
    return found


def shipped_set(folder: Path, benchmark: str, name: str) -> tuple[Pool, Truth | None]:
    """A set of :func:`read` as :attr:`paper_repro.texts.pools.Benchmark.sets` gives it."""
    return _known(name, read(folder, benchmark)), None


def world_set(config: WorldConfig, benchmark: str, name: str) -> tuple[Pool, Truth | None]:
    """One of :data:`WORLD_LEVELS`, with its P(y|x) and Q(y|x)."""
    _known(name, WORLD_LEVELS)
    return _made(replace(config, **KNOBS.get(name, {})), benchmark, name)


@lru_cache(maxsize=64)
def _made(config: WorldConfig, benchmark: str, name: str) -> tuple[Pool, Truth]:
    times = int(name.removeprefix("copies-")) if name.startswith("copies-") else 1
    return world.repeated(config, benchmark, times, round(WORLD_SHARE * config.generated))


def _known(name: str, sets: Mapping[str, Any]) -> Any:
    if name not in sets:
        raise UserError(f"source {DIVERSITY + name!r} is not known; expected one of {', '.join(sets)}")
    return sets[name]
