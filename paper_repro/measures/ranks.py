"""Rank statistics: Spearman's correlation, and the area under the ROC curve with an interval.

Shapes as in :mod:`paper_repro.measures.intervals`: S seeds (runs), N texts; C copies of a text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from paper_repro.measures.intervals import Interval, unpaired_interval

Floats = NDArray[np.float64]


def spearman(a: ArrayLike, b: ArrayLike) -> Floats:
    """Rank correlation along the last axis of two arrays (..., N); nan where one of them is constant."""
    x, y = (rankdata(values, axis=-1) for values in (a, b))
    x, y = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.asarray((x * y).sum(axis=-1) / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1)))


def spearman_interval(groups: Sequence[tuple[ArrayLike, ArrayLike]], *, level: float = 0.95) -> Interval:
    """Rank correlation with its interval over the points, the mean of one or several groups of them.

    Each group has two (N,) arrays. Fisher's z of Spearman's correlation has about the variance 1.06/(N - 3) (Fieller,
    Hartley & Pearson 1957); groups are averaged on that scale. A perfect order counts as half a step below 1, a step
    being what the smallest swap takes away, 12/(N(N^2 - 1)): else its interval would be a point. nan for a group of
    fewer than four points, or with a constant side. tests/test_ranks.py states the coverage by simulation.
    """
    scores, variances, whole = [], [], []
    for a, b in groups:
        count, found = len(np.asarray(a)), float(spearman(a, b))
        if count < 4 or math.isnan(found):
            return Interval(math.nan, math.nan, math.nan)
        largest = 1 - 6 / (count * (count**2 - 1))
        whole.append(found)
        scores.append(math.atanh(max(-largest, min(largest, found))))
        variances.append(1.06 / (count - 3))
    centre, spread = float(np.mean(scores)), math.sqrt(sum(variances)) / len(scores)
    reach = norm.ppf((1 + level) / 2) * spread
    p_value = float(2 * norm.sf(abs(centre) / spread))
    mean = whole[0] if len(whole) == 1 else math.tanh(centre)
    return Interval(mean, math.tanh(centre - reach), math.tanh(centre + reach), p_value)


def order_interval(groups: Sequence[ArrayLike], levels: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> Interval:
    """Rank correlation of the means of ``groups``, (values,) each, with their known ``levels`` (groups,).

    The levels are fixed, the values a sample: a 95 % percentile interval of means of values drawn anew within each
    group. nan for fewer than three groups.
    """
    values, rng = [np.asarray(group, dtype=np.float64) for group in groups], np.random.default_rng(seed)
    if len(values) < 3:
        return Interval(math.nan, math.nan, math.nan)
    means = np.stack([rng.choice(group, (resamples, len(group))).mean(axis=1) for group in values], axis=1)
    low, high = np.quantile(spearman(means, levels), [0.025, 0.975])
    return Interval(float(spearman([group.mean() for group in values], levels)), float(low), float(high))


def auroc(above: ArrayLike, below: ArrayLike) -> Interval:
    """How often a random text of ``above`` scores higher than one of ``below``, with its 95 % interval.

    Both (S, N), or (S, N, C) where C examples are copies of one text: copies are compared one by one, but texts are
    what varies. Ties count half; 0.5 is chance. The mean is that of the runs' areas under the ROC curve. The interval
    is over seeds and texts, from DeLong's (1988) placements, the first-order part of the area's error. ValueError on
    shapes and for scores that are no numbers.
    """
    high, low = _copies(above), _copies(below)
    if len(high) != len(low):
        raise ValueError(f"both groups must come from the same seeds, not {len(high)} and {len(low)}")
    pairs = [placements(a.ravel(), b.ravel()) for a, b in zip(high, low, strict=True)]
    over = np.array([one for one, _ in pairs]).reshape(high.shape).mean(axis=2)
    under = np.array([one for _, one in pairs]).reshape(low.shape).mean(axis=2)
    centred = under.mean(axis=1, keepdims=True) - under  # mean 0 in each run: it adds the variance of its texts alone
    area = unpaired_interval(over, centred)
    return Interval(area.mean, max(area.low, 0.0), min(area.high, 1.0), n_seeds=area.n_seeds)


def placements(above: Floats, below: Floats) -> tuple[Floats, Floats]:
    """For each of ``above`` (A,) the share of ``below`` (B,) under it; for each of ``below`` that of ``above`` over it.

    Ties count half, so the mean of either is the area under the ROC curve.
    """
    together = rankdata(np.r_[above, below])
    over = (together[: len(above)] - rankdata(above)) / len(below)
    return over, 1 - (together[len(above) :] - rankdata(below)) / len(above)


def _copies(values: ArrayLike) -> Floats:
    """(S, N, C) float64 from (S, N, C), (S, N) or, of one run, (N,)."""
    array = np.asarray(values, dtype=np.float64)
    shaped = array if array.ndim == 3 else np.atleast_2d(array)[:, :, None]
    if shaped.ndim != 3 or not shaped.size or np.isnan(shaped).any():
        raise ValueError(f"expected numbers for (seeds, texts) or (seeds, texts, copies), found {array.shape}")
    return shaped
