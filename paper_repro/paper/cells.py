"""What every grid is made of: one run with its place in a table, and the specification of a usual run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from paper_repro.method.recipe import Recipe
from paper_repro.method.registry import method_of
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunSpec, Source
from paper_repro.tools.errors import UserError


@dataclass(frozen=True)
class Cell:
    """One run of a table: its block, its row, its column and what to train.

    ``train_source``, ``method`` and ``benchmark`` are ids (:mod:`paper_repro.paper.titles` has their titles):
    usually a pool and a method, else what the table calls its block or row.
    """

    train_source: str
    method: str
    benchmark: str
    seed: int
    spec: RunSpec


def recipe_of(profile: Profile, pool: str) -> Recipe:
    """The profile's recipe for a pool; pools derived from others take that of the first of them, mixtures with D_P'
    that of D_P', which is for so few texts, and other sets of generated texts that of D_Q."""
    name = re.split("[+:]", pool)[0]
    if name == "mix":
        name = "dev" if pool.endswith(":dev") else "generated"
    made = name in ("relabelled", "diversity")
    return next(r for key, r in profile.recipes.items() if key == ("generated" if made else name))


def named(text: str, known: Iterable[str]) -> tuple[str, ...]:
    """The benchmarks in a text, separated by commas; none for an empty one. UserError for one that is not ``known``."""
    names, known = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip())), tuple(known)
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"benchmark {unknown[0]!r} is not known; expected some of: {', '.join(known)}")
    return names


def grouped(cells: Iterable[Cell], *names: str) -> dict[tuple[Any, ...], list[Cell]]:
    """The cells that agree in these fields, under the fields' values, in the order in which they come."""
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(getattr(cell, name) for name in names), []).append(cell)
    return groups


def without_curve(cells: Iterable[Cell]) -> list[Cell]:
    """The cells without test scores of every epoch, which only Figure 1 and its like need. They are the same runs."""
    return [
        replace(cell, spec=replace(cell.spec, recipe=replace(cell.spec.recipe, test_curve=False))) for cell in cells
    ]


def spec(profile: Profile, benchmark: str, pool: str, method: str, seed: int) -> RunSpec:
    """A run with the profile's recipe. Checkers have the run's own seed, so that the seeds are
    independent repetitions of the whole method; the checker on a pool is the CE run of the same seed on it."""

    def run(source: str, name: str, quality: Checker | None = None, diversity: Checker | None = None) -> RunSpec:
        recipe = recipe_of(profile, source)
        return RunSpec(
            benchmark, Source(source), name, seed, recipe, profile.encoder, quality=quality, diversity=diversity
        )

    needs = method_of(method)
    quality = Checker(run("dev", "ce")) if needs.quality else None
    diversity = Checker(run(pool, "ce"), folds=5 if needs.cross_fitted else 0) if needs.diversity else None
    return run(pool, method, quality, diversity)


def checker(profile: Profile, benchmark: str, fitted_on: str, seed: int, folds: int = 0) -> Checker:
    """Table 1's CE run on a pool as something that scores texts; with ``folds`` each text of that pool is scored by a
    model that did not see it."""
    return Checker(spec(profile, benchmark, fitted_on, "ce", seed), folds=folds)
