"""The sets by every measure, and what classifiers make of them: pictures of the tables of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_repro.paper import style
from paper_repro.paper.diversity.cells import METHODS
from paper_repro.paper.diversity.measures import TITLES
from paper_repro.paper.titles import benchmark_title, in_order

LOOKS: tuple[dict[str, Any], ...] = (
    {"color": style.BLUE, "marker": "o", "linestyle": "-"},
    {"color": style.VERMILION, "marker": "s", "linestyle": (0, (4, 1.5))},
    {"color": style.GREEN, "marker": "^", "linestyle": (0, (1, 1))},
)
REAL_TITLES = {"train": "with $D_P$", "dev": "with $D_{P'}$ only"}


@style.styled
def order(frame: pd.DataFrame, profile: str = "") -> Figure:
    """How well each measure orders the sets as they were made: rank correlation with the known levels.

    ``frame`` is that of :func:`paper_repro.paper.diversity.measures.order`.
    """
    names = [name for name in TITLES if name in set(frame["measure"])]
    figure, (ax,) = style.panels(1, 6.0, 1.5 + 0.27 * len(names))
    benchmarks = in_order(frame["benchmark"])
    for index, benchmark in enumerate(benchmarks):
        rows = frame[frame["benchmark"] == benchmark]
        rows = rows.assign(place=rows["measure"].map(names.index) + 0.24 * (index - (len(benchmarks) - 1) / 2))
        style.interval_dots(ax, rows, colour=LOOKS[index]["color"], marker=LOOKS[index]["marker"])
    ax.axvline(0, color=style.GREY, linewidth=0.9, linestyle=":")
    style.row_labels(ax, [TITLES[name] for name in names])
    ax.set(xlabel="rank correlation with the level", xlim=(-1.05, 1.05))
    _legend(figure, dict(zip(map(benchmark_title, benchmarks), LOOKS, strict=False)), lines=False)
    sets = style.span(frame["sets"])
    text = f"1: the order in which the {sets} sets were made. Bars: 95 % intervals over samples, draws or seeds."
    style.caption(figure, text + style.source("diversity_order.csv", profile))
    return figure


@style.styled
def accuracy(frame: pd.DataFrame, profile: str = "") -> Figure:
    """Test accuracy of every method on every set, from the least to the most diverse.

    ``frame`` is that of :func:`paper_repro.paper.diversity.tables.accuracies`.
    """
    figure, filled = style.benchmark_panels(frame, 3.4 + 2.2 * frame["benchmark"].nunique(), 3.4)
    for ax, here in filled:
        names = list(here["set"].unique())
        for index, method in enumerate(METHODS):
            rows = here[(here["method"] == method) & here["mean_accuracy"].notna()]
            places = rows["set"].map(names.index).astype(float) + 0.14 * (index - 1)
            look = {**style.method_look(method), "linestyle": "none"}
            _bars(ax, places, rows, ("mean_accuracy", "accuracy_low", "accuracy_high"), look)
        ax.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
        ax.grid(axis="x", visible=False)
    figure.axes[0].set_ylabel("test accuracy (%)")
    style.method_legend(figure, METHODS)
    style.caption(figure, _counts(frame) + style.source("diversity_accuracy.csv", profile) + style.incomplete(frame))
    return figure


@style.styled
def against_shift(frame: pd.DataFrame, shift: pd.DataFrame, profile: str = "") -> Figure:
    """Test accuracy of CE-Loss on each set against the shift of its inputs (AUC of the two-sample test).

    Points have the numbers of their sets, which the caption lists: names would cover each other.
    """
    rows = frame[frame["method"] == "ce"].merge(shift[["benchmark", "set", "auc"]], on=["benchmark", "set"])
    numbers = {name: str(place) for place, name in enumerate(rows["set"].unique(), 1)}
    figure, filled = style.benchmark_panels(rows, 3.4 + 2.2 * frame["benchmark"].nunique(), 3.2)
    for ax, here in filled:
        errors = [here["mean_accuracy"] - here["accuracy_low"], here["accuracy_high"] - here["mean_accuracy"]]
        ax.errorbar(here["auc"], here["mean_accuracy"], yerr=errors, fmt="o", color=style.BLUE, elinewidth=1.2)
        for auc, mean, name in zip(here["auc"], here["mean_accuracy"], here["set"], strict=True):
            ax.annotate(numbers[name], (auc, mean), (4, 4), textcoords="offset points", fontsize=8)
        ax.set_xlabel("AUC, set against $D_P$ (0.5: alike)")
    figure.axes[0].set_ylabel("test accuracy of CE-Loss (%)")
    sources = style.source("diversity_accuracy.csv, diversity_shift.csv", profile)
    listed = "; ".join(f"{number}: {name}" for name, number in numbers.items())
    style.caption(figure, f"{listed}. {_counts(rows)}{sources}{style.incomplete(rows)}")
    return figure


@style.styled
def mixtures(frame: pd.DataFrame, profile: str = "") -> Figure:
    """Test accuracy of CE-Loss against the share of generated texts, a line for each set; the number of texts is fixed.

    ``frame`` is that of :func:`paper_repro.paper.diversity.tables.mixed`. What has no finished run has no panel.
    """
    shown = frame if frame["mean_accuracy"].isna().all() else frame.dropna(subset="mean_accuracy")
    panels = list(dict.fromkeys(zip(shown["benchmark"], shown["real"], strict=True)))
    figure, axes = style.panels(len(panels), 2.6 + 1.6 * len(panels), 3.2, sharey=False)
    names = list(frame["set"].unique())
    for ax, (benchmark, real) in zip(axes, panels, strict=True):
        here = frame[(frame["benchmark"] == benchmark) & (frame["real"] == real)]
        for index, name in enumerate(names):
            rows = here[(here["set"] == name) & here["mean_accuracy"].notna()]
            places = rows["share"] + 2.2 * (index - (len(names) - 1) / 2)
            _bars(ax, places, rows, ("mean_accuracy", "accuracy_low", "accuracy_high"), LOOKS[index])
        ax.set_title(f"{benchmark_title(benchmark)},\n{REAL_TITLES[real]} (n = {here['n'].max():,})", fontsize=8.5)
        ax.set_xticks(sorted(here["share"].unique()))
        ax.set_xlim(-6, 106)
        ax.set_xlabel("generated texts (%)")
    axes[0].set_ylabel("test accuracy of CE-Loss (%)")
    _legend(figure, dict(zip(names, LOOKS, strict=False)))
    style.caption(figure, _counts(frame) + style.source("diversity_mixed.csv", profile) + style.incomplete(frame))
    return figure


def _bars(ax: Axes, places: Any, rows: pd.DataFrame, columns: tuple[str, str, str], look: dict[str, Any]) -> None:
    mean, low, high = (rows[name] for name in columns)
    errors = np.maximum([mean - low, high - mean], 0)
    ax.errorbar(places, mean, yerr=errors, elinewidth=1.2, markersize=4.5, **look)


def _legend(figure: Figure, looks: dict[str, dict[str, Any]], lines: bool = True) -> None:
    shown = [{**look, **({} if lines else {"linestyle": "none"})} for look in looks.values()]
    handles = [Line2D([], [], label=name, **look) for name, look in zip(looks, shown, strict=True)]
    figure.legend(handles=handles, loc="outside upper center", ncols=max(len(handles), 1), handlelength=3)


def _counts(frame: pd.DataFrame) -> str:
    found = frame.dropna(subset="mean_accuracy")
    seeds, texts = style.span(found["n_seeds"]), style.span(found["n_test"])
    return f"Mean of n = {seeds} seeds, {texts} test texts; bars: 95 % intervals over both."
