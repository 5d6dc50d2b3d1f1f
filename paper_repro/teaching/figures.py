"""Pictures of the primer, notebook 00: sampling, clipping, where the losses end, and the knobs of the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns  # type: ignore[import-untyped]
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_repro.measures.intervals import mean_interval
from paper_repro.method.losses import LOSSES
from paper_repro.paper import style
from paper_repro.paper.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, styled
from paper_repro.teaching.experiment import METHODS, summary
from paper_repro.teaching.sampling import ESTIMATORS, REMEDIES
from paper_repro.teaching.texts import CONFIG

COLOURS: Mapping[str, str] = {
    **dict(zip(ESTIMATORS, (GREY, ORANGE, BLUE), strict=True)),
    **dict(zip(REMEDIES, (BLACK, ORANGE, VERMILION, BLUE), strict=True)),
    **{method: record.colour for method, record in LOSSES.items()},
    "imp_true": PURPLE,
    "checker": ORANGE,
    "best": GREY,
}
REMEDY_TITLES = ("as they are", "truncated at mean(w) sqrt(n)", "bounded ratio", "defensive mixture")
KNOB_TITLES = {
    "misconception": "label misconception: share of concepts that Q misjudges",
    "input_shift": "input shift: texts of Q moved off the misjudged concepts",
    "labelled": "size of D_P': real texts that the checker learns from",
    "sharpness": "sharpness of P': exponent on its probabilities",
    "noise": "noise of P': sd of what is added to its log-probabilities",
}
EVERYWHERE = "(the primer is the same in every profile)"


def _lines(ax: Axes, frame: pd.DataFrame, x: str, y: str, by: str, band: tuple[str, str] | None = None) -> None:
    """One line for each value of ``by``, differing in colour, dashes and marker, with a band between two columns."""
    sns.lineplot(frame, x=x, y=y, hue=by, style=by, palette=COLOURS, markers=True, legend="full", ax=ax)
    for name, group in frame.groupby(by, sort=False):
        if band:
            ax.fill_between(group[x], group[band[0]], group[band[1]], color=COLOURS[str(name)], alpha=0.2, linewidth=0)


def _shared_legend(figure: Figure, axes: Sequence[Axes], columns: int, titles: Mapping[str, str]) -> None:
    """One legend above the panels, in place of one in each of ``axes``."""
    handles, names = axes[0].get_legend_handles_labels()
    for ax in axes:
        ax.get_legend().remove()  # type: ignore[union-attr]
    shown = [titles.get(name, name) for name in names]
    figure.legend(handles, shown, loc="outside upper center", ncols=columns, handlelength=3, columnspacing=1.4)


@styled
def primer_sampling(frame: pd.DataFrame, curves: pd.DataFrame, profile: str) -> Figure:
    """Three panels: P, Q and the weight; bias by n; root mean squared error by n.

    ``frame`` is that of :func:`paper_repro.teaching.sampling.simulate`, ``curves`` that of ``densities``.
    """
    figure, axes = style.panels(3, 7.4, 2.9)
    _densities(curves, axes[0])
    _lines(axes[1], frame, "n", "bias", "estimator", ("bias_low", "bias_high"))
    _lines(axes[2], frame, "n", "rmse", "estimator")
    axes[1].axhline(0, color=GREY, linewidth=0.9)
    for ax, title in zip(axes[1:], ("bias", "root mean squared error"), strict=True):
        ax.set_title(title, loc="left")
        ax.set(xscale="log", xlabel="draws n", ylabel="")
        style.plain_numbers(ax, "x")
    axes[2].set_yscale("log")
    axes[2].set_yticks([0.03, 0.1, 0.3], ["0.03", "0.1", "0.3"])
    axes[2].minorticks_off()
    _shared_legend(figure, axes[1:], 3, {})
    bands = "Bands: 95 % intervals of the bias" if np.isfinite(frame["bias_low"]).all() else "No intervals"
    source = f"Sources: primer_sampling.csv, primer_sampling_densities.csv, profile {profile} {EVERYWHERE}."
    style.caption(figure, f"Each point: {frame['simulations'].iloc[0]:,} samples of n draws. {bands}. {source}")
    return figure


def _densities(curves: pd.DataFrame, ax: Axes) -> None:
    ax.fill_between(curves["x"], curves["q"], color=ORANGE, alpha=0.35, linewidth=0, label="Q, drawn from")
    ax.plot(curves["x"], curves["p"], color=BLUE, label="P, asked about")
    ax.plot([], [], color=BLACK, linestyle="--", label="weight P/Q")
    ax.legend(loc="upper left", fontsize=7)
    ax.set(xlabel="x", ylim=(0, 1.9 * curves[["p", "q"]].to_numpy().max()))
    ax.set_title("densities; weight (right axis)", loc="left")
    right = ax.twinx()
    right.plot(curves["x"], curves["weight"], color=BLACK, linestyle="--")
    right.set_ylim(0, 4)
    right.grid(visible=False)


@styled
def primer_clipping(frame: pd.DataFrame, profile: str) -> Figure:
    """Three panels against the width of Q: bias, root mean squared error, shape of the weights' tail.

    ``frame`` is that of :func:`paper_repro.teaching.sampling.compare_remedies`.
    """
    figure, axes = style.panels(3, 7.4, 3.1)
    _lines(axes[0], frame, "scale", "bias", "remedy", ("bias_low", "bias_high"))
    _lines(axes[1], frame, "scale", "rmse", "remedy")
    axes[0].axhline(0, color=GREY, linewidth=0.9)
    tails = frame.drop_duplicates("scale")
    axes[2].plot(tails["scale"], tails["khat"], color=GREEN, marker="o", label="estimated")
    axes[2].plot(tails["scale"], tails["k_exact"], color=BLACK, linestyle="--", label="exact limit")
    for limit, words, side in ((0.5, "finite variance below", "top"), (0.7, "not to be trusted above", "bottom")):
        axes[2].axhline(limit, color=GREY, linewidth=0.9, linestyle=":")
        axes[2].text(1, limit, words, fontsize=6.5, color=GREY, va=side)
    for ax, title in zip(axes, ("bias", "root mean squared error", "k-hat of the weights"), strict=True):
        ax.set_title(title, loc="left")
        ax.set(xlabel="standard deviation of Q (P has 1)", ylabel="")
        ax.invert_xaxis()
    _shared_legend(figure, axes[:2], 2, dict(zip(REMEDIES, REMEDY_TITLES, strict=True)))
    axes[2].legend(loc="lower right", fontsize=7)
    n, count = int(frame["n"].iloc[0]), int(frame["simulations"].iloc[0])
    style.caption(
        figure,
        f"Self-normalised estimates; each point: {count:,} samples of n = {n} draws, bands: 95 % intervals of the "
        f"bias. k-hat: mean of 50 samples of 2,000. Source: primer_clipping.csv, profile {profile}.",
    )
    return figure


@styled
def primer_losses(frame: pd.DataFrame, label: str, truth: float, profile: str) -> Figure:
    """The model's p of one label by step of gradient descent, one line per loss, with the closed-form limits.

    ``frame`` has step, method, p and limit of that label; ``truth`` is its P(y|x).
    """
    figure, (ax,) = style.panels(1, 5.6, 3.3)
    _lines(ax, frame, "step", "p", "method")
    side: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "fontsize": 7}
    height = -1.0
    for method, limit in frame.groupby("method")["limit"].first().sort_values().items():
        height = max(limit, height + 0.045)  # numbers of close lines stand one above the other
        ax.axhline(limit, color=COLOURS[str(method)], linewidth=0.7, linestyle=":")
        ax.text(1.01, height, f"{limit:.2f}", color=COLOURS[str(method)], va="center", **side)
    ax.axhline(truth, color=GREY, linewidth=1)
    ax.text(0.99, truth, f"P(y|x) = {truth:.2f}", color=GREY, ha="right", va="bottom", **side)
    ax.set(xlabel="step of gradient descent", ylabel=f"p({label} | x)", ylim=(0, 1))
    _shared_legend(figure, [ax], 4, {method: record.short for method, record in LOSSES.items()})
    words = "One text, expected loss under Q, nothing random. Dotted: the closed-form ends."
    style.caption(figure, f"{words} Source: primer_losses.csv, profile {profile}.")
    return figure


# ---------------------------------------------------------------- knobs


@styled
def primer_knobs(
    runs: pd.DataFrame, profile: str, knob: str = "", now: tuple[float, Mapping[str, float]] | None = None
) -> Figure:
    """Test accuracy of each method as a knob turns, mean and 95 % interval over repetitions.

    ``runs`` is that of :func:`paper_repro.teaching.experiment.turn`; all its knobs get a panel each, on one scale, or
    one ``knob`` a picture of its own. There stars mark a single run: ``now`` has the knob's value and the accuracies
    (%) by method.
    """
    knobs = [knob] if knob else list(runs["knob"].unique())
    columns = min(len(knobs), 2)
    rows = -(-len(knobs) // columns)
    figure = style.Picture(figsize=(7.4, 2.3 * rows + 0.6) if columns == 2 else (5.6, 3.6), layout="constrained")
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    at, stars = now or (0.0, {})
    for name, ax in zip(knobs, axes, strict=False):
        _knob(ax, runs[runs["knob"] == name], at, stars)
        ax.set_xlabel(KNOB_TITLES[name], fontsize=7.5)
        ax.set_ylabel("test accuracy (%)")
    drawn = summary(runs)[["accuracy", "low", "high"]].to_numpy()
    shown = [*drawn[np.isfinite(drawn)], *stars.values()]
    axes[0].set_ylim(min(shown) - 2, max(shown) + 2)
    for ax in axes[len(knobs) :]:
        ax.remove()
    _shared_legend(figure, figure.axes, 3, METHODS)
    count = runs["repetition"].nunique()
    spread = "bars: 95 % intervals over them" if count > 1 else "a single one has no interval"
    text = f"Mean of n = {count} worlds, {spread}; {CONFIG.test:,} test texts each."
    text += " Stars: one world, as the sliders are set." if now else ""
    style.caption(figure, f"{text} Source: primer_knobs.csv, profile {profile} {EVERYWHERE}.")
    return figure


def _knob(ax: Axes, runs: pd.DataFrame, at: float, stars: Mapping[str, float]) -> None:
    looks: dict[str, Any] = {"markers": list("soDdv_"), "linestyles": ["--", "-", "-.", "-.", ":", "-"]}
    looks |= {"hue_order": list(METHODS), "palette": COLOURS, "linewidth": 1.3, "markersize": 4, "dodge": 0.3}
    sns.pointplot(runs, x="value", y="accuracy", hue="method", errorbar=_ends, err_kws={"linewidth": 1}, ax=ax, **looks)
    values = np.sort(runs["value"].unique())  # equally far apart, whatever they are
    ax.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    for method, accuracy in stars.items():
        place = np.interp(at, values, range(len(values)))
        ax.plot(place, accuracy, marker="*", markersize=12, color=COLOURS[method], markeredgecolor="white")


def _ends(values: pd.Series) -> tuple[float, float]:
    found = mean_interval(values)
    return (found.low, found.high) if np.isfinite(found.low) else (np.nan, np.nan)
