"""Figures 4 to 7: what the checkers and the weights make of noisy data; and how well they find the noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from paper_repro.paper.csv_files import records
from paper_repro.paper.noisy.tables import CROSS_FITTED, DIMP, IMP, TRUE
from paper_repro.paper.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    caption,
    new_axes,
    panels,
    styled,
)
from paper_repro.paper.titles import benchmark_title, in_order
from paper_repro.texts.noise import PARTS

PART_TITLES = {"original": "original", "swapped": "swapped label", "duplicated": "duplicated"}
BARS: dict[str, dict[str, Any]] = {
    "quality": {"color": BLUE, "label": "quality $P'(y|x)$"},
    "diversity": {"color": ORANGE, "label": r"diversity $\hat Q(y|x)$", "hatch": "///"},
    "weight": {"color": GREEN, "label": r"weight $P'/\hat Q$", "hatch": "..."},
}
LINES: dict[str, dict[str, Any]] = {
    "original": {"color": BLUE, "linestyle": "-", "marker": "o"},
    "swapped": {"color": VERMILION, "linestyle": (0, (4, 1.5)), "marker": "s"},
    "duplicated": {"color": PURPLE, "linestyle": (0, (6, 1, 1, 1)), "marker": "D"},
}
EPOCH_LABELS = {"diversity": r"mean $p_\theta(y|x)$ in training", "weight": r"mean weight $P'/p_\theta$"}
DOTS = {"financial": (BLUE, "o"), "tweet_irony": (VERMILION, "s"), "mrpc": (GREEN, "^")}


@styled
def noisy_bars(frame: pd.DataFrame, benchmark: str) -> Figure:
    """Figures 4 and 5: mean quality score, diversity score and IMP weight of each part of the noisy set.

    ``frame`` is that of :func:`paper_repro.tables.noisy_scores` with a column ``profile``. Black diamonds are what the
    true P and Q would show, where they are known.
    """
    figure, (ax,) = panels(1, 5.6, 3.2)
    bars(frame, benchmark, ax=ax)
    ax.set_title(benchmark_title(benchmark))
    handles, labels = ax.get_legend_handles_labels()
    handles, labels = handles[-3:] + handles[:-3], labels[-3:] + labels[:-3]  # the bars first
    figure.legend(handles, labels, loc="outside upper center", ncols=len(handles), handlelength=1.6)
    caption(figure, _caption(frame[(frame["benchmark"] == benchmark) & (frame["weighting"] == IMP)]))
    return figure


@styled
def bars(frame: pd.DataFrame, benchmark: str, *, ax: Axes | None = None) -> Axes:
    """The bars of :func:`noisy_bars`: one group a part, one bar a score, 95 % intervals."""
    ax = new_axes(ax)
    here = frame[(frame["benchmark"] == benchmark) & frame["weighting"].isin([IMP, TRUE])]
    here = here.set_index(["weighting", "score", "part"])
    true_known = TRUE in set(here.index.get_level_values("weighting"))
    for index, (score, style) in enumerate(BARS.items()):
        rows = here.loc[[(IMP, score, part) for part in PARTS]]
        places = np.arange(len(PARTS)) + 0.27 * (index - 1)
        errors = np.nan_to_num(np.maximum([rows["mean"] - rows["low"], rows["high"] - rows["mean"]], 0))
        ax.bar(
            places, rows["mean"], 0.25, yerr=errors, edgecolor="white", linewidth=0,
            error_kw={"elinewidth": 1, "capsize": 2.5, "ecolor": BLACK}, **style,
        )  # fmt: skip
        if true_known:
            exact = here["mean"].reindex([(TRUE, score, part) for part in PARTS])
            label = "true $P$ and $Q$" if index == 2 else None
            ax.plot(places - 0.08, exact, "D", color=BLACK, markerfacecolor="white", markersize=4, label=label)
    ax.axhline(1, color=GREY, linewidth=0.9, linestyle=":")
    ax.set_xticks(range(len(PARTS)), [PART_TITLES[part] for part in PARTS])
    ax.grid(visible=False, axis="x")
    ax.set_ylabel("mean (dotted: weight 1)")
    return ax


@styled
def noisy_epochs(frame: pd.DataFrame, score: str) -> Figure:
    """Figures 6 and 7: DIMP's p ("diversity") or weight ("weight") of each part over the epochs, a panel a benchmark.

    ``frame`` as for :func:`noisy_bars`. The paper shows Financial only.
    """
    chosen = frame[(frame["weighting"] == DIMP) & (frame["score"] == score)]
    benchmarks = in_order(chosen["benchmark"])
    figure, axes = panels(max(len(benchmarks), 1), 7.4, 3.0)
    for benchmark, ax in zip(benchmarks, axes, strict=False):
        epoch_lines(chosen, benchmark, ax=ax)
        if score == "weight":
            ax.axhline(1, color=GREY, linewidth=0.9, linestyle=":")
    axes[0].set_ylabel(EPOCH_LABELS[score])
    handles = [Line2D([], [], label=PART_TITLES[part], **style) for part, style in LINES.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handlelength=3.2)
    caption(figure, _caption(chosen))
    return figure


@styled
def epoch_lines(frame: pd.DataFrame, benchmark: str, *, ax: Axes | None = None) -> Axes:
    """One panel of :func:`noisy_epochs`: mean line and 95 % band of each part."""
    ax = new_axes(ax)
    here = frame[frame["benchmark"] == benchmark]
    for part, style in LINES.items():
        rows = here[here["part"] == part].sort_values("epoch")
        epochs = rows["epoch"].to_numpy(dtype=float)
        ax.fill_between(epochs, rows["low"], rows["high"], color=style["color"], alpha=0.14, linewidth=0)
        ax.plot(epochs, rows["mean"], **style)
    ax.set_title(benchmark_title(benchmark))
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=2))
    return ax


@styled
def noisy_detection(frame: pd.DataFrame) -> Figure:
    """Area under the ROC curve of each score: original against swapped (left) and against duplicated texts (right).

    ``frame`` is that of :func:`paper_repro.tables.noisy_detection` with a column ``profile``. DIMP's p is left out:
    it is in the table.
    """
    frame = frame[(frame["weighting"] != DIMP) | (frame["score"] == "weight")]
    order = frame["weighting"].map([IMP, CROSS_FITTED, DIMP, TRUE].index)
    rows = list(dict.fromkeys(_detector(row) for row in records(frame.loc[order.sort_values(kind="stable").index])))
    figure, axes = panels(2, 7.4, 1.3 + 0.28 * len(rows), sharey=True, sharex=True)
    for other, ax in zip(PARTS[1:], axes, strict=True):
        detection(frame[frame["other"] == other], rows, ax=ax)
        ax.set_title(f"original against {PART_TITLES[other]}")
    handles = [
        Line2D([], [], label=benchmark_title(name), color=colour, marker=marker)
        for name, (colour, marker) in DOTS.items()
        if name in set(frame["benchmark"])
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    caption(figure, "0.5: the score cannot tell them apart; 1: every original scores higher. " + _caption(frame))
    return figure


@styled
def detection(frame: pd.DataFrame, order: list[str], *, ax: Axes | None = None) -> Axes:
    """One panel of :func:`noisy_detection`: ``order`` are the scores' names from top to bottom."""
    ax = new_axes(ax)
    for row in records(frame):
        colour, marker = DOTS.get(row["benchmark"], (BLACK, "D"))
        place = order.index(_detector(row)) + 0.22 * (list(DOTS).index(row["benchmark"]) - 1)
        face = colour if row["status"] == "complete" else "white"
        ax.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.3)
        ax.plot(row["auroc"], place, marker, color=colour, markerfacecolor=face)
    ax.axvline(0.5, color=GREY, linewidth=0.9, linestyle=":")
    ax.set_yticks(range(len(order)), order)
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.set_xlabel("area under the ROC curve")
    return ax


