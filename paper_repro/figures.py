"""Pictures of the tables: data frames in (from CSV), drawn on given axes, saved so that equal data give equal bytes.

Colours are Okabe and Ito's (told apart with any colour vision); lines differ in their dashes as well, so that
they survive a grey print. Everything is sized for the width of a text column.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from paper_repro import statistics
from paper_repro.tables import BENCHMARK_TITLES, FEW_SHOT, OTHER_DATA, records, write

BLACK, GREY = "#000000", "#767676"
ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
CLASS_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)

CURVES: dict[str, dict[str, Any]] = {
    "CE-Loss": {"color": BLACK, "linestyle": (0, (4, 1.5)), "marker": "s"},
    "Focal-Loss": {"color": ORANGE, "linestyle": (0, (1, 1)), "marker": "^"},
    "IMP-Loss (Ours)": {"color": BLUE, "linestyle": "-", "marker": "o"},
    "DIMP-Loss (Ours)": {"color": VERMILION, "linestyle": (0, (6, 1, 1, 1)), "marker": "D"},
}
"""The four lines of Figure 1."""

COUNTS = ListedColormap(matplotlib.colormaps["Blues"](np.linspace(0.3, 1, 256)))
STYLE: dict[Any, Any] = {
    **{name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"},
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
    "lines.markersize": 3.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
P = ParamSpec("P")
R = TypeVar("R")


class Picture(Figure):
    """A figure that notebooks show as a cell's last value; pyplot's list of open figures does not hold it."""

    def _repr_png_(self) -> bytes:
        return _rendered(self, "png", dpi=120, metadata={"Software": None})


def _styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw with :data:`STYLE`, whatever style the notebook has set."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return inside


def _axes(ax: Axes | None, width: float = 4.6, height: float = 3.2) -> Axes:
    """The given axes, or those of a new figure of ``width`` x ``height`` inches."""
    return ax if ax is not None else Picture(figsize=(width, height), layout="constrained").subplots()


def _panels(count: int, width: float, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    figure = Picture(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.04))
    return figure, list(np.ravel(figure.subplots(1, count, **options)))


def _caption(figure: Figure, text: str) -> None:
    """Small print below a figure: numbers of runs and texts, and the source."""
    lines = textwrap.fill(text, round(figure.get_figwidth() * 20))
    figure.supxlabel(lines, x=0.01, ha="left", fontsize=7, color=GREY)


# ---------------------------------------------------------------- Figure 1


@_styled
def figure1(frame: pd.DataFrame) -> Figure:
    """Figure 1: test accuracy over the epochs on generated data, one panel a benchmark.

    ``frame`` is that of :func:`paper_repro.tables.runs`. Lines are means over the seeds, bands go from the
    lowest to the highest seed, as in the paper. Runs that are not there are named in the caption.
    """
    chosen = frame[(frame["train_source"] == "GPT-3.5 generated") & frame["method"].isin(list(CURVES))]
    benchmarks = [name for name in BENCHMARK_TITLES if name in set(chosen["benchmark"])]
    figure, axes = _panels(max(len(benchmarks), 1), 7.4, 3.0)
    for benchmark, ax in zip(benchmarks, axes, strict=False):
        curves(chosen, benchmark, ax=ax)
    axes[0].set_ylabel("test accuracy (%)")
    handles = [Line2D([], [], label=name.removesuffix(" (Ours)"), **style) for name, style in CURVES.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handlelength=3.2)
    _caption(figure, _figure1_caption(chosen))
    return figure


@_styled
def curves(frame: pd.DataFrame, benchmark: str, *, ax: Axes | None = None) -> Axes:
    """One panel of Figure 1: mean line and min-max band of each method in ``frame`` for one benchmark."""
    ax = _axes(ax)
    here = frame[(frame["benchmark"] == benchmark) & (frame["status"] == "complete")]
    for method, style in CURVES.items():
        by_epoch = here[here["method"] == method].groupby("epoch")["test_accuracy"]
        mean, low, high = (100 * by_epoch.agg(how).astype(float) for how in ("mean", "min", "max"))
        epochs = mean.index.to_numpy(dtype=float)
        ax.fill_between(epochs, low, high, color=style["color"], alpha=0.14, linewidth=0)
        ax.plot(epochs, mean, label=method, **style)
    ax.set_title(BENCHMARK_TITLES.get(benchmark, benchmark))
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=2))
    return ax


def _figure1_caption(frame: pd.DataFrame) -> str:
    done = frame[frame["status"] == "complete"]
    seeds = done.groupby(["method", "benchmark"])["seed"].nunique()
    sizes = done.groupby("benchmark")["n_test"].first()
    tests = ", ".join(f"{BENCHMARK_TITLES[b]} {int(sizes[b])}" for b in BENCHMARK_TITLES if b in sizes.index)
    count = f"{seeds.min()}" if seeds.nunique() == 1 else f"{seeds.min()}-{seeds.max()}" if len(seeds) else "0"
    text = f"Line: mean, band: lowest to highest of n = {count} seeds. Test texts: {tests}. Source: {_origin(frame)}."
    wanted = frame.drop_duplicates(["method", "benchmark", "seed"])
    lost = int((wanted["status"] != "complete").sum())
    return text + (f" INCOMPLETE: {lost} of {len(wanted)} runs are missing or failed." if lost else "")


def _origin(frame: pd.DataFrame) -> str:
    first = frame.iloc[0] if len(frame) else {"profile": "?", "encoder": "?"}
    return f"table1_runs.csv, profile {first['profile']}, encoder {first['encoder']}"


# ---------------------------------------------------------------- Table 1 as a picture


@_styled
def table1_dots(frame: pd.DataFrame, *, miniature: bool = False) -> Figure:
    """Table 1 as dots: the paper's number, our best run, and our mean with its 95 % interval.

    ``frame`` is that of :func:`paper_repro.tables.table1`; ``miniature`` adds that the paper's numbers are of
    other data.
    """
    benchmarks = [name for name in BENCHMARK_TITLES if name in set(frame["benchmark"])]
    rows = len(frame.drop_duplicates(["train_source", "method"])) + frame["train_source"].nunique()
    figure, axes = _panels(len(benchmarks), 7.4, 1.15 + 0.215 * rows, sharey=True)
    for benchmark, ax in zip(benchmarks, axes, strict=True):
        dots(frame, benchmark, ax=ax)
    figure.legend(handles=_dot_handles(), loc="outside upper center", ncols=3, handlelength=2.4)
    seeds = frame["n_seeds"].dropna()
    count = f"up to {int(seeds.max())}" if len(seeds) else "no"
    text = f"Interval over {count} seeds and all test texts; best: of these seeds, as the paper reports."
    text += " Hollow dot: not all seeds are there. Source: table1.csv."
    _caption(figure, f"{OTHER_DATA[0].upper()}{OTHER_DATA[1:]}. {text}" if miniature else text)
    return figure


@_styled
def dots(frame: pd.DataFrame, benchmark: str, *, ax: Axes | None = None) -> Axes:
    """One panel of :func:`table1_dots`: the rows of Table 1 from top to bottom for one benchmark."""
    ax = _axes(ax, 4.6, 5)
    here = records(frame[frame["benchmark"] == benchmark])
    names: list[str] = []
    headings = []
    for row in here:
        if row["train_source"] not in names:
            headings.append(len(names))
            names.append(row["train_source"])
        _dot_row(ax, row, len(names))
        names.append(_dot_name(row))
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(names) - 0.4, -0.6)
    for place in headings:
        ax.axhline(place, color="white", linewidth=1.5)  # over the grid line: nothing is measured here
    for place, label in enumerate(ax.get_yticklabels()):  # none in panels that share the first one's
        label.set_fontweight("bold" if place in headings else "normal")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3, steps=[1, 2, 5, 10]))
    ax.set_title(BENCHMARK_TITLES.get(benchmark, benchmark))
    ax.set_xlabel("test accuracy (%)")
    return ax


def _dot_row(ax: Axes, row: dict[str, Any], place: int) -> None:
    if not pd.isna(row["mean_accuracy"]):
        face = BLUE if row["status"] == "complete" else "white"
        ax.plot([row["accuracy_low"], row["accuracy_high"]], [place, place], color=BLUE, linewidth=1.6, alpha=0.55)
        ax.plot(row["best_accuracy"], place, marker="|", color=BLUE, markersize=7, markeredgewidth=1.4)
        ax.plot(row["mean_accuracy"], place, marker="o", color=BLUE, markerfacecolor=face, markersize=4.5)
    ax.plot(row["paper_accuracy"], place, marker="D", color=VERMILION, markerfacecolor="none", markersize=4.5)


def _dot_name(row: dict[str, Any]) -> str:
    if (row["train_source"], row["method"]) == FEW_SHOT:
        return "the generator's own labels"
    method = str(row["method"])
    return f"{method} ({row['status']})" if row["status"] in ("not built yet", "number not known") else method


def _dot_handles() -> list[Line2D]:
    hollow = {"color": VERMILION, "marker": "D", "markerfacecolor": "none", "linestyle": "", "markersize": 4.5}
    best = {"color": BLUE, "marker": "|", "linestyle": "", "markersize": 7, "markeredgewidth": 1.4}
    return [
        Line2D([], [], label="paper (best of 4)", **hollow),  # type: ignore[arg-type]
        Line2D([], [], label="ours, mean and 95 % interval", color=BLUE, marker="o", markersize=4.5),
        Line2D([], [], label="ours, best seed", **best),  # type: ignore[arg-type]
    ]


# ---------------------------------------------------------------- checkers and weights (notebook 03)


@_styled
def weights_histogram(frame: pd.DataFrame, *, ax: Axes | None = None, bins: int = 40) -> Axes:
    """How the weights of each class are spread, on a logarithmic axis.

    ``frame`` has one row a text: ``weight`` (>= 0) and ``label`` (the class's name). Weights below a millionth
    of the largest, 0 included, are drawn at that edge.
    """
    ax = _axes(ax)
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
    _plain_numbers(ax, "x")
    return ax


@_styled
def estimated_against_true(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Estimated against true weights, both logarithmic, with Spearman's rank correlation.

    ``frame`` has one row a text: ``estimated_weight`` and ``true_weight``, both above 0 (only the miniature
    world knows the second). On the diagonal the estimate is exact.
    """
    ax = _axes(ax, 4.6, 3.8)
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
    rho = statistics.spearman(x, y)
    ax.set_title(f"Spearman {rho:.2f}, n = {len(frame)} texts", loc="left")
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_xlabel("true weight $P(y|x)\\,/\\,Q(y|x)$")
    ax.set_ylabel("estimated weight")
    _plain_numbers(ax, "both")
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return ax


def _plain_numbers(ax: Axes, which: str) -> None:
    """0.1, 1, 10 on a logarithmic axis instead of powers."""
    axes: list[Axis] = [ax.xaxis] if which == "x" else [ax.xaxis, ax.yaxis]
    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


@_styled
def reliability(frame: pd.DataFrame, *, ax: Axes | None = None, bins: int = 10) -> Axes:
    """Calibration of a checker: how often it is right (95 % Wilson interval) at each confidence, n at each point.

    ``frame`` has one row a text: ``confidence`` (probability of the predicted class) and ``correct`` (bool).
    """
    ax = _axes(ax, 4.0, 3.6)
    groups = statistics.calibration(frame["confidence"], frame["correct"].astype(bool), bins=bins)
    x, y = [g.confidence for g in groups], [g.accuracy.mean for g in groups]
    errors = [[g.accuracy.mean - g.accuracy.low for g in groups], [g.accuracy.high - g.accuracy.mean for g in groups]]
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=":")
    ax.errorbar(x, y, yerr=np.maximum(errors, 0), color=BLUE, marker="o", elinewidth=1, capsize=2)
    for index, group in enumerate(groups):
        place = (group.confidence, 0.02)
        count = f"n = {group.count}" if index == 0 else f"{group.count}"
        ax.text(*place, count, transform=ax.get_xaxis_transform(), ha="center", fontsize=7, color=GREY)
    error = statistics.calibration_error(frame["confidence"], frame["correct"].astype(bool), bins=bins)
    ax.set_title(f"calibration error {error:.3f}, n = {len(frame)} texts", loc="left")
    ax.set_xlim(min([*x, 0.5]) - 0.05, 1.02)
    ax.set_ylim(min([g.accuracy.low for g in groups] + [0.5]) - 0.1, 1.03)
    ax.set_xlabel("confidence")
    ax.set_ylabel("share that is right")
    return ax


# ---------------------------------------------------------------- files


def save(figure: Figure | Axes, path: Path, *, dpi: int = 200) -> Sequence[Path]:
    """Write ``path`` + .png (``dpi``) and .svg, each whole or not at all; equal figures give equal bytes.

    ``path`` has no suffix. Raises UserError where the folder cannot be written to.
    """
    whole = cast(Figure, figure.figure) if isinstance(figure, Axes) else figure
    png = _rendered(whole, "png", dpi=dpi, metadata={"Software": None})
    svg = _rendered(whole, "svg", metadata={"Date": None, "Creator": None})
    return [write(path.with_name(path.name + end), body) for end, body in ((".png", png), (".svg", svg))]


def _rendered(figure: Figure, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "paper_repro", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=form, **options)
    return buffer.getvalue()
