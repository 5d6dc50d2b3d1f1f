"""Exercises 3 and 4: the IMP loss of a batch by hand; where the gradient of DIMP must not go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_repro.method import losses
from paper_repro.teaching.feedback import Answer, Exercise, Floats, Malformed, numbers
from paper_repro.teaching.texts import observed

Ints = NDArray[np.int64]

# ---------------------------------------------------------------- 3: answer(p, quality, diversity, labels) -> the loss


def imp(p: Floats, quality: Floats, diversity: Floats, y: Ints) -> float:
    """The package's own IMP loss; all arguments (texts, classes) but the labels, (texts,)."""
    own = [torch.from_numpy(observed(side, y)) for side in (quality, diversity)]
    return float(losses.weighted_loss("imp", torch.from_numpy(p).log(), torch.from_numpy(y), *own))


def of(combine: Callable[[Floats, Floats], Any]) -> Answer:
    """An answer from the texts' weights P'/Q and cross-entropies, (texts,) each."""

    def answer(p: Floats, quality: Floats, diversity: Floats, y: Ints) -> Any:
        return combine(observed(quality, y) / observed(diversity, y), -np.log(observed(p, y)))

    return answer


IMP_MISTAKES: dict[str, Answer] = {
    "The sign: a loss is to be made small, and log p is negative. Take -log p.": of(lambda w, ce: -(w * ce).mean()),
    "This is the sum over the batch; the loss is its mean.": of(lambda w, ce: (w * ce).sum()),
    "This is CE-Loss: the weights are missing.": of(lambda w, ce: ce.mean()),
    "Your weights are upside down: Q/P' instead of P'/Q.": of(lambda w, ce: (ce / w).mean()),
    "You divide by the sum of the weights (self-normalised). IMP-Loss as the paper defines it divides by n.": of(
        lambda w, ce: (w * ce).sum() / w.sum()
    ),
    "The wrong class: log p and the weight belong to the observed label, not to the one that the model prefers.": (
        lambda p, quality, diversity, y: imp(p, quality, diversity, p.argmax(axis=1))
    ),
    'Your weight is that of "w/o diversity checker", P\' alone: divide by Q.': (
        lambda p, quality, diversity, y: imp(p, quality, np.ones_like(p), y)
    ),
    "You divided by the model's p: this is DIMP-Loss. IMP divides by the diversity checker.": (
        lambda p, quality, diversity, y: imp(p, quality, p, y)
    ),
}


def imp_by_hand() -> Exercise:
    rng = np.random.default_rng(1)
    p, quality = np.array([[0.5, 0.3, 0.2], [0.6, 0.15, 0.25]]), np.array([[0.2, 0.7, 0.1], [0.1, 0.3, 0.6]])
    random = (rng.dirichlet(np.ones(3), size=5) for _ in range(3))
    return Exercise(
        number=3,
        parts=("loss",),
        cases=[
            (p, quality, np.array([[0.8, 0.1, 0.1], [0.5, 0.3, 0.2]]), np.array([0, 2])),
            (*random, np.array([2, 0, 1, 1, 0])),
        ],
        right=imp,
        mistakes=IMP_MISTAKES,
        observe=_one_loss,
        example="For two texts with p = 0.5 and 0.25 and weights 0.2/0.8 and 0.6/0.2",
        lesson=lambda: (
            "In the first case P' doubts a label that Q takes for granted: its text counts a quarter. "
            "The other text counts three times, because P' finds its label likely and Q rarely gives it."
        ),
    )


def _one_loss(answer: Answer, case: tuple[Any, ...]) -> tuple[Floats, ...]:
    found = answer(*case)
    if np.shape(found) == (len(case[3]),):
        raise Malformed("You returned a loss for each text; the loss of the batch is their mean.")
    return (numbers(found, (), "The loss"),)


# ---------------------------------------------------------------- 4: answer(logits, quality, labels) -> a tensor


