"""What the store and the executor cost beside the trainings, in a store of 10,000 finished runs.

    python benchmarks/store_overhead.py [--runs 10000] [--scheduler] [--folder DIR]

The runs are made up: Table 1's of the miniature world with as many seeds as it takes, each with arrays of true size
and a "training" that takes no time. Everything is written below a temporary folder (0.6 GB for 10,000 runs), which is
removed at the end. Needs half a minute for the miniature world's encoder, unless the checkout's results have it.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from paper_repro.method import train
from paper_repro.method.recipe import EpochRecord
from paper_repro.paper.cells import Cell
from paper_repro.paper.table1.cells import table1
from paper_repro.report import page
from paper_repro.report.workload import grids, workload
from paper_repro.runs.plan import plan
from paper_repro.runs.spec import RunSpec, Task
from paper_repro.study import Study, open_study
from paper_repro.tools.machine import environment
from paper_repro.tools.paths import Paths, project_root
from paper_repro.tools.progress import Progress

TARGETS = {"a run, store": 20.0, "a run, executor": 20.0, "a run, Dask": 20.0}  # ms
LIMIT = 5.0  # seconds, for everything that looks at all runs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--scheduler", action="store_true", help="also through a Dask cluster of two local workers")
    parser.add_argument("--folder", default=None, help="the temporary folder is made here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="store-overhead-", dir=arguments.folder) as folder:
        rows = measure(Path(folder), arguments.runs, arguments.scheduler)
    print(f"{environment('cpu', 1)['device']}; {arguments.runs} finished runs; medians and totals of one pass")
    print(pd.DataFrame(rows, columns=["what", "measured", "target"]).to_string(index=False))
    return 0


def measure(folder: Path, count: int, scheduler: bool) -> list[tuple[str, str, str]]:
    own = Paths.of("demo").cache / "encoders"
    if own.is_dir():
        shutil.copytree(own, folder / "cache" / "encoders")
    study = open_study("demo", results_dir=str(folder), figures_dir=str(folder / "figures"), workers=2)
    per_seed = len(cells_of(study, 1))
    study.inputs.profile = replace(study.profile, seeds=tuple(range(-(-count // per_seed))))
    specs = list(dict.fromkeys(cell.spec for cell in cells_of(study, len(study.profile.seeds))[:count]))
    with no_training(study):
        tasks = plan(study, specs)
        written = each(study, tasks)
    new = [replace(spec, seed=spec.seed + 10**6) for spec in specs if spec.method == "ce"][:200]
    with no_training(study):
        at_the_end = each(study, plan(study, new))
    done = [replace(task, needs=(), keep_checkpoint=False) for task in tasks if task.kind == "run"]
    rows = [
        per_run("a run, store", np.median(at_the_end), f"({np.median(written):.1f} over all)"),
        per_run("a run, executor", through_workers(study, done[:1000])),
    ]
    if scheduler:
        rows.append(per_run("a run, Dask", through_dask(folder, done[:1000])))
    rows.append(in_all("resume: everything is planned, nothing is left to do", finished, again(study), specs))
    tables = grids(study.profile)
    cells = sum(map(len, tables.values()))
    rows.append(in_all(f"what is left of all tables, {cells} cells", workload, again(study), tables))
    rows.append(in_all("`paper-repro status`, from its start", command, "status", folder))
    rows.append(in_all("report", page.build, pages(folder, tasks, count)))
    return rows


def cells_of(study: Study, seeds: int) -> list[Cell]:
    return table1(replace(study.profile, seeds=tuple(range(seeds))))


def again(study: Study) -> Study:
    """The same store and profile, opened anew: nothing is known yet."""
    fresh = open_study("demo", results_dir=str(study.paths.results_root), workers=1)
    fresh.inputs.profile = study.profile
    return fresh


def finished(study: Study, specs: list[RunSpec]) -> None:
    left = plan(study, specs)
    assert left == [], f"{len(left)} tasks are left"


@contextmanager
def no_training(study: Study) -> Iterator[None]:
    """Trainings and scorings that return arrays of true size at once."""
    rng = np.random.default_rng(0)

    def probabilities(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return rng.dirichlet(np.ones(shape[1]), shape[0]).astype(np.float32)

    record = EpochRecord(1, 1.0, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 0.1, 1.0)

    def made_up(data: train.TrainingData, *_: object, **__: object) -> train.Trained:
        seconds = {"load": 0.0, "train": 0.0, "evaluate": 0.0, "total": 0.0}
        log_p = -rng.standard_exponential((4, len(data.train_labels)), dtype=np.float32)
        dev, test = (probabilities(len(labels), data.classes) for labels in (data.dev_labels, data.test_labels))
        return train.Trained((record,) * 4, 1, dev, test, log_p, seconds, None, None)

    def made_up_scores(_: Path, __: Path, classes: int, encoded: object, *___: object) -> object:
        return np.log(probabilities(len(encoded), classes))  # type: ignore[arg-type]

    with ExitStack() as patches:
        patches.enter_context(patch("paper_repro.method.train.train", made_up))
        patches.enter_context(patch("paper_repro.runs.tasks.score_pool", made_up_scores))
        patches.enter_context(patch.object(type(study.store), "has_checkpoint", lambda *_: True))
        yield


class Clock(Progress):
    """Notes when each task was done."""

    def __init__(self, tasks: int) -> None:
        super().__init__(max(tasks, 1), quiet=True)
        self.times = [time.perf_counter()]

    def update(self, label: str, outcome: dict[str, object]) -> None:
        assert outcome["status"] == "done", outcome
        self.times.append(time.perf_counter())


def each(study: Study, tasks: list[Task]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Milliseconds of each run, one after the other in this process."""
    clock, workers = Clock(len(tasks)), study.workers
    study.workers = 1
    study.execute(tasks, clock)
    study.workers = workers
    return 1000 * np.diff(clock.times)[[task.kind == "run" for task in tasks]]


