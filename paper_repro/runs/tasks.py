"""What a worker does: one task, by itself and written by itself. It brings the whole engine along."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from paper_repro.method import classical, train
from paper_repro.method.checkers import fitted_temperature, score_pool, with_temperature
from paper_repro.method.gpu_engine.loop import PACKED
from paper_repro.method.registry import CLASSICAL, WITHOUT_EPOCHS, method_of, options_of
from paper_repro.model import classifier
from paper_repro.runs.plan import fold_models, models_of
from paper_repro.runs.results import Results
from paper_repro.runs.spec import CALIBRATION_FOLDS, Checker, RunResult, RunSpec, Task, spec_from_dict
from paper_repro.texts.folds import fold_of
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import TrainingError, UserError
from paper_repro.tools.machine import environment, reset_peak_memory


def perform(results: Results, task: Task) -> dict[str, Any]:
    """Compute one task unless somebody else has, and write what comes out. Never raises but for an interrupt."""
    started = time.perf_counter()
    try:
        with results.store.lock(task.key):
            note = _run(results, task) if task.kind == "run" else _score(results, task)
            results.store.clear_failure(task.key)
    except Exception as error:  # a bug, too, is recorded with its traceback, and the rest goes on
        kind = type(error).__name__
        reason = str(error) if isinstance(error, UserError | MemoryError | OSError) else f"{kind}: {error}"
        return results.store.fail(task, reason, traceback.format_exc(), kind)
    return {"key": task.key, "status": "done", "seconds": time.perf_counter() - started, "note": note}


def _run(results: Results, task: Task) -> str:
    """Train one specification and store the result (and the checkpoint, for a checker)."""
    store, spec = results.store, spec_from_dict(task.spec)
    curve = spec.recipe.test_curve and spec.method not in WITHOUT_EPOCHS
    if store.holds(task.key, curve=curve, checkpoint=task.keep_checkpoint):
        return "found"
    if results.key(spec) != task.key:
        raise TrainingError(f"{task.label}: data or code changed since this run was planned; start again")
    before = reset_peak_memory(results.inputs.device)
    trained = _train(results, spec, task.keep_checkpoint)
    if trained.state is not None:
        classifier.save_checkpoint(trained.state, store.checkpoint(task.key), trained.kept)
    test = results.inputs.benchmark(spec.benchmark).pools["test"]
    result = RunResult(
        key=task.key,
        spec=spec,
        history=trained.history,
        selected_epoch=trained.selected_epoch,
        test_labels=test.labels,
        test_probabilities=trained.test_probabilities,
        dev_probabilities=trained.dev_probabilities,
        seconds=trained.seconds,
        environment={**environment(results.inputs.device, torch.get_num_threads()), "memory_before_bytes": before},
    )
    store.put(result, trained.train_log_p)
    return f"test accuracy {100 * result.test_accuracy:.1f} %"


def _train(results: Results, spec: RunSpec, keep_state: bool) -> train.Trained:
    if spec.method in WITHOUT_EPOCHS:
        return _answers(results, spec)
    options, module = options_of(spec.method, dict(spec.options)), method_of(spec.method).implementation
    data, step = results.training_data(spec), getattr(module, "Step", None)
    if hasattr(module, "prepare"):
        data = module.prepare(data, **options)
    return train.train(
        data,
        results.inputs.encoder_named(spec.encoder).directory,
        spec.method if step or module is None else "ce",
        spec.recipe,
        spec.seed,
        switches=spec.switches,
        device=results.inputs.device,
        keep_state=keep_state,
        loop=None if step is None else partial(step, **options),
        engine=PACKED if spec.recipe.fidelity == "packed" else None,
        start=None if spec.start is None else results.store.checkpoint(results.key(spec.start)),
    )


def _answers(results: Results, spec: RunSpec) -> train.Trained:
    """What a classical checker answers once it is fitted, or an ensemble of the checkers without any training."""
    started, benchmark = time.perf_counter(), results.inputs.benchmark(spec.benchmark)
    if spec.method in CLASSICAL:
        data = results.inputs.source_pool(spec.benchmark, spec.source)
        pools = [data, benchmark.pool(spec.selection), benchmark.pool("test")]
        scores = _classical(results, spec, pools)
    else:
        assert spec.quality is not None and spec.diversity is not None
        combined, options = method_of(spec.method).implementation.combined, options_of(spec.method, dict(spec.options))
        names = (spec.source.pool, spec.selection, "test")
        pools = [benchmark.pool(name) for name in names]
        scores = [
            combined(*(results.scores(c, spec.benchmark, name) for c in (spec.quality, spec.diversity)), **options)
            for name in names
        ]
    return train.without_epochs(scores, pools, benchmark.classes, time.perf_counter() - started)


def _classical(results: Results, run: RunSpec, targets: Sequence[Pool]) -> list[NDArray[np.float32]]:
    """log p(y|x) of every class for each target under a classical checker, which is fitted anew."""
    inputs = results.inputs
    data, classes = inputs.source_pool(run.benchmark, run.source), inputs.benchmark(run.benchmark).classes
    return classical.fit_and_score(run.method, data, targets, classes, inputs.embedder(run))


def _score(results: Results, task: Task) -> str:
    """Score one pool by a trained checker, each example by the model that did not see it where there are folds."""
    if results.store.get_scores(task.key) is not None:
        return "found"
    run = spec_from_dict(task.spec)
    checker = Checker(run, folds=task.folds, temperature="fitted" if task.temperature == "fitted" else "none")
    started = time.perf_counter()
    scores = _held_out(results, run, task.folds) if task.folds else _by_model(results, run, task.pool)
    origin: dict[str, Any] = {"models": [results.key(model) for model in models_of(checker, task.pool)]}
    if checker.temperature == "fitted":
        own = results.inputs.benchmark(run.benchmark).pool(run.source.pool)
        origin["temperature"] = fitted_temperature(_held_out(results, run, CALIBRATION_FOLDS), own.labels)
        scores = with_temperature(scores, origin["temperature"])
    origin["seconds"] = time.perf_counter() - started
    results.store.put_scores(task.key, scores, origin)
    return f"{len(scores)} texts"


def _held_out(results: Results, run: RunSpec, folds: int) -> NDArray[np.float32]:
    """Scores of the run's own pool, each fold's by the model trained without it."""
    pool = results.inputs.benchmark(run.benchmark).pool(run.source.pool)
    fold = fold_of(pool.labels, folds)
    parts = [_by_model(results, model, run.source.pool) for model in fold_models(run, folds)]
    return np.stack(parts)[fold, np.arange(len(pool))]


def _by_model(results: Results, run: RunSpec, pool: str) -> NDArray[np.float32]:
    if run.method in CLASSICAL:
        return _classical(results, run, [results.inputs.benchmark(run.benchmark).pool(pool)])[0]
    return score_pool(
        results.store.checkpoint(results.key(run)),
        results.inputs.encoder_named(run.encoder).directory,
        results.inputs.benchmark(run.benchmark).classes,
        results.inputs.encoded(run.benchmark, pool, run),
        run.recipe,
        results.inputs.device,
    )
