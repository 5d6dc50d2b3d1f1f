"""Tables from made-up runs: the paper beside ours, what is missing says so, and files that never change."""

from __future__ import annotations

import math
from pathlib import Path

import fake_runs
import numpy as np
import pandas as pd
import pytest

from paper_repro import tables
from paper_repro.measures import intervals
from paper_repro.paper import published
from paper_repro.paper.claims import jointly
from paper_repro.texts import generated
from paper_repro.tools.errors import UserError

GENERATED = "GPT-3.5 generated"
IMP = (GENERATED, "IMP-Loss (Ours)", "mrpc")


def workspace(kind: str = "real", **changes: object) -> fake_runs.FakeWorkspace:
    return fake_runs.FakeWorkspace(fake_runs.profile(kind), **changes)  # type: ignore[arg-type]


def row(frame: pd.DataFrame, source: str, method: str, benchmark: str) -> dict[str, object]:
    where = (frame["train_source"] == source) & (frame["method"] == method) & (frame["benchmark"] == benchmark)
    (only,) = tables.records(frame[where])
    return only


# ---------------------------------------------------------------- Table 1


def test_every_printed_row_stands_in_its_place_with_its_number() -> None:
    space = workspace()
    frame = tables.beside_paper(space, space.cells)
    printed = published.table("table1")
    ours = frame[frame["method"] != "SunGen"].reset_index(drop=True)
    assert ours[["train_source", "method", "benchmark"]].equals(printed[["train_source", "method", "benchmark"]])
    assert ours["paper_accuracy"].tolist() == printed["accuracy"].tolist()
    assert ours["paper_macro_f1"].tolist() == printed["macro_f1"].tolist()


def test_best_mean_and_interval_come_from_the_predictions() -> None:
    space = workspace()
    results = [r for c in space.cells if (c.train_source, c.method, c.benchmark) == IMP and (r := space.result(c.spec))]
    accuracies = [100 * intervals.accuracy(r.test_labels, r.test_probabilities) for r in results]
    f1 = [100 * intervals.macro_f1(r.test_labels, r.test_probabilities, 2) for r in results]
    ours = row(tables.beside_paper(space, space.cells), *IMP)
    assert ours["best_accuracy"] == pytest.approx(max(accuracies))
    assert ours["best_macro_f1"] == pytest.approx(f1[int(np.argmax(accuracies))])
    assert ours["mean_accuracy"] == pytest.approx(np.mean(accuracies))
    assert ours["mean_macro_f1"] == pytest.approx(np.mean(f1))
    assert ours["accuracy_low"] < ours["mean_accuracy"] < ours["accuracy_high"]  # type: ignore[operator]
    assert (ours["n_seeds"], ours["n_test"], ours["status"]) == (4, 400, "complete")


def test_rows_without_a_run_say_why_and_stay_empty() -> None:
    space = workspace()
    frame = tables.beside_paper(space, space.cells)
    for method, status in (("Hu et al.'s", "not run"), ("SunGen", "number not known")):
        rows = frame[frame["method"] == method]
        assert set(rows["status"]) == {status}
        assert rows[["best_accuracy", "mean_accuracy", "accuracy_low", "n_seeds"]].isna().all(axis=None)
    assert frame.loc[frame["method"] == "SunGen", "paper_accuracy"].isna().all()


def test_missing_and_failed_runs_are_never_complete() -> None:
    space = workspace(
        missing=frozenset({(*IMP, 3)}),
        broken=frozenset(
            {(GENERATED, "CE-Loss", "mrpc", 0), *(("Large real world", "CE-Loss", "mrpc", s) for s in range(4))}
        ),
    )
    frame = tables.beside_paper(space, space.cells)
    assert row(frame, *IMP)["status"] == "3 of 4 seeds"
    assert row(frame, *IMP)["n_seeds"] == 3
    assert row(frame, GENERATED, "CE-Loss", "mrpc")["status"] == "failed: non-finite loss at step 12 (3 of 4 seeds)"
    lost = row(frame, "Large real world", "CE-Loss", "mrpc")
    assert lost["status"] == "failed: non-finite loss at step 12 (0 of 4 seeds)"
    assert math.isnan(float(lost["mean_accuracy"])) and lost["n_seeds"] == 0  # type: ignore[arg-type]


def test_the_few_shot_row_is_the_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    space = workspace("miniature")
    ours = row(tables.beside_paper(space, space.cells), *tables.FEW_SHOT, "mrpc")
    assert ours["best_accuracy"] == ours["mean_accuracy"] == 75.0  # Q errs on every fourth text
    assert ours["reproduction"] == "the generator's own answer, argmax Q(y|x)"
    assert ours["n_seeds"] == 1

    space = workspace("real")
    no_predictions = row(tables.beside_paper(space, space.cells), *tables.FEW_SHOT, "mrpc")
    assert no_predictions["status"] == "no predictions for this test set"
    monkeypatch.setattr(generated, "own_labels", lambda benchmark: benchmark.pools["test"].labels)
    known = row(tables.beside_paper(space, space.cells), *tables.FEW_SHOT, "mrpc")
    assert known["best_accuracy"] == 100.0 and known["reproduction"] == generated.FEW_SHOT_GENERATOR


