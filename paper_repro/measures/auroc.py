"""How well a score tells two groups of examples apart: the area under the ROC curve with an interval.

Notation of the shapes as in :mod:`paper_repro.measures.intervals`: S seeds (runs), N texts, C copies of a text.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paper_repro.measures.intervals import Interval, ranks, unpaired_interval

Floats = NDArray[np.float64]


def auroc(above: ArrayLike, below: ArrayLike, *, draws: int = 2000) -> Interval:
    """How often a random example of ``above`` scores higher than one of ``below``, with its 95 % interval.

    Both (S, N), or (S, N, C) where C examples are copies of one text: copies are compared one by one, but texts are
    what varies. Ties count half; 0.5 is chance. The mean is that of the runs' areas under the ROC curve. The
    interval is over seeds and texts: seeds and DeLong's (1988) placements, the first-order part of the area's error,
    are resampled. ValueError on shapes and for scores that are no numbers.
    """
    high, low = _copies(above), _copies(below)
    if len(high) != len(low):
        raise ValueError(f"both groups must come from the same seeds, not {len(high)} and {len(low)}")
    pairs = [placements(a.ravel(), b.ravel()) for a, b in zip(high, low, strict=True)]
    over = np.array([one for one, _ in pairs]).reshape(high.shape).mean(axis=2)
    under = np.array([one for _, one in pairs]).reshape(low.shape).mean(axis=2)
    nothing = under.mean(axis=1, keepdims=True) - under  # of mean 0 in each run: it brings its texts' variance alone
    found = unpaired_interval(over, nothing, draws=draws)
    return Interval(found.mean, max(found.low, 0.0), min(found.high, 1.0))


def placements(above: Floats, below: Floats) -> tuple[Floats, Floats]:
    """For each of ``above`` (A,) the share of ``below`` (B,) under it; for each of ``below`` that of ``above`` over it.

    Ties count half, so the mean of either is the area under the ROC curve.
    """
    together = ranks(np.r_[above, below])
    over = (together[: len(above)] - ranks(above)) / len(below)
    return over, 1 - (together[len(above) :] - ranks(below)) / len(above)


def _copies(values: ArrayLike) -> Floats:
    """(S, N, C) float64 from (S, N, C), (S, N) or, of one run, (N,)."""
    array = np.asarray(values, dtype=np.float64)
    shaped = array if array.ndim == 3 else np.atleast_2d(array)[:, :, None]
    if shaped.ndim != 3 or not shaped.size or np.isnan(shaped).any():
        raise ValueError(f"expected numbers for (seeds, texts) or (seeds, texts, copies), found {array.shape}")
    return shaped
