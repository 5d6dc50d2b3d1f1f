"""Hard filtering: CE on the examples whose observed label the quality checker believes, P'(y|x) > tau."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from paper_repro.errors import TrainingError
from paper_repro.training import TrainingData


def prepare(data: TrainingData, tau: float) -> TrainingData:
    """``data`` without the examples whose P'(y|x) is ``tau`` or less. TrainingError where none is left."""
    assert data.log_quality is not None
    kept = np.flatnonzero(data.log_quality > np.log(tau))
    if not len(kept):
        raise TrainingError(f"filter: no example has P'(y|x) above tau={tau:g}; lower it")
    return replace(
        data, train=data.train.subset(kept), train_labels=data.train_labels[kept], log_quality=data.log_quality[kept]
    )
