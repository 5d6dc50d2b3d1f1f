"""Table 4 and Figures 4 to 7: the losses on the noisy training sets of App. G."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from paper_repro.paper.cells import Cell, spec
from paper_repro.runs.plan import models_of
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


def cross_fitted(cells: Iterable[Cell], benchmark: str, seeds: int, folds: int) -> list[Cell]:
    """The IMP cells of a benchmark, of the first so many seeds, with a diversity checker fitted on the other folds.

    They are for their scores (:meth:`paper_repro.study.Study.collect`), not to be trained.
    """
    made: list[Cell] = []
    for cell in cells:
        if cell.benchmark == benchmark and cell.spec.diversity is not None and len(made) < seeds:
            checker = replace(cell.spec.diversity, folds=folds)
            made.append(replace(cell, spec=replace(cell.spec, diversity=checker)))
    return made


def fold_models(crossed: Iterable[Cell]) -> list[Cell]:
    """The runs that the checkers of :func:`cross_fitted` cells consist of, one for each fold."""
    runs = [(cell, run) for cell in crossed if cell.spec.diversity for run in models_of(cell.spec.diversity, NOISY)]
    return [replace(cell, method="ce", spec=run) for cell, run in runs]
