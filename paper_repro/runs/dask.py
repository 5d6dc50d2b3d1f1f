"""Trainings on a Dask cluster: the same tasks by the same function, on machines that share the results folder.

A worker is one process with one thread (and one GPU, pinned by ``CUDA_VISIBLE_DEVICES``); it keeps the tokenised data
and the encoder of its workspace from task to task, and writes what it computes into the store itself. Only plain
dicts travel. Dask sends the tasks of a dead worker to another one; what a dead scheduler had handed out is in
the store or computed again. benchmarks/CLUSTER.md tells how to start a cluster.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from paper_repro import __version__
from paper_repro.runs.keys import ENGINE
from paper_repro.runs.processes import Grid, in_worker, one_thread_each
from paper_repro.runs.results import Results
from paper_repro.runs.spec import Task
from paper_repro.runs.store import Store
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths
from paper_repro.tools.progress import Progress

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE = 10.0  # seconds to reach the scheduler
AHEAD = 500  # tasks handed over before the first of them is done: work for many more workers than that is not there
RECIPE = "benchmarks/CLUSTER.md"


def execute(results: Results, tasks: Sequence[Task], progress: Progress, scheduler: str, device: str) -> None:
    """Compute every task on the cluster ``scheduler``, each worker on its ``device``.

    A failure is recorded and the rest goes on.

    Waits for workers as long as there are none. Raises UserError when the scheduler cannot be reached or is lost on
    the way, and for a worker with other code, with several threads or without the results folder.
    """
    if not tasks:
        return
    results.store.sweep()
    grid = Grid(results, tasks, progress)
    with connected(scheduler) as client:
        try:
            _wait_for_workers(client, scheduler, progress)
            _drain(grid, client, device)
        except OSError as error:  # Dask's CommClosedError is one
            raise UserError(
                f"the scheduler {scheduler} has gone, {len(grid.waiting)} tasks before the end; what was "
                "finished is kept: start it and its workers again, and the same command goes on from there"
            ) from error


def _wait_for_workers(client: Client, scheduler: str, progress: Progress) -> None:
    if not client.nthreads():
        progress.tell(f"no worker at {scheduler} yet; waiting for one")
        client.wait_for_workers(1)
    for worker, threads in client.nthreads().items():
        if threads != 1:
            raise UserError(f"worker {worker} has {threads} threads; start workers with --nthreads 1 ({RECIPE})")


def _drain(grid: Grid, client: Client, device: str) -> None:
    from distributed import as_completed

    settings = {**grid.results.inputs.settings(), "device": device}
    expected = {**identity(), "store": grid.results.store.identity()}
    todo, running, finished = dict(grid.waiting), dict[Any, Task](), as_completed(loop=client.loop)
    try:
        while grid.waiting:
            for task in grid.startable(todo, AHEAD - len(running)):
                name = f"{task.label}, {uuid4().hex[:12]}"  # what Dask's dashboard shows
                future = client.submit(_on_cluster, settings, asdict(task), expected, key=name, pure=False)
                finished.add(future)
                running[name] = task
            if running:
                future = next(finished)
                task = running.pop(future.key)
                grid.settle(task, _outcome(grid, task, future))
    finally:
        if running and client.status == "running":  # Ctrl-C: what runs comes to its end, the rest is not begun
            with suppress(OSError):
                client.cancel(list(finished.futures), reason="the one who asked for it has gone")


def _outcome(grid: Grid, task: Task, future: Future[Any]) -> dict[str, Any]:
    """How a task ended. UserError for what would befall every other task, too, ConnectionError for a lost scheduler."""
    from distributed import KilledWorker

    if future.status == "finished":
        outcome: dict[str, Any] = future.result()
        return outcome
    if future.status in ("cancelled", "lost"):
        raise ConnectionError("the scheduler has forgotten its tasks")
    error = future.exception()
    if isinstance(error, KilledWorker):
        return grid.results.store.fail(task, f"{task.label}: its worker process died again and again")
    if isinstance(error, UserError):
        raise UserError(str(error)) from error
    raise UserError(
        f"the cluster could not take up {task.label}: {type(error).__name__}: {str(error)[:200]}\n"
        f"Scheduler and workers must run in the environment of this process ({RECIPE})"
    ) from error


@contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """A client of the running cluster at ``tcp://host:port``, or of the one that a scheduler file tells.

    Raises UserError where none answers within ten seconds, or where Dask is not installed.
    """
    try:
        import dask
        from distributed import Client
    except ImportError as error:
        raise UserError("--scheduler needs Dask: pip install 'paper-repro[cluster]'") from error
    where = {"address": scheduler}
    if "://" not in scheduler and (Path(scheduler).is_file() or scheduler.endswith(".json")):
        if not Path(scheduler).is_file():
            raise UserError(f"--scheduler {scheduler}: there is no such scheduler file; is the scheduler running?")
        where = {"scheduler_file": scheduler}
    for name in ("distributed.client", "distributed.core"):  # what goes wrong is told once, by us
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with dask.config.set({"distributed.comm.timeouts.connect": f"{PATIENCE:.0f}s"}):
        try:
            client = Client(**where, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UserError(
                f"--scheduler {scheduler}: no Dask scheduler answers there within {PATIENCE:.0f} s "
                f"(expected tcp://host:port or a scheduler file; {RECIPE} tells how to start one)"
            ) from error
        try:
            yield client
        finally:
            with suppress(OSError):  # the scheduler may be gone
                client.close(timeout=PATIENCE)


def identity() -> dict[str, str]:
    """What a worker must have in common with the one who plans: the code that trains, and what it builds on."""
    import torch
    import transformers

    return {
        "paper_repro": __version__,
        "engine": str(ENGINE),
        "torch": torch.__version__.split("+")[0],  # a build for CUDA and one for the CPU may go together
        "transformers": transformers.__version__,
    }


# -- in the worker ----------------------------------------------------------------------------------------


def _on_cluster(settings: dict[str, Any], task: dict[str, Any], expected: dict[str, str]) -> dict[str, Any]:
    """One task. UserError, which ends the whole run, where this worker would fail one task after the other."""
    from distributed import get_worker

    name, mine = get_worker().address, identity()
    for part, own in mine.items():
        if own != expected[part]:
            raise UserError(f"worker {name} has {part} {own}, this process {expected[part]}; restart it with the same")
    described = Path(settings["benchmark_file"]) if settings["benchmark_file"] else None
    store = Paths.of(settings["profile"], settings["results_dir"], settings["figures_dir"], described).results
    if not (store / "id").exists() or Store(store).identity() != expected["store"]:
        raise UserError(f"worker {name} does not see {store} as it is here; the results folder must be shared by all")
    with one_thread_each():
        return in_worker(settings, task)
