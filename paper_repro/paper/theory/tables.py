"""The claims of the derivations as rows, judged like the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import verdict

COLUMNS = [
    "claim", "section", "item", "benchmark", "statistic", "mean", "low", "high", "n_seeds", "n", "status", "verdict",
]  # fmt: skip
ROUNDING = 1e-10
"""Log-weights in float64 from stored logarithms agree to this; a bound may be missed by so much."""


def theory_claims(
    convergence: pd.DataFrame,
    dimp_runs: pd.DataFrame,
    one_step: pd.DataFrame,
    limits: pd.DataFrame,
    to_p: pd.DataFrame,
    arrived: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row a claim and benchmark: :data:`COLUMNS`, where ``statistic`` is the quantity that is judged.

    A claim holds where low is above 0 and fails where high is below 0; ``n_seeds`` is empty where no run is used.

    ``convergence``: :func:`paper_repro.paper.theory.closed_forms.convergence`; ``dimp_runs``: :func:`paper_repro.paper.theory.dimp_runs.by_epoch`;
    ``one_step``: :func:`paper_repro.paper.theory.one_step.compare`; ``limits``: :func:`paper_repro.paper.theory.fixed_points.summary`;
    ``to_p``: rows of :func:`paper_repro.paper.theory.fixed_points.distances` with candidate P, of IMP and DIMP;
    ``arrived``: :func:`paper_repro.paper.theory.fixed_points.arrivals`, where there is one.
    """
    rows = [*_convergence(convergence), *_runs(dimp_runs), *_steps(one_step), *_limits(limits), *_away_from_p(to_p)]
    rows += [] if arrived is None else _arrivals(arrived)
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(
    claim: str, place: str, statistic: str, benchmark: Any, spans: tuple[float, float, float], **other: Any
) -> dict[str, Any]:
    """``place`` is an item of the paper ("App. B", "Eq. 8") or a section ("4.1")."""
    mean, low, high = spans
    section = {"Eq. 8": "4.2"}.get(place, place.removeprefix("App. "))
    names = {"claim": claim, "section": section, "item": place if " " in place else "", "benchmark": benchmark}
    row = {**names, "statistic": statistic, "mean": mean, "low": low, "high": high, **other}
    return {**row, "verdict": verdict(low, high, row["status"])}


def _convergence(frame: pd.DataFrame) -> list[dict[str, Any]]:
    claim = "The IMP loss is off its limit no more often than Chebyshev's bound allows"
    statistic = "bound minus share of data sets, at the worst N"
    rows = []
    for name, group in frame[frame["loss"] == "IMP"].groupby("benchmark", sort=False):
        here = group[group["bound"] < 1]  # a bound of 1 says nothing
        if here.empty:
            continue
        worst = min(records(here), key=lambda row: row["bound"] - row["share_high"])
        spans = tuple(worst["bound"] - worst[column] for column in ("share", "share_high", "share_low"))
        sizes = {"n_seeds": np.nan, "n": int(worst["resamples"]), "status": "complete"}
        rows.append(_row(claim, "App. B", statistic, name, (spans[0], spans[1], spans[2]), **sizes))
    return rows


RUN_CLAIMS = {
    "App. C": "The log of DIMP's weight is the reducible hold-out loss",
    "App. D": "DIMP-Loss is never below the bound of Eq. 10",
}


def _runs(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for name, group in frame.groupby("benchmark", sort=False):
        done = group[group["status"] == "complete"]
        wanted, seeds = group["seed"].nunique(), done["seed"].nunique()
        status = "complete" if seeds == wanted else f"{seeds} of {wanted} seeds"
        if done.empty:
            empty = (np.nan, np.nan, np.nan)
            for place, claim in RUN_CLAIMS.items():
                rows.append(_row(claim, place, "", name, empty, n_seeds=0, n=0, status=status))
            continue
        sizes = {"n_seeds": seeds, "n": int(done["n"].sum()), "status": status}
        spare = ROUNDING - done["log_weight_gap"]
        spans, statistic = (spare.mean(), spare.min(), spare.max()), f"{ROUNDING:g} minus the gap; all epochs"
        rows.append(_row(RUN_CLAIMS["App. C"], "App. C", statistic, name, spans, **sizes))
        gap = done["loss"] - done["bound"]
        spans = (gap.mean(), done["gap_min"].min() + ROUNDING, gap.max())
        statistic = "nats of loss minus bound: mean, worst text, best epoch"
        rows.append(_row(RUN_CLAIMS["App. D"], "App. D", statistic, name, spans, **sizes))
    return rows


def _steps(frame: pd.DataFrame) -> list[dict[str, Any]]:
    chosen = frame[(frame["criterion"] == "P' / p") & (frame["target"] == "D_P'")]
    return [
        _row(
            f"P'/p orders texts as the gain of one SGD step does (epochs: {row['epochs']}, step: {row['step']})",
            "Eq. 8",
            "Spearman",
            row["benchmark"],
            (row["spearman"], row["low"], row["high"]),
            n_seeds=np.nan,
            n=row["n"],
            status="complete",
        )
        for row in records(chosen)
    ]


def _limits(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for row in records(frame):
        claim = f"{row['loss']} ends nearest to {row['predicted']}, its limit"
        statistic = "TV to the next law minus TV to the limit"
        spans = tuple(row.get(name, np.nan) for name in ("margin", "margin_low", "margin_high"))
        sizes = {"n_seeds": row["n_seeds"], "n": row.get("n", 0), "status": row["status"]}
        rows.append(_row(claim, _section(row), statistic, row["benchmark"], (spans[0], spans[1], spans[2]), **sizes))
    return rows


def _arrivals(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for row in records(frame):
        claim = f"{row['loss']}, with exact checkers and {row['texts']:,} texts, is at {row['predicted']}"
        spans = tuple(row["tolerance"] - row[name] for name in ("distance", "high", "low"))
        sizes = {name: row[name] for name in ("n_seeds", "n", "status")}
        statistic = f"{row['tolerance']:g} minus TV to the limit"
        rows.append(_row(claim, _section(row), statistic, row["benchmark"], (spans[0], spans[1], spans[2]), **sizes))
    return rows


def _away_from_p(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The paper's reading, "aligned with P": nearer to P than to the limit that Sec. 4 of the notebook derives."""
    rows = []
    for row in records(frame):
        claim = f"{row['loss']} ends nearer to P than to its limit"
        statistic = "TV to the limit minus TV to P"
        spans = (-row["margin"], -row["margin_high"], -row["margin_low"])
        sizes = {"n_seeds": row["n_seeds"], "n": row["n"], "status": row["status"]}
        rows.append(_row(claim, _section(row), statistic, row["benchmark"], spans, **sizes))
    return rows


def _section(row: dict[str, Any]) -> str:
    """Where the paper speaks of a loss: DIMP 4.2, the others 4.1 (CE: 3, Eq. 3)."""
    return "4.2" if row["loss"].startswith("DIMP") else "3" if row["loss"].startswith("CE") else "4.1"
