"""Chooses a profile's recipe on D_P' alone: no test set is opened, no seed of the tables (0-3) is used.

The paper's learning rate leaves small encoders at the majority class after the 35 steps that D_P' allows, so
a profile with another encoder needs a recipe of its own. Two grids, each decided by a rule fixed beforehand:

* ``dev`` (the checkers on D_P'): three-fold cross-validation on D_P'; CE, learning rate x epochs.
* ``generated`` (used for D_P too): CE on a random half of D_Q, three epochs; dev accuracy on all of D_P'.

The rule: the highest held-out accuracy of the last epoch, averaged over the three benchmarks (and folds);
of equals the lower learning rate, then the fewer epochs. Run it with

    python benchmarks/recipe_search.py --profile mini --data-dir ... --workers 2

It writes figures/reference/<profile>/recipe_search.csv and prints the choice; the profile's TOML is edited by hand.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.texts.folds import fold_of
from paper_repro.model.tokens import encode
from paper_repro.runs.execute import one_thread_each
from paper_repro.method.recipe import Recipe
from paper_repro.method.train import TrainingData, train
from paper_repro.study import open_workspace

SEED = 100
LEARNING_RATES = (6e-5, 1.5e-4, 3e-4)
DEV_EPOCHS = (5, 15)
FOLDS = 3
GENERATED_EPOCHS = 3


def trial(settings: dict[str, Any], source: str, benchmark: str, rate: float, epochs: int, fold: int) -> dict[str, Any]:
    """Held-out accuracy of the last epoch of one CE run."""
    workspace = open_workspace(**settings)
    pools = workspace.benchmark(benchmark).pools
    directory, cache = workspace.encoder.directory, workspace.paths.cache
    recipe = Recipe(rate, epochs, precision=workspace.profile.recipes[source].precision)
    dev = encode(pools["dev"], directory, recipe.max_length, cache)
    dev_labels = pools["dev"].labels
    if source == "dev":
        held_out = fold_of(dev_labels, FOLDS) == fold
        fitted, fitted_labels = dev.subset(np.flatnonzero(~held_out)), dev_labels[~held_out]
        dev, dev_labels = dev.subset(np.flatnonzero(held_out)), dev_labels[held_out]
    else:
        half = np.random.default_rng(SEED).permutation(len(pools[source]))[: len(pools[source]) // 2]
        fitted = encode(pools[source], directory, recipe.max_length, cache).subset(half)
        fitted_labels = pools[source].labels[half]
    classes = workspace.benchmark(benchmark).classes
    # D_P' stands in for the test set, too, so that none is touched.
    data = TrainingData(fitted, fitted_labels, dev, dev_labels, dev, dev_labels, classes)
    last = train(data, directory, "ce", recipe, SEED + fold, device=workspace.device).history[-1]
    return {
        "source": source,
        "benchmark": benchmark,
        "learning_rate": rate,
        "epochs": epochs,
        "fold": fold,
        "n_train": len(fitted),
        "n_held_out": len(dev),
        "accuracy": last.dev_accuracy,
        "macro_f1": last.dev_macro_f1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="mini")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    workspace = open_workspace(given.profile, data_dir=given.data_dir, device=given.device, workers=1)
    names = workspace.profile.benchmarks
    trials = list(product(["dev"], names, LEARNING_RATES, DEV_EPOCHS, range(FOLDS)))
    trials += list(product(["generated"], names, LEARNING_RATES, [GENERATED_EPOCHS], [0]))
    with (
        one_thread_each(),
        ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool,
    ):
        rows = list(pool.map(trial, [workspace.settings()] * len(trials), *zip(*trials, strict=True)))
    frame = pd.DataFrame(rows)
    folder = workspace.paths.reference
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "recipe_search.csv", index=False)
    mean = frame.groupby(["source", "learning_rate", "epochs", "benchmark"])["accuracy"].mean().unstack("benchmark")
    mean["mean"] = mean.mean(axis=1)
    print((100 * mean).round(1).to_string())
    for source, group in mean["mean"].round(6).groupby("source"):
        best = group[group == group.max()].sort_index().index[0]
        print(f"{source}: learning_rate = {best[1]:g}, epochs = {best[2]}")


if __name__ == "__main__":
    main()
