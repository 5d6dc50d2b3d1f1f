"""The results store: what goes in comes out, whole or not at all, and damage is noticed."""

from __future__ import annotations

import errno
import io
import json
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from paper_repro.method.recipe import EpochRecord
from paper_repro.model.classifier import save_checkpoint
from paper_repro.model.tokens import encode
from paper_repro.runs.spec import Checker, RunResult
from paper_repro.runs.store import Store, digest
from paper_repro.study import Study

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


def test_nothing_is_pickled(store: Store) -> None:
    store.put(*a_result())
    store.put_scores(KEY, np.zeros((2, 3), dtype=np.float32), {"models": ["x"]})
    for path in store.root.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype != object for name in arrays.files)


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


def empty(path: Path) -> None:
    path.write_bytes(b"")


def edit(path: Path) -> None:
    """A better accuracy, and JSON that is as good as before."""
    meta = json.loads(path.read_text("utf-8"))
    meta["history"][1]["test_accuracy"] = 0.99
    path.write_text(json.dumps(meta), "utf-8")


def other_arrays(path: Path) -> None:
    with np.load(path) as arrays:
        content = {name: arrays[name] for name in arrays.files}
    content["test_probabilities"] = content["test_probabilities"][::-1]
    np.savez(path, **content)


def of_another_run(path: Path) -> None:
    meta = json.loads(path.read_text("utf-8"))
    meta["key"] = "cd" * 32
    meta["checksum"] = digest({name: value for name, value in meta.items() if name != "checksum"})
    path.write_text(json.dumps(meta), "utf-8")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(("result.json", d) for d in (truncate, flip, empty, edit, of_another_run, Path.unlink)),
        ("result.json", lambda path: path.write_text("[1, 2]")),
        ("result.json", lambda path: path.write_bytes(b"\xff\xfe{")),
        *(("arrays.npz", d) for d in (truncate, flip, empty, other_arrays, Path.unlink)),
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


def test_a_half_deleted_run_can_be_written_again(store: Store) -> None:
    result, log_p = a_result()
    store.put(result, log_p)
    (store.root / "runs" / KEY / "result.json").unlink()
    assert not store.has(KEY)
    store.put(result, log_p)
    assert_same(store.get(KEY), result)


