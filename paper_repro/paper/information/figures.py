"""Sec. 3.2 as pictures: the estimators side by side, entropy against error, and the test of Q(x) = P(x)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_repro.measures import entropy
from paper_repro.paper import style
from paper_repro.paper.csv_files import records
from paper_repro.paper.information.estimates import MARGIN, QUANTITIES, VARIANTS
from paper_repro.paper.titles import benchmark_title, in_order

SEEN = {"in-sample": style.BLACK, "held-out": style.BLUE}
PAPER: dict[str, Any] = {
    "color": style.VERMILION,
    "marker": "D",
    "linestyle": "",
    "markersize": 5.5,
    "markerfacecolor": "none",
}
DATA = {"$D_P$, model $M_P$": style.BLUE, "$D_Q$, model $M_Q$": style.ORANGE, "the paper": style.VERMILION}
POINTS = {
    "in-sample": ("in-sample", "o"),
    "held-out": ("held-out", "s"),
    "test": ("test set", "^"),
    "mixed": ("in-sample entropy, test error", "X"),
    "exact": ("true distribution, best classifier", "*"),
    "paper": ("paper", "D"),
}
"""Title and marker of each ``seen`` of :func:`paper_repro.paper.information.bound.entropy_bound`."""


@style.styled
def estimate_dots(frame: pd.DataFrame, profile: str) -> Figure:
    """Every variant of the four quantities with its 95 % interval, one panel for each quantity, in nats.

    ``frame`` is that of :func:`paper_repro.paper.information.estimates.section3_2`. A green line is the exact value,
    where it is known, a diamond the paper's number.
    """
    rows = [(name, variant) for name in in_order(frame["benchmark"]) for variant in VARIANTS]
    names = [f"{benchmark_title(name)}  {v}" if v == "a" else v for name, v in rows]
    figure, axes = style.panels(len(QUANTITIES), 7.4, 1.3 + 0.75 * len(rows) / len(VARIANTS), sharey=True)
    style.row_labels(axes[0], names)
    places = [float(rows.index(key)) for key in zip(frame["benchmark"], frame["variant"], strict=True)]
    for ax, quantity in zip(axes, QUANTITIES, strict=True):
        here = frame.assign(place=places)[frame["quantity"] == quantity]
        for seen, colour in SEEN.items():
            style.interval_dots(ax, here[here["seen"] == seen], colour=colour)
        for row in records(here[here["variant"] == "a"]):
            ax.plot([row["exact"]] * 2, [row["place"] - 0.3, row["place"] + 3.3], color=style.GREEN, linewidth=1.6)
            ax.plot(row["paper"], row["place"] + 1.5, **PAPER)
        ax.axvline(0, color=style.GREY, linewidth=0.8)
        ax.grid(axis="y", visible=False)
        ax.set_title(quantity)
        ax.set_xlabel("nats")
    handles = [Line2D([], [], label=seen, color=colour, marker="o") for seen, colour in SEEN.items()]
    handles.append(Line2D([], [], label="paper (Financial)", **PAPER))
    exact = [Line2D([], [], label="exact", color=style.GREEN)] if frame["exact"].notna().any() else []
    figure.legend(handles=handles + exact, loc="outside upper center", ncols=4)
    text = "a, b in-sample, c, d held-out; a, c label form, b, d full form. Lines: 95 % intervals. "
    style.caption(figure, text + _counts(frame) + style.source("section3_2.csv", profile))
    return figure


@style.styled
def entropy_points(frame: pd.DataFrame, profile: str) -> Figure:
    """Error against conditional entropy with the two bounds, one panel for each benchmark.

    ``frame`` is that of :func:`paper_repro.paper.information.bound.entropy_bound`. Dark: no model and no data can lie
    there with the label form. Light: only a model can that is more confident than right.
    """
    figure, shown = style.benchmark_panels(frame, 7.4, 3.9, sharex=True, sharey=True)
    right = 1.1 * float(frame[["entropy", "entropy_high"]].max().max())
    top = 1.12 * float(frame[["error", "error_high"]].max().max())
    seen = [name for name in POINTS if name in set(frame["seen"])]
    markers = {POINTS[name][0]: POINTS[name][1] for name in seen}
    for ax, rows in shown:
        bounds(right, top, ax=ax)
        here = rows.assign(point=rows["seen"].map(lambda name: POINTS[name][0]), form=rows["form"].replace("", "label"))
        here["data"] = rows["data"].map(dict(zip(("D_P", "D_Q"), DATA, strict=False)))
        here.loc[rows["seen"] == "paper", "data"] = "the paper"
        for data, points in here.groupby("data"):
            reach: dict[str, Any] = {
                axis: np.nan_to_num([points[name] - points[f"{name}_low"], points[f"{name}_high"] - points[name]])
                for axis, name in (("xerr", "entropy"), ("yerr", "error"))
            }
            ax.errorbar(points["entropy"], points["error"], fmt="none", ecolor=DATA[str(data)], elinewidth=1, **reach)
        sns.scatterplot(
            here, x="entropy", y="error", hue="data", style="point", size="form", palette=DATA, markers=markers,
            style_order=list(markers), sizes={"label": 50, "full": 20}, edgecolor=style.BLACK, zorder=3, ax=ax,
            legend="full" if ax is shown[0][0] else False,
        )  # fmt: skip
        ax.set_xlabel("conditional entropy (nats)")
        ax.set_ylabel("error on the same texts (%)")
    entries = zip(*shown[0][0].get_legend_handles_labels(), strict=True)
    named = [(handle, label) for handle, label in entries if label not in ("data", "point", "form")]
    shown[0][0].legend().remove()
    figure.legend(*zip(*named, strict=True), loc="outside upper center", ncols=4, fontsize=7.5)
    text = "Solid: error = H / (2 ln 2), dashed: error = loss / ln 2. Bars: 95 % intervals over seeds and texts. "
    style.caption(figure, text + _counts(frame[frame["seen"] != "paper"]) + style.source("entropy_bound.csv", profile))
    return figure


@style.styled
def bounds(right: float, top: float, *, ax: Axes | None = None) -> Axes:
    """The bounds of :func:`paper_repro.measures.entropy.error_bound` and ``loss_bound``, in per cent, and what they
    forbid, up to an entropy of ``right`` nats and an error of ``top`` per cent."""
    ax = style.new_axes(ax)
    nats = np.linspace(0, right, 50)
    calibrated, any_model = 100 * entropy.error_bound(nats), 100 * entropy.loss_bound(nats)
    ax.fill_between(nats, any_model, np.maximum(any_model, top), color="#BBBBBB", linewidth=0)
    ax.fill_between(nats, calibrated, any_model, color="#E9E9E9", linewidth=0)
    ax.plot(nats, calibrated, color=style.BLACK, linewidth=1.1)
    ax.plot(nats, any_model, color=style.BLACK, linewidth=1.1, linestyle="--")
    ax.set_xlim(0, right)
    ax.set_ylim(0, top)
    return ax


@style.styled
def auc_dots(frame: pd.DataFrame, profile: str, *, margin: float = MARGIN) -> Figure:
    """AUC of each two-sample test with its 95 % interval, one panel for each benchmark; 0.5 is chance.

    ``frame`` is that of :func:`paper_repro.paper.information.input_shift.aucs`. The band reaches to 0.5 +
    ``margin``; green bars are the AUC of the best classifier, where it is known.
    """
    tests = list(frame[["comparison", "input_shift"]].drop_duplicates().itertuples(index=False, name=None))
    figure, shown = style.benchmark_panels(frame, 7.4, 1.5 + 0.25 * len(tests), sharex=True, sharey=True)
    style.row_labels(shown[0][0], [comparison_title(*test) for test in tests])
    for ax, here in shown:
        ax.axvspan(0.5 - margin, 0.5 + margin, color="#E9E9E9", linewidth=0)
        places = [tests.index(test) for test in zip(here["comparison"], here["input_shift"], strict=True)]
        here = here.assign(place=places, status="complete")
        above = here["low"] > 0.5 + margin
        style.interval_dots(ax, here[above], "auc", colour=style.VERMILION)
        style.interval_dots(ax, here[~above], "auc")
        ax.plot(here["best_auc"], places, "|", color=style.GREEN, markersize=9, markeredgewidth=2)
        ax.set_xlabel("AUC on unseen texts")
    sizes = f"{style.span(frame['n_p'])} against {style.span(frame['n_q'])} texts"
    text = f"{sizes}, 95 % intervals. Band: 0.5 ± {margin:g}; red: above it. Green: the best classifier, where known."
    style.caption(figure, text + style.source("input_shift.csv", profile))
    return figure


COMPARISONS = {
    "generated": "$D_P$ against $D_Q$",
    "halves": "two halves of $D_P$",
    "unseen": "$D_P$ against $D_{P'}$ and test",
}


def comparison_title(comparison: str, knob: float) -> str:
    """The title of a two-sample test; ``knob`` is the world's input_shift."""
    return COMPARISONS[comparison] + (f", input_shift = {knob:g}" if knob else "")


def _counts(frame: pd.DataFrame) -> str:
    done = frame[frame["n_seeds"].fillna(0) > 0]
    return f"n = {style.span(done['n_seeds'])} seeds, {style.span(done['n'])} texts." + style.incomplete(frame)
