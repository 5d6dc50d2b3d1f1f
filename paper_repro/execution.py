"""Computes tasks: here, or in worker processes of one thread each. Whoever computes a result writes it.

On a CPU every training runs on one thread, however many workers there are: two one-thread processes do more
than one of two threads, and the results are the same bits whatever the number of workers.
"""

from __future__ import annotations

import gc
import json
import os
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache, partial
from multiprocessing import connection, get_context, parent_process
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from paper_repro import modeling, training
from paper_repro.checkers import CALIBRATION_FOLDS, fitted_temperature, fold_of, score_pool, with_temperature
from paper_repro.errors import TrainingError, UserError
from paper_repro.methods import CLASSICAL, module_of, options_of
from paper_repro.progress import Progress
from paper_repro.runs import Checker, RunResult, RunSpec, spec_from_dict
from paper_repro.tasks import Task, fold_models, models_of
from paper_repro.versions import environment, reset_peak_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from paper_repro.workspace import Workspace

TRIES_AFTER_A_DEAD_WORKER = 2


def execute(workspace: Workspace, tasks: Sequence[Task], progress: Progress) -> None:
    """Compute every task, those that need others after them; a failure is recorded and the rest goes on."""
    if not tasks:
        return
    with one_thread_each():
        if workspace.workers == 1:
            _serial(workspace, tasks, progress)
        else:
            _parallel(workspace, tasks, progress)


def _serial(workspace: Workspace, tasks: Sequence[Task], progress: Progress) -> None:
    failed: set[str] = set()
    for task in tasks:
        outcome = _perform_unless_doomed(workspace, task, failed)
        progress.update(task.label, outcome)


def _perform_unless_doomed(workspace: Workspace, task: Task, failed: set[str]) -> dict[str, Any]:
    outcome = _doom(workspace, task) if failed & set(task.needs) else perform(workspace, task)
    if outcome["status"] == "failed":
        failed.add(task.key)
    return outcome


def _doom(workspace: Workspace, task: Task) -> dict[str, Any]:
    """A task whose checker failed fails with it, and says so."""
    reason = f"{task.label}: a checker that it needs failed"
    return _record_failure(workspace, task, reason, "")


def _parallel(workspace: Workspace, tasks: Sequence[Task], progress: Progress) -> None:
    """The same by worker processes. A worker that dies takes the pool with it: start another and repeat what was
    in flight, each alone, so that only a task that kills its own worker again and again is given up."""
    grid = _Grid(workspace, list(tasks), progress)
    while grid.waiting:
        suspects = [task for task in grid.waiting if grid.deaths[task.key]]
        try:
            grid.drain(suspects[:1] or grid.waiting)
        except BrokenProcessPool:
            for task in grid.in_flight:
                grid.deaths[task.key] += 1
                if grid.deaths[task.key] > TRIES_AFTER_A_DEAD_WORKER:
                    reason = f"{task.label}: its worker process died again and again"
                    grid.settle(task, _record_failure(workspace, task, reason, ""))


class _Grid:
    """Tasks on their way through a pool of workers: those still waiting, those in flight, how the others ended."""

    def __init__(self, workspace: Workspace, waiting: list[Task], progress: Progress) -> None:
        self.workspace, self.waiting, self.progress = workspace, waiting, progress
        self.in_flight: list[Task] = []
        self.deaths: Counter[str] = Counter()
        self.settled, self.failed = set[str](), set[str]()

    def settle(self, task: Task, outcome: dict[str, Any]) -> None:
        self.waiting.remove(task)
        self.settled.add(task.key)
        if outcome["status"] == "failed":
            self.failed.add(task.key)
        self.progress.update(task.label, outcome)

    def drain(self, tasks: Sequence[Task]) -> None:
        """Work ``tasks`` off in one pool of processes. BrokenProcessPool, with ``in_flight``, when a worker dies."""
        todo, running = list(tasks), dict[Future[dict[str, Any]], Task]()
        places = min(self.workspace.workers, len(todo))
        pool = ProcessPoolExecutor(places, mp_context=get_context("spawn"), initializer=_start_worker)
        try:
            while todo or running:
                for task in _ready(todo, self.settled, places - len(running)):
                    if self.failed & set(task.needs):
                        self.settle(task, _doom(self.workspace, task))
                    else:
                        running[pool.submit(_in_worker, self.workspace.settings(), asdict(task))] = task
                    todo.remove(task)
                for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                    outcome = future.result()
                    self.settle(running.pop(future), outcome)
        finally:
            self.in_flight = list(running.values())
            _stop(pool, kill=bool(running))


