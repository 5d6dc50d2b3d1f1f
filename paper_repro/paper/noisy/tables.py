"""What the checkers and the weights make of a noisy training set, part by part (App. G.3).

Shapes: S seeds, E epochs (1 for what is fixed before training), N examples of the noisy set. Both copies of a
duplicated text stand in it, but they are one text: intervals are over seeds and *texts*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro.measures import intervals
from paper_repro.measures.intervals import Interval
from paper_repro.measures.ranks import auroc
from paper_repro.paper.cells import Cell
from paper_repro.paper.claims import comparisons, together
from paper_repro.paper.outcomes import outcomes_of, verdict
from paper_repro.runs.results import Results
from paper_repro.runs.spec import Checker, RunSpec
from paper_repro.texts import noise
from paper_repro.tools.errors import UserError

Floats = NDArray[np.float64]
IMP, CROSS_FITTED, DIMP, TRUE = "IMP", "IMP, cross-fitted", "DIMP", "true P and Q"
FIGURES = {
    (IMP, "financial"): "Figure 4",
    (IMP, "tweet_irony"): "Figure 5",
    (DIMP, "diversity", "financial"): "Figure 6",
    (DIMP, "weight", "financial"): "Figure 7",
}
"""Where the paper shows a score; the other benchmarks are not in it."""
ON_TABLE = {"IMP and DIMP outperform CE and Focal on noisy data": ("G.2", r"Noisy data: (IMP|DIMP) beats (CE|Focal)")}
ON_SCORES = {"IMP and DIMP weight original texts highest": ("G.3", r"weight is higher for original")}
"""Sentences on several rows, by the section that says them and the pattern of their rows' claims."""

SCORE_CLAIMS = (
    ("P' is higher for original than for swapped texts", IMP, "quality", "original", "swapped"),
    ("P' is higher for original than for duplicated texts", IMP, "quality", "original", "duplicated"),
    ("P' is lower for swapped than for duplicated texts", IMP, "quality", "duplicated", "swapped"),
    ("Q is lower for original than for duplicated texts", IMP, "diversity", "duplicated", "original"),
    ("Q is lower for swapped than for original texts", IMP, "diversity", "original", "swapped"),
    ("Q is lower for swapped than for duplicated texts", IMP, "diversity", "duplicated", "swapped"),
    ("IMP's weight is higher for original than for swapped texts", IMP, "weight", "original", "swapped"),
    ("IMP's weight is higher for original than for duplicated texts", IMP, "weight", "original", "duplicated"),
    ("DIMP's p is lower for original than for duplicated texts", DIMP, "diversity", "duplicated", "original"),
    ("DIMP's weight is higher for original than for swapped texts", DIMP, "weight", "original", "swapped"),
    ("DIMP's weight is higher for original than for duplicated texts", DIMP, "weight", "original", "duplicated"),
)
"""What G.3 reads off the figures: claim, weighting, score, the part that is higher, the part that is lower."""


class ScoredRuns(Runs, Protocol):
    """What is needed of a :class:`paper_repro.study.Workspace` beyond the tables of accuracies."""

    def scores(self, checker: Checker, benchmark: str, pool: str, *, compute: bool = True) -> NDArray[np.float32]: ...
    def train_log_p(self, spec: RunSpec) -> NDArray[np.float32] | None: ...


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
    wanted: int
    values: Floats
    parts: pd.DataFrame

    @property
    def status(self) -> str:
        found = len(self.seeds)
        return "complete" if found == self.wanted else f"{found} of {self.wanted} seeds"

    def of_part(self, part: str, epoch: int | None = None) -> Floats:
        """(S, texts, copies) of the mean over the epochs, or of one (from 1)."""
        values = self.values.mean(axis=1) if epoch is None else self.values[:, epoch - 1]
        return values[:, _rows_of(self.parts, part)]

    def texts_of(self, part: str, epoch: int | None = None) -> Floats:
        """(S, texts), each the mean of its copies."""
        return np.asarray(self.of_part(part, epoch).mean(axis=2))

    def epochs(self) -> list[int | None]:
        """The epochs, from 1; only None for what does not change in training."""
        count = self.values.shape[1]
        return [*range(1, count + 1)] if self.weighting == DIMP else [None]


