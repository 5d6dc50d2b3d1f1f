"""Each point's computation, on cases whose answer is known, and the thirteen points themselves."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_repro.measures import intervals
from paper_repro.measures.accuracy import accuracy, macro_f1
from paper_repro.paper.theory import slips
from paper_repro.paper.theory.slips import checks

cells = st.integers(0, 50)


def test_there_are_thirteen_points_and_all_are_borne_out() -> None:
    frame = slips.table()
    assert frame["point"].tolist() == list(range(1, 14))
    assert (frame["result"] == "borne out").all()
    assert set(frame["kind"]) == {"slip", "open point"}
    assert frame.notna().all(axis=None) and (frame.drop(columns="point") != "").all(axis=None)


def test_each_point_names_the_function_that_checks_it() -> None:
    for name in slips.table()["check"]:
        module, function = name.rsplit(".", 1)
        check: Callable[[], slips.Point] = getattr(importlib.import_module(module), function)
        assert isinstance(check(), slips.Point) and check.__doc__


def test_the_counts_behind_printed_percentages() -> None:
    assert checks.hits(69.28, 1725) == {"rounded": [1195], "truncated": []}  # 69.2754
    assert checks.hits(68.82, 1725) == {"rounded": [], "truncated": []}  # between 1187 and 1188
    assert checks.hits(82.09, 1212) == {"rounded": [], "truncated": [995]}  # 82.0957
    assert checks.hits(50, 4) == {"rounded": [2], "truncated": [2]}


@given(st.integers(1, 2000), st.data())
def test_every_share_is_found_again(size: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, size))
    assert right in checks.hits(round(100 * right / size, 2), size)["rounded"]


@given(cells, cells, cells, cells)
def test_macro_f1_of_two_classes_is_never_above_accuracy(tn: int, fp: int, fn: int, tp: int) -> None:
    if tn + fp + fn + tp:
        table = checks.Confusion((tn, tp), (tn + fp, fn + tp))
        assert table.macro_f1 <= table.accuracy + 1e-9


def test_the_largest_excess_is_zero_and_three_classes_can() -> None:
    assert checks.largest_excess(12) == 0
    share, f1 = checks.three_classes_can()
    assert f1 > share


def test_a_table_scores_as_the_package_scores_its_texts() -> None:
    table = checks.Confusion((3, 4), (5, 7))
    labels, guesses = np.repeat([0, 1], [5, 7]), np.r_[[0] * 3, [1] * 2, [1] * 4, [0] * 3]
    assert table.accuracy == pytest.approx(100 * accuracy(labels, guesses))
    assert table.macro_f1 == pytest.approx(100 * macro_f1(labels, guesses, 2))


def test_tables_with_the_printed_accuracy() -> None:
    for table in checks.confusions("mrpc", 69.28):
        assert sum(table.right) == 1195 and table.counts == (578, 1147)
        assert 0 <= table.right[0] <= 578 and 0 <= table.right[1] <= 1147
    fitting = [t for t in checks.confusions("mrpc", 69.28) if checks.same(t.f1[1], 71.75)]
    assert [t.right for t in fitting] == [(522, 673)]


def test_the_majority_of_tweet_irony() -> None:
    majority = checks.Confusion((473, 0), (473, 311))
    assert (round(majority.accuracy, 2), round(majority.macro_f1, 2)) == (60.33, 37.63)


def test_expected_maxima_of_normals() -> None:
    assert intervals.expected_maximum(1) == pytest.approx(0, abs=1e-9)
    assert intervals.expected_maximum(2) == pytest.approx(1 / np.sqrt(np.pi))
    assert intervals.expected_maximum(3) == pytest.approx(1.5 / np.sqrt(np.pi))
    assert intervals.expected_maximum(4) == pytest.approx(1.0294, abs=1e-4)
    assert intervals.expected_maximum(32) == pytest.approx(2.0697, abs=1e-4)


def test_standard_errors_and_z_values() -> None:
    assert checks.standard_error(80, 1212) == pytest.approx(1.149, abs=1e-3)
    assert checks.z_value(82.09, 81.35, 1212) == pytest.approx(0.47, abs=0.005)
    assert checks.z_value(81.89, 77.68, 784) == pytest.approx(2.08, abs=0.005)
    assert checks.z_value(50, 50, 10) == 0


def test_a_printed_number_is_looked_up_once() -> None:
    assert checks.accuracy_of("table2", "mrpc", "CE-Loss", model_size="large") == 74.2
    with pytest.raises(ValueError, match="2 rows for 'CE-Loss'"):
        checks.accuracy_of("table1", "mrpc", "CE-Loss")


def test_an_accuracy_is_ambiguous_without_its_source() -> None:
    generated = checks.accuracy_of("table1", "mrpc", "CE-Loss", train_source="GPT-3.5 generated")
    assert generated == 72
