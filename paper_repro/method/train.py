"""The training engine: one loop for every method of the paper, read from top to bottom.

What makes it fast is plain: texts are tokenised once and lie on the device, batches hold texts of similar
length, the forward pass runs in bf16 where the recipe says so (fp32 master weights), the optimiser is fused,
the checkers' scores are looked up by row, the embedding table holds only the tokens in use, the last layer
computes only the token that the classifier reads, and nothing inside a step waits for the device.
``fidelity="authors"`` turns all of it off: padded to 128, fp32, uniform batches. ``fidelity="packed"`` is for GPUs:
batches without padding, and a step that is recorded once and replayed (:mod:`paper_repro.method.packed`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertForSequenceClassification

from paper_repro.model import classifier
from paper_repro.measures.weights import diagnose
from paper_repro.model.dropout import seed_dropout
from paper_repro.model.tokens import Batch, Batcher, Encoded, kept_tokens
from paper_repro.tools.errors import TrainingError
from paper_repro.model.first_token import first_token_only
from paper_repro.method.losses import DYNAMIC, Switches, observed_log_probability, weights
from paper_repro.measures.accuracy import accuracy, macro_f1
from paper_repro.texts.pools import Pool
from paper_repro.runs.spec import EpochRecord, Recipe

if TYPE_CHECKING:
    from paper_repro.method.packed.batches import Packed

Outcome = tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]
"""Of an epoch: the loss of each step, and by training example log p of its label and its weight."""

SCORING_BATCH = 1024  # on a GPU, where App. E has 64: a pass costs its launches, and no score depends on it
SCORING_WIDTH = 12288  # on a CPU: texts a batch x width of the model, more outgrows the cache


@dataclass(frozen=True)
class TrainingData:
    """Tokenised pools with int64 labels (examples,), and the checkers' log-scores of the observed labels of
    the training examples, float32 (examples,), where the method needs them. ``log_quality_all`` and
    ``log_diversity_all`` (examples, classes) are their log-scores of every class."""

    train: Encoded
    train_labels: NDArray[np.int64]
    dev: Encoded
    dev_labels: NDArray[np.int64]
    test: Encoded
    test_labels: NDArray[np.int64]
    classes: int
    log_quality: NDArray[np.float32] | None = None
    log_diversity: NDArray[np.float32] | None = None
    log_quality_all: NDArray[np.float32] | None = None
    log_diversity_all: NDArray[np.float32] | None = None

    def subset(self, rows: NDArray[np.int64]) -> TrainingData:
        """The same with those training examples only; dev and test stay."""
        names = ("log_quality", "log_diversity", "log_quality_all", "log_diversity_all")
        scores: dict[str, Any] = {name: found[rows] for name in names if (found := getattr(self, name)) is not None}
        return replace(self, train=self.train.subset(rows), train_labels=self.train_labels[rows], **scores)


@dataclass(frozen=True)
class Trained:
    """What training yields; probabilities (examples, classes) are those of the selected epoch.

    ``train_log_p`` (epochs, train examples) is log p(y_i|x_i) of the training forward pass, ``state`` the selected
    weights on the CPU (None unless asked for), ``kept`` the token ids of its embedding rows.
    """

    history: tuple[EpochRecord, ...]
    selected_epoch: int
    dev_probabilities: NDArray[np.float32]
    test_probabilities: NDArray[np.float32]
    train_log_p: NDArray[np.float32]
    seconds: dict[str, float]
    state: dict[str, Tensor] | None
    kept: NDArray[np.int64] | None


def train(
    data: TrainingData,
    encoder_dir: Path,
    method: str,
    recipe: Recipe,
    seed: int,
    *,
    switches: Switches = Switches(),
    device: torch.device | str = "cpu",
    keep_state: bool = False,
    dropout: float | None = None,
    loop: Callable[..., Loop] | None = None,
    start: Path | None = None,
) -> Trained:
    """Fine-tune the encoder on ``data.train`` and select the epoch with the best dev accuracy (App. F), or the
    last one where ``recipe.select`` says so. A method with a step of its own brings its :class:`Loop`. ``start`` is a
    checkpoint to go on from.

    The same arguments on the same CPU, with the same number of threads, give the same bits; torch's global random
    state is left as it was. Raises TrainingError with the step where the loss is no longer finite.
    """
    run = Run(data, encoder_dir, method, recipe, seed, switches, device, keep_state, dropout, loop, start)
    with seeded(seed, run.device):
        for _ in range(recipe.epochs):
            clock = time.perf_counter()
            run.after_epoch(run.steps.epoch(), time.perf_counter() - clock)
    return run.trained()


class Run:
    """A training under way: its model, batches and steps, its history, and what the selected epoch leaves behind."""

    def __init__(
        self,
        data: TrainingData,
        encoder_dir: Path,
        method: str,
        recipe: Recipe,
        seed: int,
        switches: Switches,
        device: torch.device | str,
        keep_state: bool = False,
        dropout: float | None = None,
        loop: Callable[..., Loop] | None = None,
        start: Path | None = None,
    ) -> None:
        self.started = time.perf_counter()
        self.data, self.recipe, self.keep_state = data, recipe, keep_state
        self.device = device = torch.device(device)
        plain = recipe.fidelity == "authors"
        # Rows without a gradient never move in Adam unless weight decay pulls them, so they can be left out.
        self.kept = kept = None if plain or recipe.weight_decay else kept_tokens(data.train, data.dev, data.test)
        self.model = classifier.build(encoder_dir, data.classes, seed=seed, device=device, kept=kept, dropout=dropout)
        if start is not None:
            classifier.start_from(self.model, start, kept)
        if not plain:
            first_token_only(self.model)
            if device.type == "cpu":
                seed_dropout(self.model, seed)
        batcher, default = _packed() if recipe.fidelity == "packed" else (Batcher, Loop)
        self.batchers = [
            batcher(pool, device, pad_to=recipe.max_length if plain else 0, kept=kept)
            for pool in (data.train, data.dev, data.test)
        ]
        train_batches, dev_batches, _ = self.batchers
        self.steps: Loop = (loop or default)(
            self.model, train_batches, dev_batches, data, method, recipe, switches, seed, device
        )
        self.history: list[EpochRecord] = []
        self.log_ps: list[NDArray[np.float32]] = []
        self.selected = 0
        self.dev_kept: NDArray[np.float32] | None = None
        self.test_kept: NDArray[np.float32] | None = None
        self.state: dict[str, Tensor] | None = None
        self.seconds = {"load": time.perf_counter() - self.started, "train": 0.0, "evaluate": 0.0}

    def after_epoch(self, outcome: Outcome, seconds: float) -> None:
        """Score dev (and test) after an epoch whose steps took ``seconds``, and keep the epoch if it is the best."""
        losses, log_p, weight = outcome
        clock = time.perf_counter()
        dev = np.exp(score(self.model, self.batchers[1], self.recipe.precision))
        if not np.isfinite(dev).all():  # the last step of the epoch broke the weights: no loss has shown it yet
            raise self.steps.astray("the model's probabilities are not finite after", self.steps.step_count)
        test = np.exp(score(self.model, self.batchers[2], self.recipe.precision)) if self.recipe.test_curve else None
        evaluated = time.perf_counter() - clock
        self.seconds["train"] += seconds
        self.seconds["evaluate"] += evaluated
        epoch = len(self.history) + 1
        self.history.append(_record(epoch, losses, weight, dev, test, self.data, seconds + evaluated))
        self.log_ps.append(log_p)
        if self.recipe.select == "last":
            best = epoch == self.recipe.epochs
        else:  # the first of equals
            best = not self.selected or self.history[-1].dev_accuracy > self.history[self.selected - 1].dev_accuracy
        if best:
            self.selected, self.dev_kept, self.test_kept = epoch, dev, test
            if self.keep_state or not self.recipe.test_curve:
                self.state = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def trained(self) -> Trained:
        """What the finished training yields; the test set is scored now where there is no curve on it."""
        test = self.test_kept
        if test is None:
            assert self.state is not None
            self.model.load_state_dict(self.state)
            clock = time.perf_counter()
            test = np.exp(score(self.model, self.batchers[2], self.recipe.precision))
            self.seconds["evaluate"] += time.perf_counter() - clock
            measures, best = _test_measures(test, self.data), self.selected - 1
            self.history[best] = replace(self.history[best], test_accuracy=measures[0], test_macro_f1=measures[1])
        assert self.dev_kept is not None
        self.seconds["total"] = time.perf_counter() - self.started
        keep = self.keep_state and self.state
        state = {name: tensor.cpu() for name, tensor in self.state.items()} if keep and self.state else None
        log_p = np.stack(self.log_ps)
        return Trained(tuple(self.history), self.selected, self.dev_kept, test, log_p, self.seconds, state, self.kept)


def _packed() -> tuple[type[Batcher], type[Loop]]:
    from paper_repro.method.packed.batches import Packer  # late: they build on this module, and few runs need them
    from paper_repro.method.packed.loop import PackedLoop

    return Packer, PackedLoop


class Loop:
    """Optimiser, schedule and the training step.

    Methods whose weights are no formula of (p, P', Q) subclass it and say what :meth:`weight` is, or :meth:`step`.
    """

    def __init__(
        self,
        model: BertForSequenceClassification,
        batches: Batcher,
        dev_batches: Batcher,
        data: TrainingData,
        method: str,
        recipe: Recipe,
        switches: Switches,
        seed: int,
        device: torch.device,
    ) -> None:
        self.model, self.batches, self.dev_batches = model, batches, dev_batches
        self.method, self.recipe, self.switches, self.device = method, recipe, switches, device
        self.parameters = list(model.parameters())
        self.optimiser: torch.optim.Optimizer = torch.optim.AdamW(
            self.parameters,
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=recipe.fidelity != "authors",
        )
        self.data = data
        self.labels = torch.from_numpy(data.train_labels).to(device)
        self.log_quality = None if data.log_quality is None else on_device(data.log_quality, device)
        self.log_diversity = None if data.log_diversity is None else on_device(data.log_diversity, device)
        self.order = torch.Generator().manual_seed(seed)
        self.portion = self.portions() * recipe.batch_size
        self.steps = recipe.epochs * -(-len(data.train) // self.portion)
        self.step_count = 0
        self.second_forward = switches.weight_forward == "eval" and method in DYNAMIC

    def portions(self) -> int:
        """Batches that are cut from the pool at once, for a method that chooses among their examples."""
        return 1

    def epoch(self) -> Outcome:
        """One pass over the data."""
        self.model.train()
        losses, rows, log_ps, used = [], [], [], []
        for batch in self.batches.shuffled(self.portion, self.order):
            loss, log_p, weight = self.step(batch)
            losses.append(loss)
            rows.append(batch.rows)
            log_ps.append(log_p)
            used.append(weight)
        return self.outcome(losses, rows, log_ps, used)

    def outcome(self, losses: list[Tensor], rows: list[Tensor], log_ps: list[Tensor], used: list[Tensor]) -> Outcome:
        """An epoch's losses by step, log p and weights by example, from those of its batches."""
        # The only wait for the device in an epoch; a loss that went astray is found here, with its step.
        values = torch.stack(losses).double().cpu().numpy()
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            raise self.astray(f"loss is {values[bad]} at", self.step_count - len(values) + bad + 1)
        order = torch.cat(rows).argsort()
        return values, _numpy(torch.cat(log_ps)[order]), _numpy(torch.cat(used)[order])

    def astray(self, what: str, step: int) -> TrainingError:
        """The error that names the step at which a run went out of bounds, and the way out."""
        return TrainingError(
            f"{what} step {step} of {self.steps} (method {self.method!r}, "
            f"learning rate {self.recipe.learning_rate:g}); try a lower rate, clip='sqrt-n' or fp32"
        )

    def step(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """One update by the loss mean(weight * -log p): (loss, log p, weight), the last two by example."""
        labels = self.labels[batch.rows]
        log_p = observed_log_probability(forward(self.model, batch, self.recipe.precision), labels)
        weight = self.weight(batch, labels, log_p)
        loss = (weight * -log_p).mean()
        self.update(loss)
        return loss.detach(), log_p.detach(), weight.detach()

    def weight(self, batch: Batch, labels: Tensor, log_p: Tensor) -> Tensor:
        """The weight of each example of the batch, (batch,), given log p of its label in this forward pass."""
        weight_log_p = self.without_dropout(batch, labels) if self.second_forward else log_p
        return weights(
            self.method,
            weight_log_p,
            None if self.log_quality is None else self.log_quality[batch.rows],
            None if self.log_diversity is None else self.log_diversity[batch.rows],
            self.switches,
        )

    def update(self, loss: Tensor) -> None:
        """Gradient of a scalar loss, clipped, one step of AdamW, linear decay to zero."""
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_norm, foreach=True)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step_count += 1

    def learning_rate(self) -> float:
        """That of the coming step."""
        return self.recipe.learning_rate * (1 - self.step_count / self.steps)

    def without_dropout(self, batch: Batch, labels: Tensor) -> Tensor:
        """log p of the labels in a forward pass of its own, without dropout and gradient, (batch,)."""
        self.model.eval()
        with torch.no_grad():
            log_p = observed_log_probability(forward(self.model, batch, self.recipe.precision), labels)
        self.model.train()
        return log_p


def forward(model: Callable[..., Any], batch: Batch | Packed, precision: str) -> Tensor:
    """Logits (batch, classes), float32 or, under bf16 autocast, bf16, of a classifier or of a call to one."""
    with autocast(batch.rows.device, precision):
        if not isinstance(batch, Batch):  # packed: there is no padding, and so no forward of transformers' own
            return batch.logits(model)
        if isinstance(model, BertForSequenceClassification):
            return classifier.logits(model, batch.input_ids, batch.attention_mask, batch.token_type_ids)
        logits: Tensor = model(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, token_type_ids=batch.token_type_ids
        ).logits
    return logits


def score(model: BertForSequenceClassification, batches: Batcher, precision: str) -> NDArray[np.float32]:
    """log p(y|x) of every class, (examples, classes) float32, in eval mode, in the pool's order."""
    model.eval()
    size = max(SCORING_WIDTH // model.config.hidden_size, 1) if batches.device.type == "cpu" else SCORING_BATCH
    rows, outputs = [], []
    # One autocast region around all batches: the weights are cast to bf16 once, not for every batch.
    with torch.inference_mode(), autocast(batches.device, precision):
        for batch in batches.by_length(size):
            outputs.append(F.log_softmax(forward(model, batch, precision).float(), dim=-1))
            rows.append(batch.rows)
        return _numpy(torch.cat(outputs)[torch.cat(rows).argsort()])


def scored(scores: Sequence[NDArray[np.float32]], pools: Sequence[Pool], classes: int, seconds: float) -> Trained:
    """The result of a model that has no epochs, from its log p(y|x) of every class, (examples, classes), on the
    training examples, dev and test: one "epoch" of weight 1."""
    data, dev, test = pools
    dev_guess, test_guess = scores[1].argmax(axis=1), scores[2].argmax(axis=1)
    log_p = scores[0][np.arange(len(data)), data.labels]
    record = EpochRecord(
        epoch=1,
        train_loss=-float(log_p.mean()),
        dev_accuracy=accuracy(dev.labels, dev_guess),
        dev_macro_f1=macro_f1(dev.labels, dev_guess, classes),
        test_accuracy=accuracy(test.labels, test_guess),
        test_macro_f1=macro_f1(test.labels, test_guess, classes),
        weight_mean=1.0,
        weight_ess=1.0,
        weight_max=1.0,
        weight_khat=math.nan,
        seconds=seconds,
    )
    phases = {"load": 0.0, "train": seconds, "evaluate": 0.0, "total": seconds}
    return Trained((record,), 1, np.exp(scores[1]), np.exp(scores[2]), log_p[None], phases, None, None)


def _record(
    epoch: int,
    losses: NDArray[np.float64],
    weight: NDArray[np.float32],
    dev: NDArray[np.float32],
    test: NDArray[np.float32] | None,
    data: TrainingData,
    seconds: float,
) -> EpochRecord:
    diagnostics = diagnose(weight)
    dev_guess = dev.argmax(axis=1)
    test_accuracy, test_macro_f1 = (math.nan, math.nan) if test is None else _test_measures(test, data)
    return EpochRecord(
        epoch=epoch,
        train_loss=float(losses.mean()),
        dev_accuracy=accuracy(data.dev_labels, dev_guess),
        dev_macro_f1=macro_f1(data.dev_labels, dev_guess, data.classes),
        test_accuracy=test_accuracy,
        test_macro_f1=test_macro_f1,
        weight_mean=diagnostics.mean,
        weight_ess=diagnostics.ess,
        weight_max=diagnostics.max,
        weight_khat=diagnostics.khat,
        seconds=seconds,
    )


def _test_measures(test: NDArray[np.float32], data: TrainingData) -> tuple[float, float]:
    guess = test.argmax(axis=1)
    return accuracy(data.test_labels, guess), macro_f1(data.test_labels, guess, data.classes)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from torch's global generator: seed it inside, give the caller's state back after."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def on_device(array: NDArray[np.float32], device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device)


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.float().cpu().numpy()
    return array
