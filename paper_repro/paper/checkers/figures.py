"""Checkers and the weights that they make, as pictures."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from paper_repro.measures import accuracy, ranks
from paper_repro.paper import style
from paper_repro.paper.checkers.tables import EDGES
from paper_repro.paper.titles import benchmark_title, in_order

SCORES = {
    "quality": "quality $P'(y_i|x_i)$",
    "diversity": r"diversity $\hat Q(y_i|x_i)$",
    "weight": r"weight $P'/\hat Q$",
}
POOLS = {"generated": "$D_Q$", "train": "$D_P$"}


@style.styled
def reliability(confidences: pd.DataFrame, profile: str = "") -> Figure:
    """Calibration: how often a checker is right at each confidence, a panel for each benchmark; numbers are counts.

    ``confidences`` are rows of :func:`paper_repro.paper.checkers.tables.test_confidences` of one checker.
    """
    figure, shown = style.benchmark_panels(confidences, 8.4, 3.4, sharex=True, sharey=True)
    for ax, rows in shown:
        bins = accuracy.calibration(rows["confidence"], rows["correct"])
        reach = np.maximum([bins["mean"] - bins["low"], bins["high"] - bins["mean"]], 0)
        ax.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.9, linestyle=":")
        ax.errorbar(bins["confidence"], bins["mean"], yerr=reach, color=style.BLUE, marker="o", elinewidth=1, capsize=2)
        small: dict[str, Any] = {"ha": "center", "fontsize": 7, "color": style.GREY}
        for place, count in zip(bins["confidence"], bins["n"], strict=True):
            ax.text(place, 0.02, str(count), transform=ax.get_xaxis_transform(), **small)
        error = accuracy.calibration_error(rows["confidence"], rows["correct"])
        ax.set_title(f"{ax.get_title()}\ncalibration error {error:.3f}, n = {len(rows)}")
        ax.set_xlabel("confidence")
    shown[0][0].set_ylabel("share that is right")
    lowest = float(confidences["confidence"].min())
    shown[0][0].set(xlim=(lowest - 0.05, 1.02), ylim=(-0.05, 1.03))
    text = "Bars: 95 % Wilson intervals; small numbers: test texts."
    style.caption(figure, text + style.source("reliability.csv", profile))
    return figure


@style.styled
def score_histograms(frame: pd.DataFrame, profile: str = "") -> Figure:
    """The distributions of quality, diversity and weight, a row of three panels for each benchmark.

    ``frame`` has rows of :func:`paper_repro.paper.checkers.tables.weights_of` of both pools.
    """
    names = in_order(frame["benchmark"])
    figure, axes = style.panels(len(SCORES), 8.4, 0.6 + 1.9 * len(names), rows=len(names))
    for ax, (name, score) in zip(axes, product(names, SCORES), strict=True):
        edges = EDGES[score]
        groups = frame[frame["benchmark"] == name].groupby("pool", sort=False)[score]
        ax.hist(
            [values.clip(edges[0], edges[-1]) for _, values in groups],
            edges.tolist(),
            weights=[np.full(len(values), 100 / len(values)) for _, values in groups],
            histtype="stepfilled",
            alpha=0.5,
            color=[style.ORANGE, style.BLUE][: groups.ngroups],
            label=[f"{POOLS[str(pool)]} (n = {len(values)})" for pool, values in groups],
        )
        if score == "quality":
            ax.legend(loc="upper left", fontsize=7)
            ax.set_ylabel(f"{benchmark_title(name)}\ntexts (%)")
        if score == "weight":
            ax.set_xscale("log")
            ax.axvline(1, color=style.GREY, linestyle=":")
        if name == names[-1]:
            ax.set_xlabel(SCORES[score])
    style.caption(figure, f"Dotted: weight 1.{style.source('checker_scores.csv', profile)}")
    return figure


@style.styled
def estimated_against_true(frame: pd.DataFrame, profile: str = "") -> Figure:
    """Estimated against true weights, both logarithmic, with Spearman's rank correlation, a panel for each benchmark.

    ``frame`` has rows of :func:`paper_repro.paper.checkers.tables.weights_of`, of one pool and seed of the miniature
    world, all weights above 0. On the dashed line the estimate is exact.
    """
    figure, shown = style.benchmark_panels(frame, 8.4, 3.2, sharex=True, sharey=True)
    both = frame[["true_weight", "weight"]]
    ends = [both.min().min() / 1.3, both.max().max() * 1.3]
    for ax, rows in shown:
        options: dict[str, Any] = {"log_scale": True, "bins": 36, "binrange": [*2 * [tuple(np.log10(ends))]]}
        sns.histplot(rows, x="true_weight", y="weight", cmap=style.COUNTS, ax=ax, **options)
        ax.plot(ends, ends, color=style.VERMILION, linewidth=1, linestyle="--")
        rho = ranks.spearman(rows["true_weight"], rows["weight"])
        ax.set_title(f"{ax.get_title()}\nSpearman {rho:.2f}, n = {len(rows)}")
        ax.set(xlim=ends, ylim=ends, xlabel="true weight $P(y|x)\\,/\\,Q(y|x)$", ylabel="")
        style.plain_numbers(ax, "both")
    shown[0][0].set_ylabel("estimated weight")
    text = "Darker: more texts. Dashed: the estimate is exact."
    style.caption(figure, text + style.source("true_weights.csv", profile))
    return figure
