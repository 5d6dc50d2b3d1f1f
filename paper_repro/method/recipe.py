"""The hyper-parameters of a training run, and what is recorded of each epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, Literal, get_args

Precision = Literal["fp32", "bf16"]
Fidelity = Literal["fast", "authors", "packed"]
Selection = Literal["dev", "last"]
Head = Literal["own", "mean"]


def one_of(made: Any, **choices: Any) -> None:
    """ValueError where a field is none of the values of its ``Literal``."""
    for name, choice in choices.items():
        if getattr(made, name) not in get_args(choice):
            expected = " or ".join(map(repr, get_args(choice)))
            raise ValueError(f"{name}={getattr(made, name)!r}: expected {expected}")


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one training run (App. F; defaults of the authors' released code).

    ``learning_rate`` decays linearly to zero. ``max_length`` counts tokens, special ones included. ``precision`` is
    "fp32" or "bf16" (autocast, fp32 master weights). ``fidelity`` "authors" pads every batch to ``max_length`` as the
    authors did, "fast" batches texts of similar length, "packed" puts the texts of random batches end to end (for
    GPUs, :mod:`paper_repro.method.gpu_engine`). ``select`` is the epoch that counts: the one with the best accuracy on
    the selection pool ("dev"), or the "last". ``head`` "own" is the architecture's classification head, which reads
    the first token; "mean" is dropout and a linear layer on the mean of the last hidden states.

    ``test_curve`` asks for test scores after every epoch, not of the selected epoch alone. It is only recorded and
    changes no result, so it takes no part in comparisons and keys.
    """

    learning_rate: float = 6e-5
    epochs: int = 5
    batch_size: int = 32
    max_length: int = 128
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    precision: Precision = "fp32"
    fidelity: Fidelity = "fast"
    select: Selection = "dev"
    head: Head = "own"
    test_curve: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        one_of(self, precision=Precision, fidelity=Fidelity, select=Selection, head=Head)
        if not (0 < self.learning_rate < inf and 0 <= self.weight_decay < inf and self.clip_norm > 0):
            raise ValueError(
                f"learning_rate={self.learning_rate!r}, weight_decay={self.weight_decay!r}, "
                f"clip_norm={self.clip_norm!r}: expected finite numbers above 0 (weight_decay: 0 or above)"
            )
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs={self.epochs}, batch_size={self.batch_size}: expected 1 or more")


@dataclass(frozen=True)
class EpochRecord:
    """One row of a run's history. Accuracy and macro-F1 are fractions in [0, 1]; ``seconds`` is wall time.

    Test measures are nan for an epoch whose test scores were not asked for. ``weight_ess`` is the effective sample
    size as a fraction of the examples, ``weight_top_tenth`` the share of the weights' sum on their largest tenth.
    """

    epoch: int
    train_loss: float
    dev_accuracy: float
    dev_macro_f1: float
    test_accuracy: float
    test_macro_f1: float
    weight_mean: float
    weight_ess: float
    weight_max: float
    weight_khat: float
    seconds: float
    weight_top_tenth: float = math.nan


HISTORY_FIELDS = tuple(f.name for f in fields(EpochRecord))
