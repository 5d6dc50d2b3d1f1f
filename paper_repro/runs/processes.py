"""Computes tasks: here, in worker processes of one thread each, or on a cluster. Whoever computes a result writes it.

On a CPU every training runs on one thread, however many workers there are: two one-thread processes do more
than one of two threads, and the results are the same bits whatever the number of workers.
"""

from __future__ import annotations

import gc
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from itertools import islice
from multiprocessing import connection, forkserver, get_context, parent_process
from typing import Any

import torch

from paper_repro.runs.profiles import PRECISION
from paper_repro.runs.results import Results, open_results
from paper_repro.runs.spec import Task
from paper_repro.tools.machine import computes_bf16
from paper_repro.tools.progress import Progress

TRIES_AFTER_A_DEAD_WORKER = 2
# Measured with the instructions switched off (ONEDNN_MAX_CPU_ISA): 1.2 times with AVX-512, 12 times with AVX2 alone.
SLOW = (
    "this processor has no bf16 instructions, and without them training in bf16 is 1.2 times (AVX-512) to 12 times "
    f"slower than in fp32: stop, set {PRECISION}=fp32 and start again"
)
# Workers are forked from a process that has the engine imported: it is read in once, not once for each worker, and
# lies in memory once. That process holds no data, trains nothing and touches no GPU, so that forking it is safe.
CONTEXT = get_context("forkserver")


def warm_up() -> None:
    """Have the engine imported beside what this process goes on with, so that its workers can start at once."""
    CONTEXT.set_forkserver_preload(["paper_repro.runs.tasks"])
    with one_thread_each():  # workers have the environment of now
        forkserver.ensure_running()


def execute(results: Results, tasks: Sequence[Task], progress: Progress, workers: int = 1) -> None:
    """Compute every task in ``workers`` processes, those that need others after them; a failure is recorded and the
    rest goes on. :func:`paper_repro.runs.dask.execute` does the same on a cluster."""
    if not tasks:
        return
    results.store.sweep()
    in_bf16 = any(task.spec["recipe"]["precision"] == "bf16" for task in tasks)
    if in_bf16 and results.inputs.device == "cpu" and not computes_bf16():
        progress.tell(SLOW)
    grid = Grid(results, tasks, progress)
    with one_thread_each():
        if workers == 1:
            _serial(grid)
        else:
            _parallel(grid, workers)


def _serial(grid: Grid) -> None:
    from paper_repro.runs.tasks import perform  # late: it brings transformers, which not every process needs

    todo = dict(grid.waiting)
    gc.freeze()  # as in a worker: runs look for garbage before they begin
    try:
        while todo:
            for task in grid.startable(todo, 1):
                grid.settle(task, perform(grid.results, task))
    finally:
        gc.unfreeze()


def _parallel(grid: Grid, workers: int) -> None:
    """A worker that dies takes the pool with it: start another and repeat what was in flight, each alone, so that
    only a task that kills its own worker again and again is given up."""
    deaths = Counter[str]()
    while grid.waiting:
        waiting = list(grid.waiting.values())
        suspects = [task for task in waiting if deaths[task.key]]
        try:
            grid.drain(suspects[:1] or waiting, workers)
        except BrokenProcessPool:
            for task in grid.in_flight:
                deaths[task.key] += 1
                if deaths[task.key] > TRIES_AFTER_A_DEAD_WORKER:
                    grid.give_up(task, "its worker process died again and again")


class Grid:
    """Tasks on their way through workers: those still waiting, those in flight, how the others ended."""

    def __init__(self, results: Results, tasks: Sequence[Task], progress: Progress) -> None:
        self.results, self.progress = results, progress
        self.waiting = {task.key: task for task in tasks}
        self.in_flight: list[Task] = []
        self.settled, self.failed = set[str](), set[str]()

    def startable(self, todo: dict[str, Task], places: int) -> list[Task]:
        """At most ``places`` of ``todo`` that need nothing any more, taken out of it; the doomed are settled here."""
        free = (task for task in todo.values() if self.settled.issuperset(task.needs))
        ready = [todo.pop(task.key) for task in list(islice(free, max(places, 0)))]
        doomed = [task for task in ready if self.failed.intersection(task.needs)]
        for task in doomed:
            self.give_up(task, "a checker that it needs failed")
        return [task for task in ready if task.key in self.waiting]

    def settle(self, task: Task, outcome: dict[str, Any]) -> None:
        del self.waiting[task.key]
        self.settled.add(task.key)
        if outcome["status"] == "failed":
            self.failed.add(task.key)
        self.progress.update(task.label, outcome)

    def give_up(self, task: Task, reason: str) -> None:
        self.settle(task, self.results.store.fail(task, f"{task.label}: {reason}"))

    def drain(self, tasks: Sequence[Task], workers: int) -> None:
        """Work ``tasks`` off in one pool of processes. BrokenProcessPool, with ``in_flight``, when a worker dies."""
        todo, running = {task.key: task for task in tasks}, dict[Future[dict[str, Any]], Task]()
        places = min(workers, len(todo))
        warm_up()
        pool = ProcessPoolExecutor(places, mp_context=CONTEXT, initializer=_start_worker)
        try:
            while todo or running:
                for task in self.startable(todo, places - len(running)):
                    running[pool.submit(in_worker, self.results.inputs.settings(), asdict(task))] = task
                for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                    outcome = future.result()
                    self.settle(running.pop(future), outcome)
        finally:
            self.in_flight = list(running.values())
            # Ctrl-C must not wait for trainings that nobody will read.
            for process in list((pool._processes or {}).values()) if running else ():
                process.kill()
            pool.shutdown(wait=True, cancel_futures=True)


# -- in the worker ----------------------------------------------------------------------------------------


def _start_worker() -> None:
    from paper_repro.runs import tasks  # noqa: F401 - so that it is there before the first task, if it was not preloaded

    torch.set_num_threads(1)
    gc.freeze()  # what was imported stays: looking through it for garbage takes 0.2 s, a run of the demo 1.2 s
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A parent that was killed outright cannot stop its workers: they watch it themselves."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def in_worker(settings: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    from paper_repro.runs.tasks import perform

    return perform(_results(json.dumps(settings, sort_keys=True)), Task(**{**task, "needs": tuple(task["needs"])}))


@lru_cache(maxsize=2)
def _results(settings: str) -> Results:
    return open_results(**json.loads(settings))


@contextmanager
def one_thread_each() -> Iterator[None]:
    """One thread for trainings in this process and, by the environment, in the workers that it starts."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM")
    before = {name: os.environ.get(name) for name in names}
    threads = torch.get_num_threads()
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
