"""Sec. 3.2 as pictures: the estimators side by side, entropy against error, and the test of Q(x) = P(x)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_repro.paper.csv_files import records
from paper_repro.paper.information.tables import QUANTITIES, VARIANTS
from paper_repro.paper.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION, caption, new_axes, panels, styled
from paper_repro.paper.titles import benchmark_title, in_order

DATA = {"D_P": BLUE, "D_Q": ORANGE}
FORM_MARKERS = {"label": "o", "full": "s"}
PAPER: dict[str, Any] = {
    "color": VERMILION,
    "marker": "D",
    "linestyle": "",
    "markersize": 5.5,
    "markerfacecolor": "none",
}
EXACT: dict[str, Any] = {"color": GREEN, "marker": "*", "linestyle": "", "markersize": 9}


@styled
def estimate_dots(frame: pd.DataFrame, profile: str) -> Figure:
    """Every variant of the four quantities with its 95 % interval, one panel a quantity, in nats.

    ``frame`` is that of :func:`paper_repro.tables.section3_2`; the caption names ``profile``. A green line is the
    exact value, where it is known, a diamond the paper's number.
    """
    benchmarks = in_order(frame["benchmark"])
    figure, axes = panels(len(QUANTITIES), 7.4, 1.3 + 0.75 * len(benchmarks), sharey=True)
    for ax, quantity in zip(axes, QUANTITIES, strict=True):
        _quantity(ax, frame[frame["quantity"] == quantity], benchmarks)
        ax.set_title(quantity)
        ax.set_xlabel("nats")
    rows = len(VARIANTS) + 1
    places = [rows * b + v for b in range(len(benchmarks)) for v in range(len(VARIANTS))]
    labels = [f"{benchmark_title(b)}  {v}" if v == "a" else v for b in benchmarks for v in VARIANTS]
    axes[0].set_yticks(places, labels)
    axes[0].invert_yaxis()
    figure.legend(handles=_estimate_handles(frame), loc="outside upper center", ncols=4)
    text = (
        "a, b in-sample, c, d held-out; a, c label form, b, d full form. Lines: 95 % intervals over seeds and texts. "
    )
    caption(figure, f"{text}{_counts(frame)} Source: section3_2.csv, profile {profile}.")
    return figure


def _quantity(ax: Axes, frame: pd.DataFrame, benchmarks: list[str]) -> None:
    rows = len(VARIANTS) + 1
    for row in records(frame):
        place = rows * benchmarks.index(row["benchmark"]) + list(VARIANTS).index(row["variant"])
        colour = BLACK if row["seen"] == "in-sample" else BLUE
        face = colour if row["status"] == "complete" else "white"
        ax.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.4)
        ax.plot(row["mean"], place, marker="o", color=colour, markerfacecolor=face, markersize=4.5)
    for row in records(frame.drop_duplicates("benchmark")):
        start = rows * benchmarks.index(row["benchmark"]) - 0.5
        ax.plot([row["exact"]] * 2, [start, start + len(VARIANTS)], color=GREEN, linewidth=1.6, alpha=0.8)
        ax.plot(row["paper"], start + len(VARIANTS) / 2, **PAPER)
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.grid(axis="y", visible=False)


def _estimate_handles(frame: pd.DataFrame) -> list[Line2D]:
    handles = [
        Line2D([], [], label="in-sample", color=BLACK, marker="o"),
        Line2D([], [], label="held-out", color=BLUE, marker="o"),
        Line2D([], [], label="paper (Financial)", **PAPER),
    ]
    known = frame["exact"].notna().any()
    return handles + ([Line2D([], [], label="exact", color=GREEN, linewidth=1.6)] if known else [])


@styled
def entropy_bound(frame: pd.DataFrame, profile: str) -> Figure:
    """Error against conditional entropy with the two bounds, one panel a benchmark.

    ``frame`` is that of :func:`paper_repro.tables.entropy_bound`. Dark: no model and no data can lie there with the
    label form. Light: only a model can that is surer of itself than right.
    """
    benchmarks = in_order(frame["benchmark"])
    figure, axes = panels(len(benchmarks), 7.4, 3.7, sharey=True, sharex=True)
    top = 1.12 * float(frame[["error", "error_high"]].max().max())
    right = 1.1 * float(frame[["entropy", "entropy_high"]].max().max())
    for ax, benchmark in zip(axes, benchmarks, strict=True):
        bounds(right, top, ax=ax)
        for row in records(frame[frame["benchmark"] == benchmark]):
            _bound_point(ax, row)
        ax.set_title(benchmark_title(benchmark))
        ax.set_xlabel("conditional entropy (nats)")
    axes[0].set_ylabel("error on the same texts (%)")
    figure.legend(handles=_bound_handles(frame), loc="outside upper center", ncols=4, fontsize=7.5)
    text = (
        "Solid: error = H / (2 ln 2), dashed: error = loss / ln 2. Bars: 95 % intervals over seeds and texts. "
        "Crosses: in-sample entropy beside the test error, as the paper's text and tables put them. "
    )
    caption(figure, f"{text}{_counts(frame[frame['seen'] != 'paper'])} Source: entropy_bound.csv, profile {profile}.")
    return figure


@styled
def bounds(right: float, top: float, *, ax: Axes | None = None) -> Axes:
    """The bounds of :func:`paper_repro.measures.entropy.error_bound` and ``loss_bound``, in per cent, and what they
    forbid, up to an entropy of ``right`` nats and an error of ``top`` per cent."""
    ax = new_axes(ax)
    nats = np.linspace(0, right, 50)
    calibrated, any_model = 100 * entropy.error_bound(nats), 100 * entropy.loss_bound(nats)
    ax.fill_between(nats, any_model, np.maximum(any_model, top), color="#BBBBBB", linewidth=0)
    ax.fill_between(nats, calibrated, any_model, color="#E9E9E9", linewidth=0)
    ax.plot(nats, calibrated, color=BLACK, linewidth=1.1)
    ax.plot(nats, any_model, color=BLACK, linewidth=1.1, linestyle="--")
    ax.set_xlim(0, right)
    ax.set_ylim(0, top)
    return ax


def _bound_point(ax: Axes, row: Mapping[str, Any]) -> None:
    if row["seen"] == "paper":
        ax.plot(row["entropy"], row["error"], **{**PAPER, "markersize": 8, "markeredgewidth": 2}, zorder=5)
        return
    if row["seen"] == "exact":
        ax.plot(row["entropy"], row["error"], **{**EXACT, "color": DATA[row["data"]]}, markeredgecolor=BLACK, zorder=4)
        return
    colour, marker = DATA[row["data"]], FORM_MARKERS[row["form"]]
    face = "white" if row["seen"].startswith("in-sample") else colour
    if row["seen"] == "in-sample, test error":
        marker = "X" if row["form"] == "label" else "P"
    ax.plot([row["entropy_low"], row["entropy_high"]], [row["error"]] * 2, color=colour, linewidth=1)
    ax.plot([row["entropy"]] * 2, [row["error_low"], row["error_high"]], color=colour, linewidth=1)
    style: dict[str, Any] = {"color": colour, "markerfacecolor": face, "markersize": 6 if marker in "XP" else 5}
    ax.plot(row["entropy"], row["error"], marker=marker, zorder=3, **style)


def _bound_handles(frame: pd.DataFrame) -> list[Line2D]:
    def mark(label: str, colour: str, marker: str, face: str) -> Line2D:
        return Line2D([], [], label=label, color=colour, marker=marker, linestyle="", markerfacecolor=face)

    handles = [
        mark("$D_P$ under $M_P$", BLUE, "o", BLUE),
        mark("$D_Q$ under $M_Q$", ORANGE, "o", ORANGE),
        mark("label form, held-out", BLACK, "o", BLACK),
        mark("full form, held-out", BLACK, "s", BLACK),
        mark("in-sample (hollow)", BLACK, "o", "white"),
        mark("in-sample entropy, test error", BLACK, "X", "white"),
        Line2D([], [], label="paper", **PAPER),
    ]
    if (frame["seen"] == "exact").any():
        handles.append(mark("true law, best classifier", BLACK, "*", "white"))
    return handles


@styled
def input_shift(frame: pd.DataFrame, profile: str, *, margin: float = 0.05, ax: Axes | None = None) -> Axes:
    """AUC of each two-sample test with its 95 % interval; at 0.5 the two sets is inconclusive apart.

    ``frame`` is that of :func:`paper_repro.tables.input_shift`. The band reaches to 0.5 + ``margin``; green bars are
    the AUC of the best classifier, where the laws are known.
    """
    benchmarks = in_order(frame["benchmark"])
    comparisons = list(frame["comparison"].unique())
    rows = len(comparisons) + 1
    ax = new_axes(ax, 6.6, 0.9 + 0.23 * rows * len(benchmarks))
    ax.axvspan(0.5 - margin, 0.5 + margin, color="#E9E9E9", linewidth=0)
    ax.axvline(0.5, color=GREY, linewidth=0.9, linestyle=":")
    labels: dict[float, str] = {}
    for row in records(frame):
        place = rows * benchmarks.index(row["benchmark"]) + comparisons.index(row["comparison"])
        labels[place] = row["comparison"]
        colour = BLUE if row["low"] <= 0.5 + margin else VERMILION
        ax.plot([row["low"], row["high"]], [place, place], color=colour)
        ax.plot(row["auc"], place, "o", color=colour, markersize=4.5)
        ax.plot(row["best_auc"], place, "|", color=GREEN, markersize=9, markeredgewidth=2)
    for number, benchmark in enumerate(benchmarks):
        labels[rows * number - 0.9] = benchmark_title(benchmark)
    ax.set_yticks(list(labels), list(labels.values()))
    for label in ax.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() in map(benchmark_title, benchmarks) else "normal")
    ax.set_ylim(rows * len(benchmarks) - 1.3, -1.5)
    ax.grid(axis="y", visible=False)
    ax.set_xlim(0.4, 1.005)
    ax.set_xlabel("AUC on texts that the classifier has not seen, 95 % interval")
    sizes = " / ".join(f"{int(r['n_p'])} and {int(r['n_q'])}" for r in records(frame.drop_duplicates("benchmark")))
    caption(
        ax.figure,  # type: ignore[arg-type]
        f"Band: 0.5 ± {margin:g}. Red: above it for sure. Green: the best classifier, where the laws are known. "
        f"Texts in the first comparison: {sizes}; the others stand in the source, input_shift.csv, profile {profile}.",
    )
    return ax


def _counts(frame: pd.DataFrame) -> str:
    done = frame[frame["n_seeds"].fillna(0) > 0]
    seeds = sorted({int(count) for count in done["n_seeds"]}) or [0]
    texts = sorted({int(count) for count in done["n"]}) or [0]
    lost = frame[(frame["status"] != "complete")]
    text = f"n = {_range(seeds)} seeds, {_range(texts)} texts."
    return text + (f" INCOMPLETE: {len(lost)} of {len(frame)} rows." if len(lost) else "")


def _range(values: list[int]) -> str:
    return f"{values[0]}" if len(values) == 1 else f"{values[0]}-{values[-1]}"
