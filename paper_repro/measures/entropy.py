"""Conditional entropy and conditional KL divergence from log-probabilities (Sec. 3.2), and what they imply for errors.

All values are in nats (natural logarithms). Every estimator gives one *term* per text, whose mean over the texts is
the estimate, so that intervals and differences can be taken text by text. Shapes: ``log_p`` is (..., N, C), the log
of a model's probability of each of C classes for N texts, with any axes (seeds) before; ``labels`` is (N,).

Two forms, equal in expectation if the model is right and the labels are drawn from it:

- *label form*, from the observed label alone: H = mean of -log p(y_i|x_i), KL(Q||P) = mean of log q(y_i|x_i) -
  log p(y_i|x_i) over texts and labels of D_Q. For a wrong model it is a cross-entropy: it pays for errors.
- *full form*, from the model's whole distribution: H = mean of -sum_y p log p, KL(Q||P) = mean of sum_y q log(q/p).
  It never looks at a label: if the model is wrong, so is the estimate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
LN2 = float(np.log(2))


def entropy_terms(log_p: ArrayLike, labels: ArrayLike | None = None) -> Floats:
    """(..., N) terms of the conditional entropy: label form where ``labels`` are given, else full form."""
    logs = _logs(log_p)
    if labels is not None:
        return -_observed(logs, labels)
    return _expected(logs, -logs)


def kl_terms(log_q: ArrayLike, log_p: ArrayLike, labels: ArrayLike | None = None) -> Floats:
    """(..., N) terms of KL(q||p) on texts of q: label form where ``labels`` (drawn from q) are given, else full form.

    The full form is never negative; it is infinite where p excludes a class that q does not. A single term of the
    label form can be negative, and so can its mean. ValueError where the shapes differ.
    """
    first, second = _logs(log_q), _logs(log_p)
    if first.shape != second.shape:
        raise ValueError(f"both models must score the same texts, not {first.shape} and {second.shape}")
    if labels is not None:
        return _observed(first, labels) - _observed(second, labels)
    with np.errstate(invalid="ignore"):  # -inf - -inf, a class that neither model allows
        return np.maximum(_expected(first, first - second), 0.0)


# ---------------------------------------------------------------- what an entropy implies for errors


def error_bound(entropy: ArrayLike) -> Floats:
    """The largest error of the best classifier at a conditional entropy in nats: H / (2 ln 2) (Hellman & Raviv 1970).

    It holds for the Bayes classifier under its own distribution, and so for a model whose probabilities are right.
    """
    return np.asarray(entropy, dtype=np.float64) / (2 * LN2)


def loss_bound(cross_entropy: ArrayLike) -> Floats:
    """The largest error of *any* model at a mean loss -log p(y_i|x_i) in nats, on the same texts: loss / ln 2.

    A text that the model gets wrong has p(y_i|x_i) <= 1/2, which costs ln 2 or more; nothing else is assumed.
    """
    return np.asarray(cross_entropy, dtype=np.float64) / LN2


# ---------------------------------------------------------------- helpers


def exact_logs(probabilities: ArrayLike) -> Floats:
    """Logarithms of exact probabilities; that of 0 is -inf."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.asarray(probabilities, dtype=np.float64)))


def _logs(log_p: ArrayLike) -> Floats:
    logs = np.asarray(log_p, dtype=np.float64)
    if logs.ndim < 2 or logs.size == 0:
        raise ValueError(f"expected log-probabilities (texts, classes), found shape {logs.shape}")
    return logs


def _observed(logs: Floats, labels: ArrayLike) -> Floats:
    """(..., N) entries of the observed labels. ValueError unless there is one label per text."""
    found = np.asarray(labels)
    if found.shape != logs.shape[-2:-1]:
        raise ValueError(f"{found.shape} labels for {logs.shape[-2]} texts: expected one each")
    return logs[..., np.arange(len(found)), found]


def _expected(logs: Floats, values: Floats) -> Floats:
    """Expectation of ``values`` under exp(``logs``), over the classes; a class of probability 0 counts 0."""
    weights = np.exp(logs)
    return np.where(weights > 0, weights * np.where(weights > 0, values, 0.0), 0.0).sum(axis=-1)
