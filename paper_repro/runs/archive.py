"""Runs that travel: finished runs of a store in compact files, from which tables are made without data or weights.

A part is one Parquet file (zstd) with a row for each run and each checker's scores: the specification, history,
seconds and environment as JSON, and the arrays in half precision, so rounded that no predicted class changes. It also
holds what keys and tables need of the inputs: fingerprints of pools and encoders, labels, names; no text of a
benchmark. A part is not written again as long as it holds all finished runs that belong to it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from paper_repro.method.recipe import EpochRecord
from paper_repro.runs.inputs import Inputs
from paper_repro.runs.keys import ENGINE, score_key
from paper_repro.runs.plan import models_of, scored_pools
from paper_repro.runs.recorded_inputs import Record, source_name
from paper_repro.runs.results import Results
from paper_repro.runs.spec import Checker, RunResult, RunSpec, spec_from_dict
from paper_repro.runs.store import Store, finite_or_none, numbers
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_whole

FORMAT = 1
SCHEMA = pa.schema([(name, pa.string()) for name in ("key", "kind", "record", "sha256")] + [("arrays", pa.binary())])
WHAT = b"paper_repro runs"

Wanted = tuple[Checker, str, str]
"""A checker, a benchmark and a pool: scores that a table reads without a run that needs them."""


@dataclass(frozen=True)
class Part:
    """What belongs into one file: the runs of an item on one benchmark, and further scores."""

    name: str
    specs: tuple[RunSpec, ...]
    scores: tuple[Wanted, ...] = ()


def pack(results: Results, parts: Iterable[Part], folder: Path) -> list[Path]:
    """Write the parts that have new finished runs into ``folder``; a run that several parts need is in the first.

    Returns the files written. A part without finished runs has no file.
    """
    written, taken = [], set[str]()
    for part in parts:
        rows, record = _rows(results, part, taken)
        taken |= set(rows)
        path = folder / f"{part.name}.parquet"
        if not rows or (path.exists() and set(rows) <= set(_read(path)[0].column("key").to_pylist())):
            continue
        metadata = {"what": WHAT, "format": str(FORMAT), "engine": str(ENGINE), "record": record.to_json()}
        table = pa.Table.from_pylist([rows[key] for key in sorted(rows)], SCHEMA.with_metadata(metadata))
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd", compression_level=19)
        write_whole(path, buffer.getvalue())
        written.append(path)
    return written


def unpack(files: Iterable[Path], store: Store) -> tuple[int, int]:
    """Put the runs of the files into the store; what it has already stays as it is.

    Returns how many runs and scores were new, and how many there are. All files are read and checked before the first
    run is written. Raises UserError for a file that is damaged, foreign, newer, or of another engine.
    """
    tables = [_read(path) for path in files]
    record = Record.read(store.root)
    new = total = 0
    for table, inputs in tables:
        record = record.joined(inputs)
        for row in table.to_pylist():
            total += 1
            new += _put(store, row)
    record.write(store.root)
    return new, total


def _rows(results: Results, part: Part, taken: set[str]) -> tuple[dict[str, dict[str, Any]], Record]:
    """The part's rows by key, without those of earlier parts, and what their keys say of the inputs."""
    rows: dict[str, dict[str, Any]] = {}
    record = Record()
    scores = list(part.scores)
    for spec in _closure(part.specs, scores):
        record = record.joined(record_of(results.inputs, spec))
        key = results.key(spec)
        result = None if key in taken or key in rows else results.store.get(key)
        if result is not None:
            log_p = results.store.train_log_p(key)
            assert log_p is not None
            rows[key] = _run_row(result, log_p)
    for checker, benchmark, pool in scores:
        assert checker.run is not None
        record = record.joined(record_of(results.inputs, checker.run, pool))
        key = score_key(results.inputs, checker, benchmark, pool)
        found = None if key in taken or key in rows else results.store.get_scores(key)
        if found is not None:
            origin = results.store.scores_origin(key) or {}
            rows[key] = _row(key, "scores", origin, {"log_probabilities": found.astype(np.float16)})
    return rows, record


def _closure(specs: Iterable[RunSpec], scores: list[Wanted]) -> Iterator[RunSpec]:
    """The runs, those behind their checkers and those that they start from; ``scores`` grows by their scores."""
    todo, seen = list(specs), set[RunSpec]()
    todo += [model for checker, _, pool in scores for model in models_of(checker, pool)]
    while todo:
        spec = todo.pop(0)
        if spec in seen:
            continue
        seen.add(spec)
        yield spec
        todo += [spec.start] if spec.start else []
        for checker in (spec.quality, spec.diversity):
            if checker is not None and checker.run is not None:
                for pool in scored_pools(spec):
                    scores.append((checker, spec.benchmark, pool))
                    todo += models_of(checker, pool)


