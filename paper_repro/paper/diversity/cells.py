"""CE, IMP and DIMP on sets of generated texts at several levels of diversity, and CE on mixtures with real texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

from paper_repro.paper.cells import Cell, spec
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import RunSpec
from paper_repro.texts.derived import DIVERSITY
from paper_repro.texts.diversity_sets import LEVELS, SHIPPED, WORLD_LEVELS

METHODS = ("ce", "imp", "dimp")
REAL = ("train", "dev")
"""What the rest comes from: D_P, or the little that is D_P'."""
LOW, MODERATE, HIGH = "paraphrase-30", "sampled-900", "voices-900"
"""The lowest level of diversity, that of D_Q itself, and the highest: what "moderate" means is fixed beforehand."""
WORLD_LOW, WORLD_MODERATE = "copies-30", "sampled"


def levels(profile: Profile) -> Mapping[str, int | None]:
    """The sets of a profile, with their levels where they have one."""
    return WORLD_LEVELS if profile.kind == "miniature" else LEVELS


def benchmarks(profile: Profile) -> tuple[str, ...]:
    """The benchmarks that have sets; of the miniature world's the first, for the time that it takes."""
    if profile.kind == "miniature":
        return profile.benchmarks[:1]
    return tuple(name for name in profile.benchmarks if (SHIPPED / name).is_dir())


def mixed_sets(profile: Profile) -> tuple[str, ...]:
    """The sets that are mixed with real texts."""
    return (WORLD_LOW, WORLD_MODERATE) if profile.kind == "miniature" else (LOW, MODERATE, HIGH)


def shares(profile: Profile) -> tuple[int, ...]:
    """Per cent of a mixture that are generated; fewer in the miniature world, for the time that it takes."""
    return (0, 50, 100) if profile.kind == "miniature" else (0, 25, 50, 75, 100)


def diversity(profile: Profile) -> list[Cell]:
    """Every set by every method and seed. The diversity checker of IMP is the CE run on the set, which is a row."""
    return [
        _cell(profile, benchmark, DIVERSITY + name, method, seed)
        for seed, benchmark, name, method in product(profile.seeds, benchmarks(profile), levels(profile), METHODS)
    ]


def real_pools(profile: Profile) -> tuple[str, ...]:
    """What D_Q is mixed with. In the miniature world D_P alone, so that the demo takes seconds."""
    return REAL[:1] if profile.kind == "miniature" else REAL


def mixtures(profile: Profile) -> list[Cell]:
    """CE on every mixture; without a generated text it is the same run for all sets."""
    return [
        _cell(profile, benchmark, mixture(share, name, real), "ce", seed)
        for seed, benchmark in product(profile.seeds, benchmarks(profile))
        for real, name, share in product(real_pools(profile), mixed_sets(profile), shares(profile))
    ]


def mixture(share: int, name: str, real: str) -> str:
    """The pool with ``share`` per cent of a set and real texts for the rest."""
    return f"mix:{share}%:{DIVERSITY}{name}:{real}"


def _cell(profile: Profile, benchmark: str, pool: str, method: str, seed: int) -> Cell:
    run = _without_curve(spec(profile, benchmark, pool, method, seed))
    if run.diversity is not None and run.diversity.run is not None:
        run = replace(run, diversity=replace(run.diversity, run=_without_curve(run.diversity.run)))
    return Cell(pool, method, benchmark, seed, run)


def _without_curve(run: RunSpec) -> RunSpec:
    return replace(run, recipe=replace(run.recipe, test_curve=False))
