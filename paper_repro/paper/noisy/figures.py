"""Figures 4 to 7: what the checkers and the weights make of noisy data; and how well they find the noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_repro.paper import style
from paper_repro.paper.csv_files import records
from paper_repro.paper.noisy.scores import CROSS_FITTED, DIMP, IMP, TRUE
from paper_repro.paper.titles import benchmark_title, in_order
from paper_repro.texts.noise import PARTS

PART_TITLES = {"original": "original", "swapped": "swapped label", "duplicated": "duplicated"}
BARS: dict[str, dict[str, Any]] = {
    "quality": {"color": style.BLUE, "label": "quality $P'(y|x)$"},
    "diversity": {"color": style.ORANGE, "label": r"diversity $\hat Q(y|x)$", "hatch": "///"},
    "weight": {"color": style.GREEN, "label": r"weight $P'/\hat Q$", "hatch": "..."},
}
LINES: dict[str, dict[str, Any]] = {
    "original": {"color": style.BLUE, "linestyle": "-", "marker": "o"},
    "swapped": {"color": style.VERMILION, "linestyle": (0, (4, 1.5)), "marker": "s"},
    "duplicated": {"color": style.PURPLE, "linestyle": (0, (6, 1, 1, 1)), "marker": "D"},
}
EPOCH_LABELS = {"diversity": r"mean $p_\theta(y|x)$ in training", "weight": r"mean weight $P'/p_\theta$"}
SCORES = {"quality": "$P'$", "diversity": r"$\hat Q$", "weight": r"$P'/\hat Q$"}
DOTS = {"financial": (style.BLUE, "o"), "tweet_irony": (style.VERMILION, "s"), "mrpc": (style.GREEN, "^")}


@style.styled
def noisy_bars(frame: pd.DataFrame, benchmark: str, profile: str = "") -> Figure:
    """Figures 4 and 5: mean quality score, diversity score and IMP weight of each part of the noisy set.

    ``frame`` is that of :func:`paper_repro.paper.noisy.tables.noisy_scores`. Black diamonds are what the true P and Q
    give, where they are known.
    """
    figure, (ax,) = style.panels(1, 5.6, 3.2)
    frame = frame[frame["benchmark"] == benchmark]
    here = frame.set_index(["weighting", "score", "part"]).sort_index()
    for index, (score, look) in enumerate(BARS.items()):
        rows = here.loc[[(IMP, score, part) for part in PARTS]]
        places = np.arange(len(PARTS)) + 0.27 * (index - 1)
        errors = np.nan_to_num(np.maximum([rows["mean"] - rows["low"], rows["high"] - rows["mean"]], 0))
        whiskers = {"elinewidth": 1, "capsize": 2.5, "ecolor": style.BLACK}
        ax.bar(places, rows["mean"], 0.25, yerr=errors, edgecolor="white", linewidth=0, error_kw=whiskers, **look)
        if TRUE in here.index:
            exact = here["mean"].loc[[(TRUE, score, part) for part in PARTS]]
            label = "true $P$ and $Q$" if index == 2 else None
            ax.plot(places - 0.08, exact, "D", color=style.BLACK, markerfacecolor="white", markersize=4, label=label)
    ax.axhline(1, color=style.GREY, linewidth=0.9, linestyle=":")
    ax.set_xticks(range(len(PARTS)), list(PART_TITLES.values()))
    ax.grid(visible=False, axis="x")
    ax.set(ylabel="mean (dotted: weight 1)", title=benchmark_title(benchmark))
    figure.legend(loc="outside upper center", ncols=4, handlelength=1.6)
    _scores_caption(figure, frame[frame["weighting"] == IMP], profile)
    return figure


@style.styled
def noisy_epochs(frame: pd.DataFrame, score: str, profile: str = "") -> Figure:
    """Figures 6 and 7: DIMP's p ("diversity") or weight ("weight") of each part over the epochs, with 95 % bands.

    ``frame`` as for :func:`noisy_bars`; a panel for each benchmark, where the paper shows Financial only.
    """
    chosen = frame[(frame["weighting"] == DIMP) & (frame["score"] == score)]
    figure, filled = style.benchmark_panels(chosen, 7.4, 3.0)
    for ax, here in filled:
        for part, look in LINES.items():
            rows = here[here["part"] == part].astype({"epoch": float})
            ax.fill_between(rows["epoch"], rows["low"], rows["high"], color=look["color"], alpha=0.14, linewidth=0)
            ax.plot(rows["epoch"], rows["mean"], **look)
        if score == "weight":
            ax.axhline(1, color=style.GREY, linewidth=0.9, linestyle=":")
        style.whole_epochs(ax)
    figure.axes[0].set_ylabel(EPOCH_LABELS[score])
    handles = [Line2D([], [], label=PART_TITLES[part], **look) for part, look in LINES.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handlelength=3.2)
    _scores_caption(figure, chosen, profile)
    return figure


@style.styled
def noisy_detection(frame: pd.DataFrame, profile: str = "") -> Figure:
    """Area under the ROC curve of each score: original against swapped (left) and against duplicated texts (right).

    ``frame`` is that of :func:`paper_repro.paper.noisy.tables.noisy_detection`. DIMP's p is left out: it is in the
    table.
    """
    frame = frame[(frame["weighting"] != DIMP) | (frame["score"] == "weight")]
    order = frame["weighting"].map([IMP, CROSS_FITTED, DIMP, TRUE].index)
    frame = frame.loc[order.sort_values(kind="stable").index]
    frame = frame.assign(name=[_detector(row) for row in records(frame)])
    names = list(frame["name"].unique())
    figure, axes = style.panels(2, 7.4, 1.3 + 0.28 * len(names), sharey=True, sharex=True)
    shown = in_order(frame["benchmark"])
    dots = {name: DOTS.get(name, (style.BLUE, "o")) for name in shown}
    for other, ax in zip(PARTS[1:], axes, strict=True):
        for index, benchmark in enumerate(shown):
            rows = frame[(frame["other"] == other) & (frame["benchmark"] == benchmark)]
            rows = rows.assign(place=rows["name"].map(names.index) + 0.22 * (index - (len(shown) - 1) / 2))
            style.interval_dots(ax, rows, "auroc", colour=dots[benchmark][0], marker=dots[benchmark][1])
        ax.axvline(0.5, color=style.GREY, linewidth=0.9, linestyle=":")
        style.row_labels(ax, names)
        ax.set(xlabel="area under the ROC curve", title=f"original against {PART_TITLES[other]}")
    looks = {benchmark_title(name): look for name, look in dots.items()}
    handles = [Line2D([], [], label=title, color=colour, marker=marker) for title, (colour, marker) in looks.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=max(len(handles), 1))
    sizes = frame.drop_duplicates("benchmark").set_index("benchmark")["n_original"]
    texts = "originals: " + ", ".join(f"{benchmark_title(str(name))} {size}" for name, size in sizes.items())
    start = "0.5: the score cannot tell them apart; 1: every original scores higher. "
    style.caption(figure, start + _counts(frame, texts, style.source("noisy_detection.csv", profile)))
    return figure


def _detector(row: dict[str, Any]) -> str:
    """A score's name on the axis."""
    if row["weighting"] == DIMP:
        return f"$P'/p_\\theta$, epoch {int(row['epoch'])}"
    if row["weighting"] == TRUE:
        return "$P/Q$, true"
    return SCORES[row["score"]] + (", cross-fitted" if row["weighting"] == CROSS_FITTED else "")


def _scores_caption(figure: Figure, frame: pd.DataFrame, profile: str) -> None:
    sizes = frame.drop_duplicates("part").set_index("part")["n_texts"]
    texts = ", ".join(f"{size} {part}" for part, size in sizes.items()) + ", these twice"
    style.caption(figure, _counts(frame, texts, style.source("noisy_scores.csv", profile)))


def _counts(frame: pd.DataFrame, texts: str, origin: str) -> str:
    fitted = frame[frame["weighting"] != TRUE]
    text = f"95 % intervals over n = {style.span(fitted['n_seeds'])} seeds and all texts ({texts})."
    return text + origin + style.incomplete(fitted)
