"""What each method costs: forward-backward passes as counted, seconds and memory as measured, both relative to CE.

Seconds and memory differ from run to run and from machine to machine, so that they stand in a file of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro.method.registry import CLASSICAL
from paper_repro.paper.ablations.table3 import ratio_interval
from paper_repro.paper.cells import Cell
from paper_repro.paper.more_baselines.passes import FORWARD, passes
from paper_repro.runs.plan import models_of, scored_pools
from paper_repro.runs.spec import Checker, RunResult, RunSpec, Source

CE = "CE-Loss"
UNCOUNTED = (*CLASSICAL, "ensemble")
"""They train no network of their own."""
Row = tuple[str, str, int]
"""Method, benchmark, seed."""


class Measured(Runs, Protocol):
    """What the costs need of a :class:`paper_repro.study.Workspace`."""

    def source_rows(self, benchmark: str, source: Source) -> NDArray[np.int64]: ...
    def train_log_p(self, spec: RunSpec) -> NDArray[np.float32] | None: ...
    def scoring_seconds(self, checker: Checker, benchmark: str, pool: str) -> float | None: ...


def baselines_cost(workspace: Measured, candidates: Iterable[Cell], chosen: Iterable[Cell]) -> pd.DataFrame:
    """One row per method and benchmark; runs on large real data are left out.

    ``candidates`` are all cells, ``chosen`` one of them for each row and seed. Columns: method, benchmark;
    counted_training, counted_total: passes relative to one CE run on D_Q; training_ratio, total_ratio, each with
    _low and _high: seconds relative to the CE run of the same seed (geometric mean and Student's interval, from two
    seeds on); ms_per_batch (milliseconds for as many texts as a batch has, median); memory_mb (MiB that the run takes
    at most: on the GPU, or of main memory beyond what the process held before; median) and memory_ratio; n_runs,
    device, status. "Training" is the chosen run with what it starts from,
    "total" has the checkers, their scoring and all candidates as well.
    """
    groups: dict[Row, list[Cell]] = {}
    for cell in candidates:
        if cell.spec.source.pool != "train":
            groups.setdefault((cell.method, cell.benchmark, cell.seed), []).append(cell)
    best = {(c.method, c.benchmark, c.seed): c for c in chosen if c.spec.source.pool != "train"}
    single = {row: _one(workspace, [cell.spec for cell in group], best[row].spec) for row, group in groups.items()}
    pairs = dict.fromkeys((method, benchmark) for method, benchmark, _ in single)
    return pd.DataFrame([_summary(*pair, single) for pair in pairs])


def _one(workspace: Measured, candidates: list[RunSpec], chosen: RunSpec) -> dict[str, Any]:
    """Passes, seconds and memory of one row's seed; nan where something is missing."""
    training, everything = list(started_from(chosen)), list(dict.fromkeys(s for c in candidates for s in behind(c)))
    everything = [spec for spec in everything if spec not in candidates or workspace.result(spec) is not None]
    scores = {(checker, spec.benchmark, pool) for spec in candidates for checker, pool in scored(spec)}
    result = workspace.result(chosen)
    asked = sum(_size(workspace, benchmark, Source(pool)) for _, benchmark, pool in scores)
    seconds = [workspace.scoring_seconds(*score) for score in scores]
    return {
        "counted_training": sum(_work(workspace, spec) for spec in training),
        "counted_total": sum(_work(workspace, spec) for spec in everything) + FORWARD * asked,
        "training": sum(_seconds(workspace, spec) for spec in training),
        "total": sum(_seconds(workspace, spec) for spec in everything)
        + sum(math.nan if second is None else second for second in seconds),
        "ms_per_batch": _per_batch(workspace, chosen),
        "memory_mb": math.nan if result is None or chosen.method in UNCOUNTED else _memory(result),
        "device": "" if result is None else str(result.environment.get("device")),
    }


def started_from(spec: RunSpec) -> Iterator[RunSpec]:
    """A run and those that it goes on from."""
    yield spec
    if spec.start is not None:
        yield from started_from(spec.start)


