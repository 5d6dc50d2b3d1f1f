"""Checkers and the weights that they make, as pictures."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
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
        groups = accuracy.calibration(rows["confidence"], rows["correct"])
        x, y = [g.confidence for g in groups], np.array([g.accuracy.mean for g in groups])
        reach = np.maximum([y - [g.accuracy.low for g in groups], [g.accuracy.high for g in groups] - y], 0)
        ax.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.9, linestyle=":")
        ax.errorbar(x, y, yerr=reach, color=style.BLUE, marker="o", elinewidth=1, capsize=2)
        for group in groups:
            place, count = (group.confidence, 0.02), str(group.count)
            ax.text(*place, count, transform=ax.get_xaxis_transform(), ha="center", fontsize=7, color=style.GREY)
        error = accuracy.calibration_error(rows["confidence"], rows["correct"])
        ax.set_title(f"{ax.get_title()}\ncalibration error {error:.3f}, n = {len(rows)}")
        ax.set_xlabel("confidence")
    shown[0][0].set_ylabel("share that is right")
    lowest = float(confidences["confidence"].min())
    shown[0][0].set(xlim=(lowest - 0.05, 1.02), ylim=(-0.05, 1.03))
    style.caption(
        figure, f"Bars: 95 % Wilson intervals; small numbers: test texts.{style.source('reliability.csv', profile)}"
    )
    return figure


@style.styled
def score_histograms(frame: pd.DataFrame, hue: str = "pool", profile: str = "") -> Figure:
    """The distributions of quality, diversity and weight, a row of three panels for each benchmark.

    ``frame`` has rows of :func:`paper_repro.paper.checkers.tables.weights_of`; ``hue`` is the column that is compared.
    """
    names = in_order(frame["benchmark"])
    figure, axes = style.panels(len(SCORES), 8.4, 0.6 + 1.9 * len(names), rows=len(names))
    for ax, (name, score) in zip(axes, product(names, SCORES), strict=True):
        edges = EDGES[score]
        groups = frame[frame["benchmark"] == name].groupby(hue, sort=False)[score]
        ax.hist(
            [values.clip(edges[0], edges[-1]) for _, values in groups],
            edges.tolist(),
            weights=[np.full(len(values), 100 / len(values)) for _, values in groups],
            histtype="stepfilled",
            alpha=0.5,
            color=[style.ORANGE, style.BLUE][: groups.ngroups],
            label=[f"{POOLS.get(str(kind), kind)} (n = {len(values)})" for kind, values in groups],
        )
        if score == "quality":
            ax.legend(loc="upper left", fontsize=7)
            ax.set_ylabel(f"{benchmark_title(name)}\ntexts (%)")
        if score == "weight":
            ax.set_xscale("log")
            ax.axvline(1, color=style.GREY, linestyle=":")
        if name == names[-1]:
            ax.set_xlabel(SCORES[score])
    file = "checker_scores.csv" if hue == "pool" else "cross_fit.csv"
    style.caption(figure, f"Dotted: weight 1.{style.source(file, profile)}")
    return figure


@style.styled
def weights_histogram(frame: pd.DataFrame, profile: str = "") -> Figure:
    """How the weights of each class are distributed, on a logarithmic axis, one panel for each benchmark.

    ``frame`` has rows of :func:`paper_repro.paper.checkers.tables.weights_of`, of one pool and seed. Weights below a
    millionth of the largest, 0 included, are drawn at that edge.
    """
    figure, shown = style.benchmark_panels(frame, 8.4, 3.0)
    for ax, rows in shown:
        weights = rows["weight"].clip(lower=max(rows["weight"].max(), 1e-30) * 1e-6)
        names = {label: f"{label} (n = {count})" for label, count in rows["label"].value_counts(sort=False).items()}
        labels = rows["label"].map(names).rename("")
        sns.histplot(
            x=weights, hue=labels, bins=40, log_scale=True, element="step", fill=False, ax=ax,
            palette=sns.color_palette(style.CLASS_COLOURS, len(names)),
        )  # fmt: skip
        ax.axvline(1, color=style.GREY, linewidth=0.9, linestyle=":")
        ax.axvline(rows["weight"].mean(), color=style.BLACK, linewidth=0.9)
        ax.set_title(f"{ax.get_title()}, mean weight {rows['weight'].mean():.2f}")
        ax.set(xlabel=SCORES["weight"], ylabel="")
        style.plain_numbers(ax, "x")
    shown[0][0].set_ylabel("texts")
    style.caption(
        figure, f"Line: the mean; dotted: 1, where weighting changes nothing.{style.source('weights.csv', profile)}"
    )
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
        _cloud(ax, rows, ends)
    shown[0][0].set_ylabel("estimated weight")
    style.caption(
        figure, f"Darker: more texts. Dashed: the estimate is exact.{style.source('true_weights.csv', profile)}"
    )
    return figure


def _cloud(ax: Axes, rows: pd.DataFrame, ends: list[float]) -> None:
    options: dict[str, Any] = {"log_scale": True, "bins": 36, "binrange": [*2 * [tuple(np.log10(ends))]]}
    sns.histplot(rows, x="true_weight", y="weight", cmap=style.COUNTS, ax=ax, **options)
    ax.plot(ends, ends, color=style.VERMILION, linewidth=1, linestyle="--")
    rho = ranks.spearman(rows["true_weight"], rows["weight"])
    ax.set_title(f"{ax.get_title()}\nSpearman {rho:.2f}, n = {len(rows)}")
    ax.set(xlim=ends, ylim=ends, xlabel="true weight $P(y|x)\\,/\\,Q(y|x)$", ylabel="")
    style.plain_numbers(ax, "both")