def test_only_the_miniature_world_has_an_oracle() -> None:
    for kind, present in (("miniature", True), ("real", False)):
        space = workspace(kind)
        assert tables.beside_paper(space, space.cells)["method"].str.startswith("Oracle").any() == present
        assert tables.claims(space, space.cells)["claim"].str.contains("true weights").any() == present


# ---------------------------------------------------------------- differences and claims


def test_differences_are_paired_with_ce_of_the_same_source() -> None:
    space = workspace()
    frame = tables.differences(space, space.cells)
    assert len(frame) == 3 * (2 + 4 + 3)  # three benchmarks; small, generated, large without CE
    assert set(frame["baseline"]) == {"CE-Loss", "CE-Loss (quality checker)"}
    table = tables.beside_paper(space, space.cells)
    ours = row(frame, *IMP)
    gap = row(table, *IMP)["mean_accuracy"] - row(table, GENERATED, "CE-Loss", "mrpc")["mean_accuracy"]  # type: ignore[operator]
    assert ours["mean"] == pytest.approx(gap)
    assert ours["low"] < ours["mean"] < ours["high"]  # type: ignore[operator]
    assert (ours["n_seeds"], ours["n_test"], ours["status"]) == (4, 400, "complete")
    assert 0 < float(ours["p_mcnemar"]) <= 1 and 0 < float(ours["p_permutation"]) <= 1  # type: ignore[arg-type]


def test_only_shared_seeds_are_compared() -> None:
    space = workspace(missing=frozenset({(*IMP, 0), (GENERATED, "CE-Loss", "mrpc", 3)}))
    ours = row(tables.differences(space, space.cells), *IMP)
    assert (ours["n_seeds"], ours["status"]) == (2, "2 of 4 seeds")
    nothing = workspace(missing=frozenset((*IMP, seed) for seed in range(4)))
    ours = row(tables.differences(nothing, nothing.cells), *IMP)
    assert math.isnan(float(ours["mean"])) and ours["status"] == "0 of 4 seeds"  # type: ignore[arg-type]


@pytest.mark.parametrize(("shift", "expected"), [(0.3, "holds"), (-0.3, "fails")])
def test_a_clear_difference_has_a_clear_verdict(shift: float, expected: str) -> None:
    space = workspace(shift={"IMP-Loss (Ours)": shift})
    frame = tables.claims(space, space.cells)
    ours = frame[(frame["claim"] == "Generated data: IMP beats CE") & (frame["benchmark"] == "mrpc")]
    assert ours["verdict"].tolist() == [expected]
    assert ours["paper_difference"].tolist() == pytest.approx([75.83 - 72])


def test_the_rule_by_hand() -> None:
    assert tables.verdict(0.1, 2.0, "complete") == "holds"
    assert tables.verdict(-2.0, -0.1, "complete") == "fails"
    assert tables.verdict(-0.1, 2.0, "complete") == tables.verdict(0.0, 2.0, "complete") == "cannot be told"
    assert tables.verdict(0.1, 2.0, "3 of 4 seeds") == "not complete"


def test_claims_against_the_generators_own_labels_use_every_seed() -> None:
    space = workspace("miniature")
    frame = tables.claims(space, space.cells)
    versus = frame[frame["versus_method"] == "GPT-3.5 few-shot"]
    assert len(versus) == 6 and set(versus["n_seeds"]) == {4} and set(versus["status"]) == {"complete"}
    irony_only = frame[frame["claim"] == "CE on generated data beats the quality checker"]
    assert irony_only["benchmark"].tolist() == ["tweet_irony"]


def test_a_gain_is_the_difference_of_two_differences() -> None:
    space = workspace()
    frame = tables.claims(space, space.cells)
    (ours,) = tables.records(
        frame[
            (frame["claim"] == "IMP gains less over CE on real than on generated data") & (frame["benchmark"] == "mrpc")
        ]
    )
    apart = tables.differences(space, space.cells)
    gains = [row(apart, source, IMP[1], "mrpc")["mean"] for source in (GENERATED, "Large real world")]
    assert ours["mean"] == pytest.approx(gains[0] - gains[1])  # type: ignore[operator]
    assert ours["paper_difference"] == pytest.approx((75.83 - 72) - (81.33 - 80.92))
    lacking = workspace(missing=frozenset(("Large real world", "CE-Loss", "mrpc", seed) for seed in range(4)))
    rest = tables.claims(lacking, lacking.cells)
    rest = rest[(rest["claim"] == ours["claim"]) & (rest["benchmark"] == "mrpc")]
    assert rest["verdict"].tolist() == ["not complete"]


def test_seeds_that_agree_vary_less() -> None:
    equal = intervals.log_spread_ratio([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0])
    assert equal.mean == pytest.approx(0)
    assert (
        equal.low == pytest.approx(-equal.high) == pytest.approx(-0.5 * math.log(15.4392), rel=1e-4)
    )  # F(3,3), 97.5 %
    wide = intervals.log_spread_ratio([0.0, 100.0, 200.0, 300.0], [1.0, 2.0, 3.0, 4.0])
    assert wide.mean == pytest.approx(math.log(100)) and wide.low > 0
    assert math.isnan(intervals.log_spread_ratio([1.0, 1.0], [1.0, 2.0]).mean)


