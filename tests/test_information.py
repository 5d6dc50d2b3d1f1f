"""The tables and pictures of Sec. 3.2, in a world where every model is perfect."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import fake_runs
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from paper_repro import experiments, figures, tables
from paper_repro.measures import entropy
from paper_repro.paper import published
from paper_repro.texts import world
from paper_repro.tools.errors import UserError
from paper_repro.experiments import Fits
from paper_repro.texts.pools import Benchmark
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunResult, RunSpec

LN2 = math.log(2)


def test_the_papers_entropy_allows_less_error_than_the_paper_reports() -> None:
    printed = published.table("section3_2").set_index("quantity")["value"]["H(P)"]
    assert 100 * entropy.error_bound(printed) == pytest.approx(2.633, abs=1e-3)
    row = tables.entropy_bound_of_paper().iloc[0]
    assert (row["entropy"], row["error"]) == (0.0365, pytest.approx(100 - 84.74))
    assert row["error"] > 100 * entropy.loss_bound(printed)


# ---------------------------------------------------------------- the tables of Sec. 3.2


@dataclass
class PerfectModels:
    """A made world in which every model has found its law, to a rounding; ``lost`` seeds have no scores."""

    profile: Profile = field(default_factory=lambda: fake_runs.profile("miniature", seeds=2))
    lost: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self.world = world.make(world.WorldConfig(train=400, generated=500, test=300, dev=60))

    def benchmark(self, name: str) -> Benchmark:
        return self.world[name]

    def scores(self, checker: Checker, benchmark: str, pool: str, *, compute: bool = True) -> NDArray[np.float32]:
        assert checker.run is not None and not compute
        if checker.run.seed in self.lost:
            raise UserError("no scores")
        truth = self.world[benchmark].truth[pool]
        return np.log(truth.p if checker.run.source.pool == "train" else truth.q).astype(np.float32)

    def result(self, spec: RunSpec) -> RunResult | None:
        return None

    def failure(self, spec: RunSpec) -> str | None:
        return None

    def key(self, spec: RunSpec) -> str:
        return ""


@pytest.fixture(scope="module")
def perfect() -> PerfectModels:
    return PerfectModels()


@pytest.fixture(scope="module")
def numbers(perfect: PerfectModels) -> pd.DataFrame:
    return tables.section3_2(tables.estimates(perfect))


def test_a_perfect_model_has_no_gap_in_full_form_and_an_honest_one_in_label_form(numbers: pd.DataFrame) -> None:
    assert len(numbers) == 3 * 4 * 4 and set(numbers["status"]) == {"complete"}
    full = numbers[numbers["form"] == "full"]
    assert full["gap"].abs().max() < 1e-6
    label = numbers[numbers["form"] == "label"]
    inside = (label["gap_low"] <= 0) & (label["gap_high"] >= 0)
    assert inside.mean() > 0.8
    assert (numbers.groupby("variant")["n_seeds"].first() == [2, 2, 1, 1]).all()


def test_the_papers_numbers_stand_beside_financial_alone(numbers: pd.DataFrame) -> None:
    financial = numbers[numbers["benchmark"] == "financial"].groupby("quantity")["paper"].unique()
    assert {name: list(values) for name, values in financial.items()} == {
        "H(P)": [0.0365],
        "H(Q)": [0.2299],
        "KL(Q||P)": [1.8781],
        "KL(P||Q)": [0.444],
    }
    assert numbers.loc[numbers["benchmark"] != "financial", "paper"].isna().all()


def test_exact_values_are_those_of_the_worlds_law(numbers: pd.DataFrame) -> None:
    """The mean over the texts against the expectation over concepts and tones, to the sampling of texts."""
    law, labels = world.inputs(world.WorldConfig()), world.conditionals(world.WorldConfig(), "financial")
    weights = law.p.sum(axis=1)[:, None] * world.TONE_SHARES
    expected = -(weights[..., None] * labels.p * np.log(labels.p)).sum()
    found = numbers[(numbers["benchmark"] == "financial") & (numbers["quantity"] == "H(P)")]["exact"]
    assert found.to_numpy() == pytest.approx(expected, abs=0.04)


def test_the_full_forms_are_nearest_where_models_are_perfect(numbers: pd.DataFrame) -> None:
    near = tables.nearest(numbers)
    assert near["nearest_in"].sum() == 12 and near.loc[["b", "d"], "nearest_in"].sum() == 12
    assert near.loc[["b", "d"], "all"].max() < 1e-6 < near.loc[["a", "c"], "all"].min()


def test_lost_seeds_are_told_and_never_pass_as_complete() -> None:
    space = PerfectModels(lost=frozenset({1}))
    frame = tables.section3_2(tables.estimates(space, Fits(cross_fit_seeds=2)))
    assert set(frame["status"]) == {"1 of 2 seeds"} and set(frame["n_seeds"]) == {1}
    bound = tables.entropy_bound(space)
    assert set(bound.loc[bound["seen"] == "test", "status"]) == {"1 of 2 seeds"}

    nothing = PerfectModels(lost=frozenset({0, 1}))
    frame = tables.section3_2(tables.estimates(nothing))
    assert frame["mean"].isna().all() and set(frame["n_seeds"]) == {0}
    claims = tables.information_claims(tables.estimates(nothing), inputs_frame())
    assert set(claims.loc[claims["section"] == "3.2", "verdict"]) == {"not complete"}


def test_without_cross_fitting_the_held_out_rows_say_so(perfect: PerfectModels) -> None:
    frame = tables.section3_2(tables.estimates(perfect, Fits(cross_fit_seeds=0)))
    assert set(frame.loc[frame["seen"] == "held-out", "status"]) == {"not run"}
    assert set(frame.loc[frame["seen"] == "in-sample", "status"]) == {"complete"}


def inputs_frame(auc: float = 0.5, reach: float = 0.02) -> pd.DataFrame:
    names = {"benchmark": "financial", "comparison": "D_P against D_Q"}
    numbers = {"auc": auc, "low": auc - reach, "high": auc + reach, "best_auc": np.nan, "n_p": 400, "n_q": 500}
    return pd.DataFrame([{**names, **numbers}])


@pytest.mark.parametrize(("auc", "verdict"), [(0.5, "holds"), (0.54, "cannot be told"), (0.9, "fails")])
def test_the_claim_on_inputs_is_judged_by_the_margin(perfect: PerfectModels, auc: float, verdict: str) -> None:
    claims = tables.information_claims(tables.estimates(perfect), inputs_frame(auc), margin=0.05)
    (row,) = tables.records(claims[claims["section"] == "3.3"])
    assert row["verdict"] == verdict
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((0.55 - auc, 0.53 - auc, 0.57 - auc))
    assert row["n"] == 900 and pd.isna(row["n_seeds"])


def test_claims_of_perfect_models_follow_the_truth(perfect: PerfectModels) -> None:
    found = tables.estimates(perfect)
    claims = tables.information_claims(found, inputs_frame())
    columns = "claim section item benchmark variant statistic paper_difference mean low high n_seeds n status verdict"
    assert list(claims.columns) == columns.split() and len(claims) == 2 * 3 * 4 + 1
    paper = claims[claims["benchmark"] == "financial"].groupby("claim")["paper_difference"].first()
    assert paper[["H(Q) > H(P)", "KL(Q||P) > KL(P||Q)"]].tolist() == pytest.approx([0.1934, 1.4341])
    assert claims.loc[claims["benchmark"] != "financial", "paper_difference"].isna().all()
    exact = tables.section3_2(found).pivot_table(index="benchmark", columns="quantity", values="exact")
    for row in tables.records(claims[claims["variant"] == "b"]):
        more, less = {"H": ("H(Q)", "H(P)"), "K": ("KL(Q||P)", "KL(P||Q)")}[row["claim"][0]]
        truth = exact.loc[row["benchmark"]]
        assert row["mean"] == pytest.approx(truth[more] - truth[less], abs=1e-6)
        assert row["n"] == 900 and row["low"] < row["mean"] < row["high"]


def test_errors_stand_beside_entropies_of_the_same_texts(perfect: PerfectModels) -> None:
    frame = tables.entropy_bound(perfect)
    assert len(frame) == 3 * (4 * 2 + 2 * 2 + 2) + 1
    exact = frame[(frame["seen"] == "exact") & (frame["data"] == "D_P")].set_index("benchmark")
    full = frame[(frame["seen"] == "in-sample") & (frame["data"] == "D_P") & (frame["form"] == "full")]
    full = full.set_index("benchmark")
    assert full["entropy"].to_numpy() == pytest.approx(exact["entropy"].to_numpy(), abs=1e-6)
    assert full["expected_error"].to_numpy() == pytest.approx(exact["error"].to_numpy(), abs=1e-4)
    mixed = frame[(frame["seen"] == "in-sample, test error") & (frame["form"] == "full")].set_index("benchmark")
    test = frame[(frame["seen"] == "test") & (frame["form"] == "full")].set_index("benchmark")
    assert mixed["entropy"].tolist() == full["entropy"].tolist()
    assert mixed["error"].tolist() == test["error"].tolist()
    label = frame[frame["form"] == "label"]
    same = label[label["seen"] != "in-sample, test error"]
    assert (same["error"] <= 100 * entropy.loss_bound(same["entropy"])).all()


# ---------------------------------------------------------------- the runs behind it


def test_nothing_of_table_1_is_trained_twice() -> None:
    profile = fake_runs.profile("real")
    table1 = {cell.spec for cell in experiments.table1(profile)}
    cells = experiments.section3_2(profile)
    own = [cell.spec for cell in cells if cell.spec.source.held_out is None]
    assert len(own) == 4 * 3 * 2 and set(own) <= table1
    assert len(cells) - len(own) == 3 * 2 * 5
    assert len({(c.train_source, c.method, c.benchmark, c.seed) for c in cells}) == len(cells)


def test_scores_are_wanted_of_both_pools_and_of_folds_for_the_first_seeds() -> None:
    profile = fake_runs.profile("real")
    wanted = experiments.section3_2_scores(profile, Fits(cross_fit_seeds=2, folds=3))
    assert len(set(wanted)) == len(wanted) == 4 * 3 * 5 + 2 * 3 * 2
    folded = [(c.run.source.pool, pool, c.run.seed) for c, _, pool in wanted if c.run is not None and c.folds]
    assert all(fitted == pool for fitted, pool, _ in folded) and {seed for _, _, seed in folded} == {0, 1}
    last = experiments.section3_2_scores(profile, Fits(0, seeds=1, select="last"))
    assert len(last) == 3 * 5
    assert all(c.run is not None and c.run.recipe.select == "last" and c.run.seed == 0 for c, _, _ in last)


# ---------------------------------------------------------------- pictures


def test_pictures_draw_what_the_tables_hold(perfect: PerfectModels, numbers: pd.DataFrame) -> None:
    dots = figures.estimate_dots(numbers, "demo")
    assert [ax.get_title() for ax in dots.axes] == ["H(P)", "H(Q)", "KL(Q||P)", "KL(P||Q)"]
    drawn_at = {float(line.get_xdata()[0]) for line in dots.axes[0].lines if line.get_marker() == "o"}  # type: ignore[index,arg-type]
    assert drawn_at == set(numbers.loc[numbers["quantity"] == "H(P)", "mean"])
    assert "profile demo" in dots.get_supxlabel() and "n = 1-2 seeds" in dots.get_supxlabel()

    picture = figures.entropy_bound(tables.entropy_bound(perfect), "demo")
    assert [ax.get_title() for ax in picture.axes] == ["Financial", "Tweet Irony", "MRPC"]
    solid, dashed = picture.axes[0].lines[:2]
    x, y = np.asarray(solid.get_xydata()).T
    assert y == pytest.approx(100 * x / (2 * LN2))
    assert np.asarray(dashed.get_ydata()) == pytest.approx(2 * y)

    lost = numbers.assign(status="1 of 2 seeds")
    assert "INCOMPLETE: 48 of 48" in figures.estimate_dots(lost, "demo").get_supxlabel()
