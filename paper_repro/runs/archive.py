"""Runs that travel: finished runs of a store in compact files, from which tables are made without data or weights.

A part is one Parquet file (zstd) with a row for each run and each checker's scores: the specification, history,
seconds and environment as JSON, and the arrays in half precision, so rounded that no predicted class changes. It also
holds what keys and tables need of the inputs: fingerprints of pools and encoders, labels, names; no text of a
benchmark. A part is not written again as long as it holds all finished runs that belong to it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from paper_repro.runs.inputs import Inputs
from paper_repro.runs.keys import ENGINE
from paper_repro.runs.plan import plan, scores_plan
from paper_repro.runs.recorded_inputs import Record, source_name
from paper_repro.runs.results import Results
from paper_repro.runs.spec import Checker, RunSpec, spec_from_dict
from paper_repro.runs.store import Store, described, result_from, unpacked
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_whole

FORMAT = 2
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
    """Write the parts that are not there or have new finished runs into ``folder``; a run that several parts need is
    in the first.

    Returns the files written. A part without finished runs says what the keys of its runs need, so that tables made
    from the archive show them as missing.
    """
    written, taken = [], set[str]()
    for part in parts:
        if not part.specs and not part.scores:
            continue
        rows, record = _rows(results, part, taken)
        taken |= set(rows)
        path = folder / f"{part.name}.parquet"
        if path.exists() and set(rows) <= set(_read(path)[0].column("key").to_pylist()):
            continue
        metadata = {"what": WHAT, "format": str(FORMAT), "engine": str(ENGINE), "record": _squeezed(record)}
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
    record, store = Record(), results.store
    nothing = Results(results.inputs, Store(store.root / "nothing"))  # so that the plan lists all that belongs here
    tasks = plan(nothing, part.specs) + scores_plan(nothing, part.scores)
    # A plan has one of two specifications that are the same run, such as those on two pools with the same texts.
    named = [(spec, "") for spec in part.specs] + [(spec_from_dict(task.spec), task.pool) for task in tasks]
    for spec, pool in dict.fromkeys(named):
        record = record.joined(record_of(results.inputs, spec, *([pool] if pool else [])))
    for task in tasks:
        if task.key in taken or task.key in rows:
            continue
        if task.kind == "run" and (result := store.get(task.key)) is not None:
            log_p = store.train_log_p(task.key)
            assert log_p is not None
            arrays = {
                "test_labels": result.test_labels.astype(np.int16),
                "test_probabilities": halves(result.test_probabilities),
                "dev_probabilities": halves(result.dev_probabilities),
                "train_log_p": log_p.astype(np.float16),
            }
            rows[task.key] = _row(task.key, task.kind, described(result), arrays)
        elif task.kind == "score" and (scores := store.get_scores(task.key)) is not None:
            arrays = {"log_probabilities": scores.astype(np.float16)}
            rows[task.key] = _row(task.key, "scores", store.scores_origin(task.key) or {}, arrays)
    return rows, record


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
        "pools": {
            name: {"fingerprint": pool.fingerprint, "labels": pool.labels.tolist()} for name, pool in named.items()
        },
    }
    return Record({spec.encoder: inputs.encoder_named(spec.encoder).fingerprint}, {spec.benchmark: entry})


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


def _squeezed(record: Record) -> str:
    """A record as metadata, which Parquet does not compress."""
    return base64.b64encode(zlib.compress(record.to_json().encode(), 9)).decode()


def _stretched(text: bytes) -> Record:
    return Record.from_json(zlib.decompress(base64.b64decode(text)).decode())


def _digest(key: str, kind: str, record: str, arrays: bytes) -> str:
    return hashlib.sha256(f"{key}\n{kind}\n{record}\n".encode() + arrays).hexdigest()


def _read(path: Path) -> tuple[pa.Table, Record]:
    """A part, every row checked. UserError as :func:`unpack` says."""
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        if metadata.get(b"what") != WHAT:
            raise UserError(f"{path}: not an archive of runs of this package")
        if int(metadata[b"format"]) != FORMAT:
            found = int(metadata[b"format"])
            raise UserError(f"{path}: format {found}, this package reads format {FORMAT}: take the version that fits")
        if int(metadata[b"engine"]) != ENGINE:
            raise UserError(
                f"{path}: made by engine {int(metadata[b'engine'])}, this package is engine {ENGINE}: its runs have "
                "other keys. Take the package's version that made it."
            )
        for row in table.to_pylist():
            if row["sha256"] != _digest(row["key"], row["kind"], row["record"], row["arrays"]):
                raise UserError(f"{path}: damaged, run {row['key'][:12]} does not match its checksum. Get it again.")
        return table, _stretched(metadata[b"record"])
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such archive") from None
    except (pa.ArrowException, zlib.error, OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: cannot be read as an archive of runs ({error}). Get it again.") from error


def _put(store: Store, row: Mapping[str, Any]) -> bool:
    """Put a row into the store unless it is there; whether it was new."""
    record, key, arrays = json.loads(row["record"]), str(row["key"]), unpacked(row["arrays"])
    if row["kind"] == "scores":
        new = store.get_scores(key) is None
        if new:
            store.put_scores(key, arrays["log_probabilities"].astype(np.float32), record)
        return new
    new = not store.holds(key)
    if new:
        record["environment"]["archived"] = True
        store.put(result_from(key, record, arrays), arrays["train_log_p"].astype(np.float32))
    return new