def record_of(inputs: Inputs, spec: RunSpec, *pools: str) -> Record:
    """What the keys of a run, and of scores of ``pools`` by it, need to know of the inputs."""
    benchmark = inputs.benchmark(spec.benchmark)
    named = {name: benchmark.pool(name) for name in ("test", spec.selection, spec.source.pool, *pools)}
    named[source_name(spec.source)] = inputs.source_pool(spec.benchmark, spec.source)
    few_shot = benchmark.few_shot
    entry = {
        "title": benchmark.title,
        "label_names": list(benchmark.label_names),
        "few_shot": few_shot and {"labels": few_shot.labels.tolist(), "generator": few_shot.generator},
        "pools": {name: _pool_entry(pool) for name, pool in named.items()},
    }
    return Record({spec.encoder: inputs.encoder_fingerprint(spec.encoder)}, {spec.benchmark: entry})


def _pool_entry(pool: Pool) -> dict[str, Any]:
    return {"fingerprint": pool.fingerprint, "labels": pool.labels.tolist()}


def _run_row(result: RunResult, log_p: NDArray[np.float32]) -> dict[str, Any]:
    record = {
        "spec": result.spec.to_dict(),
        "history": [finite_or_none(asdict(row)) for row in result.history],
        "selected_epoch": result.selected_epoch,
        "seconds": dict(result.seconds),
        "environment": dict(result.environment),
    }
    arrays = {
        "test_labels": result.test_labels.astype(np.int16),
        "test_probabilities": halves(result.test_probabilities),
        "dev_probabilities": halves(result.dev_probabilities),
        "train_log_p": log_p.astype(np.float16),
    }
    return _row(result.key, "run", record, arrays)


def halves(probabilities: NDArray[np.float32]) -> NDArray[np.float16]:
    """Probabilities (examples, classes) in half precision, with the same largest class in every row."""
    rounded = probabilities.astype(np.float16)
    largest = probabilities.argmax(axis=1)
    changed = np.flatnonzero(rounded.argmax(axis=1) != largest)
    rounded[changed, largest[changed]] = np.nextafter(rounded[changed].max(axis=1), np.float16(2))
    return rounded


def _row(key: str, kind: str, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    text, content = json.dumps(record, allow_nan=False), buffer.getvalue()
    return {"key": key, "kind": kind, "record": text, "sha256": _digest(key, kind, text, content), "arrays": content}


def _digest(key: str, kind: str, record: str, arrays: bytes) -> str:
    return hashlib.sha256(f"{key}\n{kind}\n{record}\n".encode() + arrays).hexdigest()


def _read(path: Path) -> tuple[pa.Table, Record]:
    """A part, every row checked. UserError as :func:`unpack` says."""
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        if metadata.get(b"what") != WHAT:
            raise UserError(f"{path}: not an archive of runs of this package")
        if int(metadata[b"format"]) > FORMAT:
            raise UserError(f"{path}: format {int(metadata[b'format'])}, this package reads up to {FORMAT}: update it")
        if int(metadata[b"engine"]) != ENGINE:
            raise UserError(
                f"{path}: made by engine {int(metadata[b'engine'])}, this package is engine {ENGINE}: its runs have "
                "other keys. Take the package's version that made it."
            )
        for row in table.to_pylist():
            if row["sha256"] != _digest(row["key"], row["kind"], row["record"], row["arrays"]):
                raise UserError(f"{path}: damaged, run {row['key'][:12]} does not match its checksum. Get it again.")
        return table, Record.from_json(metadata[b"record"].decode())
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such archive") from None
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as an archive of runs ({error}). Get it again.") from error


def _put(store: Store, row: Mapping[str, Any]) -> bool:
    """Put a row into the store unless it is there; whether it was new."""
    record, key = json.loads(row["record"]), str(row["key"])
    with np.load(io.BytesIO(row["arrays"]), allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    if row["kind"] == "scores":
        if store.get_scores(key) is not None:
            return False
        store.put_scores(key, arrays["log_probabilities"].astype(np.float32), record)
        return True
    if store.holds(key):
        return False
    result = RunResult(
        key=key,
        spec=spec_from_dict(record["spec"]),
        history=tuple(EpochRecord(**numbers(entry)) for entry in record["history"]),
        selected_epoch=record["selected_epoch"],
        test_labels=arrays["test_labels"].astype(np.int64),
        test_probabilities=arrays["test_probabilities"].astype(np.float32),
        dev_probabilities=arrays["dev_probabilities"].astype(np.float32),
        seconds=record["seconds"],
        environment={**record["environment"], "archived": True},
    )
    store.put(result, arrays["train_log_p"].astype(np.float32))
    return True
