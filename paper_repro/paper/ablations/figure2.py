"""Figure 2: quality checkers that learn from less real data. The grid, the figure and the claims."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from paper_repro.paper.ablations.variants import LINES, first_seeds, interval_lines, notes
from paper_repro.paper.cells import Cell, spec, without_curve
from paper_repro.paper.claims import POINTS, Row
from paper_repro.paper.outcomes import comparison, outcomes_of
from paper_repro.paper.style import caption, method_legend, panels, styled
from paper_repro.paper.titles import benchmark_title
from paper_repro.runs.profiles import Profile
from paper_repro.runs.results import Results
from paper_repro.runs.spec import Checker, RunSpec, Source

RIVALS = {"ce": "CE", "checker": "that quality checker itself"}


def figure2(
    profile: Profile, benchmark: str = "financial", seeds: Iterable[int] | None = None, shares: Iterable[int] = ()
) -> list[Cell]:
    """Quality checkers fitted on a share of the *training* set; a variant is the share in per cent.

    The checkers have the recipe of D_P'; ``shares`` and ``seeds`` are the profile's where they are not given.
    """
    cells = []
    for seed in first_seeds(profile) if seeds is None else seeds:
        for share in tuple(shares) or profile.ablations.shares:
            checker = replace(spec(profile, benchmark, "dev", "ce", seed), source=Source(f"train:{share}%"))
            runs = with_checker(profile, checker)
            cells += [Cell(str(share), row, benchmark, seed, run) for row, run in runs.items()]
    return without_curve(cells)


def with_checker(profile: Profile, checker: RunSpec) -> dict[str, RunSpec]:
    """The quality checker, CE, and IMP and DIMP on D_Q with that checker, by row."""
    made = {m: spec(profile, checker.benchmark, "generated", m, checker.seed) for m in ("ce", "imp", "dimp")}
    weighted = {m: replace(run, quality=Checker(checker)) if run.quality else run for m, run in made.items()}
    return {"checker": checker, **weighted}


def figure2_claims(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """What Sec. 5.1 says on the smallest share. (The figure prints no numbers.)"""
    outcomes, rows = outcomes_of(results, cells), []
    shares = [(int(variant), benchmark) for variant, row, benchmark in outcomes if row == "checker"]
    for share, benchmark in ((s, b) for s, b in shares if s == min(shares)[0]):
        for rival, title in RIVALS.items():
            for method in ("imp", "dimp"):
                compared = comparison(*(outcomes.get((str(share), row, benchmark)) for row in (method, rival)))
                claim = f"With {share} % of the training set for the quality checker, {method.upper()} beats {title}"
                about: Row = {"id": f"less_real_{method}_{rival}", "claim": claim, "section": "5.1", "item": "Figure 2"}
                about |= {"benchmark": benchmark, "statistic": POINTS, "paper_difference": np.nan}
                rows.append({**about, **compared})
    return pd.DataFrame(rows)


@styled
def figure2_lines(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """Test accuracy by the share of the training set that the quality checker was fitted on.

    ``frame`` is that of :func:`paper_repro.paper.ablations.variants.by_variant` for :func:`figure2`. Bars are 95 %
    intervals; CE-Loss, which has no checker, is flat.
    """
    figure, (ax,) = panels(1, 6.8, 3.5)
    shown = frame.rename(columns={"mean_accuracy": "mean", "accuracy_low": "low", "accuracy_high": "high"})
    places = shown["variant"].astype(float) + 0.6 * (shown["method"].map(LINES.index) - 1.5)
    interval_lines(ax, shown.assign(share=places), "share")
    ax.set_xlabel("share of the training set that the quality checker learns from (%)")
    ax.set_ylabel("test accuracy (%)")
    ax.set_title(", ".join(map(benchmark_title, frame["benchmark"].unique())))
    ax.set_xlim(0, 104)
    method_legend(figure, LINES)
    caption(figure, notes(frame, "figure2.csv", profile))
    return figure
