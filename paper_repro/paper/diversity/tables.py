"""What a classifier makes of each set and of each mixture, what the weights do, and what goes with accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.measures.intervals import mean_interval
from paper_repro.measures.ranks import spearman_interval
from paper_repro.paper.cells import Cell
from paper_repro.paper.diversity.cells import (
    METHODS,
    benchmarks,
    levels,
    mixed_sets,
    mixture,
    real_pools,
    shares,
)
from paper_repro.paper.diversity.measures import TURNED
from paper_repro.paper.outcomes import UNKNOWN, Key, Outcome, comparison, measures, seeds_status
from paper_repro.paper.run_table import runs
from paper_repro.paper.views import interval_text
from paper_repro.runs.profiles import Profile
from paper_repro.runs.results import Results
from paper_repro.texts.derived import DIVERSITY

MEASURED = "mean_accuracy accuracy_low accuracy_high n_seeds n_test n_majority".split()
LEVEL, SHIFT = "level", "auc"
"""What accuracy is set against besides the measures of diversity."""
FEWEST = 4
"""Sets below which a rank correlation has no interval: the miniature world has three with a level."""


def accuracies(outcomes: Mapping[Key, Outcome], profile: Profile) -> pd.DataFrame:
    """One row for each benchmark, set and method: level; mean_accuracy, accuracy_low, accuracy_high (per cent, 95 %),
    n_seeds, n_test, n_majority; vs_ce_mean, vs_ce_low, vs_ce_high (points, paired) with their verdict; status."""
    rows = []
    for benchmark, (name, level), method in product(benchmarks(profile), levels(profile).items(), METHODS):
        ours, ce = (outcomes.get((DIVERSITY + name, row, benchmark)) for row in (method, "ce"))
        about = {"benchmark": benchmark, "set": name, "level": level, "method": method, **_measured(ours)}
        rows.append({**about, **_against(ours, ce if method != "ce" else None, "vs_ce"), "status": _status(ours)})
    return pd.DataFrame(rows)


def mixed(results: Results, outcomes: Mapping[Key, Outcome]) -> pd.DataFrame:
    """One row for each benchmark, source of real texts, set and share: real, set, share (per cent generated), n (texts
    in the mixture), the accuracy as in :func:`accuracies`, and vs_real_mean, vs_real_low, vs_real_high: the points
    above the mixture without a generated text, with their verdict; status."""
    profile, rows = results.profile, []
    for benchmark, real, name in product(benchmarks(profile), real_pools(profile), mixed_sets(profile)):
        found = {share: outcomes.get((mixture(share, name, real), "ce", benchmark)) for share in shares(profile)}
        for share, ours in found.items():
            size = len(results.benchmark(benchmark).pool(mixture(share, name, real)))
            about = {"benchmark": benchmark, "real": real, "set": name, "share": share, "n": size, **_measured(ours)}
            against = _against(ours, found[0] if share else None, "vs_real")
            rows.append({**about, **against, "status": _status(ours)})
    return pd.DataFrame(rows)


def number_text(row: Mapping[str, Any]) -> str:
    """A mean with its interval, in three digits whatever its size."""
    return f"{row['mean']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def against_text(row: Mapping[str, Any], prefix: str) -> str:
    """The difference in the columns of a ``prefix`` with its verdict, or why there is none."""
    text = interval_text(row[f"{prefix}_mean"], row[f"{prefix}_low"], row[f"{prefix}_high"])
    return f"{row['verdict']}: {text}" if text else str(row["status"])


def _measured(outcome: Outcome | None) -> dict[str, Any]:
    found = measures(outcome)
    return {name: found.get(name, np.nan) for name in MEASURED}


def _status(outcome: Outcome | None) -> str:
    return outcome.status if outcome else "not run"


def _against(ours: Outcome | None, theirs: Outcome | None, prefix: str) -> dict[str, Any]:
    found = comparison(ours, theirs)
    numbers = {f"{prefix}_{name}": found[name] for name in ("mean", "low", "high")}
    return {**numbers, "verdict": found["verdict"] if theirs else ""}


def weights(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """The weights of IMP and DIMP in the selected epoch, one row for each benchmark, set, method and quantity.

    ``quantity`` is "mean" (of the weights) or "ess" (effective sample size, per cent of the texts); mean, low, high
    (95 % over the seeds), n_seeds, status.
    """
    weighted = [cell for cell in cells if cell.method != "ce"]
    frame, rows = runs(results, weighted), []
    for (benchmark, source, method), group in frame.groupby(["benchmark", "train_source", "method"], sort=False):
        planned, chosen = group["seed"].nunique(), group[group["selected"].fillna(False)]
        for quantity, factor in (("mean", 1), ("ess", 100)):
            numbers = factor * chosen[f"weight_{quantity}"].to_numpy(dtype=float)
            interval = mean_interval(numbers) if len(numbers) else UNKNOWN
            about = {"benchmark": benchmark, "set": str(source).removeprefix(DIVERSITY), "method": method}
            spread = {"mean": interval.mean, "low": interval.low, "high": interval.high, "n_seeds": len(numbers)}
            rows.append({**about, "quantity": quantity, **spread, "status": seeds_status(len(numbers), planned)})
    return pd.DataFrame(rows)


def correlations(accuracy: pd.DataFrame, measured: pd.DataFrame, shift: pd.DataFrame) -> pd.DataFrame:
    """What goes with accuracy over the sets: the level, each measure (turned so that more is more diverse) or the AUC
    of the inputs, by method and benchmark, and over all benchmarks ("all").

    The frames are those of :func:`accuracies` and :mod:`paper_repro.paper.diversity.measures`. Columns: benchmark,
    method, predictor, mean (Spearman), low, high, p_value (:func:`spearman_interval`), sets, n_seeds, status.
    """
    columns, rows = predictors(measured, shift), list[dict[str, Any]]()
    for method, predictor in product(METHODS, columns.columns):
        mine = accuracy[accuracy["method"] == method].drop(columns=LEVEL).set_index(["benchmark", "set"])
        both = mine.join(columns[predictor]).dropna(subset=[predictor])
        by_name = both.groupby("benchmark", sort=False)
        groups = {str(name): group for name, group in by_name if len(group) >= FEWEST}
        if len(groups) > 1:
            groups["all"] = both
        rows += [_correlation(name, method, predictor, group) for name, group in groups.items()]
    return pd.DataFrame(rows)


def predictors(measured: pd.DataFrame, shift: pd.DataFrame) -> pd.DataFrame:
    """One row for each (benchmark, set), a column for the level, each measure (turned) and the AUC."""
    sign = measured["measure"].map(lambda name: -1 if name in TURNED else 1)
    turned = measured.assign(mean=measured["mean"] * sign)
    wide = turned.pivot_table("mean", ["benchmark", "set"], "measure", sort=False)
    level = measured.drop_duplicates(["benchmark", "set"]).set_index(["benchmark", "set"])["level"].astype(float)
    wide.insert(0, LEVEL, level)
    return wide.join(shift.set_index(["benchmark", "set"])[SHIFT])


def _correlation(benchmark: str, method: str, predictor: str, rows: pd.DataFrame) -> dict[str, Any]:
    lacking = [str(status) for status in rows["status"] if status != "complete"]
    pairs = [(part[predictor], part["mean_accuracy"]) for _, part in rows.groupby("benchmark", sort=False)]
    found = UNKNOWN if lacking else spearman_interval(pairs)
    numbers = {"mean": found.mean, "low": found.low, "high": found.high, "p_value": found.p_value}
    counts = {"sets": len(rows), "n_seeds": rows["n_seeds"].min(), "status": lacking[0] if lacking else "complete"}
    return {"benchmark": benchmark, "method": method, "predictor": predictor, **numbers, **counts}
