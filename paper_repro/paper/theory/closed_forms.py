"""The paper's derivations as numbers: App. B (Eqs. 3, 5, 17-20), App. C (Eqs. 8, 22), App. D (Eqs. 10, 24), the limits.

Closed forms in numpy and scipy alone, for whole arrays at a time. Logarithms are natural, so losses are in nats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import e, inf, log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import gammaln, lambertw, xlogy

from paper_repro.measures.intervals import wilson
from paper_repro.texts import world
from paper_repro.texts.world import WorldConfig

Floats = NDArray[np.float64]


# ---------------------------------------------------------------- App. B: convergence of the IMP loss


@dataclass(frozen=True)
class Terms:
    """The law of one term Z of an empirical loss: ``values`` with their ``probabilities``, (outcomes,) each."""

    values: Floats
    probabilities: Floats

    @property
    def mean(self) -> float:
        return float(self.probabilities @ self.values)

    @property
    def variance(self) -> float:
        return float(self.probabilities @ (self.values - self.mean) ** 2)


@dataclass(frozen=True)
class WorldLoss:
    """Loss and weight of every outcome (x, y) that Q can make in a miniature world, for one fixed model.

    ``probability`` Q(x, y), ``weight`` P(y|x)/Q(y|x), ``loss`` -log p(y|x), (outcomes,) each. ``risk`` is
    E_P[-log p], over all outcomes that P can make, and ``over_q_inputs`` the same with x from Q(x) (Eq. 5, line 2).
    """

    probability: Floats
    weight: Floats
    loss: Floats
    risk: float
    over_q_inputs: float

    @property
    def ce(self) -> Terms:
        """The terms of CE-Loss on D_Q; their mean is the limit of Eq. 3."""
        return Terms(self.loss, self.probability)

    @property
    def imp(self) -> Terms:
        """The terms Z of IMP-Loss with the true weights (Eq. 14); their mean is the first line of Eq. 5."""
        return Terms(self.weight * self.loss, self.probability)


def world_loss(config: WorldConfig, name: str) -> WorldLoss:
    """The losses of benchmark ``name`` for the model that gives each text the Q(y|x) of the *default* world.

    A text counts by its concept and tone alone, because P(y|x), Q(y|x) and the model hang on nothing else.
    The model is the same in every world, so that only the data differ, and it gives every label a positive
    probability.
    """
    law, labels = world.inputs(config), world.conditionals(config, name)
    model = world.conditionals(WorldConfig(concepts=config.concepts), name).q

    def joint(about: Floats, conditional: Floats) -> Floats:
        inputs: Floats = about.sum(axis=1)[:, None, None] * world.TONE_SHARES[:, None]
        return inputs * conditional

    under_q, loss = joint(law.q, labels.q), -np.log(model)
    made = under_q > 0
    return WorldLoss(
        probability=under_q[made],
        weight=(labels.p[made] / labels.q[made]),
        loss=loss[made],
        risk=float((joint(law.p, labels.p) * loss).sum()),
        over_q_inputs=float((joint(law.q, labels.p) * loss).sum()),
    )


def empirical_means(terms: Terms, size: int, resamples: int, rng: np.random.Generator) -> Floats:
    """(resamples,) means of ``size`` i.i.d. terms each: the empirical loss of that many data sets (Eq. 15)."""
    counts = rng.multinomial(size, terms.probabilities / terms.probabilities.sum(), size=resamples)
    means: Floats = counts @ terms.values / size
    return means


def chebyshev(variance: float, size: int, distance: float) -> float:
    """Eq. 17: no more than this probability has a mean of ``size`` terms of being ``distance`` off; at most 1."""
    return min(1.0, variance / (size * distance**2))


def convergence(
    config: WorldConfig,
    name: str,
    sizes: Sequence[int],
    *,
    resamples: int = 2000,
    epsilon: float = 0.1,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Eqs. 3 and 17 by simulation: ``resamples`` data sets of each size drawn from Q, their CE and IMP losses.

    One row a loss and size: loss, benchmark, size, limit (exact), mean and sd of the empirical losses, sd_exact
    (root of Var_Q(Z)/N), epsilon (as a fraction of the limit), share further than epsilon from the limit with its
    95 % Wilson interval, bound (Chebyshev's), resamples.
    """
    made, rng, rows = world_loss(config, name), np.random.default_rng(seed), []
    for loss, terms in (("CE", made.ce), ("IMP", made.imp)):
        for size in sizes:
            means, distance = empirical_means(terms, size, resamples, rng), epsilon * terms.mean
            share = wilson(int((np.abs(means - terms.mean) >= distance).sum()), resamples)
            rows.append(
                {
                    "loss": loss,
                    "benchmark": name,
                    "size": size,
                    "limit": terms.mean,
                    "mean": float(means.mean()),
                    "sd": float(means.std(ddof=1)),
                    "sd_exact": float(np.sqrt(terms.variance / size)),
                    "epsilon": epsilon,
                    "share": share.mean,
                    "share_low": share.low,
                    "share_high": share.high,
                    "bound": chebyshev(terms.variance, size, distance),
                    "resamples": resamples,
                }
            )
    return rows


