"""The training loop: one for every method of the paper and every encoder, read from top to bottom.

What makes it fast is plain: texts are tokenised once and lie on the device, batches hold texts of similar
length, the forward pass runs in bf16 where the recipe says so (fp32 master weights), the optimiser is fused,
the checkers' scores are looked up by row, the embedding table holds only the tokens in use, and nothing inside a
step waits for the device. ``fidelity="authors"`` turns all of it off: padded to 128, fp32, uniform batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paper_repro.method.losses import Switches, observed_log_probability, weights
from paper_repro.method.recipe import EpochRecord, Recipe
from paper_repro.method.record import Method
from paper_repro.method.registry import method_of
from paper_repro.method.scoring import epoch_record, forward, numpy_of, score, test_measures
from paper_repro.model import classifier, fast_bert
from paper_repro.model.batches import Batch, Batcher, kept_tokens
from paper_repro.model.dropout import seed_dropout
from paper_repro.model.tokens import Encoded
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import TrainingError

Outcome = tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]
"""Of an epoch: the loss of each step, and by training example log p of its label and its weight."""


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
        scores: dict[str, Any] = {name: array[rows] for name in names if (array := getattr(self, name)) is not None}
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
    method: str | Method,
    recipe: Recipe,
    seed: int,
    *,
    switches: Switches = Switches(),
    device: torch.device | str = "cpu",
    keep_state: bool = False,
    dropout: float | None = None,
    loop: Callable[..., Loop] | None = None,
    start: Path | None = None,
    engine: Engine | None = None,
) -> Trained:
    """Fine-tune the encoder on ``data.train`` and select the epoch with the best dev accuracy (App. F), or the
    last one where ``recipe.select`` says so.

    A method with a step of its own brings its :class:`Loop`; ``start`` is a checkpoint to go on from; ``engine`` is
    another way to cut batches and take steps (:mod:`paper_repro.method.gpu_engine`). The same arguments on the same
    CPU, with the same number of threads, give the same bits; torch's global random state is left as it was. Raises
    TrainingError with the step where the loss is no longer finite.
    """
    started = time.perf_counter()
    method = method if isinstance(method, Method) else method_of(method)
    device, plain, engine = torch.device(device), recipe.fidelity == "authors", engine or Engine(Batcher, Loop)
    # Rows without a gradient never move in Adam unless weight decay pulls them, so they can be left out.
    kept = None if plain or recipe.weight_decay else kept_tokens(data.train, data.dev, data.test)
    model = classifier.build(
        encoder_dir, data.classes, seed=seed, device=device, head=recipe.head, kept=kept, dropout=dropout
    )
    if start is not None:
        classifier.start_from(model, start, kept)
    if not plain:
        fast_bert.speed_up(model)
        if device.type == "cpu":
            seed_dropout(model, seed)
    pad_to = recipe.max_length if plain else 0
    batches = [engine.batcher(pool, device, pad_to=pad_to, kept=kept) for pool in (data.train, data.dev, data.test)]
    steps = (loop or engine.loop)(model, batches[0], batches[1], data, method, recipe, switches, seed, device)

    history: list[EpochRecord] = []
    log_ps, selected, state = [], 0, None
    dev_selected, test_selected = np.empty(0, np.float32), None
    seconds = {"load": time.perf_counter() - started, "train": 0.0, "evaluate": 0.0}
    with _seeded(seed, device):
        for epoch in range(1, recipe.epochs + 1):
            clock = time.perf_counter()
            losses, log_p, weight = steps.epoch()
            trained = time.perf_counter()
            dev = np.exp(score(model, batches[1], recipe.precision))
            if not np.isfinite(dev).all():  # the last step of the epoch broke the weights: no loss has shown it yet
                raise steps.astray("the model's probabilities are not finite after", steps.step_count)
            test = np.exp(score(model, batches[2], recipe.precision)) if recipe.test_curve else None
            ended = time.perf_counter()
            seconds["train"] += trained - clock
            seconds["evaluate"] += ended - trained
            labels = (data.dev_labels, data.test_labels, data.classes)
            history.append(epoch_record(epoch, losses, weight, dev, test, labels, ended - clock))
            log_ps.append(log_p)
            if recipe.select == "last":
                best = epoch == recipe.epochs
            else:  # the first of equals
                best = not selected or history[-1].dev_accuracy > history[selected - 1].dev_accuracy
            if best:
                selected, dev_selected, test_selected = epoch, dev, test
                if keep_state or not recipe.test_curve:
                    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    if test_selected is None:  # there is no curve on the test set: it is scored once, by the selected model
        assert state is not None
        model.load_state_dict(state)
        clock = time.perf_counter()
        test_selected = np.exp(score(model, batches[2], recipe.precision))
        seconds["evaluate"] += time.perf_counter() - clock
        accuracy, macro_f1 = test_measures(test_selected, data.test_labels, data.classes)
        history[selected - 1] = replace(history[selected - 1], test_accuracy=accuracy, test_macro_f1=macro_f1)
    seconds["total"] = time.perf_counter() - started
    kept_state = {name: tensor.cpu() for name, tensor in state.items()} if keep_state and state else None
    return Trained(tuple(history), selected, dev_selected, test_selected, np.stack(log_ps), seconds, kept_state, kept)


def without_epochs(scores: Sequence[NDArray[np.float32]], pools: Sequence[Pool], classes: int, took: float) -> Trained:
    """The result of a model that has no epochs, from its log p(y|x) of every class, (examples, classes), on the
    training examples, dev and test: one "epoch" of weight 1."""
    train_pool, dev_pool, test_pool = pools
    dev, test = np.exp(scores[1]), np.exp(scores[2])
    log_p = scores[0][np.arange(len(train_pool)), train_pool.labels]
    labels = (dev_pool.labels, test_pool.labels, classes)
    record = epoch_record(1, -log_p.astype(np.float64), np.ones_like(log_p), dev, test, labels, took)
    phases = {"load": 0.0, "train": took, "evaluate": 0.0, "total": took}
    return Trained((record,), 1, dev, test, log_p[None], phases, None, None)


class Loop:
    """Optimiser, schedule and the training step.

    Methods whose weights are no formula of (p, P', Q) subclass it and say what :meth:`weight` is, or :meth:`step`.
    """

    def __init__(
        self,
        model: classifier.Classifier,
        batches: Batcher,
        dev_batches: Batcher,
        data: TrainingData,
        method: Method,
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
        self.log_quality = None if data.log_quality is None else torch.from_numpy(data.log_quality).to(device)
        self.log_diversity = None if data.log_diversity is None else torch.from_numpy(data.log_diversity).to(device)
        self.order = torch.Generator().manual_seed(seed)
        self.updates = -(-len(data.train) // recipe.batch_size)  # of an epoch
        self.steps = recipe.epochs * self.updates
        self.step_count = 0
        self.second_forward = switches.weight_forward == "eval" and method.dynamic

    def drawn(self) -> Iterator[Batch]:
        """The batches of one epoch. Every example is in one of them."""
        return self.batches.shuffled(self.recipe.batch_size, self.order)

    def epoch(self) -> Outcome:
        """One pass over the data. An example that is drawn more than once has its mean log p and weight."""
        self.model.train()
        losses, rows, log_ps, used = [], [], [], []
        for batch in self.drawn():
            loss, log_p, weight = self.step(batch)
            losses.append(loss)
            rows.append(batch.rows)
            log_ps.append(log_p)
            used.append(weight)
        # The only wait for the device in an epoch; a loss that went astray is found here, with its step.
        values = torch.stack(losses).double().cpu().numpy()
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            raise self.astray(f"loss is {values[bad]} at", self.step_count - len(values) + bad + 1)
        places = torch.cat(rows).cpu().numpy()
        return values, _by_example(places, torch.cat(log_ps)), _by_example(places, torch.cat(used))

    def step(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """One update by the loss mean(weight * -log p): (loss, log p, weight), the last two by example."""
        labels = self.labels[batch.rows]
        log_p = observed_log_probability(self.forward(batch), labels)
        weight = self.weight(batch, labels, log_p)
        loss = (weight * -log_p).mean()
        self.update(loss)
        return loss.detach(), log_p.detach(), weight.detach()

    def forward(self, batch: Batch) -> Tensor:
        """Logits (batch, classes) of the model in training."""
        return forward(self.model, batch, self.recipe.precision)

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
            log_p = observed_log_probability(self.forward(batch), labels)
        self.model.train()
        return log_p

    def astray(self, what: str, step: int) -> TrainingError:
        """The error that names the step at which a run went out of bounds, and the way out."""
        return TrainingError(
            f"{what} step {step} of {self.steps} (method {self.method.id!r}, "
            f"learning rate {self.recipe.learning_rate:g}); try a lower rate, clip='sqrt-n' or fp32"
        )


def _by_example(rows: NDArray[np.int64], values: Tensor) -> NDArray[np.float32]:
    """The mean of ``values`` (drawn,) over the draws of each example, (examples,) float32."""
    sums = np.bincount(rows, weights=numpy_of(values))
    return (sums / np.bincount(rows)).astype(np.float32)


class Engine(NamedTuple):
    """How batches are cut and steps are taken."""

    batcher: type[Batcher]
    loop: type[Loop]


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from torch's global generator: seed it inside, give the caller's state back after."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
