"""Checkers and the weights that come of them."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from paper_repro.measures.accuracy import calibration, calibration_error
from paper_repro.measures.ranks import spearman
from paper_repro.paper.style import BLACK, BLUE, CLASS_COLOURS, COUNTS, GREY, VERMILION, new_axes, plain_numbers, styled


@styled
def weights_histogram(frame: pd.DataFrame, *, ax: Axes | None = None, bins: int = 40) -> Axes:
    """How the weights of each class are spread, on a logarithmic axis.

    ``frame`` has one row a text: ``weight`` (>= 0) and ``label`` (the class's name). Weights below a millionth
    of the largest, 0 included, are drawn at that edge.
    """
    ax = new_axes(ax)
    weights = frame["weight"].to_numpy(dtype=float)
    floor = max(weights[weights > 0].min(initial=1.0), weights.max(initial=1.0) * 1e-6)
    edges = np.geomspace(floor * 0.99, max(weights.max(initial=1.0), 1.0) * 1.01, bins + 1)
    for colour, (name, group) in zip(CLASS_COLOURS, frame.groupby("label", sort=False)["weight"], strict=False):
        shown = np.maximum(group.to_numpy(dtype=float), floor)
        ax.hist(shown, edges.tolist(), histtype="step", color=colour, linewidth=1.5, label=f"{name} (n = {len(group)})")
    ax.axvline(1, color=GREY, linewidth=0.9, linestyle=":")
    ax.axvline(weights.mean(), color=BLACK, linewidth=0.9)
    ax.set_title(f"mean weight {weights.mean():.2f} (line), n = {len(frame)} texts", loc="left")
    ax.set_xscale("log")
    ax.set_xlabel("weight (dotted: 1, where weighting changes nothing)")
    ax.set_ylabel("texts")
    ax.legend(loc="best")
    plain_numbers(ax, "x")
    return ax


@styled
def estimated_against_true(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Estimated against true weights, both logarithmic, with Spearman's rank correlation.

    ``frame`` has one row a text: ``estimated_weight`` and ``true_weight``, both above 0 (only the miniature
    world knows the second). On the diagonal the estimate is exact.
    """
    ax = new_axes(ax, 4.6, 3.8)
    x, y = (frame[name].to_numpy(dtype=float) for name in ("true_weight", "estimated_weight"))
    low, high = min(x.min(), y.min()) / 1.3, max(x.max(), y.max()) * 1.3
    extent = tuple(np.log10([low, high, low, high]))
    cells = ax.hexbin(
        x, y, xscale="log", yscale="log", gridsize=36, mincnt=1, bins="log", cmap=COUNTS,
        linewidths=0.1, extent=cast(tuple[float, float, float, float], extent),
    )  # fmt: skip
    bar = cast(Figure, ax.figure).colorbar(cells, ax=ax, pad=0.02)
    bar.set_label("texts in a cell")
    ax.plot([low, high], [low, high], color=VERMILION, linewidth=1, linestyle="--")
    rho = spearman(x, y)
    ax.set_title(f"Spearman {rho:.2f}, n = {len(frame)} texts", loc="left")
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_xlabel("true weight $P(y|x)\\,/\\,Q(y|x)$")
    ax.set_ylabel("estimated weight")
    plain_numbers(ax, "both")
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return ax


@styled
def reliability(frame: pd.DataFrame, *, ax: Axes | None = None, bins: int = 10) -> Axes:
    """Calibration of a checker: how often it is right (95 % Wilson interval) at each confidence, n at each point.

    ``frame`` has one row a text: ``confidence`` (probability of the predicted class) and ``correct`` (bool).
    """
    ax = new_axes(ax, 4.0, 3.6)
    groups = calibration(frame["confidence"], frame["correct"].astype(bool), bins=bins)
    x, y = [g.confidence for g in groups], [g.accuracy.mean for g in groups]
    errors = [[g.accuracy.mean - g.accuracy.low for g in groups], [g.accuracy.high - g.accuracy.mean for g in groups]]
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=":")
    ax.errorbar(x, y, yerr=np.maximum(errors, 0), color=BLUE, marker="o", elinewidth=1, capsize=2)
    for index, group in enumerate(groups):
        place = (group.confidence, 0.02)
        count = f"n = {group.count}" if index == 0 else f"{group.count}"
        ax.text(*place, count, transform=ax.get_xaxis_transform(), ha="center", fontsize=7, color=GREY)
    error = calibration_error(frame["confidence"], frame["correct"].astype(bool), bins=bins)
    ax.set_title(f"calibration error {error:.3f}, n = {len(frame)} texts", loc="left")
    ax.set_xlim(min([*x, 0.5]) - 0.05, 1.02)
    ax.set_ylim(min([g.accuracy.low for g in groups] + [0.5]) - 0.1, 1.03)
    ax.set_xlabel("confidence")
    ax.set_ylabel("share that is right")
    return ax
