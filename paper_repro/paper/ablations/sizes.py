"""Table 2 and Figure 2: larger and smaller models, more and fewer texts.

The grids of one axis hold their cells in variants: ``train_source`` is the variant's name, and the CE run stands in
each of them, so that every variant can be compared with CE and with the default.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from paper_repro.paper.cells import TITLES, Cell, spec, without_curve
from paper_repro.paper.table1.cells import table1
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunSpec, Source

BASE, LARGER = "base", "large"
"""The two blocks of Table 2, by the paper's words for its sizes."""
QUALITY_CHECKER = "Quality checker"
BASE_DC, LARGE_DC = "IMP-Loss (base DC)", "IMP-Loss (large DC)"


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
            base, larger = (
                replace(spec(profile, benchmark, "generated", "ce", seed), encoder=size) for size in (small, large)
            )
            imp = replace(larger, method="imp", quality=Checker(quality))
            made = {
                QUALITY_CHECKER: quality,
                "CE-Loss": larger,
                BASE_DC: replace(imp, diversity=Checker(base)),
                LARGE_DC: replace(imp, diversity=Checker(larger)),
                "DIMP-Loss": replace(imp, method="dimp"),
            }
            for title, run in made.items():
                cells.append(Cell(BASE if title == QUALITY_CHECKER else LARGER, title, benchmark, seed, run))
    return without_curve(cells, table1(profile))


def first_seeds(profile: Profile, count: int = 0) -> tuple[int, ...]:
    """The profile's first ``count`` seeds; 0 for as many as its ablations have."""
    return profile.seeds[: count or profile.ablations.seeds]


def figure2(
    profile: Profile, benchmark: str = "financial", seeds: Iterable[int] | None = None, shares: Iterable[int] = ()
) -> list[Cell]:
    """Figure 2: quality checkers fitted on a share of the *training* set; a variant is the share in per cent.

    The checkers have the recipe of D_P'; ``shares`` and ``seeds`` are the profile's where they are not given.
    """
    cells = []
    for seed in first_seeds(profile) if seeds is None else seeds:
        for share in tuple(shares) or profile.ablations.shares:
            checker = replace(spec(profile, benchmark, "dev", "ce", seed), source=Source(f"train:{share}%"))
            cells += [
                Cell(str(share), title, benchmark, seed, run)
                for title, run in _with_checker(profile, benchmark, seed, checker).items()
            ]
    return without_curve(cells, table1(profile))


def real_sizes(profile: Profile, benchmark: str = "financial", seeds: Iterable[int] | None = None) -> list[Cell]:
    """D_P' of other sizes; a variant is the pool in its place. It fits the checker *and* selects the epoch.

    The runs of CE-Loss are there for the second reason: with less D_P' they choose their epoch by fewer texts.
    """
    cells = []
    for seed in first_seeds(profile) if seeds is None else seeds:
        for pool in profile.ablations.real:
            checker = replace(spec(profile, benchmark, "dev", "ce", seed), source=Source(pool), selection=pool)
            made = _with_checker(profile, benchmark, seed, checker)
            cells += [Cell(pool, title, benchmark, seed, selected_by(run, pool)) for title, run in made.items()]
    return without_curve(cells, table1(profile))


def generated_sizes(profile: Profile, benchmark: str = "financial", seeds: Iterable[int] | None = None) -> list[Cell]:
    """D_Q of other sizes; a variant is the pool in its place, for the classifier and its diversity checker."""
    cells = [
        Cell(pool, TITLES[method], benchmark, seed, spec(profile, benchmark, pool, method, seed))
        for seed in (first_seeds(profile) if seeds is None else seeds)
        for pool in profile.ablations.generated
        for method in ("ce", "imp", "dimp")
    ]
    return without_curve(cells, table1(profile))


def _with_checker(profile: Profile, benchmark: str, seed: int, checker: RunSpec) -> dict[str, RunSpec]:
    """The quality checker, CE, and IMP and DIMP on D_Q with that checker, by the titles of their lines."""
    made = {TITLES[m]: spec(profile, benchmark, "generated", m, seed) for m in ("ce", "imp", "dimp")}
    weighted = {t: replace(run, quality=Checker(checker)) if run.quality else run for t, run in made.items()}
    return {QUALITY_CHECKER: checker, **weighted}


def selected_by(run: RunSpec, pool: str) -> RunSpec:
    """The run with its epoch selected on another pool, and its diversity checker's, too."""
    diversity = run.diversity
    if diversity is not None and diversity.run is not None:
        diversity = replace(diversity, run=replace(diversity.run, selection=pool))
    return replace(run, selection=pool, diversity=diversity)
