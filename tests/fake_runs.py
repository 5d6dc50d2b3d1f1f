"""Results without data, models or a store: made-up runs with known accuracies, for tables and figures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_repro.method.recipe import EpochRecord, Recipe
from paper_repro.paper.beside_paper import printed
from paper_repro.paper.cells import Cell
from paper_repro.paper.table1.cells import table1
from paper_repro.runs import profiles
from paper_repro.runs.profiles import Ablations, Baselines, Profile, Relabelled, Search
from paper_repro.runs.spec import Checker, RunResult, RunSpec, Source
from paper_repro.texts import world
from paper_repro.texts.pools import Benchmark, Pool, Truth
from paper_repro.tools.errors import UserError

LABELS = {"financial": 3, "tweet_irony": 2, "mrpc": 2}
SIZES = {"train": 60, "dev": 80, "generated": 320}
ABLATIONS = Ablations("minilm-l6:3", "minilm-l6", 4, 2, (10, 100), ("dev:50", "dev"), ("generated:300", "generated"))
BASELINES = Baselines("faithful", 4, 2, 1, ("financial", "tweet_irony", "mrpc"))
SEARCH = Search((6e-6, 6e-5), (5,), (32,), ("ce", "imp", "dimp"), ("financial",), 2)
RELABELLED = Relabelled(100, ("financial", "tweet_irony", "mrpc"))
PAPER = {key: accuracy / 100 for key, (accuracy, _) in printed("table1").items()}
HARDWARE = {"device": "Made-up CPU, 2 cores", "torch": "2.13.0", "commit": "0123456789ab"}


def profile(kind: str = "real", seeds: int = 4) -> Profile:
    """The demo profile ("miniature") or the mini profile ("real") with small recipes."""
    return replace(
        profiles.load("mini" if kind == "real" else "demo"),
        seeds=tuple(range(seeds)),
        recipes={pool: Recipe(epochs=5) for pool in ("dev", "generated", "train")},
        ablations=ABLATIONS,
        baselines=BASELINES,
        search=SEARCH,
        relabelled=RELABELLED,
        expected={},
    )


Name = tuple[str, str, str, int]
"""train_source, method, benchmark, seed."""


@dataclass
class FakeResults:
    """In place of :class:`paper_repro.runs.results.Results`: runs with made-up predictions for ``cells``.

    Without ``cells`` they are those of Table 1. A run is right on about :meth:`level` of the texts, other ones by
    seed, or with ``right`` on the first so many; ``dev`` is its accuracy on D_P'. ``broken`` runs have failed,
    ``missing`` ones have not been started; ``shift`` moves the level of a method. Scores and the probabilities of
    training are made up as well.
    """

    profile: Profile
    cells: list[Cell] = field(default_factory=list)
    examples: int = 400
    broken: frozenset[Name] = frozenset()
    missing: frozenset[Name] = frozenset()
    shift: dict[str, float] = field(default_factory=dict)
    right: Callable[[Name], int] | None = None
    dev: Callable[[Name], float] | None = None

    def __post_init__(self) -> None:
        self.cells = self.cells or table1(self.profile)
        self.inputs: Any = SimpleNamespace(source_rows=self._source_rows)
        self._benchmarks: dict[str, Benchmark] = {}
        self._names = {cell.spec: (cell.train_source, cell.method, cell.benchmark, cell.seed) for cell in self.cells}

    def level(self, name: Name) -> float:
        """The accuracy that a run is meant to have: a little less than the paper's, or 0.86."""
        source, method, benchmark, _ = name
        return PAPER.get((source, method, benchmark), 0.86) - 0.015 + self.shift.get(method, 0.0)

    def benchmark(self, name: str) -> Benchmark:
        if name not in self._benchmarks:
            self._benchmarks[name] = self._make(name)
        return self._benchmarks[name]

    def _make(self, name: str) -> Benchmark:
        labels = np.random.default_rng(len(name)).integers(0, LABELS[name], self.examples)
        test = Pool("test", tuple(f"text {i}" for i in range(self.examples)), labels.astype(np.int64))
        pools = {pool: balanced(pool, size, LABELS[name]) for pool, size in SIZES.items()}
        truth = {}
        if self.profile.kind == "miniature":
            q = np.full((self.examples, LABELS[name]), 0.1)
            said = np.where(np.arange(self.examples) % 4 == 0, (labels + 1) % LABELS[name], labels)
            q[np.arange(self.examples), said] = 0.9  # right on three of four
            truth["test"] = Truth(p=q, q=q)
        names = tuple(f"label {i}" for i in range(LABELS[name]))
        sets = lambda which: (balanced(which, 12 * len(names), len(names)), None)  # noqa: E731
        return Benchmark(name, name, names, {**pools, "test": test}, truth, sets=sets)

    def key(self, spec: RunSpec) -> str:
        return hashlib.sha256(repr(spec).encode()).hexdigest()

    def failure(self, spec: RunSpec) -> str | None:
        return "non-finite loss at step 12" if self._names.get(spec) in self.broken else None

    def failure_kind(self, spec: RunSpec) -> str:
        return "TrainingError" if self.failure(spec) else ""

    def result(self, spec: RunSpec) -> RunResult | None:
        name = self._names.get(spec)
        if name is None or name in self.broken or name in self.missing:
            return None
        rng = np.random.default_rng([len(name[0]), len(name[1]), name[3]])
        made = self.made(spec, self.level(name) + rng.normal(0, 0.01), rng, self.dev and self.dev(name))
        if self.right is None:
            return made
        labels, classes = made.test_labels, LABELS[spec.benchmark]
        said = np.where(np.arange(len(labels)) < self.right(name), labels, (labels + 1) % classes)
        return replace(made, test_probabilities=np.eye(classes, dtype=np.float32)[said])

    def made(self, spec: RunSpec, level: float, rng: np.random.Generator, dev: float | None = None) -> RunResult:
        """A finished run that is right on about ``level`` of the test texts; ``dev`` is its accuracy on D_P'."""
        labels = self.benchmark(spec.benchmark).pools["test"].labels
        probabilities = fake_probabilities(labels, LABELS[spec.benchmark], level, rng)
        reached = float((probabilities.argmax(axis=1) == labels).mean())
        history = tuple(fake_epoch(epoch, reached, rng) for epoch in range(1, spec.recipe.epochs + 1))
        if dev is not None:
            history = tuple(replace(epoch, dev_accuracy=dev) for epoch in history)
        return RunResult(
            key=self.key(spec),
            spec=spec,
            history=history,
            selected_epoch=len(history),
            test_labels=labels,
            test_probabilities=probabilities,
            dev_probabilities=probabilities[:10],
            seconds={"load": 0.5, "train": 12.25 + spec.seed, "evaluate": 1.0, "total": 13.75 + spec.seed},
            environment=HARDWARE,
        )

    def scores(self, checker: Checker, benchmark: str, pool: str) -> NDArray[np.float32]:
        run = checker.run
        if run is None or self._names.get(run) in self.missing:
            raise UserError("no scores")
        labels, source = self.benchmark(benchmark).pool(pool).labels, run.source.pool
        rng = np.random.default_rng([run.seed, len(source), checker.folds])
        return np.log(fake_probabilities(labels, LABELS[benchmark], 0.6 + 0.02 * len(source), rng))

    def observed_scores(self, checker: Checker, benchmark: str, pool: str) -> NDArray[np.float64]:
        labels = self.benchmark(benchmark).pool(pool).labels
        return self.scores(checker, benchmark, pool)[np.arange(len(labels)), labels].astype(np.float64)

    def train_log_p(self, spec: RunSpec) -> NDArray[np.float32] | None:
        if self.result(spec) is None:
            return None
        size = (spec.recipe.epochs, len(self._source_rows(spec.benchmark, spec.source)))
        return np.log(np.random.default_rng(spec.seed).uniform(0.2, 0.9, size)).astype(np.float32)

    def _source_rows(self, benchmark: str, source: Source) -> NDArray[np.int64]:
        return np.arange(len(self.benchmark(benchmark).pool(source.pool)))


