"""Running many trainings: in this process, in workers, through dead workers, a killed parent and Ctrl-C.

What an undisturbed serial run gives is the reference; every other way must end with the same bits.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny
import torch
from disturbed import PATIENCE, assert_complete, done_once, family, go, grid, start, wait_for

from paper_repro.method import train as engine
from paper_repro.runs import execute as execution
from paper_repro.runs import perform
from paper_repro.runs.execute import execute
from paper_repro.runs.plan import Task, plan, scores_plan
from paper_repro.runs.spec import Checker, RunSpec, Source, spec_from_dict
from paper_repro.study import Study
from paper_repro.tools import machine
from paper_repro.tools.errors import TrainingError, UserError
from paper_repro.tools.progress import Progress, duration

# -- the plan -------------------------------------------------------------------------------------------------


def test_plan_puts_nothing_before_what_it_needs(inputs: dict[str, str], tmp_path: Path) -> None:
    tasks = plan(tiny.study(inputs, tmp_path), [*grid(), *grid()])
    assert [task.kind for task in tasks].count("score") == 2  # P' and Q of the generated pool
    assert [task.kind for task in tasks].count("run") == 4  # two checkers, IMP and DIMP; CE is the checker
    assert len({task.key for task in tasks}) == len(tasks)
    for i, task in enumerate(tasks):
        assert set(task.needs) <= {other.key for other in tasks[:i]}
    kept = [task.label for task in tasks if task.keep_checkpoint]
    assert kept == ["financial dev ce seed 0", "financial generated ce seed 0"]


def test_plan_holds_what_is_missing(inputs: dict[str, str], tmp_path: Path) -> None:
    made = tiny.study(inputs, tmp_path)
    made.run([tiny.spec("quality_only")], progress=False)
    assert plan(made, [tiny.spec("quality_only"), tiny.spec("ce", "dev")]) == []
    assert [task.label for task in plan(made, [tiny.spec("dimp")])] == ["financial generated dimp seed 0"]
    # A run that is there, but without the checkpoint that a checker now needs, is trained again for it.
    made.run([tiny.spec("ce", seed=4)], progress=False)
    again = scores_plan(made, [(Checker(tiny.spec("ce", seed=4)), "financial", "test")])
    assert [(task.kind, task.keep_checkpoint) for task in again] == [("run", True), ("score", False)]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (tiny.spec("sun"), "method 'sun' is not known; expected one of ce, focal, imp, dimp, quality_only"),
        (tiny.spec("dimp", quality=None), "method 'dimp' needs a quality checker"),
        (tiny.spec("imp", diversity=None), "method 'imp' needs a diversity checker"),
        (
            tiny.spec("ce", "validation"),
            "source 'validation' is not known; expected one of train, dev, test, generated",
        ),
        (tiny.spec("ce", benchmark="sst2"), "Unknown benchmark 'sst2'"),
    ],
)
def test_a_spec_that_cannot_be_run_is_refused_at_once(
    inputs: dict[str, str], tmp_path: Path, spec: RunSpec, message: str
) -> None:
    made = tiny.study(inputs, tmp_path / "results")
    with pytest.raises(UserError) as caught:
        made.run([tiny.spec("ce"), spec])
    assert message in str(caught.value)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda: replace(tiny.spec("ce"), source=Source("dev", 5, 5)),  # trains on all of D_P'
        lambda: replace(tiny.spec("ce"), source=Source("dev", 0, 0)),
        lambda: tiny.spec("imp", diversity=Checker(tiny.spec("ce"), folds=1)),
        lambda: tiny.spec("imp", diversity=Checker(tiny.spec("ce"), folds=-2)),
        lambda: tiny.spec("quality_only", quality=Checker(tiny.spec("ce", "dev"), temperature="fit")),  # is "none"
        lambda: tiny.spec("ce", recipe=replace(tiny.RECIPE, max_length=0)),
    ],
)
def test_a_slip_in_a_spec_is_refused_at_once(
    inputs: dict[str, str], tmp_path: Path, make: Callable[[], RunSpec]
) -> None:
    with pytest.raises(UserError):
        tiny.study(inputs, tmp_path / "results").run([make()], progress=False)
    assert not (tmp_path / "results").exists()


# -- failures -------------------------------------------------------------------------------------------------


def test_a_failure_dooms_what_needs_it_and_nothing_else(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tiny.study(inputs, tmp_path)
    broken = replace(tiny.spec("ce", "dev"), recipe=replace(tiny.RECIPE, learning_rate=1e30))
    doomed = tiny.spec("dimp", quality=Checker(broken))
    healthy = tiny.spec("ce", seed=1)
    made.run([doomed, healthy])
    assert made.result(healthy) is not None and made.failure(healthy) is None
    assert made.result(broken) is None and made.result(doomed) is None
    assert str(made.failure(broken)).startswith("loss is nan at step 2 of 4 (method 'ce', learning rate 1e+30)")
    assert "a checker that it needs failed" in str(made.failure(doomed))
    entry = made.store.failure(made.key(broken))
    assert entry is not None and "TrainingError" in entry["traceback"] and spec_from_dict(entry["spec"]) == broken
    assert not list((made.store.root / "runs").glob(".*")) and not made.store.checkpoint(made.key(broken)).exists()
    with pytest.raises(UserError, match="no scores of financial generated by its checker: .*loss is nan|needs failed"):
        made.scores(Checker(broken), "financial", "generated")
    printed = capsys.readouterr().out
    assert "[runs] failed: loss is nan at step 2 of 4" in printed and "3 failed" in printed


def test_a_failed_run_is_tried_again_and_success_clears_it(
    inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, spec = tiny.study(inputs, tmp_path), tiny.spec("quality_only")

    def memory_full(*_: Any, **__: Any) -> None:
        raise MemoryError("no memory left")

    with monkeypatch.context() as patched:
        patched.setattr(engine, "train", memory_full)
        made.run([spec], progress=False)
    assert made.result(spec) is None and "a checker that it needs failed" in str(made.failure(spec))
    made.run([spec], progress=False)
    assert made.result(spec) is not None and made.failure(spec) is None


def test_no_failure_is_left_when_all_is_done(
    inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, spec = tiny.study(inputs, tmp_path), tiny.spec("quality_only")

    def broken(*_: Any, **__: Any) -> None:
        raise OSError("the disk went away")

    with monkeypatch.context() as patched:
        patched.setattr(perform, "score_pool", broken)
        made.run([spec], progress=False)
    made.run([spec], progress=False)
    assert made.result(spec) is not None
    assert list((made.store.root / "failures").iterdir()) == []


def test_a_bug_is_recorded_with_its_traceback(
    inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, spec = tiny.study(inputs, tmp_path), tiny.spec("ce")
    monkeypatch.setattr(engine, "train", lambda *_, **__: 1 / 0)
    made.run([spec], progress=False)
    entry = made.store.failure(made.key(spec))
    assert entry is not None and entry["reason"] == "ZeroDivisionError: division by zero"
    assert "in _run" in entry["traceback"]


def test_data_that_change_between_plan_and_run(inputs: dict[str, str], tmp_path: Path) -> None:
    made, spec = tiny.study(inputs, tmp_path), tiny.spec("ce")
    tasks = plan(made, [spec])
    benchmark = made.benchmark("financial")
    made.inputs._benchmarks["financial"] = replace(benchmark, pools={**benchmark.pools, "test": benchmark.pools["dev"]})
    execute(made, tasks, Progress(1, 1, quiet=True))
    entry = made.store.failure(tasks[0].key)
    assert entry is not None and "data or code changed since this run was planned; start again" in entry["reason"]
    assert not made.store.has(tasks[0].key)


def test_a_full_disk_is_a_failure_and_leaves_nothing(inputs: dict[str, str], tmp_path: Path) -> None:
    """Not even the failure can be recorded; the next start finds a clean store."""
    made, spec = tiny.study(inputs, tmp_path), tiny.spec("quality_only")
    for pool in ("dev", "test", "generated"):
        made.inputs.encoded("financial", pool, spec)
    with tiny.largest_file(600):
        made.run([spec], progress=False)
    assert made.result(spec) is None
    assert [name for name in tiny.files_under(made.store.root) if not name.startswith("locks/")] == []
    made.run([spec], progress=False)
    assert made.result(spec) is not None and plan(made, [spec]) == []


def test_ctrl_c_in_this_process(inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done stays, what was in flight leaves nothing, and the thread settings are put back."""
    made = tiny.study(inputs, tmp_path)
    real, calls, threads = engine.train, [], torch.get_num_threads()

    def interrupted(*arguments: Any, **options: Any) -> engine.Trained:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(engine, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.run([tiny.spec("ce", seed=s) for s in range(3)], progress=False)
    assert [made.result(tiny.spec("ce", seed=s)) is not None for s in range(3)] == [True, False, False]
    assert not (made.store.root / "failures").exists() and torch.get_num_threads() == threads
    assert len(plan(made, [tiny.spec("ce", seed=s) for s in range(3)])) == 2


# -- the pool of workers, with the processes played by this one ---------------------------------------------------


class FakePool:
    """Runs tasks in this process when they are waited for. A task of ``killers`` takes the pool with it."""

    killers: frozenset[str] = frozenset()
    refusals: list[int]  # submissions, counted over all pools, at which the pool turns out to be broken
    submitted = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        self._processes: dict[int, Any] = {}

    def submit(self, _: Any, settings: dict[str, Any], task: dict[str, Any]) -> Future[dict[str, Any]]:
        FakePool.submitted += 1
        if FakePool.submitted in FakePool.refusals:
            raise BrokenProcessPool("a worker died a moment ago")
        future: Future[dict[str, Any]] = Future()
        future.task = Task(**{**task, "needs": tuple(task["needs"])})  # type: ignore[attr-defined]
        return future

    def shutdown(self, **_: Any) -> None:
        pass


@pytest.fixture
def fake_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Study], type[FakePool]]]:
    def install(made: Study) -> type[FakePool]:
        def wait(running: dict[Future[Any], Task], **_: Any) -> Any:
            if any(future.task.label in FakePool.killers for future in running):
                for future in running:
                    future.set_exception(BrokenProcessPool("killed"))
            else:
                first = next(iter(running))
                first.set_result(perform.perform(made, first.task))
            return type("Waited", (), {"done": {future for future in running if future.done()}})

        monkeypatch.setattr(execution, "ProcessPoolExecutor", FakePool)
        monkeypatch.setattr(execution, "wait", wait)
        FakePool.killers, FakePool.refusals, FakePool.submitted = frozenset(), [], 0
        return FakePool

    return install


