"""Training on a Dask cluster of real processes: the bits of a serial run, through dead workers and schedulers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny
from command import call
from disturbed import PATIENCE, assert_complete, done_once, family, go, grid, start, wait_for

from paper_repro.runs import dask, tasks
from paper_repro.runs.spec import RunSpec
from paper_repro.runs.store import Store
from paper_repro.study import open_study
from paper_repro.tools.errors import UserError

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def four() -> Iterator[Any]:
    """A cluster of four worker processes."""
    with distributed.LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=":0") as made:
        yield made


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks a cluster trains nothing itself."""
    monkeypatch.setattr(tasks, "perform", lambda *_: pytest.fail("computed in this process"))


@pytest.mark.usefixtures("nothing_here")
def test_a_killed_worker_costs_what_it_was_at(
    four: Any, inputs: dict[str, str], reference: dict[RunSpec, str], tmp_path: Path
) -> None:
    """The others finish, with the bits of a serial run."""
    made = tiny.study(inputs, tmp_path, scheduler=four.scheduler_address)
    killed: list[int] = []

    def at_work() -> int | None:
        """A worker that holds the lock of a run."""
        pids = [nanny.pid for nanny in four.workers.values() if nanny.pid]
        return next((pid for pid in pids if any("/locks/" in name for name in _open_files(pid))), None)

    def kill_one() -> None:
        killed.append(wait_for(at_work, "a run in flight"))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    made.run(grid(), progress=False)
    killer.join()
    assert len(killed) == 1 and not psutil.pid_exists(killed[0])
    assert_complete(made, reference)


def _open_files(pid: int) -> list[str]:
    try:
        return [file.path for file in psutil.Process(pid).open_files()]
    except psutil.Error:
        return []


# -- what is refused, in a line -----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["engine", "torch", "store"])
def test_a_worker_that_does_not_fit_is_refused(
    four: Any, inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """It would fail one task after the other, faster than any other worker computes one."""
    made = tiny.study(inputs, tmp_path, scheduler=four.scheduler_address)
    if part == "store":
        monkeypatch.setattr(Store, "identity", lambda self: "another")
        (made.store.root).mkdir(parents=True)
        message = f"does not see {made.store.root} as it is here; the results folder must be shared"
    else:
        own = dask.identity()
        monkeypatch.setattr(dask, "identity", lambda: {**own, part: "another"})
        message = f"has {part} {own[part]}, this process another; restart it"
    with pytest.raises(UserError, match="worker tcp://127.0.0.1:.* (has|does)") as caught:
        made.run(grid(), progress=False)
    assert message in str(caught.value)
    assert not (made.store.root / "failures").exists() and not (made.store.root / "runs").exists()


def test_a_worker_of_two_threads_is_refused(inputs: dict[str, str], tmp_path: Path) -> None:
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as two:
        made = tiny.study(inputs, tmp_path, scheduler=two.scheduler_address)
        with pytest.raises(UserError, match="has 2 threads; start workers with --nthreads 1"):
            made.run(grid(), progress=False)


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dask, "PATIENCE", 1.0)
    for address, message in (
        ("tcp://127.0.0.1:9", "no Dask scheduler answers there within 1 s (expected tcp://host:port or"),
        ("nowhere", "no Dask scheduler answers there"),
        (str(tmp_path / "absent.json"), "there is no such scheduler file; is the scheduler running?"),
    ):
        said = call("run", "04", "--scheduler", address, "--results-dir", tmp_path)
        assert said.exit_code == 2 and f"--scheduler {address}: {message}" in said.stderr
        assert len(said.stderr.splitlines()) == 1 and list(tmp_path.iterdir()) == []


def test_workers_here_or_there() -> None:
    with pytest.raises(UserError, match="not both"):
        open_study("mini", workers=2, scheduler="tcp://127.0.0.1:9")


# -- a scheduler that dies ------------------------------------------------------------------------------------------


def launch(part: str, file: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{part}", "--no-dashboard", "--scheduler-file", str(file)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, *words], **quiet, start_new_session=True)


def start_cluster(file: Path) -> list[subprocess.Popen[bytes]]:
    scheduler = launch("scheduler", file, "--host", "127.0.0.1", "--port", "0")
    wait_for(file.exists, "the scheduler file")
    return [scheduler, launch("worker", file, "--nthreads", "1", "--nworkers", "2", "--death-timeout", "120")]


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        for member in [*family(process), process] if process.poll() is None else []:
            member.kill()
        process.wait(60)


@pytest.mark.parametrize("how", ["the scheduler is killed", "Ctrl-C"])
def test_a_run_on_a_cluster_is_cut_short(
    inputs: dict[str, str], reference: dict[RunSpec, str], tmp_path: Path, how: str
) -> None:
    """The client says so and ends; started again, with a scheduler, it finishes and repeats nothing."""
    file, results = tmp_path / "scheduler.json", tmp_path / "results"
    made = tiny.study(inputs, results, scheduler=str(file))
    parts = start_cluster(file)
    client = start(inputs, results, tmp_path / "grid.py", scheduler=str(file))
    try:
        go(client)
        wait_for(lambda: list((made.store.root / "runs").glob("[0-9a-f]*")), "a first result")
        if how == "Ctrl-C":
            client.send_signal(signal.SIGINT)
        else:
            parts[0].kill()
        _, said = client.communicate(timeout=PATIENCE)
        assert client.returncode != 0
        if how == "Ctrl-C":
            assert said.rstrip().endswith("KeyboardInterrupt")
        else:
            told = f"the scheduler {file} has gone, "
            assert said.startswith(told) and "the same command goes on from there" in said
            assert len(said.splitlines()) == 1
            stop(parts)
            file.unlink()
            parts = start_cluster(file)
        with done_once(made):
            made.run(grid(), progress=False)
        assert_complete(made, reference)
    finally:
        client.kill()
        stop(parts)
