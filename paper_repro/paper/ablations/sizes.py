"""More and fewer texts: D_P' and D_Q of other sizes. The grids, the table and the figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from paper_repro.paper.ablations.figure2 import LINES, with_checker
from paper_repro.paper.ablations.variants import by_variant, counts, first_seeds
from paper_repro.paper.cells import Cell, spec, without_curve
from paper_repro.paper.marks import ACCURACY, interval_marks, look
from paper_repro.paper.style import BLACK, Picture, caption, of_profile, styled
from paper_repro.paper.titles import short_title
from paper_repro.runs.profiles import Profile
from paper_repro.runs.results import Results
from paper_repro.runs.spec import RunSpec, Source

AXES = {"dev": "real texts $D_{P'}$", "generated": "generated texts $D_Q$"}
"""What is varied, by the pool of the default size: its title."""
VS_CE = ("vs_ce_mean", "vs_ce_low", "vs_ce_high")


def real_sizes(profile: Profile, benchmark: str = "financial", seeds: Iterable[int] | None = None) -> list[Cell]:
    """D_P' of other sizes; a variant is the pool in its place. It fits the checker *and* selects the epoch.

    The runs of CE-Loss are there for the second reason: with less D_P' they choose their epoch by fewer texts.
    """
    cells = []
    for seed in first_seeds(profile) if seeds is None else seeds:
        for pool in profile.ablations.real:
            checker = replace(spec(profile, benchmark, "dev", "ce", seed), source=Source(pool))
            runs = with_checker(profile, replace(checker, selection=pool))
            cells += [Cell(pool, row, benchmark, seed, selected_by(run, pool)) for row, run in runs.items()]
    return without_curve(cells)


def selected_by(run: RunSpec, pool: str) -> RunSpec:
    """The run with its epoch selected on another pool, and its diversity checker's, too."""
    diversity = run.diversity
    if diversity is not None and diversity.run is not None:
        diversity = replace(diversity, run=replace(diversity.run, selection=pool))
    return replace(run, selection=pool, diversity=diversity)


def generated_sizes(profile: Profile, benchmark: str = "financial", seeds: Iterable[int] | None = None) -> list[Cell]:
    """D_Q of other sizes; a variant is the pool in its place, for the classifier and its diversity checker."""
    return without_curve(
        Cell(pool, method, benchmark, seed, spec(profile, benchmark, pool, method, seed))
        for seed in (first_seeds(profile) if seeds is None else seeds)
        for pool in profile.ablations.generated
        for method in ("ce", "imp", "dimp")
    )


def sizes(results: Results, real: Iterable[Cell], generated: Iterable[Cell]) -> pd.DataFrame:
    """Both axes: axis ("dev" or "generated"), texts (their number) and the columns of :func:`by_variant`."""
    parts = []
    for axis, cells in {"dev": list(real), "generated": list(generated)}.items():
        made = {cell.train_source: results.benchmark(cell.benchmark) for cell in cells}
        number = {pool: len(benchmark.pool(pool)) for pool, benchmark in made.items()}
        frame = by_variant(results, cells, axis)
        frame.insert(0, "axis", axis)
        frame.insert(1, "texts", frame["variant"].map(number))
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)


@styled
def sizes_lines(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """Accuracy (above) and points above CE-Loss (below) by the number of texts, one column for each axis.

    ``frame`` is that of :func:`sizes`; the number of texts is on a logarithmic scale. Bars are 95 % intervals.
    """
    figure = Picture(figsize=(7.4, 4.6), layout="constrained")
    grid = figure.subplots(2, len(AXES), sharex="col", sharey="row")
    for column, (axis, title) in zip(grid.T, AXES.items(), strict=True):
        _panels(column, frame[(frame["axis"] == axis) & frame["mean_accuracy"].notna()])
        column[0].set_title(title)
        column[1].set_xlabel("texts")
    grid[0, 0].set_ylabel("test accuracy (%)")
    grid[1, 0].set_ylabel("points above CE-Loss")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), handlelength=3.2)
    caption(figure, f"{counts(frame)} Source: sizes.csv{of_profile(profile)}.")
    return figure


def _panels(axes: Sequence[Axes], frame: pd.DataFrame) -> None:
    """One column of :func:`sizes_lines`: accuracies on the first of the axes, differences to CE on the second."""
    for index, row in enumerate(LINES):
        here = frame[frame["method"] == row].sort_values("texts")
        x = here["texts"] * (1 + 0.012 * (index - 1.5))
        interval_marks(axes[0], x, here, ACCURACY, vertical=True, label=short_title(row), **look(row))
        if row != "ce":
            interval_marks(axes[1], x, here, VS_CE, vertical=True, **look(row))
    axes[1].axhline(0, color=BLACK, linewidth=0.8)
    axes[1].set_xscale("log")
    axes[1].xaxis.set_major_locator(FixedLocator(sorted(frame["texts"].unique())))
    axes[1].xaxis.set_minor_locator(NullLocator())
    axes[1].xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