def balanced(name: str, size: int, classes: int) -> Pool:
    """A pool with the classes in turn."""
    return Pool(name, tuple(f"{name} {i}" for i in range(size)), np.arange(size) % classes)


@dataclass
class ExactScores:
    """The miniature world with checkers that give the true probabilities, P of the real texts and Q of the others.

    ``lost`` seeds have no scores; with ``uniform_folds`` a cross-fitted checker knows nothing.
    """

    profile: Profile = field(default_factory=lambda: profile("miniature", seeds=2))
    lost: frozenset[int] = frozenset()
    uniform_folds: bool = False

    def __post_init__(self) -> None:
        self.world = world.make(world.WorldConfig(train=400, generated=500, test=60, dev=60))

    def benchmark(self, name: str) -> Benchmark:
        return self.world[name]

    def scores(self, checker: Checker, benchmark: str, pool: str) -> NDArray[np.float32]:
        assert checker.run is not None
        if checker.run.seed in self.lost:
            raise UserError("no scores")
        truth = self.world[benchmark].truth[pool]
        exact = truth.q if checker.run.source.pool == "generated" else truth.p
        uniform = checker.folds and self.uniform_folds
        return np.log(np.full_like(exact, 1 / exact.shape[1]) if uniform else exact).astype(np.float32)


def fake_probabilities(
    labels: NDArray[np.int64], classes: int, level: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(examples, classes): right on about ``level`` of them; which ones is mostly common to all runs."""
    hard = np.random.default_rng(0).random(len(labels))
    right = 0.9 * hard + 0.1 * rng.random(len(labels)) < level
    said = np.where(right, labels, (labels + 1) % classes)
    probabilities = np.full((len(labels), classes), 0.2 / (classes - 1), dtype=np.float32)
    probabilities[np.arange(len(labels)), said] = 0.8
    return probabilities


def fake_epoch(epoch: int, reached: float, rng: np.random.Generator) -> EpochRecord:
    accuracy = reached - (0.25 + rng.normal(0, 0.05)) * np.exp(1 - epoch) * (epoch < 5)
    return EpochRecord(
        epoch=epoch,
        train_loss=1 / epoch,
        dev_accuracy=0.6 + 0.05 * epoch,
        dev_macro_f1=0.55 + 0.05 * epoch,
        test_accuracy=float(accuracy),
        test_macro_f1=float(accuracy) - 0.03,
        weight_mean=1.0,
        weight_ess=0.5,
        weight_max=3.0,
        weight_khat=0.3,
        seconds=2.0,
    )


def words(figure: Figure) -> str:
    """All text of a figure, its legends included."""
    figure.draw_without_rendering()
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " | ".join(artist.get_text().replace("\n", " ") for artist in found)  # type: ignore[attr-defined]
