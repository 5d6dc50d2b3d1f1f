"""Hu et al. 2019, learning data manipulation: a weight phi_i for every training example, learnt along with the model.

Before each update the examples of the batch are tried out: delta_i is the step that Adam would take on example i
alone, with the optimiser's moments as they stand, and theta' = theta + sum_i phi_i delta_i. With G the gradient of
the mean dev loss at theta' and delta_i held fixed, dL_dev/dphi_i = <G, delta_i> exactly, and

    phi_i <- max(phi_i / w_decay - <G, delta_i>, 1e-5),    w = softmax(phi) or phi / sum(phi) over the batch.

The model is then trained on sum_i w_i CE_i. phi stays with its example from epoch to epoch.

Taken from the authors' text experiments (github.com/tanyuqian/learning-data-manipulation): every pass in training
mode; Adam with an L2 term of 0.01 theta (none for biases and LayerNorm), in delta_i as in the update; theta' sums
over ``group`` = 8 examples at once, however large the batch; in the first step, when Adam has no moments, all weights
are equal and phi stays. They published two settings: norm "softmax" with w_decay 5 (SST-5), and norm "linear" with
w_decay 10 or 5 (imbalanced SST-2). With the first the weights hardly move.

What differs here: gradients are clipped and the learning rate decays linearly, as for all methods of this package (so
delta_i shrinks with it). Their epochs of plain pre-training are a run's ``start``, after which Adam's moments begin
anew and the rate at its full height. Every epoch can be selected, where theirs are from ``min_epochs`` on.

The cost is in G, a pass over the whole dev set for every group. ``group=0`` takes the batch as one group and
``dev_batch`` > 0 a random dev batch of that size in place of the dev set: cheaper variants, not the original.
A group's deltas are held together, ``group`` times the model's size; ``chunk`` of them are computed at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from paper_repro.method.baselines.look_ahead import LookAhead, Parameters, gradients_by_example
from paper_repro.method.losses import observed_log_probability
from paper_repro.model.batches import Batch
from paper_repro.model.fast_bert import FastBert
from paper_repro.tools.errors import UserError

LOWEST = 1e-5


def adam_change(
    gradients: Tensor, first: Tensor, second: Tensor, *, step: int, rate: float, betas: tuple[float, float], eps: float
) -> Tensor:
    """Adam's step number ``step`` for each of ``gradients`` (examples, ...), from moments of one parameter (...)."""
    mean = torch.lerp(gradients, first, betas[0]) / (1 - betas[0] ** step)
    square = torch.lerp(gradients.square(), second, betas[1]) / (1 - betas[1] ** step)
    return mean.div_(square.sqrt_().add_(eps)).mul_(-rate)


def moved(parameters: Parameters, changes: Parameters, phi: Tensor) -> Parameters:
    """theta + sum_i phi_i delta_i, with ``changes`` (examples, ...) and ``phi`` (examples,)."""
    return {name: tensor + torch.tensordot(phi, changes[name], dims=1) for name, tensor in parameters.items()}


def products(changes: Parameters, direction: Parameters) -> Tensor:
    """<direction, delta_i> of each example, (examples,)."""
    return torch.stack([change.flatten(1) @ direction[name].flatten() for name, change in changes.items()]).sum(dim=0)


def renewed(phi: Tensor, meta_gradient: Tensor, w_decay: float) -> Tensor:
    return (phi / w_decay - meta_gradient).clamp(min=LOWEST)


def normalised(phi: Tensor, norm: str) -> Tensor:
    """Weights that sum to one, (examples,); equal ones where a linear normalisation finds nothing but zeros."""
    if norm == "softmax":
        return phi.softmax(dim=0)
    positive = phi.clamp(min=0)
    total = positive.sum()
    return torch.where(total > 1e-8, positive / total.clamp(min=1e-8), 1 / len(phi))


