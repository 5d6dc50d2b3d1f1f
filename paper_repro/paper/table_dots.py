"""A table of accuracies as a picture: the paper's number, our best run, our mean with its interval."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from paper_repro.paper import style
from paper_repro.paper.outcomes import FEW_SHOT
from paper_repro.paper.titles import OTHER_DATA, method_title, source_title
from paper_repro.runs.profiles import Profile

HOLLOW: dict[str, Any] = {"linestyle": "", "markerfacecolor": "none"}
PAPER: dict[str, Any] = {**HOLLOW, "marker": "D", "markersize": 4.5, "color": style.VERMILION}
BEST: dict[str, Any] = {**HOLLOW, "marker": "|", "markersize": 8, "color": style.BLUE}


@style.styled
def table_dots(frame: pd.DataFrame, file: str, profile: Profile) -> Figure:
    """A table as dots: the paper's number, our best run, and our mean with its 95 % interval.

    ``frame`` is that of :func:`paper_repro.paper.beside_paper.beside_paper`, ``file`` the name of its file. For a
    miniature world the caption says that the paper's numbers are of other data.
    """
    labels: list[str] = []
    places, headings = {}, []
    for (block, method), rows in frame.groupby(["train_source", "method"], sort=False):
        if (title := source_title(str(block))) not in labels:
            headings.append(len(labels))
            labels.append(title)
        places[block, method] = len(labels)
        empty = rows["n_seeds"].isna().all() and (block, method) != FEW_SHOT
        name = method_title(str(method))
        labels.append(f"{name} ({rows['status'].iloc[0]})" if empty else name)
    figure, filled = style.benchmark_panels(frame, 7.4, 1.15 + 0.215 * len(labels), sharey=True)
    for ax, rows in filled:
        keys = zip(rows["train_source"], rows["method"], strict=True)
        rows = rows.assign(place=[places[key] for key in keys], low=rows["accuracy_low"], high=rows["accuracy_high"])
        style.interval_dots(ax, rows, "mean_accuracy")
        ax.plot(rows["best_accuracy"], rows["place"], **BEST)
        if "paper_accuracy" in rows:  # not for a benchmark of the user's own
            ax.plot(rows["paper_accuracy"], rows["place"], **PAPER)
        style.row_labels(ax, labels)
        for place in headings:
            ax.axhline(place, color="white", linewidth=1.5)  # over the grid line: nothing is measured here
        for place, label in enumerate(ax.get_yticklabels()):  # none in panels that share the first one's
            label.set_fontweight("bold" if place in headings else "normal")
        ax.xaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3, steps=[1, 2, 5, 10]))
        ax.set_xlabel("test accuracy (%)")
    handles = [Line2D([], [], label="ours, mean and 95 % interval", color=style.BLUE, marker="o", markersize=4.5)]
    handles += [Line2D([], [], label="ours, best seed", **BEST)]
    handles += [Line2D([], [], label="paper (best of 4)", **PAPER)] if "paper_accuracy" in frame else []
    figure.legend(handles=handles, loc="outside upper center", ncols=3, handlelength=2.4)
    seeds = frame["n_seeds"].max()
    text = (
        f"Interval over {'no' if pd.isna(seeds) else f'up to {int(seeds)}'} seeds and all test texts; best: of these "
    )
    text += f"seeds, as the paper reports. Hollow dot: not all seeds are there.{style.source(file, profile.name)}"
    style.caption(figure, f"{OTHER_DATA[0].upper()}{OTHER_DATA[1:]}. {text}" if profile.kind == "miniature" else text)
    return figure
