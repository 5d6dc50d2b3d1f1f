"""Table 2: a larger classifier with smaller checkers. The grid and the claims."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from paper_repro.paper.beside_paper import printed
from paper_repro.paper.cells import Cell, spec, without_curve
from paper_repro.paper.claims import POINTS, Row, conjunction
from paper_repro.paper.outcomes import comparison, outcomes_of
from paper_repro.runs.profiles import Profile
from paper_repro.runs.results import Results
from paper_repro.runs.spec import Checker

BASE, LARGE = "base", "large"
"""The two blocks of Table 2, by the paper's words for its sizes."""
CLAIMS = {
    "large_dimp_ce": ("DIMP with a small quality checker beats CE on the larger model", "dimp", "ce"),
    "large_imp_ce": ("IMP with a small diversity checker beats CE on the larger model", "imp_base_dc", "ce"),
    "large_imp_dc": ("IMP gains by a diversity checker of the larger model's size", "imp_large_dc", "imp_base_dc"),
}
"""Sec. 5.1 by id: the claim, the method that is said to be better, and the other one."""
OPPOSITE = {"holds": "fails", "fails": "holds"}


def table2(profile: Profile) -> list[Cell]:
    """Every run of Table 2, seed by seed: the large classifier on D_Q, with checkers of both sizes.

    The quality checker is the small encoder's throughout. Where the profile's own encoder is the large one, CE and
    the large diversity checker are Table 1's; the recipes are those of the profile.
    """
    small, large = profile.ablations.small, profile.ablations.large
    cells = []
    for seed in profile.seeds[: profile.ablations.table2_seeds]:
        for benchmark in profile.benchmarks:
            quality = replace(spec(profile, benchmark, "dev", "ce", seed), encoder=small)
            ce = replace(spec(profile, benchmark, "generated", "ce", seed), encoder=large)
            dimp = replace(ce, method="dimp", quality=Checker(quality))
            imp = replace(dimp, method="imp", diversity=Checker(ce))
            cells.append(Cell(BASE, "checker", benchmark, seed, quality))
            rows = {"ce": ce, "imp_base_dc": replace(imp, diversity=Checker(replace(ce, encoder=small)))}
            rows |= {"imp_large_dc": imp, "dimp": dimp}
            cells += [Cell(LARGE, row, benchmark, seed, run) for row, run in rows.items()]
    return without_curve(cells)


def table2_claims(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """What Sec. 5.1 says on Table 2, by the rule of all claims; those on all benchmarks have the benchmark "all"."""
    outcomes, paper, rows = outcomes_of(results, cells), printed("table2"), list[Row]()
    for name, (claim, ours, theirs) in CLAIMS.items():
        for benchmark in results.profile.benchmarks:
            keys = (LARGE, ours, benchmark), (LARGE, theirs, benchmark)
            about: Row = {"id": name, "claim": claim, "section": "5.1", "item": "Table 2", "benchmark": benchmark}
            theirs_printed, ours_printed = (paper.get(key, (np.nan, np.nan))[0] for key in reversed(keys))
            about |= {"statistic": POINTS, "paper_difference": ours_printed - theirs_printed}
            rows.append({**about, **comparison(*map(outcomes.get, keys))})
    whole = [
        conjunction(f"{name}_all", CLAIMS[name][0], "5.1", "Table 2", "all", [r for r in rows if r["id"] == name])
        for name in ("large_dimp_ce", "large_imp_ce")
    ]
    opposite = {what: OPPOSITE.get(whole[1][what], whole[1][what]) for what in ("verdict", "f1_verdict")}
    claim = "IMP with a small diversity checker is inconsistent: not above CE on every benchmark"
    whole[1] = {**whole[1], "id": "large_imp_inconsistent", "claim": claim, **opposite}
    return pd.DataFrame(rows + whole)
