"""Checkers that are no fine-tuned network: logistic regression on TF-IDF or on frozen sentence embeddings.

A quality checker has a few hundred texts to learn from, little for a network. As methods "tfidf" and "frozen"
of a run they take the place of the CE model wherever a :class:`paper_repro.runs.spec.Checker` stands.
For sentence pairs the features are the distance and the product of the two sentences' vectors, element by
element (as in Conneau et al. 2017). The penalty is chosen by cross-validated log-likelihood, since the
checker's probabilities count and not its hits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from transformers import AutoModel

from paper_repro.model import classifier
from paper_repro.model.batches import Batcher
from paper_repro.model.tokens import Encoded
from paper_repro.texts.pools import Pool

PENALTIES = tuple(10.0**power for power in range(-3, 4))
"""Inverse strengths of the penalty (scikit-learn's C) to choose from."""
FOLDS = 5
LOWEST = 1e-6
"""Probability of a class that the training examples do not show."""

Embed = Callable[[Pool], NDArray[np.float32]]


def fit_and_score(
    method: str, data: Pool, targets: Sequence[Pool], classes: int, embed: Embed
) -> list[NDArray[np.float32]]:
    """log p(y|x) of every class, (examples, classes) float32, for each target, by a model fitted on ``data``.

    The same arguments give the same model. ``embed`` turns single texts into vectors, (texts, width). Raises ValueError
    for an unknown method and for training examples of a single class.
    """
    features = _features(method, data, embed)
    model = _fitted(features(data), data.labels)
    return [_log_probabilities(model, features(target), classes) for target in targets]


def mean_embeddings(encoded: Encoded, encoder_dir: Path, device: str) -> NDArray[np.float32]:
    """The encoder's last hidden states, averaged over each text's tokens: (texts, width) float32."""
    target = torch.device(device)
    config = classifier.config_of(encoder_dir)
    model = classifier.load(AutoModel, encoder_dir, config).to(target).eval()
    rows, vectors = [], []
    with torch.inference_mode():
        for batch in Batcher(encoded, target).by_length(64):
            mask = torch.ones_like(batch.input_ids) if batch.attention_mask is None else batch.attention_mask
            hidden = model(input_ids=batch.input_ids, attention_mask=mask).last_hidden_state
            vectors.append(classifier.mean_states(hidden, mask))
            rows.append(batch.rows)
    order = torch.cat(rows).argsort()
    means: NDArray[np.float32] = torch.cat(vectors)[order].float().cpu().numpy()
    return means


def _features(method: str, data: Pool, embed: Embed) -> Callable[[Pool], Any]:
    """A function from a pool to a feature matrix (examples, width), its scales and words taken from ``data``."""
    if method == "tfidf":
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit([*data.texts, *(data.pairs or ())])
        return lambda pool: _joined(pool, words.transform)
    if method == "frozen":
        vectors = lambda pool: _joined(pool, lambda texts: embed(_single(texts)))  # noqa: E731
        scaler = StandardScaler().fit(vectors(data))
        return lambda pool: scaler.transform(vectors(pool))
    raise ValueError(f"method {method!r} is no classical one: expected 'tfidf' or 'frozen'")


def _joined(pool: Pool, vectors: Callable[[Sequence[str]], Any]) -> Any:
    left = vectors(pool.texts)
    if pool.pairs is None:
        return left
    right = vectors(pool.pairs)
    if sparse.issparse(left):
        return sparse.hstack([abs(left - right), left.multiply(right)], format="csr")
    return np.hstack([np.abs(left - right), left * right])


def _single(texts: Sequence[str]) -> Pool:
    return Pool("texts", tuple(texts), np.zeros(len(texts), dtype=np.int64))


def _fitted(features: Any, labels: NDArray[np.int64]) -> Any:
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    if len(counts) < 2:
        raise ValueError("all training examples are of one class: there is nothing to tell apart")
    model = LogisticRegression(max_iter=2000)
    folds = min(FOLDS, int(counts.min()))
    if folds < 2:  # a class with a single example cannot be left out and found again
        return model.fit(features, labels)
    parts = StratifiedKFold(folds, shuffle=True, random_state=0)
    return GridSearchCV(model, {"C": PENALTIES}, scoring="neg_log_loss", cv=parts).fit(features, labels)


def _log_probabilities(model: Any, features: Any, classes: int) -> NDArray[np.float32]:
    found = np.full((features.shape[0], classes), LOWEST)
    found[:, model.classes_] = np.maximum(model.predict_proba(features), LOWEST)
    logs: NDArray[np.float32] = np.log(found / found.sum(axis=1, keepdims=True)).astype(np.float32)
    return logs
