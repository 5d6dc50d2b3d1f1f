"""The paper's checkers: CE models whose probability of the observed label is a score (Sec. 4.3).

The quality checker P' is fitted on D_P' (dev), the diversity checker Q on the training examples themselves.
A checker scores a pool once; the scores lie in the store and are looked up by row in training.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from paper_repro.model.tokens import Batcher, Encoded

CALIBRATION_FOLDS = 5


def fold_of(labels: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """The fold, 0 to ``folds`` - 1, of each example: stratified by label, fixed once and for all.

    ``labels`` (examples,). Raises ValueError unless 2 <= folds <= examples.
    """
    if not 2 <= folds <= len(labels):
        raise ValueError(f"folds={folds}: expected 2 to {len(labels)}, the number of examples")
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    assignment = np.empty(len(labels), dtype=np.int64)
    assignment[order] = np.arange(len(labels)) % folds
    return assignment


def score_pool(
    checkpoint: Path, encoder_dir: Path, classes: int, pool: Encoded, precision: str, device: str
) -> NDArray[np.float32]:
    """log p(y|x) of every class under a saved checker, (examples, classes) float32."""
    from paper_repro.model.classifier import load_checkpoint  # late: they bring transformers
    from paper_repro.method.train import score

    target = torch.device(device)
    model = load_checkpoint(checkpoint, encoder_dir, classes, target)
    return score(model, Batcher(pool, target), precision)


def fitted_temperature(log_probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature T that minimises the negative log-likelihood of softmax(log p / T) (Guo et al. 2017).

    ``log_probabilities`` (examples, classes) must be held out; T is sought between 1/20 and 20.
    """

    def loss(log_t: float) -> float:
        scaled = with_temperature(log_probabilities, float(np.exp(log_t)))
        return float(-scaled[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded")
    return float(np.exp(found.x))


def with_temperature(log_probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """log softmax(log p / T), (examples, classes)."""
    scaled = log_probabilities.astype(np.float64) / temperature
    scaled -= np.logaddexp.reduce(scaled, axis=1, keepdims=True)
    return scaled.astype(np.float32)
