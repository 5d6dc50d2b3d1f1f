"""Cross-fitting: which fold an example belongs to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
