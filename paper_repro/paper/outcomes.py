"""What the seeds of a table's cells predicted on the test set, and how two rows of a table are compared and judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_repro.measures import intervals
from paper_repro.measures.accuracy import macro_f1_terms
from paper_repro.measures.intervals import Interval
from paper_repro.paper.cells import Cell, grouped
from paper_repro.runs.results import Results
from paper_repro.texts import generated

FEW_SHOT = ("dev", "few_shot")
RULE = (
    "A claim holds if the paired 95 % interval of the difference lies above zero, fails if it lies below, "
    "and is otherwise inconclusive at this number of seeds and test examples. One seed alone decides nothing."
)
VERDICTS = ("holds", "fails", "inconclusive", "incomplete")
OPPOSITE = {"holds": "fails", "fails": "holds"}
Key = tuple[str, str, str]
"""train_source, method, benchmark."""
UNKNOWN = Interval(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Outcome:
    """What the seeds of one cell of the table predicted on the test set.

    ``seeds`` are those whose runs are there, of the ``planned`` ones; ``predictions`` (seeds, examples) are their
    classes, ``labels`` (examples,) the true ones.
    """

    seeds: tuple[int, ...]
    planned: tuple[int, ...]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    classes: int
    status: str
    fixed: bool = False
    """One set of predictions without a seed: the generator's own labels."""
    dev: tuple[float, ...] = ()
    """Accuracy on D_P' of each run's selected epoch, a fraction; none of the generator's own labels."""

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        return np.asarray(self.predictions == self.labels)

    @cached_property
    def macro_f1_terms(self) -> NDArray[np.float64]:
        """(seeds, examples), with the macro-F1 of each run as the mean of its row."""
        return macro_f1_terms(self.labels, self.predictions, self.classes)

    @property
    def best(self) -> int:
        """Row of the most accurate run, the first of equals: what the paper's tables show (App. F)."""
        return int(self.correct.mean(axis=1).argmax())

    @property
    def majority(self) -> int:
        """How many runs answer every text with the test set's most frequent class."""
        return int((self.predictions == np.bincount(self.labels).argmax()).all(axis=1).sum())

    def rows(self, seeds: Sequence[int]) -> list[int]:
        """The rows of ``predictions`` of these seeds; a fixed set of predictions meets every seed."""
        return [0 if self.fixed else self.seeds.index(seed) for seed in seeds]


def outcomes_of(results: Results, cells: Iterable[Cell]) -> dict[Key, Outcome]:
    """Predictions of every cell of the table, and the generator's own labels in its few-shot row."""
    groups, outcomes = grouped(cells, "train_source", "method", "benchmark"), dict[Key, Outcome]()
    for name in dict.fromkeys(benchmark for _, _, benchmark in groups):
        benchmark = results.benchmark(name)
        if (guess := generated.own_labels(benchmark)) is not None:
            labels = benchmark.pools["test"].labels
            key = (*FEW_SHOT, name)
            outcomes[key] = Outcome((0,), (0,), labels, guess[None], benchmark.classes, "complete", fixed=True)
    return outcomes | {(a, b, c): _outcome(results, group) for (a, b, c), group in groups.items()}


def _outcome(results: Results, group: list[Cell]) -> Outcome:
    found = [(cell.seed, r) for cell in group if (r := results.result(cell.spec)) is not None]
    reasons = [reason for cell in group if (reason := results.failure(cell.spec))]
    status = seeds_status(len(found), len(group))
    if status != "complete" and reasons:
        status = f"failed: {reasons[0]} ({status})"
    benchmark = results.benchmark(group[0].benchmark)
    labels = benchmark.pools["test"].labels
    guesses = [result.test_probabilities.argmax(axis=1) for _, result in found]
    return Outcome(
        tuple(seed for seed, _ in found),
        tuple(cell.seed for cell in group),
        labels,
        np.array(guesses, dtype=np.int64).reshape(len(found), len(labels)),
        benchmark.classes,
        status,
        dev=tuple(result.selected.dev_accuracy for _, result in found),
    )


def seeds_status(found: int, planned: int) -> str:
    return "complete" if found == planned else f"{found} of {planned} seeds"