class Step(LookAhead):
    """loss = sum_i w_i CE_i. Raises UserError for options out of range."""

    relative = True

    def __init__(
        self,
        *arguments: Any,
        w_init: float,
        w_decay: float,
        norm: str,
        group: float,
        dev_batch: float,
        chunk: float,
        l2: float,
    ) -> None:
        if norm not in ("softmax", "linear"):
            raise UserError(f"hu: norm={norm!r}: expected 'softmax' or 'linear'")
        if w_decay <= 0 or chunk < 1 or min(group, dev_batch, l2) < 0:
            raise UserError(
                f"hu: w_decay={w_decay:g}, chunk={chunk:g}, group={group:g}, dev_batch={dev_batch:g}, l2={l2:g}: "
                "expected w_decay above 0, chunk 1 or more, the others 0 or more"
            )
        super().__init__(*arguments)
        if self.recipe.weight_decay:
            raise UserError("hu: the recipe's weight_decay is not used; give the option l2 instead")
        self.norm, self.w_decay, self.l2 = norm, w_decay, l2
        self.group, self.dev_batch, self.chunk = int(group), int(dev_batch), int(chunk)
        self.phi = torch.full((len(self.data.train),), float(w_init), device=self.device)
        decayed: dict[bool, list[Tensor]] = {True: [], False: []}
        for tensor in self.parameters:
            decayed[self.has_l2(tensor)].append(tensor)
        self.optimiser = torch.optim.Adam(
            [{"params": decayed[True], "weight_decay": l2}, {"params": decayed[False], "weight_decay": 0.0}],
            lr=self.recipe.learning_rate,
            fused=self.recipe.fidelity == "fast",
        )

    @staticmethod
    def has_l2(parameter: Tensor) -> bool:
        """Not for biases and the gains of LayerNorm, which are vectors in every encoder."""
        return parameter.ndim > 1

    def weight(self, batch: Batch, labels: Tensor, log_p: Tensor) -> Tensor:
        if self.optimiser.state:
            size = self.group or len(labels)
            for i in range(0, len(labels), size):
                self._renew(batch.part(slice(i, i + size)), labels[i : i + size])
            share = normalised(self.phi[batch.rows], self.norm)
        else:
            share = torch.full_like(log_p, 1 / len(labels))
        return len(labels) * share  # the engine takes the mean over the batch

    def _renew(self, part: Batch, labels: Tensor) -> None:
        parameters, phi = self.parameters_by_name(), self.phi[part.rows]
        changes = self.changes(parameters, part, labels)
        ahead = moved(parameters, changes, phi)
        dev = self.dev_draw(self.dev_batch) if self.dev_batch else self.whole_dev
        meta_gradient = self.finite(products(changes, self.dev_gradient(ahead, dev)))
        self.phi[part.rows] = renewed(phi, meta_gradient, self.w_decay)

    def changes(self, parameters: Parameters, part: Batch, labels: Tensor) -> Parameters:
        """delta_i of each example, every tensor (examples, ...)."""

        def loss(parameters: Parameters, ids: Tensor, mask: Tensor, types: Tensor, label: Tensor) -> Tensor:
            one = Batch(part.rows, ids.unsqueeze(0), mask.unsqueeze(0), types.unsqueeze(0))
            return -observed_log_probability(self.logits(parameters, one), label.unsqueeze(0)).sum()

        mask = torch.ones_like(part.input_ids) if part.attention_mask is None else part.attention_mask
        inputs = (part.input_ids, mask, part.token_type_ids, labels)
        # transformers' own forward passes look into the mask, which vmap does not allow.
        chunk = self.chunk if isinstance(self.model, FastBert) else 0
        made = gradients_by_example(loss, parameters, inputs, chunk)
        for name, tensor in self.model.named_parameters():
            gradients, state = made[name], self.optimiser.state[tensor]
            if self.has_l2(tensor):
                gradients.add_(parameters[name], alpha=self.l2)
            made[name] = adam_change(
                gradients,
                state["exp_avg"],
                state["exp_avg_sq"],
                step=self.step_count + 1,
                rate=self.learning_rate(),
                betas=self.optimiser.defaults["betas"],
                eps=self.optimiser.defaults["eps"],
            )
        return made