def _rows_of(parts: pd.DataFrame, part: str) -> NDArray[np.int64]:
    """Rows of the noisy set that are of a part, (texts, copies)."""
    here, copy = parts["part"].to_numpy() == part, parts["copy"].to_numpy()
    return np.stack([rows for c in (0, 1) if len(rows := np.flatnonzero(here & (copy == c)))], axis=1)


# ---------------------------------------------------------------- from the store


def noisy_measured(results: ScoredRuns, cells: Iterable[Cell]) -> list[Scores]:
    """The scores and weights behind the IMP and DIMP cells, from what the store has; other cells are passed over.

    A diversity checker with folds is kept apart (weighting "IMP, cross-fitted"). Seeds whose run or scores are
    missing are left out. In the miniature world the exact P(y|x) and the law of the noisy labels come on top.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.spec.quality is not None:
            groups.setdefault((cell.benchmark, _weighting(cell.spec)), []).append(cell)
    measured = [one for key, group in groups.items() for one in _measured(results, *key, group)]
    pools = {cell.benchmark: cell.spec.source.pool for group in groups.values() for cell in group}
    return measured + [one for name, pool in pools.items() for one in _true(results, name, pool)]


def _weighting(spec: RunSpec) -> str:
    if spec.diversity is None:
        return DIMP
    return CROSS_FITTED if spec.diversity.folds else IMP


def _parts(results: ScoredRuns, benchmark: str, pool: str) -> pd.DataFrame:
    made = results.benchmark(benchmark)
    return noise.composition(made.pool(pool.partition(":")[0]).labels, made.classes)


def _measured(results: ScoredRuns, benchmark: str, weighting: str, group: list[Cell]) -> Iterator[Scores]:
    parts = _parts(results, benchmark, group[0].spec.source.pool)
    found = {cell.seed: pair for cell in group if (pair := _log_scores(results, cell.spec)) is not None}
    epochs = group[0].spec.recipe.epochs if weighting == DIMP else 1
    quality = np.array([pair[0] for pair in found.values()]).reshape(len(found), 1, len(parts))
    diversity = np.array([pair[1] for pair in found.values()]).reshape(len(found), epochs, len(parts))
    scores = {"quality": quality, "diversity": diversity, "weight": quality - diversity}
    for score, logs in scores.items():
        if score != "quality" or weighting == IMP:  # the quality checker is the same for all
            yield Scores(benchmark, weighting, score, tuple(found), len(group), np.exp(logs), parts)


def _log_scores(results: ScoredRuns, spec: RunSpec) -> tuple[Floats, Floats] | None:
    """ln of P' (1, N) and of Q (1, N) or p (E, N) on the observed labels; None where a part is missing."""
    labels = results.benchmark(spec.benchmark).pool(spec.source.pool).labels

    def observed(checker: Checker) -> Floats:
        scores = results.scores(checker, spec.benchmark, spec.source.pool, compute=False)
        return scores[None, np.arange(len(labels)), labels].astype(np.float64)

    assert spec.quality is not None
    try:
        quality = observed(spec.quality)
        learnt = results.train_log_p(spec) if spec.diversity is None else observed(spec.diversity)
    except UserError:
        return None
    return None if learnt is None else (quality, learnt.astype(np.float64))


def _true(results: ScoredRuns, benchmark: str, pool: str) -> Iterator[Scores]:
    """P(y|x), the exact law of the noisy labels and their ratio, where P is known."""
    made = results.benchmark(benchmark)
    truth, labels = made.truth_of(pool), made.pool(pool).labels
    if truth is not None:
        parts = _parts(results, benchmark, pool)
        law = noise.label_law(truth.p, float((parts["part"] == "swapped").mean()))
        p, q = (probabilities[np.arange(len(labels)), labels][None, None] for probabilities in (truth.p, law))
        for score, values in {"quality": p, "diversity": q, "weight": p / q}.items():
            yield Scores(benchmark, TRUE, score, (0,), 1, values, parts)