def _ready(waiting: Sequence[Task], settled: set[str], places: int) -> list[Task]:
    return [task for task in waiting if settled.issuperset(task.needs)][: max(places, 0)]


def _stop(pool: ProcessPoolExecutor, kill: bool) -> None:
    """Ctrl-C must not wait for trainings that nobody will read."""
    processes = list((pool._processes or {}).values()) if kill else []
    for process in processes:
        process.kill()
    pool.shutdown(wait=True, cancel_futures=True)


# -- in the worker ----------------------------------------------------------------------------------------


def _start_worker() -> None:
    torch.set_num_threads(1)
    gc.freeze()  # what was imported stays: looking through it for garbage takes 0.2 s, a run of the demo 1.2 s
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A parent that was killed outright cannot stop its workers: they watch it themselves."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _in_worker(settings: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    return perform(_workspace(json.dumps(settings, sort_keys=True)), Task(**{**task, "needs": tuple(task["needs"])}))


@lru_cache(maxsize=2)
def _workspace(settings: str) -> Workspace:
    from paper_repro.workspace import open_workspace

    return open_workspace(**json.loads(settings))


def perform(workspace: Workspace, task: Task) -> dict[str, Any]:
    """Compute one task unless somebody else has, and write what comes out. Never raises but for an interrupt."""
    started = time.perf_counter()
    try:
        with workspace.store.lock(task.key):
            note = _run(workspace, task) if task.kind == "run" else _score(workspace, task)
            workspace.store.clear_failure(task.key)
    except (UserError, MemoryError, OSError) as error:
        return _record_failure(workspace, task, str(error), traceback.format_exc())
    except Exception as error:  # a bug is recorded like any failure, with its traceback, and the rest goes on
        return _record_failure(workspace, task, f"{type(error).__name__}: {error}", traceback.format_exc())
    return {"key": task.key, "status": "done", "seconds": time.perf_counter() - started, "note": note}


def _record_failure(workspace: Workspace, task: Task, reason: str, trace: str) -> dict[str, Any]:
    entry = {"reason": reason, "traceback": trace, "label": task.label, "spec": task.spec, "time": time.time()}
    try:
        workspace.store.put_failure(task.key, entry)
    except OSError as error:  # a full disk: the run stays missing, which says enough
        reason += f" (and the failure could not be recorded: {error})"
    return {"key": task.key, "status": "failed", "seconds": 0.0, "note": reason}


def _run(workspace: Workspace, task: Task) -> str:
    """Train one specification and store the result (and the checkpoint, for a checker)."""
    store, spec = workspace.store, spec_from_dict(task.spec)
    if store.has(task.key) and not (task.keep_checkpoint and not store.has_checkpoint(task.key)):
        return "found"
    if workspace.key(spec) != task.key:
        raise TrainingError(f"{task.label}: data or code changed since this run was planned; start again")
    before = reset_peak_memory(workspace.device)
    trained = _train(workspace, spec, task.keep_checkpoint)
    if trained.state is not None:
        modeling.save_checkpoint(trained.state, store.checkpoint(task.key), trained.kept)
        store.seal_checkpoint(task.key)
    test = workspace.benchmark(spec.benchmark).pools["test"]
    result = RunResult(
        key=task.key,
        spec=spec,
        history=trained.history,
        selected_epoch=trained.selected_epoch,
        test_labels=test.labels,
        test_probabilities=trained.test_probabilities,
        dev_probabilities=trained.dev_probabilities,
        seconds=trained.seconds,
        environment={**environment(workspace.device, _threads()), "memory_before_bytes": before},
    )
    store.put(result, trained.train_log_p)
    return f"test accuracy {100 * result.test_accuracy:.1f} %"


