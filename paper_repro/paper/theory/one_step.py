"""Eq. 7 by brute force, on a model small enough for it: one SGD step for each candidate text, D_P' scored after each.

The model is softmax regression on a bag of words. Its step on one text changes the logits of any other text by
their inner product, so every candidate's "model after the step" is exact and costs one column of a matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, hstack
from scipy.special import log_softmax
from sklearn.feature_extraction.text import TfidfVectorizer

from paper_repro.measures.ranks import spearman
from paper_repro.texts.generated import whole_texts
from paper_repro.texts.pools import Benchmark

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RATE, BATCH = 2.0, 32
"""SGD's learning rate (tf-idf vectors have length 1) and batch size, in training theta_t."""
STEPS = {"whole": RATE, f"1/{BATCH}": RATE / BATCH}
"""The step on a single candidate: with the whole learning rate, or as small as one text's part in a batch."""
HOLDOUT_EPOCHS = 20
"""Passes over D_P' by which P', and theta_t further trained on D_P', are made."""
TARGETS = {"D_P'": "dev", "P": "train"}
"""Whose likelihood a step should raise, and the pool of it: Eq. 8 has D_P', Eq. 7 asks for P."""
CRITERIA = {
    "theta_t, then D_P'": "$\\theta_t$ trained on $D_{P'}$ / p",
    "P'/p": "P' / p",
    "BERT P'/p": "BERT P' / p",
    "P'": "P' alone",
    "1/p": "1 / p alone",
}
"""What texts are ranked by: Eq. 8's own ratio, the paper's weight with a small P' and with another, and its halves."""


def bags(benchmark: Benchmark) -> dict[str, csr_matrix]:
    """tf-idf vectors and a constant for each text of D_Q, D_P' and D_P, (texts, words + 1), by pool."""
    words = {name: whole_texts(benchmark.pools[name]) for name in ("generated", *TARGETS.values())}
    vectoriser = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b", max_features=20_000)
    vectoriser.fit(words["generated"] + words["dev"])
    vectors = {name: vectoriser.transform(texts) for name, texts in words.items()}
    return {name: csr_matrix(hstack([bag, np.ones((bag.shape[0], 1))])) for name, bag in vectors.items()}


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
    before, rows = target @ table, np.arange(len(target_labels))
    direction = np.eye(table.shape[1])[labels] - np.exp(log_softmax(candidates @ table, axis=1))
    kernel = (target @ candidates.T).toarray()

    def fit(logits: Floats) -> float:
        return float(log_softmax(logits, axis=1)[rows, target_labels].mean())

    after = [fit(before + rate * kernel[:, [i]] * direction[i]) for i in range(len(labels))]
    return np.array(after) - fit(before)


def agreement(ratio: ArrayLike, gain: ArrayLike, draws: int = 500, seed: int = 0) -> dict[str, float]:
    """Does the order of the ratios (candidates,) follow that of the gains (candidates,)?

    spearman, low and high: the rank correlation with a bootstrap interval over the candidates. better: the share of
    candidates that help more than the one with the largest ratio; 0 if it is the best.
    """
    a, b = np.asarray(ratio, dtype=np.float64), np.asarray(gain, dtype=np.float64)
    rows = np.random.default_rng(seed).integers(len(a), size=(draws, len(a)))
    low, high = np.nanquantile(spearman(a[rows], b[rows]), [0.025, 0.975])
    better = float((b > b[a.argmax()]).mean())
    return {"spearman": float(spearman(a, b)), "low": float(low), "high": float(high), "better": better}


def compare(
    benchmark: Benchmark, checker: Mapping[str, Floats], *, epochs: int, candidates: int = 400, seed: int = 0
) -> pd.DataFrame:
    """Ranks of D_Q's texts by Eq. 7's brute force against ranks by ratios, after ``epochs`` of CE on D_Q.

    ``checker`` holds further log P'(y_i|x_i) of all texts of D_Q by name (such as a BERT's).
    """
    rng, texts = np.random.default_rng(seed), bags(benchmark)
    labels = {name: benchmark.pools[name].labels for name in texts}
    nothing = np.zeros((texts["dev"].shape[1], benchmark.classes))
    theta = sgd(nothing, texts["generated"], labels["generated"], epochs, rng)
    size = len(labels["generated"])
    rows = np.sort(rng.choice(size, min(candidates, size), replace=False))
    chosen, named = texts["generated"][rows], labels["generated"][rows]

    def observed(table: Floats) -> Floats:
        return np.asarray(log_softmax(chosen @ table, axis=1)[np.arange(len(rows)), named], dtype=np.float64)

    def held(start: Floats) -> Floats:
        return observed(sgd(start, texts["dev"], labels["dev"], HOLDOUT_EPOCHS, rng))

    log_p, quality = observed(theta), held(nothing)
    criteria = {
        "theta_t, then D_P'": held(theta) - log_p,
        "P'/p": quality - log_p,
        **{f"{name}/p": log[rows] - log_p for name, log in checker.items()},
        "P'": quality,
        "1/p": -log_p,
    }
    found = []
    for (step, rate), (target, pool) in product(STEPS.items(), TARGETS.items()):
        gain = gains(theta, chosen, named, texts[pool], labels[pool], rate)
        place = {"benchmark": benchmark.name, "epochs": epochs, "step": step, "target": target}
        sizes = {"n": len(rows), "n_target": len(labels[pool])}
        found += [{**place, "criterion": name, **agreement(v, gain), **sizes} for name, v in criteria.items()]
    return pd.DataFrame(found)