def dimp(logits: Tensor, quality: Tensor, labels: Tensor, **switches: Any) -> Tensor:
    return losses.weighted_loss("dimp", logits, labels, quality, **switches)


def log_p(logits: Tensor, labels: Tensor) -> Tensor:
    return losses.observed_log_probability(logits, labels)


DIMP_MISTAKES: dict[str, Answer] = {
    "The value is right, the gradient is not: p in the weight is not detached. The gradient of each text is now "
    f"1 - ln p times what it should be ({1 - np.log(0.3):.2f} times where p = 0.3), so that the texts which the model "
    "finds unlikely pull too hard.": lambda logits, quality, y: dimp(logits, quality, y, detach=False),
    "The value is right, the gradient is not: you detached log p in the loss and left p in the weight.": (
        lambda logits, quality, y: (quality / log_p(logits, y).exp() * -log_p(logits, y).detach()).mean()
    ),
    "The weight is upside down: p/P' instead of P'/p.": (
        lambda logits, quality, y: (log_p(logits, y).detach().exp() / quality * -log_p(logits, y)).mean()
    ),
    "The weight is P' alone: divide it by the model's p.": (
        lambda logits, quality, y: losses.weighted_loss("quality_only", logits, y, quality)
    ),
    "This is CE-Loss: the weight is missing.": lambda logits, quality, y: losses.weighted_loss("ce", logits, y),
    "This is the sum over the batch; the loss is its mean.": lambda logits, quality, y: (
        dimp(logits, quality, y) * len(y)
    ),
    "The sign: take -log p.": lambda logits, quality, y: -dimp(logits, quality, y),
    "The wrong class: you took the label that the model prefers, not the observed one.": (
        lambda logits, quality, y: dimp(logits, quality, logits.argmax(dim=1))
    ),
}


def dimp_detached() -> Exercise:
    rng = np.random.default_rng(2)
    random = (torch.from_numpy(rng.normal(size=(4, 3))), torch.from_numpy(rng.random(4)), torch.tensor([0, 2, 1, 2]))
    return Exercise(
        number=4,
        parts=("loss", "gradient"),
        cases=[_first_batch(), random],
        right=dimp,
        mistakes=DIMP_MISTAKES,
        observe=_loss_and_gradient,
        example="For two texts with P' = 0.4 and 0.6, p = 0.3 and 0.2",
        lesson=_with_and_without,
    )


def _first_batch() -> tuple[Tensor, Tensor, Tensor]:
    logits = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]], dtype=torch.float64).log()
    return logits, torch.tensor([0.4, 0.6], dtype=torch.float64), torch.tensor([1, 0])


def _loss_and_gradient(answer: Answer, case: tuple[Any, ...]) -> tuple[Floats, ...]:
    logits, quality, labels = case
    found = answer(logits.requires_grad_(), quality, labels)
    value = numbers(found, (), "The loss")
    if not isinstance(found, Tensor) or not found.requires_grad:
        raise Malformed(
            "No gradient reaches the logits: the whole loss is detached, or was turned into a plain number. "
            "Detach p in the weight, and leave -log p as it is."
        )
    (gradient,) = torch.autograd.grad(found, logits, allow_unused=True)
    if gradient is None:
        raise Malformed("The loss does not depend on the logits that it was given.")
    return value, np.asarray(gradient.numpy())


def _with_and_without() -> str:
    gradients = [_loss_and_gradient(lambda *case, d=d: dimp(*case, detach=d), _first_batch())[1] for d in (True, False)]
    with_it, without = (float(gradient[0, 1]) for gradient in gradients)
    return (
        f"For a text with P' = 0.4 and p = 0.3 the gradient of the label's logit is {with_it:.3f} with detach and "
        f"{without:.3f} without: {without / with_it:.3f} times as large, which is 1 - ln 0.3 = {1 - np.log(0.3):.3f}."
    )
