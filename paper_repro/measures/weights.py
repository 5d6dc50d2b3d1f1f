"""Diagnostics of importance weights: mean, effective sample size, maximum, Pareto tail index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class WeightDiagnostics:
    """``ess`` is a fraction of the sample, in (0, 1]; ``khat`` is nan where the tail is too short to fit."""

    mean: float
    ess: float
    max: float
    khat: float


def diagnose(weights: ArrayLike) -> WeightDiagnostics:
    """All diagnostics of ``weights`` (examples,), which must be finite and not negative."""
    w = np.asarray(weights, dtype=np.float64)
    return WeightDiagnostics(float(w.mean()), effective_sample_size(w) / len(w), float(w.max()), pareto_khat(w))


def effective_sample_size(weights: ArrayLike) -> float:
    """Kish's (sum w)^2 / sum w^2: between 1 and the number of examples, 0 where every weight is 0."""
    w = np.asarray(weights, dtype=np.float64)
    top = w.max(initial=0.0)
    if top <= 0:
        return 0.0
    w = w / top  # so that squares of huge weights do not overflow
    return float(w.sum() ** 2 / (w**2).sum())


def pareto_khat(weights: ArrayLike) -> float:
    """Shape of a generalised Pareto fitted to the largest weights (PSIS; Vehtari et al. 2024).

    Below 0.5 the weights have a finite variance; above 0.7 their mean is not to be trusted. The tail is the
    largest min(n/5, 3 sqrt(n)) weights; nan if fewer than 5 exceed the rest, or if they are all equal.
    """
    w = np.sort(np.asarray(weights, dtype=np.float64))
    tail = int(min(len(w) / 5, 3 * np.sqrt(len(w))))
    if tail < 5:
        return float("nan")
    exceedances = w[-tail:] - w[-tail - 1]
    exceedances = exceedances[exceedances > 0]
    if len(exceedances) < 5 or exceedances[-1] <= 1e-12 * max(w[-1], 1e-300):
        return float("nan")
    return _generalised_pareto_shape(exceedances)


def _generalised_pareto_shape(x: NDArray[np.float64]) -> float:
    """Zhang & Stephens' (2009) estimate of the shape, with the weak prior towards 0.5 of PSIS; x ascending."""
    n = len(x)
    candidates = 30 + int(np.sqrt(n))
    quartile = x[int(n / 4 + 0.5) - 1]
    grid = 1 - np.sqrt(candidates / (np.arange(1, candidates + 1) - 0.5))
    theta = grid / (3 * quartile) + 1 / x[-1]
    shape = np.log1p(-theta[:, None] * x).mean(axis=1)
    profile = n * (np.log(-theta / shape) - shape - 1)
    posterior = 1 / np.exp(profile - profile[:, None]).sum(axis=1)
    chosen = float((theta * posterior).sum() / posterior.sum())
    khat = float(np.log1p(-chosen * x).mean())
    return (n * khat + 10 * 0.5) / (n + 10)
