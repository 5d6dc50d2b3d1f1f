"""How much work a profile is, before any of it is done: runs after sharing, and what more workers gain.

Tables share runs: the diversity checker of one is the CE run of another. What is counted is what
:func:`paper_repro.runs.plan.plan` would compute into an empty store. Encoders are told apart by name here, and so are
the texts of benchmarks that are not at hand, so that no weights and no data are needed to count.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from paper_repro import experiments
from paper_repro.tools.errors import UserError
from paper_repro.texts.pools import Benchmark, Pool
from paper_repro.texts.original_files import LABEL_NAMES
from paper_repro.runs.spec import Source
from paper_repro.runs.plan import Task, plan, scores_plan

if TYPE_CHECKING:
    from paper_repro.study import Workspace

WORKERS = (1, 2, 4, 8, 16, 32, 64)
# What the notebooks train: the tables that `status` counts, and more.
GRIDS: Mapping[str, Callable[..., list[experiments.Cell]]] = {
    **experiments.TABLES,
    "size of D_P'": experiments.real_sizes,
    "size of D_Q": experiments.generated_sizes,
    "switches": experiments.switches,
    "search": experiments.search,
}


# -- inputs of which names are enough ---------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """In a pool's place: texts of which nothing but the name is known."""

    name: str

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()


@dataclass(frozen=True)
class NamedBenchmark:
    """In a benchmark's place, where its files are not at hand."""

    name: str

    @property
    def classes(self) -> int:
        return len(LABEL_NAMES[self.name])

    @property
    def pools(self) -> Mapping[str, Named]:
        return {"test": self.pool("test")}

    def pool(self, name: str) -> Named:
        return Named(f"{self.name} {name}")

    def truth_of(self, _: str) -> None:
        return None


class Nothing:
    """A store in which nothing is done yet."""

    def intact(self, _: str) -> bool:
        return False

    has_checkpoint = intact

    def get_scores(self, _: str) -> None:
        return None


class Outline:
    """In a workspace's place: its benchmarks where they are at hand, names for all else.

    Open the workspace with ``offline``, so that nothing is fetched. ``absent`` tells why benchmarks are not at hand.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.store = workspace, Nothing()
        self.absent: dict[str, str] = {}

    def benchmark(self, name: str) -> Benchmark | NamedBenchmark:
        if name in self.absent:
            return NamedBenchmark(name)
        try:
            return self.workspace.benchmark(name)
        except UserError as error:
            self.absent[name] = str(error).splitlines()[0]
            return NamedBenchmark(name)

    def source_pool(self, benchmark: str, source: Source) -> Pool | Named:
        if isinstance(self.benchmark(benchmark), NamedBenchmark):
            return Named(f"{benchmark} {source}")
        return self.workspace.source_pool(benchmark, source)

    def encoder_fingerprint(self, name: str) -> str:
        return name


# -- counting ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """All tasks of a profile, each once, in the order in which they are begun; and those of each table alone."""

    tables: Mapping[str, list[Task]]

    @cached_property
    def tasks(self) -> list[Task]:
        return merged(self.tables.values())

    def counts(self) -> pd.DataFrame:
        """One row a table: runs and score sets that it needs alone, and those that no table above it has."""
        rows, known = [], set[str]()
        for table, tasks in self.tables.items():
            keys = {kind: {task.key for task in tasks if task.kind == kind} for kind in ("run", "score")}
            row = {"runs": len(keys["run"]), "of them new": len(keys["run"] - known)}
            rows.append({"table": table, **row, "new score sets": len(keys["score"] - known)})
            known |= keys["run"] | keys["score"]
        return pd.DataFrame(rows)


def merged(plans: Iterable[Sequence[Task]]) -> list[Task]:
    """The tasks of several plans, each once; one that any of them wants a checkpoint of keeps it."""
    tasks: dict[str, Task] = {}
    for task in (task for tasks in plans for task in tasks):
        known = tasks.get(task.key, task)
        tasks[task.key] = replace(known, keep_checkpoint=known.keep_checkpoint or task.keep_checkpoint)
    return list(tasks.values())


def whole(outline: Outline, grids: Mapping[str, Callable[..., list[experiments.Cell]]] = GRIDS) -> Plan:
    """Everything that a profile's tables need, or those of ``grids``."""
    profile, inputs = outline.workspace.profile, cast(Any, outline)
    tables = {name: plan(inputs, [cell.spec for cell in grid(profile)]) for name, grid in grids.items()}
    if "Sec. 3.2" in tables:  # its measures are taken from scores, of more pools than runs train on
        scores = scores_plan(inputs, experiments.section3_2_scores(profile))
        tables["Sec. 3.2"] = merged([tables["Sec. 3.2"], scores])
    return Plan(tables)


# -- more workers -----------------------------------------------------------------------------------------


def makespan(tasks: Sequence[Task], cost: Callable[[Task], float], workers: int) -> float:
    """When the last of the tasks is done, in the unit of ``cost``, by workers that each do one at a time.

    A free worker begins the first task in the list whose needs are done (list scheduling), as
    :mod:`paper_repro.runs.execute` has it. ValueError where tasks need each other.
    """
    place = {task.key: i for i, task in enumerate(tasks)}
    waits = [sum(key in place for key in set(task.needs)) for task in tasks]
    frees: list[list[int]] = [[] for _ in tasks]
    for i, task in enumerate(tasks):
        for key in set(task.needs) & place.keys():
            frees[place[key]].append(i)
    ready = [i for i, count in enumerate(waits) if not count]  # in the list's order, so it is a heap
    running: list[tuple[float, int]] = []
    now, done = 0.0, 0
    while ready or running:
        while ready and len(running) < workers:
            first = heapq.heappop(ready)
            heapq.heappush(running, (now + cost(tasks[first]), first))
        now, ended = heapq.heappop(running)
        done += 1
        for i in frees[ended]:
            waits[i] -= 1
            if not waits[i]:
                heapq.heappush(ready, i)
    if done < len(tasks):
        raise ValueError("tasks that need each other are never done")
    return now


