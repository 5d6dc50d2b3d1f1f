"""What the seeds of a table's cells predicted on the test set, and how sure one can be of a mean or a difference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_repro.measures import intervals, significance
from paper_repro.measures.accuracy import macro_f1, predicted_classes
from paper_repro.paper.cells import Cell
from paper_repro.runs.results import Results
from paper_repro.texts import generated

FEW_SHOT = ("dev", "few_shot")
OTHER_DATA = "the paper's numbers belong to other data: only the ordering of the methods can be compared"
RULE = (
    "A claim holds if the paired 95 % interval of the difference lies above zero, fails if it lies below, "
    "and is otherwise inconclusive at this number of seeds and test examples."
)
Key = tuple[str, str, str]
"""train_source, method, benchmark."""


@dataclass(frozen=True)
class Outcome:
    """What the seeds of one cell of the table predicted on the test set.

    ``predictions`` (seeds found, examples) are classes, in the order of ``seeds``; ``labels`` (examples,).
    """

    seeds: tuple[int, ...]
    wanted: int
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    classes: int
    status: str
    fixed: bool = False
    """One set of predictions without a seed: the generator's own labels."""
    dev: tuple[float, ...] = ()
    """Accuracy on D_P' of each run's selected epoch, a fraction; none of the generator's own labels."""

    @property
    def correct(self) -> NDArray[np.bool_]:
        return np.asarray(self.predictions == self.labels)

    @property
    def best(self) -> int:
        """Row of the most accurate run, the first of equals: what the paper's tables show (App. F)."""
        return int(self.correct.mean(axis=1).argmax())


def outcomes_of(results: Results, cells: Iterable[Cell]) -> dict[Key, Outcome]:
    """Predictions of every cell of the table, and the generator's own labels in its few-shot row."""
    groups: dict[Key, list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.train_source, cell.method, cell.benchmark), []).append(cell)
    outcomes = {}
    for name in dict.fromkeys(benchmark for _, _, benchmark in groups):
        benchmark = results.benchmark(name)
        if (guess := generated.own_labels(benchmark)) is not None:
            labels = benchmark.pools["test"].labels
            key = (*FEW_SHOT, name)
            outcomes[key] = Outcome((0,), 1, labels, guess[None], benchmark.classes, "complete", fixed=True)
    return {**outcomes, **{key: _outcome(results, group) for key, group in groups.items()}}


def _outcome(results: Results, group: list[Cell]) -> Outcome:
    found = [(cell.seed, r) for cell in group if (r := results.result(cell.spec)) is not None]
    reasons = [reason for cell in group if (reason := results.failure(cell.spec))]
    status = "complete" if len(found) == len(group) else f"{len(found)} of {len(group)} seeds"
    if status != "complete" and reasons:
        status = f"failed: {reasons[0]} ({status})"
    benchmark = results.benchmark(group[0].benchmark)
    labels = benchmark.pools["test"].labels
    guesses = [predicted_classes(result.test_probabilities) for _, result in found]
    predictions = np.array(guesses, dtype=np.int64).reshape(len(found), len(labels))
    seeds = tuple(seed for seed, _ in found)
    dev = tuple(result.selected.dev_accuracy for _, result in found)
    return Outcome(seeds, len(group), labels, predictions, benchmark.classes, status, dev=dev)


def measures(outcome: Outcome | None) -> dict[str, Any]:
    """Our columns of Table 1; empty without a run."""
    names = "best_accuracy best_macro_f1 mean_accuracy accuracy_low accuracy_high mean_macro_f1 n_seeds n_test".split()
    if outcome is None or not outcome.seeds:
        return {**dict.fromkeys(names, np.nan), "n_seeds": None if outcome is None else 0}
    scores = [macro_f1(outcome.labels, p, outcome.classes) for p in outcome.predictions]
    interval = intervals.mean_interval(outcome.correct).scaled(100)
    best = 100 * float(outcome.correct[outcome.best].mean()), 100 * scores[outcome.best]
    counts = len(outcome.seeds), len(outcome.labels)
    numbers = (*best, interval.mean, interval.low, interval.high, 100 * float(np.mean(scores)), *counts)
    return dict(zip(names, numbers, strict=True))


def comparison(ours: Outcome | None, theirs: Outcome | None) -> dict[str, Any]:
    """Ours minus theirs on the seeds that both have; the generator's labels meet every seed.

    ``p_mcnemar`` compares the two best runs, as the paper's tables do (which favours whoever drew more seeds);
    ``p_permutation`` swaps the methods per test example, over all shared seeds.
    """
    empty = dict.fromkeys(("mean", "low", "high", "n_seeds", "n_test", "p_mcnemar", "p_permutation"), np.nan)
    if ours is None or theirs is None:
        return {**empty, "status": "not run"}
    a, b = ours.correct, theirs.correct
    wanted, shared = ours.wanted, ours.seeds
    if theirs.fixed:
        b = np.repeat(b, len(a), axis=0)
    else:
        shared = tuple(seed for seed in ours.seeds if seed in theirs.seeds)
        wanted = max(ours.wanted, theirs.wanted)
        a, b = a[[ours.seeds.index(s) for s in shared]], b[[theirs.seeds.index(s) for s in shared]]
    status = "complete" if len(shared) == wanted else f"{len(shared)} of {wanted} seeds"
    if not shared:
        return {**empty, "n_seeds": 0, "status": status}
    interval = intervals.paired_interval(a, b).scaled(100)
    return {
        "mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n_seeds": len(shared),
        "n_test": a.shape[1],
        "p_mcnemar": significance.mcnemar(ours.correct[ours.best], theirs.correct[theirs.best]),
        "p_permutation": significance.paired_permutation(a, b),
        "status": status,
    }


def verdict(low: float, high: float, status: str) -> str:
    """:data:`RULE` applied to an interval; an incomplete comparison has no verdict."""
    if status != "complete":
        return "incomplete"
    return "holds" if low > 0 else "fails" if high < 0 else "inconclusive"
