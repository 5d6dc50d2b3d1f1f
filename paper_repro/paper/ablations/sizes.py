"""More and fewer texts: D_P' and D_Q of other sizes. The grids, the table and the figure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from paper_repro.paper import style
from paper_repro.paper.ablations.figure2 import with_checker
from paper_repro.paper.ablations.variants import LINES, by_variant, differences, first_seeds, interval_lines, notes
from paper_repro.paper.cells import Cell, spec, without_curve
from paper_repro.runs.profiles import Profile
from paper_repro.runs.results import Results
from paper_repro.runs.spec import RunSpec, Source
from paper_repro.tools.errors import UserError

AXES = {"dev": "real texts $D_{P'}$", "generated": "generated texts $D_Q$"}
"""What is varied, by the pool of the default size: its title."""


def available(results: Results, benchmark: str) -> Profile:
    """The results' profile; for your own benchmark without the sizes of D_P' and D_Q that it has too few texts for."""
    profile = results.profile
    if results.inputs.own is None or benchmark not in profile.benchmarks:
        return profile

    def fits(pool: str) -> bool:
        try:
            return len(results.benchmark(benchmark).pool(pool)) > 0
        except UserError:
            return False

    some = profile.ablations
    real, generated = (tuple(filter(fits, pools)) for pools in (some.real, some.generated))
    return replace(profile, ablations=replace(some, real=real, generated=generated))


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


@style.styled
def sizes_lines(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """Accuracy (above) and points above CE-Loss (below) by the number of texts, one column for each axis.

    ``frame`` is that of :func:`sizes`; the number of texts is on a logarithmic scale. Bars are 95 % intervals.
    """
    figure, axes = style.panels(len(AXES), 7.4, 4.6, rows=2, sharex="col", sharey="row")
    shown = frame.assign(place=frame["texts"] * (1 + 0.012 * (frame["method"].map(LINES.index) - 1.5)))
    accuracy = shown.rename(columns={"mean_accuracy": "mean", "accuracy_low": "low", "accuracy_high": "high"})
    for above, below, (axis, title) in zip(axes[:2], axes[2:], AXES.items(), strict=True):
        interval_lines(above, accuracy[accuracy["axis"] == axis], "place")
        interval_lines(below, differences(shown[shown["axis"] == axis], "ce"), "place")
        above.set_title(title)
        above.set_ylabel("test accuracy (%)" if axis == "dev" else "")
        below.set_ylabel("points above CE-Loss" if axis == "dev" else "")
        below.axhline(0, color=style.BLACK, linewidth=0.8)
        below.set_xscale("log")
        below.set_xlabel("texts")
        below.xaxis.set_major_locator(FixedLocator(sorted(frame.loc[frame["axis"] == axis, "texts"].unique())))
        below.xaxis.set_minor_locator(NullLocator())
        below.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    style.method_legend(figure, LINES)
    style.caption(figure, notes(frame, "sizes.csv", profile))
    return figure
