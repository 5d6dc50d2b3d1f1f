"""Keys of runs and scores: a hash of all that was chosen and can change the result.

The content of the data, the encoder's weights, the method with its switches and options, hyper-parameters, seed,
precision, the checkers (by their own keys), and :data:`ENGINE`. Names do not count: the same texts under another
name, or the same run in another table, are the same run. What is only recorded about a run (the curve on the test
set, a checkpoint) does not count either.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

import numpy as np

from paper_repro.method.registry import options_of
from paper_repro.runs.inputs import Inputs
from paper_repro.runs.spec import Checker, RunSpec
from paper_repro.runs.store import digest
from paper_repro.tools.errors import UserError

ENGINE = 1
"""Raised by hand whenever a change of the code changes results; tests/test_golden.py fails when it was forgotten."""


def run_key(inputs: Inputs, spec: RunSpec) -> str:
    """The 64-digit key of a training run."""
    benchmark = inputs.benchmark(spec.benchmark)
    recipe = asdict(spec.recipe)
    del recipe["test_curve"]
    return digest(
        {
            "kind": "run",
            "engine": ENGINE,
            "encoder": inputs.encoder_named(spec.encoder).fingerprint,
            "classes": benchmark.classes,
            "train": inputs.source_pool(spec.benchmark, spec.source).fingerprint,
            "dev": benchmark.pool(spec.selection).fingerprint,
            "test": benchmark.pools["test"].fingerprint,
            "method": spec.method,
            "options": options_of(spec.method, dict(spec.options)),
            "seed": spec.seed,
            "recipe": recipe,
            "switches": asdict(spec.switches),
            "quality": _checker(inputs, spec.quality, spec),
            "diversity": _checker(inputs, spec.diversity, spec),
            "start": run_key(inputs, spec.start) if spec.start else None,
        }
    )


def score_key(inputs: Inputs, checker: Checker, benchmark: str, pool: str) -> str:
    """The 64-digit key of a trained checker's scores for a pool."""
    assert checker.run is not None
    return digest(
        {
            "kind": "scores",
            "engine": ENGINE,
            "run": run_key(inputs, checker.run),
            "folds": checker.folds,
            "temperature": checker.temperature,
            "pool": inputs.benchmark(benchmark).pool(pool).fingerprint,
        }
    )


def _checker(inputs: Inputs, checker: Checker | None, spec: RunSpec) -> dict[str, Any] | None:
    if checker is None:
        return None
    if checker.run is None:
        truth = inputs.benchmark(spec.benchmark).truth_of(spec.source.pool)
        if truth is None:
            raise UserError(f"exact scores exist only in the miniature world, not for {spec.benchmark}")
        exact = truth.p if checker.exact == "p" else truth.q
        return {"exact": hashlib.sha256(np.ascontiguousarray(exact).tobytes()).hexdigest()}
    return {"run": run_key(inputs, checker.run), "folds": checker.folds, "temperature": checker.temperature}
