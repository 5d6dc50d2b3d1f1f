"""Table 1 and Figure 1: every loss on every source of training data."""

from __future__ import annotations

from dataclasses import replace

from paper_repro.method.registry import METHODS
from paper_repro.paper.cells import Cell, spec
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunSpec

POOLS = ("dev", "generated", "train")


def oracle(profile: Profile, benchmark: str, seed: int) -> RunSpec:
    """IMP on D_Q with the true weights P(y|x)/Q(y|x), which only the miniature world knows (Eq. 4)."""
    usual = spec(profile, benchmark, "generated", "imp", seed)
    return replace(usual, quality=Checker(exact="p"), diversity=Checker(exact="q"))


def table1(profile: Profile) -> list[Cell]:
    """Every run of Table 1 and Figure 1, seed by seed, so that an interrupted grid holds whole repetitions.

    A method is on the pools that its record names (:attr:`paper_repro.method.record.Method.table1`).
    """
    cells = []
    for seed in profile.seeds:
        for benchmark in profile.benchmarks:
            for pool in POOLS:
                for method in (method for method in METHODS.values() if pool in method.table1):
                    row = "checker" if (pool, method.id) == ("dev", "ce") else method.id
                    cells.append(Cell(pool, row, benchmark, seed, spec(profile, benchmark, pool, method.id, seed)))
                if pool == "generated" and profile.kind == "miniature":
                    cells.append(Cell(pool, "oracle", benchmark, seed, oracle(profile, benchmark, seed)))
    return cells
