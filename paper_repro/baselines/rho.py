"""RHO-Loss (Mindermann et al. 2022): of a large batch, train on the examples with the largest reducible loss.

The reducible hold-out loss is CE(x; theta_t) - CE(x; hold-out model), and here the hold-out model is the quality
checker, so it is ln(P'/p): the logarithm of DIMP's weight. RHO selects by it, DIMP weights with it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from paper_repro import training
from paper_repro.encoding import Batch
from paper_repro.losses import observed_log_probability


class Step(training.Loop):
    """One update by CE on the top ``share`` of each large batch; the scores come from a pass without dropout."""

    def __init__(self, *arguments: Any, share: float, **options: Any) -> None:
        self.share = share
        super().__init__(*arguments, **options)

    def portions(self) -> int:
        return round(1 / self.share)

    def step(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        assert self.log_quality is not None
        labels = self.labels[batch.rows]
        log_p = self.without_dropout(batch, labels)
        reducible = self.log_quality[batch.rows] - log_p
        chosen = reducible.topk(max(round(self.share * len(labels)), 1)).indices.sort().values
        part = self.batches.batch(batch.rows[chosen].cpu().numpy())
        trained = observed_log_probability(training.forward(self.model, part, self.recipe.precision), labels[chosen])
        loss = -trained.mean()
        self.update(loss)
        weight = torch.zeros_like(log_p)
        weight[chosen] = len(labels) / len(chosen)
        return loss.detach(), log_p, weight
