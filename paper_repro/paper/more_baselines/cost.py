"""What each method costs: forward-backward passes as counted, seconds as measured, both relative to CE.

Seconds differ from run to run and from machine to machine, so they have a file of their own. Counted are passes of one
example. A forward pass is a third of a forward-backward, a forward-mode derivative (jvp) as much as one. Arithmetic on
parameters, which for Hu et al. is considerable, is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.method.registry import WITHOUT_EPOCHS, method_of, options_of
from paper_repro.paper.ablations.table3 import ratio_interval
from paper_repro.paper.cells import Cell, grouped
from paper_repro.paper.outcomes import seeds_status
from paper_repro.runs.plan import needed, scored
from paper_repro.runs.results import Results
from paper_repro.runs.spec import RunSpec, Source

FORWARD = 1 / 3
SELECTING = ("filter", "confident")
"""They train on a part of the examples."""
Place = tuple[str, str, int]
"""Method, benchmark, seed."""


def passes(spec: RunSpec, dev_size: int, kept: float = 1.0) -> float:
    """Forward-backward passes for each training example in each epoch.

    ``dev_size`` is the number of dev examples, ``kept`` the share of the examples that a filter keeps.
    """
    options = options_of(spec.method, dict(spec.options))
    number = {name: float(value) for name, value in options.items() if not isinstance(value, str)}
    dev_batch = min(dev_size / spec.recipe.batch_size, 1.0)  # of the training batch's size, by training example
    match spec.method:
        case "filter" | "confident":
            return kept
        case "rho":  # a forward pass of each of the 1/share candidates
            return 1 + FORWARD / number["share"]
        case "ren":  # training, the products; the dev batch
            return 2 + dev_batch
        case "meta_weight_net":  # the look-ahead, the products, training; the dev batch
            return 3 + dev_batch
        case "hu":  # the example alone, training; the dev set (or dev_batch) for every group
            group = min(number["group"] or spec.recipe.batch_size, spec.recipe.batch_size)
            return 2 + min(number["dev_batch"] or dev_size, dev_size) / group
        case "sungen":  # inner training, products, outer loss
            return 1 + number["iterations"] * (2 + number["outer_share"]) / spec.recipe.epochs
        case _:  # a weight may take a second forward pass
            return 1 + FORWARD * (spec.switches.weight_forward == "eval" and method_of(spec.method).dynamic)


def baselines_cost(results: Results, candidates: Iterable[Cell], chosen: Iterable[Cell]) -> pd.DataFrame:
    """One row per method and benchmark; runs on large real data are left out.

    ``candidates`` are all cells, ``chosen`` one of them for each row and seed. "counted" are passes relative to one CE
    run on D_Q, the ratios seconds relative to the CE run of the same seed (:func:`ratio_interval`). "Training" is the
    chosen run with what it starts from, "total" has the checkers, their scoring and all candidates as well.
    """
    on_generated = [cell for cell in candidates if cell.train_source != "train"]
    best = {(c.method, c.benchmark, c.seed): c.spec for c in chosen if c.train_source != "train"}
    groups = grouped(on_generated, "method", "benchmark", "seed")
    single = {place: _one(results, [c.spec for c in group], best[place]) for place, group in groups.items()}
    pairs = dict.fromkeys((method, benchmark) for method, benchmark, _ in single)
    return pd.DataFrame([_summary(*pair, single) for pair in pairs])


def _one(results: Results, candidates: list[RunSpec], chosen: RunSpec) -> dict[str, Any]:
    """Passes and seconds of one row's seed; nan where something is missing."""
    training = list(started_from(chosen))
    runs = dict.fromkeys(run for spec in candidates for run in needed(spec))
    every = [run for run in runs if run not in candidates or results.result(run) is not None]
    scores = {(checker, spec.benchmark, pool) for spec in candidates for checker, pool in scored(spec)}
    asked = sum(_size(results, benchmark, Source(pool)) for _, benchmark, pool in scores)
    waited = [results.scoring_seconds(*score) for score in scores]
    result = results.result(chosen)
    return {
        "counted_training": sum(_work(results, run) for run in training),
        "counted_total": sum(_work(results, run) for run in every) + FORWARD * asked,
        "training": sum(_seconds(results, run) for run in training),
        "total": sum(_seconds(results, run) for run in every) + sum(math.nan if s is None else s for s in waited),
        "device": "" if result is None else str(result.environment.get("device")),
    }


def started_from(spec: RunSpec) -> Iterator[RunSpec]:
    """A run and those that it goes on from."""
    yield spec
    if spec.start is not None:
        yield from started_from(spec.start)


def _size(results: Results, benchmark: str, source: Source) -> int:
    return len(results.inputs.source_rows(benchmark, source))


def _work(results: Results, spec: RunSpec) -> float:
    """Passes of a training, in examples."""
    if spec.method in WITHOUT_EPOCHS:
        return 0.0
    size, dev = (_size(results, spec.benchmark, source) for source in (spec.source, Source(spec.selection)))
    kept = kept_share(results, spec) if spec.method in SELECTING else 1.0
    return passes(spec, dev, kept) * size * spec.recipe.epochs


def kept_share(results: Results, spec: RunSpec) -> float:
    """The share of the examples that a run trains on; nan without the run."""
    log_p = results.train_log_p(spec)
    return math.nan if log_p is None else log_p.shape[1] / _size(results, spec.benchmark, spec.source)


def _seconds(results: Results, spec: RunSpec) -> float:
    result = results.result(spec)
    return math.nan if result is None else float(result.seconds["train"])


def _summary(method: str, benchmark: str, single: dict[Place, dict[str, Any]]) -> dict[str, Any]:
    mine = {seed: one for (m, b, seed), one in single.items() if (m, b) == (method, benchmark)}
    pairs = [(one, ce) for seed, one in mine.items() if (ce := single.get(("ce", benchmark, seed)))]
    whole = [(one, ce) for one, ce in pairs if not math.isnan(one["training"] + one["total"] + ce["training"])]
    row: dict[str, Any] = {"method": method, "benchmark": benchmark}
    for name in ("counted_training", "counted_total"):
        ratios = [one[name] / ce["counted_training"] for one, ce in whole]
        row[name] = float(np.mean(ratios)) if ratios else math.nan
    for name in ("training", "total"):
        ratio = ratio_interval([max(one[name], 1e-9) for one, _ in whole], [ce["training"] for _, ce in whole])
        row |= {f"{name}_ratio": ratio.mean, f"{name}_ratio_low": ratio.low, f"{name}_ratio_high": ratio.high}
    devices = sorted({side["device"] for pair in whole for side in pair})
    status = "its runs are of several machines" if len(devices) > 1 else seeds_status(len(whole), len(mine))
    return {**row, "n_runs": len(whole), "device": "; ".join(devices), "status": status}
