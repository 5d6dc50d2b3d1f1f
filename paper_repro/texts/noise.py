"""The noisy training sets of App. G: a third original, a third with swapped labels, a third twice.

The paper gives neither the proportions nor how labels are swapped; we take thirds (sizes differ by one at most),
a swapped label is drawn uniformly from the other labels, and each duplicate is an exact copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from paper_repro.tools.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("original", "swapped", "duplicated")


def noisy(
    labels: NDArray[np.int64], classes: int, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows, labels and parts of the noisy set made from ``labels`` (examples,); the same seed gives the same set.

    Returns three int64 arrays (noisy examples,): the row that each example copies, its label after swapping, and
    its part as an index into :data:`PARTS`. Both copies of a duplicated example are in the set, one after all
    others. Raises UserError for fewer than 3 examples.
    """
    if len(labels) < 3:
        raise UserError(f"a noisy set of {len(labels)} examples: expected at least 3, one for each part")
    rng = np.random.default_rng(seed)
    original, swapped, duplicated = (np.sort(part) for part in np.array_split(rng.permutation(len(labels)), 3))
    shift = rng.integers(1, classes, size=len(swapped))
    rows = np.concatenate([original, swapped, duplicated, duplicated])
    changed = labels[rows].copy()
    here = slice(len(original), len(original) + len(swapped))
    changed[here] = (labels[swapped] + shift) % classes
    sizes = [len(original), len(swapped), 2 * len(duplicated)]
    return rows, changed, np.repeat(np.arange(3), sizes)


def composition(labels: NDArray[np.int64], classes: int) -> pd.DataFrame:
    """Where each example of the pool ``train:noisy`` comes from, one row each, in the pool's order.

    ``labels`` (examples,) are those of ``train``. Columns: part (one of :data:`PARTS`), row (of ``train``), copy
    (0, or 1 for the second of a duplicated example), before and after (the label, as a class index).
    """
    import pandas as pd  # late: training, which reads no tables, gets by without it

    rows, changed, parts = noisy(labels, classes)
    frame = pd.DataFrame({"part": np.array(PARTS)[parts], "row": rows, "before": labels[rows], "after": changed})
    frame.insert(2, "copy", frame.groupby("row").cumcount())
    return frame


def label_law(p: NDArray[np.float64], swapped: float) -> NDArray[np.float64]:
    """The distribution of the labels after the swaps, Q(y|x) of the noisy set, (examples, classes).

    ``p`` (examples, classes) is P(y|x), ``swapped`` the share of examples whose label was replaced by one of the
    others, each equally likely. Duplicates only make the swaps rarer. ValueError for a share outside [0, 1].
    """
    if not 0 <= swapped <= 1:
        raise ValueError(f"swapped={swapped}: expected a share")
    return (1 - swapped) * p + swapped * (1 - p) / (p.shape[1] - 1)
