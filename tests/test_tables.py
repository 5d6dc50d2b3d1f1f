"""Tables and claims from made-up runs: the paper beside ours, what is missing says so, and files that never change."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import fake_runs
import numpy as np
import pandas as pd
import pytest

from paper_repro.measures import accuracy
from paper_repro.measures.intervals import Interval, paired_interval
from paper_repro.method import losses, registry
from paper_repro.method.record import Method
from paper_repro.paper import csv_files, published, run_table, views
from paper_repro.paper.beside_paper import beside_paper, differences
from paper_repro.paper.claims import conjunction, in_all, jointly
from paper_repro.paper.outcomes import FEW_SHOT, Outcome, comparison, judged, measures, verdict
from paper_repro.paper.table1.cells import table1
from paper_repro.paper.table1.claims import claims
from paper_repro.paper.table1.figures import figure1
from paper_repro.paper.table_dots import table_dots
from paper_repro.texts import generated
from paper_repro.tools.errors import UserError

IMP, CE = ("generated", "imp", "mrpc"), ("generated", "ce", "mrpc")
SEEDS = range(4)


def fake(kind: str = "real", **changes: Any) -> fake_runs.FakeResults:
    return fake_runs.FakeResults(fake_runs.profile(kind), **changes)


def row(frame: pd.DataFrame, *values: str, **others: str) -> dict[str, Any]:
    """The only row with these train_source, method and benchmark, or these columns."""
    for name, value in {**dict(zip(("train_source", "method", "benchmark"), values, strict=False)), **others}.items():
        frame = frame[frame[name] == value]
    (only,) = csv_files.records(frame)
    return only


def test_every_printed_row_stands_in_its_place_with_its_number() -> None:
    results = fake()
    frame, printed = beside_paper(results, results.cells), published.table("table1")
    ours = frame[frame["method"] != "sungen_camera_ready"].reset_index(drop=True)
    assert ours[["train_source", "method", "benchmark"]].equals(printed[["train_source", "method", "benchmark"]])
    assert ours["paper_accuracy"].tolist() == printed["accuracy"].tolist()
    assert ours["paper_macro_f1"].tolist() == printed["macro_f1"].tolist()


def test_best_mean_and_interval_come_from_the_predictions() -> None:
    results = fake()
    runs = [
        r for c in results.cells if (c.train_source, c.method, c.benchmark) == IMP and (r := results.result(c.spec))
    ]
    accuracies = [100 * accuracy.accuracy(r.test_labels, r.test_probabilities) for r in runs]
    f1 = [100 * accuracy.macro_f1(r.test_labels, r.test_probabilities, 2) for r in runs]
    ours = row(beside_paper(results, results.cells), *IMP)
    assert (ours["best_accuracy"], ours["mean_accuracy"]) == pytest.approx((max(accuracies), np.mean(accuracies)))
    assert ours["best_macro_f1"] == pytest.approx(f1[int(np.argmax(accuracies))])
    assert ours["mean_macro_f1"] == pytest.approx(np.mean(f1))
    assert ours["accuracy_low"] < ours["mean_accuracy"] < ours["accuracy_high"]
    assert ours["macro_f1_low"] < ours["mean_macro_f1"] < ours["macro_f1_high"]
    assert (ours["n_seeds"], ours["n_test"], ours["n_majority"], ours["status"]) == (4, 400, 0, "complete")


def test_what_is_missing_says_why_and_is_never_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {("train", "ce", "mrpc", seed) for seed in SEEDS}
    results = fake(missing=frozenset({(*IMP, 3)}), broken=frozenset({(*CE, 0), *lost}))
    frame = beside_paper(results, results.cells)
    expected = {
        ("generated", "hu"): ("not run", math.nan),
        ("generated", "sungen_camera_ready"): ("number not known", math.nan),
        FEW_SHOT: ("no predictions for this test set", math.nan),
        IMP[:2]: ("3 of 4 seeds", 3),
        CE[:2]: ("failed: non-finite loss at step 12 (3 of 4 seeds)", 3),
        ("train", "ce"): ("failed: non-finite loss at step 12 (0 of 4 seeds)", 0),
    }
    for (source, method), (status, seeds) in expected.items():
        found = row(frame, source, method, "mrpc")
        assert found["status"] == status and found["n_seeds"] == pytest.approx(seeds, nan_ok=True)
        assert math.isnan(found["mean_accuracy"]) == (seeds != 3)
    assert math.isnan(row(frame, "generated", "sungen_camera_ready", "mrpc")["paper_accuracy"])


@pytest.mark.parametrize("kind", ["miniature", "real"])
def test_few_shot_labels_and_the_oracle(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    results = fake(kind)
    if kind == "real":
        monkeypatch.setattr(generated, "own_labels", lambda benchmark: benchmark.pools["test"].labels)
    frame, miniature = beside_paper(results, results.cells), kind == "miniature"
    ours = row(frame, *FEW_SHOT, "mrpc")
    right = 75.0 if miniature else 100.0  # Q errs on every fourth text
    assert ours["best_accuracy"] == ours["mean_accuracy"] == right
    assert ours["n_seeds"] == 1 and ours["reproduction"].endswith("argmax Q(y|x)") == miniature
    assert frame["method"].eq("oracle").any() == miniature
    found = claims(results, results.cells)
    assert found["id"].eq("oracle_imp").any() == miniature
    versus = found[found["versus_method"] == "few_shot"]
    assert len(versus) == 6 and set(versus["n_seeds"]) == {4} and set(versus["status"]) == {"complete"}
    assert found[found["id"] == "ce_checker"]["benchmark"].tolist() == ["tweet_irony"]


def test_a_row_that_only_knows_the_most_frequent_class_says_so() -> None:
    """Issue 14: Ren et al. on Tweet Irony, 60.33 / 37.63, which is 473 of 784 texts."""
    labels = np.repeat([0, 1], [473, 311])
    made = Outcome((0, 1), (0, 1), labels, np.array([np.zeros(784, dtype=int), labels]), 2, "complete")
    found = measures(made)
    assert (found["n_majority"], found["n_seeds"]) == (1, 2)
    results = fake()
    table = beside_paper(results, results.cells).assign(n_majority=4)
    assert "majority class in 4 of 4" in views.side_by_side(table).to_string()


def test_a_registered_method_is_in_cells_table_claims_and_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Method("ours", "Our loss", table1=("generated",), quality=True, weight=losses.LOSSES["quality_only"].weight)
    monkeypatch.setitem(registry._METHODS, "ours", ours)  # is undone afterwards
    del registry._METHODS["ours"]
    registry.register(ours)
    results = fake()
    assert len(results.cells) == len(table1(fake_runs.profile())) == 4 * 3 * (3 + 5 + 4 + 1)
    frame = beside_paper(results, results.cells)
    assert set(frame[frame["method"] == "ours"]["n_seeds"]) == {4}
    assert "Our loss" in views.side_by_side(frame).to_string()
    assert "Our loss" in fake_runs.words(table_dots(frame, "table1.csv", results.profile))
    assert "Our loss" in fake_runs.words(figure1(run_table.runs(results, results.cells)))


# ---------------------------------------------------------------- differences


def test_differences_are_paired_with_ce_of_the_same_source() -> None:
    results = fake()
    frame, table = differences(results, results.cells), beside_paper(results, results.cells)
    assert len(frame) == 3 * (2 + 4 + 3)  # three benchmarks; small, generated, large without CE
    assert set(frame["baseline"]) == {"ce", "checker"}
    ours = row(frame, *IMP)
    for mean, ends in (("mean_accuracy", ""), ("mean_macro_f1", "f1_")):
        assert ours[f"{ends}mean"] == pytest.approx(row(table, *IMP)[mean] - row(table, *CE)[mean])
        assert ours[f"{ends}low"] < ours[f"{ends}mean"] < ours[f"{ends}high"]
    assert (ours["n_seeds"], ours["n_test"], ours["status"]) == (4, 400, "complete")
    assert 0 < ours["p_value"] <= 1


def outcome(right: list[int], seeds: tuple[int, ...], planned: tuple[int, ...] = ()) -> Outcome:
    """Runs that are right on the first so many of 200 texts, of classes 0 and 1 in turn."""
    labels = np.arange(200) % 2
    predictions = np.array([np.where(np.arange(200) < count, labels, 1 - labels) for count in right])
    return Outcome(seeds, planned or seeds, labels, predictions, 2, "complete")


def test_a_rival_that_plans_fewer_seeds_leaves_the_comparison_complete() -> None:
    ours, theirs = outcome([150, 152, 154, 156], (0, 1, 2, 3)), outcome([101, 99], (1, 2))
    found = comparison(ours, theirs)
    assert (found["n_seeds"], found["status"], found["verdict"]) == (2, "complete", "holds")
    assert found["mean"] == pytest.approx((51 + 55) / 4)  # points of 200 texts, over the seeds 1 and 2
    assert comparison(ours, outcome([101, 99], (1, 2), (0, 1, 2, 3)))["status"] == "2 of 4 seeds"
    assert comparison(theirs, ours)["mean"] == -found["mean"]


def test_the_rule() -> None:
    assert (verdict(0.1, 2.0), verdict(-2.0, -0.1)) == ("holds", "fails")
    assert verdict(-0.1, 2.0) == verdict(0.0, 2.0) == "inconclusive"
    assert verdict(0.1, 2.0, "3 of 4 seeds") == judged(Interval(1, 0.5, 1.5), 1, 4)["verdict"] == "incomplete"


def test_one_seed_has_no_verdict_and_says_so() -> None:
    found = comparison(outcome([180], (0,)), outcome([100], (0,)))
    assert found["low"] > 0 and found["status"] == "one seed: no verdict"
    assert (found["verdict"], found["f1_verdict"]) == ("inconclusive", "inconclusive")


def test_macro_f1_is_judged_by_its_own_interval() -> None:
    """More often right by giving all texts the frequent class: better accuracy, worse macro-F1."""
    labels = np.repeat([0, 1], [320, 80])
    rng = np.random.default_rng(0)
    fair = [np.where(rng.random(400) < 0.65, labels, 1 - labels) for _ in SEEDS]
    ours, theirs = (
        Outcome((0, 1, 2, 3), (0, 1, 2, 3), labels, np.array(predictions), 2, "complete")
        for predictions in (np.zeros((4, 400), dtype=int), fair)
    )
    found = comparison(ours, theirs)
    assert (found["verdict"], found["f1_verdict"]) == ("holds", "fails")


# ---------------------------------------------------------------- claims


@pytest.mark.parametrize(("shift", "expected"), [(0.3, "holds"), (-0.3, "fails")])
def test_a_clear_difference_has_a_clear_verdict(shift: float, expected: str) -> None:
    results = fake(shift={"imp": shift})
    ours = row(claims(results, results.cells), id="generated_imp_ce", benchmark="mrpc")
    assert (ours["verdict"], ours["f1_verdict"]) == (expected, expected)
    assert ours["paper_difference"] == pytest.approx(75.83 - 72)
    assert ours["paper_f1_difference"] == pytest.approx(70.52 - 65.47)


def test_every_baseline_names_hu_and_is_incomplete_without_it() -> None:
    results = fake(shift={"imp": 0.3, "dimp": 0.3})
    frame = claims(results, results.cells)
    whole = row(frame, id="generated_baselines")
    assert (whole["benchmark"], whole["verdict"]) == ("all", "incomplete")
    assert whole["statistic"] == "its 18 rows: 12 hold, 6 incomplete"
    assert set(frame[frame["id"].str.endswith("_hu")]["status"]) == {"not run"}
    worse = fake(shift={"imp": -0.3, "dimp": 0.3})
    assert row(claims(worse, worse.cells), id="generated_baselines")["verdict"] == "fails"


def test_a_gain_is_the_difference_of_two_differences() -> None:
    results = fake()
    ours = row(claims(results, results.cells), id="gain_imp", benchmark="mrpc")
    apart = differences(results, results.cells)
    gains = [row(apart, source, "imp", "mrpc")["mean"] for source in ("generated", "train")]
    assert ours["mean"] == pytest.approx(gains[0] - gains[1])
    assert ours["paper_difference"] == pytest.approx((75.83 - 72) - (81.33 - 80.92))
    lacking = fake(missing=frozenset(("train", "ce", "mrpc", seed) for seed in SEEDS))
    assert row(claims(lacking, lacking.cells), id="gain_imp", benchmark="mrpc")["verdict"] == "incomplete"


@pytest.mark.parametrize(("shift", "epochs", "expected"), [(0.2, "5 of 5", "holds"), (-0.3, "0 of 5", "fails")])
def test_figure_1_is_judged_in_every_epoch(shift: float, epochs: str, expected: str) -> None:
    results = fake(shift={"imp": shift})
    cells = [cell for cell in results.cells if (cell.train_source, cell.benchmark) == ("generated", "mrpc")]
    curves = {
        (c.method, c.seed): [100 * e.test_accuracy for e in r.history] for c in cells if (r := results.result(c.spec))
    }
    ours, theirs = (np.array([curves[method, seed] for seed in SEEDS]) for method in ("imp", "ce"))
    found = row(claims(results, results.cells), id="curve_imp_ce", benchmark="mrpc")
    assert (found["epochs"], found["verdict"]) == (epochs, expected)
    assert found["mean"] == pytest.approx(ours.mean() - theirs.mean())
    last = row(claims(results, results.cells), id="imp_steady", benchmark="mrpc")
    assert last["mean"] == pytest.approx(np.log(theirs[:, -1].std() / ours[:, -1].std()))


def member(answer: str, p_value: float = 0.5) -> dict[str, Any]:
    return {"verdict": answer, "p_value": p_value}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([member("holds")] * 3, "holds"),
        ([member("holds"), member("inconclusive")], "inconclusive"),
        ([member("holds"), member("incomplete", math.nan)], "incomplete"),
        ([member("holds"), member("incomplete", math.nan), member("fails", 0.001)], "fails"),
        ([member("fails", 0.04)], "fails"),
        ([member("fails", 0.04)] + [member("holds", 0.001)] * 11, "inconclusive"),  # Holm: 12 * 0.04 > 0.05
        ([member("fails", 0.004)] + [member("holds", 0.001)] * 11, "fails"),
        ([], "incomplete"),
    ],
)
def test_all_of_them(members: list[dict[str, Any]], expected: str) -> None:
    assert jointly(members) == expected
    assert conjunction("id", "claim", "5.1", "Table 1", "all", members)["verdict"] == expected


def test_equal_methods_seldom_make_a_sentence_fail() -> None:
    """Twelve comparisons of equal methods: uncorrected, one in four such sentences would fail."""
    rng, failing = np.random.default_rng(0), {"fails": 0, "uncorrected": 0}
    for _ in range(100):
        rows = []
        for _ in range(12):
            a, b = (rng.random((4, 100)) < 0.8 for _ in range(2))
            rows.append(judged(paired_interval(a, b), 4, 4))
        failing["fails"] += jointly(rows) == "fails"
        failing["uncorrected"] += any(each["verdict"] == "fails" for each in rows)
    assert failing["fails"] <= 0.05 * 100 < failing["uncorrected"]


@pytest.mark.parametrize(
    ("second", "found", "expected"),
    [(0.5, 4, ("2 of 2", "holds")), (-0.5, 4, ("1 of 2", "inconclusive")), (0.5, 3, ("0 of 2", "incomplete"))],
)
def test_a_claim_on_epochs_holds_if_it_holds_in_each(second: float, found: int, expected: tuple[str, str]) -> None:
    mean = Interval(1, 0.5, 1.5, 0.01)
    made = in_all([mean, Interval(1, second, 2, 0.3)], mean, found, 4)
    assert (made["epochs"], made["verdict"]) == expected
    assert (made["mean"], made["low"], made["n_seeds"]) == (1, 0.5, found)


# ---------------------------------------------------------------- runs, views, files


def test_runs_have_one_row_an_epoch_and_one_for_a_missing_run() -> None:
    results = fake(missing=frozenset({(*IMP, 3)}), broken=frozenset({(*IMP, 2)}))
    frame = run_table.runs(results, results.cells)
    assert len(frame) == (len(results.cells) - 2) * 5 + 2
    ours = frame[frame["train_source"].eq(IMP[0]) & frame["method"].eq(IMP[1]) & frame["benchmark"].eq(IMP[2])]
    failed = "failed: non-finite loss at step 12"
    assert ours["status"].value_counts().to_dict() == {"complete": 10, "missing": 1, failed: 1}
    assert ours.loc[ours["selected"].fillna(False), "epoch"].tolist() == [5, 5]
    assert "seconds" not in frame, "wall times would make two equal runs differ"
    assert run_table.timings(results, results.cells)["seconds_train"].tolist()[:1] == [12.25]


def test_views_have_titles_and_show_what_is_incomplete() -> None:
    results = fake(missing=frozenset({(*IMP, 3)}))
    shown = views.side_by_side(beside_paper(results, results.cells))
    block = "Generated"
    assert shown.loc[(block, "CE-Loss"), ("MRPC", "paper")] == "72.00 / 65.47"
    assert str(shown.loc[(block, "IMP-Loss (Ours)"), ("MRPC", "mean [95 %]")]).endswith("(3 of 4 seeds)")
    assert shown.loc[(block, "Hu et al.'s"), ("MRPC", "mean [95 %]")] == "not run"
    assert shown.loc[(block, "SunGen (camera-ready)"), ("MRPC", "paper")] == ""
    gaps = views.by_benchmark(differences(results, results.cells), ["train_source", "method"], views.difference_text)
    assert list(gaps) == ["Financial", "Tweet Irony", "MRPC"] and len(gaps) == 9
    assert "(3 of 4 seeds)" in gaps.loc[(block, "IMP-Loss (Ours)"), "MRPC"]
    assert views.interval_text(1.25, -0.5, 2) == "+1.2 [-0.5, +2.0]"
    assert views.interval_text(0.5, 0.25, 0.75, 2, signed=False) == "0.50 [0.25, 0.75]"
    assert views.interval_text(math.nan, math.nan, math.nan) == ""


def test_the_same_runs_give_the_same_bytes_and_come_back(tmp_path: Path) -> None:
    results = fake("miniature", missing=frozenset({(*IMP, 3)}))
    for make in (beside_paper, differences, claims, run_table.runs):
        frame, again = make(results, results.cells), make(fake("miniature", missing=results.missing), results.cells)
        paths = [csv_files.save(each, tmp_path / name) for each, name in ((frame, "a.csv"), (again, "b.csv"))]
        assert paths[0].read_bytes() == paths[1].read_bytes()
        back = csv_files.load(paths[0])
        assert list(back) == list(frame)
        for name in frame.select_dtypes("float"):
            np.testing.assert_allclose(back[name].astype(float), frame[name], rtol=1e-5, atol=1e-12)
    assert not [path.name for path in tmp_path.rglob(".*")], "no temporary file is left"


def test_no_minus_zero_and_unix_lines(tmp_path: Path) -> None:
    path = csv_files.save(pd.DataFrame({"x": [-0.0, 1 / 3], "y": ["a,b", None]}), tmp_path / "t.csv")
    assert path.read_bytes() == b'x,y\n0,"a,b"\n0.333333,\n'


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no table .*table1.csv"):
        csv_files.load(tmp_path / "table1.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(UserError, match="empty.csv: not a table"):
        csv_files.load(tmp_path / "empty.csv")