def measures(outcome: Outcome | None) -> dict[str, Any]:
    """Our columns of Table 1; empty without a run. ``n_majority`` counts the runs that only know one class."""
    names = (
        "best_accuracy best_macro_f1 mean_accuracy accuracy_low accuracy_high mean_macro_f1 macro_f1_low macro_f1_high "
        "n_seeds n_test n_majority"
    ).split()
    if outcome is None or not outcome.seeds:
        return {**dict.fromkeys(names, np.nan), "n_seeds": None if outcome is None else 0}
    correct, terms = outcome.correct, outcome.macro_f1_terms
    best = (100 * float(values[outcome.best].mean()) for values in (correct, terms))
    means = (intervals.mean_interval(values).scaled(100) for values in (correct, terms))
    numbers = [*best, *(number for m in means for number in (m.mean, m.low, m.high))]
    return dict(zip(names, [*numbers, *correct.shape, outcome.majority], strict=True))


def comparison(ours: Outcome | None, theirs: Outcome | None) -> dict[str, Any]:
    """Ours minus theirs in points of accuracy, and in points of macro-F1 (the columns ``f1_...``), with verdicts.

    Runs are paired on the seeds that both have; the generator's labels meet every seed. The comparison is complete
    when it has all seeds that both rows *plan*: a row of four seeds is not incomplete because its rival has two.
    """
    empty = {**judged(UNKNOWN, 0, 1), "n_seeds": np.nan, "n_test": np.nan}
    unknown_f1 = _of_f1(judged(UNKNOWN, 0, 1))
    if ours is None or theirs is None:
        return {**empty, **unknown_f1, "status": "not run"}
    shared = [seed for seed in ours.seeds if theirs.fixed or seed in theirs.seeds]
    planned = sum(theirs.fixed or seed in theirs.planned for seed in ours.planned)
    if not shared:
        return {**empty, **unknown_f1, "n_seeds": 0, "status": f"0 of {planned} seeds"}
    a, b = ours.rows(shared), theirs.rows(shared)
    difference, f1_difference = (
        judged(intervals.paired_interval(ours_[a], theirs_[b]).scaled(100), len(shared), planned)
        for ours_, theirs_ in ((ours.correct, theirs.correct), (ours.macro_f1_terms, theirs.macro_f1_terms))
    )
    return {**difference, "n_test": len(ours.labels), **_of_f1(f1_difference)}


def shared(outcomes: Mapping[Key, Outcome], keys: Sequence[Key]) -> tuple[list[int], list[NDArray[np.bool_]], int]:
    """The seeds that the rows ``keys`` all have, for each row whether its runs were right (seeds, examples), and how
    many seeds all of them plan. Nothing and none where one of the rows is missing."""
    rows = [outcomes[key] for key in keys if key in outcomes]
    if len(rows) < len(keys):
        return [], [], 0
    seeds = sorted(set.intersection(*(set(row.seeds) for row in rows)))
    planned = set.intersection(*(set(row.planned) for row in rows))
    return seeds, [row.correct[row.rows(seeds)] for row in rows], len(planned)


def gain_difference(
    outcomes: Mapping[Key, Outcome], method: str, benchmark: str, source: str, other: str
) -> dict[str, Any]:
    """What ``method`` gains over CE on ``source`` minus what it gains on ``other``, in points, as :func:`judged`."""
    keys = [(pool, row, benchmark) for pool in (source, other) for row in (method, "ce")]
    seeds, correct, planned = shared(outcomes, keys)
    if not correct:
        return {**judged(UNKNOWN, 0, 1), "status": "not run"}
    a, b, c, d = (values.astype(float) for values in correct)
    interval = intervals.paired_interval(a - b, c - d).scaled(100) if seeds else UNKNOWN
    return {**judged(interval, len(seeds), planned), "n_test": a.shape[1]}


def _of_f1(columns: dict[str, Any]) -> dict[str, Any]:
    return {f"f1_{name}": columns[name] for name in ("mean", "low", "high", "p_value", "verdict")}


def judged(interval: Interval, found: int, planned: int) -> dict[str, Any]:
    """An interval over the seeds as columns: mean, low, high, p_value, n_seeds, status and verdict.

    ``found`` of ``planned`` seeds are behind it. A single seed has no verdict, and the status says so.
    """
    status = seeds_status(found, planned)
    answer = verdict(interval.low, interval.high, status)
    if status == "complete" and found < 2:
        status, answer = "one seed: no verdict", "inconclusive"
    numbers = {"mean": interval.mean, "low": interval.low, "high": interval.high, "p_value": interval.p_value}
    return {**numbers, "n_seeds": found, "status": status, "verdict": answer}


def verdict(low: float, high: float, status: str = "complete") -> str:
    """:data:`RULE` applied to an interval; what is not complete has no verdict."""
    if status != "complete":
        return "incomplete"
    return "holds" if low > 0 else "fails" if high < 0 else "inconclusive"
