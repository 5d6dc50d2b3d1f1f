"""Table 1 and Figure 1: every loss on every source of training data."""

from __future__ import annotations

from paper_repro.paper.cells import Cell, GENERATED, SOURCES, TITLES, spec
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunSpec, Source

ORACLE = "Oracle (true weights)"
TABLE1_METHODS = {
    "dev": ("ce", "focal", "dimp"),
    "generated": ("ce", "focal", "imp", "dimp", "quality_only"),
    "train": ("ce", "focal", "imp", "dimp"),
}


def oracle(profile: Profile, benchmark: str, seed: int) -> RunSpec:
    """IMP on D_Q with the true weights P(y|x)/Q(y|x), which only the miniature world knows (Eq. 4)."""
    recipe = profile.recipes["generated"]
    true_p, true_q = Checker(exact="p"), Checker(exact="q")
    return RunSpec(
        benchmark, Source("generated"), "imp", seed, recipe, profile.encoder, quality=true_p, diversity=true_q
    )


def table1(profile: Profile) -> list[Cell]:
    """Every run of Table 1 and Figure 1, seed by seed, so that an interrupted grid holds whole repetitions."""
    cells = []
    for seed in profile.seeds:
        for benchmark in profile.benchmarks:
            for pool, methods in TABLE1_METHODS.items():
                for method in methods:
                    title = "CE-Loss (quality checker)" if (pool, method) == ("dev", "ce") else TITLES[method]
                    made = spec(profile, benchmark, pool, method, seed)
                    cells.append(Cell(SOURCES[pool], title, benchmark, seed, made))
            if profile.kind == "miniature":
                cells.append(Cell(GENERATED, ORACLE, benchmark, seed, oracle(profile, benchmark, seed)))
    return cells
