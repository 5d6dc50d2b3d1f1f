"""Table 3: seconds by phase, from the seconds that runs and scores have in the store.

Times differ from run to run and from machine to machine, so that they stand in files of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from paper_repro.measures import intervals
from paper_repro.measures.intervals import Interval
from paper_repro.paper import published
from paper_repro.paper.cells import Cell
from paper_repro.paper.csv_files import records
from paper_repro.runs.spec import Checker, RunResult

CE = "CE-Loss"
PHASES = ("build_qc_s", "build_dc_s", "precalculate_weights_s", "training_s")
TIMES = (*PHASES, "total_s", "loading_and_evaluation_s")
PHASE_TITLES = dict(
    zip(PHASES, ("build quality checker", "build diversity checker", "pre-calculate weights", "training"), strict=True)
)
ABOUT = 0.1
ABOUT_RULE = (
    'A claim of "about r times" holds if the 95 % interval of the ratio lies within a tenth of r, fails if it lies '
    "outside of that, and otherwise is inconclusive."
)
CLAIMED = {"IMP-Loss": 2.2, "DIMP-Loss": 1.1}
"""App. E: times the running time of CE-Loss."""


class Timed(Runs, Protocol):
    """What Table 3 needs of a :class:`paper_repro.study.Workspace`."""

    def scoring_seconds(self, checker: Checker, benchmark: str, pool: str) -> float | None: ...


def phases(workspace: Timed, cells: Iterable[Cell]) -> pd.DataFrame:
    """One row per method and repetition: seconds by phase, on what hardware; what is not there has a status.

    Columns: method, benchmark, seed, :data:`TIMES`, status, n_train, device, threads, precision. A phase is the time
    of the training steps alone (nan where the method has no such phase), but scoring counts whole; loading of the
    encoder and scoring of dev and test set, of all models of the method together, stand in the last of the times.
    """
    columns = ["method", "benchmark", "seed", *TIMES, "status", "n_train", "device", "threads", "precision"]
    rows = [_phases(workspace, cell) for cell in cells if cell.spec.source.pool == "generated"]
    return pd.DataFrame(rows, columns=columns)


def _phases(workspace: Timed, cell: Cell) -> dict[str, Any]:
    spec = cell.spec
    row: dict[str, Any] = {
        "method": cell.method,
        "benchmark": cell.benchmark,
        "seed": cell.seed,
        **dict.fromkeys(TIMES, math.nan),
    }
    checkers = {"build_qc_s": spec.quality, "build_dc_s": spec.diversity}
    results = {"training_s": workspace.result(spec)}
    scoring = []
    for phase, checker in checkers.items():
        if checker is not None and checker.run is not None:
            results[phase] = workspace.result(checker.run)
            scoring.append(workspace.scoring_seconds(checker, cell.benchmark, spec.source.pool))
    found: dict[str, RunResult] = {phase: result for phase, result in results.items() if result is not None}
    seconds = [second for second in scoring if second is not None]
    if len(found) < len(results) or len(seconds) < len(scoring):
        return {**row, "status": "not run"}
    row.update({phase: result.seconds["train"] for phase, result in found.items()})
    if seconds:
        row["precalculate_weights_s"] = sum(seconds)
    row["total_s"] = sum(row[phase] for phase in PHASES if not math.isnan(row[phase]))
    row["loading_and_evaluation_s"] = sum(r.seconds["total"] - r.seconds["train"] for r in found.values())
    hardware = {str(result.environment.get("device")) for result in found.values()}
    status = "complete" if len(hardware) == 1 else "its runs are of several machines"
    about = {"device": "; ".join(sorted(hardware)), "threads": found["training_s"].environment.get("threads")}
    texts = len(workspace.benchmark(cell.benchmark).pools["generated"])
    return {**row, "status": status, "n_train": texts, **about, "precision": spec.recipe.precision}


def table3(frame: pd.DataFrame) -> pd.DataFrame:
    """Table 3, one row per method: the paper's seconds, ours as median, lowest and highest, and the ratio to CE.

    ``frame`` is that of :func:`phases`. The ratio is taken within each repetition; ``ratio`` is the geometric mean with
    its 95 % interval (:func:`ratio_interval`). ``n_runs`` counts repetitions on one machine only, CE's included;
    ``status`` says how many of those wanted these are.
    """
    paper = {row["method"]: row for row in records(published.table("table3"))}
    rows = []
    for method, printed in paper.items():
        ours, plain = (_one_machine(frame, name) for name in (method, CE))
        row: dict[str, Any] = {"method": method, **{f"paper_{time}": printed[time] for time in (*PHASES, "total_s")}}
        row["paper_ratio"] = printed["total_s"] / paper[CE]["total_s"]
        for time in TIMES:
            values = ours[time].dropna()
            spread = (values.median(), values.min(), values.max()) if len(values) else (math.nan,) * 3
            row.update(dict(zip((time, f"{time}_low", f"{time}_high"), spread, strict=True)))
        both = ours.join(plain["total_s"].rename("ce"), how="inner")
        ratio = ratio_interval(both["total_s"], both["ce"])
        wanted = int((frame["method"] == method).sum())
        row |= {"ratio": ratio.mean, "ratio_low": ratio.low, "ratio_high": ratio.high, "n_runs": len(both)}
        row["status"] = "complete" if len(both) == wanted else f"{len(both)} of {wanted} runs on one machine"
        rows.append({**row, "device": "" if both.empty else both["device"].iloc[0]})
    return pd.DataFrame(rows)


def _one_machine(frame: pd.DataFrame, method: str) -> pd.DataFrame:
    """The method's whole repetitions, by seed, on the machine that has most repetitions of all methods."""
    whole = frame[frame["status"] == "complete"]
    if whole.empty:
        return whole.set_index("seed")
    chosen = whole["device"].mode().iloc[0]
    return whole[(whole["method"] == method) & (whole["device"] == chosen)].set_index("seed")


