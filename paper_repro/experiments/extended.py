"""Table 1 extended: other weightings, and baselines that use what IMP and DIMP use, the labels of D_P'.

IMP and DIMP see the labels of D_P' through the quality checker; CE on D_Q does not. The same-information rows
use them as well: by training on them, by filtering or relabelling D_Q with the checker, or by answering with the
checkers themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from paper_repro.experiments.grid import GENERATED, LARGE, Cell, spec
from paper_repro.experiments.table1 import table1
from paper_repro.profiles import Profile
from paper_repro.runs import Checker, RunResult, RunSpec, Source

HU = "Hu et al.'s"
TAUS = (0.1, 0.3, 0.5, 0.7, 0.9)
WEIGHTINGS = {
    "hu": HU,
    "ren": "Ren et al.'s",
    "meta_weight_net": "Meta-Weight-Net",
    "sungen": "SunGen (ours)",
    "rho": "RHO-Loss selection",
}
SAME_INFORMATION = (
    "CE-Loss on D_Q and D_P'",
    "CE-Loss on D_Q, then on D_P'",
    "Filter P' > tau",
    "Confident learning",
    "Self-distillation from P'",
    "Ensemble sqrt(Q P')",
)


class Runs(Protocol):
    def result(self, spec: RunSpec) -> RunResult | None: ...


def hu(profile: Profile) -> list[Cell]:
    """Hu et al. on generated and on large real data, the rows of the paper's Table 1."""
    return [
        Cell(source, HU, benchmark, seed, _like_ce(profile, benchmark, pool, "hu", seed))
        for seed in profile.seeds
        for benchmark in profile.benchmarks
        for pool, source in (("generated", GENERATED), ("train", LARGE))
    ]


def extended(profile: Profile) -> list[Cell]:
    """Table 1's rows on generated data with all baselines, Hu et al. on large real data too. Cells that differ in
    an option to be chosen on D_P' share row and seed: see :func:`best_on_dev`."""
    cells = [cell for cell in table1(profile) if cell.train_source == GENERATED] + hu(profile)
    for seed in profile.seeds:
        for benchmark in profile.benchmarks:
            others = {
                title: [_like_ce(profile, benchmark, "generated", method, seed)]
                for method, title in WEIGHTINGS.items()
                if method != "hu"
            }
            for title, specs in {**others, **_same_information(profile, benchmark, seed)}.items():
                cells += [Cell(GENERATED, title, benchmark, seed, made) for made in specs]
    return cells


def _like_ce(profile: Profile, benchmark: str, pool: str, method: str, seed: int) -> RunSpec:
    """A baseline with the recipe of the CE run on the pool; RHO's hold-out model is the quality checker."""
    quality = Checker(spec(profile, benchmark, "dev", "ce", seed)) if method == "rho" else None
    return replace(spec(profile, benchmark, pool, "ce", seed), method=method, quality=quality)


def _same_information(profile: Profile, benchmark: str, seed: int) -> dict[str, list[RunSpec]]:
    ce, checker = (spec(profile, benchmark, pool, "ce", seed) for pool in ("generated", "dev"))
    quality, diversity = Checker(checker), Checker(ce)
    out_of_sample = Checker(ce, folds=5)
    made = (
        [replace(ce, source=Source("generated+dev"))],
        [replace(checker, start=ce)],
        [replace(ce, method="filter", quality=quality, options=(("tau", tau),)) for tau in TAUS],
        [replace(ce, method="confident", diversity=out_of_sample)],
        [replace(ce, method="distil", quality=quality)],
        [replace(ce, method="ensemble", quality=quality, diversity=diversity)],
    )
    return dict(zip(SAME_INFORMATION, made, strict=True))


def best_on_dev(workspace: Runs, cells: Iterable[Cell]) -> list[Cell]:
    """One cell for each row, benchmark and seed: the one whose selected epoch is best on D_P', the first of equals.

    Where a candidate is missing the first one that is stands for all, so that the row does not pass for complete.
    """
    groups: dict[tuple[str, str, str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.train_source, cell.method, cell.benchmark, cell.seed), []).append(cell)
    return [_best(workspace, group) for group in groups.values()]


def _best(workspace: Runs, group: list[Cell]) -> Cell:
    if len(group) == 1:
        return group[0]
    results = [workspace.result(cell.spec) for cell in group]
    missing = [cell for cell, result in zip(group, results, strict=True) if result is None]
    if missing:
        return missing[0]
    accuracies = [result.selected.dev_accuracy for result in results if result is not None]
    return group[accuracies.index(max(accuracies))]
