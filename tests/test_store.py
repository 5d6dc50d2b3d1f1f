"""The results store: what goes in comes out, whole or not at all, and damage is noticed."""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from paper_repro.method.recipe import EpochRecord
from paper_repro.model.classifier import save_checkpoint
from paper_repro.runs.spec import RunResult, Task
from paper_repro.runs.store import DAY, Store, digest

KEY = "ab" * 32


def a_result(size: int = 20, seed: int = 0) -> tuple[RunResult, np.ndarray[Any, Any]]:
    """A made-up finished run and its log p; k-hat is nan, as it often is."""
    rng = np.random.default_rng(seed)
    rows = [
        EpochRecord(epoch, 1 / epoch, 0.5, 0.4, 0.3 + seed / 10, 0.2, 1.0, 0.9, 2.5, math.nan, 0.01) for epoch in (1, 2)
    ]
    result = RunResult(
        key=KEY,
        spec=tiny.spec("imp"),
        history=tuple(rows),
        selected_epoch=2,
        test_labels=rng.integers(0, 3, size),
        test_probabilities=rng.dirichlet([1, 1, 1], size).astype(np.float32),
        dev_probabilities=rng.dirichlet([1, 1, 1], 9).astype(np.float32),
        seconds={"load": 0.5, "total": 1.5},
        environment={"device": "a CPU", "threads": 1},
    )
    return result, rng.normal(size=(2, 7)).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def assert_same(found: RunResult | None, expected: RunResult) -> None:
    assert found is not None
    for name in ("key", "spec", "selected_epoch"):
        assert getattr(found, name) == getattr(expected, name)
    assert dict(found.seconds) == dict(expected.seconds) and dict(found.environment) == dict(expected.environment)
    assert repr(found.history) == repr(expected.history)  # nan included
    for name in ("test_labels", "test_probabilities", "dev_probabilities"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


# -- runs -----------------------------------------------------------------------------------------------------


def test_round_trip(store: Store) -> None:
    assert not store.has(KEY) and store.get(KEY) is None and store.train_log_p(KEY) is None
    result, log_p = a_result()
    store.put(result, log_p)
    assert store.has(KEY)
    assert_same(store.get(KEY), result)
    found = store.train_log_p(KEY)
    assert found is not None and found.dtype == np.float32
    np.testing.assert_array_equal(found, log_p)
    assert tiny.files_under(store.root) == [f"runs/{KEY}/arrays.npz", f"runs/{KEY}/result.json"]
    meta = json.loads((store.root / "runs" / KEY / "result.json").read_text("utf-8"))
    assert meta["spec"]["method"] == "imp" and meta["history"][0]["weight_khat"] is None


def test_the_first_writer_wins(store: Store) -> None:
    first, log_p = a_result()
    store.put(first, log_p)
    store.put(*a_result(seed=1))
    assert_same(store.get(KEY), first)
    assert len(tiny.files_under(store.root)) == 2


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))


def edit(path: Path) -> None:
    """A better accuracy, and JSON that is as good as before."""
    meta = json.loads(path.read_text("utf-8"))
    meta["history"][1]["test_accuracy"] = 0.99
    path.write_text(json.dumps(meta), "utf-8")


def of_another_run(path: Path) -> None:
    meta = json.loads(path.read_text("utf-8"))
    meta["key"] = "cd" * 32
    meta["checksum"] = digest({name: value for name, value in meta.items() if name != "checksum"})
    path.write_text(json.dumps(meta), "utf-8")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(("result.json", harm) for harm in (truncate, flip, edit, of_another_run, Path.unlink)),
        ("result.json", lambda path: path.write_text("[1, 2]")),
        *(("arrays.npz", harm) for harm in (truncate, flip, Path.unlink)),
    ],
)
def test_damage_is_set_aside(store: Store, name: str, damage: Callable[[Path], Any]) -> None:
    result, log_p = a_result()
    store.put(result, log_p)
    damage(store.root / "runs" / KEY / name)
    assert store.get(KEY) is None
    assert not store.has(KEY) and not (store.root / "runs" / KEY).exists()
    (aside,) = (store.root / "damaged").iterdir()
    assert (aside / KEY).is_dir()  # kept for whoever wants to look
    assert store.get(KEY) is None and len(list((store.root / "damaged").iterdir())) == 1
    store.put(result, log_p)
    assert_same(store.get(KEY), result)