def with_estimated_q(
    config: WorldConfig, name: str, size: int, *, resamples: int = 2000, seed: int = 0
) -> list[dict[str, Any]]:
    """The IMP loss with the true P and three diversity checkers: the true Q, Q counted in the same data, Q = 1.

    Counting takes the shares of the labels among the texts of each concept and tone. One row a checker: benchmark,
    diversity, size, limit (E_Q[Z] with the true Q), mean and sd of the empirical losses, resamples.
    """
    law, labels = world.inputs(config), world.conditionals(config, name)
    cells = law.q.sum(axis=1)[:, None, None] * world.TONE_SHARES[:, None] * labels.q
    loss = -labels.p * np.log(world.conditionals(WorldConfig(concepts=config.concepts), name).q)
    drawn = np.random.default_rng(seed).multinomial(size, cells.ravel() / cells.sum(), size=resamples)
    counts = drawn.reshape(resamples, *cells.shape)
    texts = counts.sum(axis=-1, keepdims=True)
    weighted = {
        "the true Q": counts / labels.q,
        "counted in the same texts": texts * (counts > 0),
        "learnt by heart (Q = 1)": counts,
    }
    limit_of_q = world_loss(config, name).imp.mean
    rows = []
    for diversity, factor in weighted.items():
        means = (factor * loss).sum(axis=(1, 2, 3)) / size
        sums = {"limit": limit_of_q, "mean": float(means.mean()), "sd": float(means.std(ddof=1))}
        rows.append({"benchmark": name, "diversity": diversity, "size": size, **sums, "resamples": resamples})
    return rows


@dataclass(frozen=True)
class TailExample:
    """A world with x uniform on (0, 1) and two labels, where P(1|x) = 1/2 and Q(1|x) = x^steepness / 2.

    The weight of label 1 is x^-steepness. The mean weight under Q is 1 for every steepness, but its second moment
    is finite below 1 only; the tail falls as w^-(1 + 1/steepness). With ``gap`` > 0, Q never gives label 1 to
    x < gap: P is then not absolutely continuous with respect to Q, and the mean weight is 1 - gap / 2.
    """

    steepness: float
    gap: float = 0.0

    @property
    def mean(self) -> float:
        """E_Q[w], exact."""
        return 1 - self.gap / 2

    @property
    def tail_index(self) -> float:
        """a in Pr(w > t) ~ t^-a; moments of order a and above are infinite. inf where a gap cuts the tail off."""
        return inf if self.gap else 1 + 1 / self.steepness

    @property
    def second_moment(self) -> float:
        """E_Q[w^2], exact up to quadrature; inf where it diverges."""
        s, g = self.steepness, self.gap
        if not g and s >= 1:
            return inf
        rare = -log(g) / 2 if s == 1 else (1 - g ** (1 - s)) / (2 * (1 - s))
        return g / 4 + rare + float(quad(lambda x: 0.25 / (1 - x**s / 2), g, 1)[0])

    def weights(self, size: int, rng: np.random.Generator) -> Floats:
        """(size,) weights P(y|x)/Q(y|x) of that many draws of (x, y) from Q."""
        x = rng.random(size)
        chance = np.where(x < self.gap, 0.0, x**self.steepness / 2)
        first = rng.random(size) < chance
        return 0.5 / np.where(first, chance, 1 - chance)


