"""The losses of the paper as one idea: ``mean(weight * -log p(y|x))``; the methods differ in the weight alone.

=================  ==============================  =======================================================
method             weight                          source
=================  ==============================  =======================================================
``ce``             1                               Eq. 1
``focal``          (1 - p)^gamma                   Sec. 2.2; gamma = 1 and p detached in the authors' code
``imp``            (P' / Q)^gamma                  Eq. 6, gamma = 1
``dimp``           (P' / p)^gamma                  Eq. 9, gamma = 1
``quality_only``   P'^gamma                        Table 1, "- w/o diversity checker"
=================  ==============================  =======================================================

P' is the quality checker's probability of the observed label, Q the diversity checker's, p the model's own.
Everything is computed from log-probabilities, so that scores of 1e-30 and bf16 logits do no harm, and
no gradient flows through a weight unless ``detach=False`` asks for it.

A new loss is one more :class:`~paper_repro.method.record.Method` in :data:`LOSSES`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from paper_repro.method.recipe import one_of
from paper_repro.method.record import Method

Normalise = Literal["none", "batch"]
Clip = Literal["none", "sqrt-n", "bounded"]
Mode = Literal["train", "eval"]
LOWEST_LOG = -1e4  # log of a weight of 0 that gamma = 0 still turns into 1


@dataclass(frozen=True)
class Switches:
    """Choices that the paper leaves open; the defaults are those of the authors' code.

    ``detach``: no gradient through the weight. ``gamma``: exponent of the weight. ``normalise`` "batch" divides
    the weights by their mean in the batch (self-normalised importance sampling). ``clip`` "sqrt-n" truncates at
    mean(w) sqrt(n) of the batch (Ionides 2008); "bounded" takes the ratio P'/(alpha P' + (1 - alpha) Q), which
    never exceeds 1/alpha (Hesterberg's defensive mixture). ``weight_forward`` "eval" takes the p of a dynamic
    weight from a second forward pass without dropout.
    """

    detach: bool = True
    gamma: float = 1.0
    normalise: Normalise = "none"
    clip: Clip = "none"
    alpha: float = 0.1
    weight_forward: Mode = "train"

    def __post_init__(self) -> None:
        one_of(self, normalise=Normalise, clip=Clip, weight_forward=Mode)
        if not (math.isfinite(self.gamma) and self.gamma >= 0):
            raise ValueError(f"gamma={self.gamma!r}: expected a finite number, 0 or greater")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha={self.alpha!r}: expected a number between 0 and 1")


def observed_log_probability(logits: Tensor, labels: Tensor) -> Tensor:
    """log p(y_i|x_i), (batch,), from ``logits`` (batch, classes); half precision is raised to float32 first."""
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    return F.log_softmax(logits, dim=-1).gather(1, labels.unsqueeze(1)).squeeze(1)


def _ce(log_p: Tensor, log_quality: Tensor | None, log_diversity: Tensor | None, switches: Switches) -> Tensor:
    return torch.ones_like(log_p)


def _focal(log_p: Tensor, log_quality: Tensor | None, log_diversity: Tensor | None, switches: Switches) -> Tensor:
    # Kept off zero: at p = 1 the gradient of (1 - p)^gamma is infinite for gamma < 1, times -log p = 0.
    return torch.pow((-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny), switches.gamma)


def _imp(log_p: Tensor, log_quality: Tensor, log_diversity: Tensor, switches: Switches) -> Tensor:
    return _ratio(log_quality, log_diversity, switches)


def _dimp(log_p: Tensor, log_quality: Tensor, log_diversity: Tensor | None, switches: Switches) -> Tensor:
    return _ratio(log_quality, log_p, switches)


def _quality_only(log_p: Tensor, log_quality: Tensor, log_diversity: Tensor | None, switches: Switches) -> Tensor:
    return _power(log_quality, switches)


def _ratio(log_numerator: Tensor, log_denominator: Tensor, switches: Switches) -> Tensor:
    """(P'/Q)^gamma, or with clip "bounded" the power of P'/(alpha P' + (1 - alpha) Q)."""
    if switches.clip == "bounded":
        log_denominator = torch.logaddexp(
            log_numerator + math.log(switches.alpha), log_denominator + math.log1p(-switches.alpha)
        )
    return _power(log_numerator - log_denominator, switches)


def _power(log_weight: Tensor, switches: Switches) -> Tensor:
    return torch.exp(switches.gamma * log_weight.clamp(min=LOWEST_LOG))


LOSSES = {
    method.id: method
    for method in (
        Method(
            "ce",
            "CE-Loss",
            formula="1",
            about="plain cross-entropy",
            group="no labels",
            colour="#000000",
            marker="s",
            line=(0, (4, 1.5)),
            table1=("dev", "generated", "train"),
            weight=_ce,
            limit=lambda q, quality, gamma: q,
        ),
        Method(
            "focal",
            "Focal-Loss",
            formula="1 - p",
            about="more weight to what the model finds hard",
            group="no labels",
            colour="#E69F00",
            marker="^",
            line=(0, (1, 1)),
            table1=("dev", "generated", "train"),
            dynamic=True,
            weight=_focal,
        ),
        Method(
            "imp",
            "IMP-Loss (Ours)",
            "IMP-Loss",
            formula="P' / Q",
            about="the paper's first loss: quality checker over diversity checker",
            group="ours",
            colour="#0072B2",
            marker="o",
            table1=("generated", "train"),
            quality=True,
            diversity=True,
            weight=_imp,
            limit=lambda q, quality, gamma: q ** (1 - gamma) * quality**gamma,
        ),
        Method(
            "dimp",
            "DIMP-Loss (Ours)",
            "DIMP-Loss",
            formula="P' / p",
            about="the paper's second loss: the model itself in the diversity checker's place",
            group="ours",
            colour="#D55E00",
            marker="D",
            line=(0, (6, 1, 1, 1)),
            table1=("dev", "generated", "train"),
            quality=True,
            dynamic=True,
            weight=_dimp,
            limit=lambda q, quality, gamma: np.power(q * quality**gamma, 1 / (1 + gamma)),
        ),
        Method(
            "quality_only",
            "- w/o diversity checker",
            "w/o diversity checker",
            formula="P'",
            about="the paper's ablation: the quality checker's score alone",
            group="ours",
            colour="#009E73",
            marker="v",
            line="--",
            table1=("generated",),
            quality=True,
            weight=_quality_only,
            limit=lambda q, quality, gamma: q * quality**gamma,
        ),
    )
}
"""The paper's methods by id, in the order of its tables."""


def weights(
    method: str | Method,
    log_p: Tensor,
    log_quality: Tensor | None = None,
    log_diversity: Tensor | None = None,
    switches: Switches = Switches(),
) -> Tensor:
    """The weight of each example, (batch,), from log-probabilities of the observed label, each (batch,).

    Raises ValueError for an unknown method or a missing score.
    """
    record = method if isinstance(method, Method) else LOSSES.get(method)
    if record is None or record.weight is None:
        raise ValueError(f"method {method!r} is not one of {', '.join(LOSSES)}")
    if record.quality and log_quality is None:
        raise ValueError(f"method {record.id!r} needs the quality checker's scores")
    if record.diversity and log_diversity is None:
        raise ValueError(f"method {record.id!r} needs the diversity checker's scores")
    weight = record.weight(log_p.detach() if switches.detach else log_p, log_quality, log_diversity, switches)
    if switches.clip == "sqrt-n":
        weight = torch.minimum(weight, weight.mean() * math.sqrt(len(weight)))
    if switches.normalise == "batch":
        weight = weight / weight.mean().clamp(min=torch.finfo(weight.dtype).tiny)
    return weight


def weighted_loss(
    method: str,
    logits: Tensor,
    labels: Tensor,
    quality: Tensor | None = None,
    diversity: Tensor | None = None,
    **switches: Any,
) -> Tensor:
    """The scalar training loss of a batch (Eqs. 1, 6, 9).

    Args:
        method: one of :data:`LOSSES`.
        logits: (batch, classes), any floating dtype.
        labels: (batch,) int64 class indices, the observed labels.
        quality: (batch,) P'(y_i|x_i) in [0, 1]; for ``imp``, ``dimp`` and ``quality_only``.
        diversity: (batch,) Q(y_i|x_i) in (0, 1]; for ``imp``.
        **switches: fields of :class:`Switches`.

    Raises:
        ValueError: unknown method or switch, a score missing or outside its range.
    """
    try:
        chosen = Switches(**switches)
    except TypeError:
        unknown = sorted(set(switches) - set(Switches.__dataclass_fields__))
        valid = ", ".join(Switches.__dataclass_fields__)
        raise ValueError(f"unknown switch {', '.join(unknown)}: expected some of {valid}") from None
    log_p = observed_log_probability(logits, labels)
    weight = weights(
        method,
        log_p,
        _log_score("quality", quality, log_p, zero_allowed=True),
        _log_score("diversity", diversity, log_p, zero_allowed=False),
        chosen,
    )
    return (weight * -log_p).mean()


def _log_score(name: str, score: Tensor | None, like: Tensor, *, zero_allowed: bool) -> Tensor | None:
    """log of checker scores in the dtype of the loss; ValueError where a score is no probability."""
    if score is None:
        return None
    score = score.detach().to(like.dtype)
    if score.shape != like.shape:
        raise ValueError(f"{name} has shape {tuple(score.shape)}, expected {tuple(like.shape)}, one an example")
    lowest, highest = float(score.min()), float(score.max())
    # The slack admits sums of half-precision probabilities that round to a little over one.
    if not (lowest >= 0 and highest <= 1 + 1e-2) or (lowest == 0 and not zero_allowed):
        interval = "[0, 1]" if zero_allowed else "(0, 1]"
        raise ValueError(
            f"{name} scores span {lowest:g} to {highest:g}, expected probabilities in {interval}; "
            "give them as probabilities of the observed label, floored above 0"
        )
    return score.log()
