"""How diverse each set is by every measure, and how far its inputs are from real ones.

A set is cut into samples of about :data:`SAMPLE` texts that share no text, and every measure is taken of each: so the
numbers of different sets compare, and their spread gives an interval. The cluster-agent's numbers are those of its
recorded draws, the conditional entropy's those of the seeds. What needs an encoder that is not here (tables from
shipped runs) is taken from the shipped reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.measures import diversity as formulas
from paper_repro.measures import entropy
from paper_repro.measures.intervals import mean_interval
from paper_repro.measures.ranks import order_interval
from paper_repro.paper.cells import Cell, spec
from paper_repro.paper.csv_files import load
from paper_repro.paper.diversity.cells import benchmarks, levels
from paper_repro.paper.information.input_shift import best_auc, two_sample
from paper_repro.runs.results import Results
from paper_repro.texts import diversity_sets, world
from paper_repro.texts.benchmarks import data_directory
from paper_repro.texts.derived import DIVERSITY
from paper_repro.texts.generated import whole_texts, word_counts
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError

SAMPLE = 100
AGENT, ENTROPY = "cluster_agent", "conditional_entropy"
OF_WORDS: dict[str, Callable[[Sequence[str]], float]] = {
    "distinct_1": lambda texts: formulas.distinct(texts, 1),
    "distinct_2": lambda texts: formulas.distinct(texts, 2),
    "self_repetition": formulas.self_repetition,
    "compression_ratio": formulas.compression_ratio,
}
OF_VECTORS: dict[str, Callable[[Any], float]] = {
    "mean_distance": formulas.mean_distance,
    "vendi": formulas.vendi,
    "inertia": formulas.inertia,
}
TITLES = {
    AGENT: "LLM cluster-agent",
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "self_repetition": "self-repetition",
    "compression_ratio": "gzip ratio",
    "mean_distance": "mean embedding distance",
    "vendi": "Vendi score",
    "inertia": "k-means inertia",
    ENTROPY: "conditional entropy",
}
"""The measures in the order of the tables."""
TURNED = ("self_repetition", "compression_ratio")
"""Those of which a larger number means less diversity."""
VALUES = ["benchmark", "set", "level", "measure", "value", "origin"]
HERE, SHIPPED = "computed here", "shipped reference"


def folder_of(benchmark: str, data_dir: Path | None = None) -> Path | None:
    """The folder with the real sets of a benchmark, whose texts are here even where the benchmark's are not."""
    return diversity_sets.place(benchmark, data_directory(data_dir))


def set_of(results: Results, benchmark: str, name: str) -> Pool:
    """The texts of a set."""
    folder = folder_of(benchmark, results.inputs.data_dir)
    if results.profile.kind == "miniature" or folder is None:
        return results.benchmark(benchmark).pool(DIVERSITY + name)
    return diversity_sets.read(folder, benchmark)[name]


def overview(results: Results) -> pd.DataFrame:
    """What the sets are: benchmark, set, level, made_of, texts, different (texts that are not repeated word by word),
    words (mean of a text)."""
    rows = []
    for benchmark in benchmarks(results.profile):
        for name, level in levels(results.profile).items():
            pool = set_of(results, benchmark, name)
            about = {"benchmark": benchmark, "set": name, "level": level, "made_of": diversity_sets.MADE_OF[name]}
            counts = {"texts": len(pool), "different": len(pool) - pool.repeated}
            rows.append({**about, **counts, "words": round(float(word_counts(pool).mean()), 1)})
    return pd.DataFrame(rows)


def agent_values(benchmark: str, data_dir: Path | None = None) -> pd.DataFrame:
    """The recorded judgements of a real benchmark's sets: set, level, measure, value (of a draw that counts)."""
    folder = folder_of(benchmark, data_dir)
    found = [draw for draw in diversity_sets.draws(folder) if draw.sizes] if folder else []
    levels_of = diversity_sets.LEVELS
    rows = [
        (benchmark, draw.set_name, levels_of[draw.set_name], AGENT, formulas.cluster_score(draw.sizes), HERE)
        for draw in found
    ]
    return pd.DataFrame(rows, columns=VALUES).sort_values("level", kind="stable")


def by_source(name: str, texts: int = 900, drawn: int = 10) -> float:
    """What a judge who groups texts by their source would score on average: the different sources among ``drawn``
    texts, per text. The number of sources ends the set's ``name``; each has equally many of the ``texts``."""
    sources = int(name.rpartition("-")[2])
    others = texts - texts // sources
    unseen = np.prod([(others - i) / (texts - i) for i in range(drawn)])
    return float(sources * (1 - unseen) / drawn)


