"""Diagnostics of importance weights: mean, effective sample size, concentration, maximum, Pareto tail index."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax


@dataclass(frozen=True)
class WeightDiagnostics:
    """``ess`` and ``top_tenth`` are fractions in (0, 1]: of the sample, of the mass of the weights.

    Equal weights have ess 1 and top_tenth 0.1. ``khat`` is nan where the tail is too short to fit.
    """

    mean: float
    ess: float
    top_tenth: float
    max: float
    khat: float


def diagnose(weights: ArrayLike) -> WeightDiagnostics:
    """All diagnostics of ``weights`` (examples,), which must be finite and not negative."""
    w = np.asarray(weights, dtype=np.float64)
    ess = effective_sample_size(w) / len(w)
    return WeightDiagnostics(float(w.mean()), ess, top_tenth_share(w), float(w.max()), pareto_khat(w))


def effective_sample_size(weights: ArrayLike) -> float:
    """Kish's (sum w)^2 / sum w^2: between 1 and the number of examples, 0 where every weight is 0."""
    w = np.asarray(weights, dtype=np.float64)
    top = w.max(initial=0.0)
    if top <= 0:
        return 0.0
    w = w / top  # so that squares of huge weights do not overflow
    return float(w.sum() ** 2 / (w**2).sum())


def top_tenth_share(weights: ArrayLike) -> float:
    """Share of the sum of the weights that the largest tenth of them holds, in [0.1, 1]; nan where every weight is 0.

    A point of the Lorenz curve: where a tenth of the examples is no whole number, it is interpolated.
    """
    w = np.sort(np.asarray(weights, dtype=np.float64))[::-1]
    if not w.max(initial=0.0) > 0:
        return math.nan
    mass = np.r_[0, np.cumsum(w / w[0])]
    return float(np.interp(len(w) / 10, np.arange(len(w) + 1), mass) / mass[-1])


def pareto_khat(weights: ArrayLike) -> float:
    """Shape of a generalised Pareto distribution fitted to the largest weights (PSIS; Vehtari et al. 2024).

    Below 0.5 the weights have a finite variance; above 0.7 their mean is not to be trusted. The tail is the largest
    min(n/5, 3 sqrt(n)) weights, rounded up as in the authors' code; nan if fewer than 5 exceed the rest, or if they
    are all equal.
    """
    w = np.sort(np.asarray(weights, dtype=np.float64))
    tail = math.ceil(min(len(w) / 5, 3 * math.sqrt(len(w))))
    if tail < 5:
        return math.nan
    exceedances = w[-tail:] - w[-tail - 1]
    exceedances = exceedances[exceedances > 0]
    if len(exceedances) < 5 or exceedances[-1] <= 1e-12 * max(w[-1], 1e-300):
        return math.nan
    return _generalised_pareto_shape(exceedances / exceedances[-1])


def _generalised_pareto_shape(x: NDArray[np.float64]) -> float:
    """Zhang & Stephens' (2009) estimate of the shape, with the weak prior towards 0.5 of PSIS; x ascending to 1."""
    n = len(x)
    candidates = 30 + int(np.sqrt(n))
    quartile = x[int(n / 4 + 0.5) - 1]
    theta = (1 - np.sqrt(candidates / (np.arange(1, candidates + 1) - 0.5))) / (3 * quartile) + 1
    shape = np.log1p(-theta[:, None] * x).mean(axis=1)
    posterior = softmax(n * (np.log(-theta / shape) - shape - 1))
    khat = float(np.log1p(-float(theta @ posterior) * x).mean())
    return (n * khat + 10 * 0.5) / (n + 10)
