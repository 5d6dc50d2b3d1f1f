"""App. B as numbers: does an empirical loss tend to its expectation, and what does that take? (Eqs. 3, 5, 13-20)

The miniature world knows every probability, so limits and variances are sums, not estimates. Losses are in nats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, log

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.integrate import quad

from paper_repro.measures.intervals import wilson
from paper_repro.measures.weights import pareto_khat
from paper_repro.texts import world
from paper_repro.texts.world import WorldConfig

Floats = NDArray[np.float64]

KNOBS: tuple[dict[str, float], ...] = ({}, *({knob: v} for knob in ("input_shift", "support_gap") for v in (0.5, 1.0)))
"""Worlds in which App. B's conditions hold, and in which Q(x) is not P(x) or Q(y|x) lacks labels."""


@dataclass(frozen=True)
class Outcomes:
    """Every (x, y) that a world's Q can make, for one fixed model: (outcomes,) arrays.

    ``probability`` Q(x, y), ``weight`` P(y|x)/Q(y|x), ``loss`` -log p(y|x); ``risk`` is E_P[-log p] over all that P
    can make. A text counts by its concept and tone alone, on which P(y|x), Q(y|x) and the model depend.
    """

    probability: Floats
    weight: Floats
    loss: Floats
    risk: float

    def terms(self, method: str) -> Floats:
        """The term of each outcome in CE-Loss ("ce") or IMP-Loss with the true weights ("imp", Eq. 14)."""
        return self.weight * self.loss if method == "imp" else self.loss

    def moments(self, method: str) -> tuple[float, float]:
        """Mean and variance of a term under Q; the mean is the limit of the loss (Eqs. 3, 5)."""
        terms = self.terms(method)
        mean = float(self.probability @ terms)
        return mean, float(self.probability @ (terms - mean) ** 2)


def outcomes(config: WorldConfig, name: str) -> Outcomes:
    """The outcomes of benchmark ``name`` for the model that has learnt the Q(y|x) of the *default* world.

    The model is the same in every world, so that only the data differ, and gives every label a positive probability.
    """
    about, labels = world.inputs(config), world.conditionals(config, name)
    loss = -np.log(world.conditionals(WorldConfig(concepts=config.concepts), name).q)
    under_p, under_q = (  # (concepts, tones, classes)
        inputs.sum(axis=1)[:, None, None] * world.TONE_SHARES[:, None] * conditional
        for inputs, conditional in ((about.p, labels.p), (about.q, labels.q))
    )
    made = under_q > 0
    return Outcomes(under_q[made], (labels.p[made] / labels.q[made]), loss[made], float((under_p * loss).sum()))


def world_limits(names: Iterable[str], knobs: Iterable[Mapping[str, float]] = ({},)) -> pd.DataFrame:
    """What the losses tend to in worlds with these ``knobs``, exactly. One row per world and benchmark.

    ``input_distance`` is the total variation of Q(x) and P(x), ``missing_mass`` that of P which Q never makes,
    ``imp_variance`` that of a term, ``risk`` that under P, ``bias`` IMP's limit minus the risk.
    """
    rows = []
    for chosen in knobs:
        config = WorldConfig(**chosen)  # type: ignore[arg-type]
        for name in names:
            made = outcomes(config, name)
            limit, variance = made.moments("imp")
            title = ", ".join(f"{knob} {value:g}" for knob, value in chosen.items()) or "default"
            distance, missing = world.total_variation(config), world.missing_mass(config, name)
            mean_weight = float(made.probability @ made.weight)
            limits = (made.moments("ce")[0], limit, variance, made.risk, limit - made.risk)
            rows.append((title, name, distance, missing, mean_weight, *limits))
    columns = ["world", "benchmark", "input_distance", "missing_mass", "mean_weight"]
    return pd.DataFrame(rows, columns=[*columns, "ce_limit", "imp_limit", "imp_variance", "risk", "bias"])


def simulated(
    names: Iterable[str], sizes: Sequence[int], *, resamples: int = 2000, epsilon: float = 0.1, seed: int = 0
) -> pd.DataFrame:
    """Eqs. 3 and 17 by simulation: ``resamples`` data sets of each size drawn from Q, their CE and IMP losses.

    ``limit`` and ``sd_exact`` (root of Var_Q(Z)/N) are exact, ``mean`` and ``sd`` those of the empirical losses.
    ``share`` of the data sets, with its 95 % Wilson interval, is further than ``epsilon`` (a fraction of the limit)
    from the limit; ``bound`` is Chebyshev's, Var_Q(Z)/(N epsilon^2).
    """
    rows = []
    for name in names:
        made, rng = outcomes(WorldConfig(), name), np.random.default_rng(seed)
        for method in ("ce", "imp"):
            limit, variance = made.moments(method)
            for size in sizes:
                drawn = rng.multinomial(size, made.probability / made.probability.sum(), size=resamples)
                means, distance = drawn @ made.terms(method) / size, epsilon * limit
                far = wilson(int((np.abs(means - limit) >= distance).sum()), resamples)
                bound = min(1.0, variance / (size * distance**2))
                spread = (means.mean(), means.std(ddof=1), np.sqrt(variance / size))
                shares = (epsilon, far.mean, far.low, far.high, bound, resamples)
                rows.append((method, name, size, limit, *spread, *shares))
    columns = ["method", "benchmark", "size", "limit", "mean", "sd", "sd_exact"]
    columns += ["epsilon", "share", "share_low", "share_high", "bound", "resamples"]
    return pd.DataFrame(rows, columns=columns)


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


EXAMPLES = {
    "finite variance (s = 0.5)": TailExample(0.5),
    "infinite variance (s = 2)": TailExample(2.0),
    "no full support (s = 0.5, g = 0.3)": TailExample(0.5, gap=0.3),
}


def tails(draws: int = 100_000, seed: int = 1) -> pd.DataFrame:
    """The moments of :data:`EXAMPLES` and k-hat, an estimate of 1/tail_index from ``draws`` weights alone."""
    rows = {}
    for case, example in EXAMPLES.items():
        with np.errstate(over="ignore"):  # weights that are almost equal have no tail to fit
            khat = pareto_khat(example.weights(draws, np.random.default_rng(seed)))
        rows[case] = (example.mean, example.second_moment, example.tail_index, khat)
    return pd.DataFrame(rows, index=["mean weight", "second moment", "tail index", "k-hat"]).T


def mean_weight_errors(sizes: Sequence[int], *, resamples: int = 100, seed: int = 0) -> pd.DataFrame:
    """How far the mean of N weights typically lies from 1: the median over ``resamples`` data sets of each size.

    Columns: case (of :data:`EXAMPLES`), size, error, slope (of log error over log size), resamples.
    """
    rows = []
    for case, example in EXAMPLES.items():
        rng = np.random.default_rng(seed)
        distances = [[abs(example.weights(size, rng).mean() - 1) for _ in range(resamples)] for size in sizes]
        errors = np.median(distances, axis=1)
        slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
        rows += [(case, size, error, slope, resamples) for size, error in zip(sizes, errors, strict=True)]
    return pd.DataFrame(rows, columns=["case", "size", "error", "slope", "resamples"])
