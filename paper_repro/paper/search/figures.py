"""A search over hyper-parameters: every setting, the one that D_P' chooses, and the best run on the test set."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_repro.paper import style
from paper_repro.paper.titles import short_title

MARKERS = ("v", "^", "s", "P")  # by learning rate, the lowest first
Look = dict[str, Any]
SETTING: Look = {"color": style.GREY, "markerfacecolor": "none", "linestyle": "", "markersize": 4, "alpha": 0.8}
BEST: Look = {"color": style.VERMILION, "marker": "_", "markeredgewidth": 2, "label": "the best run\non the test set"}
CHOSEN: dict[str, Look] = {
    "fixed": {"color": style.BLACK, "marker": "D", "markerfacecolor": "white", "label": "Table 1's setting"},
    "dev": {"color": style.BLUE, "marker": "o", "label": "the setting that\n$D_{P'}$ chooses"},
    "best_run": BEST,
}
PLACES = {"fixed": -0.22, "dev": 0.0, "best_run": 0.22}


@style.styled
def search(settings: pd.DataFrame, rules: pd.DataFrame, profile: str = "") -> Figure:
    """Test accuracy of every setting (grey) and of what three rules would report, a panel for each benchmark.

    ``settings`` and ``rules`` are those of :mod:`paper_repro.paper.search.tables`. Bars are 95 % intervals; the best
    run has none that would mean anything.
    """
    methods, rates = list(settings["method"].unique()), sorted(settings["learning_rate"].unique())
    markers = dict(zip(rates, MARKERS * len(rates), strict=False))
    figure, filled = style.benchmark_panels(settings, 3.2 + 2.1 * settings["benchmark"].nunique(), 3.7, sharey=True)
    for ax, here in filled:
        for rate, rows in here.groupby("learning_rate"):
            ax.plot(rows["method"].map(methods.index) - 0.36, rows["mean_accuracy"], marker=markers[rate], **SETTING)
        for rule, look in CHOSEN.items():
            rows = rules[(rules["rule"] == rule) & (rules["benchmark"] == here["benchmark"].iloc[0])]
            places = rows["method"].map(methods.index) + PLACES[rule]
            if rule != "best_run":
                ax.vlines(places, rows["low"], rows["high"], color=look["color"], linewidth=1.4, alpha=0.6)
            ax.plot(places, rows["accuracy"], linestyle="", **look)
        ax.set_xticks(range(len(methods)), [short_title(method).removesuffix("-Loss") for method in methods])
        ax.set_xlim(-0.6, len(methods) - 0.5)
        ax.grid(axis="x", visible=False)
    figure.axes[0].set_ylabel("test accuracy (%)")
    handles = [Line2D([], [], marker=m, label=f"learning rate {rate:g}", **SETTING) for rate, m in markers.items()]
    handles += [Line2D([], [], linestyle="", **look) for look in CHOSEN.values()]
    figure.legend(handles=handles, loc="outside right upper", handlelength=1.2)
    seeds, texts = (style.span(settings.dropna(subset="mean_accuracy")[name]) for name in ("n_seeds", "n_test"))
    text = f"Grey: mean of a setting over n = {seeds} seeds, {texts} test texts; bars: 95 % intervals."
    text += style.source("search.csv, search_rules.csv", profile) + style.incomplete(settings, "settings lack runs")
    style.caption(figure, text)
    return figure
