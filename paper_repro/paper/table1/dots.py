"""A table of accuracies as a picture: the paper's number, our best run, our mean with its interval."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import FEW_SHOT, OTHER_DATA
from paper_repro.paper.style import BLUE, VERMILION, caption, new_axes, panels, styled
from paper_repro.paper.titles import benchmark_title, in_order


@styled
def table1_dots(frame: pd.DataFrame, *, miniature: bool = False) -> Figure:
    """Table 1 as dots, see :func:`table_dots`."""
    return table_dots(frame, "table1.csv", miniature=miniature)


@styled
def table_dots(frame: pd.DataFrame, source: str, *, miniature: bool = False) -> Figure:
    """A table as dots: the paper's number, our best run, and our mean with its 95 % interval.

    ``frame`` is that of :func:`paper_repro.tables.beside_paper`, ``source`` the name of its file; ``miniature`` adds
    that the paper's numbers are of other data.
    """
    benchmarks = in_order(frame["benchmark"])
    rows = len(frame.drop_duplicates(["train_source", "method"])) + frame["train_source"].nunique()
    figure, axes = panels(len(benchmarks), 7.4, 1.15 + 0.215 * rows, sharey=True)
    for benchmark, ax in zip(benchmarks, axes, strict=True):
        dots(frame, benchmark, ax=ax)
    beside_paper = "paper_accuracy" in frame  # not for a benchmark of one's own
    figure.legend(handles=_dot_handles()[not beside_paper :], loc="outside upper center", ncols=3, handlelength=2.4)
    seeds = frame["n_seeds"].dropna()
    count = f"up to {int(seeds.max())}" if len(seeds) else "no"
    text = f"Interval over {count} seeds and all test texts; best: of these seeds, as the paper reports."
    text += f" Hollow dot: not all seeds are there. Source: {source}."
    caption(figure, f"{OTHER_DATA[0].upper()}{OTHER_DATA[1:]}. {text}" if miniature else text)
    return figure


@styled
def dots(frame: pd.DataFrame, benchmark: str, *, ax: Axes | None = None) -> Axes:
    """One panel of :func:`table_dots`: the rows of the table from top to bottom for one benchmark."""
    ax = new_axes(ax, 4.6, 5)
    here = records(frame[frame["benchmark"] == benchmark])
    names: list[str] = []
    headings = []
    for row in here:
        if row["train_source"] not in names:
            headings.append(len(names))
            names.append(row["train_source"])
        _dot_row(ax, row, len(names))
        names.append(_dot_name(row))
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(names) - 0.4, -0.6)
    for place in headings:
        ax.axhline(place, color="white", linewidth=1.5)  # over the grid line: nothing is measured here
    for place, label in enumerate(ax.get_yticklabels()):  # none in panels that share the first one's
        label.set_fontweight("bold" if place in headings else "normal")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3, steps=[1, 2, 5, 10]))
    ax.set_title(benchmark_title(benchmark))
    ax.set_xlabel("test accuracy (%)")
    return ax


def _dot_row(ax: Axes, row: dict[str, Any], place: int) -> None:
    if not pd.isna(row["mean_accuracy"]):
        face = BLUE if row["status"] == "complete" else "white"
        ax.plot([row["accuracy_low"], row["accuracy_high"]], [place, place], color=BLUE, linewidth=1.6, alpha=0.55)
        ax.plot(row["best_accuracy"], place, marker="|", color=BLUE, markersize=7, markeredgewidth=1.4)
        ax.plot(row["mean_accuracy"], place, marker="o", color=BLUE, markerfacecolor=face, markersize=4.5)
    if "paper_accuracy" in row:
        ax.plot(row["paper_accuracy"], place, marker="D", color=VERMILION, markerfacecolor="none", markersize=4.5)


def _dot_name(row: dict[str, Any]) -> str:
    if (row["train_source"], row["method"]) == FEW_SHOT:
        return "the generator's own labels"
    method = str(row["method"])
    return f"{method} ({row['status']})" if row["status"] in ("not run", "number not known") else method


def _dot_handles() -> list[Line2D]:
    hollow = {"color": VERMILION, "marker": "D", "markerfacecolor": "none", "linestyle": "", "markersize": 4.5}
    best = {"color": BLUE, "marker": "|", "linestyle": "", "markersize": 7, "markeredgewidth": 1.4}
    return [
        Line2D([], [], label="paper (best of 4)", **hollow),  # type: ignore[arg-type]
        Line2D([], [], label="ours, mean and 95 % interval", color=BLUE, marker="o", markersize=4.5),
        Line2D([], [], label="ours, best seed", **best),  # type: ignore[arg-type]
    ]
