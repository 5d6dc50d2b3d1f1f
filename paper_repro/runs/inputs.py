"""The inputs of runs: a profile's benchmarks, encoders and tokens, loaded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_repro.model import locate
from paper_repro.model.encoder import Encoder
from paper_repro.model.tokens import Encoded, encode
from paper_repro.runs import profiles
from paper_repro.runs.profiles import Profile
from paper_repro.runs.recorded_inputs import Record, RecordedBenchmark, recorded_benchmark, source_name
from paper_repro.runs.spec import RunSpec, Source
from paper_repro.texts import benchmarks, description, few_shot
from paper_repro.texts.description import Description
from paper_repro.texts.folds import fold_of
from paper_repro.texts.pools import Benchmark, Pool
from paper_repro.texts.world import WorldConfig
from paper_repro.tools.errors import UserError
from paper_repro.tools.machine import torch_device
from paper_repro.tools.paths import Paths


@dataclass(eq=False)
class Inputs:
    """Benchmarks, encoders and tokens of one profile. Open it with :func:`open_inputs`.

    ``own`` describes a benchmark in place of the profile's; ``few_shot`` is whether the labels that a language model
    was asked for take the place of the bundled ones.
    """

    profile: Profile
    paths: Paths
    own: Description | None
    data_dir: Path | None
    encoder_dir: Path | None
    device: str
    few_shot: bool
    world: Mapping[str, Any]
    offline: bool
    _benchmarks: dict[str, Benchmark] = field(default_factory=dict)
    _sources: dict[tuple[str, Source], Pool] = field(default_factory=dict)
    _encoded: dict[tuple[str, Path, int], Encoded] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """Plain arguments of :func:`open_inputs` that open the same inputs in another process."""
        return {
            "profile": self.profile.name,
            "benchmark_file": str(self.own.path) if self.own else "",
            "data_dir": str(self.data_dir or ""),
            "encoder_dir": str(self.encoder_dir or ""),
            "device": self.device,
            "results_dir": str(self.paths.results_root),
            "figures_dir": str(self.paths.figures_root),
            "world": dict(self.world),
        }

    # -- texts --------------------------------------------------------------------------------------------

    def benchmark(self, name: str) -> Benchmark:
        """One of the profile's benchmarks with all its pools, loaded once. UserError for an unknown name."""
        if name not in self._benchmarks:
            self._benchmarks[name] = self._load(name)
        return self._benchmarks[name]

    def _load(self, name: str) -> Benchmark:
        if name not in self.record.benchmarks:
            return self._load_texts(name, self.offline)
        try:
            return self._load_texts(name, offline=True)
        except UserError:
            return recorded_benchmark(self.record, name)

    def _load_texts(self, name: str, offline: bool) -> Benchmark:
        if self.own is not None:
            if name != self.own.name:
                raise UserError(f"benchmark {name!r} is not known; the file {self.own.path} describes {self.own.name}")
            benchmark = benchmarks.load(self.own, data_dir=self.data_dir)
        else:
            world = _world({**self.profile.world, **self.world})
            benchmark = benchmarks.load(
                name, kind=self.profile.kind, data_dir=self.data_dir, offline=offline, world=world
            )
        if not self.few_shot:
            return benchmark
        asked = few_shot.load(self.paths.asked("few_shot", name), benchmark, self.task(name))
        return replace(benchmark, few_shot=asked)

    def task(self, name: str) -> str | Path:
        """What :mod:`paper_repro.texts.prompts` calls a benchmark: its name, or the path of its description."""
        return self.own.path if self.own else name

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
        if isinstance(self.benchmark(benchmark), RecordedBenchmark):
            return self.benchmark(benchmark).pool(source_name(source))
        if (benchmark, source) not in self._sources:
            self._sources[benchmark, source] = pool.subset(self.source_rows(benchmark, source))
        return self._sources[benchmark, source]

    # -- encoder and tokens -------------------------------------------------------------------------------

    @property
    def encoder(self) -> Encoder:
        """The profile's own."""
        return self.encoder_named(self.profile.encoder)

    def encoder_named(self, name: str) -> Encoder:
        """An encoder by name (the miniature world's is pre-trained here, the first time). ``encoder_dir`` stands for
        the profile's, and for what is made of its first layers."""
        own = locate.parts_of(name)[0] == locate.parts_of(self.profile.encoder)[0]
        directory = self.encoder_dir if own else None
        known = self.record.encoders.get(name)
        if known is None:
            return _encoder(name, directory, self.paths.cache, self.offline)
        try:
            return _encoder(name, directory, self.paths.cache, True)
        except UserError:
            return Encoder(name, Path("not here"), known)

    @cached_property
    def record(self) -> Record:
        """What is known of inputs that are not here, from an archive that was unpacked into the store."""
        return Record.read(self.paths.results)

    @property
    def has_texts(self) -> bool:
        """Whether the texts of all benchmarks are here, and not only what runs recorded of them."""
        return not any(isinstance(self.benchmark(name), RecordedBenchmark) for name in self.profile.benchmarks)

    def complete(self, spec: RunSpec) -> bool:
        """Whether the texts and weights that a run needs are here, and not on record only."""
        recorded = isinstance(self.benchmark(spec.benchmark), RecordedBenchmark)
        return not recorded and self.encoder_named(spec.encoder).here

    def encoded(self, benchmark: str, pool: str, spec: RunSpec) -> Encoded:
        """A tokenised pool, as the run's encoder and recipe want it; read once."""
        directory, content = self.encoder_named(spec.encoder).directory, self.benchmark(benchmark).pool(pool)
        key = (content.fingerprint, directory, spec.recipe.max_length)
        if key not in self._encoded:
            self._encoded[key] = encode(content, directory, spec.recipe.max_length)
        return self._encoded[key]

    def embedder(self, spec: RunSpec) -> Callable[[Pool], NDArray[np.float32]]:
        """Turns single texts into vectors by the run's encoder, as it was pre-trained."""
        from paper_repro.method.classical import mean_embeddings  # late: it brings transformers

        folder, longest = self.encoder_named(spec.encoder).directory, spec.recipe.max_length
        return lambda pool: mean_embeddings(encode(pool, folder, longest), folder, self.device)


