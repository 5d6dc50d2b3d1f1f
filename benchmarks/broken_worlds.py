"""Breaks the paper's assumptions in the miniature world, one at a time, and measures what is left of the effect.

Sec. 3.3 assumes that the generator's texts are distributed like real ones, Q(x) ~ P(x), and importance sampling
that Q gives every label that people give, P << Q. The knobs are turned far enough to be seen, in the direction that
:mod:`paper_repro.texts.world` argues; recipe, seeds and encoder are those of the profile. Run it with

    python benchmarks/broken_worlds.py

It writes figures/reference/demo/broken_worlds.csv: method minus CE on generated data in points of accuracy, with the
paired 95 % interval.
"""

from __future__ import annotations

import argparse

import pandas as pd

from paper_repro.paper import csv_files
from paper_repro.paper.beside_paper import differences
from paper_repro.paper.table1.cells import table1
from paper_repro.study import open_study
from paper_repro.tools.paths import Paths

WORLDS = {
    "as assumed": {},
    "input shift: Q avoids the texts that it misjudges": {"input_shift": 0.95},
    "P not << Q: some labels are never given by Q": {"support_gap": 1.0},
}
METHODS = ("ce", "imp", "dimp", "oracle")


def measure(title: str, knobs: dict[str, float], workers: int, results_dir: str) -> pd.DataFrame:
    """The differences to CE on generated data in one world."""
    study = open_study("demo", workers=workers, results_dir=results_dir, world=knobs)
    grid = table1(study.profile)
    cells = [cell for cell in grid if cell.train_source == "generated" and cell.method in METHODS]
    study.run(cell.spec for cell in cells)
    frame = differences(study, cells)
    frame.insert(0, "world", title)
    return frame.drop(columns=["train_source", "baseline"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--results-dir", default="")
    given = parser.parse_args()
    frames = [measure(title, knobs, given.workers, given.results_dir) for title, knobs in WORLDS.items()]
    frame = pd.concat(frames, ignore_index=True)
    csv_files.save(frame, Paths.of("demo").reference / "broken_worlds.csv")
    print(frame[["world", "benchmark", "method", "mean", "low", "high", "n_seeds", "n_test"]].round(1).to_string())


if __name__ == "__main__":
    main()
