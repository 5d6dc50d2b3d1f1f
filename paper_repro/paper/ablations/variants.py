"""What the ablations share: a table of variants beside their default, CE-Loss and their quality checker.

The cells of an ablation have the variant's id as ``train_source``; the CE run stands in each variant that changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from paper_repro.paper.cells import Cell
from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import FEW_SHOT, comparison, measures, outcomes_of
from paper_repro.paper.style import incomplete, method_look, source, span
from paper_repro.paper.views import difference_text, titled
from paper_repro.runs.profiles import Profile
from paper_repro.runs.results import Results

LINES = ("ce", "imp", "dimp", "checker")
RIVALS = ("default", "ce", "checker")
NUMBERS = ("mean", "low", "high")
COLUMNS = (
    *("variant", "method", "benchmark", "mean_accuracy", "accuracy_low", "accuracy_high"),
    *(f"vs_{rival}_{number}" for rival in RIVALS for number in NUMBERS),
    *("n_seeds", "n_test", "status"),
)


def first_seeds(profile: Profile, count: int = 0) -> tuple[int, ...]:
    """The profile's first ``count`` seeds; 0 for as many as its ablations have."""
    return profile.seeds[: count or profile.ablations.seeds]


def by_variant(results: Results, cells: Iterable[Cell], default: str) -> pd.DataFrame:
    """One row per variant, method and benchmark.

    Accuracies in per cent with their 95 % interval; ``vs_default`` is the difference to the
    same method in the variant ``default``, ``vs_ce`` to CE-Loss in the same variant (in the default where the variant
    leaves CE as it is), ``vs_checker`` to the variant's quality checker where that is among the cells; all in points,
    paired over shared seeds and test examples. ``status`` is "complete", or what is not: of the row or of one of these.
    """
    outcomes = {key: outcome for key, outcome in outcomes_of(results, cells).items() if key[:2] != FEW_SHOT}
    rows = []
    for (variant, method, benchmark), outcome in outcomes.items():
        usual = outcomes.get((default, method, benchmark))
        plain = outcomes.get((variant, "ce", benchmark), outcomes.get((default, "ce", benchmark)))
        rivals = {"default": usual if variant != default else None, "ce": plain if method != "ce" else None}
        rivals["checker"] = outcomes.get((variant, "checker", benchmark)) if method != "checker" else None
        row = {"variant": variant, "method": method, "benchmark": benchmark, **measures(outcome)}
        for rival, other in rivals.items():
            compared = comparison(outcome, other)
            row |= {f"vs_{rival}_{number}": compared[number] for number in NUMBERS}
        states = [one.status for one in (outcome, *rivals.values()) if one is not None and one.status != "complete"]
        rows.append({**row, "status": states[0] if states else "complete"})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def differences(frame: pd.DataFrame, rival: str) -> pd.DataFrame:
    """The rows of :func:`by_variant` with the difference to one of :data:`RIVALS` as mean, low, high."""
    return frame.rename(columns={f"vs_{rival}_{number}": number for number in NUMBERS})


def interval_lines(ax: Axes, frame: pd.DataFrame, x: str) -> None:
    """A line of "mean" over ``x`` for each method of :data:`LINES`, with bars from "low" to "high"."""
    for row in LINES:
        here = frame[(frame["method"] == row) & frame["mean"].notna()].sort_values(x)
        reach = np.array([here["mean"] - here["low"], here["high"] - here["mean"]], dtype=float)
        ax.errorbar(here[x], here["mean"], yerr=reach, elinewidth=1, capsize=2, **method_look(row))


def notes(frame: pd.DataFrame, file: str, profile: str, start: str = "Mean with its 95 % interval; ") -> str:
    """A caption for rows of :func:`by_variant`: n, what is missing, the source."""
    known = frame[frame["mean_accuracy"].notna()]
    text = f"{start}n = {span(known['n_seeds'])} seeds, {span(known['n_test'])} test texts."
    return text + incomplete(frame, "points lack runs") + source(file, profile)


def shown(frame: pd.DataFrame, index: Sequence[str], rivals: Sequence[str]) -> pd.DataFrame:
    """Rows of :func:`by_variant` for the eye: accuracy, and the differences to some of :data:`RIVALS`."""
    columns: dict[str, Any] = {"accuracy": frame["mean_accuracy"].round(1)}
    for rival in rivals:
        texts = [difference_text(row, f"vs_{rival}_") for row in records(frame)]
        columns[f"minus {rival}"] = ["" if text == "complete" else text for text in texts]  # nothing to compare with
    return titled(frame[[*index]]).assign(**columns).set_index([*index])
