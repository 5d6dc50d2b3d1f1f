"""Figures of the derivations: App. B's convergence, Eq. 7 against Eq. 8, Eq. 10's bound, and the losses' limits."""

from __future__ import annotations

from typing import Any, cast

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_repro.paper.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION, caption, panels, plain_numbers, styled
from paper_repro.paper.theory import closed_forms
from paper_repro.paper.titles import benchmark_title

LINES: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "linestyle": "-", "marker": "o"},
    {"color": VERMILION, "linestyle": (0, (6, 1, 1, 1)), "marker": "D"},
    {"color": GREEN, "linestyle": (0, (4, 1.5)), "marker": "s"},
    {"color": ORANGE, "linestyle": (0, (1, 1)), "marker": "^"},
)


@styled
def theory_convergence(frame: pd.DataFrame, errors: pd.DataFrame, source: str) -> Figure:
    """App. B in pictures. Left: how often the empirical IMP loss is off by more than epsilon, and Chebyshev's bound.

    ``frame``: loss, benchmark, size, share, share_low, share_high, bound, resamples, epsilon. Right: the typical
    error of the mean weight in three made examples; ``errors``: case, size, error, resamples, slope.
    """
    figure, (left, right) = panels(2, 7.4, 3.1)
    floor = 0.5 / frame["resamples"].max()
    for style, (name, group) in zip(LINES, frame.groupby("benchmark", sort=False), strict=False):
        title = benchmark_title(str(name))
        share = group["share"].clip(lower=floor)
        spans = np.abs(group[["share_low", "share_high"]].clip(lower=floor).to_numpy().T - share.to_numpy())
        left.errorbar(group["size"], share, yerr=spans, elinewidth=0.8, label=title, **style)
        left.plot(group["size"], group["bound"], color=style["color"], linewidth=0.9, alpha=0.6)
    left.set(xscale="log", yscale="log", ylim=(floor * 0.8, 1.5))
    left.set_title("further than ε from the limit", loc="left")
    left.set(xlabel="generated texts N", ylabel="share of data sets")
    left.legend(loc="lower left", title="thin: Chebyshev's bound", title_fontsize=8)
    for style, (case, group) in zip(LINES, errors.groupby("case", sort=False), strict=False):
        right.plot(group["size"], group["error"], label=case, **style)
    right.set(xscale="log", yscale="log", xlabel="generated texts N", ylabel="typical error of the mean weight")
    right.set_title("the mean weight", loc="left")
    right.set_ylim(errors["error"].min() / 12, errors["error"].max() * 1.5)
    right.legend(loc="lower left")
    plain_numbers(right, "both")
    caption(
        figure,
        f"Left: IMP loss with the true weights at a fixed model, ε = {frame['epsilon'].iloc[0]:g} of the limit, "
        f"{frame['resamples'].iloc[0]:,} data sets of each size (bars: 95 % Wilson intervals; 0 is drawn at the lower "
        f"edge). Right: median over {errors['resamples'].iloc[0]} data sets of each size. {source}",
    )
    return figure


