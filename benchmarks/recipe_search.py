"""Chooses a profile's recipes by real texts that are no test set; no seed of the tables (0-3) is used.

The paper's learning rate leaves small encoders at the majority class after the 35 steps that D_P' allows, so
a profile with another encoder needs recipes of its own. Three grids of CE, each decided by a rule fixed beforehand:

* ``dev`` (the checkers on D_P'): three-fold cross-validation on D_P'; learning rate x epochs x head, and then, for
  the rate and the head that this chose, the other numbers of epochs (``more_epochs``).
* ``generated``: 1,000 random texts of D_Q, three epochs; accuracy on all of D_P'; learning rate, the chosen head.
* ``train``: 1,000 random texts of D_P, three epochs; accuracy on 400 others of D_P; learning rate, the chosen head.

The rule: the highest held-out accuracy of the last epoch, averaged over the benchmarks (and folds); of equals the
lower learning rate, then the fewer epochs, then the architecture's own head. Run it with

    python benchmarks/recipe_search.py --profile mini --data-dir ... --workers 2

Every finished trial is a row of figures/reference/<profile>/recipe_search.csv; started again it goes on with what is
missing, and at the end it prints the choice. The profile's TOML is edited by hand.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.method.recipe import Recipe
from paper_repro.method.train import TrainingData, train
from paper_repro.model.tokens import Encoded, encode
from paper_repro.runs.inputs import open_inputs
from paper_repro.runs.processes import one_thread_each
from paper_repro.texts.folds import fold_of
from paper_repro.tools.paths import project_root

SEED, FOLDS, HEADS = 100, 3, ("own", "mean")
GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "mini": {"learning_rate": (6e-5, 1.5e-4, 3e-4), "dev_epochs": (15,), "more_epochs": (5,)},
    "base": {"learning_rate": (3e-5, 6e-5, 1e-4), "dev_epochs": (8,), "more_epochs": (4, 12)},
}
POOL_EPOCHS, POOL_TEXTS, HELD_OUT_TEXTS = 3, 1000, 400
PLACE = ["source", "benchmark", "learning_rate", "epochs", "head", "fold"]


def trial(settings: dict[str, Any], place: tuple[Any, ...]) -> dict[str, Any]:
    """Held-out accuracy of the last epoch of one CE run."""
    source, benchmark, rate, epochs, head, fold = place
    inputs = open_inputs(**settings)
    pools, directory = inputs.benchmark(benchmark).pools, inputs.encoder.directory
    recipe = Recipe(rate, epochs, precision=inputs.profile.recipes[source].precision, head=head)

    def rows_of(pool: str, rows: Any) -> tuple[Encoded, Any]:
        return encode(pools[pool], directory, recipe.max_length).subset(rows), pools[pool].labels[rows]

    order = np.random.default_rng(SEED).permutation(len(pools[source]))
    if source == "dev":
        fold_numbers = fold_of(pools["dev"].labels, FOLDS)
        fitted, held_out = np.flatnonzero(fold_numbers != fold), np.flatnonzero(fold_numbers == fold)
    else:
        fitted, held_out = order[:POOL_TEXTS], order[POOL_TEXTS : POOL_TEXTS + HELD_OUT_TEXTS]
    texts, labels = rows_of(source, fitted)
    dev, dev_labels = (
        rows_of("dev", np.arange(len(pools["dev"]))) if source == "generated" else rows_of(source, held_out)
    )
    # The held-out texts stand in for the test set, too, so that none is touched.
    data = TrainingData(texts, labels, dev, dev_labels, dev, dev_labels, inputs.benchmark(benchmark).classes)
    last = train(data, directory, "ce", recipe, SEED + fold, device=inputs.device).history[-1]
    counts = {"n_train": len(labels), "n_held_out": len(dev_labels)}
    return {
        **dict(zip(PLACE, place, strict=True)),
        **counts,
        "accuracy": last.dev_accuracy,
        "macro_f1": last.dev_macro_f1,
    }


def run(settings: dict[str, Any], places: list[tuple[Any, ...]], path: Path, workers: int) -> pd.DataFrame:
    """All trials of ``places``, those that ``path`` has and those that are added to it now."""
    frame = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=PLACE)
    done = {tuple(row) for row in frame[PLACE].itertuples(index=False)}
    missing = [place for place in places if place not in done]
    with one_thread_each(), ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(trial, settings, place) for place in missing]):
            frame = (
                pd.concat([frame, pd.DataFrame([future.result()])]) if len(frame) else pd.DataFrame([future.result()])
            )
            frame.sort_values(PLACE).to_csv(path, index=False)
            print(*future.result().values(), flush=True)
    return frame


def choice(frame: pd.DataFrame, source: str) -> tuple[float, int, str]:
    """Learning rate, epochs and head by the rule above."""
    rows = frame[frame["source"] == source]
    by_benchmark = (
        rows.groupby(["learning_rate", "epochs", "head", "benchmark"])["accuracy"].mean().unstack("benchmark")
    )
    by_benchmark = by_benchmark.dropna()  # settings that were tried on all benchmarks
    mean = by_benchmark.mean(axis=1).round(6)
    print((100 * by_benchmark.assign(mean=mean)).round(1).to_string())
    ranked = sorted(mean.items(), key=lambda item: (-item[1], item[0][0], item[0][1], item[0][2] != "own"))
    rate, epochs, head = ranked[0][0]
    print(f"{source}: learning_rate = {rate:g}, epochs = {epochs}, head = {head!r}\n", flush=True)
    return rate, epochs, head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="mini", choices=sorted(GRIDS))
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    inputs, grid = open_inputs(given.profile, data_dir=given.data_dir, device=given.device), GRIDS[given.profile]
    path = project_root() / "figures" / "reference" / given.profile / "recipe_search.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    names, rates = inputs.profile.benchmarks, grid["learning_rate"]
    places = list(product(["dev"], names, rates, grid["dev_epochs"], HEADS, range(FOLDS)))
    rate, _, head = choice(run(inputs.settings(), places, path, given.workers), "dev")
    places += product(["dev"], names, [rate], grid["more_epochs"], [head], range(FOLDS))
    choice(run(inputs.settings(), places, path, given.workers), "dev")
    places = list(product(["generated", "train"], names, rates, [POOL_EPOCHS], [head], [0]))
    frame = run(inputs.settings(), places, path, given.workers)
    for source in ("generated", "train"):
        choice(frame, source)


if __name__ == "__main__":
    main()
