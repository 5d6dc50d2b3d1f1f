"""The search over hyper-parameters of App. F: every setting for every method on D_Q, with the same checkers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

from paper_repro.method.recipe import Recipe
from paper_repro.paper.cells import Cell, recipe_of, spec, without_curve
from paper_repro.runs.profiles import Profile


def settings(profile: Profile) -> dict[str, Recipe]:
    """The recipes of the search by their names; that of Table 1 is among them."""
    usual, searched = recipe_of(profile, "generated"), profile.search
    recipes = [
        replace(usual, learning_rate=rate, epochs=epochs, batch_size=size)
        for rate, epochs, size in product(searched.learning_rates, searched.epochs, searched.batch_sizes)
    ]
    return {setting_name(recipe): recipe for recipe in recipes}


def setting_name(recipe: Recipe) -> str:
    return f"rate {recipe.learning_rate:g}, {recipe.epochs} epochs, batches of {recipe.batch_size}"


def usual_setting(profile: Profile) -> str:
    """The name of Table 1's setting."""
    return setting_name(recipe_of(profile, "generated"))


def search(profile: Profile, benchmarks: Iterable[str] = (), seeds: int = 0) -> list[Cell]:
    """Every run of the search; ``train_source`` of a cell is the name of its setting.

    The checkers are those of Table 1 whatever the setting, so that a setting changes the classifier and nothing else.
    ``benchmarks`` and ``seeds`` (the first so many) are those of the profile's search where they are not given.
    """
    cells = []
    for seed in profile.seeds[: seeds or profile.search.seeds]:
        for benchmark in tuple(benchmarks) or profile.search.benchmarks:
            for name, recipe in settings(profile).items():
                for method in profile.search.methods:
                    run = replace(spec(profile, benchmark, "generated", method, seed), recipe=recipe)
                    cells.append(Cell(name, method, benchmark, seed, run))
    return without_curve(cells)
