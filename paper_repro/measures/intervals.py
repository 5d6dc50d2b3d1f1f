"""Intervals for what a set of runs measured on a set of texts: arrays in, numbers out.

Shapes: S seeds, N texts. ``values[s, n]`` is what the run with seed s scores on text n: 1 or 0 for a hit or a miss, a
loss, an influence value (:func:`paper_repro.measures.accuracy.macro_f1_terms`), or the difference of two methods. All
runs of a benchmark share one test set, so seeds and texts are crossed.

**The variance of the mean.** Two-way random effects, one value in each cell: value = mean + seed effect + text effect
+ rest, uncorrelated, with variances A, B and R. The mean of the array has the variance A/S + B/N + R/(SN). Three parts
of it are observed; their expectations are those of the three mean squares, each divided by SN:

    seeds = sample variance of the S seed means / S      expectation A/S + R/(SN)
    texts = sample variance of the N text means / N      expectation B/N + R/(SN)
    rest  = mean square of what is left / (SN)           expectation R/(SN)

Hence ``seeds + texts - rest`` is unbiased, for hits and misses as well as for normal values. (A bootstrap that
resamples seeds and texts has the expectation of about ``seeds + texts + rest``: it counts R three times; Owen 2007.)
A and B are not negative, so ``seeds`` and ``texts`` each enter with at least ``rest``.

**The interval.** From four seeds on: Student's t at Satterthwaite's (1946) degrees of freedom, variance^2 / sum of
(part^2 / degrees of freedom of the part). With two or three seeds these degrees of freedom are too uncertain: where
two seeds differ by more than texts explain, the 95 % interval covers as little as 87 % in simulation. There each part
has its own quantile (Banerjee 1961), half width^2 = t^2(S - 1) seeds + t^2(N - 1) (texts - rest), which covers at
least what it says for normal effects, and is wide: two seeds say little about seeds. Where their means happen to
agree it would shrink to nothing; it is never narrower than if seeds had no effect, half width^2 = t^2(N - 1) texts,
where again ``texts`` is at least ``rest``. With one seed nothing is known about other seeds: the interval speaks of
other texts for this one run, and as ``n_seeds`` is 1, no verdict may rest on it.

tests/test_intervals.py states the coverage by simulation. What no interval contains is a failure that strikes one run
in ten and none of the runs at hand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats
from scipy.special import stdtrit

Floats = NDArray[np.float64]
Part = tuple[Floats, int]
"""A part of a variance, and its degrees of freedom."""
ENOUGH_SEEDS = 4
"""From here on Satterthwaite's approximation covers what it says."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval, in the unit of the data.

    ``p_value``: two-sided, for a true value of 0; the interval at level 1 - p_value ends at 0. nan where 0 is not a
    hypothesis (a proportion, an AUROC). ``n_seeds``: the runs behind it; for a difference, those of the side that has
    fewer.
    """

    mean: float
    low: float
    high: float
    p_value: float = math.nan
    n_seeds: int = 1

    def scaled(self, factor: float) -> Interval:
        """The same interval in another unit: ``scaled(100)`` turns fractions into per cent."""
        return replace(self, mean=self.mean * factor, low=self.low * factor, high=self.high * factor)


# ---------------------------------------------------------------- means over seeds and texts


def mean_interval(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """The mean of ``values`` (S, N), or of (N,) independent numbers such as those of one run, with its interval.

    The interval of a share, which is what booleans have, lies in [0, 1]; that of a single number is infinite.
    ValueError for an empty array.
    """
    interval = _interval([_runs(values)], level)
    if np.asarray(values).dtype != bool:
        return interval
    return replace(interval, low=max(interval.low, 0.0), high=min(interval.high, 1.0))


def paired_interval(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> Interval:
    """mean(a) - mean(b) for two methods on the same seeds and texts, both (S, N), with its interval.

    Swapping the arguments negates the result exactly. ValueError where the shapes differ.
    """
    first, second = _runs(a), _runs(b)
    if first.shape != second.shape:
        raise ValueError(f"paired runs must share seeds and texts, not {first.shape} and {second.shape}")
    return _interval([first - second], level)


def unpaired_interval(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> Interval:
    """mean(a) - mean(b) of the same runs on other texts, (S, N) and (S, M), with its interval.

    ValueError where the numbers of runs differ.
    """
    first, second = _runs(a), _runs(b)
    if len(first) != len(second):
        raise ValueError(f"both sides must have the same seeds, not {first.shape} and {second.shape}")
    return _interval([first, -second], level)


def _interval(sides: Sequence[Floats], level: float) -> Interval:
    """The interval for the sum of the means of ``sides``."""
    variance = CrossedVariance.of(sides)
    mean, half = sum(float(side.mean()) for side in sides), float(variance.half_width(level))
    return Interval(mean, mean - half, mean + half, variance.p_value(mean), min(len(side) for side in sides))


def _runs(values: ArrayLike) -> Floats:
    """(S, N) float64; (N,) becomes (1, N)."""
    runs = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if runs.ndim != 2 or runs.size == 0:
        raise ValueError(f"expected (seeds, texts), found {runs.shape}")
    return runs


@dataclass(frozen=True)
class CrossedVariance:
    """The observed parts of the variance of a mean over seeds and texts, as the module's docstring has them.

    ``texts`` and ``rest`` hold one part for each array, ``seeds`` one part for all of them, as arrays share their runs;
    ``seeds`` and ``rest`` are empty for a single run.
    """

    seeds: Sequence[Part]
    texts: Sequence[Part]
    rest: Sequence[Part]

    @classmethod
    def of(cls, sides: Sequence[Floats]) -> CrossedVariance:
        """The parts for the sum of the means of ``sides``, each (..., S, N); the parts have the shape before it."""
        of_seeds = np.sum([side.mean(axis=-1) for side in sides], axis=0)
        seeds = [_variance_of_mean(of_seeds)] if of_seeds.shape[-1] > 1 else []
        rest = [_rest(side) for side in sides if min(side.shape[-2:]) > 1]
        return cls(seeds, [_variance_of_mean(side.mean(axis=-2)) for side in sides], rest)

    def half_width(self, level: float) -> Floats:
        """Half the width of the interval."""
        return self._reach(1 - level)

    def p_value(self, mean: float) -> float:
        """Two-sided, for a true mean of 0: 1 - the level at which the interval around ``mean`` ends at 0."""
        smallest = -300.0  # as a logarithm
        if not self._reach(math.exp(smallest)) > abs(mean) > 0:
            return float(mean == 0)
        if not math.isfinite(_total(self.texts)):
            return 1.0
        return math.exp(optimize.brentq(lambda log_p: self._reach(math.exp(log_p)) - abs(mean), smallest, 0))

    def _reach(self, alpha: float) -> Floats:
        """How far from the mean the interval of level 1 - ``alpha`` ends."""
        seeds, texts, rest = _total(self.seeds), _total(self.texts), _total(self.rest)
        if any(freedom + 1 < ENOUGH_SEEDS for _, freedom in self.seeds):
            of_seeds = sum(stdtrit(freedom, alpha / 2) ** 2 * part for part, freedom in self.seeds)
            of_text = stdtrit(min(freedom for _, freedom in self.texts), alpha / 2) ** 2
            usual, without_seeds = of_seeds + of_text * np.maximum(texts - rest, 0), of_text * np.maximum(texts, rest)
            return np.sqrt(np.maximum(usual, without_seeds))
        variance = np.maximum(seeds, rest) + np.maximum(texts, rest) - rest
        squares = _total([(part**2 / freedom, freedom) for part, freedom in (*self.seeds, *self.texts, *self.rest)])
        with np.errstate(invalid="ignore"):  # nothing varies, or an infinite part: 0/0 or inf/inf
            freedom = np.nan_to_num(variance**2 / squares, nan=1.0)
        return -stdtrit(freedom, alpha / 2) * np.sqrt(variance)


def _total(parts: Sequence[Part]) -> Floats:
    return np.asarray(sum(part for part, _ in parts), dtype=np.float64)


def _variance_of_mean(means: Floats) -> Part:
    """Sample variance of (..., K) divided by K; infinite for a single value."""
    count = means.shape[-1]
    if count == 1:
        return np.full(means.shape[:-1], np.inf), 1
    return means.var(axis=-1, ddof=1) / count, count - 1


def _rest(values: Floats) -> Part:
    """The mean square of what neither seed nor text explains of (..., S, N), both at least 2, divided by SN."""
    seeds, texts = values.shape[-2:]
    left = values - values.mean(axis=-1, keepdims=True) - values.mean(axis=-2, keepdims=True)
    left += values.mean(axis=(-2, -1), keepdims=True)
    freedom = (seeds - 1) * (texts - 1)
    return (left**2).sum(axis=(-2, -1)) / freedom / (seeds * texts), freedom


# ---------------------------------------------------------------- other intervals


def wilson(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """Wilson's (1927) score interval of a proportion; ValueError unless 0 <= successes <= trials > 0."""
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes in {trials} trials")
    found = stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    return Interval(successes / trials, float(found.low), float(found.high))


