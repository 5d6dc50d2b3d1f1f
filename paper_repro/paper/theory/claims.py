"""The claims of the derivations as rows, judged like the others: a claim holds where its whole interval is above 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import OPPOSITE, seeds_status, verdict
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
    rows = []
    judged = convergence[(convergence["method"] == "imp") & (convergence["bound"] < 1)]  # a bound of 1 says nothing
    for benchmark, group in judged.groupby("benchmark", sort=False):
        rows.append(_chebyshev(str(benchmark), records(group)))
    for benchmark, group in dimp_runs.groupby("benchmark", sort=False):
        rows += _of_dimp_runs(str(benchmark), group)
    rows += [_step(row) for row in records(one_step) if (row["criterion"], row["target"]) == ("P'/p", "D_P'")]
    for row in records(limits):
        spans = (row["margin"], row["margin_low"], row["margin_high"])
        statistic = "TV to the next distribution minus TV to the limit"
        rows.append(_of_loss("limit", "ends nearest to {goal}, its limit", statistic, row, spans))
    # the paper's reading, "aligned with P": nearer to P than to the limit that the notebook derives
    for row in records(distances[(distances["candidate"] == "p") & ~distances["method"].isin(["ce", "quality_only"])]):
        spans = (-row["margin"], -row["margin_high"], -row["margin_low"])
        row["verdict"] = OPPOSITE.get(row["verdict"], row["verdict"])
        text = "ends nearer to P than to its limit"
        rows.append(_of_loss("nearer_to_p", text, "TV to the limit minus TV to P", row, spans))
    for row in records(arrived):
        tolerance, text = row["tolerance"], f"with exact checkers and {row['texts']:,} texts, is at {{goal}}"
        spans = (tolerance - row["distance"], tolerance - row["distance_high"], tolerance - row["distance_low"])
        rows.append(_of_loss("arrived", text, f"{tolerance:g} minus TV to the limit", row, spans))
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(name: str, claim: str, place: tuple[str, str], statistic: str, spans: Spans, **other: Any) -> Row:
    """``place`` is the section and the item of the paper; the verdict is the rule's, unless it is given."""
    row = {"id": name, "claim": claim, "variant": "", "section": place[0], "item": place[1], "statistic": statistic}
    row |= dict(zip(("mean", "low", "high"), spans, strict=True)) | other
    return {"verdict": verdict(spans[1], spans[2], row["status"]), **row}


def _chebyshev(benchmark: str, sizes: list[Row]) -> Row:
    claim = "The IMP loss is off its limit no more often than Chebyshev's bound allows"
    worst = min(sizes, key=lambda row: row["bound"] - row["share_high"])
    spans = tuple(worst["bound"] - worst[share] for share in ("share", "share_high", "share_low"))
    about = {"benchmark": benchmark, "n_seeds": np.nan, "n": int(worst["resamples"]), "status": "complete"}
    return _row("chebyshev", claim, ("B", "App. B"), "bound minus share of data sets, at the worst N", spans, **about)  # type: ignore[arg-type]


def _of_dimp_runs(benchmark: str, group: pd.DataFrame) -> list[Row]:
    done = group[group["status"] == "complete"]
    seeds = done["seed"].nunique()
    same_weight = bound = (np.nan, np.nan, np.nan)
    if seeds:
        spare, gap = ROUNDING - done["log_weight_gap"], done["loss"] - done["bound"]
        same_weight = (spare.mean(), spare.min(), spare.max())
        bound = (gap.mean(), done["gap_min"].min() + ROUNDING, gap.max())
    about = {"benchmark": benchmark, "n_seeds": seeds, "n": int(done["n"].sum()) if seeds else 0}
    about["status"] = seeds_status(seeds, group["seed"].nunique())
    claim, statistic = (
        "The log of DIMP's weight is the reducible hold-out loss",
        f"{ROUNDING:g} minus the gap; all epochs",
    )
    first = _row("reducible_loss", claim, ("C", "App. C"), statistic, same_weight, **about)
    claim, statistic = "DIMP-Loss is never below the bound of Eq. 10", "nats of loss minus bound; low: worst text"
    return [first, _row("lower_bound", claim, ("D", "App. D"), statistic, bound, **about)]


def _step(row: Row) -> Row:
    claim = f"P'/p orders texts as the gain of one SGD step does (epochs: {row['epochs']}, step: {row['step']})"
    name, spans = f"one_step_{row['epochs']}_{row['step']}", (row["spearman"], row["low"], row["high"])
    about = {"benchmark": row["benchmark"], "n_seeds": np.nan, "n": row["n"], "status": "complete"}
    return _row(name, claim, ("4.2", "Eq. 8"), "Spearman", spans, **about)


def _of_loss(name: str, text: str, statistic: str, row: Row, spans: Spans) -> Row:
    """A claim on a trained loss, with the verdict of the table that it comes from."""
    method = row["method"]
    claim = f"{short_title(method)} {text.format(goal=CANDIDATES.get(row['predicted'], ''))}"
    kept = {column: row[column] for column in ("benchmark", "n_seeds", "n", "status", "verdict")}
    kept["variant"] = row.get("variant", "")
    return _row(f"{name}_{method}", claim, (SECTIONS.get(method, "4.1"), ""), statistic, spans, **kept)
