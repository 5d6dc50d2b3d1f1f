"""What the methods share that ask how a step on the training batch would change the loss on the dev set.

Its mathematics is functions of parameters by name and of a function that gives the loss of each example, so that it
does not know about BERT. All of it is exact and needs no second derivative: where a virtual step is linear in the
weights, theta' = theta - sum_i w_i d_i, the derivative of the dev loss with respect to w_i is -<G, d_i>, with G the
gradient of the dev loss at theta'. If d_i is the gradient of example i, all these products together are one
forward-mode derivative (jvp) of the vector of losses along G.

Every pass of these methods runs in training mode, dropout included, as in the methods' own code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

from paper_repro.method import train
from paper_repro.method.losses import observed_log_probability
from paper_repro.method.scoring import forward
from paper_repro.model.batches import Batch
from paper_repro.model.classifier import Classifier
from paper_repro.model.dropout import SeededDropout
from paper_repro.tools.errors import TrainingError

Parameters = dict[str, Tensor]
Losses = Callable[[Parameters], Tensor]
"""From parameters to the loss of each example, (examples,)."""
DEV_BATCH = 64
"""Dev examples in one pass; it bounds the memory and changes no result."""


def alignments(losses: Losses, parameters: Parameters, direction: Parameters) -> tuple[Tensor, Tensor]:
    """The losses and <direction, grad l_i> of each example, both (examples,), in one forward-mode pass."""
    values, products = jvp(losses, (parameters,), (direction,))[:2]
    return values, products


def gradients_by_example(
    loss: Callable[..., Tensor], parameters: Parameters, inputs: Sequence[Tensor], chunk: int
) -> Parameters:
    """Gradient of ``loss(parameters, *inputs of one example)`` for each example, every tensor (examples, ...).

    ``inputs`` are batched along their first axis; ``chunk`` examples are worked on at once, with 0 one after the
    other without ``vmap``. Dropout is drawn anew for every example.
    """
    if not chunk:
        each = [grad(loss)(parameters, *one) for one in zip(*inputs, strict=True)]
        return {name: torch.stack([gradients[name] for gradients in each]) for name in parameters}
    mapped = vmap(grad(loss), in_dims=(None, *(0 for _ in inputs)), randomness="different", chunk_size=chunk)
    found: Parameters = mapped(parameters, *inputs)
    return found


class LookAhead(train.Loop):
    """A training loop with a view on the dev set. Raises TrainingError where that could say nothing of a class.

    ``relative`` weights are shares of a batch's total, which are meaningless in a batch of one.
    """

    relative = False
    uses_dev = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        torch_dropout(self.model)
        self.dev_labels = torch.from_numpy(self.data.dev_labels).to(self.device)
        self.draws = np.random.default_rng([self.order.initial_seed(), len(self.data.dev)])
        self.whole_dev = list(self.dev_batches.by_length(DEV_BATCH))
        missing = sorted(set(range(self.data.classes)) - set(self.data.dev_labels.tolist()))
        if self.uses_dev and missing:
            raise TrainingError(
                f"{self.method.id}: the dev set has no example of class {', '.join(map(str, missing))} (of 0 to "
                f"{self.data.classes - 1}), so the meta-gradient would know nothing of it; select on a pool with all"
            )
        if self.relative and self.recipe.batch_size == 1:
            raise TrainingError(
                f"{self.method.id}: batch_size is 1, but its weights are shares of a batch's total: one example always "
                "gets all of it; take 2 or more"
            )

    def parameters_by_name(self) -> Parameters:
        return {name: tensor.detach() for name, tensor in self.model.named_parameters()}

    def logits(self, parameters: Parameters, batch: Batch) -> Tensor:
        """Of the model with other parameters, (batch, classes)."""

        def call(**inputs: Tensor) -> Any:
            return functional_call(self.model, parameters, (), inputs)

        return forward(self.model, batch, self.recipe.precision, call)

    def losses(self, batch: Batch, labels: Tensor) -> Losses:
        """The CE of each example of the batch; ``labels`` are those of the whole pool."""
        return lambda parameters: -observed_log_probability(self.logits(parameters, batch), labels[batch.rows])

    def dev_gradient(self, parameters: Parameters, batches: Sequence[Batch]) -> Parameters:
        """Gradient of the mean CE over the dev examples in ``batches``."""
        return self.total_gradient(
            parameters, [self.losses(batch, self.dev_labels) for batch in batches], sum(len(b.rows) for b in batches)
        )

    def total_gradient(self, parameters: Parameters, parts: Sequence[Losses], examples: int) -> Parameters:
        """Gradient of the sum of all losses, divided by ``examples``."""
        total = {name: torch.zeros_like(tensor) for name, tensor in parameters.items()}
        for losses in parts:
            found = grad(lambda ahead: losses(ahead).sum() / examples)(parameters)  # noqa: B023 - called at once
            for name, part in found.items():
                total[name] += part
        return total

    def dev_draw(self, size: int) -> list[Batch]:
        """A random batch of the dev set, ``size`` examples or all there are."""
        pool = len(self.data.dev)
        return [self.dev_batches.batch(self.draws.choice(pool, min(size, pool), replace=False))]

    def finite(self, products: Tensor) -> Tensor:
        """The same; TrainingError with the step where the meta-gradient has gone out of bounds."""
        if not bool(torch.isfinite(products).all()):
            raise self.astray("the meta-gradient is not finite at", self.step_count + 1)
        return products


def torch_dropout(model: Classifier) -> None:
    """Give the model torch's own dropout and attention from elementary operations.

    The engine's fast dropout draws one mask for all examples that ``vmap`` maps over, and fused attention has no
    forward-mode derivative. Probabilities stay as they are.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, SeededDropout):
                setattr(module, name, nn.Dropout(child.p))
    model.set_attn_implementation("eager")


def dropout_state(device: torch.device) -> Tensor:
    """Where torch's generator stands, from which the model draws its dropout."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


@contextmanager
def dropout_from(state: Tensor, device: torch.device) -> Iterator[None]:
    """Inside, dropout is drawn as it was from ``state`` on: a pass can be repeated mask by mask. Then on as before."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.cuda.set_rng_state(state, device) if on_gpu else torch.set_rng_state(state)
        yield