def _train(workspace: Workspace, spec: RunSpec, keep_state: bool) -> training.Trained:
    if spec.method in CLASSICAL:
        return _fit(workspace, spec)
    if spec.method == "ensemble":
        return _combine(workspace, spec)
    options, module = options_of(spec.method, dict(spec.options)), module_of(spec.method)
    data, step = workspace.training_data(spec), getattr(module, "Step", None)
    if hasattr(module, "prepare"):
        data = module.prepare(data, **options)
    return training.train(
        data,
        workspace.encoder_named(spec.encoder).directory,
        spec.method if step or module is None else "ce",
        spec.recipe,
        spec.seed,
        switches=spec.switches,
        device=workspace.device,
        keep_state=keep_state,
        loop=None if step is None else partial(step, **options),
        start=None if spec.start is None else workspace.store.checkpoint(workspace.key(spec.start)),
    )


def _fit(workspace: Workspace, spec: RunSpec) -> training.Trained:
    from paper_repro import classical

    benchmark = workspace.benchmark(spec.benchmark)
    data = workspace.source_pool(spec.benchmark, spec.source)
    dev, test, embed = benchmark.pool(spec.selection), benchmark.pool("test"), workspace.embedder(spec)
    return classical.train(spec.method, data, dev, test, benchmark.classes, embed)


def _combine(workspace: Workspace, spec: RunSpec) -> training.Trained:
    """The checkers' own answers, put together; nothing is trained."""
    assert spec.quality is not None and spec.diversity is not None
    started, benchmark = time.perf_counter(), workspace.benchmark(spec.benchmark)
    options = options_of(spec.method, dict(spec.options))
    names = (spec.source.pool, spec.selection, "test")
    scores = [
        module_of(spec.method).combined(
            workspace.scores(spec.quality, spec.benchmark, name, compute=False),
            workspace.scores(spec.diversity, spec.benchmark, name, compute=False),
            **options,
        )
        for name in names
    ]
    pools = [benchmark.pool(name) for name in names]
    return training.scored(scores, pools, benchmark.classes, time.perf_counter() - started)


def _score(workspace: Workspace, task: Task) -> str:
    """Score one pool by a trained checker, each example by the model that did not see it where there are folds."""
    if workspace.store.get_scores(task.key) is not None:
        return "found"
    run = spec_from_dict(task.spec)
    checker = Checker(run, folds=task.folds, temperature="fitted" if task.temperature == "fitted" else "none")
    started = time.perf_counter()
    scores = (
        _held_out(workspace, run, task.folds) if task.folds else _by_model(workspace, run, run.benchmark, task.pool)
    )
    origin: dict[str, Any] = {"models": [workspace.key(model) for model in models_of(checker, task.pool)]}
    if checker.temperature == "fitted":
        own = workspace.benchmark(run.benchmark).pool(run.source.pool)
        origin["temperature"] = fitted_temperature(_held_out(workspace, run, CALIBRATION_FOLDS), own.labels)
        scores = with_temperature(scores, origin["temperature"])
    origin["seconds"] = time.perf_counter() - started
    workspace.store.put_scores(task.key, scores, origin)
    return f"{len(scores)} texts"


def _held_out(workspace: Workspace, run: RunSpec, folds: int) -> NDArray[np.float32]:
    """Scores of the run's own pool, each fold's by the model trained without it."""
    pool = workspace.benchmark(run.benchmark).pool(run.source.pool)
    fold = fold_of(pool.labels, folds)
    parts = [_by_model(workspace, model, run.benchmark, run.source.pool) for model in fold_models(run, folds)]
    return np.stack(parts)[fold, np.arange(len(pool))]


def _by_model(workspace: Workspace, run: RunSpec, benchmark: str, pool: str) -> NDArray[np.float32]:
    if run.method in CLASSICAL:
        from paper_repro import classical

        data, target = workspace.source_pool(benchmark, run.source), workspace.benchmark(benchmark).pool(pool)
        classes, embed = workspace.benchmark(benchmark).classes, workspace.embedder(run)
        return classical.fit_and_score(run.method, data, [target], classes, embed)[0]
    return score_pool(
        workspace.store.checkpoint(workspace.key(run)),
        workspace.encoder_named(run.encoder).directory,
        workspace.benchmark(benchmark).classes,
        workspace.encoded(benchmark, pool, run),
        run.recipe.precision,
        workspace.device,
    )


def _threads() -> int:
    return torch.get_num_threads()


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
