"""sqrt(Q P') as an explicit ensemble of the two checkers: what DIMP-Loss converges to, without training.

p(y|x) is proportional to (Q(y|x) P'(y|x)^gamma)^(1/(1+gamma)); gamma = 1 is the geometric mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def combined(log_quality: Floats, log_diversity: Floats, gamma: float = 1.0) -> Floats:
    """log p(y|x), (examples, classes), from the checkers' log-probabilities of every class, each of that shape."""
    mixed = (log_diversity.astype(np.float64) + gamma * log_quality) / (1 + gamma)
    mixed -= np.logaddexp.reduce(mixed, axis=1, keepdims=True)
    return np.asarray(mixed, dtype=np.float32)
