"""Rank statistics: Spearman's correlation, and the area under the ROC curve with an interval.

Shapes as in :mod:`paper_repro.measures.intervals`: S seeds (runs), N texts; C copies of a text.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from paper_repro.measures.intervals import Interval, unpaired_interval

Floats = NDArray[np.float64]


def spearman(a: ArrayLike, b: ArrayLike) -> Floats:
    """Rank correlation along the last axis of two arrays (..., N); nan where one of them is constant."""
    x, y = (rankdata(values, axis=-1) for values in (a, b))
    x, y = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.asarray((x * y).sum(axis=-1) / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1)))


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