def ratio_interval(times: ArrayLike, others: ArrayLike, *, level: float = 0.95) -> Interval:
    """Geometric mean of times / others, both (n,) and above 0, with Student's interval of the mean logarithm.

    nan bounds with fewer than two pairs, nan throughout without any.
    """
    logs = np.log(np.asarray(times, dtype=np.float64)) - np.log(np.asarray(others, dtype=np.float64))
    if not len(logs):
        return Interval(math.nan, math.nan, math.nan)
    found = intervals.mean_interval(logs, level=level)
    if len(logs) < 2:
        return Interval(math.exp(found.mean), math.nan, math.nan)
    return Interval(math.exp(found.mean), math.exp(found.low), math.exp(found.high))


def timing_claims(frame: pd.DataFrame, benchmark: str = "financial") -> pd.DataFrame:
    """App. E's ratios, judged by :data:`ABOUT_RULE`; ``frame`` is that of :func:`table3`.

    Columns: claim, section, item, benchmark, statistic, mean, low, high, n_seeds, n_test (texts tested: none),
    status, verdict.
    """
    rows = []
    for row in records(frame[frame["method"].isin(list(CLAIMED))]):
        about, whole = CLAIMED[row["method"]], row["status"] == "complete" and row["n_runs"] > 1
        rows.append(
            {
                "claim": f"{row['method']} takes about {about:g} times the time of {CE}",
                "section": "E",
                "item": "Table 3",
                "benchmark": benchmark,
                "statistic": "ratio of the total times",
                **{name: row[column] for name, column in zip(("mean", "low", "high"), RATIO, strict=True)},
                "n_seeds": row["n_runs"],
                "n_test": math.nan,
                "status": row["status"] if whole or row["status"] != "complete" else "one run has no interval",
                "verdict": about_verdict(row["ratio_low"], row["ratio_high"], about) if whole else "incomplete",
            }
        )
    return pd.DataFrame(rows)


RATIO = ("ratio", "ratio_low", "ratio_high")


def about_verdict(low: float, high: float, about: float) -> str:
    """:data:`ABOUT_RULE` applied to an interval."""
    floor, ceiling = about * (1 - ABOUT), about * (1 + ABOUT)
    if floor <= low and high <= ceiling:
        return "holds"
    return "fails" if high < floor or low > ceiling else "inconclusive"