def test_a_sentence_on_all_rows_is_no_more_than_its_rows() -> None:
    space = workspace(shift={"IMP-Loss (Ours)": 0.3, "DIMP-Loss (Ours)": 0.3})
    frame = tables.claims(space, space.cells)
    claim = "IMP and DIMP outperform every baseline on generated data"
    (together,) = tables.records(frame[frame["claim"] == claim])
    assert (together["benchmark"], together["verdict"]) == ("all", "holds")
    assert together["statistic"] == "its 12 rows: 12 hold"
    worse = workspace(shift={"IMP-Loss (Ours)": -0.3, "DIMP-Loss (Ours)": 0.3})
    frame = tables.claims(worse, worse.cells)
    (together,) = tables.records(frame[frame["claim"] == claim])
    assert together["verdict"] == "fails"


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({"holds": 3}, "holds"),
        ({"holds": 3, "cannot be told": 1}, "cannot be told"),
        ({"holds": 3, "not complete": 1}, "not complete"),
        ({"holds": 3, "not complete": 1, "fails": 1}, "fails"),
        ({}, "not complete"),
    ],
)
def test_all_of_them(verdicts: dict[str, int], expected: str) -> None:
    assert jointly(verdicts) == expected


# ---------------------------------------------------------------- runs


def test_runs_have_one_row_an_epoch_and_one_for_a_missing_run() -> None:
    space = workspace(missing=frozenset({(*IMP, 3)}), broken=frozenset({(*IMP, 2)}))
    frame = tables.runs(space, space.cells)
    assert len(frame) == (len(space.cells) - 2) * 5 + 2
    ours = frame[(frame["method"] == IMP[1]) & (frame["benchmark"] == "mrpc") & (frame["train_source"] == GENERATED)]
    assert ours["status"].value_counts().to_dict() == {
        "complete": 10,
        "missing": 1,
        "failed: non-finite loss at step 12": 1,
    }
    assert ours.loc[ours["selected"].fillna(False), "epoch"].tolist() == [5, 5]
    assert "seconds" not in frame, "wall times would make two equal runs differ"
    assert tables.timings(space, space.cells)["seconds_train"].tolist()[:1] == [12.25]


# ---------------------------------------------------------------- for the eye and on disk


def test_the_demo_says_that_the_papers_numbers_are_of_other_data() -> None:
    assert tables.OTHER_DATA in tables.title(fake_runs.profile("miniature"))
    assert tables.OTHER_DATA not in tables.title(fake_runs.profile("real"))


def test_side_by_side_shows_what_is_incomplete() -> None:
    space = workspace(missing=frozenset({(*IMP, 3)}))
    shown = tables.side_by_side(tables.beside_paper(space, space.cells))
    assert shown.loc[(GENERATED, "CE-Loss"), ("MRPC", "paper")] == "72.00 / 65.47"
    assert str(shown.loc[IMP[:2], ("MRPC", "mean [95 %]")]).endswith("(3 of 4 seeds)")
    assert shown.loc[(GENERATED, "Hu et al.'s"), ("MRPC", "mean [95 %]")] == "not run"
    assert shown.loc[(GENERATED, "SunGen"), ("MRPC", "paper")] == ""


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("first", "second"):
        space = workspace("miniature")
        for make in (tables.beside_paper, tables.differences, tables.claims, tables.runs):
            contents.append(
                tables.save(make(space, space.cells), tmp_path / name / f"{make.__name__}.csv").read_bytes()
            )
    assert contents[:4] == contents[4:]
    assert not [path.name for path in tmp_path.rglob(".*")], "no temporary file is left"


def test_saved_tables_come_back(tmp_path: Path) -> None:
    space = workspace(missing=frozenset({(*IMP, 3)}))
    for make in (tables.beside_paper, tables.differences, tables.runs):
        frame = make(space, space.cells)
        back = tables.load(tables.save(frame, tmp_path / "table.csv"))
        assert list(back) == list(frame)
        for name in frame.select_dtypes("float"):
            np.testing.assert_allclose(back[name].astype(float), frame[name], rtol=1e-5)


def test_no_minus_zero_and_unix_lines(tmp_path: Path) -> None:
    path = tables.save(pd.DataFrame({"x": [-0.0, 1 / 3], "y": ["a,b", None]}), tmp_path / "t.csv")
    assert path.read_bytes() == b'x,y\n0,"a,b"\n0.333333,\n'


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tables.save(pd.DataFrame({"x": [1]}), tmp_path / "t.csv")

    def disk_full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(UserError, match=r"t\.csv: cannot be written \(No space left on device\)"):
        tables.save(pd.DataFrame({"x": [2]}), path)
    assert path.read_text() == "x\n1\n" and [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no table .*table1.csv: run the notebook"):
        tables.load(tmp_path / "table1.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(UserError, match="empty.csv: not a table"):
        tables.load(tmp_path / "empty.csv")
