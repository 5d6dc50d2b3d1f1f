"""The derivations of Apps. C and D and the limits of the losses as closed forms for whole arrays; logs are natural."""

from __future__ import annotations

from collections.abc import Callable
from math import e

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import gammaln, lambertw, xlogy

from paper_repro.method.registry import METHODS

Floats = NDArray[np.float64]


# ---------------------------------------------------------------- App. C: the ratio of Eq. 8


def bayes_gains(seen: ArrayLike, holdout: ArrayLike, prior: float = 1.0) -> tuple[Floats, Floats]:
    """Both sides of Eq. 22, as logarithms, for a Bayesian that learns a table of P(y|cell) by counting.

    ``seen`` and ``holdout`` are counts (cells, classes) of D_t, which takes theta_t's place, and of D_P'; the prior
    of each cell is Dirichlet with ``prior`` everywhere. Returns two arrays over the candidates (cells, classes): by
    how much log P(y_P' | x_P', D_t) grows when the candidate is learnt too, and
    log of P(y | x, D_t, D_P') / P(y | x, D_t).
    """
    known = np.asarray(seen, dtype=np.float64) + prior
    held = np.asarray(holdout, dtype=np.float64)

    def evidence(counts: Floats) -> Floats:
        """log-probability of the hold-out labels of each cell, (..., cells), under Dirichlet ``counts``."""
        total = counts.sum(axis=-1)
        growth = (gammaln(counts + held) - gammaln(counts)).sum(axis=-1)
        return np.asarray(gammaln(total) - gammaln(total + held.sum(axis=-1)) + growth)

    learnt = known + np.eye(known.shape[1])[:, None]  # (classes, cells, classes): one more text of each class
    direct = (evidence(learnt) - evidence(known)).T
    return direct, np.log(normalised(known + held)) - np.log(normalised(known))


# ---------------------------------------------------------------- App. D: the lower bound


def dimp_term(p: ArrayLike, quality: ArrayLike) -> Floats:
    """The DIMP loss of one example, P'/p * -log p (Eq. 9); ``p`` in (0, 1], ``quality`` P' in [0, 1]."""
    return np.asarray(quality / np.asarray(p) * -np.log(p), dtype=np.float64)


def bound(p: ArrayLike, quality: ArrayLike, factor: float = 2.0) -> Floats:
    """The right-hand side of Eq. 10 for one example: -2 P' log p + p log p; ``factor`` 1 is Eq. 24's last line."""
    return np.asarray(-factor * np.asarray(quality) * np.log(p) + xlogy(p, p), dtype=np.float64)


def am_gm_gap(p: ArrayLike, quality: ArrayLike) -> Floats:
    """What App. D's first step, 1/p >= 2 - p, gives away: -P' log(p) (1 - p)^2 / p, never negative."""
    return dimp_term(p, quality) * (1 - np.asarray(p)) ** 2


def hoelder_gap(p: ArrayLike, quality: ArrayLike) -> Floats:
    """What its other steps give away, P' <= 1 before p log p: -(1 - P') p log p, never negative."""
    return np.asarray((1 - np.asarray(quality)) * -xlogy(p, p), dtype=np.float64)


def regulariser_minimum() -> float:
    """Where Eq. 10's regulariser of the observed label, p log p, is smallest (by search; it is 1/e)."""
    return float(minimize_scalar(lambda p: xlogy(p, p), bounds=(1e-6, 1), method="bounded", options={"xatol": 1e-10}).x)


# ---------------------------------------------------------------- what the losses converge to


def limit(method: str, q: ArrayLike, quality: ArrayLike, *, gamma: float = 1.0, detach: bool = True) -> Floats:
    """p(y|x) to which a softmax model tends on endless data from Q, (..., classes).

    ``q`` is the true Q(y|x), which is IMP's diversity checker too, ``quality`` P'(y|x). The limit is proportional to
    the method's :attr:`~paper_repro.method.record.Method.limit`; without one, or for weights that are not detached,
    the equation p = Q w(p) / Z is solved where that is known. Raises ValueError elsewhere.
    """
    q, quality = np.asarray(q, dtype=np.float64), np.asarray(quality, dtype=np.float64)
    known = METHODS[method].limit if method in METHODS else None
    if detach and known is not None:
        return normalised(known(q, quality, gamma))
    if (method, gamma, detach) == ("focal", 1, True):
        return _scaled_to_one(q, lambda scaled: scaled / (1 + scaled))
    if (method, gamma, detach) == ("dimp", 1, False):
        return _scaled_to_one(q * quality, _not_detached)
    raise ValueError(f"no limit is known for method {method!r} with gamma {gamma:g}, detach {detach}")


def _not_detached(scaled: Floats) -> Floats:
    """p with p^2 = v (1 - log p): DIMP's fixed point where the gradient flows through the weight; v > 0."""
    # With s = 1 - log p the equation is 2s exp(2s) = 2 e^2 / v.
    return np.asarray(np.exp(1 - np.real(lambertw(2 * e**2 / scaled)) / 2))


def _scaled_to_one(values: Floats, increasing: Callable[[Floats], Floats]) -> Floats:
    """increasing(c * values) with the one factor c for each row that makes the row sum to 1, by bisection."""
    low, high = np.full(values.shape[:-1], -60.0), np.full(values.shape[:-1], 60.0)
    for _ in range(200):
        middle = (low + high) / 2
        over = increasing(np.exp(middle)[..., None] * values).sum(axis=-1) > 1
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return normalised(increasing(np.exp((low + high) / 2)[..., None] * values))


def normalised(values: ArrayLike) -> Floats:
    """Rows (..., classes) of non-negative numbers divided by their sums."""
    rows = np.asarray(values, dtype=np.float64)
    return rows / rows.sum(axis=-1, keepdims=True)


def total_variation(a: ArrayLike, b: ArrayLike) -> Floats:
    """Half the summed gaps of two distributions (..., classes): the probability that would have to move, in [0, 1]."""
    return np.abs(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)).sum(axis=-1) / 2
