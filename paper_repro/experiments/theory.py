"""Runs that ask where each loss leads: many generated texts, no selection of the epoch, one teacher for all.

They belong to a miniature world with a larger D_Q than the profile's (``world={"generated": LIMIT_TEXTS}``), which
only such a world can draw, so they are no table of the profile and ``paper-repro status`` does not count them.
"""

from __future__ import annotations

from dataclasses import replace

from paper_repro.experiments.grid import GENERATED, TITLES, Cell, spec
from paper_repro.experiments.table1 import TABLE1_METHODS
from paper_repro.losses import Switches
from paper_repro.profiles import Profile
from paper_repro.runs import Checker

LIMIT_TEXTS, LIMIT_EPOCHS = 8000, 6
"""Four times the profile's D_Q, each text seen six times: by run time and by the CE row, whose limit is textbook.

An earlier grid with three passes had been looked at whole: CE was further from Q (0.095), and IMP's margin over the
next law was clearer (0.012 [0.005, 0.019] with the exact Q) than it is with six.
"""

LIMIT_TITLES = {
    "CE": ("ce", 1.0),
    "w/o diversity checker": ("quality_only", 1.0),
    "IMP, exact Q": ("imp", 1.0),
    "IMP, estimated Q": ("imp", 1.0),
    "DIMP": ("dimp", 1.0),
    "DIMP, gamma 2": ("dimp", 2.0),
}


def limits(profile: Profile, benchmark: str = "financial", seeds: int = 3) -> list[Cell]:
    """Every loss of :data:`LIMIT_TITLES` on one benchmark, ``seeds`` times.

    The quality checker is that of the first seed in all of them, so that the runs of a loss differ by training
    alone and have one and the same predicted limit. The estimated Q is the CE run of that seed on D_Q itself.
    """
    teacher = Checker(spec(profile, benchmark, "dev", "ce", profile.seeds[0]))

    def long(method: str, seed: int, gamma: float = 1.0, diversity: Checker | None = None) -> Cell:
        usual = spec(profile, benchmark, "generated", method, seed)
        recipe = replace(usual.recipe, epochs=LIMIT_EPOCHS, select="last", test_curve=False)
        quality = None if method == "ce" else teacher
        made = replace(usual, recipe=recipe, switches=Switches(gamma=gamma), quality=quality, diversity=diversity)
        return Cell(GENERATED, "", benchmark, seed, made)

    estimated = Checker(long("ce", profile.seeds[0]).spec)
    cells = []
    for seed in profile.seeds[:seeds]:
        for title, (method, gamma) in LIMIT_TITLES.items():
            exact = Checker(exact="q") if title == "IMP, exact Q" else None
            diversity = exact or (estimated if method == "imp" else None)
            cells.append(replace(long(method, seed, gamma, diversity), method=title))
    return cells


def usual_runs(profile: Profile) -> list[Cell]:
    """The runs of Table 1 on generated data whose limit is known, under their titles there."""
    methods = [method for method in TABLE1_METHODS["generated"] if method != "focal"]
    return [
        Cell(GENERATED, TITLES[method], benchmark, seed, spec(profile, benchmark, "generated", method, seed))
        for seed in profile.seeds
        for benchmark in profile.benchmarks
        for method in methods
    ]
