"""Sec. 3.2 as pictures: the estimators side by side, and the test of Q(x) = P(x)."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_repro.paper import style
from paper_repro.paper.csv_files import records
from paper_repro.paper.information.estimates import MARGIN, QUANTITIES, VARIANTS
from paper_repro.paper.titles import benchmark_title, in_order

SEEN = {"in-sample": style.BLACK, "held-out": style.BLUE}
PAPER: dict[str, Any] = {"color": style.VERMILION, "marker": "D", "linestyle": ""}
PAPER |= {"markersize": 5.5, "markerfacecolor": "none"}
COMPARISONS = {
    "generated": "$D_P$ against $D_Q$",
    "halves": "two halves of $D_P$",
    "unseen": "$D_P$ against $D_{P'}$ and test",
}


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
    done = frame[frame["n_seeds"] > 0]
    text += f"n = {style.span(done['n_seeds'])} seeds, {style.span(done['n'])} texts." + style.incomplete(frame)
    style.caption(figure, text + style.source("section3_2.csv", profile))
    return figure


@style.styled
def auc_dots(frame: pd.DataFrame, profile: str, *, margin: float = MARGIN) -> Figure:
    """AUC of each two-sample test with its 95 % interval, one panel for each benchmark; 0.5 is chance.

    ``frame`` is that of :func:`paper_repro.paper.information.input_shift.run_tests`. Green bars: the AUC of the best
    classifier, where it is known.
    """
    tests = list(frame[["comparison", "input_shift"]].drop_duplicates().itertuples(index=False, name=None))
    names = [COMPARISONS[what] + (f", input_shift = {knob:g}" if knob else "") for what, knob in tests]
    figure, shown = style.benchmark_panels(frame, 7.4, 1.5 + 0.25 * len(tests), sharex=True, sharey=True)
    style.row_labels(shown[0][0], names)
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
