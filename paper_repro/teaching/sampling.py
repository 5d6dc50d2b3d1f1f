"""Importance sampling on one dimension: a target P that we ask about, a proposal Q that we can draw from.

With w(x) = P(x)/Q(x), E_P[f] = E_Q[w f] wherever Q(x) > 0 for all x with P(x) f(x) != 0. The estimators here take
arrays (simulations, n), so that a thousand repetitions of an experiment cost one call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats

from paper_repro.measures import intervals
from paper_repro.measures.weights import diagnose, pareto_khat
from paper_repro.method import losses
from paper_repro.teaching.names import BOUNDED, MIXTURE, PLAIN, RAW, SELF_NORMALISED, TRUNCATED, WEIGHTED

Floats = NDArray[np.float64]
ALPHA = 0.1
"""Share of P in the defensive mixture; no weight under it exceeds 1/ALPHA."""


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
        """The P-probability of where Q draws at all: E_Q[w]."""
        return float(self.target.cdf(self.reach))

    def draw(self, shape: int | tuple[int, ...], rng: np.random.Generator) -> Floats:
        """x from Q, of the given shape."""
        drawn: Floats = self.proposal.rvs(size=shape, random_state=rng)
        return drawn

    def values(self, x: Floats) -> Floats:
        """f(x): 1 where x exceeds the threshold, else 0."""
        return (x > self.threshold).astype(np.float64)

    def log_weights(self, x: Floats) -> Floats:
        """log P(x)/Q(x); both densities are known here."""
        ratio: Floats = self.target.logpdf(x) - self.proposal.logpdf(x)
        return ratio


def plain(values: Floats, weights: Floats) -> Floats:
    """The mean of f over the draws of Q, (simulations, n) -> (simulations,): an estimate of E_Q[f]."""
    return np.asarray(values.mean(axis=-1))


def weighted(values: Floats, weights: Floats) -> Floats:
    """mean(w f): unbiased for E_P[f], if Q reaches wherever P f does."""
    return np.asarray((weights * values).mean(axis=-1))


def self_normalised(values: Floats, weights: Floats) -> Floats:
    """sum(w f) / sum(w): never outside the range of f, with a bias of order 1/n."""
    return np.asarray((weights * values).sum(axis=-1) / weights.sum(axis=-1))


ESTIMATORS = {PLAIN: plain, WEIGHTED: weighted, SELF_NORMALISED: self_normalised}


def errors(estimates: Floats, truth: float) -> dict[str, float]:
    """Bias with its 95 % interval, standard deviation and root mean squared error of (simulations,) estimates."""
    bias = mean_interval(estimates - truth)
    return {
        "bias": bias.mean,
        "bias_low": bias.low,
        "bias_high": bias.high,
        "sd": float(estimates.std(ddof=1)),
        "rmse": float(np.sqrt(np.mean((estimates - truth) ** 2))),
        "simulations": len(estimates),
    }


def mean_interval(values: Floats) -> intervals.Interval:
    """The mean of independent (repetitions,) values with its 95 % interval by Student's t; one value has none."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return intervals.Interval(mean, float("-inf"), float("inf"))
    half = intervals.student_quantile(0.975, len(values) - 1) * float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return intervals.Interval(mean, mean - half, mean + half)


def simulate(question: Question, sizes: Iterable[int], simulations: int, seed: int = 0) -> pd.DataFrame:
    """Every estimator on ``simulations`` samples of each size: n, estimator, and the columns of :func:`errors`."""
    rng, rows = np.random.default_rng(seed), []
    for n in sizes:
        x = question.draw((simulations, n), rng)
        values, weights = question.values(x), np.exp(question.log_weights(x))
        for name, estimate in ESTIMATORS.items():
            rows.append({"n": n, "estimator": name, **errors(estimate(values, weights), question.truth)})
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
        weights = np.exp(shift * rng.standard_normal(n) - shift**2 / 2)
        found = diagnose(weights)
        exact = 100 * np.exp(-(shift**2))
        row = {"shift": shift, "n": n, "mean weight": found.mean, "ESS (%)": 100 * found.ess, "exact (%)": exact}
        rows.append({**row, "heaviest": found.max, "k-hat": found.khat})
    return pd.DataFrame(rows)


# ---------------------------------------------------------------- variance and what is done about it


def clipped(log_weights: Floats, clip: str) -> Floats:
    """The weights (simulations, n) after a remedy of :class:`paper_repro.method.losses.Switches`, sample by sample.

    ``clip`` is "none", "sqrt-n" or "bounded"; the very function that training uses.
    """
    switches = losses.Switches(clip=clip, alpha=ALPHA)  # type: ignore[arg-type]
    rows = torch.from_numpy(log_weights)
    zero = torch.zeros_like(rows[0])
    return np.stack([losses.weights("imp", zero, row, zero, switches).numpy() for row in rows])


def remedies(question: Question, n: int, simulations: int, rng: np.random.Generator) -> Mapping[str, Floats]:
    """Self-normalised estimates (simulations,) with the weights as they are and after each remedy."""
    x = question.draw((simulations, n), rng)
    values, logs = question.values(x), question.log_weights(x)
    # The defensive mixture draws a share ALPHA from P itself and divides by the density of the mixture.
    from_p = rng.random(x.shape) < ALPHA
    mixed = np.where(from_p, question.target.rvs(size=x.shape, random_state=rng), x)
    kinds = {RAW: "none", TRUNCATED: "sqrt-n", BOUNDED: "bounded"}
    found = {name: self_normalised(values, clipped(logs, clip)) for name, clip in kinds.items()}
    ratios = clipped(question.log_weights(mixed), "bounded")
    return {**found, MIXTURE: self_normalised(question.values(mixed), ratios)}


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
        values, weights = question.values(x), np.exp(question.log_weights(x))
        limit = question.reached - question.target.cdf(question.threshold)
        rows.append(
            {
                "Q reaches to": reach,
                "mean weight": float(weights.mean()),
                "exact": question.reached,
                "weighted": float(weighted(values, weights).mean()),
                "its limit": float(limit),
                "self-normalised": float(self_normalised(values, weights).mean()),
                "truth": question.truth,
            }
        )
    return pd.DataFrame(rows)
