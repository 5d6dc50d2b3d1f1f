"""A search over hyper-parameters: every setting, the one that D_P' chooses, and the best run on the test set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_repro.paper.csv_files import records
from paper_repro.paper.search.tables import RULES
from paper_repro.paper.style import BLACK, BLUE, GREY, VERMILION, caption, of_profile, panels, span, styled
from paper_repro.paper.titles import benchmark_title, in_order

MARKERS = ("v", "^", "s", "P")  # by learning rate, the lowest first
CHOSEN: dict[str, dict[str, Any]] = {
    "fixed": {"color": BLACK, "marker": "D", "markerfacecolor": "white"},
    "dev": {"color": BLUE, "marker": "o"},
    "best run": {"color": VERMILION, "marker": "_", "markersize": 11, "markeredgewidth": 2},
}
PLACES = {"fixed": -0.22, "dev": 0.0, "best run": 0.22}


@styled
def search(settings: pd.DataFrame, rules: pd.DataFrame, *, profile: str = "") -> Figure:
    """Test accuracy of every setting (grey) and of what three rules would report, a panel a benchmark.

    ``settings`` and ``rules`` are those of :func:`paper_repro.tables.search_settings` and ``search_rules``. Bars are
    95 % intervals; the best run has none that would mean anything.
    """
    benchmarks = in_order(settings["benchmark"])
    figure, axes = panels(len(benchmarks), 3.2 + 2.1 * len(benchmarks), 3.7, sharey=True)
    for benchmark, ax in zip(benchmarks, axes, strict=True):
        _panel(ax, *(frame[frame["benchmark"] == benchmark] for frame in (settings, rules)))
        ax.set_title(benchmark_title(benchmark))
    axes[0].set_ylabel("test accuracy (%)")
    figure.legend(handles=_handles(settings), loc="outside right upper", handlelength=1.2)
    known = settings[settings["mean_accuracy"].notna()]
    lost = int((settings["status"] != "complete").sum())
    text = (
        f"Grey: mean of a setting over n = {span(known['n_seeds'])} seeds, {span(known['n_test'])} test texts; bars: "
    )
    text += f"95 % intervals. Source: search.csv, search_rules.csv{of_profile(profile)}."
    caption(figure, text + (f" INCOMPLETE: {lost} of {len(settings)} settings lack runs." if lost else ""))
    return figure


def _panel(ax: Axes, settings: pd.DataFrame, rules: pd.DataFrame) -> None:
    methods = list(dict.fromkeys(settings["method"]))
    rates = sorted(settings["learning_rate"].unique())
    for row in records(settings[settings["mean_accuracy"].notna()]):
        marker = MARKERS[rates.index(row["learning_rate"]) % len(MARKERS)]
        ax.plot(methods.index(row["method"]) - 0.36, row["mean_accuracy"], marker=marker, **_GREY)
    for rule, style in CHOSEN.items():
        for row in records(rules[rules["rule"].eq(RULES[rule]) & rules["accuracy"].notna()]):
            place = methods.index(row["method"]) + PLACES[rule]
            if rule != "best run":
                ax.plot([place, place], [row["low"], row["high"]], color=style["color"], linewidth=1.4, alpha=0.6)
            ax.plot(place, row["accuracy"], **_dot(rule))
    ax.set_xticks(np.arange(len(methods)), [name.removesuffix(" (Ours)").removesuffix("-Loss") for name in methods])
    ax.set_xlim(-0.6, len(methods) - 0.5)
    ax.grid(axis="x", visible=False)


_GREY: dict[str, Any] = {"color": GREY, "markerfacecolor": "none", "linestyle": "", "markersize": 4, "alpha": 0.8}


def _dot(rule: str) -> dict[str, Any]:
    return {"linestyle": "", "markersize": 5, **CHOSEN[rule]}


def _handles(settings: pd.DataFrame) -> list[Line2D]:
    rates = sorted(settings["learning_rate"].unique())
    shown = [
        Line2D([], [], marker=MARKERS[i % len(MARKERS)], label=f"learning rate {rate:g}", **_GREY)
        for i, rate in enumerate(rates)
    ]
    words = {
        "fixed": "Table 1's setting",
        "dev": "the setting that\n$D_{P'}$ chooses",
        "best run": "best of all runs\non the test set",
    }
    return shown + [Line2D([], [], label=words[rule], **_dot(rule)) for rule in CHOSEN]
