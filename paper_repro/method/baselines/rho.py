"""RHO-Loss (Mindermann et al. 2022): of a large batch, train on the examples with the largest reducible loss.

The reducible hold-out loss is CE(x; theta_t) - CE(x; hold-out model), and here the hold-out model is the quality
checker, so it is ln(P'/p): the logarithm of DIMP's weight. RHO selects by it, DIMP weights with it.

As in the paper, methods are compared at equal updates: an epoch has as many as one of CE's. Each looks at a large
batch drawn uniformly from the pool (not from one length bucket), so the epoch passes over the pool 1/share times.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, repeat
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

    ``select_in`` "eval" scores the large batch without dropout, "train" with it, as the authors' code does. Weights
    are n/k for the k chosen of n, 0 for the others. Raises UserError for options out of range.
    """

    def __init__(self, *arguments: Any, share: float, select_in: str) -> None:
        if not 0 < share <= 1:
            raise UserError(f"rho: share={share:g}: expected more than 0 and 1 at most")
        if select_in not in ("eval", "train"):
            raise UserError(f"rho: select_in={select_in!r}: expected 'eval' or 'train'")
        super().__init__(*arguments)
        self.large, self.share, self.select_in = round(self.recipe.batch_size / share), share, select_in

    def drawn(self) -> Iterator[Batch]:
        passes = (self.batches.shuffled(self.large, self.order, mixed=True) for _ in repeat(None))
        return islice(chain.from_iterable(passes), self.updates)

    def step(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        assert self.log_quality is not None
        labels = self.labels[batch.rows]
        log_p = self.scored(batch, labels)
        chosen = selected(self.log_quality[batch.rows] - log_p, self.share)
        part = self.batches.batch(batch.rows[chosen].cpu().numpy())
        loss = -observed_log_probability(self.forward(part), labels[chosen]).mean()
        self.update(loss)
        weight = torch.zeros_like(log_p)
        weight[chosen] = len(labels) / len(chosen)
        return loss.detach(), log_p, weight

    def scored(self, batch: Batch, labels: Tensor) -> Tensor:
        """log p of the labels, (batch,), by which the batch is searched."""
        if self.select_in == "eval":
            return self.without_dropout(batch, labels)
        with torch.no_grad():
            return observed_log_probability(self.forward(batch), labels)
