"""The tables and pictures of Sec. 3.2, in a world where every model is perfect."""

from __future__ import annotations

import fake_runs
import numpy as np
import pandas as pd
import pytest
from fake_runs import ExactScores

from paper_repro.measures import entropy
from paper_repro.paper.information import estimates
from paper_repro.paper.information.cells import Fits, section3_2_scores
from paper_repro.texts import world
from paper_repro.tools.errors import UserError


@pytest.fixture(scope="module")
def perfect() -> ExactScores:
    return ExactScores()


@pytest.fixture(scope="module")
def found(perfect: ExactScores) -> list[estimates.Estimate]:
    return estimates.estimates(perfect, Fits())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def numbers(found: list[estimates.Estimate]) -> pd.DataFrame:
    return estimates.section3_2(found)


def inputs_frame(auc: float = 0.5, reach: float = 0.02) -> pd.DataFrame:
    names = {"benchmark": "financial", "comparison": "generated", "input_shift": 0.0}
    return pd.DataFrame([{**names, "auc": auc, "low": auc - reach, "high": auc + reach, "n_p": 400, "n_q": 500}])


# ---------------------------------------------------------------- estimates


def test_a_perfect_model_has_no_gap_in_full_form_and_only_noise_in_label_form(numbers: pd.DataFrame) -> None:
    assert len(numbers) == 3 * 4 * 4 and set(numbers["status"]) == {"complete"}
    assert numbers.loc[numbers["form"] == "full", "gap"].abs().max() < 1e-6
    label = numbers[numbers["form"] == "label"]
    assert ((label["gap_low"] <= 0) & (label["gap_high"] >= 0)).mean() > 0.8
    assert (numbers.groupby("variant")["n_seeds"].first() == [2, 2, 1, 1]).all()


def test_exact_values_are_those_of_the_worlds_distribution(numbers: pd.DataFrame) -> None:
    """The mean over the texts against the expectation over concepts and tones, to the sampling of texts."""
    inputs, labels = world.inputs(world.WorldConfig()), world.conditionals(world.WorldConfig(), "financial")
    weights = inputs.p.sum(axis=1)[:, None] * world.TONE_SHARES
    expected = -(weights[..., None] * labels.p * np.log(labels.p)).sum()
    shown = numbers[(numbers["benchmark"] == "financial") & (numbers["quantity"] == "H(P)")]["exact"]
    assert shown.to_numpy() == pytest.approx(expected, abs=0.04)


def test_the_full_forms_are_nearest_where_models_are_perfect(numbers: pd.DataFrame) -> None:
    near = estimates.nearest(numbers)
    assert near["nearest_in"].sum() == 12 and near.loc[["b", "d"], "nearest_in"].sum() == 12
    assert near.loc[["b", "d"], "all"].max() < 1e-6 < near.loc[["a", "c"], "all"].min()
    to_paper = estimates.nearest(numbers, "paper")
    row = numbers[(numbers["benchmark"] == "financial") & (numbers["quantity"] == "H(P)")].set_index("variant")
    assert to_paper["H(P)"].to_dict() == pytest.approx((row["mean"] - 0.0365).abs().to_dict())


def test_without_scores_there_is_no_estimate() -> None:
    with pytest.raises(UserError, match="no seed has the scores"):
        estimates.estimates(ExactScores(lost=frozenset({0, 1})), Fits())  # type: ignore[arg-type]


def test_without_cross_fitting_the_held_out_rows_say_so(perfect: ExactScores) -> None:
    frame = estimates.section3_2(estimates.estimates(perfect, Fits(cross_fit_seeds=0)))  # type: ignore[arg-type]
    assert frame.groupby("seen")["status"].unique().map(list).to_dict() == {
        "held-out": ["not run"],
        "in-sample": ["complete"],
    }


# ---------------------------------------------------------------- claims


@pytest.mark.parametrize(("auc", "verdict"), [(0.5, "holds"), (0.54, "inconclusive"), (0.9, "fails")])
def test_the_claim_on_inputs_is_judged_by_the_margin(found: list[estimates.Estimate], auc: float, verdict: str) -> None:
    claims = estimates.information_claims(found, inputs_frame(auc), margin=0.05)
    (row,) = claims[claims["section"] == "3.3"].to_dict("records")
    assert row["verdict"] == verdict
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((0.55 - auc, 0.53 - auc, 0.57 - auc))
    assert row["n"] == 900 and pd.isna(row["n_seeds"])


def test_claims_of_perfect_models_follow_the_truth(found: list[estimates.Estimate], numbers: pd.DataFrame) -> None:
    claims = estimates.information_claims(found, inputs_frame())
    assert len(claims) == 2 * 3 * 4 + 1 and set(claims["item"]) == {"Sec. 3.2"}
    paper = claims[claims["benchmark"] == "financial"].groupby("id")["paper_difference"].first()
    assert paper[["entropy", "divergence"]].tolist() == pytest.approx([0.1934, 1.4341])
    assert claims.loc[claims["benchmark"] != "financial", "paper_difference"].isna().all()
    exact = numbers.groupby(["benchmark", "quantity"])["exact"].first()
    for row in claims[claims["variant"] == "b"].to_dict("records"):
        _, more, less = estimates.CLAIMS[row["id"]]
        assert row["mean"] == pytest.approx(exact[row["benchmark"], more] - exact[row["benchmark"], less], abs=1e-6)
        assert row["n"] == 900 and row["low"] < row["mean"] < row["high"]
    assert set(claims.loc[claims["variant"] == "d", "verdict"]) == {"inconclusive"}, "one seed decides nothing"


def test_the_papers_entropy_allows_less_error_than_the_paper_reports() -> None:
    row = estimates.printed_point().iloc[0]
    assert (row["entropy"], row["error"]) == (0.0365, pytest.approx(100 - 84.74))
    assert 100 * entropy.error_bound(row["entropy"]) == pytest.approx(2.633, abs=1e-3)
    assert row["error"] > 100 * entropy.loss_bound(row["entropy"])


# ---------------------------------------------------------------- the runs behind it


def test_scores_are_wanted_of_both_pools_and_of_folds_for_the_first_seeds() -> None:
    profile = fake_runs.profile("real")
    wanted = section3_2_scores(profile, Fits(cross_fit_seeds=2, folds=3))
    assert len(set(wanted)) == len(wanted) == 4 * 3 * 4 + 2 * 3 * 2
    folded = [(c.run.source.pool, pool, c.run.seed) for c, _, pool in wanted if c.run is not None and c.folds]
    assert all(fitted == pool for fitted, pool, _ in folded) and {seed for _, _, seed in folded} == {0, 1}
