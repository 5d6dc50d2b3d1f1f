"""Self-distillation from the quality checker: soft labels P' on the inputs of D_Q; the observed labels are unused.

It is what IMP with an exact diversity checker converges to: sum_y Q(y|x) P'(y|x)/Q(y|x) -log p = sum_y P' -log p.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from paper_repro.method import train
from paper_repro.model.batches import Batch


class Step(train.Loop):
    """loss = mean over the batch of -sum_y P'(y|x) log p(y|x)."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        assert self.data.log_quality_all is not None
        self.soft = torch.from_numpy(self.data.log_quality_all).to(self.device).exp()

    def step(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        logits = self.forward(batch)
        log_p = F.log_softmax(logits.float(), dim=-1)
        loss = -(self.soft[batch.rows] * log_p).sum(dim=-1).mean()
        self.update(loss)
        observed = log_p.gather(1, self.labels[batch.rows].unsqueeze(1)).squeeze(1).detach()
        return loss.detach(), observed, observed.new_ones(len(observed))
