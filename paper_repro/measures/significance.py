"""P values: tests of one method against another, and the correction for many tests at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]


def holm(p_values: ArrayLike) -> Floats:
    """(K,) p values adjusted for K tests (Holm 1979): rejecting those below 0.05 errs anywhere in at most 5 %.

    A sentence that fails if *one* of its K rows fails, or an "any of" sentence, needs it. "A beats *every* rival" does
    not: each row must hold by itself, which keeps the error of the sentence below that of a row (Berger 1982). nan
    stays nan and is not counted.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)  # nan last
    steps = np.count_nonzero(~np.isnan(p)) - np.arange(len(p))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.maximum(steps, 1)), 1.0)
    return adjusted


def mcnemar(correct_a: ArrayLike, correct_b: ArrayLike) -> float:
    """Two-sided exact McNemar test for one run against another, both (N,).

    Under the null hypothesis a text that only one run gets right is equally likely to be either's. Several seeds share
    their texts and are no further evidence: ValueError for anything but one run each.
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"McNemar's test takes one run each on shared texts, not {a.shape} and {b.shape}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
