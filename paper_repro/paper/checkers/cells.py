"""The checkers of Sec. 4.3: the CE models that Table 1 has on D_P', on D_Q and on D_P."""

from __future__ import annotations

from itertools import product

from paper_repro.paper.cells import Cell, checker, spec
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker

ROWS = {"dev": "checker", "generated": "ce", "train": "ce"}
"""Table 1's row of the checker fitted on a pool: the quality checker on D_P', diversity checkers on the others."""
WEIGHTED = ("generated", "train")
"""The pools whose texts get weights: from P', and from the diversity checker that is fitted on the pool itself."""


def checkers(profile: Profile) -> list[Cell]:
    """The models, seed by seed."""
    return [
        Cell(pool, row, benchmark, seed, spec(profile, benchmark, pool, "ce", seed))
        for seed, benchmark, (pool, row) in product(profile.seeds, profile.benchmarks, ROWS.items())
    ]


def checker_scores(profile: Profile) -> list[tuple[Checker, str, str]]:
    """Every (checker, benchmark, pool) whose scores the weights need."""
    return [
        (checker(profile, benchmark, fitted_on, seed), benchmark, pool)
        for seed, benchmark, pool in product(profile.seeds, profile.benchmarks, WEIGHTED)
        for fitted_on in ("dev", pool)
    ]
