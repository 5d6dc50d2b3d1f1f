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

from paper_repro.measures.ranks import auroc, placements, spearman

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
