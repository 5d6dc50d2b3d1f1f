"""Ren et al. 2018, learning to reweight: an example counts if a step on it would help on a batch of the dev set.

All weights start at phi = 0, so the virtual SGD step leaves theta where it is, and -dL_dev/dphi_i is the learning
rate times <G, grad CE_i>, with G the gradient on a dev batch of the training batch's size. The weights are these
values, negative ones set to zero, divided by their sum in the batch (the learning rate cancels).

If no example of a batch is of use, all weights are zero and the step is skipped: neither weights nor moments change,
only the learning rate's schedule goes on.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_repro.method.baselines.look_ahead import LookAhead, alignments
from paper_repro.model.batches import Batch
from paper_repro.tools.errors import TrainingError


def shares(use: Tensor) -> Tensor:
    """max(use, 0) / its sum, (examples,); zeros where nothing is positive."""
    positive = use.clamp(min=0)
    total = positive.sum()
    return positive / torch.where(total > 0, total, 1)


class Step(LookAhead):
    """loss = sum_i w_i CE_i. Raises TrainingError after an epoch in which no example had a weight."""

    relative = True
    skipped = False

    def weight(self, batch: Batch, labels: Tensor, log_p: Tensor) -> Tensor:
        parameters = self.parameters_by_name()
        on_dev = self.dev_gradient(parameters, self.dev_draw(len(labels)))
        use = self.finite(alignments(self.losses(batch, self.labels), parameters, on_dev)[1])
        weight = len(labels) * shares(use)  # the engine takes the mean over the batch
        self.skipped = not bool(weight.any())
        return weight

    def update(self, loss: Tensor) -> None:
        if self.skipped:
            self.step_count += 1
        else:
            super().update(loss)

    def epoch(self) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
        losses, log_p, weight = super().epoch()
        if not weight.any():
            raise TrainingError(
                f"ren: all weights of the epoch that ends with step {self.step_count} are zero: no training example's "
                "gradient points where that of the dev batches does; take larger batches or a larger dev set"
            )
        return losses, log_p, weight
