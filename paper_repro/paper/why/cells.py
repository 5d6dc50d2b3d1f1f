"""Runs that keep the generator's labels and take away the difference in inputs: its labels on real texts."""

from __future__ import annotations

from itertools import product

from paper_repro.paper.cells import Cell, spec, without_curve
from paper_repro.runs.profiles import Profile

METHODS = ("ce", "imp", "dimp")
WEIGHTED = METHODS[1:]
REAL_INPUTS = "relabelled"


def generated_inputs(profile: Profile) -> str:
    """The part of D_Q that is compared with the relabelled texts: as many of them."""
    return f"generated:{profile.relabelled.texts}"


def input_shift_runs(profile: Profile) -> list[Cell]:
    """CE, IMP and DIMP on as many texts of two kinds: real ones with the generator's labels, where Q(x) = P(x) by
    construction, and generated ones, seed by seed."""
    pools, names = (REAL_INPUTS, generated_inputs(profile)), profile.relabelled.benchmarks
    return without_curve(
        Cell(pool, method, name, seed, spec(profile, name, pool, method, seed))
        for seed, name, pool, method in product(profile.seeds, names, pools, METHODS)
        if name in profile.benchmarks  # not for a benchmark of the user's own
    )
