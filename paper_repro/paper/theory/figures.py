"""Figures of the derivations: App. B's convergence, Eq. 7 against Eq. 8, Eq. 10's bound, and the losses' limits."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import StrMethodFormatter

from paper_repro.paper import style
from paper_repro.paper.style import BLUE, GREEN, GREY, ORANGE, VERMILION, caption, panels, source, styled
from paper_repro.paper.theory.closed_forms import bound, dimp_term
from paper_repro.paper.theory.fixed_points import CANDIDATES
from paper_repro.paper.theory.one_step import CRITERIA
from paper_repro.paper.titles import benchmark_title, short_title

LINES: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "linestyle": "-", "marker": "o"},
    {"color": VERMILION, "linestyle": (0, (6, 1, 1, 1)), "marker": "D"},
    {"color": GREEN, "linestyle": (0, (4, 1.5)), "marker": "s"},
    {"color": ORANGE, "linestyle": (0, (1, 1)), "marker": "^"},
)
DASHED, DOTTED = (0, (4, 1.5)), (0, (1, 1))


@styled
def convergence(frame: pd.DataFrame, errors: pd.DataFrame) -> Figure:
    """App. B. Left: how often the empirical IMP loss is off by more than epsilon, and Chebyshev's bound; ``frame`` is
    that of :func:`..convergence.simulated`. Right: the typical error of the mean weight; ``errors`` is that of
    :func:`..convergence.mean_weight_errors`."""
    figure, (left, right) = panels(2, 7.4, 3.1)
    frame = frame[frame["method"] == "imp"]
    floor = 0.5 / frame["resamples"].max()
    for look, (name, group) in zip(LINES, frame.groupby("benchmark", sort=False), strict=False):
        share = group["share"].clip(lower=floor)
        spans = _spans(share, group[["share_low", "share_high"]].clip(lower=floor))
        left.errorbar(group["size"], share, yerr=spans, elinewidth=0.8, label=benchmark_title(str(name)), **look)
        left.plot(group["size"], group["bound"], color=look["color"], linewidth=0.9, alpha=0.6)
    left.set(xscale="log", yscale="log", ylim=(floor * 0.8, 1.5), xlabel="generated texts N")
    left.set(ylabel="share of data sets")
    left.set_title("further than ε from the limit", loc="left")
    left.legend(loc="lower left", title="thin: Chebyshev's bound", title_fontsize=8)
    for look, (case, group) in zip(LINES, errors.groupby("case", sort=False), strict=False):
        right.plot(group["size"], group["error"], label=case, **look)
    right.set(xscale="log", yscale="log", xlabel="generated texts N", ylabel="typical error of the mean weight")
    right.set_ylim(errors["error"].min() / 12, errors["error"].max() * 1.5)
    right.set_title("the mean weight", loc="left")
    right.legend(loc="lower left")
    style.plain_numbers(right, "both")
    text = f"Left: IMP loss with the true weights at a fixed model, ε = {frame['epsilon'].iloc[0]:g} of the limit, "
    text += f"{frame['resamples'].iloc[0]:,} data sets of each size (bars: 95 % Wilson intervals; 0 is drawn at the "
    text += f"lower edge). Right: median over {errors['resamples'].iloc[0]} data sets of each size. The miniature "
    caption(figure, f"{text}world, in every profile.{source('convergence.csv, conditions.csv')}")
    return figure


@styled
def lower_bound(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """Eq. 10. Left: the gap between DIMP's term and the bound over (p, P'); middle: both as functions of p.

    Right: in training, the mean loss and the mean bound by epoch; ``frame``: :func:`..dimp_runs.by_epoch`.
    """
    figure, (left, middle, right) = panels(3, 7.4, 2.9)
    _gap(left)
    line = np.linspace(0.01, 1, 400)
    for colour, level in zip((BLUE, VERMILION, GREEN), (0.9, 0.5, 0.1), strict=True):
        middle.plot(line, dimp_term(line, level), color=colour, label=f"P' = {level:g}")
        middle.plot(line, bound(line, level), color=colour, linestyle=DASHED)
        middle.plot(line, bound(line, level, 1), color=colour, linestyle=DOTTED, linewidth=1)
    middle.set(ylim=(-0.6, 3), xlabel="$p(y|x)$")
    middle.set_title("loss, bound (dashed)", loc="left")
    middle.legend(loc="upper right")
    means = frame.groupby(["benchmark", "epoch"], sort=False)[["loss", "bound"]].mean()
    for look, (name, here) in zip(LINES, means.groupby("benchmark", sort=False), strict=False):
        epochs = here.index.get_level_values("epoch")
        right.plot(epochs, here["loss"], label=benchmark_title(str(name)), **look)
        right.plot(epochs, here["bound"], color=look["color"], linestyle=DASHED, linewidth=1)
    right.axhline(0, color=GREY, linewidth=0.8)
    right.set(xlabel="epoch", xticks=sorted(set(frame["epoch"].dropna())))
    right.set_title("DIMP runs", loc="left")
    if len(means):
        right.legend(loc="best", fontsize=7.5)
    text = (
        "Dotted: the bound without the factor 2 (Eq. 24). Below the red line the bound is negative and says nothing. "
    )
    text += f"Right: means over the training texts and n = {frame['seed'].nunique()} seeds; dashed: the bound."
    caption(figure, text + source("bound.csv", profile))
    return figure


def _gap(ax: Axes) -> None:
    """Loss minus bound over (p, P') as filled contours, in nats."""
    p, quality = np.meshgrid(np.linspace(0.03, 1, 200), np.linspace(0, 1, 201))
    gap, levels = dimp_term(p, quality) - bound(p, quality), [0, 0.03, 0.1, 0.3, 1, 3, 10, 1000]
    ax.contourf(p, quality, gap, levels=levels, colors=sns.color_palette("Blues", len(levels) - 1))
    lines = ax.contour(p, quality, gap, levels=levels[2:-1], colors="#333333", linewidths=0.5)
    ax.clabel(lines, fmt="%g", fontsize=6.5)
    ax.plot([0, 1], [0, 0.5], color=VERMILION, linewidth=1, linestyle="--")
    ax.text(0.96, 0.05, "bound < 0", color=VERMILION, fontsize=7.5, ha="right")
    ax.set(xlabel="$p(y|x)$", ylabel="$P'(y|x)$", xlim=(0, 1), ylim=(0, 1))
    ax.set_title("loss - bound (nats)", loc="left")
    ax.grid(False)


@styled
def fixed_points(frame: pd.DataFrame, *, texts: int, profile: str = "") -> Figure:
    """Where trained models stand: total variation from each candidate, one row per loss; the prediction is boxed.

    ``frame``: :func:`..fixed_points.distances` of one benchmark; ``texts`` is the size of its D_Q.
    """
    figure, (ax,) = panels(1, 7.4, 0.42 * frame["method"].nunique() + 1.3)
    rows, columns = frame["method"].unique(), frame["candidate"].unique()
    about = frame.set_index(["method", "candidate"])
    labels = [[_cell(about.loc[(row, column)]) for column in columns] for row in rows]
    values = about["distance"].unstack().loc[rows, columns]
    sns.heatmap(values, annot=np.array(labels), fmt="", cmap="Blues_r", cbar=False, ax=ax, annot_kws={"size": 6.5})
    for y, x in product(range(len(rows)), range(len(columns))):
        if about.loc[(rows[y], columns[x]), "predicted"]:
            ax.add_patch(Rectangle((x + 0.02, y + 0.04), 0.96, 0.92, fill=False, color=VERMILION, linewidth=2))
    ax.set_xticklabels([CANDIDATES[name] for name in columns])
    ax.set_yticklabels([short_title(name) for name in rows], rotation=0)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.set(xlabel="", ylabel="")
    text = "Total variation between trained models and each distribution (products: up to their normalisation), mean "
    text += f"and 95 % interval over n = {frame['n_seeds'].iloc[0]} seeds and {frame['n'].iloc[0]:,} test texts; dark: "
    text += f"near. Red: the predicted limit. {benchmark_title(frame['benchmark'].iloc[0])}, {texts:,} generated texts."
    caption(figure, text + source("fixed_points.csv", profile))
    return figure


def _cell(row: Any) -> str:
    return f"{row['distance']:.3f}\n[{row['distance_low']:.3f}, {row['distance_high']:.3f}]"


@styled
def growing(frame: pd.DataFrame, tolerance: float, *, profile: str = "") -> Figure:
    """How far each loss is from each loss's limit as D_Q grows, one panel per loss; its own limit is the thick line.

    ``frame``: :func:`..fixed_points.distances` with a column ``texts``, the size of D_Q; ``tolerance`` is dotted.
    """
    losses, goals = frame["method"].unique(), frame.loc[frame["predicted"], "candidate"].unique()
    figure, axes = panels(len(losses), 7.4, 2.9, sharey=True)
    for ax, loss in zip(axes, losses, strict=True):
        for goal in goals:
            here = frame[(frame["method"] == loss) & (frame["candidate"] == goal)]
            spans = _spans(here["distance"], here[["distance_low", "distance_high"]])
            widths: dict[str, Any] = {"linewidth": 2.2 if here["predicted"].all() else 0.8, "elinewidth": 0.8}
            ax.errorbar(here["texts"], here["distance"], yerr=spans, **widths, **style.method_look(goal))
        ax.axhline(tolerance, color=GREY, linestyle=":", linewidth=1)
        ax.set(xscale="log", xticks=sorted(set(frame["texts"])), xlabel="generated texts", ylim=(0, None))
        ax.set_title(short_title(loss), loc="left")
        ax.minorticks_off()
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        ax.tick_params(axis="x", labelsize=7)
    axes[0].set_ylabel("total variation")
    samples = [Line2D([], [], linewidth=0.8, label=CANDIDATES[goal], **style.method_look(goal)) for goal in goals]
    figure.legend(handles=samples, loc="outside upper center", ncols=len(goals))
    text = "Distance of trained models from each distribution, with the exact P and Q for checkers (P' is P); thick: "
    text += f"the limit predicted for the loss; dotted: the tolerance, {tolerance}. Mean and 95 % interval over n = "
    text += f"{frame['n_seeds'].min()} seeds and {frame['n'].min():,} test texts. "
    text += f"{benchmark_title(frame['benchmark'].iloc[0])}."
    caption(figure, text + source("limits_growing.csv", profile))
    return figure


@styled
def one_step(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """Spearman's correlation of each criterion with what a step gains on D_P', one panel per benchmark.

    ``frame``: rows of :func:`..one_step.compare`.
    """
    frame = frame[frame["target"] == "D_P'"]
    frame, criteria = frame.assign(status="complete"), list(dict.fromkeys(frame["criterion"]))
    cases = list(dict.fromkeys(zip(frame["epochs"], frame["step"], strict=True)))
    figure, filled = style.benchmark_panels(frame, 7.4, 3.4, sharey=True, sharex=True)
    for ax, here in filled:
        for look, (place, (epochs, step)) in zip(LINES, enumerate(cases), strict=False):
            rows = here[(here["epochs"] == epochs) & (here["step"] == step)]
            rows = rows.assign(place=rows["criterion"].map(criteria.index) + (place - (len(cases) - 1) / 2) * 0.17)
            style.interval_dots(ax, rows, "spearman", colour=look["color"], marker=look["marker"])
        ax.axvline(0, color=GREY, linewidth=0.9)
        ax.set(xlabel="Spearman", xlim=(-1.05, 1.05))
        style.row_labels(ax, [CRITERIA.get(name, name) for name in criteria])
    labels = [f"θ after {epochs} epoch{'s' * (epochs > 1)}, {step} step" for epochs, step in cases]
    looks = [{**look, "linestyle": ""} for look in LINES]
    handles = [Line2D([], [], label=label, **look) for label, look in zip(labels, looks, strict=False)]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    text = f"Ranks of n = {frame['n'].iloc[0]} generated texts by each criterion against how much one step on the text "
    text += "lowers the loss on D_P'; 95 % bootstrap intervals over the texts."
    caption(figure, text + source("one_step.csv", profile))
    return figure


def _spans(middle: pd.Series[float], ends: pd.DataFrame) -> Any:
    """(2, points) distances of the ends of intervals from the middle, as error bars want them."""
    return np.abs(ends.to_numpy().T - middle.to_numpy())
