"""Sec. 3.2: the models M_P and M_Q whose probabilities stand for P(y|x) and Q(y|x). Table 1 trains both already."""

from __future__ import annotations

from dataclasses import dataclass

from paper_repro.paper.cells import Cell, checker
from paper_repro.runs.plan import fold_models
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker

FITTED_ON = ("train", "generated")
"""The pools of M_P and M_Q."""


@dataclass(frozen=True)
class Fits:
    """Which models stand for P and Q: those of every seed, and for held-out scores in ``folds`` parts those of the
    first ``cross_fit_seeds``."""

    cross_fit_seeds: int = 1
    folds: int = 5

    def seeds_of(self, profile: Profile, folds: int = 0) -> tuple[int, ...]:
        """The seeds for in-sample scores, or with ``folds`` those for held-out ones."""
        return profile.seeds[: self.cross_fit_seeds] if folds else profile.seeds


def section3_2(profile: Profile, fits: Fits = Fits()) -> list[Cell]:
    """Every run behind Sec. 3.2: both models for each seed ("ce"), and for the first seeds one model a fold."""
    cells = []
    for model, benchmark, pool in section3_2_scores(profile, fits):
        run = model.run
        if run is not None and run.source.pool == pool:
            models = fold_models(run, model.folds) if model.folds else [run]
            rows = [f"ce_without_fold{n + 1}" for n in range(model.folds)] or ["ce"]
            cells += [Cell(pool, row, benchmark, run.seed, one) for row, one in zip(rows, models, strict=True)]
    return cells


def section3_2_scores(profile: Profile, fits: Fits = Fits()) -> list[tuple[Checker, str, str]]:
    """Every (checker, benchmark, pool) whose scores Sec. 3.2 needs: both models on both pools, and held-out ones of
    each model's own pool for the seeds that have them."""
    wanted = []
    for seed in profile.seeds:
        for benchmark in profile.benchmarks:
            for pool in FITTED_ON:
                wanted += [(checker(profile, benchmark, pool, seed), benchmark, target) for target in FITTED_ON]
                if seed in fits.seeds_of(profile, fits.folds):
                    wanted.append((checker(profile, benchmark, pool, seed, fits.folds), benchmark, pool))
    return wanted
