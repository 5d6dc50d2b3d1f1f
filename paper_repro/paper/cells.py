"""What every grid is made of: one run with its place in a table, and the specification of a usual run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, Recipe, RunSpec, Source

SMALL, GENERATED, LARGE = "Small real world", "GPT-3.5 generated", "Large real world"
SOURCES = {"dev": SMALL, "generated": GENERATED, "train": LARGE}

# Titles of Table 1's rows by method; on D_P' the CE model is the quality checker itself.
TITLES = {
    "ce": "CE-Loss",
    "focal": "Focal-Loss",
    "imp": "IMP-Loss (Ours)",
    "dimp": "DIMP-Loss (Ours)",
    "quality_only": "- w/o diversity checker",
}


@dataclass(frozen=True)
class Cell:
    """One run of a table: its row, its column and what to train. Titles are those of the paper's table."""

    train_source: str
    method: str
    benchmark: str
    seed: int
    spec: RunSpec


def recipe_of(profile: Profile, pool: str) -> Recipe:
    """The profile's recipe for a pool; pools derived from others take that of the first of them."""
    return profile.recipes[re.split("[+:]", pool)[0]]


def without_curve(cells: Iterable[Cell], known: Iterable[Cell]) -> list[Cell]:
    """The cells, with test scores of the selected epoch only in those runs that the ``known`` ones do not have.

    The curve over the epochs is Figure 1's; elsewhere it would cost time for nothing. Models behind a run's checkers
    are treated alike, so that they stay the very runs that stand in the table themselves.
    """
    shared = {cell.spec for cell in known}

    def checker(one: Checker | None) -> Checker | None:
        return one if one is None or one.run is None else replace(one, run=short(one.run))

    def short(run: RunSpec) -> RunSpec:
        if run in shared:
            return run
        start = None if run.start is None else short(run.start)
        recipe, checkers = replace(run.recipe, test_curve=False), (checker(run.quality), checker(run.diversity))
        return replace(run, recipe=recipe, start=start, quality=checkers[0], diversity=checkers[1])

    return [replace(cell, spec=short(cell.spec)) for cell in cells]


def spec(profile: Profile, benchmark: str, pool: str, method: str, seed: int) -> RunSpec:
    """A run with the profile's recipe. Checkers have the run's own seed, so that the seeds are
    independent repetitions of the whole method; the checker on a pool is the CE run of the same seed on it."""

    def run(source: str, method: str, quality: Checker | None = None, diversity: Checker | None = None) -> RunSpec:
        recipe = recipe_of(profile, source)
        return RunSpec(
            benchmark, Source(source), method, seed, recipe, profile.encoder, quality=quality, diversity=diversity
        )

    quality = Checker(run("dev", "ce")) if method in ("imp", "dimp", "quality_only") else None
    diversity = Checker(run(pool, "ce")) if method == "imp" else None
    return run(pool, method, quality, diversity)
