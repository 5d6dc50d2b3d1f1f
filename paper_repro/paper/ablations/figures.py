"""Figures 2 and 3, and what sizes and switches change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from paper_repro.paper.ablations.table3 import PHASE_TITLES, PHASES
from paper_repro.paper.csv_files import records
from paper_repro.paper.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    VERMILION,
    Picture,
    caption,
    new_axes,
    of_profile,
    panels,
    span,
    styled,
)
from paper_repro.paper.table1.figure1 import CURVES
from paper_repro.paper.titles import benchmark_title

CHECKER = "Quality checker"
LINES: Mapping[str, Mapping[str, Any]] = {
    **{name: style for name, style in CURVES.items() if name != "Focal-Loss"},
    CHECKER: {"color": GREEN, "linestyle": (0, (3, 1, 1, 1)), "marker": "^"},
}
PHASE_STYLES = ((GREEN, "///"), (ORANGE, "..."), (BLACK, ""), (SKY, ""))


@styled
def figure2(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """Figure 2: test accuracy by the share of the training set that the quality checker was fitted on.

    ``frame`` is that of :func:`paper_repro.tables.by_variant` for :func:`paper_repro.experiments.figure2`, its variants
    per cent. Bars are 95 % intervals; the flat line is CE-Loss, which has no checker.
    """
    figure, (ax,) = panels(1, 5.6, 3.5)
    known = frame[frame["mean_accuracy"].notna()]
    for index, (method, style) in enumerate(LINES.items()):
        here = known[known["method"] == method].sort_values("variant")
        if method == "CE-Loss" and len(here):
            ax.axhline(here["mean_accuracy"].iloc[0], color=BLACK, linestyle=":", label="CE-Loss, no checker")
        elif len(here):
            with_interval(ax, here, here["variant"] + 0.6 * (index - 2), style, label=method.removesuffix(" (Ours)"))
    ax.set_xlabel("share of the training set that the quality checker learns from (%)")
    ax.set_ylabel("test accuracy (%)")
    ax.set_title(", ".join(benchmark_title(name) for name in frame["benchmark"].unique()))
    ax.set_xlim(0, 104)
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, handlelength=2.6, columnspacing=1.2)
    caption(figure, f"{_counts(known)} Source: figure2.csv{of_profile(profile)}.{_lost(frame)}")
    return figure


def with_interval(
    ax: Axes, frame: pd.DataFrame, x: Any, style: Mapping[str, Any], *, label: str, of: str = "accuracy"
) -> None:
    """A line with 95 % bars: the accuracies of ``frame``, or the differences ``of`` "vs_ce" or "vs_default"."""
    names = {"accuracy": ("mean_accuracy", "accuracy_low", "accuracy_high")}
    mean, low, high = (frame[name].to_numpy(float) for name in names.get(of, [f"{of}_{n}" for n in _PARTS]))
    bars = np.maximum([mean - low, high - mean], 0)
    ax.errorbar(np.asarray(x, float), mean, yerr=bars, label=label, elinewidth=1, capsize=2, **style)


_PARTS = ("mean", "low", "high")


@styled
def figure3(frame: pd.DataFrame, *, encoder: str = "", miniature: bool = False) -> Figure:
    """Figure 3 with Table 3's phases: total seconds of each method, the paper's and ours, and the ratio to CE.

    ``frame`` is that of :func:`paper_repro.tables.table3`; our bars are medians, the whisker goes from the shortest to
    the longest total.
    """
    figure, axes = panels(2, 7.4, 3.2)
    time_bars(axes[0], frame, "paper_")
    axes[0].set_title("the paper: BERT-base, a V100")
    time_bars(axes[1], frame, "")
    axes[1].set_title(f"here: {encoder}")
    axes[0].set_ylabel("seconds")
    shown = [Patch(facecolor=c, hatch=h, edgecolor="white", label=PHASE_TITLES[p]) for p, (c, h) in _PHASES]
    figure.legend(handles=shown, loc="outside upper center", ncols=len(shown), handlelength=1.4, fontsize=7.5)
    device = next((name for name in frame["device"].dropna() if name), "no machine")
    text = f"Median of n = {span(frame['n_runs'])} repetitions on {device}; whisker: shortest and longest total. "
    text += "Only the ratios can be compared." if miniature else "Hardware and encoders differ: compare ratios."
    caption(figure, f"{text} Source: table3.csv.")
    return figure


_PHASES = list(zip(PHASES, PHASE_STYLES, strict=True))


def time_bars(ax: Axes, frame: pd.DataFrame, whose: str) -> None:
    """Stacked phases of each method, with the total's ratio to CE above: ``whose`` is "paper_" or "" (ours)."""
    rows = [row for row in records(frame) if not pd.isna(row[f"{whose}total_s"])]
    for place, row in enumerate(rows):
        base = 0.0
        for phase, (colour, hatch) in _PHASES:
            height = row[f"{whose}{phase}"]
            if not pd.isna(height):
                ax.bar(
                    place, height, bottom=base, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4, width=0.6
                )
                base += height
        top = row[f"{whose}total_s"]
        if not whose:
            ax.plot([place, place], [row["total_s_low"], row["total_s_high"]], color=GREY, linewidth=1.2)
            top = max(base, row["total_s_high"])
        ax.annotate(f"x {row[f'{whose}ratio']:.2f}", (place, top), (0, 3), textcoords="offset points", ha="center")
    ax.set_xticks(range(len(rows)), [row["method"] for row in rows])
    ax.grid(axis="x", visible=False)
    ax.margins(y=0.14)


