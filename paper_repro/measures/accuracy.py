"""Accuracy and macro-F1, the paper's two measures, as fractions in [0, 1]; and how far confidence is from accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from paper_repro.measures.intervals import wilson

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def predicted_classes(predictions: ArrayLike) -> Ints:
    """(N,) classes from (N,) classes or from (N, classes) probabilities; the first of equals wins."""
    values = np.asarray(predictions)
    return np.asarray(values.argmax(axis=1) if values.ndim == 2 else values, dtype=np.int64)


def accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Share of (N,) labels met by (N,) classes or (N, classes) probabilities. ValueError on shapes."""
    truth, guess = _checked(labels, predicted_classes(predictions))
    return float((truth == guess).mean())


def macro_f1(labels: ArrayLike, predictions: ArrayLike, classes: int) -> float:
    """Mean of the F1 scores of classes 0 .. ``classes`` - 1, from (N,) or (N, classes) predictions.

    A class that neither the labels nor the predictions hold counts as 0. A prediction of -1 is none of the classes (a
    language model may answer so) and right for no text. ValueError on shapes and for a class out of range.
    """
    return float(macro_f1_terms(labels, predicted_classes(predictions), classes).mean())


def macro_f1_terms(labels: ArrayLike, predictions: ArrayLike, classes: int) -> Floats:
    """(S, N) terms: the mean of a row is that run's macro-F1, and their variance is that of its error.

    ``labels`` (N,), ``predictions`` (S, N) classes, or (N,) for one run. F1 of a class is a ratio of means over texts,
    F = 2 mean(t) / mean(l + g), where t, l and g are 1 for a hit, a label and a prediction of the class. Its influence
    function (the delta method) is (2 t - F (l + g)) / mean(l + g), of mean 0; a term is F1 plus influence, averaged
    over the classes. So :mod:`paper_repro.measures.intervals` treats macro-F1 and its differences as it does accuracy.
    """
    guess = np.asarray(predictions, dtype=np.int64)
    truth, guess = _checked(np.broadcast_to(labels, guess.shape) if guess.ndim == 2 else labels, guess)
    if truth.min() < 0 or guess.min() < -1 or max(truth.max(), guess.max()) >= classes:
        raise ValueError(f"labels and predictions must lie in 0 .. {classes - 1}")
    truth, guess = np.atleast_2d(truth), np.atleast_2d(guess)
    terms = np.zeros(guess.shape)
    for label in range(classes):
        hit, either = (truth == label) & (guess == label), 1.0 * (truth == label) + (guess == label)
        share = either.mean(axis=1, keepdims=True)
        share[share == 0] = 1  # the class never occurs: F1 is 0
        f1 = 2 * hit.mean(axis=1, keepdims=True) / share
        terms += (f1 + (2 * hit - f1 * either) / share) / classes
    return terms


def _checked(labels: ArrayLike, predictions: Ints) -> tuple[Ints, Ints]:
    truth = np.asarray(labels, dtype=np.int64)
    if truth.shape != predictions.shape or truth.size == 0:
        raise ValueError(f"labels {truth.shape} and predictions {predictions.shape}: expected one each, and some")
    return truth, predictions


# ---------------------------------------------------------------- calibration


def calibration(confidence: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> pd.DataFrame:
    """Bins of equal width over (0, 1] that hold examples, from (N,) confidences and (N,) hits.

    Columns: n, confidence (its mean), mean, low, high (how often right, with its 95 % Wilson interval).
    """
    import pandas as pd  # late: training does without it

    levels, hits = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    if levels.shape != hits.shape or levels.size == 0 or levels.min() < 0 or levels.max() > 1:
        raise ValueError("expected one confidence in [0, 1] and one hit for each example")
    place, rows = np.clip(np.ceil(levels * bins).astype(int) - 1, 0, bins - 1), []
    for index in np.unique(place):
        here = place == index
        right = wilson(int(hits[here].sum()), int(here.sum()))
        rows.append((int(here.sum()), levels[here].mean(), right.mean, right.low, right.high))
    return pd.DataFrame(rows, columns=["n", "confidence", "mean", "low", "high"])


def calibration_error(confidence: ArrayLike, correct: ArrayLike, *, bins: int = 10) -> float:
    """Expected calibration error (Guo et al. 2017): mean gap of confidence and accuracy over the bins."""
    groups = calibration(confidence, correct, bins=bins)
    return float(np.average((groups["confidence"] - groups["mean"]).abs(), weights=groups["n"]))