@styled
def theory_bound(frame: pd.DataFrame, source: str) -> Figure:
    """Eq. 10. Left: the gap between DIMP's term and the bound over (p, P'); middle: both as functions of p.

    Right: in training, the mean loss and the mean bound by epoch; ``frame``: benchmark, seed, epoch, loss, bound.
    """
    figure, (left, middle, right) = panels(3, 7.4, 2.9)
    p, quality = np.meshgrid(np.linspace(0.03, 1, 200), np.linspace(0, 1, 201))
    gap = closed_forms.dimp_term(p, quality) - closed_forms.bound(p, quality)
    levels = [0, 0.03, 0.1, 0.3, 1, 3, 10, 1000]
    colours = matplotlib.colormaps["Blues"](np.linspace(0.08, 1, len(levels) - 1))
    left.contourf(p, quality, gap, levels=levels, colors=colours)
    lines = left.contour(p, quality, gap, levels=levels[2:-1], colors="#333333", linewidths=0.5)
    left.clabel(lines, fmt="%g", fontsize=6.5)
    left.plot([0, 1], [0, 0.5], color=VERMILION, linewidth=1, linestyle="--")
    left.text(0.96, 0.05, "bound < 0", color=VERMILION, fontsize=7.5, ha="right")
    left.set(xlabel="$p(y|x)$", ylabel="$P'(y|x)$", xlim=(0, 1), ylim=(0, 1))
    left.set_title("loss - bound (nats)", loc="left")
    left.grid(False)
    line = np.linspace(0.01, 1, 400)
    for colour, level in zip((BLUE, VERMILION, GREEN), (0.9, 0.5, 0.1), strict=True):
        middle.plot(line, closed_forms.dimp_term(line, level), color=colour, label=f"P' = {level:g}")
        middle.plot(line, closed_forms.bound(line, level), color=colour, linestyle=(0, (4, 1.5)))
        middle.plot(line, closed_forms.bound(line, level, 1), color=colour, linestyle=(0, (1, 1)), linewidth=1)
    middle.set(ylim=(-0.6, 3), xlabel="$p(y|x)$")
    middle.set_title("loss, bound (dashed)", loc="left")
    middle.legend(loc="upper right")
    means = frame.groupby(["benchmark", "epoch"], sort=False)[["loss", "bound"]].mean()
    for style, name in zip(LINES, means.index.get_level_values(0).unique(), strict=False):
        here = means.loc[name]
        label = benchmark_title(name)
        right.plot(here.index, here["loss"], label=label, **style)
        right.plot(here.index, here["bound"], color=style["color"], linestyle=(0, (4, 1.5)), linewidth=1)
    right.axhline(0, color=GREY, linewidth=0.8)
    right.set(xlabel="epoch", xticks=sorted(set(frame["epoch"])))
    right.set_title("DIMP runs", loc="left")
    if len(means):
        right.legend(loc="best", fontsize=7.5)
    caption(
        figure,
        "Dotted: the bound without the factor 2 (Eq. 24). Below the red line the bound is negative and says nothing. "
        f"Right: means over the training texts and n = {frame['seed'].nunique()} seeds; dashed: the bound. {source}",
    )
    return figure


@styled
def theory_fixed_points(frame: pd.DataFrame, source: str) -> Figure:
    """Where trained models stand: total variation from each candidate, one row a loss; the prediction is boxed.

    ``frame``: loss, candidate, predicted, mean, low, high, n_seeds, n (:func:`paper_repro.paper.theory.fixed_points.distances`).
    """
    figure, (ax,) = panels(1, 7.4, 0.42 * frame["loss"].nunique() + 1.3)
    names = list(dict.fromkeys(frame["loss"]))
    order = list(dict.fromkeys(frame["candidate"]))
    values = frame.pivot(index="loss", columns="candidate", values="mean").loc[names, order]
    colours = matplotlib.colormaps["Blues_r"](np.linspace(0.15, 0.95, 256))
    ax.imshow(values, cmap=matplotlib.colors.ListedColormap(colours), aspect="auto")
    middle = float(np.nanmean(values.to_numpy()))
    for row in frame.itertuples():
        y, x = names.index(cast(str, row.loss)), order.index(cast(str, row.candidate))
        mean, low, high = (cast(float, value) for value in (row.mean, row.low, row.high))
        tone = "white" if mean < 0.8 * middle else BLACK
        ax.text(x, y, f"{mean:.3f}\n[{low:.3f}, {high:.3f}]", ha="center", va="center", fontsize=6.5, color=tone)
        if row.predicted:
            ax.add_patch(
                matplotlib.patches.Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, fill=False, color=VERMILION, linewidth=2)
            )
    ax.set_xticks(range(len(order)), order)
    ax.set_yticks(range(len(names)), names)
    ax.xaxis.tick_top()
    ax.grid(False)
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    caption(
        figure,
        "Total variation between trained models and each law (products: up to their normalisation), mean and 95 % "
        f"interval over n = {frame['n_seeds'].iloc[0]} seeds and {frame['n'].iloc[0]:,} test texts; dark: near. "
        f"Red: the predicted limit. {source}",
    )
    return figure


