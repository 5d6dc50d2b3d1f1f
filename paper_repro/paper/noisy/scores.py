"""The checkers' scores and the weights of a noisy training set, by run, epoch and example (App. G.3).

Shapes: S seeds, E epochs (1 for what is fixed before training), N examples of the noisy set. Both copies of a
duplicated text stand in it, but they are one text: intervals are over seeds and *texts*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro.paper.cells import Cell, grouped
from paper_repro.paper.outcomes import seeds_status
from paper_repro.runs.results import Results
from paper_repro.runs.spec import RunSpec
from paper_repro.texts import noise
from paper_repro.tools.errors import UserError

Floats = NDArray[np.float64]
IMP, DIMP, TRUE = "imp", "dimp", "true"
"""Weightings: the methods, and the exact P and Q."""


@dataclass(frozen=True)
class Scores:
    """One score of every example of a noisy set under the runs of one weighting.

    ``score`` is "quality" (P'), "diversity" (Q, or p of DIMP) or "weight" (their ratio), all of the observed label;
    ``values`` (S, E, N) in the order of ``seeds``; ``parts`` is :func:`paper_repro.texts.noise.composition`.
    """

    benchmark: str
    weighting: str
    score: str
    seeds: tuple[int, ...]
    planned: int
    values: Floats
    parts: pd.DataFrame

    @property
    def status(self) -> str:
        return seeds_status(len(self.seeds), self.planned)

    @property
    def epochs(self) -> list[int | None]:
        """The epochs, from 1; only None for what does not change in training."""
        return [*range(1, self.values.shape[1] + 1)] if self.weighting == DIMP else [None]

    def rows_of(self, part: str) -> NDArray[np.int64]:
        """Rows of the noisy set that are of a part, (texts, copies)."""
        here, copy = self.parts["part"].to_numpy() == part, self.parts["copy"].to_numpy()
        return np.stack([rows for c in (0, 1) if len(rows := np.flatnonzero(here & (copy == c)))], axis=1)

    def of_part(self, part: str, epoch: int | None = None) -> Floats:
        """(S, texts, copies) of the mean over the epochs, or of one (from 1)."""
        values = self.values.mean(axis=1) if epoch is None else self.values[:, epoch - 1]
        return values[:, self.rows_of(part)]

    def texts_of(self, part: str, epoch: int | None = None) -> Floats:
        """(S, texts), each the mean of its copies."""
        return np.asarray(self.of_part(part, epoch).mean(axis=2))


def measured(results: Results, cells: Iterable[Cell]) -> list[Scores]:
    """The scores and weights behind the IMP and DIMP cells, from what the store has; other cells are passed over.

    Seeds whose run or scores are missing are left out. In the miniature world the exact P(y|x) and the distribution of
    the noisy labels come on top.
    """
    weighted = [cell for cell in cells if cell.spec.quality is not None]
    groups = grouped(weighted, "benchmark", "method")
    found = [one for (name, method), group in groups.items() for one in _measured(results, name, method, group)]
    pools = {cell.benchmark: cell.spec.source.pool for cell in weighted}
    return found + [one for name, pool in pools.items() for one in _true(results, name, pool)]


def _parts(results: Results, benchmark: str, pool: str) -> pd.DataFrame:
    made = results.benchmark(benchmark)
    return noise.composition(made.pool(pool.partition(":")[0]).labels, made.classes)


def _measured(results: Results, benchmark: str, weighting: str, group: list[Cell]) -> Iterator[Scores]:
    parts = _parts(results, benchmark, group[0].spec.source.pool)
    found = {cell.seed: pair for cell in group if (pair := _log_scores(results, cell.spec)) is not None}
    epochs = group[0].spec.recipe.epochs if weighting == DIMP else 1
    quality = np.array([pair[0] for pair in found.values()]).reshape(len(found), 1, len(parts))
    diversity = np.array([pair[1] for pair in found.values()]).reshape(len(found), epochs, len(parts))
    scores = {"quality": quality, "diversity": diversity, "weight": quality - diversity}
    for score, logs in scores.items():
        if score != "quality" or weighting == IMP:  # the quality checker is the same for all
            yield Scores(benchmark, weighting, score, tuple(found), len(group), np.exp(logs), parts)


def _log_scores(results: Results, spec: RunSpec) -> tuple[Floats, Floats] | None:
    """ln of P' (1, N) and of Q (1, N) or p (E, N) on the observed labels; None where a part is missing."""
    assert spec.quality is not None
    try:
        quality = results.observed_scores(spec.quality, spec.benchmark, spec.source.pool)
        if spec.diversity is not None:
            return quality[None], results.observed_scores(spec.diversity, spec.benchmark, spec.source.pool)[None]
    except UserError:  # not computed
        return None
    learnt = results.train_log_p(spec)
    return None if learnt is None else (quality[None], learnt.astype(np.float64))


def _true(results: Results, benchmark: str, pool: str) -> Iterator[Scores]:
    """P(y|x), the exact distribution of the noisy labels and their ratio, where P is known."""
    made = results.benchmark(benchmark)
    truth, labels = made.truth_of(pool), made.pool(pool).labels
    if truth is not None:
        parts = _parts(results, benchmark, pool)
        noisy = noise.label_law(truth.p, float((parts["part"] == "swapped").mean()))
        p, q = (probabilities[np.arange(len(labels)), labels][None, None] for probabilities in (truth.p, noisy))
        for score, values in {"quality": p, "diversity": q, "weight": p / q}.items():
            yield Scores(benchmark, TRUE, score, (0,), 1, values, parts)
