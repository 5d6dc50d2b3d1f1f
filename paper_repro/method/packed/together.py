"""Several runs at once on one GPU, as one model: the launches of one run, and kernels large enough to fill it.

The runs train on the same texts with the same recipe; seed, method, checkers' scores and noisy labels may differ.
Losses, weights, clipping, histories and selection are those of each run by itself. At dropout 0 a run's numbers are
those that it has alone, up to rounding. With dropout its masks depend on which runs it is trained with: all masks
come from one stream, seeded by the first run's seed. The same runs in the same order give the same stream.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.func import stack_module_state

from paper_repro.method import train
from paper_repro.tools.errors import UserError
from paper_repro.method.losses import Switches, observed_log_probability
from paper_repro.method.packed.batches import Packed, joined
from paper_repro.method.packed.bert import stacked_logits
from paper_repro.method.packed.loop import PackedLoop, Recorded, optimiser, recorder
from paper_repro.runs.spec import Recipe
from paper_repro.method.train import Outcome, Run, Trained, TrainingData


@dataclass(frozen=True)
class Member:
    """What a run has of its own. Its data's texts are those of the other members; labels and scores are its own."""

    data: TrainingData
    method: str
    seed: int


def train_together(
    members: Sequence[Member],
    encoder_dir: Path,
    recipe: Recipe,
    *,
    switches: Switches = Switches(),
    device: torch.device | str = "cpu",
    keep_state: bool = False,
    dropout: float | None = None,
) -> list[Trained]:
    """What :func:`paper_repro.method.train.train` gives for each member, from one training of them all.

    Seconds of training are shared out evenly. Raises UserError for members that cannot be trained together, and
    TrainingError as ``train`` does, for all of them.
    """
    _check(members, recipe, switches)
    runs = [
        Run(member.data, encoder_dir, member.method, recipe, member.seed, switches, device, keep_state, dropout)
        for member in members
    ]
    stack = Stack(runs)
    with train.seeded(members[0].seed, runs[0].device):
        for _ in range(recipe.epochs):
            clock = time.perf_counter()
            outcomes = stack.epoch()
            seconds = (time.perf_counter() - clock) / len(runs)
            for place, run in enumerate(runs):
                stack.show(place)
                run.after_epoch(outcomes[place], seconds)
    return [run.trained() for run in runs]


def _check(members: Sequence[Member], recipe: Recipe, switches: Switches) -> None:
    if recipe.fidelity != "packed":
        raise UserError(f'fidelity={recipe.fidelity!r}: runs are trained together with fidelity "packed" only')
    if switches.weight_forward == "eval":
        raise UserError('weight_forward="eval" needs a second forward pass: train such runs one by one')
    first = members[0].data
    for member in members[1:]:
        for name in ("train", "dev", "test"):
            ours, theirs = getattr(first, name).ids, getattr(member.data, name).ids
            if ours is not theirs and not np.array_equal(ours, theirs):
                raise UserError(f"{name} texts differ: runs that are trained together need the same, in the same order")


class Stack:
    """One model that holds the parameters of all runs, and their common step."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs, self.recipe = runs, runs[0].recipe
        self.model = runs[0].model
        stacked, _ = stack_module_state([run.model for run in runs])
        self.weights: dict[str, Tensor] = {name: w.detach().requires_grad_() for name, w in stacked.items()}
        clock = runs[0].steps
        assert isinstance(clock, PackedLoop)
        self.clock = clock
        self.optimiser = optimiser(self.weights.values(), self.clock.rate, self.recipe.weight_decay)
        for run in runs:  # the memory of their own parameters comes free
            run.model = run.steps.model = self.model
            run.steps.parameters, run.steps.optimiser = [], self.optimiser
        self.recorded = Recorded(recorder(runs[0].device))

    def epoch(self) -> list[Outcome]:
        """One pass over the data, each run in its own order."""
        orders = [run.batchers[0].shuffled(self.recipe.batch_size, run.steps.order) for run in self.runs]
        kept: list[list[tuple[Tensor, ...]]] = [[] for _ in self.runs]
        for batches in zip(*orders, strict=True):
            assert all(isinstance(batch, Packed) for batch in batches)
            self.clock.set_rate()
            found = self.recorded(self._step, joined(batches))
            for place, (run, batch) in enumerate(zip(self.runs, batches, strict=True)):
                run.steps.step_count += 1
                kept[place].append((found[0][place], batch.rows, found[1][place], found[2][place]))
        return [run.steps.outcome(*map(list, zip(*own, strict=True))) for run, own in zip(self.runs, kept, strict=True)]

    def _step(self, batch: Packed) -> tuple[Tensor, Tensor, Tensor]:
        """Losses (runs,), log p and weights (runs, texts) of one update of every run."""
        parts = []
        with train.autocast(batch.rows.device, self.recipe.precision):
            logits = stacked_logits(self.weights, self.model.config, batch, training=True)
        for place, run in enumerate(self.runs):
            own = batch.part(place)
            labels = run.steps.labels[own.rows]
            log_p = observed_log_probability(logits[place], labels)
            weight = run.steps.weight(own, labels, log_p)  # type: ignore[arg-type]
            parts.append(((weight * -log_p).mean(), log_p, weight))
        losses, log_p, weight = (torch.stack(found) for found in zip(*parts, strict=True))
        losses.sum().backward()  # each run's gradient is that of its own loss: no parameter is shared
        self._clip()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return losses.detach(), log_p.detach(), weight.detach()

    def _clip(self) -> None:
        """Each run by the norm of its own gradient, all of its tensors in a few kernels."""
        for place in range(len(self.runs)):
            own = [weight.grad[place] for weight in self.weights.values() if weight.grad is not None]
            norm = torch.nn.utils.get_total_norm(own, foreach=True)
            torch._foreach_mul_(own, (self.recipe.clip_norm / (norm + 1e-6)).clamp(max=1.0))

    @torch.no_grad()
    def show(self, place: int) -> None:
        """Put one run's weights into the model, to score and to keep them."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(self.weights[name][place])