@styled
def theory_growing(frame: pd.DataFrame, tolerance: float, source: str) -> Figure:
    """How far each loss is from each loss's limit as D_Q grows, one panel a loss; its own limit is the thick line.

    ``frame``: :func:`paper_repro.paper.theory.fixed_points.distances` with a column ``texts``, the size of D_Q; ``tolerance`` is
    drawn as a dotted line.
    """
    losses = list(dict.fromkeys(frame["loss"]))
    laws = list(dict.fromkeys(frame.loc[frame["predicted"], "candidate"]))
    figure, axes = panels(len(losses), 7.4, 2.9, sharey=True)
    for ax, loss in zip(axes, losses, strict=True):
        for style, law in zip(LINES, laws, strict=True):
            here = frame[(frame["loss"] == loss) & (frame["candidate"] == law)]
            spans = np.abs(here[["low", "high"]].to_numpy().T - here["mean"].to_numpy())
            width = 2.2 if here["predicted"].all() else 0.8
            ax.errorbar(here["texts"], here["mean"], yerr=spans, linewidth=width, elinewidth=0.8, label=law, **style)
        ax.axhline(tolerance, color=GREY, linestyle=":", linewidth=1)
        ax.set(xscale="log", xticks=sorted(set(frame["texts"])), xlabel="generated texts", ylim=(0, None))
        ax.set_title(loss, loc="left")
        ax.minorticks_off()
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        ax.tick_params(axis="x", labelsize=7)
    axes[0].set_ylabel("total variation")
    samples = [Line2D([], [], linewidth=0.8, label=law, **style) for style, law in zip(LINES, laws, strict=True)]
    figure.legend(handles=samples, loc="outside upper center", ncols=len(laws))
    caption(
        figure,
        "Distance of trained models from each law, with the exact P and Q for checkers (P' is P); thick: the limit "
        f"predicted for the loss; dotted: the tolerance, {tolerance}. Mean and 95 % interval over "
        f"n = {frame['n_seeds'].min()} seeds and {frame['n'].min():,} test texts. {source}",
    )
    return figure


@styled
def theory_one_step(frame: pd.DataFrame, source: str) -> Figure:
    """Spearman's correlation of each criterion with Eq. 7's brute force, one panel a benchmark.

    ``frame``: benchmark, epochs, step, target, criterion, spearman, low, high, n (:mod:`paper_repro.paper.theory.one_step`).
    """
    benchmarks = list(dict.fromkeys(frame["benchmark"]))
    figure, axes = panels(len(benchmarks), 7.4, 3.4, sharey=True, sharex=True)
    criteria = list(dict.fromkeys(frame["criterion"]))
    cases = list(dict.fromkeys(zip(frame["epochs"], frame["step"], strict=True)))
    for ax, name in zip(axes, benchmarks, strict=True):
        for style, (index, case) in zip(LINES, enumerate(cases), strict=False):
            here = frame[(frame["benchmark"] == name) & (frame["epochs"] == case[0]) & (frame["step"] == case[1])]
            here = here.set_index("criterion").loc[criteria]
            y = np.arange(len(criteria)) + (index - (len(cases) - 1) / 2) * 0.17
            spans = np.abs(here[["low", "high"]].to_numpy().T - here["spearman"].to_numpy())
            ax.errorbar(
                here["spearman"], y, xerr=spans, color=style["color"], marker=style["marker"], linestyle="",
                elinewidth=1, label=f"θ after {case[0]} epoch{'s' * (case[0] > 1)}, {case[1]} step",
            )  # fmt: skip
        ax.axvline(0, color=GREY, linewidth=0.9)
        ax.set(title=benchmark_title(name), xlabel="Spearman", xlim=(-1.05, 1.05))
    axes[0].set_yticks(range(len(criteria)), criteria)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    caption(
        figure,
        f"Ranks of n = {frame['n'].iloc[0]} generated texts by each criterion against how much one step on the text "
        f"lowers the loss on D_P'; 95 % bootstrap intervals over the texts. {source}",
    )
    return figure


__all__ = ["theory_bound", "theory_convergence", "theory_fixed_points", "theory_growing", "theory_one_step"]
