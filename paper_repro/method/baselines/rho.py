"""RHO-Loss (Mindermann et al. 2022): of a large batch, train on the examples with the largest reducible loss.

The reducible hold-out loss is CE(x; theta_t) - CE(x; hold-out model), and here the hold-out model is the quality
checker, so it is ln(P'/p): the logarithm of DIMP's weight. RHO selects by it, DIMP weights with it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from paper_repro.method import train
from paper_repro.method.losses import observed_log_probability
from paper_repro.model.batches import Batch
from paper_repro.tools.errors import UserError


def selected(reducible: Tensor, share: float) -> Tensor:
    """Places of the largest ``share`` of the losses (examples,), one at least, ascending."""
    return reducible.topk(max(round(share * len(reducible)), 1)).indices.sort().values


class Step(train.Loop):
    """One update by CE on the top ``share`` of each large batch, which is batch_size / share examples.

    The scores come from a pass without dropout. Weights are n/k for the k chosen of n, 0 for the others. Raises
    UserError for a share out of range.
    """

    def __init__(self, *arguments: Any, share: float) -> None:
        if not 0 < share <= 1:
            raise UserError(f"rho: share={share:g}: expected more than 0 and 1 at most")
        self.share = share
        super().__init__(*arguments)

    def portions(self) -> int:
        return round(1 / self.share)

    def step(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        assert self.log_quality is not None
        labels = self.labels[batch.rows]
        log_p = self.without_dropout(batch, labels)
        reducible = self.log_quality[batch.rows] - log_p
        chosen = selected(reducible, self.share)
        part = self.batches.batch(batch.rows[chosen].cpu().numpy())
        trained = observed_log_probability(self.forward(part), labels[chosen])
        loss = -trained.mean()
        self.update(loss)
        weight = torch.zeros_like(log_p)
        weight[chosen] = len(labels) / len(chosen)
        return loss.detach(), log_p, weight
