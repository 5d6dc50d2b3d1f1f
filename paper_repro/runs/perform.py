"""What a worker does: one task, by itself and written by itself. It brings the whole engine along."""

from __future__ import annotations

import time
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from paper_repro.method import train
from paper_repro.model import classifier
from paper_repro.method.checkers import CALIBRATION_FOLDS, fitted_temperature, fold_of, score_pool, with_temperature
from paper_repro.tools.errors import TrainingError, UserError
from paper_repro.runs.execute import record_failure
from paper_repro.method.registry import CLASSICAL, module_of, options_of
from paper_repro.runs.spec import Checker, RunResult, RunSpec, spec_from_dict
from paper_repro.runs.plan import Task, fold_models, models_of
from paper_repro.tools.machine import environment, reset_peak_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from paper_repro.study import Workspace


def perform(workspace: Workspace, task: Task) -> dict[str, Any]:
    """Compute one task unless somebody else has, and write what comes out. Never raises but for an interrupt."""
    started = time.perf_counter()
    try:
        with workspace.store.lock(task.key):
            note = _run(workspace, task) if task.kind == "run" else _score(workspace, task)
            workspace.store.clear_failure(task.key)
    except (UserError, MemoryError, OSError) as error:
        return record_failure(workspace, task, str(error), traceback.format_exc())
    except Exception as error:  # a bug is recorded like any failure, with its traceback, and the rest goes on
        return record_failure(workspace, task, f"{type(error).__name__}: {error}", traceback.format_exc())
    return {"key": task.key, "status": "done", "seconds": time.perf_counter() - started, "note": note}


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
        classifier.save_checkpoint(trained.state, store.checkpoint(task.key), trained.kept)
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
        environment={**environment(workspace.device, torch.get_num_threads()), "memory_before_bytes": before},
    )
    store.put(result, trained.train_log_p)
    return f"test accuracy {100 * result.test_accuracy:.1f} %"


def _train(workspace: Workspace, spec: RunSpec, keep_state: bool) -> train.Trained:
    if spec.method in CLASSICAL:
        return _fit(workspace, spec)
    if spec.method == "ensemble":
        return _combine(workspace, spec)
    options, module = options_of(spec.method, dict(spec.options)), module_of(spec.method)
    data, step = workspace.training_data(spec), getattr(module, "Step", None)
    if hasattr(module, "prepare"):
        data = module.prepare(data, **options)
    return train.train(
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


def _fit(workspace: Workspace, spec: RunSpec) -> train.Trained:
    from paper_repro.method import classical

    benchmark = workspace.benchmark(spec.benchmark)
    data = workspace.source_pool(spec.benchmark, spec.source)
    dev, test, embed = benchmark.pool(spec.selection), benchmark.pool("test"), workspace.embedder(spec)
    return classical.train(spec.method, data, dev, test, benchmark.classes, embed)


def _combine(workspace: Workspace, spec: RunSpec) -> train.Trained:
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
    return train.scored(scores, pools, benchmark.classes, time.perf_counter() - started)


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
        from paper_repro.method import classical

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