def test_tasks_wait_for_what_they_need(inputs: dict[str, str], tmp_path: Path, fake_pool: Any) -> None:
    made = tiny.study(inputs, tmp_path, workers=4)
    fake_pool(made)
    specs = [tiny.spec(method) for method in ("imp", "dimp", "focal")]
    made.run(specs, progress=False)
    assert all(made.result(spec) is not None for spec in specs)
    assert FakePool.submitted == 2 + 2 + 3


def test_workers_doom_what_needs_a_failure(inputs: dict[str, str], tmp_path: Path, fake_pool: Any) -> None:
    made = tiny.study(inputs, tmp_path, workers=2)
    fake_pool(made)
    broken = replace(tiny.spec("ce", "dev"), recipe=replace(tiny.RECIPE, learning_rate=1e30))
    doomed, healthy = tiny.spec("dimp", quality=Checker(broken)), tiny.spec("ce", seed=1)
    made.run([doomed, healthy], progress=False)
    assert made.result(healthy) is not None
    assert "loss is nan" in str(made.failure(broken)) and "needs failed" in str(made.failure(doomed))


def test_a_task_that_kills_its_workers_is_given_up(inputs: dict[str, str], tmp_path: Path, fake_pool: Any) -> None:
    made = tiny.study(inputs, tmp_path, workers=1)
    made.workers = 2
    fake_pool(made).killers = frozenset({"financial generated ce seed 0"})
    made.run([tiny.spec("ce")], progress=False)
    assert "its worker process died again and again" in str(made.failure(tiny.spec("ce")))
    assert FakePool.submitted == 1 + execution.TRIES_AFTER_A_DEAD_WORKER