def through_workers(study: Study, tasks: list[Task]) -> float:
    """Milliseconds a task that its worker finds done, from the first answer on (workers have started by then)."""
    clock, start = Clock(len(tasks)), 20
    study.execute(tasks, clock)
    return 1000 * (clock.times[-1] - clock.times[start]) / (len(clock.times) - 1 - start)


def through_dask(folder: Path, tasks: list[Task]) -> float:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        there = open_study("demo", results_dir=str(folder), scheduler=cluster.scheduler_address)
        return through_workers(there, tasks)


def command(name: str, folder: Path) -> None:
    words = [sys.executable, "-m", "paper_repro", name, "--results-dir", str(folder)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def pages(folder: Path, tasks: list[Task], count: int) -> Paths:
    """The demo's figures with as many runs in Table 1's list, each of which the store has."""
    figures = folder / "figures" / "demo"
    shutil.copytree(project_root() / "figures" / "reference" / "demo", figures)
    runs = pd.read_csv(figures / "table1_runs.csv")
    selected = runs[runs["selected"].fillna(False).astype(bool)]
    many = pd.concat([selected] * (count // len(selected) + 1))[:count]
    keys = [task.key for task in tasks if task.kind == "run"]
    many.assign(key=(keys * (count // len(keys) + 1))[:count]).to_csv(figures / "table1_runs.csv", index=False)
    return Paths.of("demo", str(folder), str(folder / "figures"))


def processor_time() -> float:
    """Seconds of this process and of those that it has waited for; other load on the machine does not enter."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def per_run(what: str, milliseconds: float, more: str = "") -> tuple[str, str, str]:
    verdict = "" if milliseconds <= TARGETS[what] else " (missed)"
    return what, f"{milliseconds:.1f} ms {more}", f"<= {TARGETS[what]:.0f} ms{verdict}"


def in_all(what: str, action: Callable[..., object], *arguments: Any) -> tuple[str, str, str]:
    started, worked = time.perf_counter(), processor_time()
    action(*arguments)
    taken, worked = time.perf_counter() - started, processor_time() - worked
    missed = "" if taken < LIMIT else " (missed)"
    return what, f"{taken:.1f} s ({worked:.1f} s of processor time)", f"< {LIMIT:.0f} s{missed}"


if __name__ == "__main__":
    sys.exit(main())
