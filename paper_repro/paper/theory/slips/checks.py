"""What the slips are checked with: numbers that a test set can give, tables of right and wrong, chance alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from paper_repro.paper import published

TEST_LABELS = {"tweet_irony": (473, 311), "mrpc": (578, 1147)}
"""Texts of each class, 0 first, in the public test sets (TweetEval irony, MSR Paraphrase Corpus)."""

PRINTED = ("table1", "table2", "table4")


def test_size(benchmark: str) -> int:
    """Texts in the paper's test set (Table 5)."""
    return split_size("test", benchmark)


def split_size(split: str, benchmark: str) -> int:
    """Texts in "train", "dev", "test" or "generated" of the paper's benchmark (Table 5)."""
    sizes = published.table("table5").set_index("split")[benchmark]
    return int(sizes.to_dict()[split])


def hits(printed: float, size: int) -> dict[str, list[int]]:
    """How many of ``size`` answers may have been right for a printed percentage, by how it may have been cut.

    "rounded" and "truncated" to two decimals; numbers that end in a zero are printed without it.
    """
    shares = 100 * np.arange(size + 1) / size
    slack = 1e-9
    rounded = np.flatnonzero(np.abs(shares - printed) <= 0.005 + slack)
    truncated = np.flatnonzero((shares - printed >= -slack) & (shares - printed < 0.01 - slack))
    return {"rounded": rounded.tolist(), "truncated": truncated.tolist()}


@dataclass(frozen=True)
class Confusion:
    """Right answers by class, out of ``counts`` texts of each; the rest are wrong (two classes)."""

    right: tuple[int, int]
    counts: tuple[int, int]

    @property
    def accuracy(self) -> float:
        """Per cent."""
        return 100 * sum(self.right) / sum(self.counts)

    @property
    def f1(self) -> tuple[float, float]:
        """F1 of each class in per cent; 0 for a class that is never named rightly."""
        wrong = sum(self.counts) - sum(self.right)
        scores = [100 * 2 * k / (2 * k + wrong) if k else 0.0 for k in self.right]
        return scores[0], scores[1]

    @property
    def macro_f1(self) -> float:
        return sum(self.f1) / 2


def confusions(benchmark: str, accuracy: float) -> Iterator[Confusion]:
    """All tables with the test set's class counts and the printed accuracy, rounded or truncated."""
    first, second = TEST_LABELS[benchmark]
    found = hits(accuracy, first + second)
    for right in sorted({*found["rounded"], *found["truncated"]}):
        for of_first in range(max(0, right - second), min(first, right) + 1):
            yield Confusion((of_first, right - of_first), (first, second))


def same(value: float, printed: float) -> bool:
    """Whether a value can be printed so, rounded or truncated to two decimals."""
    return abs(value - printed) <= 0.005 + 1e-9 or -1e-9 <= value - printed < 0.01 - 1e-9


def binary_rows() -> list[dict[str, object]]:
    """Every printed pair of accuracy and F1 on a benchmark of two classes: table, its columns."""
    rows: list[dict[str, object]] = []
    for name in ("table1", "table4"):
        frame = published.table(name)
        for row in frame[frame["benchmark"].isin(list(TEST_LABELS))].to_dict("records"):
            rows.append({"table": name, **{str(key): value for key, value in row.items()}})
    return rows


def largest_excess(size: int) -> float:
    """The largest macro-F1 minus accuracy, in points, over all tables of two classes with up to ``size`` texts.

    Never above 0. With E errors, f(t) = t / (t + E) is concave; the two F1 are f(2 TP) and f(2 TN), the accuracy
    is f(TP + TN), so the mean of the first two cannot exceed the last (Jensen).
    """
    worst = -np.inf
    for wrong in range(size + 1):
        rights = np.arange(size - wrong + 1)
        tp, tn = np.meshgrid(rights, rights)
        kept = (tp + tn + wrong <= size) & (tp + tn + wrong > 0)
        worst = max(worst, float(_excess(tp[kept], tn[kept], wrong).max(initial=-np.inf)))
    return worst


def _excess(tp: NDArray[np.int64], tn: NDArray[np.int64], wrong: int) -> NDArray[np.float64]:
    """Points of macro-F1 above accuracy; an F1 of 0/0 counts as 0."""
    f1 = [np.where(k > 0, 2 * k / np.maximum(2 * k + wrong, 1), 0.0) for k in (tp, tn)]
    value: NDArray[np.float64] = 100 * ((f1[0] + f1[1]) / 2 - (tp + tn) / (tp + tn + wrong))
    return value


def three_classes_can() -> tuple[float, float]:
    """Accuracy and macro-F1 (per cent) of a table of three classes whose macro-F1 is the higher, found by search.

    Two small classes have no error, some texts of a large one are taken for one of them.
    """
    best = (0.0, 0.0)
    for wrong, (small, large) in product(range(1, 6), [(5, 20), (5, 40), (2, 40)]):
        f1 = [2 * small / (2 * small + wrong), 1.0, 2 * (large - wrong) / (2 * large - wrong)]
        accuracy = 100 * (2 * small + large - wrong) / (2 * small + large)
        if 100 * sum(f1) / 3 - accuracy > best[1] - best[0]:
            best = (accuracy, 100 * sum(f1) / 3)
    return best


def standard_error(accuracy: float, size: int) -> float:
    """Points of one standard error of an accuracy in per cent on ``size`` texts."""
    return 100 * sqrt(accuracy / 100 * (1 - accuracy / 100) / size)


def z_value(a: float, b: float, size: int) -> float:
    """(a - b) over its standard error for two accuracies in per cent, taken as independent."""
    return (a - b) / sqrt(standard_error(a, size) ** 2 + standard_error(b, size) ** 2)


def accuracy_of(table: str, benchmark: str, method: str, **where: str) -> float:
    """A printed accuracy in per cent; ``where`` are further columns, such as train_source or model_size."""
    frame = published.table(table)
    for column, value in {"benchmark": benchmark, "method": method, **where}.items():
        frame = frame[frame[column] == value]
    if len(frame) != 1:
        raise ValueError(f"{table}: {len(frame)} rows for {method!r} on {benchmark!r}; expected one")
    return float(frame["accuracy"].iloc[0])
