"""Figure 1, the differences to CE-Loss, and the weights while the model learns."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from paper_repro.paper import style
from paper_repro.paper.titles import benchmark_title, in_order, short_title

NOT_IN_FIGURE1 = ("quality_only", "hu", "oracle")
VERDICT_COLOURS = {"holds": style.BLUE, "fails": style.VERMILION}
SHORT_SOURCES = {"dev": "small real", "generated": "generated", "train": "large real"}


@style.styled
def figure1(runs: pd.DataFrame) -> Figure:
    """Figure 1: test accuracy over the epochs on generated data, one panel for each benchmark.

    ``runs`` is the frame of :func:`paper_repro.paper.run_table.runs`. Lines are means over the seeds, bands go from
    the lowest to the highest seed, as in the paper. Missing runs are counted in the caption.
    """
    chosen = runs[(runs["train_source"] == "generated") & ~runs["method"].isin(NOT_IN_FIGURE1)]
    figure, filled = style.benchmark_panels(chosen, 7.4, 3.0)
    for ax, rows in filled:
        style.method_lines(ax, rows.assign(accuracy=100 * rows["test_accuracy"]), "accuracy", errorbar=("pi", 100))
    figure.axes[0].set_ylabel("test accuracy (%)")
    style.method_legend(figure, chosen["method"])
    style.caption(figure, f"Line: mean, band: lowest to highest of {_counts(chosen)}")
    return figure


@style.styled
def weights_in_training(runs: pd.DataFrame) -> Figure:
    """Mean weight and effective sample size over the epochs on generated data, means over the seeds.

    ``runs`` as for :func:`figure1`; CE, whose weights are 1, is left out.
    """
    chosen = runs[(runs["train_source"] == "generated") & ~runs["method"].isin(("ce", "oracle"))]
    names = in_order(chosen["benchmark"])
    figure, axes = style.panels(len(names), 8.4, 4.4, rows=2, sharex=True)
    for name, upper, lower in zip(names, axes, axes[len(names) :], strict=False):
        rows = chosen[chosen["benchmark"] == name]
        style.method_lines(upper, rows, "weight_mean", errorbar=None)
        style.method_lines(lower, rows.assign(ess=100 * rows["weight_ess"]), "ess", errorbar=None)
        upper.axhline(1, color=style.GREY, linestyle=":", linewidth=0.9)
        upper.set_title(benchmark_title(name))
        lower.set_ylim(0, 102)
    axes[0].set_ylabel("mean weight")
    axes[len(names)].set_ylabel("effective sample size (%)")
    style.method_legend(figure, chosen["method"])
    style.caption(figure, f"Means over {_counts(chosen)}")
    return figure


@style.styled
def differences(frame: pd.DataFrame) -> Figure:
    """Every method minus CE-Loss on the same training data: blue above zero, red below, grey inconclusive.

    ``frame`` is that of :func:`paper_repro.paper.beside_paper.differences`.
    """
    rows = list(dict.fromkeys(zip(frame["train_source"], frame["method"], strict=True)))
    rows.sort(key=lambda row: [*SHORT_SOURCES].index(row[0]))
    names = [f"{short_title(method)}, {SHORT_SOURCES[block]}" for block, method in rows]
    placed = frame.assign(place=[rows.index(at) for at in zip(frame["train_source"], frame["method"], strict=True)])
    figure, filled = style.benchmark_panels(placed, 8.4, 1.1 + 0.2 * len(rows), sharey=True)
    for ax, here in filled:
        for verdict, rows_of in here.groupby("verdict"):
            style.interval_dots(ax, rows_of, colour=VERDICT_COLOURS.get(str(verdict), style.GREY))
        ax.axvline(0, color=style.BLACK, linewidth=0.8)
        style.row_labels(ax, names)
        ax.set_xlabel("points above CE-Loss")
    text = f"Paired 95 % intervals, n = {style.span(frame['n_seeds'])} seeds.{style.source('differences.csv')}"
    style.caption(figure, text + style.incomplete(frame))
    return figure


def _counts(runs: pd.DataFrame) -> str:
    """Seeds, texts, source, and what is missing, for the captions of curves."""
    done = runs[runs["status"] == "complete"]
    seeds = done.groupby(["method", "benchmark"])["seed"].nunique()
    sizes = done.groupby("benchmark")["n_test"].first()
    tests = ", ".join(f"{benchmark_title(name)} {int(sizes[name])}" for name in in_order(sizes.index))
    first = runs.iloc[0] if len(runs) else {"profile": "?", "encoder": "?"}
    origin = style.source("table1_runs.csv", f"{first['profile']}, encoder {first['encoder']}")
    each = runs.drop_duplicates(["method", "benchmark", "seed"])
    missing = style.incomplete(each, "runs are missing")
    return f"n = {style.span(seeds)} seeds. Test texts: {tests or 'none'}.{origin}{missing}"
