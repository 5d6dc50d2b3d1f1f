"""What keys and tables need to know of inputs that are not here: fingerprints, labels and names, on record.

With it the results of runs that came from elsewhere are found by their specifications, and tables are made from them,
without the benchmarks' texts and the encoders' weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from paper_repro.runs.spec import Source
from paper_repro.texts.pools import Benchmark, FewShot, Pool
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_json

NAME = "record.json"


@dataclass(frozen=True)
class Record:
    """``encoders`` maps names to fingerprints; ``benchmarks`` names to ``title``, ``label_names``, ``few_shot`` and
    ``pools``, each of which has a ``fingerprint`` and its ``labels``; a pool without one of its folds is called
    "generated without fold 2 of 5"."""

    encoders: Mapping[str, str] = field(default_factory=dict)
    benchmarks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def joined(self, other: Record) -> Record:
        """Both; where they disagree, the other one's."""
        benchmarks = {name: dict(entry) for name, entry in self.benchmarks.items()}
        for name, entry in other.benchmarks.items():
            known = benchmarks.get(name, {})
            benchmarks[name] = {**known, **entry, "pools": {**known.get("pools", {}), **entry["pools"]}}
        return Record({**self.encoders, **other.encoders}, benchmarks)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Raises ValueError, KeyError or TypeError for another text."""
        content = json.loads(text)
        return cls(dict(content["encoders"]), dict(content["benchmarks"]))

    @classmethod
    def read(cls, folder: Path) -> Record:
        """The record in a store's folder, an empty one where there is none. UserError where it cannot be read."""
        path = folder / NAME
        try:
            return cls.from_json(path.read_text("utf-8")) if path.exists() else cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: cannot be read ({error}); delete it and unpack the archive again") from error

    def write(self, folder: Path) -> None:
        write_json(folder / NAME, asdict(self))


def source_name(source: Source) -> str:
    """What a record calls the examples that a run trains on."""
    if source.held_out is None:
        return source.pool
    return f"{source.pool} without fold {source.held_out} of {source.folds}"


class _NoTexts(Sequence[str]):
    """Stands for texts that are not here: their number is known, and reading one is an error."""

    def __init__(self, benchmark: str, count: int) -> None:
        self.benchmark, self.length = benchmark, count

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, _: Any) -> Any:
        raise UserError(
            f"{self.benchmark}: this needs the benchmark's texts, and only its runs are here; "
            "give the original files by --data-dir or PAPER_REPRO_DATA"
        )

    def __iter__(self) -> Iterator[str]:
        return iter([self[0]])


class RecordedPool(Pool):
    """A pool of which the labels and the fingerprint are on record, but no text."""

    @classmethod
    def of(cls, benchmark: str, name: str, entry: Mapping[str, Any]) -> RecordedPool:
        labels = np.array(entry["labels"], dtype=np.int64)
        pool = cls(name, _NoTexts(benchmark, len(labels)), labels)  # type: ignore[arg-type]
        pool.__dict__["fingerprint"] = str(entry["fingerprint"])  # in place of what the texts would give
        return pool


class RecordedBenchmark(Benchmark):
    """A benchmark as the record of its runs knows it."""

    def pool(self, name: str) -> Pool:
        """A pool that the runs used. UserError for another one."""
        if name not in self.pools:
            raise UserError(f"{self.name}: no run on {name} is here, and neither are the texts to make one")
        return self.pools[name]

    def truth_of(self, name: str) -> None:
        return None


def recorded_benchmark(record: Record, name: str) -> RecordedBenchmark:
    """The benchmark called ``name``. KeyError where it is not on record."""
    entry = record.benchmarks[name]
    asked = entry.get("few_shot")
    return RecordedBenchmark(
        name,
        entry["title"],
        tuple(entry["label_names"]),
        {pool: RecordedPool.of(name, pool, known) for pool, known in entry["pools"].items()},
        few_shot=asked and FewShot(np.array(asked["labels"], dtype=np.int64), asked["generator"]),
    )
