"""Accuracy and macro-F1 against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from paper_repro.measures.accuracy import accuracy, macro_f1


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(5))
def test_parity_with_sklearn(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, 57)
    predictions = np.where(rng.random(57) < 0.6, labels, rng.integers(0, classes, 57))
    assert accuracy(labels, predictions) == pytest.approx(accuracy_score(labels, predictions))
    assert macro_f1(labels, predictions, classes) == pytest.approx(f1_score(labels, predictions, average="macro"))


def test_by_hand() -> None:
    # Class 0: TP 2, FP 1, FN 0 -> 4/5; class 1: TP 1, FP 0, FN 1 -> 2/3; class 2: TP 1 -> 1.
    assert macro_f1([0, 0, 1, 1, 2], [0, 0, 1, 0, 2], 3) == pytest.approx((4 / 5 + 2 / 3 + 1) / 3)
    assert accuracy([0, 0, 1, 1, 2], [0, 0, 1, 0, 2]) == pytest.approx(4 / 5)


def test_a_class_that_never_occurs_counts_as_zero() -> None:
    expected = f1_score([0, 1, 1], [0, 1, 1], labels=[0, 1, 2], average="macro", zero_division=0)
    assert macro_f1([0, 1, 1], [0, 1, 1], 3) == pytest.approx(2 / 3) == expected


def test_the_all_majority_classifier_of_table_1() -> None:
    """Hu et al. on large real Tweet Irony, 60.33 / 37.63, is 473 of 784 by the majority class alone."""
    labels = np.repeat([0, 1], [473, 311])
    assert round(100 * accuracy(labels, np.zeros(784, int)), 2) == 60.33
    assert round(100 * macro_f1(labels, np.zeros(784, int), 2), 2) == 37.63


@pytest.mark.parametrize(("labels", "predictions"), [([0, 1], [0]), ([], []), ([[0, 1]], [[0, 1]])])
def test_shapes_that_do_not_fit(labels: list[int], predictions: list[int]) -> None:
    for measure in (lambda: accuracy(labels, predictions), lambda: macro_f1(labels, predictions, 2)):
        with pytest.raises(ValueError, match="must be equally long and not empty"):
            measure()
