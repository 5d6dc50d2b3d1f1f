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

from paper_repro.method.recipe import Recipe
from paper_repro.method.scoring import score
from paper_repro.model import classifier, fast_bert
from paper_repro.model.batches import Batcher
from paper_repro.model.tokens import Encoded


def score_pool(
    checkpoint: Path, encoder_dir: Path, classes: int, pool: Encoded, recipe: Recipe, device: str
) -> NDArray[np.float32]:
    """log p(y|x) of every class under a saved checker, (examples, classes) float32.

    The checkpoint holds the embeddings of the tokens that its training saw; others come from the encoder.
    """
    target = torch.device(device)
    model = classifier.build(encoder_dir, classes, seed=0, device=torch.device("cpu"), head=recipe.head)
    classifier.start_from(model, checkpoint)
    fast_bert.speed_up(model)
    return score(model.to(target).eval(), Batcher(pool, target), recipe.precision)


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
