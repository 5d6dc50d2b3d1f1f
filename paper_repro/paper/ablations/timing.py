"""Table 3 and Figure 3: what each method costs, on the paper's set-up (App. E)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from paper_repro.method.recipe import Recipe
from paper_repro.paper.ablations.sizes import QUALITY_CHECKER
from paper_repro.paper.cells import SOURCES, Cell, spec
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker

EPOCHS, BATCH = 5, 32
TIMED = {"ce": "CE-Loss", "imp": "IMP-Loss", "dimp": "DIMP-Loss"}
"""Table 3's rows by method."""


def timed(recipe: Recipe) -> Recipe:
    """A recipe with App. E's epochs and batch; the test set is scored once, as its time is not measured there."""
    return replace(recipe, epochs=EPOCHS, batch_size=BATCH, test_curve=False)


def table3(profile: Profile, benchmark: str = "financial", seeds: Iterable[int] | None = None) -> list[Cell]:
    """The timed runs: quality checker, CE, IMP and DIMP, seed by seed, so that all have the machine's good and bad
    minutes alike. The diversity checker is the CE run."""
    cells = []
    for seed in profile.seeds if seeds is None else seeds:
        dev, generated = (spec(profile, benchmark, pool, "ce", seed) for pool in ("dev", "generated"))
        checker, ce = (replace(run, recipe=timed(run.recipe)) for run in (dev, generated))
        imp = replace(ce, method="imp", quality=Checker(checker), diversity=Checker(ce))
        dimp = replace(imp, method="dimp", diversity=None)
        cells.append(Cell(SOURCES["dev"], QUALITY_CHECKER, benchmark, seed, checker))
        for method, run in {"ce": ce, "imp": imp, "dimp": dimp}.items():
            cells.append(Cell(SOURCES["generated"], TIMED[method], benchmark, seed, run))
    return cells
