"""The closed forms of the derivations against values that are known without them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_repro.measures.weights import pareto_khat
from paper_repro.paper.theory import closed_forms, convergence
from paper_repro.paper.theory.convergence import TailExample

distributions = st.lists(st.floats(0.02, 1), min_size=3, max_size=3).map(lambda v: np.array(v) / sum(v))


# ---------------------------------------------------------------- App. B


def test_eq_5_is_exact_where_the_inputs_agree_and_off_where_they_do_not() -> None:
    names = ("financial", "tweet_irony", "mrpc")
    frame = convergence.world_limits(names, [{}, {"input_shift": 0.5}]).set_index(["world", "benchmark"])
    for name in names:
        usual, shifted = frame.loc["default", :].loc[name], frame.loc["input_shift 0.5", :].loc[name]
        assert usual["mean_weight"] == pytest.approx(1) and usual["missing_mass"] == 0
        assert usual["imp_limit"] == pytest.approx(usual["risk"]) and usual["bias"] == pytest.approx(0, abs=1e-12)
        assert shifted["risk"] == pytest.approx(usual["risk"]), "the fixed model and P stay"
        assert shifted["bias"] < -0.01 and shifted["mean_weight"] == pytest.approx(1)


def test_the_mean_weight_lacks_the_missing_mass() -> None:
    frame = convergence.world_limits(["financial"], [{"support_gap": 0.5}, {"support_gap": 1.0}])
    np.testing.assert_allclose(frame["mean_weight"], 1 - frame["missing_mass"])
    assert (frame["missing_mass"] > 0.05).all()


def test_the_moments_of_two_outcomes() -> None:
    coin = convergence.Outcomes(np.array([0.75, 0.25]), np.array([1.0, 2.0]), np.array([0.0, 1.0]), 0.0)
    assert coin.moments("ce") == (0.25, 0.1875)
    assert coin.moments("imp") == (0.5, 0.75)


def test_simulated_losses_have_the_exact_mean_and_spread() -> None:
    frame = convergence.simulated(["mrpc"], (100, 1000), resamples=1000)
    assert frame[["method", "size"]].to_numpy().tolist() == [[m, n] for m in ("ce", "imp") for n in (100, 1000)]
    np.testing.assert_array_less((frame["mean"] - frame["limit"]).abs(), 5 * frame["sd_exact"] / np.sqrt(1000))
    np.testing.assert_allclose(frame["sd"], frame["sd_exact"], rtol=0.15)
    assert (frame["share_low"] <= frame["bound"]).all()
    by_hand = (frame["sd_exact"] / (0.1 * frame["limit"])) ** 2
    np.testing.assert_allclose(frame["bound"], by_hand.clip(upper=1))


@pytest.mark.parametrize("steepness", [0.25, 0.5, 0.75])
def test_the_finite_example_has_its_moments(steepness: float) -> None:
    u = (np.arange(20_000) + 0.5) / 20_000
    x, dx = u**8, 8 * u**7  # tames the singularity at 0
    q = x**steepness / 2
    expected = ((0.25 / q + 0.25 / (1 - q)) * dx).mean()
    assert TailExample(steepness).second_moment == pytest.approx(expected, rel=1e-4)


def test_draws_of_the_examples_have_their_means_and_tails() -> None:
    assert TailExample(0.99).second_moment < np.inf == TailExample(1.0).second_moment == TailExample(2.0).second_moment
    rng, gap = np.random.default_rng(0), TailExample(1.0, gap=0.3)
    weights = gap.weights(200_000, rng)
    assert weights.mean() == pytest.approx(0.85, abs=5 * np.sqrt(gap.second_moment / 200_000))
    assert (weights**2).mean() == pytest.approx(gap.second_moment, rel=0.02)
    heavy = TailExample(2.0)
    assert pareto_khat(heavy.weights(200_000, rng)) == pytest.approx(1 / heavy.tail_index, abs=0.15)


def test_the_error_falls_slower_where_the_variance_is_infinite() -> None:
    frame = convergence.mean_weight_errors((100, 10_000))
    finite, infinite, gap = (group["slope"].iloc[0] for _, group in frame.groupby("case", sort=False))
    assert finite == pytest.approx(-1 / 2, abs=0.08) and infinite == pytest.approx(-1 / 3, abs=0.08)
    assert gap > -0.05, "the bias stays"


# ---------------------------------------------------------------- App. C


def test_bayes_gains() -> None:
    """Exact for a model that counts. By hand, with a uniform prior: nothing seen, one held-out label 0; after seeing
    label 0, P(0) is 2/3 instead of 1/2. With the parameters as good as known, the ratio is 1."""
    rng = np.random.default_rng(0)
    direct, ratio = closed_forms.bayes_gains(rng.integers(0, 30, (8, 4)), rng.integers(0, 6, (8, 4)), prior=0.5)
    np.testing.assert_allclose(direct, ratio, atol=1e-11)
    for side in closed_forms.bayes_gains([[0, 0]], [[1, 0]]):
        np.testing.assert_allclose(np.exp(side), [[4 / 3, 2 / 3]])
    _, ratio = closed_forms.bayes_gains(1e12 * np.array([[3, 1], [2, 2]]), [[5, 0], [1, 9]])
    np.testing.assert_allclose(ratio, 0, atol=1e-10)


# ---------------------------------------------------------------- App. D


@given(p=st.floats(1e-6, 1), quality=st.floats(0, 1))
def test_the_bounds_hold_and_the_gap_is_the_sum_of_the_two_steps(p: float, quality: float) -> None:
    loss, bound = closed_forms.dimp_term(p, quality), closed_forms.bound(p, quality)
    assert loss >= bound - 1e-9 and bound >= closed_forms.bound(p, quality, 1) - 1e-12
    steps = closed_forms.am_gm_gap(p, quality), closed_forms.hoelder_gap(p, quality)
    assert min(steps) >= 0
    np.testing.assert_allclose(loss - bound, sum(steps), rtol=1e-9, atol=1e-9)


def test_the_bound_by_hand() -> None:
    assert closed_forms.dimp_term(0.5, 0.8) == pytest.approx(1.6 * np.log(2))
    assert closed_forms.bound(0.5, 0.8) == pytest.approx((1.6 - 0.5) * np.log(2))
    assert closed_forms.bound(1.0, 0.8) == closed_forms.dimp_term(1.0, 0.8) == 0
    assert closed_forms.bound(0.6, 0.29) < 0 < closed_forms.bound(0.6, 0.31), "negative where P' < p / 2"
    assert closed_forms.regulariser_minimum() == pytest.approx(1 / np.e, abs=1e-6)


# ---------------------------------------------------------------- limits


@given(q=distributions, quality=distributions)
def test_limits_solve_their_equations(q: np.ndarray, quality: np.ndarray) -> None:
    """At the fixed point p is proportional to Q times the weight that p itself gives."""
    weights = {
        ("ce", 1.0, True): lambda p: np.ones(3),
        ("quality_only", 1.0, True): lambda p: quality,
        ("imp", 1.0, True): lambda p: quality / q,
        ("imp", 0.5, True): lambda p: (quality / q) ** 0.5,
        ("dimp", 1.0, True): lambda p: quality / p,
        ("dimp", 2.0, True): lambda p: (quality / p) ** 2,
        ("dimp", 1.0, False): lambda p: quality / p * (1 - np.log(p)),
        ("focal", 1.0, True): lambda p: 1 - p,
    }
    for (method, gamma, detach), weight in weights.items():
        p = closed_forms.limit(method, q, quality, gamma=gamma, detach=detach)
        assert p.sum() == pytest.approx(1)
        np.testing.assert_allclose(p, closed_forms.normalised(q * weight(p)), rtol=1e-6, err_msg=method)


@pytest.mark.parametrize(("method", "options"), [("focal", {"gamma": 2}), ("imp", {"detach": False}), ("x", {})])
def test_a_limit_that_is_not_known_is_refused(method: str, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="known"):
        closed_forms.limit(method, np.array([0.5, 0.5]), np.array([0.5, 0.5]), **options)  # type: ignore[arg-type]


def test_total_variation() -> None:
    assert closed_forms.total_variation([[1, 0], [0.5, 0.5]], [[0, 1], [0.75, 0.25]]).tolist() == [1.0, 0.25]
