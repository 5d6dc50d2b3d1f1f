"""Checkers and the weights that they make, as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_repro.measures import accuracy, ranks
from paper_repro.paper.checkers.tables import EDGES
from paper_repro.paper.style import (
    BLACK,
    BLUE,
    CLASS_COLOURS,
    COUNTS,
    GREY,
    ORANGE,
    VERMILION,
    benchmark_panels,
    caption,
    panels,
    plain_numbers,
    source,
    styled,
)
from paper_repro.paper.titles import benchmark_title, in_order

SCORES = {
    "quality": "quality $P'(y_i|x_i)$",
    "diversity": r"diversity $\hat Q(y_i|x_i)$",
    "weight": r"weight $P'/\hat Q$",
}
POOLS = {"generated": "$D_Q$", "train": "$D_P$"}


@styled
def reliability(confidences: pd.DataFrame, profile: str = "") -> Figure:
    """Calibration: how often a checker is right at each confidence, a panel for each benchmark; numbers are counts.

    ``confidences`` are rows of :func:`paper_repro.paper.checkers.tables.test_confidences` of one checker.
    """
    figure, shown = benchmark_panels(confidences, 8.4, 3.4, sharex=True, sharey=True)
    for ax, rows in shown:
        groups = accuracy.calibration(rows["confidence"], rows["correct"])
        x, y = [g.confidence for g in groups], np.array([g.accuracy.mean for g in groups])
        reach = np.maximum([y - [g.accuracy.low for g in groups], [g.accuracy.high for g in groups] - y], 0)
        ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=":")
        ax.errorbar(x, y, yerr=reach, color=BLUE, marker="o", elinewidth=1, capsize=2)
        for group in groups:
            place, count = (group.confidence, 0.02), str(group.count)
            ax.text(*place, count, transform=ax.get_xaxis_transform(), ha="center", fontsize=7, color=GREY)
        error = accuracy.calibration_error(rows["confidence"], rows["correct"])
        ax.set_title(f"{ax.get_title()}\ncalibration error {error:.3f}, n = {len(rows)}")
        ax.set_xlabel("confidence")
    shown[0][0].set_ylabel("share that is right")
    lowest = float(confidences["confidence"].min())
    shown[0][0].set(xlim=(lowest - 0.05, 1.02), ylim=(-0.05, 1.03))
    caption(figure, f"Bars: 95 % Wilson intervals; small numbers: test texts.{source('reliability.csv', profile)}")
    return figure


@styled
def score_histograms(frame: pd.DataFrame, hue: str = "pool", profile: str = "") -> Figure:
    """The distributions of quality, diversity and weight, one row of panels for each benchmark.

    ``frame`` has rows of :func:`paper_repro.paper.checkers.tables.weights_of`; ``hue`` is the column that is compared.
    """
    names = in_order(frame["benchmark"])
    figure, axes = panels(len(SCORES), 8.4, 0.6 + 1.9 * len(names), rows=len(names))
    for number, ax in enumerate(axes):
        name, (score, title) = names[number // len(SCORES)], list(SCORES.items())[number % len(SCORES)]
        edges, rows = EDGES[score], frame[frame["benchmark"] == name]
        for colour, (kind, group) in zip((ORANGE, BLUE), rows.groupby(hue, sort=False), strict=False):
            label = f"{POOLS.get(str(kind), kind)} (n = {len(group)})"
            values, style = group[score].clip(edges[0], edges[-1]), {"color": colour, "alpha": 0.5, "linewidth": 1.2}
            weights = np.full(len(group), 100 / len(group))
            ax.hist(values, edges.tolist(), weights=weights, histtype="stepfilled", label=label, **style)  # type: ignore[arg-type]
        ax.set_ylabel(f"{benchmark_title(name)}\ntexts (%)" if score == "quality" else "")
        ax.set_xlabel(title if name == names[-1] else "")
        if score == "weight":
            ax.set_xscale("log")
            ax.axvline(1, color=GREY, linestyle=":")
        if score == "quality":
            ax.legend(loc="upper left", fontsize=7)
    caption(
        figure, f"Dotted: weight 1.{source('checker_scores.csv', profile)}" if hue == "pool" else "Dotted: weight 1."
    )
    return figure


@styled
def weights_histogram(frame: pd.DataFrame, profile: str = "") -> Figure:
    """How the weights of each class are distributed, on a logarithmic axis, one panel for each benchmark.

    ``frame`` has rows of :func:`paper_repro.paper.checkers.tables.weights_of`, of one pool and seed. Weights below a
    millionth of the largest, 0 included, are drawn at that edge.
    """
    figure, shown = benchmark_panels(frame, 8.4, 3.0)
    for ax, rows in shown:
        weights = rows["weight"].clip(lower=max(rows["weight"].max(), 1e-30) * 1e-6)
        names = {label: f"{label} (n = {count})" for label, count in rows["label"].value_counts(sort=False).items()}
        labels = rows["label"].map(names).rename("")
        sns.histplot(
            x=weights, hue=labels, bins=40, log_scale=True, element="step", fill=False, ax=ax,
            palette=sns.color_palette(CLASS_COLOURS, len(names)),
        )  # fmt: skip
        ax.axvline(1, color=GREY, linewidth=0.9, linestyle=":")
        ax.axvline(rows["weight"].mean(), color=BLACK, linewidth=0.9)
        ax.set_title(f"{ax.get_title()}, mean weight {rows['weight'].mean():.2f}")
        ax.set(xlabel=SCORES["weight"], ylabel="")
        plain_numbers(ax, "x")
    shown[0][0].set_ylabel("texts")
    caption(figure, f"Line: the mean; dotted: 1, where weighting changes nothing.{source('weights.csv', profile)}")
    return figure


@styled
def estimated_against_true(frame: pd.DataFrame, profile: str = "") -> Figure:
    """Estimated against true weights, both logarithmic, with Spearman's rank correlation, a panel for each benchmark.

    ``frame`` has rows of :func:`paper_repro.paper.checkers.tables.weights_of`, of one pool and seed of the miniature
    world, all weights above 0. On the dashed line the estimate is exact.
    """
    figure, shown = benchmark_panels(frame, 8.4, 3.2, sharex=True, sharey=True)
    both = frame[["true_weight", "weight"]]
    ends = [both.min().min() / 1.3, both.max().max() * 1.3]
    for ax, rows in shown:
        _cloud(ax, rows, ends)
    shown[0][0].set_ylabel("estimated weight")
    caption(figure, f"Darker: more texts. Dashed: the estimate is exact.{source('true_weights.csv', profile)}")
    return figure


def _cloud(ax: Axes, rows: pd.DataFrame, ends: list[float]) -> None:
    options: dict[str, Any] = {"log_scale": True, "bins": 36, "binrange": [*2 * [tuple(np.log10(ends))]]}
    sns.histplot(rows, x="true_weight", y="weight", cmap=COUNTS, ax=ax, **options)
    ax.plot(ends, ends, color=VERMILION, linewidth=1, linestyle="--")
    rho = ranks.spearman(rows["true_weight"], rows["weight"])
    ax.set_title(f"{ax.get_title()}\nSpearman {rho:.2f}, n = {len(rows)}")
    ax.set(xlim=ends, ylim=ends, xlabel="true weight $P(y|x)\\,/\\,Q(y|x)$", ylabel="")
    plain_numbers(ax, "both")