def _detector(row: dict[str, Any]) -> str:
    """A score's name on the axis."""
    if row["weighting"] == DIMP:
        return f"$P'/p_\\theta$, epoch {int(row['epoch'])}"
    if row["weighting"] == TRUE:
        return "$P/Q$, true"
    names = {"quality": "$P'$", "diversity": r"$\hat Q$", "weight": r"$P'/\hat Q$"}
    return names[row["score"]] + (", cross-fitted" if row["weighting"] == CROSS_FITTED else "")


def _caption(frame: pd.DataFrame) -> str:
    """n, interval and source; runs that are not there are named."""
    fitted = frame[frame["weighting"] != TRUE]
    seeds = fitted["n_seeds"]
    count = "0" if not len(seeds) else f"{seeds.min()}" if seeds.nunique() == 1 else f"{seeds.min()}-{seeds.max()}"
    if "part" in frame:
        sizes, source = frame.drop_duplicates("part").set_index("part")["n_texts"], "noisy_scores.csv"
        texts = ", ".join(f"{size} {part}" for part, size in sizes.items()) + ", these twice"
    else:
        sizes, source = frame.drop_duplicates("benchmark").set_index("benchmark")["n_original"], "noisy_detection.csv"
        texts = "originals: " + ", ".join(f"{benchmark_title(str(b))} {size}" for b, size in sizes.items())
    profile = frame["profile"].iloc[0] if len(frame) else "?"
    lost = fitted[fitted["status"] != "complete"]["status"].unique()
    text = f"95 % intervals over n = {count} seeds and all texts ({texts}). Source: {source}, profile {profile}."
    return text + (f" INCOMPLETE: {'; '.join(lost)}." if len(lost) else "")
