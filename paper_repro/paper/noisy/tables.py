"""What the checkers and the weights make of a noisy training set, part by part (App. G.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro.measures import intervals
from paper_repro.measures.intervals import Interval
from paper_repro.measures.ranks import auroc
from paper_repro.paper.noisy.scores import CROSS_FITTED, IMP, TRUE, Scores
from paper_repro.paper.outcomes import UNKNOWN, judged
from paper_repro.texts import noise
from paper_repro.texts.folds import fold_of

TWINS = {
    "original": "original",
    "swapped": "swapped",
    "duplicated_apart": "duplicated, copies in two folds",
    "duplicated_together": "duplicated, copies in one fold",
}
"""Groups of texts by what cross-fitting does to them, with their titles."""


def difference(one: Scores, upper: str, lower: str, epoch: int | None = None) -> Interval:
    """The mean score of the part ``upper`` minus that of ``lower``, with its interval over seeds and texts."""
    if not one.seeds:
        return UNKNOWN
    return intervals.unpaired_interval(one.texts_of(upper, epoch), one.texts_of(lower, epoch))


def _row(one: Scores, names: Mapping[str, Any], interval: Interval, mean: str = "mean") -> dict[str, Any]:
    numbers = {mean: interval.mean, "low": interval.low, "high": interval.high}
    return {"benchmark": one.benchmark, **names, **numbers, "n_seeds": len(one.seeds), "status": one.status}


def noisy_scores(measured: Iterable[Scores]) -> pd.DataFrame:
    """Mean of each score by part (Figures 4 to 7), one row for each benchmark, weighting, score, epoch and part.

    Columns: these (epoch is empty for what is fixed), n_texts, n_examples (copies counted), mean, low, high (95 %
    over seeds and texts), n_seeds, status.
    """
    rows = []
    for one in measured:
        for epoch in one.epochs:
            for part in noise.PARTS:
                values = one.of_part(part, epoch)
                mean = intervals.mean_interval(values.mean(axis=2)) if one.seeds else UNKNOWN
                names = {"weighting": one.weighting, "score": one.score, "epoch": epoch, "part": part}
                counts = {"n_texts": values.shape[1], "n_examples": values.shape[1] * values.shape[2]}
                rows.append(_row(one, {**names, **counts}, mean))
    return pd.DataFrame(rows).astype({"epoch": "Int64"})


def noisy_detection(measured: Iterable[Scores]) -> pd.DataFrame:
    """How often a random original text scores higher than a random swapped (or duplicated) one, by score.

    Columns: benchmark, weighting, score, epoch, other (the part compared with), n_original, n_other (texts), auroc,
    low, high (95 % over seeds and texts; 0.5 is chance), n_seeds, status. Of the true scores the weight alone: they
    rank alike, each grows with P.
    """
    rows = []
    for one in (one for one in measured if one.weighting != TRUE or one.score == "weight"):
        for epoch in one.epochs:
            original = one.of_part("original", epoch)
            for other in noise.PARTS[1:]:
                values = one.of_part(other, epoch)
                area = auroc(original, values) if one.seeds else UNKNOWN
                names = {"weighting": one.weighting, "score": one.score, "epoch": epoch, "other": other}
                counts = {"n_original": original.shape[1], "n_other": values.shape[1]}
                rows.append(_row(one, {**names, **counts}, area, "auroc"))
    return pd.DataFrame(rows).astype({"epoch": "Int64"})


def noisy_log_weights(measured: Iterable[Scores]) -> pd.DataFrame:
    """Why IMP's weights differ between parts: original minus other, in ln w and in what P' and Q bring to it.

    ln w = ln P' - ln Q, so the rows "quality" and "diversity" (of -ln Q) of a benchmark add up to "weight".
    Columns: benchmark, other, score, n_texts, and those of :func:`paper_repro.paper.outcomes.judged` (over seeds and
    texts): whether the score gives original texts the higher weight.
    """
    rows = []
    for one in (one for one in measured if one.weighting == IMP and one.seeds):
        logs = replace(one, values=np.log(one.values) * (-1 if one.score == "diversity" else 1))
        for other in noise.PARTS[1:]:
            count = len(one.rows_of("original")) + len(one.rows_of(other))
            names = {"other": other, "score": one.score, "n_texts": count}
            found = judged(difference(logs, "original", other), len(one.seeds), one.planned)
            rows.append({"benchmark": one.benchmark, **names, **found})
    return pd.DataFrame(rows, columns=["benchmark", "other", "score", "n_texts", *judged(UNKNOWN, 0, 1)])


def noisy_memory(measured: Sequence[Scores], folds: int) -> pd.DataFrame:
    """What the diversity checker owes to having seen the text: in-sample minus cross-fitted Q(y|x), by part.

    Folds are of examples, so the copies of a duplicated text mostly lie in two folds, and then each is scored by a
    model that has seen the other. Columns: benchmark, texts (a key of :data:`TWINS`), seen, unseen (mean Q(y|x)),
    n_texts, mean, low, high (of the difference, 95 % over seeds and texts), n_seeds, status.
    """
    rows = []
    fitted = {(one.benchmark, one.weighting): one for one in measured if one.score == "diversity"}
    for (benchmark, weighting), after in fitted.items():
        if weighting != CROSS_FITTED or not after.seeds:
            continue
        before = fitted[benchmark, IMP]
        seeds = [seed for seed in after.seeds if seed in before.seeds]
        seen, unseen = (one.values[np.isin(one.seeds, seeds)] for one in (before, after))
        for texts, rows_of in _twins(after, folds).items():
            old, new = (values[:, 0][:, rows_of].mean(axis=2) for values in (seen, unseen))
            gap = intervals.paired_interval(old, new) if old.size else UNKNOWN
            means = (old.mean(), new.mean()) if old.size else (np.nan, np.nan)
            names = {"texts": texts, "seen": means[0], "unseen": means[1], "n_texts": old.shape[1]}
            rows.append({**_row(after, names, gap), "n_seeds": len(seeds)})
    columns = ["benchmark", "texts", "seen", "unseen", "n_texts", "mean", "low", "high", "n_seeds", "status"]
    return pd.DataFrame(rows, columns=columns)


def _twins(one: Scores, folds: int) -> dict[str, NDArray[np.int64]]:
    """Rows of the noisy set, (texts, copies), by :data:`TWINS`."""
    fold = fold_of(one.parts["after"].to_numpy(), folds)
    pairs = one.rows_of("duplicated")
    same = fold[pairs[:, 0]] == fold[pairs[:, 1]]
    groups = (one.rows_of("original"), one.rows_of("swapped"), pairs[~same], pairs[same])
    return dict(zip(TWINS, groups, strict=True))
