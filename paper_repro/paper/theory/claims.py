"""The claims of the derivations as rows, judged like the others: a claim holds where its whole interval is above 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import seeds_status, verdict
from paper_repro.paper.theory.fixed_points import CANDIDATES
from paper_repro.paper.titles import short_title

COLUMNS = [
    "id", "claim", "variant", "section", "item", "benchmark", "statistic", "mean", "low", "high", "n_seeds", "n",
    "status", "verdict",
]  # fmt: skip
ROUNDING = 1e-10
"""Log-weights in float64 from stored logarithms agree to this; a bound may be missed by so much."""
SECTIONS = {"ce": "3", "dimp": "4.2", "dimp_gamma_2": "4.2"}
"""Where the paper discusses a loss; the others in Sec. 4.1."""
Row = dict[str, Any]
Spans = tuple[float, float, float]
UNKNOWN: Spans = (np.nan, np.nan, np.nan)


def theory_claims(
    convergence: pd.DataFrame,
    dimp_runs: pd.DataFrame,
    one_step: pd.DataFrame,
    limits: pd.DataFrame,
    distances: pd.DataFrame,
    arrived: pd.DataFrame,
) -> pd.DataFrame:
    """One row per claim and benchmark: :data:`COLUMNS`, where ``statistic`` is the quantity that is judged.

    ``n_seeds`` is empty where no run is used; ``variant``, a column of ``limits``, says which runs. The frames are
    those of :func:`..convergence.simulated`, :func:`..dimp_runs.by_epoch`, :func:`..one_step.compare`, and
    :func:`summary`, :func:`distances` and :func:`arrivals` of :mod:`..fixed_points`; they may be empty.
    """
    rows = [*_convergence(convergence), *_runs(dimp_runs), *_steps(one_step)]
    rows += [*_limits(limits), *_nearer_to_p(distances), *_arrivals(arrived)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(name: str, claim: str, place: tuple[str, str], statistic: str, spans: Spans, **other: Any) -> Row:
    """``place`` is the section and the item of the paper; the verdict is the rule's, unless it is given."""
    row = {"id": name, "claim": claim, "variant": "", "section": place[0], "item": place[1], "statistic": statistic}
    row |= dict(zip(("mean", "low", "high"), spans, strict=True)) | other
    return {"verdict": verdict(spans[1], spans[2], row["status"]), **row}


def _convergence(frame: pd.DataFrame) -> list[Row]:
    claim = "The IMP loss is off its limit no more often than Chebyshev's bound allows"
    rows = []
    judged = frame[(frame["method"] == "imp") & (frame["bound"] < 1)]  # a bound of 1 says nothing
    for benchmark, group in judged.groupby("benchmark", sort=False):
        worst = min(records(group), key=lambda row: row["bound"] - row["share_high"])
        mean, low, high = (worst["bound"] - worst[column] for column in ("share", "share_high", "share_low"))
        about = {"benchmark": benchmark, "n_seeds": np.nan, "n": int(worst["resamples"]), "status": "complete"}
        statistic = "bound minus share of data sets, at the worst N"
        rows.append(_row("chebyshev", claim, ("B", "App. B"), statistic, (mean, low, high), **about))
    return rows


def _runs(frame: pd.DataFrame) -> list[Row]:
    rows = []
    for benchmark, group in frame.groupby("benchmark", sort=False):
        done = group[group["status"] == "complete"]
        seeds, planned = done["seed"].nunique(), group["seed"].nunique()
        same_weight = bound = UNKNOWN
        if len(done):
            spare, gap = ROUNDING - done["log_weight_gap"], done["loss"] - done["bound"]
            same_weight = (spare.mean(), spare.min(), spare.max())
            bound = (gap.mean(), done["gap_min"].min() + ROUNDING, gap.max())
        about = {"benchmark": benchmark, "n_seeds": seeds, "n": int(done["n"].sum()) if seeds else 0}
        about["status"] = seeds_status(seeds, planned)
        claim = "The log of DIMP's weight is the reducible hold-out loss"
        statistic = f"{ROUNDING:g} minus the gap; all epochs"
        rows.append(_row("reducible_loss", claim, ("C", "App. C"), statistic, same_weight, **about))
        claim, statistic = "DIMP-Loss is never below the bound of Eq. 10", "nats of loss minus bound; low: worst text"
        rows.append(_row("lower_bound", claim, ("D", "App. D"), statistic, bound, **about))
    return rows


def _steps(frame: pd.DataFrame) -> list[Row]:
    rows = []
    for row in records(frame[(frame["criterion"] == "P'/p") & (frame["target"] == "D_P'")]):
        claim = f"P'/p orders texts as the gain of one SGD step does (epochs: {row['epochs']}, step: {row['step']})"
        name, spans = f"one_step_{row['epochs']}_{row['step']}", (row["spearman"], row["low"], row["high"])
        about = {"benchmark": row["benchmark"], "n_seeds": np.nan, "n": row["n"], "status": "complete"}
        rows.append(_row(name, claim, ("4.2", "Eq. 8"), "Spearman", spans, **about))
    return rows


def _limits(frame: pd.DataFrame) -> list[Row]:
    statistic = "TV to the next distribution minus TV to the limit"
    return [
        _about("limit", "ends nearest to {goal}, its limit", statistic, row, _margin(row)) for row in records(frame)
    ]


def _nearer_to_p(frame: pd.DataFrame) -> list[Row]:
    """The paper's reading, "aligned with P": nearer to P than to the limit that the notebook derives."""
    ours = frame[(frame["candidate"] == "p") & ~frame["method"].isin(["ce", "quality_only"])]
    statistic, opposite = "TV to the limit minus TV to P", {"holds": "fails", "fails": "holds"}
    rows = []
    for row in records(ours):
        mean, low, high = _margin(row)
        other = {**row, "verdict": opposite.get(row["verdict"], row["verdict"])}
        rows.append(_about("nearer_to_p", "ends nearer to P than to its limit", statistic, other, (-mean, -high, -low)))
    return rows


def _arrivals(frame: pd.DataFrame) -> list[Row]:
    rows = []
    for row in records(frame):
        mean, low, high = (row["tolerance"] - row[f"distance{end}"] for end in ("", "_high", "_low"))
        text = f"with exact checkers and {row['texts']:,} texts, is at {{goal}}"
        rows.append(_about("arrived", text, f"{row['tolerance']:g} minus TV to the limit", row, (mean, low, high)))
    return rows


def _margin(row: Row) -> Spans:
    return row["margin"], row["margin_low"], row["margin_high"]


def _about(name: str, text: str, statistic: str, row: Row, spans: Spans) -> Row:
    """A claim on a trained loss, with the verdict of the table that it comes from."""
    method = row["method"]
    claim = f"{short_title(method)} {text.format(goal=CANDIDATES.get(row['predicted'], ''))}"
    kept = {column: row[column] for column in ("benchmark", "n_seeds", "n", "status", "verdict")}
    kept["variant"] = row.get("variant", "")
    return _row(f"{name}_{method}", claim, (SECTIONS.get(method, "4.1"), ""), statistic, spans, **kept)
