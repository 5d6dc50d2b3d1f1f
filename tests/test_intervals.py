"""Intervals: closed forms, parity with SciPy's t tests, invariants, and how often they cover the truth."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr

from paper_repro.measures.intervals import (
    CrossedVariance,
    Interval,
    log_spread_ratio,
    mean_interval,
    paired_interval,
    unpaired_interval,
    wilson,
)

shapes = st.tuples(st.integers(1, 5), st.integers(2, 30), st.integers(0, 2**32 - 1))


def hits(shape: tuple[int, int, int], share: float = 0.7) -> NDArray[np.bool_]:
    return np.random.default_rng(shape[2]).random(shape[:2]) < share


def total(parts: Any) -> Any:
    return sum(part for part, _ in parts)


# ---------------------------------------------------------------- the variance


def test_the_parts_of_an_array_without_rest() -> None:
    """value = seed + text exactly: the parts are the sample variances of the effects, each over its count."""
    seeds, texts = np.array([1.0, 2.0, 5.0]), np.array([0.0, 3.0, 3.0, 10.0])
    parts = CrossedVariance.of([seeds[:, None] + texts])
    assert total(parts.seeds) == pytest.approx(seeds.var(ddof=1) / 3)
    assert total(parts.texts) == pytest.approx(texts.var(ddof=1) / 4)
    assert total(parts.rest) == pytest.approx(0, abs=1e-15)


def test_the_variance_is_unbiased() -> None:
    """Of 4 x 50 hits whose seeds, texts and rest all vary; the mean of 20,000 estimates has an error of about 0.4 %."""
    rng = np.random.default_rng(0)
    latent = 0.4 * rng.normal(size=(20_000, 4, 1)) + rng.normal(size=(20_000, 1, 50)) + rng.normal(size=(20_000, 4, 50))
    values = (latent > 0).astype(float)
    parts = CrossedVariance.of([values])
    found = (total(parts.seeds) + total(parts.texts) - total(parts.rest)).mean()
    assert found == pytest.approx(values.mean(axis=(1, 2)).var(), rel=0.04)  # whose own error is 1 %


def test_seeds_alone_give_the_t_interval_of_their_means() -> None:
    for means in ([0.70, 0.72, 0.75, 0.79], [0.6, 0.7]):
        runs = np.repeat(np.array(means)[:, None], 50, axis=1)
        expected = stats.ttest_1samp(means, 0).confidence_interval()
        found = mean_interval(runs)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
        assert found.n_seeds == len(means)


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_one_run_has_the_intervals_and_p_values_of_t_tests(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(0.5, 1, n), rng.normal(0, 1, n), rng.normal(0, 3, m)
    pairs = [
        (mean_interval(a), stats.ttest_1samp(a, 0)),
        (paired_interval(a, b), stats.ttest_rel(a, b)),
        (unpaired_interval(a, c), stats.ttest_ind(a, c, equal_var=False)),
    ]
    for found, expected in pairs:
        ends = expected.confidence_interval()
        assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)


def test_the_same_runs_on_other_texts() -> None:
    """What both sides owe to the seed cancels."""
    rng = np.random.default_rng(1)
    seeds = np.array([[0.0], [5.0], [10.0], [20.0]])
    a, b = rng.normal(0, 1, (4, 500)), rng.normal(0, 1, (4, 300))
    plain, shifted = unpaired_interval(a, b), unpaired_interval(a + seeds, b + seeds)
    assert (shifted.low, shifted.high) == pytest.approx((plain.low, plain.high))


def test_pairing_is_used() -> None:
    """Two methods that agree on nearly every text differ far more surely than their own intervals say."""
    b = hits((4, 1000, 0))
    a = b.copy()
    a[:, np.flatnonzero(~b.any(axis=0))[:10]] = True
    pair, alone = paired_interval(a, b), mean_interval(a)
    assert 0 < pair.low < pair.high < alone.high - alone.low


def test_nothing_varies_or_nothing_is_known() -> None:
    assert mean_interval(np.ones((4, 20))) == Interval(1, 1, 1, p_value=0, n_seeds=4)
    assert paired_interval(np.ones((3, 20)), np.ones((3, 20))) == Interval(0, 0, 0, p_value=1, n_seeds=3)
    assert mean_interval([5.0]) == Interval(5, -math.inf, math.inf, p_value=1)
    assert mean_interval([[True], [False]]) == Interval(0.5, 0, 1, p_value=1, n_seeds=2), "one text"


@pytest.mark.parametrize("seeds", [2, 3])
def test_seeds_that_agree_by_chance_do_not_make_it_certain(seeds: int) -> None:
    """Runs that are equally often right, on other texts each: at least the t interval of the texts' means."""
    values = np.stack([np.roll(np.arange(40) % 4 == 0, shift) for shift in range(seeds)])
    of_texts = stats.t.interval(0.95, 39, values.mean(), stats.sem(values.mean(axis=0)))
    found = mean_interval(values.astype(float))
    assert found.low <= of_texts[0] < of_texts[1] <= found.high
    opposite = np.stack([np.arange(40) % 2, 1 - np.arange(40) % 2])  # all texts' means agree as well
    assert mean_interval(opposite - 0.25).p_value > 0 and mean_interval(opposite).high > 0.6


