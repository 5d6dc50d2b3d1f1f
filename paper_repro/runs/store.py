"""The results store: one folder a run, written once, whole or not at all.

::

    runs/<key>/result.json    specification, history, seconds, environment, checksum of both files
    runs/<key>/arrays.npz     test labels, probabilities, log p of the training examples by epoch
    checkpoints/<key>.safetensors   selected weights of a checker's run
    scores/<key>.npz          a checker's log-probabilities for a pool
    failures/<key>.json       the last failed try, removed by success
    damaged/                  results that no longer match their checksum, moved aside
    id                        a name of this store, by which the workers of a cluster know it

Writers fill a temporary file or folder beside the final one (its name begins with a dot) and rename it. A lock file
per key (released by the system when its holder dies) keeps two processes from computing the same thing at once.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from paper_repro.method.recipe import EpochRecord
from paper_repro.runs.spec import RunResult, Task, spec_from_dict
from paper_repro.tools.files import whole_folder, write_whole

DAY = 24 * 3600.0


class Store:
    """Runs, checkpoints, scores and failures of one profile under ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # -- runs ---------------------------------------------------------------------------------------------

    def has(self, key: str) -> bool:
        return (self._run(key) / "result.json").is_file()

    def get(self, key: str) -> RunResult | None:
        """The finished run, or None. A result that does not match its checksum is moved to ``damaged/``."""
        loaded = self._load(key)
        return None if loaded is None else result_from(key, loaded[0], unpacked(loaded[1]))

    def finished(self) -> Iterator[dict[str, Any]]:
        """What is noted of every finished run beside its arrays: "spec", "history", "seconds", "environment" ..."""
        for path in sorted(self.root.glob("runs/[!.]*/result.json")):
            with suppress(FileNotFoundError, ValueError):
                yield json.loads(path.read_text("utf-8"))

    def train_log_p(self, key: str) -> NDArray[np.float32] | None:
        """log p(y_i|x_i) of the training forward passes, (epochs, training examples), or None."""
        loaded = self._load(key)
        return None if loaded is None else unpacked(loaded[1])["train_log_p"]

    def holds(self, key: str, *, curve: bool = False, checkpoint: bool = False) -> bool:
        """Whether the run is there, whole, and with what is wanted of it: test scores of every epoch, a checkpoint."""
        loaded = self._load(key)
        if loaded is None or (checkpoint and not self.has_checkpoint(key)):
            return False
        return not curve or all(row["test_accuracy"] is not None for row in loaded[0]["history"])

    def put(self, result: RunResult, train_log_p: NDArray[np.float32]) -> None:
        """Store a finished run atomically; the first writer wins, unless only the second one has a curve on the
        test set. OSError (a full disk, say) leaves nothing."""
        curve = not any(np.isnan(row.test_accuracy) for row in result.history)
        if not self.holds(result.key, curve=curve):
            self._put(result, train_log_p)
        self.clear_failure(result.key)

    def _put(self, result: RunResult, train_log_p: NDArray[np.float32]) -> None:
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            test_labels=result.test_labels,
            test_probabilities=result.test_probabilities,
            dev_probabilities=result.dev_probabilities,
            train_log_p=train_log_p,
        )
        meta = {"key": result.key, **described(result)}
        meta["arrays_sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
        meta["checksum"] = _checksum(meta)
        with whole_folder(self._run(result.key)) as partial:
            (partial / "arrays.npz").write_bytes(buffer.getvalue())
            (partial / "result.json").write_text(json.dumps(meta, indent=1, allow_nan=False), "utf-8")
            if self._run(result.key).exists():  # half deleted by hand, or without the curve
                self._set_aside(self._run(result.key))

    def _load(self, key: str) -> tuple[dict[str, Any], bytes] | None:
        """The content of both files, checked; the arrays still packed."""
        folder = self._run(key)
        if not folder.exists():  # asked before reading: another process may store the run in between
            return None
        try:
            meta = json.loads((folder / "result.json").read_text("utf-8"))
            content = (folder / "arrays.npz").read_bytes()
            if (
                meta["checksum"] == _checksum(meta)
                and meta["arrays_sha256"] == hashlib.sha256(content).hexdigest()
                and meta["key"] == key
            ):
                return meta, content
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            pass
        self._set_aside(folder)
        return None

    def _set_aside(self, path: Path) -> None:
        damaged = self.root / "damaged"
        with suppress(OSError):  # in a store that may only be read it stays, and does not count
            damaged.mkdir(parents=True, exist_ok=True)
            target = Path(tempfile.mkdtemp(prefix=f"{path.name[:16]}-", dir=damaged))
            try:
                os.replace(path, target / path.name)
            except FileNotFoundError:  # another process noticed it, too, and was first
                target.rmdir()

    # -- checkers -----------------------------------------------------------------------------------------

    def checkpoint(self, key: str) -> Path:
        return self.root / "checkpoints" / f"{key}.safetensors"

    def has_checkpoint(self, key: str) -> bool:
        """Whether the checkpoint is there and as long as its header says; any other is trained again."""
        try:
            with safe_open(self.checkpoint(key), framework="numpy"):
                return True
        except (OSError, SafetensorError):
            return False

    def get_scores(self, key: str) -> NDArray[np.float32] | None:
        """Log-probabilities (examples, classes) float32, or None; a damaged file is moved aside."""
        found = self._load_scores(key)
        return None if found is None else found[0]

    def scores_origin(self, key: str) -> dict[str, Any] | None:
        """Where the scores came from: keys of the ``models``, ``seconds``, the ``temperature`` if one was fitted."""
        found = self._load_scores(key)
        return None if found is None else found[1]

    def _load_scores(self, key: str) -> tuple[NDArray[np.float32], dict[str, Any]] | None:
        path = self._scores(key)
        if not path.is_file():
            return None
        try:
            arrays = unpacked(path.read_bytes())
            scores: NDArray[np.float32] = arrays["log_probabilities"]
            if str(arrays["sha256"]) == hashlib.sha256(scores.tobytes()).hexdigest():
                return scores, json.loads(str(arrays["origin"]))
        except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
            pass
        self._set_aside(path)
        return None

    def put_scores(self, key: str, log_probabilities: NDArray[np.float32], origin: Mapping[str, Any]) -> None:
        """Store scores with a JSON note of where they came from."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            log_probabilities=log_probabilities,
            origin=np.array(json.dumps(dict(origin))),
            sha256=np.array(hashlib.sha256(log_probabilities.tobytes()).hexdigest()),
        )
        write_whole(self._scores(key), buffer.getvalue())

    # -- failures and locks -------------------------------------------------------------------------------

    def fail(self, task: Task, reason: str, trace: str = "", kind: str = "") -> dict[str, Any]:
        """Record a failed try; the outcome of its task. ``kind`` is the name of the exception's class."""
        about = {"label": task.label, "spec": task.spec, "time": time.time()}
        entry = {"reason": reason, "kind": kind, "traceback": trace, **about}
        try:
            write_whole(self._failure(task.key), json.dumps(entry, indent=1).encode())
        except OSError as error:  # a full disk: the run stays missing, which says enough
            reason += f" (and the failure could not be recorded: {error})"
        return {"key": task.key, "status": "failed", "seconds": 0.0, "note": reason}

    def failure(self, key: str) -> dict[str, Any] | None:
        """``{"reason", "traceback", "spec", ...}`` of the last failed try, or None."""
        try:
            entry: dict[str, Any] = json.loads(self._failure(key).read_text("utf-8"))
            return entry
        except (FileNotFoundError, ValueError):
            return None

    def failures(self) -> Iterator[dict[str, Any]]:
        """Every last failed try."""
        for path in sorted(self.root.glob("failures/[!.]*.json")):
            if (entry := self.failure(path.stem)) is not None:
                yield entry

    def clear_failure(self, key: str) -> None:
        self._failure(key).unlink(missing_ok=True)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold the key: whoever comes second waits, then finds the work done."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{key}.lock"):
            yield

    def sweep(self) -> None:
        """Remove what writers left half-done when they were killed, more than a day ago: none takes so long."""
        for partial in self.root.glob("*/.*"):
            with suppress(FileNotFoundError):
                if time.time() - partial.stat().st_mtime < DAY:
                    continue
                if partial.is_dir():
                    shutil.rmtree(partial, ignore_errors=True)
                else:
                    partial.unlink()

    def identity(self) -> str:
        """A name that no other store has, made the first time that it is asked for."""
        path = self.root / "id"
        with self.lock("id"):
            if not path.exists():
                write_whole(path, uuid4().hex.encode())
        return path.read_text("utf-8")

    def _run(self, key: str) -> Path:
        return self.root / "runs" / key

    def _scores(self, key: str) -> Path:
        return self.root / "scores" / f"{key}.npz"

    def _failure(self, key: str) -> Path:
        return self.root / "failures" / f"{key}.json"


