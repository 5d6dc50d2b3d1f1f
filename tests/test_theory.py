"""The closed forms of the derivations against values that are known without them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_repro.measures.weights import pareto_khat
from paper_repro.paper.theory import closed_forms
from paper_repro.texts import world
from paper_repro.texts.world import WorldConfig

NAMES = ("financial", "tweet_irony", "mrpc")
laws = st.lists(st.floats(0.02, 1), min_size=3, max_size=3).map(lambda v: np.array(v) / sum(v))
probabilities = st.floats(1e-6, 1)
unit = st.floats(0, 1)


# ---------------------------------------------------------------- App. B


@pytest.mark.parametrize("name", NAMES)
def test_eq_5_is_exact_where_the_inputs_agree_and_off_where_they_do_not(name: str) -> None:
    made = closed_forms.world_loss(WorldConfig(), name)
    assert made.probability.sum() == pytest.approx(1)
    assert made.probability @ made.weight == pytest.approx(1)
    assert made.imp.mean == pytest.approx(made.risk) == made.over_q_inputs
    shifted = closed_forms.world_loss(WorldConfig(input_shift=0.5), name)
    assert shifted.imp.mean == pytest.approx(shifted.over_q_inputs)
    assert shifted.imp.mean < shifted.risk - 0.01
    assert shifted.risk == pytest.approx(made.risk), "the fixed model and P stay"


@pytest.mark.parametrize("gap", [0.5, 1.0])
def test_the_mean_weight_lacks_the_missing_mass(gap: float) -> None:
    config = WorldConfig(support_gap=gap)
    made = closed_forms.world_loss(config, "financial")
    assert made.probability @ made.weight == pytest.approx(1 - world.missing_mass(config, "financial"))


def test_terms_of_a_coin() -> None:
    coin = closed_forms.Terms(np.array([0.0, 1.0]), np.array([0.75, 0.25]))
    assert (coin.mean, coin.variance) == (0.25, 0.1875)
    means = closed_forms.empirical_means(coin, 100, 4000, np.random.default_rng(0))
    assert means.shape == (4000,)
    assert means.mean() == pytest.approx(0.25, abs=5 * np.sqrt(0.1875 / 100 / 4000))
    assert means.var() == pytest.approx(0.1875 / 100, rel=0.1)


def test_chebyshev_by_hand() -> None:
    assert closed_forms.chebyshev(4.0, 100, 0.5) == pytest.approx(0.16)
    assert closed_forms.chebyshev(4.0, 1, 0.5) == 1.0


def test_simulated_losses_have_the_exact_mean_and_spread() -> None:
    rows = closed_forms.convergence(WorldConfig(), "mrpc", (100, 1000), resamples=1000)
    assert [(row["loss"], row["size"]) for row in rows] == [(m, n) for m in ("CE", "IMP") for n in (100, 1000)]
    for row in rows:
        assert row["mean"] == pytest.approx(row["limit"], abs=5 * row["sd_exact"] / np.sqrt(1000))
        assert row["sd"] == pytest.approx(row["sd_exact"], rel=0.15)
        assert row["share_low"] <= row["bound"]


def test_a_checker_that_says_1_gives_the_ablation_and_a_counted_one_less_spread() -> None:
    exact, counted, one = closed_forms.with_estimated_q(WorldConfig(), "mrpc", 20_000, resamples=300)
    assert exact["mean"] == pytest.approx(exact["limit"], abs=6 * exact["sd"] / np.sqrt(300))
    assert counted["mean"] == pytest.approx(exact["limit"], rel=0.02)
    assert counted["sd"] < 0.8 * exact["sd"]
    made = closed_forms.world_loss(WorldConfig(), "mrpc")
    labels, law = world.conditionals(WorldConfig(), "mrpc"), world.inputs(WorldConfig()).q
    cells = law.sum(axis=1)[:, None, None] * world.TONE_SHARES[:, None] * labels.q
    assert one["mean"] == pytest.approx(float((cells * labels.p * -np.log(labels.q)).sum()), rel=0.01)
    assert made.imp.mean == exact["limit"]


@pytest.mark.parametrize("steepness", [0.25, 0.5, 0.75])
def test_the_finite_example_has_its_moments(steepness: float) -> None:
    example = closed_forms.TailExample(steepness)
    u = (np.arange(20_000) + 0.5) / 20_000
    x, dx = u**8, 8 * u**7  # tames the singularity at 0
    q = x**steepness / 2
    assert example.mean == 1
    assert example.second_moment == pytest.approx(((0.25 / q + 0.25 / (1 - q)) * dx).mean(), rel=1e-4)


def test_from_steepness_1_on_the_second_moment_is_infinite() -> None:
    assert closed_forms.TailExample(0.99).second_moment < np.inf
    assert closed_forms.TailExample(1.0).second_moment == closed_forms.TailExample(2.0).second_moment == np.inf
    assert closed_forms.TailExample(2.0).tail_index == 1.5


def test_draws_of_the_examples_have_their_means_and_tails() -> None:
    rng = np.random.default_rng(0)
    gap = closed_forms.TailExample(1.0, gap=0.3)
    weights = gap.weights(200_000, rng)
    assert weights.mean() == pytest.approx(0.85, abs=5 * np.sqrt(gap.second_moment / 200_000))
    assert (weights**2).mean() == pytest.approx(gap.second_moment, rel=0.02)
    assert pareto_khat(closed_forms.TailExample(2.0).weights(200_000, rng)) == pytest.approx(1 / 1.5, abs=0.15)


def test_the_error_falls_slower_where_the_variance_is_infinite() -> None:
    sizes, rng = (100, 10_000), np.random.default_rng(0)
    ratios = {}
    for steepness, gap in ((0.5, 0.0), (2.0, 0.0), (0.5, 0.3)):
        first, last = closed_forms.typical_error(closed_forms.TailExample(steepness, gap), sizes, 100, rng)
        ratios[steepness, gap] = last / first
    assert ratios[0.5, 0.0] < 0.15 < ratios[2.0, 0.0] < 0.4  # 1/10 and 100^(-1/3) = 0.22
    assert ratios[0.5, 0.3] > 0.8, "the bias stays"


# ---------------------------------------------------------------- App. C


def test_bayes_rule_is_exact_for_a_model_that_counts() -> None:
    rng = np.random.default_rng(0)
    direct, ratio = closed_forms.bayes_gains(rng.integers(0, 30, (8, 4)), rng.integers(0, 6, (8, 4)), prior=0.5)
    np.testing.assert_allclose(direct, ratio, atol=1e-11)


def test_bayes_gains_by_hand() -> None:
    # Uniform prior, nothing seen, one held-out label 0: after seeing label 0, P(0) is 2/3 instead of 1/2.
    direct, ratio = closed_forms.bayes_gains([[0, 0]], [[1, 0]])
    np.testing.assert_allclose(np.exp(direct), [[4 / 3, 2 / 3]])
    np.testing.assert_allclose(np.exp(ratio), [[4 / 3, 2 / 3]])


def test_with_the_parameters_known_the_ratio_is_1() -> None:
    _, ratio = closed_forms.bayes_gains(1e12 * np.array([[3, 1], [2, 2]]), [[5, 0], [1, 9]])
    np.testing.assert_allclose(ratio, 0, atol=1e-10)


def test_reducible_loss_is_a_difference_of_losses() -> None:
    np.testing.assert_allclose(closed_forms.reducible_loss(np.log([0.5, 0.2]), np.log([0.25, 0.8])), np.log([0.5, 4]))


# ---------------------------------------------------------------- App. D


@given(p=probabilities, quality=unit)
def test_the_bounds_hold_and_the_gap_is_the_sum_of_the_two_steps(p: float, quality: float) -> None:
    loss = closed_forms.dimp_term(p, quality)
    assert loss >= closed_forms.bound(p, quality) - 1e-9
    assert closed_forms.bound(p, quality) >= closed_forms.bound(p, quality, 1) - 1e-12
    steps = closed_forms.am_gm_gap(p, quality), closed_forms.hoelder_gap(p, quality)
    assert min(steps) >= 0
    np.testing.assert_allclose(loss - closed_forms.bound(p, quality), sum(steps), rtol=1e-9, atol=1e-9)


def test_the_bound_by_hand() -> None:
    assert closed_forms.dimp_term(0.5, 0.8) == pytest.approx(1.6 * np.log(2))
    assert closed_forms.bound(0.5, 0.8) == pytest.approx((1.6 - 0.5) * np.log(2))
    assert closed_forms.bound(1.0, 0.8) == closed_forms.dimp_term(1.0, 0.8) == 0
    assert closed_forms.bound(0.6, 0.29) < 0 < closed_forms.bound(0.6, 0.31), "negative where P' < p / 2"


def test_the_regulariser_is_smallest_at_1_over_e() -> None:
    assert closed_forms.regulariser_minimum() == pytest.approx(1 / np.e, abs=1e-6)


# ---------------------------------------------------------------- limits


@given(q=laws, quality=laws)
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


def test_limits_by_hand() -> None:
    q, quality = np.array([[0.9, 0.1]]), np.array([[0.1, 0.9]])
    np.testing.assert_allclose(closed_forms.limit("imp", q, quality), quality)
    np.testing.assert_allclose(closed_forms.limit("dimp", q, quality), [[0.5, 0.5]])
    np.testing.assert_allclose(closed_forms.limit("quality_only", q, quality), [[0.5, 0.5]])
    np.testing.assert_allclose(closed_forms.limit("imp", q, quality, np.ones((1, 2))), [[0.5, 0.5]])
    np.testing.assert_allclose(closed_forms.limit("dimp", q, quality, gamma=0), q)


def test_from_q_to_p_prime_gamma_moves_the_limit_of_dimp() -> None:
    q, quality = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.3, 0.6])
    path = [closed_forms.limit("dimp", q, quality, gamma=g) for g in (0.0, 0.5, 1.0, 2.0, 50.0)]
    away = [float(closed_forms.total_variation(p, quality)) for p in path]
    assert all(nearer < further for further, nearer in pairwise(away))


@pytest.mark.parametrize(("method", "options"), [("focal", {"gamma": 2}), ("imp", {"detach": False}), ("x", {})])
def test_a_limit_that_is_not_known_is_refused(method: str, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="known"):
        closed_forms.limit(method, np.array([0.5, 0.5]), np.array([0.5, 0.5]), **options)  # type: ignore[arg-type]


def test_total_variation() -> None:
    assert closed_forms.total_variation([[1, 0], [0.5, 0.5]], [[0, 1], [0.75, 0.25]]).tolist() == [1.0, 0.25]
