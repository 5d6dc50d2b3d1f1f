"""P values: McNemar's by hand, and Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from paper_repro.measures.significance import holm, mcnemar


def runs_with(only_a: int, only_b: int, both: int = 5) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    a = np.r_[np.ones(only_a), np.zeros(only_b), np.ones(both)].astype(bool)
    b = np.r_[np.zeros(only_a), np.ones(only_b), np.ones(both)].astype(bool)
    return a, b


def test_mcnemar_by_hand() -> None:
    assert mcnemar(*runs_with(8, 2)) == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert mcnemar(*runs_with(2, 8)) == mcnemar(*runs_with(8, 2))
    assert mcnemar(*runs_with(3, 3)) == mcnemar(*runs_with(0, 0)) == 1.0


@pytest.mark.parametrize(("a", "b"), [((5,), (6,)), ((4, 5), (4, 5))])
def test_mcnemar_takes_one_run_each(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one run each on shared texts"):
        mcnemar(np.ones(a), np.ones(b))


def test_holm_by_hand() -> None:
    """Sorted, the smallest of four times 4, the next times 3, ..., never falling, never above 1."""
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]).tolist() == [1, 1]
    assert holm([]).size == 0
    found = holm([np.nan, 0.02, np.nan, 0.01])
    assert found[[1, 3]].tolist() == pytest.approx([0.02, 0.02]) and np.isnan(found[[0, 2]]).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferronis(p: list[float]) -> None:
    found = holm(p)
    assert (found >= np.array(p)).all() and (found <= np.minimum(len(p) * np.array(p), 1)).all()
    assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all(), "the order stays"


def test_holm_keeps_the_error_of_many_true_hypotheses() -> None:
    """12 equal methods: some p value is below 0.05 in 1 - 0.95^12 = 46 % of experiments, corrected in 5 %."""
    p = np.random.default_rng(0).random((4000, 12))
    corrected = np.array([holm(row) for row in p])
    assert (p.min(axis=1) < 0.05).mean() == pytest.approx(1 - 0.95**12, abs=0.03)
    assert (corrected.min(axis=1) < 0.05).mean() == pytest.approx(0.05, abs=0.012)
