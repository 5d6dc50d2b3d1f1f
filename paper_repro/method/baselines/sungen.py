"""SunGen (Gao et al. 2023): weights s_i = sigmoid(theta_i) of the generated examples, learnt without any real data.

Before training, ``iterations`` times: train a model afresh for one epoch on mean(s CE); take the gradient G of a loss
that noisy labels mislead little on ``outer`` generated examples; and move theta (Adam at ``rate``, gradient clipped)
along what one plain SGD step on sum_i s_i CE_i / sum_i s_i at the trained model would have changed in that loss:

    dL_outer/dtheta_i = -learning rate * <G, grad CE_i> * s_i (1 - s_i) / sum_j s_j.

The loss is reverse cross entropy, -sum_k p_k ln q_k with q = softmax(10 onehot(y)), about 10 (1 - p_y); as in the
authors' code it is summed over batches of means. Then the model is trained from its start on mean(s CE), s fixed.

``outer`` "held_out" sets a random ``outer_share`` of the examples aside: the inner models do not see them, and in the
final training their weight is that of theta = 0, one half. "subset" is what the authors' command does
(github.com/SumilerGAO/SunGen): the outer examples are a random part of the inner ones, of which only those with a
weight in the upper nine tenths of all weights count. The authors take 100 iterations, an LSTM as inner model and a
constant rate of 1e-3 in it; ours are 10, the run's own encoder and the run's recipe, its linear decay included.
Passes of the hypergradient are in training mode, as theirs are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paper_repro.method import train
from paper_repro.method.baselines.look_ahead import LookAhead, Losses, alignments
from paper_repro.model.batches import Batch
from paper_repro.tools.errors import TrainingError, UserError

SHARPNESS = 10.0  # of q
TOP = 0.9  # the share of all weights that an outer example's must be among
EPSILON = 1e-20
"""Adam's. The hypergradient of one of 10,000 examples is near 1e-8 at a learning rate of 6e-5: the usual 1e-8 would
decide how far theta moves, and so the learning rate would."""


def reverse_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-sum_k p_k ln q_k of each example, (examples,), from logits (examples, classes)."""
    target = SHARPNESS * nn.functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return -(logits.softmax(dim=1) * target.log_softmax(dim=1)).sum(dim=1)


def hypergradient(products: Tensor, theta: Tensor, inner: Tensor, rate: float) -> Tensor:
    """dL_outer/dtheta, (examples,), after theta' = w - rate * sum_i s_i grad l_i / sum_j s_j.

    ``products`` are <G, grad l_i>, ``inner`` (examples,) is 1 for the examples of the inner problem and 0 for others.
    """
    s = theta.sigmoid()
    return -rate * products * s * (1 - s) * inner / (s * inner).sum()


class _Inner(train.Loop):
    """Training on mean(s CE)."""

    s: Tensor

    def weight(self, batch: Batch, labels: Tensor, log_p: Tensor) -> Tensor:
        return self.s[batch.rows]


class Step(LookAhead):
    """loss = mean(s_i CE_i), s learnt before the first epoch. Raises UserError for options out of range."""

    uses_dev = False

    def __init__(
        self, *arguments: Any, iterations: float, outer: str, outer_share: float, rate: float, clip: float
    ) -> None:
        if outer not in ("held_out", "subset"):
            raise UserError(f"sungen: outer={outer!r}: expected 'held_out' or 'subset'")
        if iterations < 1 or not 0 < outer_share < 1 or min(rate, clip) <= 0:
            raise UserError(
                f"sungen: iterations={iterations:g}, outer_share={outer_share:g}, rate={rate:g}, clip={clip:g}: "
                "expected 1 or more iterations, a share between 0 and 1, rate and clip above 0"
            )
        super().__init__(*arguments)
        self.iterations, self.held_out, self.rate, self.clip = int(iterations), outer == "held_out", rate, clip
        pool = len(self.data.train)
        size = round(outer_share * pool)
        if not 0 < size < pool:
            raise TrainingError(f"sungen: {outer_share:g} of {pool} examples leaves no inner or no outer ones")
        self.outer = np.sort(self.draws.choice(pool, size, replace=False))
        self.inner = torch.ones(pool, device=self.device)
        if self.held_out:
            self.inner[torch.from_numpy(self.outer)] = 0
        self.inner_order = torch.Generator().manual_seed(self.order.initial_seed())
        self.theta: Tensor | None = None

    def epoch(self) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
        if self.theta is None:
            self.theta = self._learnt()
        return super().epoch()

    def weight(self, batch: Batch, labels: Tensor, log_p: Tensor) -> Tensor:
        assert self.theta is not None
        return self.theta[batch.rows].sigmoid()

    def _learnt(self) -> Tensor:
        start = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        theta = torch.zeros(len(self.data.train), device=self.device)
        optimiser = torch.optim.Adam([theta], lr=self.rate, eps=EPSILON)
        for iteration in range(1, self.iterations + 1):
            self._train_inner(theta.sigmoid() * self.inner)
            found = hypergradient(self._products(theta), theta, self.inner, self.recipe.learning_rate)
            self.model.load_state_dict(start)
            if not bool(torch.isfinite(found).all()):
                raise self.astray(f"the hypergradient of iteration {iteration} is not finite, before", 1)
            theta.grad = found
            nn.utils.clip_grad_norm_([theta], self.clip)
            optimiser.step()
        return theta

    def _train_inner(self, s: Tensor) -> None:
        """One epoch from where the model stands, with an optimiser of its own."""
        recipe = replace(self.recipe, epochs=1)
        loop = _Inner(
            self.model, self.batches, self.dev_batches, self.data, self.method, recipe, self.switches, 0, self.device
        )
        loop.s, loop.order = s, self.inner_order
        loop.epoch()

    def _products(self, theta: Tensor) -> Tensor:
        """<G, grad CE_i> of every training example at the model as it is, (examples,)."""
        parameters, size = self.parameters_by_name(), self.recipe.batch_size
        rows = self._outer_rows(theta)
        outer = [self._outer_losses(self.batches.batch(rows[i : i + size])) for i in range(0, len(rows), size)]
        on_outer = self.total_gradient(parameters, outer, size)
        products = torch.zeros(len(self.data.train), device=self.device)
        for batch in self.batches.by_length(size):
            products[batch.rows] = alignments(self.losses(batch, self.labels), parameters, on_outer)[1]
        return products

    def _outer_losses(self, batch: Batch) -> Losses:
        labels = self.labels[batch.rows]
        return lambda parameters: reverse_cross_entropy(self.logits(parameters, batch).float(), labels)

    def _outer_rows(self, theta: Tensor) -> NDArray[np.int64]:
        """The outer examples, shortest first."""
        rows = self.outer
        if not self.held_out:
            values = theta.cpu().numpy()
            rows = rows[values[rows] >= np.sort(values)[len(values) - int(TOP * len(values))]]
        return rows[np.argsort(self.batches.lengths[rows], kind="stable")]
