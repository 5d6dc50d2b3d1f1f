"""The grids behind the tables: which specification stands in which cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paper_repro.profiles import Profile
from paper_repro.runs import Checker, RunSpec, Source

SMALL, GENERATED, LARGE = "Small real world", "GPT-3.5 generated", "Large real world"
SOURCES = {"dev": SMALL, "generated": GENERATED, "train": LARGE}
ORACLE = "Oracle (true weights)"

# Titles of Table 1's rows by method; on D_P' the CE model is the quality checker itself.
TITLES = {
    "ce": "CE-Loss",
    "focal": "Focal-Loss",
    "imp": "IMP-Loss (Ours)",
    "dimp": "DIMP-Loss (Ours)",
    "quality_only": "- w/o diversity checker",
}
TABLE1_METHODS = {
    "dev": ("ce", "focal", "dimp"),
    "generated": ("ce", "focal", "imp", "dimp", "quality_only"),
    "train": ("ce", "focal", "imp", "dimp"),
}


@dataclass(frozen=True)
class Cell:
    """One run of a table: its row, its column and what to train. Titles are those of the paper's table."""

    train_source: str
    method: str
    benchmark: str
    seed: int
    spec: RunSpec


def spec(profile: Profile, benchmark: str, pool: str, method: str, seed: int) -> RunSpec:
    """A run of Table 1 with the profile's recipe. Checkers have the run's own seed, so that the seeds are
    independent repetitions of the whole method; the checker on a pool is the CE run of the same seed on it."""

    def run(source: str, method: str, quality: Checker | None = None, diversity: Checker | None = None) -> RunSpec:
        recipe = profile.recipes[source]
        return RunSpec(
            benchmark, Source(source), method, seed, recipe, profile.encoder, quality=quality, diversity=diversity
        )

    quality = Checker(run("dev", "ce")) if method in ("imp", "dimp", "quality_only") else None
    diversity = Checker(run(pool, "ce")) if method == "imp" else None
    return run(pool, method, quality, diversity)


def oracle(profile: Profile, benchmark: str, seed: int) -> RunSpec:
    """IMP on D_Q with the true weights P(y|x)/Q(y|x), which only the miniature world knows (Eq. 4)."""
    recipe = profile.recipes["generated"]
    true_p, true_q = Checker(exact="p"), Checker(exact="q")
    return RunSpec(
        benchmark, Source("generated"), "imp", seed, recipe, profile.encoder, quality=true_p, diversity=true_q
    )


def table1(profile: Profile) -> list[Cell]:
    """Every run of Table 1 and Figure 1, seed by seed, so that an interrupted grid holds whole repetitions."""
    cells = []
    for seed in profile.seeds:
        for benchmark in profile.benchmarks:
            for pool, methods in TABLE1_METHODS.items():
                for method in methods:
                    title = "CE-Loss (quality checker)" if (pool, method) == ("dev", "ce") else TITLES[method]
                    made = spec(profile, benchmark, pool, method, seed)
                    cells.append(Cell(SOURCES[pool], title, benchmark, seed, made))
            if profile.kind == "miniature":
                cells.append(Cell(GENERATED, ORACLE, benchmark, seed, oracle(profile, benchmark, seed)))
    return cells


# Each grid by the name of its table; `paper-repro status` counts them.
TABLES: Mapping[str, Callable[[Profile], list[Cell]]] = {"Table 1": table1}
