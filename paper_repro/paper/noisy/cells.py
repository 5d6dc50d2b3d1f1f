"""Table 4 and Figures 4 to 7: the losses on the noisy training sets of App. G."""

from __future__ import annotations

from paper_repro.paper.cells import Cell, spec
from paper_repro.runs.profiles import Profile

NOISY = "train:noisy"
METHODS = ("ce", "focal", "imp", "dimp")


def table4(profile: Profile) -> list[Cell]:
    """Every run of Table 4, seed by seed.

    The quality checker is Table 1's, fitted on D_P'; the diversity checker of IMP is the CE run on the noisy set
    itself, which is a row of the table.
    """
    cells = []
    for seed in profile.seeds:
        for benchmark in profile.benchmarks:
            cells.append(Cell("dev", "checker", benchmark, seed, spec(profile, benchmark, "dev", "ce", seed)))
            for method in METHODS:
                cells.append(Cell(NOISY, method, benchmark, seed, spec(profile, benchmark, NOISY, method, seed)))
    return cells