def test_a_run_that_appears_while_it_is_looked_for_is_not_damaged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process stores the run just after this one found no folder."""
    result, log_p = a_result()
    real = Path.exists

    def exists(path: Path, **options: Any) -> bool:
        found = real(path, **options)
        if path.name == KEY and not found:
            patched.undo()
            Store(store.root).put(result, log_p)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Path, "exists", exists)
        found = store.get(KEY)
    assert found is None or found.key == KEY
    assert_same(store.get(KEY), result)


# -- scores ---------------------------------------------------------------------------------------------------


def test_scores_round_trip(store: Store) -> None:
    scores = np.log(np.random.default_rng(0).dirichlet([1, 1, 1], 50)).astype(np.float32)
    assert store.get_scores(KEY) is None
    store.put_scores(KEY, scores, {"models": ["a"], "temperature": 1.5})
    found = store.get_scores(KEY)
    assert found is not None and found.dtype == np.float32
    np.testing.assert_array_equal(found, scores)
    assert tiny.files_under(store.root) == [f"scores/{KEY}.npz"]


@pytest.mark.parametrize("damage", [truncate, empty, lambda path: path.write_text("scores")])
def test_damaged_scores_are_set_aside(store: Store, damage: Callable[[Path], Any]) -> None:
    store.put_scores(KEY, np.zeros((50, 3), dtype=np.float32), {})
    damage(store.root / "scores" / f"{KEY}.npz")
    assert store.get_scores(KEY) is None
    (aside,) = (store.root / "damaged").iterdir()
    assert (aside / f"{KEY}.npz").is_file()
    store.put_scores(KEY, np.ones((50, 3), dtype=np.float32), {})
    assert store.get_scores(KEY) is not None


def test_any_flipped_byte_of_the_scores_is_noticed(store: Store) -> None:
    scores = np.log(np.random.default_rng(0).dirichlet([1, 1, 1], 50)).astype(np.float32)
    store.put_scores(KEY, scores, {})
    path = store.root / "scores" / f"{KEY}.npz"
    content = path.read_bytes()
    for position, flipped in product(range(len(content)), (0x01, 0xFF)):  # 0x01 says "encrypted" in the right place
        broken = bytearray(content)
        broken[position] ^= flipped
        path.write_bytes(bytes(broken))
        found = store.get_scores(KEY)
        assert found is None or np.array_equal(found, scores)


def test_edited_scores_are_noticed(store: Store) -> None:
    store.put_scores(KEY, np.zeros((50, 3), dtype=np.float32), {})
    path = store.root / "scores" / f"{KEY}.npz"
    with np.load(path) as arrays:
        origin = arrays["origin"]
    np.savez_compressed(path, log_probabilities=np.ones((50, 3), dtype=np.float32), origin=origin)
    assert store.get_scores(KEY) is None


# -- checkpoints ----------------------------------------------------------------------------------------------


def test_a_checkpoint_counts_once_it_is_sealed(store: Store) -> None:
    save_checkpoint({"weight": torch.ones(100)}, store.checkpoint(KEY), None)
    assert not store.has_checkpoint(KEY)
    store.seal_checkpoint(KEY)
    assert store.has_checkpoint(KEY)
    store.checkpoint(KEY).unlink()
    assert not store.has_checkpoint(KEY)


@pytest.mark.parametrize("damage", [truncate, flip, empty])
def test_a_damaged_checkpoint_does_not_count(store: Store, damage: Callable[[Path], Any]) -> None:
    save_checkpoint({"weight": torch.ones(100)}, store.checkpoint(KEY), None)
    store.seal_checkpoint(KEY)
    damage(store.checkpoint(KEY))
    assert not store.has_checkpoint(KEY)


@pytest.mark.parametrize("before", ["nothing", "an older checkpoint"])
def test_looking_for_a_checkpoint_does_no_harm_to_its_writer(store: Store, before: str) -> None:
    """plan() asks without the lock: it may find a checkpoint that another process has written but not yet sealed."""
    if before != "nothing":
        save_checkpoint({"weight": torch.zeros(100)}, store.checkpoint(KEY), None)
        store.seal_checkpoint(KEY)
    save_checkpoint({"weight": torch.ones(100)}, store.checkpoint(KEY), None)
    Store(store.root).has_checkpoint(KEY)  # another process plans
    store.seal_checkpoint(KEY)
    assert store.has_checkpoint(KEY)


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


def test_no_space_left_while_the_second_file_is_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: Any, **__: Any) -> int:
        path.write_bytes(b'{"key": ')  # part of it reached the disk
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            store.put(*a_result())
    assert list((store.root / "runs").iterdir()) == [] and store.get(KEY) is None


@pytest.mark.parametrize("what", ["scores", "failure"])
def test_a_full_disk_leaves_no_half_written_file(store: Store, what: str) -> None:
    def write(size: int) -> None:
        if what == "scores":
            store.put_scores(KEY, np.random.default_rng(0).random((size, 3)).astype(np.float32), {})
        else:
            store.put_failure(KEY, {"reason": "x" * size})

    with tiny.largest_file(4000), pytest.raises(OSError):
        write(20_000)
    assert tiny.files_under(store.root) == []
    write(10)
    with tiny.largest_file(4000), pytest.raises(OSError):
        write(20_000)
    assert len(tiny.files_under(store.root)) == 1  # what was there before is still whole
    assert (store.get_scores(KEY) if what == "scores" else store.failure(KEY)) is not None


def test_a_full_disk_leaves_no_half_written_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "key.safetensors"
    with tiny.largest_file(4000), pytest.raises(Exception, match="(?i)large|i/o"):
        save_checkpoint({"weight": torch.zeros(100, 100)}, path, None)
    assert tiny.files_under(tmp_path) == []


def test_a_full_disk_leaves_no_half_written_tokens(tmp_path: Path) -> None:
    encoder = tiny.make_encoder(tmp_path / "encoder")
    pool = tiny.make_pool("pool", 400, 3)
    with tiny.largest_file(2000), pytest.raises(OSError):
        encode(pool, encoder, 32, tmp_path / "cache")
    assert tiny.files_under(tmp_path / "cache") == []


# -- failures, locks, keys ------------------------------------------------------------------------------------


def test_failures_are_recorded_and_cleared_by_success(store: Store) -> None:
    assert store.failure(KEY) is None
    store.put_failure(KEY, {"reason": "loss is nan at step 3", "traceback": "..."})
    store.put_failure(KEY, {"reason": "loss is nan at step 4", "traceback": "..."})
    assert store.failure(KEY) == {"reason": "loss is nan at step 4", "traceback": "..."}
    store.put(*a_result())
    assert store.failure(KEY) is None
    store.put_failure(KEY, {"reason": "x"})
    store.clear_failure(KEY)
    store.clear_failure(KEY)
    assert store.failure(KEY) is None


def test_a_damaged_failure_is_no_failure(store: Store) -> None:
    store.put_failure(KEY, {"reason": "x"})
    (store.root / "failures" / f"{KEY}.json").write_text('{"reason":')
    assert store.failure(KEY) is None


def test_whoever_comes_second_waits(store: Store) -> None:
    order: list[str] = []
    held = threading.Event()

    def second() -> None:
        held.wait(60)
        with Store(store.root).lock(KEY):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with store.lock(KEY):
        held.set()
        thread.join(0.3)
        order.append("first")
        with store.lock("cd" * 32):  # another key is free
            pass
    thread.join(60)
    assert order == ["first", "second"]


def test_digest_is_of_the_content_alone() -> None:
    assert digest({"a": 1, "b": [1.5, None, "é"]}) == digest({"b": [1.5, None, "é"], "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"}) != digest({"a": 1.5})
    assert digest({"lr": 0.1 + 0.2}) != digest({"lr": 0.3})
    with pytest.raises(ValueError):
        digest({"a": math.nan})


# -- damage to the store of a real study ------------------------------------------------------------------


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return tiny.study(tiny.make_inputs(tmp_path), tmp_path / "results")


@pytest.mark.parametrize(
    "looked_at",
    [True, False],
)
def test_a_damaged_run_is_computed_again(study: Study, looked_at: bool) -> None:
    spec = tiny.spec("ce")
    study.run([spec], progress=False)
    before = tiny.result_fingerprint(study, spec)
    edit(study.store.root / "runs" / study.key(spec) / "result.json")
    if looked_at:
        assert study.result(spec) is None  # the table shows a hole
    study.run([spec], progress=False)
    assert tiny.result_fingerprint(study, spec) == before


def test_damaged_scores_are_computed_again(study: Study) -> None:
    checker = Checker(tiny.spec("ce", "dev"))
    before = tiny.scores(study, checker, "financial", "generated")
    (path,) = (study.store.root / "scores").iterdir()
    truncate(path)
    np.testing.assert_array_equal(tiny.scores(study, checker, "financial", "generated"), before)


def test_a_lost_checkpoint_is_trained_again(study: Study) -> None:
    checker = Checker(tiny.spec("ce", "dev"))
    before = tiny.scores(study, checker, "financial", "generated")
    (path,) = (study.store.root / "checkpoints").glob("*.safetensors")
    path.unlink()
    (study.store.root / "scores").rename(study.store.root / "scores before")
    np.testing.assert_array_equal(tiny.scores(study, checker, "financial", "generated"), before)


def test_a_damaged_checkpoint_is_trained_again(study: Study) -> None:
    checker = Checker(tiny.spec("ce", "dev"))
    tiny.scores(study, checker, "financial", "generated")
    (path,) = (study.store.root / "checkpoints").glob("*.safetensors")
    truncate(path)
    assert tiny.scores(study, checker, "financial", "test").shape == (tiny.SIZES["test"], 3)


def test_scores_in_memory_are_what_the_disk_holds(store: Store) -> None:
    """The format: an npz that any numpy opens, with a JSON note of its origin."""
    store.put_scores(KEY, np.zeros((2, 3), dtype=np.float32), {"temperature": 1.25})
    content = (store.root / "scores" / f"{KEY}.npz").read_bytes()
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        assert json.loads(str(arrays["origin"])) == {"temperature": 1.25}


def test_a_result_is_its_selected_epoch() -> None:
    result, _ = a_result()
    assert result.selected is result.history[1]
    assert replace(result, selected_epoch=1).test_accuracy == result.history[0].test_accuracy