def critical_path(tasks: Sequence[Task], cost: Callable[[Task], float]) -> tuple[float, list[Task]]:
    """The costliest chain of tasks each of which needs the one before: no number of workers is faster."""
    length, before = dict[str, float](), dict[str, Task | None]()
    known = {task.key: task for task in tasks}
    for task in tasks:  # nothing comes before what it needs
        last = max((key for key in task.needs if key in known), key=lambda key: length[key], default=None)
        length[task.key] = cost(task) + (length[last] if last else 0.0)
        before[task.key] = known[last] if last else None
    link = max(tasks, key=lambda task: length[task.key], default=None)
    total, chain = length[link.key] if link else 0.0, list[Task]()
    while link:
        chain.append(link)
        link = before[link.key]
    return total, chain[::-1]


def gains(tasks: Sequence[Task], cost: Callable[[Task], float], workers: Iterable[int] = WORKERS) -> pd.DataFrame:
    """One row a number of workers: ``time`` in the unit of ``cost``, ``speed_up`` over one, share of time ``busy``."""
    alone = sum(map(cost, tasks))
    times = {count: makespan(tasks, cost, count) for count in workers}
    rows = [
        {"workers": count, "time": time, "speed_up": alone / time, "busy": alone / time / count}
        for count, time in times.items()
        if time
    ]
    return pd.DataFrame(rows)


# -- in words ---------------------------------------------------------------------------------------------


def tell(workspace: Workspace, measure: bool, echo: Callable[[str], None]) -> None:
    """Counts, time, disk and the gain from more workers; with ``measure`` what was not measured is, where it can be."""
    from paper_repro.runs import estimates

    outline = Outline(workspace)
    plan = whole(outline)
    runs, scores = (sum(task.kind == kind for task in plan.tasks) for kind in ("run", "score"))
    apart = sum(task.kind == "run" for tasks in plan.tables.values() for task in tasks)
    echo(f"Profile {workspace.profile.name}: {runs} runs and {scores} sets of checker scores after sharing")
    echo(f"(each table for itself: {apart} runs). `paper-repro status` tells what of it is done.\n")
    echo(plan.counts().to_string(index=False) + "\n")
    if outline.absent:
        names, reason = ", ".join(outline.absent), next(iter(outline.absent.values()))
        echo(f"Time and disk need the texts of {names}: `paper-repro fetch` gets them, --data-dir names their folder")
        echo(f"({reason.split(' Ways out:')[0]})")
        _tell_gains(plan.tasks, {task.key: float(task.kind == "run") for task in plan.tasks}, "runs", echo)
        return
    rates = estimates.measured(workspace)
    if measure:
        rates |= estimates.calibrate(workspace, plan.tasks, rates)
    costs = estimates.Costs(workspace, rates)
    seconds = {task.key: costs.seconds(task) for task in plan.tasks}
    known = [value for value in seconds.values() if value is not None]
    _tell_time(plan.tasks, seconds, estimates.device_name(workspace.device), echo)
    size, unknown = costs.disk(plan.tasks)
    lacking = f", without the checkpoints of {', '.join(sorted(unknown))}: no weights here" if unknown else ""
    echo(f"Disk: at most {size / 1e9:.1f} GB, computed from the number of texts and the encoders' weights{lacking}.")
    if len(known) == len(plan.tasks):
        unit, name = (3600, "hours") if sum(known) > 2 * 3600 else (60, "minutes")
        _tell_gains(plan.tasks, {key: (value or 0.0) / unit for key, value in seconds.items()}, name, echo)
    else:
        _tell_gains(plan.tasks, {task.key: costs.steps(task) for task in plan.tasks}, "training steps", echo)


def _tell_time(
    tasks: Sequence[Task], seconds: Mapping[str, float | None], device: str, echo: Callable[[str], None]
) -> None:
    known = [value for value in seconds.values() if value is not None]
    left = Counter(f"{t.spec['method']} on {t.spec['encoder']}" for t in tasks if seconds[t.key] is None)
    if known:
        hours = sum(known) / 3600
        echo(f"Time on one {device}: {hours:.2f} h for {len(known)} of {len(tasks)} tasks, by what was measured on it.")
    if left:
        listing = ", ".join(f"{name} ({count})" for name, count in left.most_common())
        echo(f"Not measured on {device}: {listing}." + ("" if known else " --measure times a few steps of CE."))


def _tell_gains(tasks: Sequence[Task], costs: Mapping[str, float], unit: str, echo: Callable[[str], None]) -> None:
    def cost(task: Task) -> float:
        return costs[task.key]

    length, chain = critical_path(tasks, cost)
    echo(f"\nMore workers, in {unit} (tasks in their order, each on one worker; no overhead counted):")
    echo(gains(tasks, cost).round({"time": 2, "speed_up": 2, "busy": 2}).to_string(index=False))
    echo(f"Critical path: {length:.4g} {unit}, {' -> '.join(task.label for task in chain)}")