# ---------------------------------------------------------------- tables


def noisy_scores(measured: Iterable[Scores]) -> pd.DataFrame:
    """Mean of each score by part (Figures 4 to 7), one row a benchmark, weighting, score, epoch and part.

    Columns: benchmark, weighting, score, epoch (empty for what is fixed), part, mean, low, high (95 % over seeds and
    texts), n_seeds, n_texts, n_examples (copies counted), status.
    """
    rows = []
    for one in measured:
        for epoch in one.epochs():
            for part in noise.PARTS:
                values = one.of_part(part, epoch)
                found = intervals.mean_interval(values.mean(axis=2)) if one.seeds else _UNKNOWN
                counts = (len(one.seeds), values.shape[1], values.shape[1] * values.shape[2])
                names = (one.benchmark, one.weighting, one.score, epoch, part)
                rows.append((*names, found.mean, found.low, found.high, *counts, one.status))
    keys = ["benchmark", "weighting", "score", "epoch", "part"]
    columns = [*keys, "mean", "low", "high", "n_seeds", "n_texts", "n_examples", "status"]
    return pd.DataFrame(rows, columns=columns).astype({"epoch": "Int64"})


def noisy_detection(measured: Iterable[Scores]) -> pd.DataFrame:
    """How often a random original text scores higher than a random swapped (or duplicated) one, by score.

    Columns: benchmark, weighting, score, epoch, other (the part compared with), auroc, low, high (95 % over seeds
    and texts; 0.5 is chance), n_seeds, n_original, n_other (texts), status. Of the true scores the weight alone: they
    rank alike, each grows with P.
    """
    rows = []
    for one in measured:
        if one.weighting == TRUE and one.score != "weight":
            continue
        for epoch in one.epochs():
            original = one.of_part("original", epoch)
            for other in noise.PARTS[1:]:
                values = one.of_part(other, epoch)
                found = auroc(original, values) if one.seeds else _UNKNOWN
                names = (one.benchmark, one.weighting, one.score, epoch, other)
                counts = (len(one.seeds), original.shape[1], values.shape[1])
                rows.append((*names, found.mean, found.low, found.high, *counts, one.status))
    keys = ["benchmark", "weighting", "score", "epoch", "other"]
    columns = [*keys, "auroc", "low", "high", "n_seeds", "n_original", "n_other", "status"]
    return pd.DataFrame(rows, columns=columns).astype({"epoch": "Int64"})


def noisy_claims(results: Results, cells: Iterable[Cell], measured: Sequence[Scores]) -> pd.DataFrame:
    """App. G's claims, on Table 4 and on the scores by part, one benchmark a row, judged by the rule.

    Columns: those of :func:`paper_repro.paper.claims`; a claim on scores has in ``n`` the texts compared, in
    ``epochs`` (DIMP, whose mean is over the epochs) in how many of them the interval lies above 0, and no ``item``
    where the paper does not show the benchmark. The last rows are sentences on several rows.
    """
    rows = comparisons(results, outcomes_of(results, cells), "table4")
    for claim in SCORE_CLAIMS:
        rows += [_score_claim(one, *claim) for one in measured if (one.weighting, one.score) == claim[1:3]]
    return pd.DataFrame(rows + together(rows, ON_TABLE, "Table 4") + together(rows, ON_SCORES, ""))


def _score_claim(one: Scores, claim: str, weighting: str, score: str, upper: str, lower: str) -> dict[str, Any]:
    found = _difference(one, upper, lower)
    above = [_difference(one, upper, lower, epoch).low > 0 for epoch in one.epochs() if epoch]
    figure = FIGURES.get((weighting, one.benchmark)) or FIGURES.get((weighting, score, one.benchmark), "")
    over = ", mean of the epochs" if above else ""
    return {
        "claim": claim,
        "section": "G.3",
        "item": figure,
        "benchmark": one.benchmark,
        "statistic": f"mean {score}, {upper} minus {lower}{over}",
        "mean": found.mean,
        "low": found.low,
        "high": found.high,
        "epochs": f"{sum(above)} of {len(above)}" if above else "",
        "n_seeds": len(one.seeds),
        "n": one.texts_of(upper).shape[1] + one.texts_of(lower).shape[1],
        "status": one.status,
        "verdict": verdict(found.low, found.high, one.status),
    }


