"""Pictures of the primer, notebook 00: sampling, clipping, where the losses end, and the knobs of the world."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from matplotlib.transforms import ScaledTranslation

from paper_repro.paper.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    Picture,
    caption,
    new_axes,
    panels,
    plain_numbers,
    styled,
)
from paper_repro.teaching import names

ESTIMATORS: Mapping[str, dict[str, Any]] = {
    names.PLAIN: {"color": GREY, "linestyle": (0, (1, 1)), "marker": "^"},
    names.WEIGHTED: {"color": ORANGE, "linestyle": (0, (4, 1.5)), "marker": "s"},
    names.SELF_NORMALISED: {"color": BLUE, "linestyle": "-", "marker": "o"},
}
REMEDIES: Mapping[str, dict[str, Any]] = {
    names.RAW: {"color": BLACK, "linestyle": (0, (1, 1)), "marker": "^"},
    names.TRUNCATED: {"color": ORANGE, "linestyle": (0, (4, 1.5)), "marker": "s"},
    names.BOUNDED: {"color": VERMILION, "linestyle": (0, (6, 1, 1, 1)), "marker": "D"},
    names.MIXTURE: {"color": BLUE, "linestyle": "-", "marker": "o"},
}
LOSSES: Mapping[str, dict[str, Any]] = {
    "ce": {"label": "CE", "color": BLACK, "linestyle": (0, (4, 1.5))},
    "quality_only": {"label": "w/o diversity checker", "color": GREEN, "linestyle": (0, (1, 1))},
    "imp": {"label": "IMP", "color": BLUE, "linestyle": "-"},
    "dimp": {"label": "DIMP", "color": VERMILION, "linestyle": (0, (6, 1, 1, 1))},
}
KNOB_LINES: Mapping[str, dict[str, Any]] = {
    names.CE: {"color": BLACK, "linestyle": (0, (4, 1.5)), "marker": "s"},
    names.ESTIMATED: {"color": BLUE, "linestyle": "-", "marker": "o"},
    names.TRUE: {"color": PURPLE, "linestyle": (0, (6, 1, 1, 1)), "marker": "D"},
    names.CHECKER: {"color": ORANGE, "linestyle": (0, (1, 1)), "marker": "^"},
}
LOGARITHMIC = ("labelled", "sharpness")


@styled
def primer_sampling(frame: pd.DataFrame, curves: pd.DataFrame, profile: str) -> Figure:
    """Three panels: P, Q and the weight; bias by n; root mean squared error by n.

    ``frame`` is that of :func:`paper_repro.teaching.sampling.simulate`, ``curves`` that of ``densities``.
    """
    figure, axes = panels(3, 7.4, 2.9)
    _densities(curves, axes[0])
    for name, style in ESTIMATORS.items():
        here = frame[frame["estimator"] == name]
        axes[1].plot(here["n"], here["bias"], label=name, **style)
        axes[1].fill_between(here["n"], here["bias_low"], here["bias_high"], color=style["color"], alpha=0.2, lw=0)
        axes[2].plot(here["n"], here["rmse"], **style)
    axes[1].axhline(0, color=GREY, linewidth=0.9)
    axes[1].set_title("bias", loc="left")
    axes[2].set_title("root mean squared error", loc="left")
    for ax in axes[1:]:
        ax.set_xscale("log")
        ax.set_xlabel("draws n")
        plain_numbers(ax, "x")
    axes[2].set_yscale("log")
    axes[2].set_yticks([0.03, 0.1, 0.3], ["0.03", "0.1", "0.3"])
    axes[2].yaxis.set_minor_formatter(NullFormatter())
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside upper center", ncols=3, handlelength=3.2)
    count = int(frame["simulations"].iloc[0])
    bands = "Bands: 95 % intervals of the bias" if np.isfinite(frame["bias_low"]).all() else "No intervals"
    caption(
        figure,
        f"Each point: {count:,} samples of n draws. {bands}. Sources: primer_sampling.csv, "
        f"primer_sampling_densities.csv, profile {profile} (the primer is the same in every profile).",
    )
    return figure


def _densities(curves: pd.DataFrame, ax: Axes) -> None:
    ax.fill_between(curves["x"], curves["q"], color=ORANGE, alpha=0.35, linewidth=0, label="Q, drawn from")
    ax.plot(curves["x"], curves["p"], color=BLUE, label="P, asked about")
    top = 1.9 * float(curves[["p", "q"]].to_numpy().max())
    shown = curves[curves["weight"] <= 4]
    ax.plot(
        shown["x"],
        shown["weight"].to_numpy(dtype=float) * top / 4,
        color=BLACK,
        linestyle=(0, (4, 1.5)),
        label="weight P/Q",
    )

    def weight_of_height(y: Any) -> Any:
        return y * 4 / top

    def height_of_weight(w: Any) -> Any:
        return w * top / 4

    right = ax.secondary_yaxis("right", functions=(weight_of_height, height_of_weight))
    right.tick_params(labelsize=7)
    ax.set_ylim(0, top)
    ax.set_title("densities; weight (right axis)", loc="left")
    ax.set_xlabel("x")
    ax.legend(loc="upper left", fontsize=7)


@styled
def primer_clipping(frame: pd.DataFrame, profile: str) -> Figure:
    """Three panels against the width of Q: bias, root mean squared error, shape of the weights' tail.

    ``frame`` is that of :func:`paper_repro.teaching.sampling.compare_remedies`.
    """
    figure, axes = panels(3, 7.4, 3.1)
    for name, style in REMEDIES.items():
        here = frame[frame["remedy"] == name]
        axes[0].plot(here["scale"], here["bias"], label=name, **style)
        axes[0].fill_between(here["scale"], here["bias_low"], here["bias_high"], color=style["color"], alpha=0.2, lw=0)
        axes[1].plot(here["scale"], here["rmse"], **style)
    axes[0].axhline(0, color=GREY, linewidth=0.9)
    tails = frame.drop_duplicates("scale")
    axes[2].plot(tails["scale"], tails["khat"], color=GREEN, marker="o", label="estimated")
    axes[2].plot(tails["scale"], tails["k_exact"], color=BLACK, linestyle=(0, (4, 1.5)), label="exact limit")
    for limit, x, words, side in ((0.5, 0.5, "finite variance", "right"), (0.7, 1.0, "doubtful", "left")):
        axes[2].axhline(limit, color=GREY, linewidth=0.9, linestyle=":")
        place: dict[str, Any] = {"va": "top", "ha": "right"} if side == "right" else {"va": "bottom", "ha": "left"}
        axes[2].text(x, limit, words, fontsize=6.5, color=GREY, **place)
    axes[2].legend(loc="lower left", fontsize=7)
    for ax, title in zip(axes, ("bias", "root mean squared error", "k-hat of the weights"), strict=True):
        ax.set_title(title, loc="left")
        ax.set_xlabel("standard deviation of Q (P has 1)")
        ax.invert_xaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, handlelength=3.2)
    n, count = int(frame["n"].iloc[0]), int(frame["simulations"].iloc[0])
    caption(
        figure,
        f"Self-normalised estimates; each point: {count:,} samples of n = {n} draws, bands: 95 % intervals of the "
        f"bias. k-hat: mean of 50 samples of 2,000. Source: primer_clipping.csv, profile {profile}.",
    )
    return figure


@styled
def primer_losses(frame: pd.DataFrame, label: str, truth: float, profile: str) -> Figure:
    """The model's p of one label by step of gradient descent, one line a loss, with the closed-form limits.

    ``frame`` has step, method, p and limit of that label; ``truth`` is its P(y|x).
    """
    figure, (ax,) = panels(1, 5.6, 3.3)
    ends = frame.drop_duplicates("method").set_index("method")["limit"]
    heights = _apart(ends.to_dict())
    for method, style in LOSSES.items():
        here, limit, height = frame[frame["method"] == method], float(ends[method]), heights[method]
        ax.plot(here["step"], here["p"], **style)
        ax.axhline(limit, color=style["color"], linewidth=0.7, linestyle=":")
        ax.text(
            1.01,
            height,
            f"{limit:.2f}",
            transform=ax.get_yaxis_transform(),
            color=style["color"],
            va="center",
            fontsize=7,
        )
    ax.axhline(truth, color=GREY, linewidth=1)
    ax.text(
        0.99, truth, f"P(y|x) = {truth:.2f}", transform=ax.get_yaxis_transform(), color=GREY, ha="right", va="bottom"
    )
    ax.set_xlabel("step of gradient descent")
    ax.set_ylabel(f"p({label} | x)")
    ax.set_ylim(0, 1)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4, handlelength=3.2)
    caption(
        figure,
        "One text, expected loss under Q, nothing random. Dotted: the closed-form ends. "
        f"Source: primer_losses.csv, profile {profile}.",
    )
    return figure


def _apart(values: Mapping[Any, float], gap: float = 0.045) -> dict[Any, float]:
    """Where to write numbers beside their lines, so that those of close ones stand one above the other."""
    found: dict[Any, float] = {}
    for name, value in sorted(values.items(), key=lambda item: item[1]):
        found[name] = max(value, max(found.values(), default=-1.0) + gap)
    return found


@styled
def primer_knob(
    frame: pd.DataFrame, knob: str, *, now: tuple[float, Mapping[str, float]] | None = None, ax: Axes | None = None
) -> Axes:
    """Test accuracy of each method as one knob turns: mean and 95 % interval over repetitions.

    ``frame`` is that of :func:`paper_repro.teaching.experiment.summary`. ``now`` marks a single run: the knob's value
    and accuracies (%) by method.
    """
    ax = new_axes(ax, 5.2, 3.3)
    here = frame[frame["knob"] == knob]
    for index, (method, style) in enumerate(KNOB_LINES.items()):
        line = here[here["method"] == method].sort_values("value")
        bars = np.maximum([line["accuracy"] - line["low"], line["high"] - line["accuracy"]], 0)
        bars[~np.isfinite(bars)] = 0
        # Moved aside by a few points of ink, so that the bars of one value stand next to each other.
        aside = ax.transData + ScaledTranslation((index - 1.5) * 2 / 72, 0, cast(Figure, ax.figure).dpi_scale_trans)
        ax.errorbar(
            line["value"], line["accuracy"], yerr=bars, elinewidth=1, capsize=1.5, transform=aside, **style
        )  # fmt: skip
        if now is not None and method in now[1]:
            ax.plot(*(now[0], now[1][method]), marker="*", markersize=12, color=style["color"], markeredgecolor="white")
    best = here[here["method"] == names.BEST].sort_values("value")
    ax.plot(best["value"], best["accuracy"], color=GREY, linewidth=0.9)
    if knob in LOGARITHMIC:
        ax.set_xscale("log", base=2)
    shown = frame[["accuracy", "low", "high"]].to_numpy(dtype=float)
    ends = np.append(shown[np.isfinite(shown)], list(now[1].values()) if now else [])
    ax.set_ylim(max(ends.min() - 2, 0), min(ends.max() + 2, 100))  # one scale for all knobs
    ax.set_xticks(sorted(here["value"].unique()))
    ax.minorticks_off()
    plain_numbers(ax, "x")
    ax.set_xlabel(names.KNOB_TITLES[knob])
    ax.set_ylabel("test accuracy (%)")
    return ax


def _legend(figure: Figure, columns: int) -> None:
    handles = [Line2D([], [], label=name, **style) for name, style in KNOB_LINES.items()]
    handles.append(Line2D([], [], label=names.BEST, color=GREY, linewidth=0.9))
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, handlelength=3.2)


@styled
def one_knob(
    frame: pd.DataFrame, knob: str, profile: str, now: tuple[float, Mapping[str, float]] | None = None
) -> Figure:
    """:func:`primer_knob` as a figure of its own, with legend and caption; stars mark the single run ``now``."""
    figure, (ax,) = panels(1, 5.6, 3.6)
    primer_knob(frame, knob, now=now, ax=ax)
    _legend(figure, 3)
    caption(figure, _knob_caption(frame, profile) + (" Stars: one world, as the sliders stand." if now else ""))
    return figure


@styled
def primer_knobs(frame: pd.DataFrame, profile: str) -> Figure:
    """All knobs in one picture, a panel each, on one scale of accuracy."""
    knobs = list(dict.fromkeys(frame["knob"]))
    figure = Picture(figsize=(7.4, 2.3 * -(-len(knobs) // 2) + 0.6), layout="constrained")
    axes = list(np.ravel(figure.subplots(-(-len(knobs) // 2), 2, sharey=True, squeeze=False)))
    for knob, ax in zip(knobs, axes, strict=False):
        primer_knob(frame, knob, ax=ax)
        ax.set_xlabel(ax.get_xlabel(), fontsize=7.5)
    for ax in axes[len(knobs) :]:
        ax.remove()
    for ax in axes[1::2]:
        ax.set_ylabel("")
    _legend(figure, 3)
    caption(figure, _knob_caption(frame, profile))
    return figure


def _knob_caption(frame: pd.DataFrame, profile: str) -> str:
    count, tests = int(frame["repetitions"].iloc[0]), int(frame["n_test"].iloc[0])
    spread = "bars: 95 % intervals over them" if count > 1 else "a single one has no interval"
    return (
        f"Mean of n = {count} worlds, {spread}; {tests:,} test texts each. "
        f"Source: primer_knobs.csv, profile {profile} (the primer's world is the same in every profile)."
    )
