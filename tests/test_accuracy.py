"""Accuracy and macro-F1 by hand and against scikit-learn; the error of macro-F1 against brute force; calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score

from paper_repro.measures.accuracy import accuracy, calibration, calibration_error, macro_f1, macro_f1_terms
from paper_repro.measures.intervals import mean_interval, paired_interval


def test_by_hand() -> None:
    # class 0: tp 2, fp 1, fn 0 -> 4/5; class 1: tp 1, fp 0, fn 1 -> 2/3; class 2: tp 1 -> 1
    assert macro_f1([0, 0, 1, 1, 2], [0, 0, 1, 0, 2], 3) == pytest.approx((4 / 5 + 2 / 3 + 1) / 3)
    assert accuracy([0, 0, 1, 1, 2], [0, 0, 1, 0, 2]) == pytest.approx(4 / 5)
    probabilities = [[0.6, 0.4], [0.2, 0.8], [0.5, 0.5]]  # the first of equals: class 0
    assert accuracy([0, 1, 1], probabilities) == pytest.approx(2 / 3)
    assert macro_f1([0, 1, 1], probabilities, 2) == pytest.approx(2 / 3)


def test_the_majority_row_of_table_1() -> None:
    """Hu et al. on large real Tweet Irony (60.33 / 37.63) is the classifier that always says non-irony."""
    labels, guess = np.repeat([0, 1], [473, 311]), np.zeros(784, int)
    assert (round(100 * accuracy(labels, guess), 2), round(100 * macro_f1(labels, guess, 2), 2)) == (60.33, 37.63)


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_parity_with_scikit_learn_on_absent_classes_and_answers_of_no_class(classes: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, guess = rng.integers(0, classes, size), rng.integers(-1, classes, size)
    expected = f1_score(labels, guess, labels=range(classes), average="macro", zero_division=0)
    assert macro_f1(labels, guess, classes) == pytest.approx(expected, abs=1e-12)
    assert accuracy(labels, guess) == accuracy_score(labels, guess)


@pytest.mark.parametrize(
    ("labels", "guess"), [([], []), ([0, 1], [0]), ([0, 2], [0, 1]), ([0, -1], [0, 1]), ([0, 1], [0, -2])]
)
def test_what_cannot_be_scored_is_refused(labels: list[int], guess: list[int]) -> None:
    with pytest.raises(ValueError, match="expected one each|must lie in 0 .. 1"):
        macro_f1(labels, guess, 2)


# ---------------------------------------------------------------- the error of macro-F1


def simulated(rng: np.random.Generator, texts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels of three unequal classes and the predictions of two methods, (2, 4 seeds, texts), seeds correlated."""
    labels = rng.choice(3, p=[0.6, 0.3, 0.1], size=texts)
    hard = rng.normal(size=texts)
    skill = np.array([0.9, 0.7])[:, None, None] + rng.normal(0, 0.15, (2, 4, 1))
    right = skill + rng.normal(0, 0.7, (2, 4, texts)) > hard
    return labels, np.where(right, labels, rng.integers(0, 3, (2, 4, texts)))


def test_terms_have_the_standard_error_of_a_bootstrap_over_texts() -> None:
    rng = np.random.default_rng(1)
    labels, (a, b) = simulated(rng, 400)
    scores, gaps = [], []
    for rows in rng.integers(400, size=(2000, 400)):
        one, other = (macro_f1(labels[rows], runs[0][rows], 3) for runs in (a, b))
        scores.append(one)
        gaps.append(one - other)
    first, second = macro_f1_terms(labels, a[0], 3), macro_f1_terms(labels, b[0], 3)
    assert first.shape == (1, 400)
    assert first.std() / 20 == pytest.approx(np.std(scores), rel=0.06)  # 2,000 draws: 1.6 %; the delta method: 1/N
    assert (first - second).std() / 20 == pytest.approx(np.std(gaps), rel=0.06)


def test_its_intervals_cover_over_seeds_and_texts() -> None:
    """Mean macro-F1 of four seeds and a difference of two methods, 600 experiments of fresh seeds and texts."""
    rng = np.random.default_rng(2)
    experiments = [simulated(rng, 500) for _ in range(600)]
    terms = [[macro_f1_terms(labels, runs, 3) for runs in both] for labels, both in experiments]
    truth = np.mean([[one.mean() for one in both] for both in terms], axis=0)
    alone = [mean_interval(a) for a, _ in terms]
    pairs = [paired_interval(a, b) for a, b in terms]
    for found, true in ((alone, truth[0]), (pairs, truth[0] - truth[1])):
        covered = np.mean([one.low <= true <= one.high for one in found])
        assert 0.935 - 0.03 <= covered <= 0.98 + 0.017  # three standard errors of 600 around 93.5 and 98 %


def test_terms_average_to_the_measure() -> None:
    labels, (a, _) = simulated(np.random.default_rng(0), 60)
    expected = [macro_f1(labels, run, 4) for run in a]  # of four classes, one of which never occurs
    assert macro_f1_terms(labels, a, 4).mean(axis=1) == pytest.approx(expected)


# ---------------------------------------------------------------- calibration


def test_calibration_bins_and_error_by_hand() -> None:
    confidence = [0.55, 0.6, 0.95, 0.95, 0.95, 0.95]
    correct = [True, False, True, True, True, False]
    found = calibration(confidence, correct)
    assert found[["n", "mean"]].to_numpy().tolist() == [[2, 0.5], [4, 0.75]]
    assert found["confidence"].tolist() == pytest.approx([0.575, 0.95])
    assert calibration_error(confidence, correct) == pytest.approx((2 * 0.075 + 4 * 0.2) / 6)
    assert calibration([0.0, 1.0], [False, True])["n"].tolist() == [1, 1]
    with pytest.raises(ValueError):
        calibration([1.2], [True])
