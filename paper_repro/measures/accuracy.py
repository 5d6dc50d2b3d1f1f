"""Accuracy and macro-F1, the paper's two measures, as fractions in [0, 1]."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Share of ``predictions`` (examples,) that equal ``labels`` (examples,). ValueError where there are none."""
    truth, guess = np.asarray(labels), np.asarray(predictions)
    if truth.shape != guess.shape or truth.ndim != 1 or not len(truth):
        raise ValueError(f"labels {truth.shape} and predictions {guess.shape} must be equally long and not empty")
    return float((truth == guess).mean())


def macro_f1(labels: ArrayLike, predictions: ArrayLike, classes: int) -> float:
    """Unweighted mean over ``classes`` of F1 = 2 TP / (2 TP + FP + FN); 0 for a class that never occurs."""
    truth, guess = np.asarray(labels), np.asarray(predictions)
    if truth.shape != guess.shape or truth.ndim != 1 or not len(truth):
        raise ValueError(f"labels {truth.shape} and predictions {guess.shape} must be equally long and not empty")
    hits = np.bincount(truth[truth == guess], minlength=classes)
    total = np.bincount(truth, minlength=classes) + np.bincount(guess, minlength=classes)
    return float(np.mean(2 * hits / np.maximum(total, 1)))
