"""Figures 4 to 7: what the checkers and the weights make of noisy data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_repro.paper import style
from paper_repro.paper.noisy.scores import DIMP, IMP, TRUE
from paper_repro.paper.titles import benchmark_title
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
    _caption(figure, frame[frame["weighting"] == IMP], profile)
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
    _caption(figure, chosen, profile)
    return figure


def _caption(figure: Figure, frame: pd.DataFrame, profile: str) -> None:
    """``frame`` are the rows of :func:`paper_repro.paper.noisy.tables.noisy_scores` that are drawn."""
    sizes = frame.drop_duplicates("part").set_index("part")["n_texts"]
    texts = ", ".join(f"{size} {part}" for part, size in sizes.items()) + ", these twice"
    text = f"95 % intervals over n = {style.span(frame['n_seeds'])} seeds and all texts ({texts})."
    style.caption(figure, text + style.source("noisy_scores.csv", profile) + style.incomplete(frame))
