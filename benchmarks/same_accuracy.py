"""Whether the three engines give classifiers of the same accuracy: real data, real weights, many seeds.

    python benchmarks/same_accuracy.py --data-dir ... --workers 2 [--device cuda]

CE on the first 800 of a shuffled D_Q by the recipe of ``mini``, last epoch, whole test set. Each seed trains once with
``fidelity`` "authors" (random batches, padded), "packed" (the same batches end to end) and "fast" (length buckets),
all in bf16; "authors" also has torch's own dropout, its plain AdamW and the whole embedding table, so that it is an
independent path. Dropout masks differ between the engines, and so does, from its first step on, every run.

The rule was fixed before any of these seeds was trained: two engines have the same accuracy on a benchmark when the
95 % interval of the mean difference (Student's t over seeds, paired) holds 0 and stays within one standard deviation
of "authors" between seeds (of the first engine there is, where some are left out).
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import combinations, product
from multiprocessing import get_context
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from paper_repro.measures.intervals import mean_interval
from paper_repro.method.gpu_engine.loop import PACKED
from paper_repro.method.train import TrainingData, train
from paper_repro.model.tokens import encode
from paper_repro.runs.inputs import open_inputs
from paper_repro.runs.processes import one_thread_each
from paper_repro.tools.machine import environment

Engine = Literal["authors", "packed", "fast"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
TEXTS, LONGEST = 800, 64  # tokens; Tweet Irony has no longer text, Financial 12 of 3,000 generated, 27 of 1,212 test


def trial(settings: dict[str, Any], benchmark: str, seed: int, engine: Engine) -> dict[str, Any]:
    """Test accuracy after the last epoch of one run."""
    inputs = open_inputs(**settings)
    found, directory = inputs.benchmark(benchmark), inputs.encoder.directory
    usual = inputs.profile.recipes["generated"]
    recipe = replace(usual, fidelity=engine, max_length=LONGEST, select="last", test_curve=False)
    some = np.random.default_rng(0).permutation(len(found.pools["generated"]))[:TEXTS]
    train_pool, dev, test = (found.pools[name] for name in ("generated", "dev", "test"))
    encoded, *others = (encode(pool, directory, LONGEST) for pool in (train_pool, dev, test))
    data = TrainingData(
        encoded.subset(some), train_pool.labels[some], others[0], dev.labels, others[1], test.labels, found.classes
    )
    path = PACKED if engine == "packed" else None
    last = train(data, directory, "ce", recipe, seed, device=inputs.device, engine=path).history[-1]
    return {
        "benchmark": benchmark,
        "seed": seed,
        "engine": engine,
        "accuracy": 100 * last.test_accuracy,
        "loss": last.train_loss,
        "n_test": len(test),
        "seconds": last.seconds,
    }


def compared(frame: pd.DataFrame) -> pd.DataFrame:
    """Each two engines: mean difference in points, its 95 % interval, and what the rule says."""
    rows = []
    for benchmark, group in frame.groupby("benchmark", sort=False):
        by = group.pivot(index="seed", columns="engine", values="accuracy")
        engines = [engine for engine in ENGINES if engine in by]
        noise = by[engines[0]].std()
        for theirs, ours in combinations(engines, 2):
            gap = mean_interval((by[ours] - by[theirs]).to_numpy())
            same = gap.low <= 0 <= gap.high and max(-gap.low, gap.high) <= noise
            rows.append((benchmark, f"{ours} - {theirs}", gap.mean, gap.low, gap.high, noise, len(by), same))
    columns = ["benchmark", "difference", "points", "low", "high", "seed_sd", "n_seeds", "same"]
    return pd.DataFrame(rows, columns=columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--first-seed", type=int, default=4, help="0 to 3 raised the question")
    parser.add_argument("--engines", nargs="+", default=ENGINES, choices=ENGINES)
    parser.add_argument("--benchmarks", nargs="+", default=("tweet_irony", "financial"))
    parser.add_argument("--out", default="same_accuracy.csv", help="every run's accuracy goes there")
    given = parser.parse_args()
    inputs = open_inputs("mini", data_dir=given.data_dir, device=given.device)
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    trials = [(name, seed, engine) for seed, name, engine in product(seeds, given.benchmarks, given.engines)]
    with one_thread_each(), ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        frame = pd.DataFrame(pool.map(trial, [inputs.settings()] * len(trials), *zip(*trials, strict=True)))
    frame.to_csv(given.out, index=False, float_format="%.6g")
    print(f"{environment(inputs.device, 1)['device']}; one thread a run; CE on {TEXTS} generated texts")
    print(frame.groupby(["benchmark", "engine"], sort=False)[["accuracy", "loss", "seconds"]].mean().round(3))
    print(compared(frame).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
