"""Weight diagnostics: closed forms, known tails and the formula in loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_repro.measures.weights import diagnose, effective_sample_size, pareto_khat, top_tenth_share


def pareto_weights(shape: float, size: int) -> np.ndarray[Any, Any]:
    """The quantiles of a Pareto distribution whose tail index is 1 / ``shape``: a sample without its noise."""
    u = (np.arange(size) + 0.5) / size
    return (1 - u) ** -shape if shape else -np.log1p(-u)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e200])
def test_ess_closed_forms(scale: float) -> None:
    assert effective_sample_size(np.full(50, scale)) == pytest.approx(50)
    assert effective_sample_size(np.eye(1, 50)[0] * scale) == pytest.approx(1)
    # Half of the weights zero: half the sample. One weight of k among ones: (n - 1 + k)^2 / (n - 1 + k^2).
    assert effective_sample_size(np.repeat([0.0, scale], 25)) == pytest.approx(25)
    assert effective_sample_size(scale * np.array([1.0] * 9 + [10.0])) == pytest.approx(19**2 / 109)


def test_ess_without_weight_is_zero() -> None:
    assert effective_sample_size(np.zeros(4)) == 0
    assert effective_sample_size([]) == 0


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_ess_lies_between_one_and_n(weights: list[float]) -> None:
    ess = effective_sample_size(weights)
    assert ess == 0 if max(weights) == 0 else 1 - 1e-9 <= ess <= len(weights) * (1 + 1e-9)


def test_share_of_the_top_tenth_by_hand() -> None:
    assert top_tenth_share(np.full(7, 3.0)) == pytest.approx(0.1)
    assert top_tenth_share([0.0] * 19 + [5.0]) == 1
    assert top_tenth_share(np.arange(1, 101)) == pytest.approx(sum(range(91, 101)) / 5050)
    assert top_tenth_share([4.0, 1, 1, 1, 1]) == pytest.approx(2 / 8), "half an example is the top tenth of five"
    assert math.isnan(top_tenth_share(np.zeros(4)))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_the_top_tenth_holds_at_least_its_share(weights: list[float]) -> None:
    share = top_tenth_share(weights)
    assert math.isnan(share) if max(weights) == 0 else 0.1 - 1e-12 <= share <= 1


def test_diagnose() -> None:
    found = diagnose(np.array([1.0] * 9 + [10.0], dtype=np.float32))
    assert (found.mean, found.max, found.top_tenth) == (pytest.approx(1.9), 10, pytest.approx(10 / 19))
    assert found.ess == pytest.approx(19**2 / 109 / 10)
    assert math.isnan(found.khat)


@pytest.mark.parametrize("shape", [0.0, 0.2, 0.5, 0.7, 1.0, 1.5])
def test_khat_of_a_known_tail(shape: float) -> None:
    """Within 0.08 on 20,000 quantiles: the estimate's own standard error on 424 of them is (1 + k) / sqrt(424)."""
    assert pareto_khat(pareto_weights(shape, 20_000)) == pytest.approx(shape, abs=0.08)


def test_khat_is_negative_for_a_bounded_tail() -> None:
    assert pareto_khat(np.linspace(0, 1, 20_000)) == pytest.approx(-1, abs=0.1)  # uniform: k = -1


def test_khat_does_not_depend_on_scale_or_order() -> None:
    weights = pareto_weights(0.6, 2000)
    shuffled = np.random.default_rng(0).permutation(weights)
    assert pareto_khat(shuffled * 1e-20) == pytest.approx(pareto_khat(weights), abs=1e-9)


def zhang_stephens(sample: list[float]) -> float:
    """Zhang & Stephens (2009), their formulas in loops, and the prior of Vehtari et al. (2024), App. C."""
    x = sorted(sample)
    n, m = len(x), 30 + math.floor(math.sqrt(len(x)))
    quartile = x[math.floor(n / 4 + 0.5) - 1]

    def k_of(theta: float) -> float:
        return sum(math.log1p(-theta * value) for value in x) / n

    thetas = [1 / x[-1] + (1 - math.sqrt(m / (j - 0.5))) / (3 * quartile) for j in range(1, m + 1)]
    heights = [n * (math.log(-theta / k_of(theta)) - k_of(theta) - 1) for theta in thetas]
    shares = [1 / sum(math.exp(min(other - height, 700)) for other in heights) for height in heights]
    theta = sum(share * value for share, value in zip(shares, thetas, strict=True)) / sum(shares)
    return (n * k_of(theta) + 5) / (n + 10)


@pytest.mark.parametrize(("seed", "size"), [(0, 400), (1, 500), (2, 51), (3, 500)])
def test_khat_parity_with_the_formula(seed: int, size: int) -> None:
    weights = np.random.default_rng(seed).lognormal(0, 1 + seed / 2, size)
    ordered = np.sort(weights)
    tail = math.ceil(min(size / 5, 3 * math.sqrt(size)))  # 60, 68 where 3 sqrt(n) is 67.1, 11 where n / 5 is 10.2
    expected = zhang_stephens((ordered[-tail:] - ordered[-tail - 1]).tolist())
    assert pareto_khat(weights) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("weights", [np.ones(500), np.ones(10), np.zeros(500), np.repeat([1.0, 2.0], [498, 2])])
def test_khat_without_a_tail_is_nan(weights: np.ndarray[Any, Any]) -> None:
    assert math.isnan(pareto_khat(weights))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("spread", [1e-3, 1e-6, 1e-9])
def test_khat_of_nearly_equal_weights_is_that_of_their_differences(spread: float) -> None:
    """Without overflow; a tail that starts at 1 has the shape of one that starts at 0."""
    tail = np.random.default_rng(0).random(1000)
    assert pareto_khat(1 + spread * tail) == pytest.approx(pareto_khat(tail), abs=1e-3)


@pytest.mark.filterwarnings("error")
@given(st.lists(st.floats(0, 2.0**100, width=32), min_size=30, max_size=120))
def test_khat_is_a_number_or_nan_but_never_fails(weights: list[float]) -> None:
    assert not math.isinf(pareto_khat(weights))