def behind(spec: RunSpec) -> Iterator[RunSpec]:
    """A run, those that it goes on from, and the models of its checkers; a shared one comes more than once."""
    for run in started_from(spec):
        yield run
        for checker, pool in scored(run):
            for model in models_of(checker, pool):
                yield from behind(model)


def scored(spec: RunSpec) -> list[tuple[Checker, str]]:
    """The scores that a run needs of trained checkers: checker and pool."""
    checkers = [checker for checker in (spec.quality, spec.diversity) if checker is not None and checker.run]
    return [(checker, pool) for checker in checkers for pool in scored_pools(spec)]


def _size(workspace: Measured, benchmark: str, source: Source) -> int:
    return len(workspace.source_rows(benchmark, source))


def _work(workspace: Measured, spec: RunSpec) -> float:
    """Passes of a training, in examples."""
    if spec.method in UNCOUNTED:
        return 0.0
    size, dev = (_size(workspace, spec.benchmark, source) for source in (spec.source, Source(spec.selection)))
    kept = 1.0
    if spec.method in ("filter", "confident"):
        log_p = workspace.train_log_p(spec)
        kept = math.nan if log_p is None else log_p.shape[1] / size
    return passes(spec, dev, kept) * size * spec.recipe.epochs


def _seconds(workspace: Measured, spec: RunSpec) -> float:
    result = workspace.result(spec)
    return math.nan if result is None else float(result.seconds["train"])


def _per_batch(workspace: Measured, spec: RunSpec) -> float:
    if spec.method in UNCOUNTED:
        return math.nan
    batches = spec.recipe.epochs * _size(workspace, spec.benchmark, spec.source) / spec.recipe.batch_size
    return 1000 * _seconds(workspace, spec) / batches


def _memory(result: RunResult) -> float:
    """MiB on the GPU, or what main memory has grown by; nan where the system does not tell (or nothing grew)."""
    about = result.environment
    grown = float(about.get("peak_memory_bytes", math.nan)) - float(about.get("memory_before_bytes", math.nan))
    used = float(about.get("peak_gpu_memory_bytes", 0)) or grown
    return used / 2**20 if used > 0 else math.nan


def _summary(method: str, benchmark: str, single: dict[Row, dict[str, Any]]) -> dict[str, Any]:
    mine = {seed: one for (m, b, seed), one in single.items() if (m, b) == (method, benchmark)}
    both = {s: (one, single[CE, benchmark, s]) for s, one in mine.items() if (CE, benchmark, s) in single}
    whole = [(one, ce) for one, ce in both.values() if not math.isnan(one["training"] + one["total"] + ce["training"])]
    row: dict[str, Any] = {"method": method, "benchmark": benchmark}
    for name in ("counted_training", "counted_total"):
        row[name] = _mean([one[name] / ce["counted_training"] for one, ce in whole])
    for name in ("training", "total"):
        ratio = ratio_interval([max(one[name], 1e-9) for one, _ in whole], [ce["training"] for _, ce in whole])
        row |= {f"{name}_ratio": ratio.mean, f"{name}_ratio_low": ratio.low, f"{name}_ratio_high": ratio.high}
    row["ms_per_batch"] = _median([one["ms_per_batch"] for one, _ in whole])
    row["memory_mb"] = _median([one["memory_mb"] for one, _ in whole])
    plain = [one["memory_mb"] for (m, b, _), one in single.items() if (m, b) == (CE, benchmark)]
    row["memory_ratio"] = row["memory_mb"] / _median(plain)
    devices = sorted({side["device"] for pair in whole for side in pair})
    status = "complete" if len(whole) == len(mine) else f"{len(whole)} of {len(mine)} seeds"
    if len(devices) > 1:
        status = "its runs are of several machines"
    return {**row, "n_runs": len(whole), "device": "; ".join(devices), "status": status}


def _median(values: list[float]) -> float:
    """Without what is not known. (A process's first run takes more memory than the others, which a mean would show.)"""
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else math.nan


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
