"""What a profile's runs left behind. Everything here reads; nothing trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paper_repro.runs.inputs import Inputs, open_inputs
from paper_repro.runs.keys import run_key, score_key
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunResult, RunSpec
from paper_repro.runs.store import Store
from paper_repro.texts.pools import Benchmark
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths

if TYPE_CHECKING:
    from paper_repro.method.train import TrainingData


NOTHING_LEFT = "NothingLeft"
"""The kind of failure that is a result: a filter that leaves no text."""


class Results:
    """The runs and scores of one profile's store, found by their specifications."""

    def __init__(self, inputs: Inputs, store: Store | None = None) -> None:
        self.inputs = inputs
        self.store = store or Store(inputs.paths.results)

    @property
    def profile(self) -> Profile:
        return self.inputs.profile

    @property
    def paths(self) -> Paths:
        return self.inputs.paths

    def benchmark(self, name: str) -> Benchmark:
        """One of the profile's benchmarks with all its pools."""
        return self.inputs.benchmark(name)

    def key(self, spec: RunSpec) -> str:
        """The store's key of a specification: everything that can change its result, hashed."""
        return run_key(self.inputs, spec)

    def result(self, spec: RunSpec) -> RunResult | None:
        """The finished run, or None where it is missing or failed."""
        return self.store.get(self.key(spec))

    def train_log_p(self, spec: RunSpec) -> NDArray[np.float32] | None:
        """log p(y_i|x_i) of the training forward passes by epoch, (epochs, training examples), or None."""
        return self.store.train_log_p(self.key(spec))

    def failure(self, spec: RunSpec) -> str | None:
        """Why the last try failed, in a line, or None."""
        entry = self.store.failure(self.key(spec))
        return None if entry is None else str(entry["reason"])

    def failure_kind(self, spec: RunSpec) -> str:
        """The class name of the exception that the last try failed with, such as "NothingLeft"; else ""."""
        return str((self.store.failure(self.key(spec)) or {}).get("kind", ""))

    def scores(self, checker: Checker, benchmark: str, pool: str) -> NDArray[np.float32]:
        """log p(y|x) of every class under a checker, (examples, classes) float32.

        Raises UserError where they were not computed (:meth:`paper_repro.study.Study.collect`).
        """
        if checker.run is None:
            truth = self.benchmark(benchmark).truth_of(pool)
            if truth is None:
                raise UserError(f"exact scores exist only in the miniature world, not for {benchmark} {pool}")
            with np.errstate(divide="ignore"):
                exact: NDArray[np.float32] = np.log(truth.p if checker.exact == "p" else truth.q)
            return exact.astype(np.float32)
        key = score_key(self.inputs, checker, benchmark, pool)
        scores = self.store.get_scores(key)
        if scores is None:
            reason = (self.store.failure(key) or {}).get("reason", "they were never computed")
            raise UserError(f"no scores of {benchmark} {pool} by its checker: {reason}")
        return scores

    def observed_scores(self, checker: Checker, benchmark: str, pool: str) -> NDArray[np.float64]:
        """log p(y_i|x_i) of the labels in the pool under a checker, (examples,). Raises as :meth:`scores` does."""
        labels = self.benchmark(benchmark).pool(pool).labels
        return self.scores(checker, benchmark, pool)[np.arange(len(labels)), labels].astype(np.float64)

    def scoring_seconds(self, checker: Checker, benchmark: str, pool: str) -> float | None:
        """Wall-clock seconds that a trained checker's scores took, loading it included, or None without them."""
        origin = self.store.scores_origin(score_key(self.inputs, checker, benchmark, pool))
        return None if origin is None else float(origin["seconds"])

    def training_data(self, spec: RunSpec) -> TrainingData:
        """Everything that :func:`paper_repro.method.train.train` needs for one specification."""
        from paper_repro.method.train import TrainingData  # late: it brings transformers, which not every reader needs

        inputs, benchmark = self.inputs, self.benchmark(spec.benchmark)
        rows = inputs.source_rows(spec.benchmark, spec.source)
        labels = benchmark.pool(spec.source.pool).labels

        def scores(checker: Checker | None) -> NDArray[np.float32] | None:
            return None if checker is None else self.scores(checker, spec.benchmark, spec.source.pool)[rows]

        def observed(of_all: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
            return None if of_all is None else of_all[np.arange(len(rows)), labels[rows]]

        quality, diversity = scores(spec.quality), scores(spec.diversity)
        return TrainingData(
            train=inputs.encoded(spec.benchmark, spec.source.pool, spec).subset(rows),
            train_labels=labels[rows],
            dev=inputs.encoded(spec.benchmark, spec.selection, spec),
            dev_labels=benchmark.pool(spec.selection).labels,
            test=inputs.encoded(spec.benchmark, "test", spec),
            test_labels=benchmark.pools["test"].labels,
            classes=benchmark.classes,
            log_quality=observed(quality),
            log_diversity=observed(diversity),
            log_quality_all=quality,
            log_diversity_all=diversity,
        )


def open_results(**settings: Any) -> Results:
    """The results of a profile; ``settings`` are the arguments of :func:`paper_repro.runs.inputs.open_inputs`."""
    return Results(open_inputs(**settings))