def typical_error(example: TailExample, sizes: Sequence[int], resamples: int, rng: np.random.Generator) -> Floats:
    """(sizes,) median distance from 1 of the mean weight of N draws, over ``resamples`` data sets of each size N."""
    found = [[abs(example.weights(size, rng).mean() - 1) for _ in range(resamples)] for size in sizes]
    return np.median(np.array(found), axis=1)


# ---------------------------------------------------------------- App. C: the ratio of Eq. 8


def reducible_loss(log_p: ArrayLike, log_holdout: ArrayLike) -> Floats:
    """CE(y|x; theta_t) - CE(y|x; hold-out model), from the two models' log-probabilities of the observed label.

    Mindermann et al. (2022) select by it. float64 whatever comes in.
    """
    own, other = (-np.asarray(values, dtype=np.float64) for values in (log_p, log_holdout))
    return own - other


def bayes_gains(seen: ArrayLike, holdout: ArrayLike, prior: float = 1.0) -> tuple[Floats, Floats]:
    """Both sides of Eq. 22, as logarithms, for a Bayesian that learns a table of P(y|cell) by counting.

    ``seen`` and ``holdout`` are counts (cells, classes) of D_t, which stands in theta_t's place, and of D_P'; the
    prior of each cell is Dirichlet with ``prior`` everywhere. For each candidate (cell, class) come back
    (cells, classes): by how much log P(y_P' | x_P', D_t) grows when the candidate is learnt too, and
    log of P(y | x, D_t, D_P') / P(y | x, D_t).
    """
    known = np.asarray(seen, dtype=np.float64) + prior
    held = np.asarray(holdout, dtype=np.float64)
    classes = known.shape[1]

    def evidence(counts: Floats) -> Floats:
        """log-probability of the hold-out labels of each cell, (..., cells), under Dirichlet ``counts``."""
        total = counts.sum(axis=-1)
        growth = gammaln(counts + held) - gammaln(counts)
        value: Floats = gammaln(total) - gammaln(total + held.sum(axis=-1)) + growth.sum(axis=-1)
        return value

    direct = np.stack([evidence(known + np.eye(classes)[y]) - evidence(known) for y in range(classes)], axis=1)
    after = (known + held) / (known + held).sum(axis=1, keepdims=True)
    return direct, np.log(after) - np.log(known / known.sum(axis=1, keepdims=True))


# ---------------------------------------------------------------- App. D: the lower bound


def dimp_term(p: ArrayLike, quality: ArrayLike) -> Floats:
    """The DIMP loss of one example, P'/p * -log p (Eq. 9); ``p`` in (0, 1], ``quality`` P' in [0, 1]."""
    p, quality = np.asarray(p, dtype=np.float64), np.asarray(quality, dtype=np.float64)
    return quality / p * -np.log(p)


def bound(p: ArrayLike, quality: ArrayLike, factor: float = 2.0) -> Floats:
    """The right-hand side of Eq. 10 for one example: -2 P' log p + p log p; ``factor`` 1 is Eq. 24's last line."""
    p, quality = np.asarray(p, dtype=np.float64), np.asarray(quality, dtype=np.float64)
    return -factor * quality * np.log(p) + xlogy(p, p)


