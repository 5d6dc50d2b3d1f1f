"""What the checkers know, and the weights that they make: tables and pictures from made-up and exact scores."""

from __future__ import annotations

import fake_runs
import numpy as np
import pandas as pd
import pytest
from fake_runs import ExactScores, words

from paper_repro.paper.beside_paper import printed
from paper_repro.paper.checkers import figures, tables
from paper_repro.paper.checkers.cells import checker_scores, checkers
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError


@pytest.fixture(scope="module")
def texts() -> pd.DataFrame:
    return tables.text_weights(ExactScores())  # type: ignore[arg-type]


# ---------------------------------------------------------------- the checkers


def test_the_weights_need_the_scores_of_these_checkers() -> None:
    profile = fake_runs.profile(seeds=2)
    assert {c.run for c, _, _ in checker_scores(profile)} == {cell.spec for cell in checkers(profile)}


def test_the_checkers_stand_beside_the_paper_and_the_majority() -> None:
    profile = fake_runs.profile(seeds=2)
    space = fake_runs.FakeResults(profile, missing=frozenset({("dev", "checker", "mrpc", 1)}))
    frame = tables.checker_accuracy(space, checkers(profile)).set_index(["benchmark", "fitted_on"])  # type: ignore[arg-type]
    assert frame.loc[("mrpc", "dev"), "status"] == "1 of 2 seeds" and len(frame) == 9
    assert frame.loc[("financial", "dev"), "paper_best"] == printed("table1")["dev", "checker", "financial"][0]
    labels = space.benchmark("mrpc").pools["test"].labels
    assert frame.loc[("mrpc", "train"), "majority"] == 100 * max(labels.mean(), 1 - labels.mean())
    row = frame.loc["mrpc", "train"]  # every confidence is 0.8, so the error is the distance from it
    assert row["ece"] == pytest.approx(abs(row["mean_accuracy"] - 80), abs=2) and 0 < row["ece_if_calibrated"] < 5


def test_a_calibrated_checker_lies_on_the_diagonal() -> None:
    frame = pd.DataFrame({"benchmark": "mrpc", "confidence": [0.5] * 10 + [0.95] * 40})
    frame["correct"] = [True, False] * 5 + [True] * 38 + [False] * 2
    bins = tables.reliability(frame)
    assert bins["mean"].tolist() == pytest.approx([0.5, 0.95]) == bins["confidence"].tolist()
    assert bins["n"].tolist() == [10, 40] and (bins["low"] < bins["mean"]).all()
    text = words(figures.reliability(frame))
    assert "MRPC" in text and "calibration error 0.000, n = 50" in text


# ---------------------------------------------------------------- weights


def test_exact_checkers_give_the_true_weights(texts: pd.DataFrame) -> None:
    made = texts[texts["pool"] == "generated"]
    assert len(made) == 2 * 3 * 500 and made["weight"].to_numpy() == pytest.approx(made["true_weight"], rel=1e-5)
    assert (texts.loc[texts["pool"] == "train", "weight"] == 1).all(), "P fitted on real texts over itself"
    agreement = tables.rank_agreement(texts.assign(true_weight=texts["weight"]))
    weight = agreement[agreement["estimate"] == "weight"]
    assert weight[["mean", "low", "high"]].to_numpy() == pytest.approx(1) and len(agreement) == 9
    assert (agreement["low"] <= agreement["mean"]).all()


def test_seeds_without_scores_are_left_out() -> None:
    frame = tables.text_weights(ExactScores(lost=frozenset({1})))  # type: ignore[arg-type]
    assert set(frame["seed"]) == {0}
    with pytest.raises(UserError, match="no scores of the checkers"):
        tables.text_weights(ExactScores(lost=frozenset({0, 1})))  # type: ignore[arg-type]


def test_a_summary_of_weights_by_hand() -> None:
    row = {"benchmark": "mrpc", "pool": "generated", "seed": 0, "folds": 0, "label": "a", "diversity": 0.5}
    frame = pd.DataFrame([row] * 4).assign(weight=[1.0, 1, 1, 3], quality=[0.1, 0.2, 0.3, 0.4])
    frame["quality_says"], frame["diversity_says"] = ["a", "a", "b", "b"], "a"
    (found,) = tables.weight_summary(frame).to_dict("records")
    assert (found["mean"], found["max"], found["doubted"], found["q_says_y"]) == (1.5, 3, 50, 100)
    assert found["ess"] == pytest.approx(100 * 36 / 12 / 4) and found["doubted_weight"] == pytest.approx(100 * 4 / 6)
    assert (found["high"] - found["low"]) / 2 == pytest.approx(1.96 * 1 / 2)  # standard deviation 1, four texts


def test_cross_fitting_changes_the_diversity_checker_alone(texts: pd.DataFrame) -> None:
    crossed = tables.weights_of(ExactScores(uniform_folds=True), "mrpc", "generated", 0, folds=5)  # type: ignore[arg-type]
    usual = texts[(texts["benchmark"] == "mrpc") & (texts["pool"] == "generated") & (texts["seed"] == 0)]
    assert (
        crossed["diversity"].to_numpy() == pytest.approx(0.5)
        and crossed["quality"].tolist() == usual["quality"].tolist()
    )
    assert crossed["weight"].to_numpy() == pytest.approx(2 * crossed["quality"])


def test_histograms_count_every_text(texts: pd.DataFrame) -> None:
    frame = tables.histograms(texts[texts["seed"] == 0])
    assert frame.groupby(["benchmark", "pool", "score"])["share"].sum().to_numpy() == pytest.approx(100)


def test_extremes_are_the_lightest_and_heaviest_of_each_label(texts: pd.DataFrame) -> None:
    here = texts[(texts["benchmark"] == "mrpc") & (texts["pool"] == "generated") & (texts["seed"] == 0)]
    pool = Pool("generated", tuple(f"text {row}" for row in range(len(here))), np.zeros(len(here), dtype=np.int64))
    extremes = tables.extremes(here, pool, 1)
    shown = extremes.set_index(["label", "end"])["weight"]
    weight_of = dict(zip(pool.texts, here["weight"], strict=True))
    assert [weight_of[text] for text in extremes["text"]] == extremes["weight"].tolist()
    for label, group in here.groupby("label")["weight"]:
        assert (shown[label, "light"], shown[label, "heavy"]) == (group.min(), group.max())


# ---------------------------------------------------------------- pictures


def test_pictures_of_weights(texts: pd.DataFrame) -> None:
    here = texts[(texts["pool"] == "generated") & (texts["seed"] == 0)]
    cloud = figures.estimated_against_true(here)
    assert "Spearman 1.00, n = 500" in words(cloud)
    assert sum(np.nansum(c.get_array()) for c in cloud.axes[0].collections if c.get_array() is not None) == 500
    both = figures.score_histograms(texts[texts["seed"] == 0])
    assert len(both.axes) == 9 and "$D_Q$ (n = 500)" in words(both) and "$D_P$ (n = 400)" in words(both)
