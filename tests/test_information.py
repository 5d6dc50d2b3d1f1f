"""Conditional entropy and KL: closed forms, invariants, the bounds on errors, and the tables of Sec. 3.2."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import fake_runs
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from paper_repro.experiments import Fits

from paper_repro import experiments, figures, tables
from paper_repro.measures import entropy, intervals
from paper_repro.paper import published
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunResult, RunSpec
from paper_repro.texts import world
from paper_repro.texts.pools import Benchmark
from paper_repro.tools.errors import UserError

LN2 = math.log(2)
P = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
Q = np.array([[0.25, 0.5, 0.25], [0.5, 0.5, 0.0]])
LOG_P, LOG_Q = entropy.exact_logs(P), entropy.exact_logs(Q)

laws = st.tuples(st.integers(1, 20), st.integers(2, 5), st.integers(0, 2**32 - 1))


def drawn(shape: tuple[int, int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Two random laws (texts, classes), as logs, and labels drawn from the first."""
    texts, classes, seed = shape
    rng = np.random.default_rng(seed)
    p, q = (rng.dirichlet(np.full(classes, 0.5), texts) + 1e-9 for _ in range(2))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    labels = (rng.random((texts, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return np.log(p), np.log(q), labels


# ---------------------------------------------------------------- closed forms


def test_the_entropy_of_two_known_laws() -> None:
    """H(1/2, 1/4, 1/4) = 1.5 bits, H(1, 0, 0) = 0."""
    assert entropy.entropy_terms(LOG_P) == pytest.approx([1.5 * LN2, 0])
    assert entropy.entropy_terms(LOG_P, [1, 0]) == pytest.approx([2 * LN2, 0])
    assert entropy.entropy_terms(LOG_P, [1, 2])[1] == math.inf


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_the_entropy_of_a_uniform_law_is_ln_c(classes: int) -> None:
    logs = np.full((4, classes), -math.log(classes))
    assert entropy.entropy_terms(logs) == pytest.approx([math.log(classes)] * 4)
    assert entropy.entropy_terms(logs, [0, 1, 0, 1]) == pytest.approx([math.log(classes)] * 4)


def test_kl_of_two_known_laws() -> None:
    """KL((1/4, 1/2, 1/4) || (1/2, 1/4, 1/4)) = (-1/4 + 1/2) bits; P's certain text costs KL(P||Q) one bit and is
    impossible the other way round."""
    assert entropy.kl_terms(LOG_Q, LOG_P) == pytest.approx([0.25 * LN2, math.inf])
    assert entropy.kl_terms(LOG_P, LOG_Q) == pytest.approx([0.25 * LN2, LN2])
    assert entropy.kl_terms(LOG_P, LOG_Q, [1, 0]) == pytest.approx([-LN2, LN2])


def test_seeds_stay_in_front() -> None:
    both = np.stack([LOG_P, LOG_Q])
    assert entropy.entropy_terms(both).shape == (2, 2)
    assert entropy.entropy_terms(both, [0, 0])[1] == pytest.approx([2 * LN2, LN2])
    assert entropy.error_terms(both, [0, 0]).tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize(
    "call",
    [
        lambda: entropy.entropy_terms(np.zeros(3)),
        lambda: entropy.entropy_terms(np.zeros((0, 3))),
        lambda: entropy.entropy_terms(LOG_P, [0]),
        lambda: entropy.kl_terms(LOG_P, LOG_Q[:1]),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call: object) -> None:
    with pytest.raises(ValueError):
        call()  # type: ignore[operator]


# ---------------------------------------------------------------- invariants


@given(laws)
@settings(max_examples=60, deadline=None)
def test_full_forms_lie_where_they_must(shape: tuple[int, int, int]) -> None:
    log_p, log_q, _ = drawn(shape)
    entropy = entropy.entropy_terms(log_p)
    assert (entropy >= 0).all() and (entropy <= math.log(shape[1]) + 1e-12).all()
    assert (entropy.kl_terms(log_p, log_q) >= 0).all()
    assert entropy.kl_terms(log_p, log_p) == pytest.approx(np.zeros(shape[0]))


@given(laws)
@settings(max_examples=60, deadline=None)
def test_the_label_form_is_the_full_form_in_expectation(shape: tuple[int, int, int]) -> None:
    """Summed over all labels with their probabilities, exactly."""
    log_p, log_q, _ = drawn(shape)
    every = [np.full(shape[0], label) for label in range(shape[1])]
    entropy = sum(np.exp(log_p[:, y[0]]) * entropy.entropy_terms(log_p, y) for y in every)
    divergence = sum(np.exp(log_p[:, y[0]]) * entropy.kl_terms(log_p, log_q, y) for y in every)
    assert entropy == pytest.approx(entropy.entropy_terms(log_p))
    assert divergence == pytest.approx(entropy.kl_terms(log_p, log_q), abs=1e-9)


@given(laws)
@settings(max_examples=60, deadline=None)
def test_no_model_and_no_labels_break_the_bounds(shape: tuple[int, int, int]) -> None:
    """Hellman-Raviv for what a model expects of itself, and error <= loss / ln 2 on any labels, here drawn from
    another law."""
    log_p, log_q, labels = drawn(shape)
    expected = entropy.expected_error_terms(log_q)
    assert (expected <= entropy.error_bound(entropy.entropy_terms(log_q)) + 1e-12).all()
    for model in (log_p, log_q):
        error, loss = entropy.error_terms(model, labels), entropy.entropy_terms(model, labels)
        assert (error <= entropy.loss_bound(loss) + 1e-12).all()


def test_the_bounds_are_met_by_a_coin_and_undone_by_their_inverses() -> None:
    coin = entropy.entropy_terms(np.log([[0.5, 0.5]]))
    assert entropy.error_bound(coin) == pytest.approx([0.5])
    assert entropy.loss_bound(LN2) == pytest.approx(1)
    for bound, inverse in (
        (entropy.error_bound, entropy.least_entropy),
        (entropy.loss_bound, entropy.least_loss),
    ):
        assert bound(inverse(0.15)) == pytest.approx(0.15)


def test_the_papers_entropy_allows_less_error_than_the_paper_reports() -> None:
    entropy = published.table("section3_2").set_index("quantity")["value"]["H(P)"]
    assert 100 * entropy.error_bound(entropy) == pytest.approx(2.633, abs=1e-3)
    row = tables.entropy_bound_of_paper().iloc[0]
    assert (row["entropy"], row["error"]) == (0.0365, pytest.approx(100 - 84.74))
    assert row["error"] > 100 * entropy.loss_bound(entropy)


# ---------------------------------------------------------------- the interval of a difference of two sets


def test_an_unpaired_interval_has_the_standard_error_of_two_samples() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, (1, 400)), rng.normal(0, 2, (1, 900))
    found = intervals.unpaired_interval(a, b, draws=5000)
    error = math.sqrt(a.var() / 400 + b.var() / 900)
    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.05)


def test_an_unpaired_interval_takes_seeds_as_shared() -> None:
    """What both sides owe to the seed cancels."""
    rng = np.random.default_rng(1)
    seeds = np.array([[0.0], [5.0], [10.0], [20.0]])
    a, b = rng.normal(0, 1, (1, 500)), rng.normal(0, 1, (1, 300))
    plain, shifted = intervals.unpaired_interval(a, b), intervals.unpaired_interval(a + seeds, b + seeds)
    assert shifted.high - shifted.low == pytest.approx(plain.high - plain.low, rel=0.1)
    with pytest.raises(ValueError, match="same seeds"):
        intervals.unpaired_interval(np.ones((2, 5)), np.ones((3, 5)))


def test_continuous_values_have_the_interval_of_their_standard_error() -> None:
    values = np.random.default_rng(2).normal(0, 3, 4000)
    found = intervals.mean_interval(values[None], draws=4000)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / math.sqrt(4000), rel=0.05)


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
    entropy = -(weights[..., None] * labels.p * np.log(labels.p)).sum()
    found = numbers[(numbers["benchmark"] == "financial") & (numbers["quantity"] == "H(P)")]["exact"]
    assert found.to_numpy() == pytest.approx(entropy, abs=0.04)


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
