"""The extended Table 1 as a picture: IMP and DIMP against each baseline."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from paper_repro.method.registry import METHODS
from paper_repro.paper import style
from paper_repro.paper.more_baselines.cells import rows
from paper_repro.paper.titles import method_title, short_title

LIFTS = {"imp": -0.15, "dimp": 0.15}


@style.styled
def differences(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """IMP and DIMP minus every other row, one panel per benchmark. Hollow: the comparison is not complete.

    ``frame`` is that of :func:`..tables.baseline_differences`.
    """
    order = [name for name in rows() if name in set(frame["rival"])]
    placed = frame.assign(place=frame["rival"].map(order.index) + frame["method"].map(LIFTS))
    figure, filled = style.benchmark_panels(placed, 7.4, 1.2 + 0.24 * len(order), sharey=True)
    for ax, here in filled:
        for method in LIFTS:
            looks = {"colour": METHODS[method].colour, "marker": METHODS[method].marker}
            style.interval_dots(ax, here[here["method"] == method], **looks)
        ax.axvline(0, color=style.BLACK, linewidth=0.8)
        ax.set_xlabel("points above the row")
        ax.xaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3))
        style.row_labels(ax, [method_title(rival) for rival in order])
    ours = {f"{short_title(method)} minus the row": METHODS[method] for method in LIFTS}
    handles = [Line2D([], [], label=name, color=m.colour, marker=m.marker, linestyle="") for name, m in ours.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    seeds, texts = style.span(frame["n_seeds"]), style.span(frame["n_test"])
    text = f"Paired over the seeds that both rows have (n = {seeds}) and {texts} test texts; 95 % intervals. "
    text += "Hollow: one seed, missing runs, or a row whose weights hardly differ."
    style.caption(figure, text + style.source("baselines_differences.csv", profile))
    return figure