# -- scores ---------------------------------------------------------------------------------------------------


def test_any_flipped_byte_of_the_scores_is_noticed(store: Store) -> None:
    scores = np.log(np.random.default_rng(0).dirichlet([1, 1, 1], 50)).astype(np.float32)
    assert store.get_scores(KEY) is None
    store.put_scores(KEY, scores, {"temperature": 1.5})
    assert store.scores_origin(KEY) == {"temperature": 1.5}
    path = store.root / "scores" / f"{KEY}.npz"
    content = path.read_bytes()
    for position, flipped in product(range(len(content)), (0x01, 0xFF)):  # 0x01 says "encrypted" in the right place
        broken = bytearray(content)
        broken[position] ^= flipped
        path.write_bytes(bytes(broken))
        found = store.get_scores(KEY)
        assert found is None or np.array_equal(found, scores)


# -- checkpoints ----------------------------------------------------------------------------------------------


def test_a_checkpoint_that_was_cut_short_does_not_count(store: Store) -> None:
    assert not store.has_checkpoint(KEY)
    save_checkpoint({"weight": torch.ones(100)}, store.checkpoint(KEY), None)
    assert store.has_checkpoint(KEY)
    truncate(store.checkpoint(KEY))
    assert not store.has_checkpoint(KEY)


# -- full disks -----------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_no_half_written_run(store: Store) -> None:
    result, log_p = a_result(size=5000)
    with tiny.largest_file(16_000), pytest.raises(OSError) as caught:
        store.put(result, log_p)
    assert caught.value.errno == errno.EFBIG
    assert tiny.files_under(store.root) == [] and list((store.root / "runs").iterdir()) == []
    assert not store.has(KEY) and store.get(KEY) is None
    store.put(result, log_p)
    assert_same(store.get(KEY), result)


def test_a_full_disk_leaves_no_half_written_file(store: Store) -> None:
    def write(size: int) -> None:
        store.put_scores(KEY, np.random.default_rng(0).random((size, 3)).astype(np.float32), {})

    with tiny.largest_file(4000), pytest.raises(OSError):
        write(20_000)
    assert tiny.files_under(store.root) == []
    write(10)
    with tiny.largest_file(4000), pytest.raises(OSError):
        write(20_000)
    assert store.get_scores(KEY) is not None, "what was there before is still whole"


# -- failures, locks, keys ------------------------------------------------------------------------------------


def test_failures_are_recorded_and_cleared_by_success(store: Store) -> None:
    assert store.failure(KEY) is None
    task = Task(KEY, "run", "a run", tiny.spec("ce").to_dict())
    for step in (3, 4):
        outcome = store.fail(task, f"loss is nan at step {step}", "...", "TrainingError")
    assert outcome["status"] == "failed"
    found = store.failure(KEY)
    assert found is not None and (found["reason"], found["kind"]) == ("loss is nan at step 4", "TrainingError")
    assert [entry["reason"] for entry in store.failures()] == [found["reason"]]
    store.put(*a_result())
    assert store.failure(KEY) is None


@pytest.mark.parametrize("folder", ["runs", "checkpoints", "scores", "failures"])
def test_what_the_dead_left_half_done_is_swept_after_a_day(store: Store, folder: str) -> None:
    old, young = (store.root / folder / name for name in (".old", ".young"))
    for partial in (old, young):
        partial.mkdir(parents=True)
        (partial / "arrays.npz").write_bytes(b"half of it")
    os.utime(old, (time.time() - 2 * DAY,) * 2)
    store.sweep()
    assert young.exists() and not old.exists()


def test_digest_is_of_the_content_alone() -> None:
    assert digest({"a": 1, "b": [1.5, None, "é"]}) == digest({"b": [1.5, None, "é"], "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"}) != digest({"a": 1.5})
    assert digest({"lr": 0.1 + 0.2}) != digest({"lr": 0.3})
    with pytest.raises(ValueError):
        digest({"a": math.nan})
