"""Rank statistics: the area under the ROC curve and Spearman's correlation, against scikit-learn, SciPy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.metrics import roc_auc_score

from paper_repro.measures.ranks import auroc, order_interval, placements, spearman, spearman_interval

SCORES = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=20)


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=30))
@settings(deadline=None)
def test_spearman_agrees_with_scipy_ties_included(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs).T
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert math.isnan(spearman(a, b))
    else:
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


@given(above=SCORES, below=SCORES)
def test_the_area_is_scikit_learns_ties_included(above: list[float], below: list[float]) -> None:
    expected = roc_auc_score([1] * len(above) + [0] * len(below), above + below)
    found = auroc(above, below)
    assert found.mean == pytest.approx(expected)
    assert 0 <= found.low <= found.mean + 1e-9 and found.mean - 1e-9 <= found.high <= 1
    over, under = placements(np.array(above), np.array(below))
    assert over.mean() == pytest.approx(expected) and under.mean() == pytest.approx(expected)
    assert auroc(below, above).mean == pytest.approx(1 - expected)


def test_placements_by_hand() -> None:
    over, under = placements(np.array([3.0, 1.0]), np.array([0.0, 1.0, 2.0]))
    assert over.tolist() == pytest.approx([1, 0.5])  # 3 is above all; 1 above 0 and level with 1
    assert under.tolist() == pytest.approx([1, 0.75, 0.5])


def test_no_doubt_where_the_groups_are_apart_and_chance_where_all_is_equal() -> None:
    apart = auroc(np.full((4, 30), 2.0), np.full((4, 20), 1.0))
    assert (apart.mean, apart.low, apart.high) == (1, 1, 1)
    equal = auroc(np.zeros((4, 30)), np.zeros((4, 20)))
    assert (equal.mean, equal.low, equal.high) == (0.5, 0.5, 0.5)


def test_one_run_has_delongs_interval() -> None:
    rng = np.random.default_rng(1)
    above, below = rng.normal(0.8, 1, 300), rng.normal(0, 1, 200)
    over, under = placements(above, below)
    error = np.sqrt(over.var(ddof=1) / 300 + under.var(ddof=1) / 200)
    found = auroc(above, below)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.01)


def test_copies_are_compared_one_by_one_and_add_no_certainty() -> None:
    rng = np.random.default_rng(2)
    above, below = rng.normal(0.5, 1, (3, 200)), rng.normal(0, 1, (3, 150))
    once, twice = auroc(above, below), auroc(above, np.stack([below, below], axis=2))
    assert (twice.mean, twice.low, twice.high) == pytest.approx((once.mean, once.low, once.high))
    different = np.stack([below, below + 10], axis=2)
    assert auroc(above, different).mean == pytest.approx(once.mean / 2), "of the second copies none is below"


def test_seeds_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    above, below = rng.normal(0, 1, (4, 500)), rng.normal(0, 1, (4, 500))
    apart = above + np.array([[0.0], [0.5], [1.0], [1.5]])
    alike, other = auroc(above + 0.75, below), auroc(apart, below)
    assert other.high - other.low > 2 * (alike.high - alike.low)


@pytest.mark.parametrize(
    ("above", "below"),
    [(np.ones((2, 3)), np.ones((3, 3))), (np.ones((2, 0)), np.ones((2, 3))), ([1.0, np.nan], [1.0])],
)
def test_what_cannot_be_compared_is_refused(above: ArrayLike, below: ArrayLike) -> None:
    with pytest.raises(ValueError, match="expected numbers|same seeds"):
        auroc(above, below)


# ---------------------------------------------------------------- correlations over few points


def test_the_interval_of_a_rank_correlation_by_hand() -> None:
    """Six points with one swap of neighbours: rho = 1 - 6 * 2 / 210; Fieller's variance of z is 1.06 / 3."""
    found = spearman_interval([(range(6), [0, 1, 2, 3, 5, 4])])
    rho, reach = 1 - 12 / 210, 1.959964 * np.sqrt(1.06 / 3)
    assert found.mean == pytest.approx(rho)
    assert (found.low, found.high) == pytest.approx(
        (np.tanh(np.arctanh(rho) - reach), np.tanh(np.arctanh(rho) + reach))
    )
    perfect = spearman_interval([(range(6), range(6))])
    assert perfect.mean == 1 and found.low < perfect.low < 1, "a perfect order has an interval, too"
    assert spearman_interval([(range(6), range(5, -1, -1))]).high == pytest.approx(-perfect.low)
    twice = spearman_interval([(range(6), [0, 1, 2, 3, 5, 4])] * 2)
    assert twice.mean == pytest.approx(rho) and twice.low == pytest.approx(
        np.tanh(np.arctanh(rho) - reach / np.sqrt(2))
    )
    assert np.isnan(spearman_interval([([1, 2, 3], [1, 2, 3])]).mean), "three points have no interval"


@pytest.mark.parametrize(("rho", "count"), [(0.0, 6), (0.9, 6), (0.5, 12)])
def test_it_covers_what_it_says_within_a_few_per_cent(rho: float, count: int) -> None:
    """Normal pairs, whose Spearman correlation is 6/pi arcsin(rho/2)."""
    rng, truth, covered = np.random.default_rng(0), 6 / np.pi * np.arcsin(rho / 2), 0
    for _ in range(1500):
        a, b = rng.normal(size=(2, count))
        found = spearman_interval([(a, rho * a + np.sqrt(1 - rho**2) * b)])
        covered += found.low <= truth <= found.high
    assert 0.91 <= covered / 1500 <= 0.99


def test_the_order_of_groups_with_known_levels() -> None:
    clear = order_interval([[0.0, 0.1], [1.0, 1.1], [2.0, 2.1]], [1, 2, 3])
    assert (clear.mean, clear.low, clear.high) == (1, 1, 1)
    # The first mean drawn is 0, 1 or 2 in 1, 2, 1 of four cases: rho is 1, that of a tie, and that of one swap.
    vague = order_interval([[0, 2], [1, 1], [3, 3]], [1, 2, 3])
    assert (vague.mean, vague.low, vague.high) == pytest.approx((np.sqrt(3) / 2, 0.5, 1))
    assert np.isnan(order_interval([[1.0], [2.0]], [1, 2]).mean)