def open_inputs(
    profile: str = "demo",
    *,
    benchmark_file: str = "",
    data_dir: str = "",
    encoder_dir: str = "",
    device: str = "auto",
    results_dir: str = "",
    figures_dir: str = "",
    few_shot: str = "bundled",
    world: Mapping[str, Any] | None = None,
    offline: bool = False,
) -> Inputs:
    """The inputs of a profile by name.

    ``benchmark_file`` describes another benchmark (:mod:`paper_repro.texts.description`) in place of the
    profile's three, with results and figures beside theirs. ``data_dir`` holds the original public files,
    ``encoder_dir`` an encoder in Hugging Face layout; left empty they are looked for in the environment, the caches
    and the hub. ``device`` is "auto", "cpu", "cuda" or "cuda:1". ``few_shot`` "asked" takes the labels that
    ``paper-repro few-shot`` got for the first row of Tables 1 and 4. ``world`` sets knobs of the miniature world, by
    the names of :class:`paper_repro.texts.world.WorldConfig`. With ``offline`` nothing is looked for on the hub.

    Raises UserError for an unknown profile, device or knob, and for a faulty benchmark file.
    """
    if few_shot not in ("bundled", "asked"):
        raise UserError(f"few_shot={few_shot!r} is not known; expected 'bundled' or 'asked'")
    described = description.read(Path(benchmark_file)) if benchmark_file else None
    chosen = profiles.load(profile)
    return Inputs(
        chosen if described is None else profiles.with_own_benchmark(chosen, described.name, described.title),
        Paths.of(profile, results_dir, figures_dir, described.path if described else None),
        own=described,
        data_dir=Path(data_dir).resolve() if data_dir else None,
        encoder_dir=Path(encoder_dir).resolve() if encoder_dir else None,
        device=torch_device(device),
        few_shot=few_shot == "asked",
        world=dict(world or {}),
        offline=offline,
    )


def _world(knobs: Mapping[str, Any]) -> WorldConfig | None:
    if not knobs:
        return None
    unknown = set(knobs) - set(WorldConfig.__dataclass_fields__)
    if unknown:
        known = ", ".join(WorldConfig.__dataclass_fields__)
        raise UserError(f"the miniature world has no knob {', '.join(sorted(unknown))}; expected some of {known}")
    return WorldConfig(**knobs)


@lru_cache(maxsize=8)
def _encoder(name: str, directory: Path | None, cache: Path, offline: bool) -> Encoder:
    return locate.resolve(name, directory=directory, cache=cache, offline=offline)
