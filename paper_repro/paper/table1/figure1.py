"""Figure 1: test accuracy over the epochs."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from paper_repro.paper.style import BLACK, BLUE, ORANGE, VERMILION, caption, new_axes, panels, styled
from paper_repro.paper.titles import benchmark_title, in_order

CURVES: dict[str, dict[str, Any]] = {
    "CE-Loss": {"color": BLACK, "linestyle": (0, (4, 1.5)), "marker": "s"},
    "Focal-Loss": {"color": ORANGE, "linestyle": (0, (1, 1)), "marker": "^"},
    "IMP-Loss (Ours)": {"color": BLUE, "linestyle": "-", "marker": "o"},
    "DIMP-Loss (Ours)": {"color": VERMILION, "linestyle": (0, (6, 1, 1, 1)), "marker": "D"},
}
"""The four lines of Figure 1."""


@styled
def figure1(frame: pd.DataFrame) -> Figure:
    """Figure 1: test accuracy over the epochs on generated data, one panel a benchmark.

    ``frame`` is that of :func:`paper_repro.paper.run_table`. Lines are means over the seeds, bands go from the
    lowest to the highest seed, as in the paper. Runs that are not there are named in the caption.
    """
    chosen = frame[(frame["train_source"] == "GPT-3.5 generated") & frame["method"].isin(list(CURVES))]
    benchmarks = in_order(chosen["benchmark"])
    figure, axes = panels(max(len(benchmarks), 1), 7.4, 3.0)
    for benchmark, ax in zip(benchmarks, axes, strict=False):
        curves(chosen, benchmark, ax=ax)
    axes[0].set_ylabel("test accuracy (%)")
    handles = [Line2D([], [], label=name.removesuffix(" (Ours)"), **style) for name, style in CURVES.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handlelength=3.2)
    caption(figure, _figure1_caption(chosen))
    return figure


@styled
def curves(frame: pd.DataFrame, benchmark: str, *, ax: Axes | None = None) -> Axes:
    """One panel of Figure 1: mean line and min-max band of each method in ``frame`` for one benchmark."""
    ax = new_axes(ax)
    here = frame[(frame["benchmark"] == benchmark) & (frame["status"] == "complete")]
    for method, style in CURVES.items():
        by_epoch = here[here["method"] == method].groupby("epoch")["test_accuracy"]
        mean, low, high = (100 * by_epoch.agg(how).astype(float) for how in ("mean", "min", "max"))
        epochs = mean.index.to_numpy(dtype=float)
        ax.fill_between(epochs, low, high, color=style["color"], alpha=0.14, linewidth=0)
        ax.plot(epochs, mean, label=method, **style)
    ax.set_title(benchmark_title(benchmark))
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=2))
    return ax


def _figure1_caption(frame: pd.DataFrame) -> str:
    done = frame[frame["status"] == "complete"]
    seeds = done.groupby(["method", "benchmark"])["seed"].nunique()
    sizes = done.groupby("benchmark")["n_test"].first()
    tests = ", ".join(f"{benchmark_title(b)} {int(sizes[b])}" for b in in_order(sizes.index))
    count = f"{seeds.min()}" if seeds.nunique() == 1 else f"{seeds.min()}-{seeds.max()}" if len(seeds) else "0"
    text = f"Line: mean, band: lowest to highest of n = {count} seeds. Test texts: {tests}. Source: {_origin(frame)}."
    wanted = frame.drop_duplicates(["method", "benchmark", "seed"])
    lost = int((wanted["status"] != "complete").sum())
    return text + (f" INCOMPLETE: {lost} of {len(wanted)} runs are missing or failed." if lost else "")


def _origin(frame: pd.DataFrame) -> str:
    first = frame.iloc[0] if len(frame) else {"profile": "?", "encoder": "?"}
    return f"table1_runs.csv, profile {first['profile']}, encoder {first['encoder']}"
