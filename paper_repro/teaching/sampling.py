"""Importance sampling in one dimension: a target P that we ask about, a proposal Q that we can draw from.

With w(x) = P(x)/Q(x), E_P[f] = E_Q[w f] wherever Q(x) > 0 for all x with P(x) f(x) != 0. The estimators take arrays
(simulations, n), so that a thousand repetitions of an experiment cost one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats

from paper_repro.measures.intervals import mean_interval
from paper_repro.measures.weights import diagnose, pareto_khat
from paper_repro.method import losses

Floats = NDArray[np.float64]
ALPHA = 0.1
"""Share of P in the defensive mixture; no weight under it exceeds 1/ALPHA."""

ESTIMATORS: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "no weights": lambda f, w: f.mean(axis=-1),
    "weighted": lambda f, w: (w * f).mean(axis=-1),
    "self-normalised": lambda f, w: (w * f).sum(axis=-1) / w.sum(axis=-1),
}
"""From values and weights (..., n) to estimates (...). The first is the mean over Q; the second is unbiased for E_P[f];
the third never leaves the range of f and has a bias of order 1/n."""

REMEDIES = ("none", "sqrt-n", "bounded", "mixture")
"""Ids of what is done about heavy tails; the first three are values of :class:`paper_repro.method.losses.Switches`."""


@dataclass(frozen=True)
class Question:
    """How often does x exceed ``threshold`` under P = Normal(1, 1), if x comes from Q = Normal(0, ``scale``)?

    ``reach`` cuts Q off: it never draws beyond. The exact answer, E_P[f] with f(x) = 1 where x > threshold, is
    :attr:`truth`. With scale 1 and no cut, w(x) = exp(x - 1/2) and E_Q[w^2] = e.
    """

    scale: float = 1.0
    reach: float = np.inf
    threshold: float = 1.0

    @property
    def target(self) -> Any:
        return stats.norm(1.0, 1.0)

    @property
    def proposal(self) -> Any:
        return stats.truncnorm(-np.inf, self.reach / self.scale, scale=self.scale)

    @property
    def truth(self) -> float:
        return float(self.target.sf(self.threshold))

    @property
    def reached(self) -> float:
        """The probability under P of the region where Q draws at all: E_Q[w]."""
        return float(self.target.cdf(self.reach))

    def draw(self, shape: int | tuple[int, ...], rng: np.random.Generator) -> Floats:
        """x from Q, of the given shape."""
        return np.asarray(self.proposal.rvs(size=shape, random_state=rng))

    def values(self, x: Floats) -> Floats:
        """f(x): 1 where x exceeds the threshold, else 0."""
        return (x > self.threshold).astype(np.float64)

    def log_weights(self, x: Floats) -> Floats:
        """log P(x)/Q(x); both densities are known here."""
        return np.asarray(self.target.logpdf(x) - self.proposal.logpdf(x))


def errors(estimates: Floats, truth: float) -> dict[str, float]:
    """Bias with its 95 % interval, standard deviation and root mean squared error of (simulations,) estimates."""
    bias = mean_interval(estimates - truth)
    spread = {"sd": float(estimates.std(ddof=1)), "rmse": float(np.sqrt(np.mean((estimates - truth) ** 2)))}
    ends = {"bias": bias.mean, "bias_low": bias.low, "bias_high": bias.high}
    return {**ends, **spread, "simulations": len(estimates)}


def simulate(question: Question, sizes: Iterable[int], simulations: int, seed: int = 0) -> pd.DataFrame:
    """Every estimator on ``simulations`` samples of each size: n, estimator, and the columns of :func:`errors`."""
    rng, rows = np.random.default_rng(seed), []
    for n in sizes:
        x = question.draw((simulations, n), rng)
        f, w = question.values(x), np.exp(question.log_weights(x))
        for name, estimate in ESTIMATORS.items():
            rows.append({"n": n, "estimator": name, **errors(estimate(f, w), question.truth)})
    return pd.DataFrame(rows)


def densities(question: Question, x: Floats) -> pd.DataFrame:
    """P, Q and the weight at ``x`` (points,), for the picture."""
    p, q = question.target.pdf(x), question.proposal.pdf(x)
    return pd.DataFrame({"x": x, "p": p, "q": q, "weight": np.exp(question.log_weights(x))})


def effective_sizes(shifts: Iterable[float], n: int, seed: int = 0) -> pd.DataFrame:
    """Effective sample size in per cent of ``n`` as P = Normal(shift, 1) moves away from Q = Normal(0, 1).

    ``exact`` is its limit 100 / E_Q[w^2] = 100 exp(-shift^2).
    """
    rng, rows = np.random.default_rng(seed), []
    for shift in shifts:
        found = diagnose(np.exp(shift * rng.standard_normal(n) - shift**2 / 2))
        sizes = {"ESS (%)": 100 * found.ess, "exact (%)": 100 * np.exp(-(shift**2))}
        rows.append({"shift": shift, "n": n, "mean weight": found.mean, **sizes, "k-hat": found.khat})
    return pd.DataFrame(rows)


# ---------------------------------------------------------------- variance, and what is done about it


def clipped(log_weights: Floats, clip: str) -> Floats:
    """The weights (simulations, n) after "none", "sqrt-n" or "bounded", each sample by the code that training uses."""
    switches = losses.Switches(clip=clip, alpha=ALPHA)  # type: ignore[arg-type]
    rows = torch.from_numpy(log_weights)
    zero = torch.zeros_like(rows[0])
    return np.stack([losses.weights("imp", zero, row, zero, switches).numpy() for row in rows])


def remedies(question: Question, n: int, simulations: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Self-normalised estimates (simulations,) after each of :data:`REMEDIES`."""
    estimate, x = ESTIMATORS["self-normalised"], question.draw((simulations, n), rng)
    found = {clip: estimate(question.values(x), clipped(question.log_weights(x), clip)) for clip in REMEDIES[:3]}
    # The defensive mixture draws a share ALPHA from P itself and divides by the density of the mixture.
    mixed = np.where(rng.random(x.shape) < ALPHA, question.target.rvs(size=x.shape, random_state=rng), x)
    ratios = clipped(question.log_weights(mixed), "bounded")
    return {**found, "mixture": estimate(question.values(mixed), ratios)}