def test_its_neighbours_are_not_given_up(inputs: dict[str, str], tmp_path: Path, fake_pool: Any) -> None:
    made = tiny.study(inputs, tmp_path, workers=2)
    fake_pool(made).killers = frozenset({"financial generated ce seed 0"})
    made.run([tiny.spec("ce", seed=s) for s in range(3)], progress=False)
    assert made.failure(tiny.spec("ce")) is not None
    assert [made.result(tiny.spec("ce", seed=s)) is not None for s in (1, 2)] == [True, True]


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_no_task_is_lost_when_the_pool_breaks_at_submission(
    inputs: dict[str, str], tmp_path: Path, fake_pool: Any, refused: int
) -> None:
    """A worker may die between two submissions, while no result is waited for."""
    made = tiny.study(inputs, tmp_path, workers=2)
    fake_pool(made).refusals = [refused]
    specs = [tiny.spec("ce", seed=s) for s in range(4)]
    made.run(specs, progress=False)
    assert [made.failure(spec) for spec in specs] == [None] * 4
    assert [made.result(spec) is not None for spec in specs] == [True] * 4


# -- real workers ---------------------------------------------------------------------------------------------


def test_two_workers_one_of_them_killed(inputs: dict[str, str], reference: dict[RunSpec, str], tmp_path: Path) -> None:
    """kill -9 a worker as soon as it holds a lock: the grid is completed, with the bits of a serial run."""
    made = tiny.study(inputs, tmp_path, workers=2)
    killed: list[int] = []

    def kill_one() -> None:
        wait_for(lambda: list((made.store.root / "locks").glob("*.lock")), "a run in flight")
        victim = multiprocessing.active_children()[0].pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)

    killer = threading.Thread(target=kill_one)
    killer.start()
    made.run(grid(), progress=False)
    killer.join()
    assert len(killed) == 1 and multiprocessing.active_children() == []
    assert_complete(made, reference)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=["kill -9", "SIGTERM", "Ctrl-C"])
