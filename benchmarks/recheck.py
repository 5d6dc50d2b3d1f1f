"""Train runs of a store again with the code as it is, and compare them bit for bit with what the store has.

    python benchmarks/recheck.py --profile mini --data-dir path/to/benchmarks --runs 6

Takes the shortest finished run of each method and pool of Table 1, at most --runs of them. Bits agree on the same CPU
and torch only. A change of the engine that passes for every method may be entered in paper_repro/versions.py, so that
its runs need not be made again; the scores of the checkers that the runs use come from the store.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch

from paper_repro import experiments
from paper_repro.method import train
from paper_repro.runs.spec import RunResult, RunSpec
from paper_repro.study import Workspace, open_workspace


def shortest(workspace: Workspace, most: int) -> dict[RunSpec, RunResult]:
    """The quickest finished run of each (pool, method), the quickest first."""
    done = {
        cell.spec: found for cell in experiments.table1(workspace.profile) if (found := workspace.result(cell.spec))
    }
    by_time = sorted(done, key=lambda spec: done[spec].seconds["total"])
    first = {(spec.source.pool, spec.method): spec for spec in reversed(by_time)}
    return {spec: done[spec] for spec in sorted(first.values(), key=by_time.index)[:most]}


def differences(workspace: Workspace, spec: RunSpec, stored: RunResult) -> list[str]:
    """What is not the same after training ``spec`` again: names of measures, with the largest difference."""
    again = train.train(
        workspace.training_data(spec),
        workspace.encoder_named(spec.encoder).directory,
        spec.method,
        spec.recipe,
        spec.seed,
        switches=spec.switches,
        device=workspace.device,
    )
    found = []
    for name in ("dev_probabilities", "test_probabilities"):
        old, new = np.asarray(getattr(stored, name)), np.asarray(getattr(again, name))
        if not np.array_equal(old, new.astype(old.dtype)):
            found.append(f"{name} by up to {np.abs(old - new).max():.2g}")
    for name in ("train_loss", "dev_accuracy", "test_accuracy", "weight_mean", "weight_ess", "weight_max"):
        old, new = (np.array([getattr(epoch, name) for epoch in run.history]) for run in (stored, again))
        if not np.array_equal(old, new, equal_nan=True):
            found.append(f"{name} by up to {np.abs(old - new).max():.2g}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--results-dir", default="")
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1, help="as many as each worker had")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    workspace = open_workspace(chosen.profile, data_dir=chosen.data_dir, results_dir=chosen.results_dir)
    runs = shortest(workspace, chosen.runs)
    other = 0
    for spec, stored in runs.items():
        found = differences(workspace, spec, stored)
        other += bool(found)
        print(
            f"{spec.benchmark} {spec.source.pool} {spec.method} seed {spec.seed} (stored by"
            f" {str(stored.environment.get('commit'))[:12]}): {'; '.join(found) or 'the same bits'}",
            flush=True,
        )
    print(f"{len(runs) - other} of {len(runs)} runs are the same, bit for bit")
    return 1 if other or not runs else 0


if __name__ == "__main__":
    sys.exit(main())
