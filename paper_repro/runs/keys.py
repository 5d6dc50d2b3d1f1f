"""Keys of runs and scores: a hash of everything that can change the result.

The content of the data, the encoder's weights, the method and its switches, hyper-parameters, seed, precision,
the checkers (by their own keys) and the code that trains. Names do not count: the same texts under another
name, or the same run in another table, are the same run.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from paper_repro.method import packed
from paper_repro.tools.errors import UserError
from paper_repro.method.registry import BASELINES, options_of, own_module
from paper_repro.texts.pools import Benchmark, Pool
from paper_repro.runs.spec import Checker, Recipe, RunSpec, Source
from paper_repro.runs.store import digest
from paper_repro.tools.machine import code_version


class Inputs(Protocol):
    """What a key needs to look at; :class:`paper_repro.study.Workspace` is one."""

    def benchmark(self, name: str) -> Benchmark: ...

    def source_pool(self, benchmark: str, source: Source) -> Pool: ...

    def encoder_fingerprint(self, name: str) -> str: ...


def run_key(inputs: Inputs, spec: RunSpec) -> str:
    """The 64-digit key of a training run."""
    benchmark = inputs.benchmark(spec.benchmark)
    return digest(
        {
            "kind": "run",
            "code": code_version(*own_module(spec.method), *engine_of(spec.recipe)),
            "encoder": inputs.encoder_fingerprint(spec.encoder),
            "classes": benchmark.classes,
            "train": inputs.source_pool(spec.benchmark, spec.source).fingerprint,
            "dev": benchmark.pool(spec.selection).fingerprint,
            "test": benchmark.pools["test"].fingerprint,
            "method": spec.method,
            "seed": spec.seed,
            "recipe": asdict(spec.recipe),
            "switches": asdict(spec.switches),
            "quality": _checker(inputs, spec.quality, spec),
            "diversity": _checker(inputs, spec.diversity, spec),
            **({"start": run_key(inputs, spec.start)} if spec.start else {}),
            **({"options": options_of(spec.method, dict(spec.options))} if spec.method in BASELINES else {}),
        }
    )


def engine_of(recipe: Recipe) -> tuple[str, ...]:
    """The modules that train beside the core ones: their code enters the keys of their own runs alone."""
    return packed.MODULES if recipe.fidelity == "packed" else ()


def score_key(inputs: Inputs, checker: Checker, benchmark: str, pool: str) -> str:
    """The 64-digit key of a trained checker's scores for a pool."""
    assert checker.run is not None
    return digest(
        {
            "kind": "scores",
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
    run = run_key(inputs, checker.run)
    return {"run": run, "folds": checker.folds, "temperature": checker.temperature}
