"""Pictures of where the weights gain."""

from __future__ import annotations

import pandas as pd
import seaborn
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_repro.paper import style
from paper_repro.paper.titles import benchmark_title, in_order, short_title, source_title
from paper_repro.paper.why.cells import METHODS, WEIGHTED

COVARIATE_TITLES = {
    "checker_minus_ce": "quality checker minus CE, points",
    "disagreement": "D_Q's labels that P' rejects, %",
    "ess": "effective sample size, % of D_Q",
}


@style.styled
def gains(frame: pd.DataFrame, profile: str = "") -> Figure:
    """The gain of each run against each covariate of :func:`paper_repro.paper.why.tables.gains`."""
    figure, axes = style.panels(len(COVARIATE_TITLES), 6.9, 2.7, sharey=True)
    names = in_order(frame["benchmark"])
    shown = frame.assign(
        benchmark=frame["benchmark"].map(benchmark_title), method=frame["method"].map(short_title)
    ).rename(columns={"benchmark": "Benchmark", "method": "Method"})
    look = {
        "palette": dict(zip(map(benchmark_title, names), style.CLASS_COLOURS, strict=False)),
        "markers": {short_title(method): marker for method, marker in zip(WEIGHTED, "os", strict=True)},
    }
    for ax, (name, title) in zip(axes, COVARIATE_TITLES.items(), strict=True):
        seaborn.scatterplot(
            shown, x=name, y="gain", hue="Benchmark", style="Method", ax=ax, legend="full", s=34, **look
        )
        ax.axhline(0, color=style.GREY, linewidth=0.8)
        ax.set(xlabel=title, ylabel="points above CE")
        handles, labels = ax.get_legend_handles_labels()
        ax.legend([], [])
    kept = [pair for pair in zip(handles, labels, strict=True) if pair[1] not in ("Benchmark", "Method")]
    figure.legend(*zip(*kept, strict=True), loc="outside upper center", ncols=len(kept))
    style.caption(figure, f"One point for each run (n = {len(frame)})." + style.source("why_gains.csv", profile))
    return figure


@style.styled
def likeness(frame: pd.DataFrame, profile: str = "") -> Figure:
    """The gain among test texts that look most like D_Q (left) to those that look least like it."""
    figure, panels = style.benchmark_panels(frame, 6.9, 2.6, sharey=True)
    for ax, rows in panels:
        for offset, method in zip((-0.08, 0.08), WEIGHTED, strict=True):
            own = rows[rows["method"] == method]
            reach = [own["mean"] - own["low"], own["high"] - own["mean"]]
            look = {key: value for key, value in style.method_look(method).items() if key != "linestyle"}
            ax.errorbar(own["part"] + offset, own["mean"], yerr=reach, linestyle="", elinewidth=1.5, **look)
        ax.axhline(0, color=style.GREY, linewidth=0.8)
        parts = sorted(rows["part"].unique())
        ax.set_xticks(parts, ["most like D_Q", *[""] * (len(parts) - 2), "least"][: len(parts)])
        ax.set_xlim(0.5, len(parts) + 0.5)
    figure.axes[0].set_ylabel("points above CE")
    style.method_legend(figure, WEIGHTED)
    counts = f"{style.span(frame['n_seeds'])} seeds, {style.span(frame['n_texts'])} test texts in each part"
    sources = style.source("why_likeness.csv", profile)
    style.caption(figure, f"Mean and 95 % interval; {counts}.{sources}{style.incomplete(frame)}")
    return figure


@style.styled
def by_inputs(frame: pd.DataFrame, profile: str = "") -> Figure:
    """Accuracy on real inputs with the generator's labels, beside that on as many generated texts."""
    figure, panels = style.benchmark_panels(frame, 6.9, 2.2)
    sources = list(dict.fromkeys(frame["train_source"]))
    for ax, rows in panels:
        for place, (source, colour) in enumerate(zip(sources, (style.BLUE, style.VERMILION), strict=False)):
            own = rows[rows["train_source"] == source]
            heights = own["method"].map(list(METHODS).index) + 0.2 * place - 0.1
            dots = own.assign(place=heights, low=own["accuracy_low"], high=own["accuracy_high"])
            style.interval_dots(ax, dots, "mean_accuracy", colour=colour, marker="os"[place])
        style.row_labels(ax, [short_title(method) for method in METHODS])
        ax.set_xlabel("test accuracy, %")
    colours = zip(sources, (style.BLUE, style.VERMILION), "os", strict=False)
    handles = [Line2D([], [], color=c, marker=m, label=data_title(name)) for name, c, m in colours]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    counts = f"{style.span(frame['n_seeds'])} seeds x {style.span(frame['n_test'])} test texts"
    style.caption(figure, f"Mean and 95 % interval, {counts}." + style.source("why_inputs.csv", profile))
    return figure


def data_title(source: str) -> str:
    """ "generated:1500" -> "1500 generated texts"."""
    pool, _, count = source.partition(":")
    return f"{count} generated texts" if pool == "generated" and count else source_title(source)
