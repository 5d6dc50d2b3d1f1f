"""What a plan costs in seconds and bytes, from what was measured on this device: never from a guess.

Seconds come from finished runs of the store, or from a short calibration (:func:`calibrate`); a run is taken for
``load + steps x step + scored texts x text``. What neither tells is not measured, and stays so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from paper_repro.method.checkers import CALIBRATION_FOLDS
from paper_repro.tools.errors import UserError
from paper_repro.method.registry import CLASSICAL, module_of
from paper_repro.runs.spec import RunSpec, spec_from_dict
from paper_repro.runs.plan import Task
from paper_repro.tools.machine import processor

if TYPE_CHECKING:
    from paper_repro.study import Workspace

STEPS = 12  # of a calibration, after as many to warm up
Kind = tuple[str, str, str, str]  # encoder, benchmark, method, precision


@dataclass(frozen=True)
class Rate:
    """Seconds to load, of one training step, and to score one text."""

    load: float
    step: float
    text: float


@dataclass(frozen=True)
class Size:
    """What a run amounts to: training steps, and texts scored between epochs."""

    steps: int
    texts: int


def size(workspace: Workspace, spec: RunSpec) -> Size:
    """Of one run; UserError where its data are not at hand."""
    benchmark, recipe = workspace.benchmark(spec.benchmark), spec.recipe
    examples = len(workspace.source_rows(spec.benchmark, spec.source))
    tested = recipe.epochs if recipe.test_curve else 1
    texts = recipe.epochs * len(benchmark.pool(spec.selection)) + tested * len(benchmark.pools["test"])
    return Size(recipe.epochs * -(-examples // recipe.batch_size), texts)


def kind_of(spec: RunSpec) -> Kind:
    """Runs that cost the same a step. The paper's losses do: what tells them apart is looked up."""
    step = getattr(module_of(spec.method), "Step", None)
    plain = step is None and spec.method not in (*CLASSICAL, "ensemble")
    return spec.encoder, spec.benchmark, "ce" if plain else spec.method, spec.recipe.precision


def device_name(device: str) -> str:
    """The device as runs note it."""
    if not device.startswith("cuda"):
        return processor()
    import torch

    return torch.cuda.get_device_name(device)


def measured(workspace: Workspace) -> dict[Kind, Rate]:
    """The median rate of each kind of run that was finished on this very device."""
    here, found = device_name(workspace.device), dict[Kind, list[Rate]]()
    for meta in _finished(workspace.store.root):
        if meta["environment"].get("device") == here:
            spec, seconds = spec_from_dict(meta["spec"]), meta["seconds"]
            amount = size(workspace, spec)
            rate = Rate(seconds["load"], seconds["train"] / amount.steps, seconds["evaluate"] / amount.texts)
            found.setdefault(kind_of(spec), []).append(rate)
    return {
        kind: Rate(*(median(getattr(rate, name) for rate in rates) for name in ("load", "step", "text")))
        for kind, rates in found.items()
    }


def _finished(store: Path) -> Iterator[dict[str, Any]]:
    for path in store.glob("runs/[0-9a-f]*/result.json"):
        try:
            yield json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue  # it will be noticed and moved aside by whoever reads it for its result


def calibrate(workspace: Workspace, tasks: Iterable[Task], known: Iterable[Kind]) -> dict[Kind, Rate]:
    """Train a dozen steps of CE for each encoder, benchmark and precision that has no rate yet; nothing is stored.

    Baselines with a training step of their own need checkers first; they are not calibrated.
    """
    from paper_repro.runs.execute import one_thread_each

    rates = dict[Kind, Rate]()
    with one_thread_each():
        for task in tasks:
            spec = spec_from_dict(task.spec)
            if task.kind == "run" and spec.method == "ce" and kind_of(spec) not in {*known, *rates}:
                rates[kind_of(spec)] = _calibration(workspace, spec)
    return rates


def _calibration(workspace: Workspace, spec: RunSpec) -> Rate:
    from paper_repro.method import train

    recipe = replace(spec.recipe, epochs=1, test_curve=False)
    data = workspace.training_data(spec)
    rows = np.random.default_rng(0).permutation(len(data.train_labels))[: STEPS * recipe.batch_size]
    data = replace(data.subset(np.sort(rows)), test=data.dev, test_labels=data.dev_labels)
    directory = workspace.encoder_named(spec.encoder).directory
    for _ in range(2):  # the first to warm up
        seconds = train.train(data, directory, "ce", recipe, 0, device=workspace.device).seconds
    steps = -(-len(rows) // recipe.batch_size)
    return Rate(seconds["load"], seconds["train"] / steps, seconds["evaluate"] / (2 * len(data.dev_labels)))


class Costs:
    """Steps, seconds and bytes of tasks; seconds are None for what was not measured."""

    def __init__(self, workspace: Workspace, rates: dict[Kind, Rate]) -> None:
        self.workspace, self.rates = workspace, rates

    def steps(self, task: Task) -> float:
        return size(self.workspace, spec_from_dict(task.spec)).steps if task.kind == "run" else 0.0

    def seconds(self, task: Task) -> float | None:
        spec = spec_from_dict(task.spec)
        rate = self.rates.get(kind_of(spec))
        if rate is None:
            return None
        if task.kind == "run":
            amount = size(self.workspace, spec)
            return rate.load + amount.steps * rate.step + amount.texts * rate.text
        models = (task.folds or 1) + (CALIBRATION_FOLDS if task.temperature == "fitted" else 0)
        return models * (rate.load + len(self.workspace.benchmark(spec.benchmark).pool(task.pool)) * rate.text)

    def disk(self, tasks: Sequence[Task]) -> tuple[float, set[str]]:
        """Bytes of results, scores and checkpoints, and the encoders whose weights are not here to be counted.

        Results and scores are counted uncompressed, checkpoints with their whole vocabulary: an upper bound.
        """
        total, unknown = 0.0, set[str]()
        for task in tasks:
            spec = spec_from_dict(task.spec)
            benchmark = self.workspace.benchmark(spec.benchmark)
            if task.kind == "score":
                total += 4 * benchmark.classes * len(benchmark.pool(task.pool))
                continue
            scored = len(benchmark.pools["test"]) + len(benchmark.pool(spec.selection))
            examples = len(self.workspace.source_rows(spec.benchmark, spec.source))
            total += 4 * (benchmark.classes * scored + spec.recipe.epochs * examples)
            total += 8 * len(benchmark.pools["test"]) + 4096  # labels; specification and history
            if task.keep_checkpoint:
                weights = self._weights(spec.encoder)
                total += weights or 0
                unknown |= set() if weights else {spec.encoder}
        return total, unknown

    def _weights(self, encoder: str) -> int | None:
        """Bytes of an encoder's weights; None where they are not at hand."""
        if self.workspace.profile.kind == "miniature" and not any(self.workspace.paths.cache.glob("encoders/*")):
            return None  # asking for it would make it
        try:
            return (self.workspace.encoder_named(encoder).directory / "model.safetensors").stat().st_size
        except UserError:
            return None