def am_gm_gap(p: ArrayLike, quality: ArrayLike) -> Floats:
    """What App. D's first step, 1/p >= 2 - p, gives away: -P' log(p) (1 - p)^2 / p, never negative."""
    p = np.asarray(p, dtype=np.float64)
    return dimp_term(p, quality) * (1 - p) ** 2


def hoelder_gap(p: ArrayLike, quality: ArrayLike) -> Floats:
    """What its other steps give away, P' <= 1 before p log p: -(1 - P') p log p, never negative."""
    p = np.asarray(p, dtype=np.float64)
    return (1 - np.asarray(quality, dtype=np.float64)) * -xlogy(p, p)


def regulariser_minimum() -> float:
    """Where Eq. 10's regulariser of the observed label, p log p, is smallest (by search; it is 1/e)."""
    return float(minimize_scalar(lambda p: xlogy(p, p), bounds=(1e-6, 1), method="bounded", options={"xatol": 1e-10}).x)


# ---------------------------------------------------------------- what the losses converge to


def normalised(values: ArrayLike) -> Floats:
    """Rows (..., classes) of non-negative numbers divided by their sums."""
    rows = np.asarray(values, dtype=np.float64)
    return rows / rows.sum(axis=-1, keepdims=True)


def limit(
    method: str,
    q: ArrayLike,
    quality: ArrayLike | None = None,
    diversity: ArrayLike | None = None,
    *,
    gamma: float = 1.0,
    detach: bool = True,
) -> Floats:
    """p(y|x) to which a softmax model tends on endless data from Q, (..., classes).

    ``q`` is the true Q(y|x), ``quality`` P'(y|x), ``diversity`` the diversity checker (``q`` itself if not given).
    With detached weights w(y), p is proportional to Q w; where w hangs on p that equation is solved for p.
    ``detach=False`` is known for ``dimp`` with gamma 1. Raises ValueError for anything else.
    """
    q = np.asarray(q, dtype=np.float64)
    teacher = np.ones_like(q) if quality is None else np.asarray(quality, dtype=np.float64)
    if not detach:
        if method != "dimp" or gamma != 1:
            raise ValueError("without detaching, only the limit of dimp with gamma 1 is known")
        return _scaled_to_one(q * teacher, _not_detached)
    if method == "ce":
        return normalised(q)
    if method == "quality_only":
        return normalised(q * teacher**gamma)
    if method == "imp":
        checker = q if diversity is None else np.asarray(diversity, dtype=np.float64)
        return normalised(q * (teacher / checker) ** gamma)
    if method == "dimp":
        return normalised((q * teacher**gamma) ** (1 / (1 + gamma)))
    if method == "focal" and gamma == 1:
        return _scaled_to_one(q, lambda scaled: scaled / (1 + scaled))
    raise ValueError(f"no limit is known for method {method!r} with gamma {gamma:g}")


def _not_detached(scaled: Floats) -> Floats:
    """p with p^2 = v (1 - log p): DIMP's fixed point where the gradient flows through the weight; v > 0."""
    # With s = 1 - log p the equation is 2s exp(2s) = 2 e^2 / v.
    lambert: Floats = np.real(lambertw(2 * e**2 / scaled))
    return np.exp(1 - lambert / 2)


def _scaled_to_one(values: Floats, increasing: Callable[[Floats], Floats]) -> Floats:
    """increasing(c * values) with the one factor c for each row that makes the row sum to 1, by bisection."""
    low, high = np.full(values.shape[:-1], -60.0), np.full(values.shape[:-1], 60.0)
    for _ in range(200):
        middle = (low + high) / 2
        over = increasing(np.exp(middle)[..., None] * values).sum(axis=-1) > 1
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return normalised(increasing(np.exp((low + high) / 2)[..., None] * values))


def total_variation(a: ArrayLike, b: ArrayLike) -> Floats:
    """Half the summed gaps of two laws (..., classes): the probability that would have to move, in [0, 1]."""
    return np.abs(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)).sum(axis=-1) / 2
