"""Variants of one set-up beside their default and CE-Loss, and the paper's claims on Table 2 and Figure 2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.paper.beside_paper import printed
from paper_repro.paper.cells import Cell
from paper_repro.paper.claims import POINTS, jointly, sentence
from paper_repro.paper.outcomes import FEW_SHOT, Key, Outcome, comparison, measures, outcomes_of, verdict
from paper_repro.runs.results import Results

CE, IMP, DIMP, CHECKER = "CE-Loss", "IMP-Loss (Ours)", "DIMP-Loss (Ours)", "Quality checker"
BASE_DC, LARGE_DC = "IMP-Loss (base DC)", "IMP-Loss (large DC)"
INTERVAL = ("mean", "low", "high")
VARIANT_COLUMNS = (
    "variant",
    "method",
    "benchmark",
    *("mean_accuracy", "accuracy_low", "accuracy_high"),
    *(f"vs_default_{name}" for name in INTERVAL),
    *(f"vs_ce_{name}" for name in INTERVAL),
    *(f"vs_checker_{name}" for name in INTERVAL),
    *("n_seeds", "n_test", "status"),
)


def by_variant(results: Results, cells: Iterable[Cell], default: str) -> pd.DataFrame:
    """One row per variant (``train_source`` of the cells), method and benchmark.

    Columns: :data:`VARIANT_COLUMNS`. Accuracies in per cent with their 95 % interval; ``vs_default`` is the
    difference to the same method in the variant ``default``, ``vs_ce`` to CE-Loss in the same variant (in the
    default where the variant leaves CE as it is), ``vs_checker`` to the variant's quality checker where that is among
    the cells; all in points, paired over shared seeds and test examples.
    """
    outcomes = {key: outcome for key, outcome in outcomes_of(results, cells).items() if key[:2] != FEW_SHOT}
    rows = []
    for (variant, method, benchmark), outcome in outcomes.items():
        usual = outcomes.get((default, method, benchmark))
        plain = outcomes.get((variant, CE, benchmark), outcomes.get((default, CE, benchmark)))
        checker = outcomes.get((variant, CHECKER, benchmark))
        against = {
            "vs_default": comparison(outcome, usual if variant != default else None),
            "vs_ce": comparison(outcome, plain if method != CE else None),
            "vs_checker": comparison(outcome, checker if method != CHECKER else None),
        }
        numbers = {f"{name}_{part}": found[part] for name, found in against.items() for part in INTERVAL}
        names = {"variant": variant, "method": method, "benchmark": benchmark}
        status = _status([outcome, *(o for o in (usual, plain) if o is not None)])
        rows.append({**names, **measures(outcome), **numbers, "status": status})
    return pd.DataFrame(rows, columns=list(VARIANT_COLUMNS))


def _status(outcomes: Iterable[Outcome]) -> str:
    """ "complete", or what the first of them says that is not."""
    return next((outcome.status for outcome in outcomes if outcome.status != "complete"), "complete")


def ablation_claims(results: Results, table2: Iterable[Cell], figure2: Iterable[Cell]) -> pd.DataFrame:
    """What Sec. 5.1 says on Table 2 and Figure 2, by the rule of all claims.

    Columns: claim, section, item, benchmark, statistic, paper_difference (of the printed accuracies; Figure 2 has
    no numbers), those of :func:`paper_repro.tables.comparison`, verdict. Claims on several benchmarks have a row
    "all" that sums theirs up.
    """
    return pd.DataFrame(_on_table2(results, table2) + _on_figure2(results, figure2))


def _on_table2(results: Results, cells: Iterable[Cell]) -> list[dict[str, Any]]:
    outcomes, paper = outcomes_of(results, cells), printed("table2")
    told = {
        "DIMP with a small quality checker beats CE on the larger model": ("DIMP-Loss", CE),
        "IMP with a small diversity checker beats CE on the larger model": (BASE_DC, CE),
        "IMP with a large diversity checker beats IMP with a small one": (LARGE_DC, BASE_DC),
    }
    rows, verdicts = [], {}
    for claim, (ours, theirs) in told.items():
        found = []
        for benchmark in results.profile.benchmarks:
            keys = ("large", ours, benchmark), ("large", theirs, benchmark)
            gap = paper[keys[0]][0] - paper[keys[1]][0]
            found.append(_row(claim, "Table 2", benchmark, outcomes, keys, gap))
        rows += found
        verdicts[claim] = Counter(row["verdict"] for row in found)
    consistent, small_dc, _ = verdicts.values()
    claim = "DIMP with a small quality checker beats CE on the larger model"
    rows.append(sentence(claim, "5.1", "Table 2", "all", consistent, jointly(consistent)))
    opposite = {"holds": "fails", "fails": "holds"}
    judged = jointly(small_dc)
    claim = "IMP with a small diversity checker is inconsistent: not above CE on every benchmark"
    return [*rows, sentence(claim, "5.1", "Table 2", "all", small_dc, opposite.get(judged, judged))]


def _on_figure2(results: Results, cells: Iterable[Cell]) -> list[dict[str, Any]]:
    outcomes = outcomes_of(results, cells)
    shares = [int(variant) for variant, method, _ in outcomes if method == CHECKER]
    if not shares:
        return []
    least = min(shares)
    rows = []
    for benchmark in dict.fromkeys(b for _, method, b in outcomes if method == CHECKER):
        for title, other in (("CE", CE), ("that quality checker itself", CHECKER)):
            for name, method in (("IMP", IMP), ("DIMP", DIMP)):
                claim = f"With {least} % of the training set for the quality checker, {name} beats {title}"
                keys = (str(least), method, benchmark), (str(least), other, benchmark)
                rows.append(_row(claim, "Figure 2", benchmark, outcomes, keys, np.nan))
    return rows


def _row(
    claim: str, item: str, benchmark: str, outcomes: Mapping[Key, Outcome], keys: tuple[Key, Key], paper: float
) -> dict[str, Any]:
    compared = comparison(outcomes.get(keys[0]), outcomes.get(keys[1]))
    names = {"claim": claim, "section": "5.1", "item": item, "benchmark": benchmark, "statistic": POINTS}
    judged = verdict(compared["low"], compared["high"], compared["status"])
    return {**names, "paper_difference": paper, **compared, "verdict": judged}