def values(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """One row for each sample, draw or seed: benchmark, set, level, measure, value, origin. ``cells`` are those of
    :func:`paper_repro.paper.diversity.cells.diversity`; the scores of their diversity checkers give the entropy."""
    rows, cells = list[tuple[Any, ...]](), list(cells)
    encoder = results.inputs.encoder.here
    for benchmark in benchmarks(results.profile):
        for name, level in levels(results.profile).items():
            pool = set_of(results, benchmark, name)
            found = [*_of_samples(results, pool, benchmark, encoder), *_entropies(results, cells, benchmark, name)]
            rows += [(benchmark, name, level, measure, value, HERE) for measure, value in found]
    made = [pd.DataFrame(rows, columns=VALUES)]
    if results.profile.kind == "real":
        made += [agent_values(benchmark, results.inputs.data_dir) for benchmark in benchmarks(results.profile)]
    if not encoder:
        made.append(_reference(results, "diversity_values", lambda frame: frame["measure"].isin(list(OF_VECTORS))))
    frame = pd.concat([part for part in made if len(part)], ignore_index=True)
    return frame.sort_values("measure", key=lambda m: m.map(list(TITLES).index), kind="stable", ignore_index=True)


def _of_samples(results: Results, pool: Pool, benchmark: str, encoder: bool) -> Iterator[tuple[str, float]]:
    texts = whole_texts(pool)
    order = np.random.default_rng(0).permutation(len(texts))
    vectors = None
    if encoder:
        embed = results.inputs.embedder(spec(results.profile, benchmark, "generated", "ce", results.profile.seeds[0]))
        vectors = embed(Pool(pool.name, tuple(texts), pool.labels))
    for rows in np.array_split(order, max(2, len(order) // SAMPLE)):
        yield from ((name, measure([texts[i] for i in rows])) for name, measure in OF_WORDS.items())
        if vectors is not None:
            yield from ((name, measure(vectors[rows])) for name, measure in OF_VECTORS.items())


def _entropies(results: Results, cells: Sequence[Cell], benchmark: str, name: str) -> Iterator[tuple[str, float]]:
    """H(Q) of Sec. 3.2 in nats, in-sample and in the full form, of each seed's CE model on its own set."""
    for cell in cells:
        checker = cell.spec.diversity
        if (cell.benchmark, cell.train_source) == (benchmark, DIVERSITY + name) and checker is not None:
            with suppress(UserError):  # not computed
                log_p = results.scores(checker, benchmark, cell.train_source)
                yield ENTROPY, float(entropy.entropy_terms(log_p).mean())


def _reference(results: Results, name: str, wanted: Callable[[pd.DataFrame], Any]) -> pd.DataFrame:
    """Rows of a table of the shipped reference; none where it has no such table."""
    path = results.paths.reference / f"{name}.csv"
    if not path.exists():
        return pd.DataFrame()
    frame = load(path)
    return frame[wanted(frame)].assign(origin=SHIPPED)


# ---------------------------------------------------------------- tables


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Mean of each measure by set, from :func:`values`: benchmark, set, level, measure, mean, low, high (95 % over the
    samples, draws or seeds), n (of these)."""
    rows = []
    for names, group in found.groupby(["benchmark", "measure", "set"], sort=False):
        interval = mean_interval(group["value"])
        about = dict(zip(("benchmark", "measure", "set"), names, strict=True)) | {"level": group["level"].iloc[0]}
        numbers = {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": len(group)}
        rows.append({**about, **numbers})
    return pd.DataFrame(rows)


def order(found: pd.DataFrame) -> pd.DataFrame:
    """Which measure orders the sets as they were made? Rank correlation of each measure with the known levels, turned
    so that more is more diverse: benchmark, measure, mean, low, high (:func:`order_interval`), sets, status."""
    rows = []
    for (benchmark, measure), group in found.dropna(subset="level").groupby(["benchmark", "measure"], sort=False):
        by_level = {level: part["value"].to_numpy() for level, part in group.groupby("level")}
        sign = -1 if measure in TURNED else 1
        interval = order_interval([sign * part for part in by_level.values()], np.array([*by_level], dtype=float))
        numbers = {"mean": interval.mean, "low": interval.low, "high": interval.high, "sets": len(by_level)}
        rows.append({"benchmark": benchmark, "measure": measure, **numbers, "status": "complete"})
    return pd.DataFrame(rows)


def shifts(results: Results, seed: int = 0) -> pd.DataFrame:
    """How well a classifier tells each set from D_P (:mod:`paper_repro.paper.information.input_shift`).

    Columns: benchmark, set, level, auc, low, high (95 %), best_auc (of the best classifier, in the miniature world),
    n_p, n_q (texts).
    """
    rows = list[dict[str, Any]]()
    for benchmark in benchmarks(results.profile):
        real = whole_texts(results.benchmark(benchmark).pool("train"))
        for name, level in levels(results.profile).items():
            texts = whole_texts(set_of(results, benchmark, name))
            auc = two_sample(real, texts, seed=seed)
            counts = {"best_auc": _best(results, name), "n_p": len(real), "n_q": len(texts)}
            about = {"benchmark": benchmark, "set": name, "level": level, "auc": auc.mean}
            rows.append({**about, "low": auc.low, "high": auc.high, **counts})
    return pd.DataFrame(rows)


def _best(results: Results, name: str) -> float:
    if results.profile.kind == "real":
        return np.nan
    config = world.WorldConfig(**{**results.profile.world, **results.inputs.world})
    known = world.inputs(replace(config, **diversity_sets.KNOBS.get(name, {})))
    return best_auc(known.p, known.q)
