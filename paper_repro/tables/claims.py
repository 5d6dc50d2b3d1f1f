"""The paper's claims as rows, each judged by the same rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paper_repro import published
from paper_repro.tables.accuracy import printed
from paper_repro.tables.files import records
from paper_repro.tables.outcomes import Runs, comparison, outcomes_of, verdict

if TYPE_CHECKING:
    from paper_repro.experiments import Cell


def claims(workspace: Runs, cells: Iterable[Cell]) -> pd.DataFrame:
    """What the paper claims on Table 1, with the paper's difference, ours, and the verdict of :data:`RULE`.

    Columns: those of :func:`paper_repro.published.claims` with one benchmark a row, paper_difference (points,
    best run minus best run), those of :func:`comparison`, verdict. Where the two sides train on different
    data, runs of the same seed number are paired.
    """
    outcomes, paper, unknown = outcomes_of(workspace, cells), printed("table1"), (np.nan, np.nan)
    rows: list[dict[str, Any]] = []
    for claim in records(published.claims()):
        named = claim.pop("benchmarks")
        for benchmark in workspace.profile.benchmarks:
            ours = (claim["train_source"], claim["method"], benchmark)
            theirs = (claim["versus_source"], claim["versus_method"], benchmark)
            unheard_of = ours not in paper and ours not in outcomes  # the oracle, outside its world
            if unheard_of or (named and benchmark not in named.split(";")):
                continue
            compared = comparison(outcomes.get(ours), outcomes.get(theirs))
            gap = paper.get(ours, unknown)[0] - paper.get(theirs, unknown)[0]
            rows.append(
                {
                    **claim,
                    "benchmark": benchmark,
                    "paper_difference": gap,
                    **compared,
                    "verdict": verdict(compared["low"], compared["high"], compared["status"]),
                }
            )
    return pd.DataFrame(rows)