@styled
def sizes(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """Accuracy (above) and points above CE-Loss (below) by the number of texts, one column an axis.

    ``frame`` has the columns of :func:`paper_repro.tables.by_variant` and ``axis`` (the title) and ``texts`` (the
    number, on a logarithmic scale). Bars are 95 % intervals.
    """
    axes_of = list(frame["axis"].unique())
    figure = Picture(figsize=(7.4, 4.6), layout="constrained")
    grid = figure.subplots(2, len(axes_of), sharex="col", sharey="row", squeeze=False)
    for column, name in zip(grid.T, axes_of, strict=True):
        here = frame[(frame["axis"] == name) & frame["mean_accuracy"].notna()]
        size_panels(column, here)
        column[0].set_title(name)
        column[1].set_xlabel("texts")
    grid[0, 0].set_ylabel("test accuracy (%)")
    grid[1, 0].set_ylabel("points above CE-Loss")
    present = [name for name in LINES if name in set(frame["method"])]
    handles = [Line2D([], [], label=name.removesuffix(" (Ours)"), **LINES[name]) for name in present]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handlelength=3.2)
    counts = _counts(frame[frame["mean_accuracy"].notna()])
    caption(figure, f"{counts} Source: sizes.csv{of_profile(profile)}.{_lost(frame)}")
    return figure


def size_panels(axes: Sequence[Axes], frame: pd.DataFrame) -> None:
    """One column of :func:`sizes`: accuracies on the first of the axes, differences to CE on the second."""
    for index, (method, style) in enumerate(LINES.items()):
        here = frame[frame["method"] == method].sort_values("texts")
        x = here["texts"].to_numpy(float) * (1 + 0.012 * (index - 1.5))
        if len(here):
            with_interval(axes[0], here, x, style, label=method)
        if len(here) and method != "CE-Loss":
            with_interval(axes[1], here, x, style, label=method, of="vs_ce")
    axes[1].axhline(0, color=BLACK, linewidth=0.8)
    axes[1].set_xscale("log")
    axes[1].xaxis.set_major_locator(FixedLocator(sorted(frame["texts"].unique())))
    axes[1].xaxis.set_minor_locator(NullLocator())
    axes[1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


@styled
def switches(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """Each variant against the default of the same method (left) and against CE-Loss (right), in points.

    ``frame`` is that of :func:`paper_repro.tables.by_variant` with the default first. Filled: the 95 % interval leaves
    zero out.
    """
    variants = list(frame["variant"].unique())
    figure, axes = panels(2, 7.4, 1.3 + 0.27 * len(variants), sharey=True)
    for ax, against in zip(axes, ("vs_default", "vs_ce"), strict=True):
        variant_rows(ax, frame, against)
    axes[0].set_yticks(range(len(variants)), [_short(name) for name in variants])
    axes[0].set_ylim(len(variants) - 0.5, -0.5)
    axes[0].set_xlabel("points above its default")
    axes[1].set_xlabel("points above CE-Loss")
    handles = [Line2D([], [], label=name.removesuffix(" (Ours)"), **_dot(name)) for name in _DOTS]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    text = _counts(frame[frame["mean_accuracy"].notna()], "Differences paired over seeds and texts; ")
    text += " Filled: the interval leaves zero out. QC, DC: quality and diversity checker."
    text += f" Source: switches.csv{of_profile(profile)}.{_lost(frame)}"
    caption(figure, text)
    return figure


def _short(variant: str) -> str:
    """The paper's abbreviations, so that the names leave room for the panels."""
    return variant.replace("quality checker", "QC").replace("diversity checker", "DC")


_DOTS = {"CE-Loss": (BLACK, "s"), "IMP-Loss (Ours)": (BLUE, "o"), "DIMP-Loss (Ours)": (VERMILION, "D")}


def _dot(method: str, filled: bool = True) -> dict[str, Any]:
    colour, marker = _DOTS[method]
    face = colour if filled else "white"
    return {"color": colour, "marker": marker, "markerfacecolor": face, "linestyle": "", "markersize": 4.2}


def variant_rows(ax: Axes, frame: pd.DataFrame, against: str) -> Axes:
    """One panel of :func:`switches`: ``against`` is "vs_default" or "vs_ce"."""
    ax = new_axes(ax, 4.6, 5)
    variants = list(frame["variant"].unique())
    lift = dict(zip(_DOTS, (0.0, -0.14, 0.14), strict=True))
    for row in records(frame[frame["method"].isin(list(_DOTS)) & frame[f"{against}_mean"].notna()]):
        place = variants.index(row["variant"]) + lift[row["method"]]
        low, high = row[f"{against}_low"], row[f"{against}_high"]
        ax.plot([low, high], [place, place], color=_DOTS[row["method"]][0], linewidth=1.3, alpha=0.6)
        ax.plot(row[f"{against}_mean"], place, **_dot(row["method"], filled=low > 0 or high < 0))
    ax.axvline(0, color=BLACK, linewidth=0.8)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3))
    return ax


# ---------------------------------------------------------------- captions


def _counts(frame: pd.DataFrame, start: str = "Mean with its 95 % interval; ") -> str:
    return f"{start}n = {span(frame['n_seeds'])} seeds, {span(frame['n_test'])} test texts."


def _lost(frame: pd.DataFrame) -> str:
    lost = int((frame["status"] != "complete").sum())
    return f" INCOMPLETE: {lost} of {len(frame)} points lack runs." if lost else ""
