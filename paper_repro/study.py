"""The one object that a notebook opens: a profile with its data, encoder, results store and workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro import experiments
from paper_repro.model import encoders
from paper_repro.runs import profiles
from paper_repro.texts import benchmarks, own, prompts
from paper_repro.method.checkers import fold_of
from paper_repro.model.encoders import Encoder
from paper_repro.model.tokens import Encoded, encode
from paper_repro.tools.errors import UserError
from paper_repro.runs.execute import execute, warm_up
from paper_repro.runs.keys import run_key, score_key
from paper_repro.texts.own import Description
from paper_repro.tools.paths import Paths
from paper_repro.texts.pools import Benchmark, FewShot, Pool
from paper_repro.runs.profiles import Profile
from paper_repro.tools.progress import Progress
from paper_repro.texts.prompts import Template
from paper_repro.runs.spec import Checker, RunResult, RunSpec, Source
from paper_repro.runs.store import Store
from paper_repro.runs.plan import plan, scores_plan
from paper_repro.tools.machine import available_cores

if TYPE_CHECKING:
    from paper_repro.method.train import TrainingData
    from paper_repro.texts.world import WorldConfig

STATES = ("done", "running", "failed", "missing")
MOST_WORKERS = 8  # by default; each holds a model and its optimiser


def open_workspace(
    profile: str = "demo",
    *,
    benchmark_file: str = "",
    data_dir: str = "",
    encoder_dir: str = "",
    device: str = "auto",
    workers: int = 0,
    scheduler: str = "",
    results_dir: str = "",
    figures_dir: str = "",
    few_shot: str = "bundled",
    world: Mapping[str, Any] | None = None,
    offline: bool = False,
) -> Workspace:
    """Open a profile by name.

    ``benchmark_file`` is a benchmark of your own (:mod:`paper_repro.texts.own`) in place of the profile's three,
    with results and figures beside theirs. ``data_dir`` holds the original public files, ``encoder_dir`` a BERT in
    Hugging Face layout; left empty they are looked for in the environment, the caches and the hub. ``device`` is
    "auto", "cpu", "cuda" or "cuda:1".
    ``workers`` is the number of training processes; 0 takes one for each core (one on a GPU). With ``scheduler``, the
    address or the scheduler file of a Dask cluster, its workers train, and ``device`` is theirs.
    ``few_shot`` "asked" takes the labels that ``paper-repro few-shot`` got for the first row of Tables 1 and 4.
    ``world`` turns knobs of the miniature world, by the names of :class:`paper_repro.texts.world.WorldConfig`. With
    ``offline`` nothing is looked for on the hub.
    Raises UserError for an unknown profile, device or knob, for a faulty benchmark file, and for workers here as
    well as on a cluster.
    """
    if workers and scheduler:
        raise UserError("give workers (processes here) or scheduler (a cluster with workers of its own), not both")
    if few_shot not in ("bundled", "asked"):
        raise UserError(f"few_shot={few_shot!r} is not known; expected 'bundled' or 'asked'")
    own = own.read(Path(benchmark_file)) if benchmark_file else None
    chosen = profiles.load(profile)
    opened = Workspace(
        chosen if own is None else profiles.with_own_benchmark(chosen, own.name, own.title),
        Paths.of(profile, results_dir, figures_dir, own.name if own else ""),
        own=own,
        data_dir=Path(data_dir).resolve() if data_dir else None,
        encoder_dir=Path(encoder_dir).resolve() if encoder_dir else None,
        device=_device("auto" if scheduler else device),
        workers=1 if scheduler else _workers(workers, device),
        few_shot=few_shot == "asked",
        world=dict(world or {}),
        scheduler=scheduler,
        worker_device=device,
        offline=offline,
    )
    if opened.workers > 1:
        warm_up()
    return opened


class Workspace:
    """Data, encoder, store and workers of one profile. Open it with :func:`open_workspace`."""

    def __init__(
        self,
        profile: Profile,
        paths: Paths,
        *,
        own: Description | None,
        data_dir: Path | None,
        encoder_dir: Path | None,
        device: str,
        workers: int,
        few_shot: bool,
        world: Mapping[str, Any],
        scheduler: str = "",
        worker_device: str = "",
        offline: bool = False,
    ) -> None:
        self.profile, self.paths, self.device, self.workers = profile, paths, device, workers
        self.scheduler, self.worker_device = scheduler, worker_device or device
        self.own, self.data_dir, self.encoder_dir = own, data_dir, encoder_dir
        self.few_shot, self.world, self.offline = few_shot, world, offline
        self.store = Store(paths.store)
        self._benchmarks: dict[str, Benchmark] = {}
        self._sources: dict[tuple[str, Source], Pool] = {}
        self._encoded: dict[tuple[str, Path, int], Encoded] = {}

    def settings(self) -> dict[str, Any]:
        """Plain arguments of :func:`open_workspace` that open the same workspace in another process."""
        return {
            "profile": self.profile.name,
            "benchmark_file": str(self.own.path) if self.own else "",
            "data_dir": str(self.data_dir or ""),
            "encoder_dir": str(self.encoder_dir or ""),
            "device": self.device,
            "workers": 1,
            "results_dir": str(self.paths.results_root),
            "figures_dir": str(self.paths.figures_root),
            "world": self.world,
        }

    # -- inputs -------------------------------------------------------------------------------------------

    def benchmark(self, name: str) -> Benchmark:
        """One of the profile's benchmarks with all its pools, loaded once."""
        if name not in self._benchmarks:
            found = self._load(name)
            self._benchmarks[name] = replace(found, few_shot=self._asked_labels(found)) if self.few_shot else found
        return self._benchmarks[name]

    def _asked_labels(self, benchmark: Benchmark) -> FewShot:
        from paper_repro.llm import few_shot

        return few_shot.load(self.paths.asked("few_shot", benchmark.name), benchmark, self.task(benchmark.name))

    def task(self, name: str) -> str | Path:
        """What :mod:`paper_repro.texts.prompts` calls a benchmark: its name, or the path of your own."""
        return self.own.path if self.own else name

    def form(self, name: str) -> Template:
        """The prompt file of a benchmark."""
        return prompts.template(self.task(name))

    def _load(self, name: str) -> Benchmark:
        if self.own is None:
            return benchmarks.load(
                name, kind=self.profile.kind, data_dir=self.data_dir, offline=self.offline, world=_world(self.world)
            )
        if name != self.own.name:
            raise UserError(f"Unknown benchmark {name!r}: with a benchmark of your own there is {self.own.name} only.")
        return own.load(self.own)

    @cached_property
    def encoder(self) -> Encoder:
        """The profile's pre-trained encoder (the miniature world's is pre-trained here, the first time)."""
        return self.encoder_named(self.profile.encoder)

    def encoder_named(self, name: str) -> Encoder:
        """An encoder by name; ``encoder_dir`` stands for the profile's, and for what is made of its first layers."""
        own = encoders.parts_of(name)[0] == encoders.parts_of(self.profile.encoder)[0]
        return _encoder(name, self.encoder_dir if own else None, self.paths.cache, self.offline)

    def encoder_fingerprint(self, name: str) -> str:
        return self.encoder_named(name).fingerprint

    def source_rows(self, benchmark: str, source: Source) -> NDArray[np.int64]:
        """Rows of the source's pool that a run trains on, ascending."""
        labels = self.benchmark(benchmark).pool(source.pool).labels
        if source.held_out is None:
            return np.arange(len(labels))
        return np.flatnonzero(fold_of(labels, source.folds) != source.held_out)

    def source_pool(self, benchmark: str, source: Source) -> Pool:
        """The examples that a run trains on. Raises UserError for an unknown pool."""
        pool = self.benchmark(benchmark).pool(source.pool)
        if source.held_out is None:
            return pool
        if (benchmark, source) not in self._sources:
            rows = self.source_rows(benchmark, source)
            self._sources[benchmark, source] = pool.subset(rows)
        return self._sources[benchmark, source]

    def encoded(self, benchmark: str, pool: str, spec: RunSpec) -> Encoded:
        """A tokenised pool, as the run's encoder and recipe want it; read once."""
        directory, content = self.encoder_named(spec.encoder).directory, self.benchmark(benchmark).pool(pool)
        key = (content.fingerprint, directory, spec.recipe.max_length)
        if key not in self._encoded:
            self._encoded[key] = encode(content, directory, spec.recipe.max_length, self.paths.cache)
        return self._encoded[key]

    def embedder(self, spec: RunSpec) -> Callable[[Pool], NDArray[np.float32]]:
        """Turns single texts into vectors by the run's encoder, as it was pre-trained."""
        from paper_repro.method.classical import mean_embeddings

        directory = self.encoder_named(spec.encoder).directory
        return lambda pool: mean_embeddings(
            encode(pool, directory, spec.recipe.max_length, self.paths.cache), directory, self.device
        )

    def training_data(self, spec: RunSpec) -> TrainingData:
        """Everything that :func:`paper_repro.method.train.train` needs for one specification."""
        benchmark = self.benchmark(spec.benchmark)
        rows = self.source_rows(spec.benchmark, spec.source)
        labels = benchmark.pool(spec.source.pool).labels

        def scores(checker: Checker | None) -> NDArray[np.float32] | None:
            if checker is None:
                return None
            return self.scores(checker, spec.benchmark, spec.source.pool, compute=False)[rows]

        def observed(of_all: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
            return None if of_all is None else of_all[np.arange(len(rows)), labels[rows]]

        from paper_repro.method.train import TrainingData  # late: it brings transformers, which not every reader needs

        quality, diversity = scores(spec.quality), scores(spec.diversity)
        return TrainingData(
            train=self.encoded(spec.benchmark, spec.source.pool, spec).subset(rows),
            train_labels=labels[rows],
            dev=self.encoded(spec.benchmark, spec.selection, spec),
            dev_labels=benchmark.pool(spec.selection).labels,
            test=self.encoded(spec.benchmark, "test", spec),
            test_labels=benchmark.pools["test"].labels,
            classes=benchmark.classes,
            log_quality=observed(quality),
            log_diversity=observed(diversity),
            log_quality_all=quality,
            log_diversity_all=diversity,
        )

    # -- runs ---------------------------------------------------------------------------------------------

    def run(self, specs: Iterable[RunSpec], *, progress: bool = True) -> None:
        """Compute what is missing, checkers included. Failures become rows of the tables, not exceptions."""
        tasks = plan(self, specs)
        execute(self, tasks, Progress(len(tasks), self.workers, quiet=not progress))

    def collect(self, wanted: Iterable[tuple[Checker, str, str]], *, progress: bool = True) -> None:
        """Compute the missing scores of each (checker, benchmark, pool) together, the checkers included."""
        tasks = scores_plan(self, wanted)
        execute(self, tasks, Progress(len(tasks), self.workers, quiet=not progress))

    def scores(self, checker: Checker, benchmark: str, pool: str, *, compute: bool = True) -> NDArray[np.float32]:
        """log p(y|x) of every class under a checker, (examples, classes) float32, computed where missing.

        Raises UserError where they cannot be had.
        """
        if checker.run is None:
            truth = self.benchmark(benchmark).truth_of(pool)
            if truth is None:
                raise UserError(f"exact scores exist only in the miniature world, not for {benchmark} {pool}")
            with np.errstate(divide="ignore"):
                exact: NDArray[np.float32] = np.log(truth.p if checker.exact == "p" else truth.q)
            return exact.astype(np.float32)
        key = score_key(self, checker, benchmark, pool)
        found = self.store.get_scores(key)
        if found is None and compute:
            self.collect([(checker, benchmark, pool)])
            found = self.store.get_scores(key)
        if found is None:
            reason = (self.store.failure(key) or {}).get("reason", "they were never computed")
            raise UserError(f"no scores of {benchmark} {pool} by its checker: {reason}")
        return found

    def scoring_seconds(self, checker: Checker, benchmark: str, pool: str) -> float | None:
        """Wall-clock seconds that a trained checker's scores took, loading it included, or None without them."""
        origin = self.store.scores_origin(score_key(self, checker, benchmark, pool))
        return None if origin is None else float(origin["seconds"])

    def key(self, spec: RunSpec) -> str:
        """The store's key of a specification: everything that can change its result, hashed."""
        return run_key(self, spec)

    def result(self, spec: RunSpec) -> RunResult | None:
        """The finished run, or None where it is missing or failed."""
        return self.store.get(self.key(spec))

    def train_log_p(self, spec: RunSpec) -> NDArray[np.float32] | None:
        """log p(y_i|x_i) of the training forward passes by epoch, (epochs, training examples), or None."""
        return self.store.train_log_p(self.key(spec))

    def failure(self, spec: RunSpec) -> str | None:
        """Why the last try failed, in a line, or None."""
        entry = self.store.failure(self.key(spec))
        return None if entry is None else str(entry["reason"])

    def status(self) -> pd.DataFrame:
        """How far each table is: one row a training source with the counts done, running, failed and missing.

        Runs on another encoder than the profile's count as missing where that one cannot be had.
        """
        tables = experiments.OF_ANY_BENCHMARK if self.own else tuple(experiments.TABLES)
        cells = [(table, cell) for table in tables for cell in experiments.TABLES[table](self.profile)]
        absent = self._absent(set().union(*(_encoders_of(cell.spec) for _, cell in cells)) - {self.profile.encoder})
        rows = [
            {
                "table": table,
                "train_source": cell.train_source,
                "state": "missing" if absent & _encoders_of(cell.spec) else self._state(cell.spec),
            }
            for table, cell in cells
        ]
        counts = pd.DataFrame(rows).groupby(["table", "train_source"], sort=False)["state"].value_counts()
        return counts.unstack(fill_value=0).reindex(columns=list(STATES), fill_value=0).reset_index()

    def _absent(self, names: set[str]) -> set[str]:
        """Those of the encoders that cannot be had here; each is looked for once."""
        absent = set()
        for name in names:
            try:
                self.encoder_named(name)
            except UserError:
                absent.add(name)
        return absent

    def _state(self, spec: RunSpec) -> str:
        key = self.key(spec)
        if self.store.has(key):
            return "done"
        if self.store.running(key):
            return "running"
        return "failed" if self.store.failure(key) else "missing"


def _encoders_of(spec: RunSpec) -> set[str]:
    """The encoder of a run and those of its checkers."""
    runs = [checker.run for checker in (spec.quality, spec.diversity) if checker is not None]
    return {spec.encoder}.union(*(_encoders_of(run) for run in runs if run is not None))


def _world(knobs: Mapping[str, Any]) -> WorldConfig | None:
    if not knobs:
        return None
    from paper_repro.texts.world import WorldConfig

    unknown = set(knobs) - set(WorldConfig.__dataclass_fields__)
    if unknown:
        known = ", ".join(WorldConfig.__dataclass_fields__)
        raise UserError(f"the miniature world has no knob {', '.join(sorted(unknown))}; expected some of {known}")
    return WorldConfig(**knobs)


@lru_cache(maxsize=8)
def _encoder(name: str, directory: Path | None, cache: Path, offline: bool) -> Encoder:
    return encoders.resolve(name, directory=directory, cache=cache, offline=offline)


def _device(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return device
    if device.split(":")[0] != "cuda":
        raise UserError(f"device {device!r} is not known; expected auto, cpu, cuda or cuda:0, cuda:1, ...")
    if not torch.cuda.is_available():
        raise UserError(f"device {device!r}: this torch ({torch.__version__}) sees no GPU; use --device cpu")
    return device


def _workers(workers: int, device: str) -> int:
    if workers < 0:
        raise UserError(f"workers={workers}: expected 0 (one for each core) or a positive number")
    if workers:
        return workers
    return 1 if _device(device) != "cpu" else min(available_cores(), MOST_WORKERS)