@given(shapes)
@settings(max_examples=60, deadline=None)
def test_invariants(shape: tuple[int, int, int]) -> None:
    a, b = hits(shape), hits((*shape[:2], shape[2] ^ 1), 0.6)
    alone, there, back = mean_interval(a), paired_interval(a, b), paired_interval(b, a)
    assert 0 <= alone.low <= alone.mean == a.mean() <= alone.high <= 1
    assert (there.mean, there.low, there.high, there.p_value) == (-back.mean, -back.high, -back.low, back.p_value)
    doubled = paired_interval(2.0 * a, 2.0 * b)
    assert (doubled.low, doubled.high) == pytest.approx((2 * there.low, 2 * there.high), abs=1e-12)
    if 1e-9 < there.p_value < 1:
        touching = paired_interval(a, b, level=1 - there.p_value)
        assert min(abs(touching.low), abs(touching.high)) == pytest.approx(0, abs=1e-6)
    assert there.scaled(100).p_value == there.p_value and there.scaled(100).low == 100 * there.low


@pytest.mark.parametrize(
    ("call", "a", "b", "words"),
    [
        (paired_interval, (2, 5), (2, 6), "must share seeds and texts"),
        (unpaired_interval, (2, 5), (3, 5), "same seeds"),
        (lambda a, b: mean_interval(a), (0, 5), (0, 5), "expected"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call: Any, a: tuple[int, int], b: tuple[int, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(np.ones(a), np.ones(b))


# ---------------------------------------------------------------- coverage, by simulation

REPETITIONS, TEXTS, SEEDS = 1500, 400, (2, 4, 8)
EASY, HARD, TASTE, NOISE = 1.2, 2.0, 0.7, 1.2
"""A text's latent score: its mean, and its spread over texts, by method and text, and of the rest."""
CASES = [(kind, tail, sd) for kind in ("mean", "difference") for tail in ("normal", "t3") for sd in (0, 2.5)]


@cache
def latent_scores() -> NDArray[np.float32]:
    """(repetitions, 2 methods, 8 seeds, texts): above 0 the text is classified correctly."""
    rng = np.random.default_rng(5)
    normal = lambda *shape: rng.standard_normal((REPETITIONS, *shape), dtype=np.float32)  # noqa: E731
    return EASY + HARD * normal(1, 1, TEXTS) + TASTE * normal(2, 1, TEXTS) + NOISE * normal(2, max(SEEDS), TEXTS)


def drawn(tail: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    """Seed effects of variance 1."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) if tail == "normal" else rng.standard_t(3, shape) / math.sqrt(3)


@pytest.mark.parametrize(("kind", "tail", "sd"), CASES)
def test_the_interval_covers_the_truth_as_often_as_it_says(kind: str, tail: str, sd: float) -> None:
    """``sd``: standard deviation over seeds, in points, of an accuracy of about 69 % or of a difference of two of them.

    With R repetitions a true coverage c is met within 3 sqrt(c (1 - c) / R). Four and eight seeds: true coverage
    between 93.5 and 98 %. Two seeds: at least 95 % (Banerjee's bound; nearly 100 % where it is far from sharp).
    """
    spread = math.sqrt(HARD**2 + TASTE**2 + NOISE**2)
    scale = sd / 100 / (stats.norm.pdf(EASY / spread) / spread)
    if kind == "mean":
        effects = scale * drawn(tail, (REPETITIONS, max(SEEDS), 1), 1)
        values = (latent_scores()[:, 0] > -effects).astype(np.float64)
        truth = float(ndtr((EASY + scale * drawn(tail, (1_000_000,), 2)) / spread).mean())
    else:
        effects = scale / math.sqrt(2) * drawn(tail, (REPETITIONS, 2, max(SEEDS), 1), 1)
        a, b = np.moveaxis((latent_scores() > -effects).astype(np.float64), 1, 0)
        values, truth = a - b, 0.0
    for seeds in SEEDS:
        runs = values[:, :seeds]
        half = CrossedVariance.of([runs]).half_width(0.95)
        covered = (np.abs(runs.mean(axis=(1, 2)) - truth) <= half).mean()
        least, most = (0.95, 1.0) if seeds == 2 else (0.935, 0.98)
        reach = [3 * math.sqrt(c * (1 - c) / REPETITIONS) for c in (least, most)]
        assert least - reach[0] <= covered <= most + reach[1], (seeds, covered, 200 * half.mean())


# ---------------------------------------------------------------- other intervals


def test_wilson_by_hand_and_at_the_edges() -> None:
    interval = wilson(1, 10)
    assert (interval.low, interval.high) == pytest.approx((0.017876, 0.404150), abs=1e-6)
    assert wilson(0, 5).low == 0.0 and wilson(5, 5).high == 1.0
    for bad in ((0, 0), (-1, 5), (6, 5)):
        with pytest.raises(ValueError):
            wilson(*bad)


def test_the_ratio_of_two_spreads() -> None:
    """Four values each: F(3, 3) has its 97.5 % quantile at 15.439, so equal spreads reach 0.5 ln 15.439 either way."""
    equal = log_spread_ratio([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0])
    assert (equal.mean, equal.low, equal.high) == pytest.approx((0, -1.36845, 1.36845), abs=1e-4)
    assert equal.p_value == pytest.approx(1)
    wide = log_spread_ratio([0.0, 100.0, 200.0, 300.0], [1.0, 2.0, 3.0, 4.0])
    assert wide.mean == pytest.approx(math.log(100)) and wide.low > 0 and wide.p_value < 1e-4
    assert math.isnan(log_spread_ratio([1.0, 1.0], [1.0, 2.0]).mean)
