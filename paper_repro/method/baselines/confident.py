"""Confident learning (Northcutt et al. 2021): CE on the examples without those whose label is probably an error.

The method estimates from out-of-sample probabilities how often class j stands where class i should, and drops as
many examples of each pair, those with the largest margin p_i - p_j first (cleanlab's "prune by noise rate"). The
scores are those of a cross-fitted diversity checker, a CE model on the same examples: no label of D_P' is used.
"""

from __future__ import annotations

import numpy as np

from paper_repro.method.train import TrainingData
from paper_repro.tools.errors import TrainingError, UserError


def prepare(data: TrainingData) -> TrainingData:
    """``data`` without the label issues that cleanlab finds, in the pool's order.

    Raises UserError where cleanlab is not installed, TrainingError where nothing is left.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise UserError(
            "method 'confident' needs the library cleanlab, which is not installed: pip install 'paper-repro[cleanlab]'"
            " or pip install 'cleanlab>=2.9'"
        ) from None
    assert data.log_diversity_all is not None
    probabilities = np.exp(data.log_diversity_all.astype(np.float64))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    issues = find_label_issues(data.train_labels, probabilities, filter_by="prune_by_noise_rate", n_jobs=1)
    kept = np.flatnonzero(~issues)
    if not len(kept):
        raise TrainingError("confident: every example looks mislabelled to the cross-fitted checker; none is left")
    return data.subset(kept)