def compare_remedies(scales: Iterable[float], n: int, simulations: int, seed: int = 0) -> pd.DataFrame:
    """:func:`remedies` as Q = Normal(0, scale) grows narrower than P.

    Columns: scale, n, remedy, those of :func:`errors`, ``k_exact`` = 1 - scale^2 (the shape of the weights' tail:
    they have a finite variance below 0.5) and ``khat``, its mean estimate from 50 samples of 2,000.
    """
    rng, rows = np.random.default_rng(seed), []
    for scale in scales:
        question = Question(scale)
        tails = np.exp(question.log_weights(question.draw((50, 2000), rng)))
        shape = {"k_exact": 1 - scale**2, "khat": float(np.mean([pareto_khat(w) for w in tails]))}
        for name, estimates in remedies(question, n, simulations, rng).items():
            rows.append({"scale": scale, "n": n, "remedy": name, **errors(estimates, question.truth), **shape})
    return pd.DataFrame(rows)


def out_of_reach(reaches: Iterable[float], n: int, simulations: int, seed: int = 0) -> pd.DataFrame:
    """What is estimated where Q never draws beyond ``reach``: P is then not absolutely continuous w.r.t. Q.

    Means over ``simulations`` samples of ``n`` beside their exact limits: E_Q[w] = P(x < reach), and E_Q[w f].
    """
    rng, rows = np.random.default_rng(seed), []
    for reach in reaches:
        question = Question(reach=reach)
        x = question.draw((simulations, n), rng)
        f, w = question.values(x), np.exp(question.log_weights(x))
        means = {name: float(ESTIMATORS[name](f, w).mean()) for name in ("weighted", "self-normalised")}
        limit = {"weighted, limit": float(question.reached - question.target.cdf(question.threshold))}
        mean_weight = {"mean weight": float(w.mean()), "exact": question.reached}
        rows.append({"Q reaches to": reach, **mean_weight, **means, **limit, "truth": question.truth})
    return pd.DataFrame(rows)