def noisy_log_weights(measured: Sequence[Scores]) -> pd.DataFrame:
    """Why IMP's weights differ between parts: original minus other, in ln w and in what P' and Q bring to it.

    ln w = ln P' - ln Q, so the rows "quality" and "diversity" (of -ln Q) of a benchmark add up to "weight".
    Columns: benchmark, other, score, mean, low, high (95 % over seeds and texts), n_seeds, n_texts, status.
    """
    rows = []
    for one in measured:
        if one.weighting != IMP or not one.seeds:
            continue
        logs = replace(one, values=np.log(one.values) * (-1 if one.score == "diversity" else 1))
        for other in noise.PARTS[1:]:
            found = _difference(logs, "original", other)
            count = one.of_part("original").shape[1] + one.of_part(other).shape[1]
            names = (one.benchmark, other, one.score)
            rows.append((*names, found.mean, found.low, found.high, len(one.seeds), count, one.status))
    columns = ["benchmark", "other", "score", "mean", "low", "high", "n_seeds", "n_texts", "status"]
    return pd.DataFrame(rows, columns=columns)


TWINS = ("original", "swapped", "duplicated, copies in two folds", "duplicated, copies in one fold")


def noisy_memory(measured: Sequence[Scores], folds: int) -> pd.DataFrame:
    """What the diversity checker owes to having seen the text: in-sample minus cross-fitted Q(y|x), by part.

    Folds are of examples, so the copies of a duplicated text mostly lie in two folds, and then each is scored by a
    model that has seen the other. Columns: benchmark, texts (one of :data:`TWINS`), seen, unseen (mean Q(y|x)),
    mean, low, high (of the difference, 95 % over seeds and texts), n_seeds, n_texts, status.
    """
    rows = []
    fitted = {(one.benchmark, one.weighting): one for one in measured if one.score == "diversity"}
    for (benchmark, weighting), after in fitted.items():
        if weighting != CROSS_FITTED or not after.seeds:
            continue
        before = fitted[benchmark, IMP]
        seeds = [seed for seed in after.seeds if seed in before.seeds]
        seen, unseen = (one.values[np.isin(one.seeds, seeds)] for one in (before, after))
        for texts, rows_of in _twins(after.parts, folds).items():
            old, new = (values[:, 0][:, rows_of].mean(axis=2) for values in (seen, unseen))
            found = intervals.mean_interval(old - new) if old.size else _UNKNOWN
            means = (old.mean(), new.mean()) if old.size else (np.nan, np.nan)
            numbers = (*means, found.mean, found.low, found.high, len(seeds), old.shape[1], after.status)
            rows.append((benchmark, texts, *numbers))
    columns = ["benchmark", "texts", "seen", "unseen", "mean", "low", "high", "n_seeds", "n_texts", "status"]
    return pd.DataFrame(rows, columns=columns)


def _twins(parts: pd.DataFrame, folds: int) -> dict[str, NDArray[np.int64]]:
    """Rows of the noisy set, (texts, copies), by :data:`TWINS`."""
    from paper_repro.method.checkers import fold_of  # loads torch

    fold = fold_of(parts["after"].to_numpy(), folds)
    by_part = {part: _rows_of(parts, part) for part in noise.PARTS}
    pairs = by_part["duplicated"]
    same = fold[pairs[:, 0]] == fold[pairs[:, 1]]
    groups = (by_part["original"], by_part["swapped"], pairs[~same], pairs[same])
    return dict(zip(TWINS, groups, strict=True))


def _difference(one: Scores, upper: str, lower: str, epoch: int | None = None) -> Interval:
    if not one.seeds:
        return _UNKNOWN
    return intervals.unpaired_interval(one.texts_of(upper, epoch), one.texts_of(lower, epoch))


_UNKNOWN = Interval(np.nan, np.nan, np.nan)
