"""Marks that many figures share: the look of a row of a table, and means with their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from paper_repro.method.registry import METHODS
from paper_repro.paper.style import GREEN

MEAN = ("mean", "low", "high")
ACCURACY = ("mean_accuracy", "accuracy_low", "accuracy_high")


def look(row: str, *, line: bool = True) -> dict[str, Any]:
    """Colour, marker and (with ``line``) line style of a method; other rows, such as a checker, share one look."""
    method = METHODS.get(row)
    marks = {"color": method.colour, "marker": method.marker} if method else {"color": GREEN, "marker": "^"}
    style = method.line if method else (0, (3, 1, 1, 1))
    return {**marks, "linestyle": style if line else ""}


def interval_marks(
    ax: Axes,
    places: ArrayLike,
    frame: pd.DataFrame,
    columns: tuple[str, str, str] = MEAN,
    *,
    vertical: bool = False,
    **style: Any,
) -> None:
    """Means with their intervals, one for each row of ``frame``: at the heights ``places``, or with ``vertical`` at
    these x values. ``columns`` name mean, low and high; a row without a mean leaves its place empty."""
    mean, low, high = (frame[name].to_numpy(dtype=float) for name in columns)
    reach = np.maximum([mean - low, high - mean], 0)
    style = {"elinewidth": 1.3, **style}
    if vertical:
        ax.errorbar(np.asarray(places, dtype=float), mean, yerr=reach, capsize=2, **style)
    else:
        ax.errorbar(mean, np.asarray(places, dtype=float), xerr=reach, **style)