def test_a_parent_that_is_stopped(
    inputs: dict[str, str], reference: dict[RunSpec, str], tmp_path: Path, how: signal.Signals
) -> None:
    """Its workers go with it, nothing is half-written, and a second start gives an undisturbed run's bits."""
    results = tmp_path / "results"
    made = tiny.study(inputs, results)
    process = start(inputs, results, tmp_path / "grid.py", workers=2)
    try:
        go(process)
        wait_for(lambda: list((made.store.root / "runs").glob("[0-9a-f]*")), "a first result")
        wait_for(lambda: len(list((made.store.root / "locks").glob("*.lock"))) > 2, "another task in flight")
        workers = family(process)
        assert len(workers) >= 2
        if how is signal.SIGINT:
            os.killpg(process.pid, how)  # as a terminal does
        else:
            os.kill(process.pid, how)
        process.wait(PATIENCE)
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert alive == []
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.returncode != 0
        if how is signal.SIGINT:
            assert "KeyboardInterrupt" in said
    finally:
        for child in family(process) if process.poll() is None else []:
            child.kill()
        process.kill()
    assert not (made.store.root / "failures").exists()
    with done_once(made):
        made.run(grid(), progress=False)
    assert_complete(made, reference)


def test_two_processes_share_a_store(inputs: dict[str, str], reference: dict[RunSpec, str], tmp_path: Path) -> None:
    """Each task is computed by one of them; the other waits and finds it done."""
    results = tmp_path / "results"
    both = [start(inputs, results, tmp_path / f"grid{i}.py") for i in range(2)]
    try:
        for process in both:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in both:
            go(process)
        said = [process.communicate(timeout=PATIENCE) for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], said
    lines = [line.split(" ", 2) for out, _ in said for line in out.splitlines() if line != "ready"]
    assert all(status == "done" for _, status, _ in lines)
    computed = [key for key, _, note in lines if note != "found"]
    assert sorted(computed) == sorted(set(computed)) == sorted({key for key, _, _ in lines})
    assert len(computed) == 6
    assert_complete(tiny.study(inputs, results), reference)


# -- odds and ends --------------------------------------------------------------------------------------------


def test_threads_and_environment_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = torch.get_num_threads()

    def inside() -> None:
        with execution.one_thread_each():
            assert torch.get_num_threads() == 1
            assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
            raise TrainingError("x")

    with pytest.raises(TrainingError):
        inside()
    assert torch.get_num_threads() == before
    assert os.environ["OMP_NUM_THREADS"] == "3" and "MKL_NUM_THREADS" not in os.environ


@pytest.mark.parametrize(
    ("cpuinfo", "has"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\n\nprocessor\t: 1\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd\n", False),
        ("", True),  # the system does not tell
    ],
)
def test_whether_the_processor_has_bf16(cpuinfo: str, has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_: cpuinfo)
    assert machine.computes_bf16() is has


@pytest.mark.parametrize(("has", "precision"), [(False, "bf16"), (True, "bf16"), (False, "fp32")])
def test_bf16_in_software_is_told_with_the_way_out(
    has: bool,
    precision: Any,
    inputs: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(execution, "computes_bf16", lambda: has)
    monkeypatch.setattr(execution, "_serial", lambda *_: None)
    made = tiny.study(inputs, tmp_path / "results", workers=1)
    made.run([tiny.spec("ce", recipe=replace(tiny.RECIPE, precision=precision))])
    told = "set PAPER_REPRO_PRECISION=fp32" in capsys.readouterr().out
    assert told == (precision == "bf16" and not has)


def test_progress_counts(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(3, 1, interval=1e9)
    progress.update("a", {"status": "done", "note": "test accuracy 50.0 %"})
    progress.update("b", {"status": "failed", "note": "loss is nan"})
    progress.update("c", {"status": "done", "note": "found"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[runs] 1 of 3 done, 0:00 gone, about 0:00 left; a: test accuracy 50.0 %")
    assert lines[1] == "[runs] failed: loss is nan"
    assert lines[-1].startswith("[runs] 3 of 3 done, 1 failed, 0:00 gone; c: found")
    assert [duration(s) for s in (0.4, 75, 3700)] == ["0:00", "1:15", "1:01:40"]


def test_progress_prints_about_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(200, 1, interval=1e9)
    for _ in range(200):
        progress.update("x", {"status": "done", "note": ""})
    assert len(capsys.readouterr().out.splitlines()) == 10
    quiet = Progress(1, 1, quiet=True)
    quiet.update("x", {"status": "failed", "note": "y"})
    assert capsys.readouterr().out == ""