def log_spread_ratio(wide: ArrayLike, narrow: ArrayLike, *, level: float = 0.95) -> Interval:
    """ln(sd of ``wide`` / sd of ``narrow``), both (S,) and normal, with interval and p value of the F distribution.

    nan with fewer than two values on a side or where one side does not vary.
    """
    a, b = np.asarray(wide, dtype=np.float64), np.asarray(narrow, dtype=np.float64)
    if min(len(a), len(b)) < 2 or not min(a.var(), b.var()) > 0:
        return Interval(math.nan, math.nan, math.nan, n_seeds=min(len(a), len(b)))
    ratio = 0.5 * math.log(a.var(ddof=1) / b.var(ddof=1))
    under_equality = stats.f(len(a) - 1, len(b) - 1)
    low, high = 0.5 * np.log(under_equality.ppf([(1 - level) / 2, (1 + level) / 2]))
    tail = under_equality.cdf(math.exp(2 * ratio))
    return Interval(ratio, ratio - high, ratio - low, float(2 * min(tail, 1 - tail)), min(len(a), len(b)))


def expected_maximum(count: int) -> float:
    """Mean of the largest of ``count`` independent standard normals: what the best of as many equal runs lies above
    their mean by chance, in standard deviations."""
    x = np.linspace(-12, 12, 4801)
    return float(np.trapezoid(x * count * stats.norm.pdf(x) * stats.norm.cdf(x) ** (count - 1), x))
