"""The extended Table 1 as pictures: IMP and DIMP against each baseline, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from paper_repro.paper.csv_files import records
from paper_repro.paper.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    Picture,
    caption,
    of_profile,
    panels,
    plain_numbers,
    span,
    styled,
)
from paper_repro.paper.titles import benchmark_title, in_order

GROUPS: Mapping[str, tuple[str, str]] = {
    "the paper's": (BLUE, "o"),
    "no labels of D_P'": (ORANGE, "s"),
    "labels of D_P'": (GREEN, "^"),
    "true probabilities": (PURPLE, "D"),
}
SHORT: Mapping[str, str] = {
    "IMP-Loss (Ours)": "IMP",
    "DIMP-Loss (Ours)": "DIMP",
    "- w/o diversity checker": "P' alone",
    "CE-Loss": "CE",
    "Focal-Loss": "Focal",
    "SunGen (ours)": "SunGen",
    "Confident learning": "confident",
    "Hu et al.'s": "Hu",
    "Hu et al.'s, cheaper": "Hu, cheaper",
    "Hu et al.'s, official recipe": "Hu, official",
    "Ren et al.'s": "Ren",
    "Meta-Weight-Net": "MW-Net",
    "RHO-Loss selection": "RHO",
    "CE-Loss (quality checker)": "checker",
    "CE-Loss on D_Q and D_P'": "both",
    "CE-Loss on D_Q, then on D_P'": "then",
    "Filter P' > tau": "filter",
    "Self-distillation from P'": "distil",
    "Ensemble sqrt(Q P')": "ensemble",
    "IMP-Loss (exact Q)": "exact Q",
    "Oracle (true weights)": "oracle",
}
"""Names that fit beside a dot."""
PAIR = {"IMP-Loss (Ours)": (BLUE, "o", -0.15), "DIMP-Loss (Ours)": (VERMILION, "D", 0.15)}


@styled
def baselines_differences(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """IMP and DIMP minus every other row, one panel a benchmark. Filled: the 95 % interval leaves zero out.

    ``frame`` is that of :func:`paper_repro.tables.baseline_differences`.
    """
    order = [name for name in SHORT if name in set(frame["rival"])]
    benchmarks = in_order(frame["benchmark"])
    figure, axes = panels(len(benchmarks), 7.4, 1.2 + 0.24 * len(order), sharey=True)
    for benchmark, ax in zip(benchmarks, axes, strict=True):
        for row in records(frame[(frame["benchmark"] == benchmark) & frame["mean"].notna()]):
            colour, marker, lift = PAIR[row["method"]]
            place, told = order.index(row["rival"]) + lift, row["low"] > 0 or row["high"] < 0
            ax.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.3, alpha=0.6)
            face = colour if told else "white"
            ax.plot(row["mean"], place, marker=marker, color=colour, markerfacecolor=face, markersize=4.2)
        ax.axvline(0, color=BLACK, linewidth=0.8)
        ax.set_title(benchmark_title(benchmark))
        ax.set_xlabel("points above the row")
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3))
    axes[0].set_yticks(range(len(order)), order)
    axes[0].set_ylim(len(order) - 0.5, -0.5)
    styles = {f"{name.split('-')[0]} minus the row": style for name, style in PAIR.items()}
    handles = [Line2D([], [], label=name, color=colour, marker=mark) for name, (colour, mark, _) in styles.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    text = f"Paired over the seeds that both rows have (n = {span(frame['n_seeds'])}) and {span(frame['n_test'])} test "
    text += f"texts; 95 % intervals; filled: zero is left out. Source: baselines_differences.csv{of_profile(profile)}."
    caption(figure, text)
    return figure


@styled
def baselines_cost(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """Accuracy by the time that a method takes in all, relative to a CE run, one panel a benchmark (log x).

    ``frame`` is that of :func:`paper_repro.tables.baselines_cost` with ``group``, ``mean_accuracy``, ``accuracy_low``
    and ``accuracy_high``.
    """
    known = frame[frame["mean_accuracy"].notna() & (frame["total_ratio"] > 0)]
    benchmarks = in_order(known["benchmark"])
    figure = Picture(figsize=(7.4, 0.9 + 2.5 * max(len(benchmarks), 1)), layout="constrained")
    axes = np.ravel(figure.subplots(max(len(benchmarks), 1), 1, sharex=True, squeeze=False))
    for benchmark, ax in zip(benchmarks, axes, strict=False):
        cost_panel(ax, known[known["benchmark"] == benchmark])
        ax.set_title(benchmark_title(benchmark))
        ax.set_ylabel("test accuracy (%)")
    axes[-1].set_xlabel("seconds in all, checkers included, relative to one CE run on $D_Q$")
    shown = [(name, style) for name, style in GROUPS.items() if name in set(known["group"])]
    handles = [Line2D([], [], label=name, color=c, marker=m, linestyle="") for name, (c, m) in shown]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    devices = "; ".join(sorted({str(name) for name in known["device"].dropna()}))
    text = f"Time: geometric mean of n = {span(known['n_runs'])} seeds on {devices}, beside other trainings. "
    text += "Bars: 95 % interval of the accuracy over seeds and test texts. "
    caption(figure, f"{text}Source: baselines_cost.csv and table1_extended.csv{of_profile(profile)}.")
    return figure


def cost_panel(ax: Axes, frame: pd.DataFrame) -> None:
    """One panel of :func:`baselines_cost`, a name beside each dot."""
    rows = sorted(records(frame), key=lambda row: (row["total_ratio"], row["mean_accuracy"]))
    for row in rows:
        colour, marker = GROUPS.get(row["group"], (GREY, "x"))
        x = row["total_ratio"]
        ax.plot([x, x], [row["accuracy_low"], row["accuracy_high"]], color=colour, linewidth=1, alpha=0.35)
        ax.plot(x, row["mean_accuracy"], color=colour, marker=marker, markersize=4.5)
    ax.set_xscale("log")
    ax.margins(x=0.08, y=0.1)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_minor_locator(NullLocator())
    plain_numbers(ax, "x")
    _name_dots(ax, rows)


def _name_dots(ax: Axes, rows: Iterable[dict[str, Any]]) -> None:
    """Names at the first of several places around each dot where they cover no dot and no other name."""
    low, high = np.log10(ax.get_xlim())
    bottom, top = ax.get_ylim()
    rows = list(rows)
    width, height = 6.6 * 72, 1.85 * 72  # of a panel, about, in points

    def place(row: dict[str, Any]) -> tuple[float, float]:
        x = (np.log10(row["total_ratio"]) - low) / (high - low) * width
        return float(x), float((row["mean_accuracy"] - bottom) / (top - bottom) * height)

    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in map(place, rows)]
    for row in rows:
        x, y = place(row)
        text = SHORT.get(row["method"], row["method"])
        wide, tall = 3.7 * len(text), 7.0
        sides = [(6, lift) for lift in (-3, 4, -10)] + [(-6 - wide, lift) for lift in (-3, 4, -10)]
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