def digest(content: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of ``content``: the store's keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _checksum(meta: Mapping[str, Any]) -> str:
    return digest({name: value for name, value in meta.items() if name != "checksum"})


def described(result: RunResult) -> dict[str, Any]:
    """All of a result but its key and arrays, for JSON (which has no nan)."""
    return {
        "spec": result.spec.to_dict(),
        "history": [
            {name: value if np.isfinite(value) else None for name, value in asdict(row).items()}
            for row in result.history
        ],
        "selected_epoch": result.selected_epoch,
        "seconds": dict(result.seconds),
        "environment": dict(result.environment),
    }


def result_from(key: str, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> RunResult:
    """The result that :func:`described` describes, with its arrays."""
    rows = [{name: np.nan if v is None else v for name, v in row.items()} for row in record["history"]]
    return RunResult(
        key=key,
        spec=spec_from_dict(record["spec"]),
        history=tuple(EpochRecord(**row) for row in rows),  # type: ignore[arg-type]
        selected_epoch=record["selected_epoch"],
        test_labels=arrays["test_labels"].astype(np.int64),
        test_probabilities=arrays["test_probabilities"].astype(np.float32),
        dev_probabilities=arrays["dev_probabilities"].astype(np.float32),
        seconds=record["seconds"],
        environment=record["environment"],
    )


def unpacked(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file; nothing is unpickled."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
