"""Each point's computation, on cases whose answer is known, and the thirteen points themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_repro.measures.accuracy import macro_f1
from paper_repro.paper.theory import slips


def test_there_are_thirteen_points_and_all_are_borne_out() -> None:
    frame = slips.table()
    assert frame["point"].tolist() == list(range(1, 14)) and frame["id"].tolist() == list(slips.CHECKS)
    assert (frame["result"] == "borne out").all() and set(frame["kind"]) == {"slip", "open point"}
    assert frame.notna().all(axis=None)


def test_the_counts_behind_printed_percentages() -> None:
    assert slips.counts_behind(69.28, 1725) == {"rounded": [1195], "truncated": []}  # 69.2754
    assert slips.counts_behind(68.82, 1725) == {"rounded": [], "truncated": []}  # between 1187 and 1188
    assert slips.counts_behind(82.09, 1212) == {"rounded": [], "truncated": [995]}  # 82.0957
    assert slips.counts_behind(50, 4) == {"rounded": [2], "truncated": [2]}


@given(st.integers(1, 2000), st.data())
def test_every_share_is_found_again(size: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, size))
    assert right in slips.counts_behind(round(100 * right / size, 2), size)["rounded"]


@given(*[st.integers(0, 50)] * 4)
def test_macro_f1_of_two_classes_is_never_above_accuracy(tn: int, fp: int, fn: int, tp: int) -> None:
    if tn + fp + fn + tp:
        f1, accuracy = slips.two_class_scores(np.array([[tn], [tp]]), fp + fn)
        assert f1.mean() <= accuracy[0] + 1e-9
        labels, said = np.repeat([0, 0, 1, 1], [tn, fp, fn, tp]), np.repeat([0, 1, 0, 1], [tn, fp, fn, tp])
        assert f1.mean() == pytest.approx(100 * macro_f1(labels, said, 2))


def test_the_largest_excess_is_nothing() -> None:
    assert slips.largest_excess(8) == 0


def test_tables_with_the_printed_accuracy() -> None:
    right, f1 = slips.confusions("mrpc", 69.28)
    assert (right.sum(axis=0) == 1195).all() and (right <= [[578], [1147]]).all()
    assert right[:, slips.prints_as(f1[1], 71.75)].T.tolist() == [[522, 673]]


def test_a_printed_number_is_looked_up_once() -> None:
    assert slips.value("table2", method="ce", benchmark="mrpc", model_size="large") == 74.2
    assert slips.value("table1", method="ce", benchmark="mrpc", train_source="generated") == 72
    with pytest.raises(ValueError, match="2 rows"):
        slips.value("table1", method="ce", benchmark="mrpc")
