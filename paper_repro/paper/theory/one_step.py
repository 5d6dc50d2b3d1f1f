"""Eq. 7 by brute force, on a model small enough for it: one SGD step for each candidate text, D_P' scored after each.

The model is softmax regression on a bag of words. Its step on one text changes the logits of any other text by
their inner product, so every candidate's "model after the step" is exact and costs one column of a matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, hstack
from scipy.special import log_softmax
from sklearn.feature_extraction.text import TfidfVectorizer

from paper_repro.measures.ranks import spearman
from paper_repro.texts.pools import Benchmark, Pool

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RATE, BATCH = 2.0, 32
"""SGD's learning rate (tf-idf vectors have length 1) and batch size, in training theta_t."""
STEPS = {"whole": RATE, f"1/{BATCH}": RATE / BATCH}
"""The step on a single candidate: with the whole learning rate, or as small as one text's part in a batch."""
HOLDOUT_EPOCHS = 20
"""Passes over D_P' by which P', and theta_t further trained on D_P', are made."""


def _words(pool: Pool) -> list[str]:
    return list(pool.texts if pool.pairs is None else map(" ".join, zip(pool.texts, pool.pairs, strict=True)))


def bags(benchmark: Benchmark) -> dict[str, csr_matrix]:
    """tf-idf vectors and a constant for each text of D_Q, D_P' and D_P, (texts, words + 1), by pool."""
    pools = ("generated", "dev", "train")
    vectoriser = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b", max_features=20_000)
    vectoriser.fit(_words(benchmark.pools["generated"]) + _words(benchmark.pools["dev"]))

    made = {name: vectoriser.transform(_words(benchmark.pools[name])) for name in pools}
    return {name: csr_matrix(hstack([bag, np.ones((bag.shape[0], 1))])) for name, bag in made.items()}


def sgd(table: Floats, texts: csr_matrix, labels: Ints, epochs: int, rng: np.random.Generator) -> Floats:
    """The weights (words + 1, classes) after so many epochs of CE; ``table`` itself is left as it is."""
    table, onehot = table.copy(), np.eye(table.shape[1])[labels]
    for _ in range(epochs):
        order = rng.permutation(len(labels))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            gap = np.exp(log_softmax(texts[rows] @ table, axis=1)) - onehot[rows]
            table -= RATE * (texts[rows].T @ gap) / len(rows)
    return table


def gains(
    table: Floats, candidates: csr_matrix, labels: Ints, target: csr_matrix, target_labels: Ints, rate: float
) -> Floats:
    """(candidates,): by how much the target's mean log-likelihood grows in one SGD step on that candidate alone.

    Eq. 7's criterion with ``target`` drawn from P, Eq. 8's left side (over its number of texts) with D_P'.
    """
    before = target @ table
    own = np.exp(log_softmax(candidates @ table, axis=1))
    direction = np.eye(table.shape[1])[labels] - own
    kernel = (target @ candidates.T).toarray()
    rows = np.arange(len(target_labels))
    start = log_softmax(before, axis=1)[rows, target_labels].mean()
    after = [
        log_softmax(before + rate * kernel[:, [i]] * direction[i], axis=1)[rows, target_labels].mean()
        for i in range(len(labels))
    ]
    return np.array(after) - start


@dataclass(frozen=True)
class Agreement:
    """Spearman's correlation with a bootstrap interval over candidates, and where the ratio's favourite stands.

    ``better`` is the share of candidates that help more than the one with the largest ratio; 0 if it is the best.
    """

    spearman: float
    low: float
    high: float
    better: float


def agreement(ratio: ArrayLike, gain: ArrayLike, draws: int = 500, seed: int = 0) -> Agreement:
    """Does the order of the ratios (candidates,) follow that of the gains (candidates,)?"""
    a, b = np.asarray(ratio, dtype=np.float64), np.asarray(gain, dtype=np.float64)
    rng = np.random.default_rng(seed)
    drawn = [spearman(a[rows], b[rows]) for rows in rng.integers(len(a), size=(draws, len(a)))]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Agreement(spearman(a, b), float(low), float(high), float((b > b[a.argmax()]).mean()))


def compare(
    benchmark: Benchmark,
    checker: Mapping[str, Floats],
    *,
    epochs: int,
    candidates: int = 400,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ranks of D_Q's texts by Eq. 7's brute force against ranks by ratios, after ``epochs`` of CE on D_Q.

    ``checker`` holds further log P'(y_i|x_i) of all texts of D_Q by name (such as a BERT's). Returns the table
    (benchmark, epochs, step, target, criterion, spearman, low, high, better, n, n_target) and the points behind
    it, one row a candidate, with the gains of the smaller step. "theta_t trained on D_P'" is Eq. 8's own numerator,
    P' the paper's replacement.
    """
    rng, texts = np.random.default_rng(seed), bags(benchmark)
    pools = {name: benchmark.pools[name] for name in texts}
    labels = pools["generated"].labels
    nothing = np.zeros((texts["dev"].shape[1], benchmark.classes))
    theta = sgd(nothing, texts["generated"], labels, epochs, rng)
    rows = np.sort(rng.choice(len(labels), min(candidates, len(labels)), replace=False))
    chosen, named = texts["generated"][rows], labels[rows]

    def observed(table: Floats) -> Floats:
        return np.asarray(log_softmax(chosen @ table, axis=1)[np.arange(len(rows)), named], dtype=np.float64)

    def held(start: Floats) -> Floats:
        return observed(sgd(start, texts["dev"], pools["dev"].labels, HOLDOUT_EPOCHS, rng))

    log_p, quality = observed(theta), held(nothing)
    points = {
        "theta_t trained on D_P' / p": held(theta) - log_p,
        "P' / p": quality - log_p,
        **{f"{name} / p": log[rows] - log_p for name, log in checker.items()},
        "P' alone": quality,
        "1 / p alone": -log_p,
    }
    found: list[dict[str, Any]] = []
    reached: dict[str, Floats] = {}
    for (step, rate), (target, pool) in product(STEPS.items(), (("D_P'", "dev"), ("P", "train"))):
        gain = reached[f"gain on {target}"] = gains(theta, chosen, named, texts[pool], pools[pool].labels, rate)
        place = {"benchmark": benchmark.name, "epochs": epochs, "step": step, "target": target}
        sizes = {"n": len(rows), "n_target": len(pools[pool])}
        found += [{**place, "criterion": name, **vars(agreement(v, gain)), **sizes} for name, v in points.items()]
    frame = pd.DataFrame({"row": rows, **points, **reached})
    return pd.DataFrame(found), frame.assign(benchmark=benchmark.name, epochs=epochs)
