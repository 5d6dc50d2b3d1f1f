"""The extended Table 1 as pictures: IMP and DIMP against each baseline, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from paper_repro.method.baselines import NO_LABELS, SAME_LABELS
from paper_repro.method.registry import METHODS
from paper_repro.paper.csv_files import records
from paper_repro.paper.more_baselines.cells import GROUPS, OURS, WORLD, rows
from paper_repro.paper.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    benchmark_panels,
    caption,
    interval_dots,
    panels,
    plain_numbers,
    row_labels,
    source,
    span,
    styled,
)
from paper_repro.paper.titles import benchmark_title, in_order, method_title, short_title

LOOKS: Mapping[str, tuple[str, str]] = {
    OURS: (BLUE, "o"),
    NO_LABELS: (ORANGE, "s"),
    SAME_LABELS: (GREEN, "^"),
    WORLD: (PURPLE, "D"),
}
"""Colour and marker of a group of rows."""
LIFTS = {"imp": -0.15, "dimp": 0.15}


@styled
def differences(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """IMP and DIMP minus every other row, one panel per benchmark. Hollow: the comparison is not complete.

    ``frame`` is that of :func:`..tables.baseline_differences`.
    """
    order = [name for name in rows() if name in set(frame["rival"])]
    placed = frame.assign(place=frame["rival"].map(order.index) + frame["method"].map(LIFTS))
    figure, filled = benchmark_panels(placed, 7.4, 1.2 + 0.24 * len(order), sharey=True)
    for ax, here in filled:
        for method in LIFTS:
            looks = {"colour": METHODS[method].colour, "marker": METHODS[method].marker}
            interval_dots(ax, here[here["method"] == method], **looks)
        ax.axvline(0, color=BLACK, linewidth=0.8)
        ax.set_xlabel("points above the row")
        ax.xaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3))
        row_labels(ax, [method_title(rival) for rival in order])
    ours = {f"{short_title(method)} minus the row": METHODS[method] for method in LIFTS}
    handles = [Line2D([], [], label=name, color=m.colour, marker=m.marker, linestyle="") for name, m in ours.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    text = f"Paired over the seeds that both rows have (n = {span(frame['n_seeds'])}) and {span(frame['n_test'])} test "
    text += "texts; 95 % intervals. Hollow: one seed, missing runs, or a row whose weights hardly differ."
    caption(figure, text + source("baselines_differences.csv", profile))
    return figure


@styled
def cost(frame: pd.DataFrame, table: pd.DataFrame, *, profile: str = "") -> Figure:
    """Accuracy by the time that a method takes in all, relative to a CE run, one panel per benchmark (log x).

    ``frame`` is that of :func:`..cost.baselines_cost`, ``table`` that of :func:`..tables.table1_extended`.
    """
    accuracy = table[table["train_source"] != "train"]
    both = frame.merge(accuracy.drop(columns=["status"]), on=["method", "benchmark"])
    known = both[both["mean_accuracy"].notna() & (both["total_ratio"] > 0)]
    benchmarks = in_order(known["benchmark"])
    stacked = max(len(benchmarks), 1)
    figure, axes = panels(1, 7.4, 0.9 + 2.5 * stacked, rows=stacked, sharex=True)
    for ax, name in zip(axes, benchmarks, strict=False):
        _cost_panel(ax, known[known["benchmark"] == name])
        ax.set_title(benchmark_title(name))
    axes[-1].set_xlabel("seconds in all, checkers included, relative to one CE run on $D_Q$")
    shown = [(GROUPS[name], look) for name, look in LOOKS.items() if name in set(known["group"])]
    handles = [Line2D([], [], label=name, color=c, marker=m, linestyle="") for name, (c, m) in shown]
    figure.legend(handles=handles, loc="outside upper center", ncols=max(len(handles), 1))
    devices = "; ".join(sorted({str(name) for name in known["device"].dropna()}))
    text = f"Time: geometric mean of n = {span(known['n_runs'])} seeds on {devices}, beside other trainings. "
    text += "Bars: 95 % interval of the accuracy over seeds and test texts."
    caption(figure, text + source("baselines_cost.csv, table1_extended.csv", profile))
    return figure


def _cost_panel(ax: Axes, frame: pd.DataFrame) -> None:
    """One panel of :func:`cost`, a name beside each dot."""
    dots = sorted(records(frame), key=lambda row: (row["total_ratio"], row["mean_accuracy"]))
    for row in dots:
        colour, marker = LOOKS[row["group"]]
        x = row["total_ratio"]
        ax.plot([x, x], [row["accuracy_low"], row["accuracy_high"]], color=colour, linewidth=1, alpha=0.35)
        ax.plot(x, row["mean_accuracy"], color=colour, marker=marker, markersize=4.5)
    ax.set_xscale("log")
    ax.set_ylabel("test accuracy (%)")
    ax.margins(x=0.08, y=0.1)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_minor_locator(NullLocator())
    plain_numbers(ax, "x")
    _name_dots(ax, dots)


def _name_dots(ax: Axes, dots: Sequence[dict[str, Any]]) -> None:
    """Names at the first of several places around each dot where they cover no dot and no other name."""
    low, high = np.log10(ax.get_xlim())
    bottom, top = ax.get_ylim()
    width, height = 6.6 * 72, 1.85 * 72  # of a panel, about, in points

    def place(row: dict[str, Any]) -> tuple[float, float]:
        x = (np.log10(row["total_ratio"]) - low) / (high - low) * width
        return float(x), float((row["mean_accuracy"] - bottom) / (top - bottom) * height)

    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in map(place, dots)]
    for row in dots:
        x, y = place(row)
        text = short_title(row["method"])
        wide, tall = 3.7 * len(text), 7.0
        sides = [(side, lift) for side in (6, -6 - wide) for lift in (-3, 4, -10)]
        sides += [(-wide / 2, 6), (-wide / 2, -13)]
        sides += [(side, lift) for lift in (12, -19, 20, -27) for side in (6, -6 - wide)]
        boxes = [(x + dx, y + dy, x + dx + wide, y + dy + tall) for dx, dy in sides]
        free = [i for i, box in enumerate(boxes) if box[0] >= 0 and box[2] <= width and not _covers(box, taken)]
        best = free[0] if free else 0
        taken.append(boxes[best])
        at = (row["total_ratio"], row["mean_accuracy"])
        ax.annotate(text, at, sides[best], textcoords="offset points", fontsize=6.5)


def _covers(box: tuple[float, ...], others: Iterable[tuple[float, ...]]) -> bool:
    return any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in others)
