"""Hard filtering: CE on the examples whose observed label the quality checker believes, P'(y|x) > tau.

The run's log p and weights by example are those of the kept ones, in the pool's order.
"""

from __future__ import annotations

import math

import numpy as np

from paper_repro.method.train import TrainingData
from paper_repro.tools.errors import TrainingError, UserError


class NothingLeft(TrainingError):
    """No example passes the threshold: this tau is no candidate."""


def prepare(data: TrainingData, tau: float) -> TrainingData:
    """``data`` without the examples whose P'(y|x) is ``tau`` or less. NothingLeft where none is left."""
    assert data.log_quality is not None
    if not 0 <= tau < 1:
        raise UserError(f"filter: tau={tau:g}: expected 0 or more and less than 1")
    kept = np.flatnonzero(data.log_quality > (math.log(tau) if tau else -math.inf))
    if not len(kept):
        raise NothingLeft(f"filter: no example has P'(y|x) above tau={tau:g}; lower it")
    return data.subset(kept)
