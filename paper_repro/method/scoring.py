"""Scoring: log p(y|x) of every class under a model, and the measures that an epoch's record holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from paper_repro.measures.accuracy import accuracy, macro_f1
from paper_repro.measures.weights import diagnose
from paper_repro.method.recipe import EpochRecord
from paper_repro.model import classifier
from paper_repro.model.batches import Batch, Batcher

SCORING_BATCH = 1024  # on a GPU, where App. E has 64: a pass costs its launches, and no score depends on it
SCORING_WIDTH = 12288  # on a CPU: texts a batch x width of the model, more outgrows the cache

Labels = tuple[NDArray[np.int64], NDArray[np.int64], int]
"""Labels of the dev and of the test set, (examples,) each, and the number of classes."""


def forward(model: Any, batch: Batch, precision: str, call: Callable[..., Any] | None = None) -> Tensor:
    """Logits (batch, classes), float32 or, under bf16 autocast, bf16. ``call`` takes the place of the model's own
    forward pass (with other parameters, say)."""
    with autocast(batch.rows.device, precision):
        return batch.logits(model, call)


def score(model: classifier.Classifier, batches: Batcher, precision: str) -> NDArray[np.float32]:
    """log p(y|x) of every class, (examples, classes) float32, in eval mode, in the pool's order."""
    model.eval()
    size = max(SCORING_WIDTH // model.config.hidden_size, 1) if batches.device.type == "cpu" else SCORING_BATCH
    rows, outputs = [], []
    # One autocast region around all batches: the weights are cast to bf16 once, not for every batch.
    with torch.inference_mode(), autocast(batches.device, precision):
        for batch in batches.by_length(size):
            outputs.append(F.log_softmax(forward(model, batch, precision).float(), dim=-1))
            rows.append(batch.rows)
        return numpy_of(torch.cat(outputs)[torch.cat(rows).argsort()])


def epoch_record(
    epoch: int,
    losses: NDArray[np.float64],
    weight: NDArray[np.float32],
    dev: NDArray[np.float32],
    test: NDArray[np.float32] | None,
    labels: Labels,
    seconds: float,
) -> EpochRecord:
    """The history's row of an epoch: ``losses`` (steps,), ``weight`` (train examples,), and the probabilities
    (examples, classes) of the dev and, unless None, of the test set."""
    dev_labels, test_labels, classes = labels
    diagnostics, dev_predictions = diagnose(weight), dev.argmax(axis=1)
    test_accuracy, test_macro_f1 = (math.nan, math.nan) if test is None else test_measures(test, test_labels, classes)
    return EpochRecord(
        epoch=epoch,
        train_loss=float(losses.mean()),
        dev_accuracy=accuracy(dev_labels, dev_predictions),
        dev_macro_f1=macro_f1(dev_labels, dev_predictions, classes),
        test_accuracy=test_accuracy,
        test_macro_f1=test_macro_f1,
        weight_mean=diagnostics.mean,
        weight_ess=diagnostics.ess,
        weight_max=diagnostics.max,
        weight_khat=diagnostics.khat,
        weight_top_tenth=diagnostics.top_tenth,
        seconds=seconds,
    )


def test_measures(test: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> tuple[float, float]:
    """Accuracy and macro-F1 of the test probabilities (examples, classes)."""
    predictions = test.argmax(axis=1)
    return accuracy(labels, predictions), macro_f1(labels, predictions, classes)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def numpy_of(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.float().cpu().numpy()
    return array
