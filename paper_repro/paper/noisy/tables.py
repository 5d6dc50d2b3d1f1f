"""What the checkers and the weights make of a noisy training set, part by part (App. G.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.measures import intervals
from paper_repro.measures.intervals import Interval
from paper_repro.measures.ranks import auroc
from paper_repro.paper.noisy.scores import IMP, TRUE, Scores
from paper_repro.paper.outcomes import UNKNOWN, judged
from paper_repro.texts import noise


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

    ``epoch`` is empty for what is fixed; ``n_examples`` counts copies. The 95 % intervals are over seeds and texts.
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

    ``other`` is the part compared with; 0.5 is chance. The 95 % intervals are over seeds and texts. Of the true scores
    the weight alone: they rank alike, each grows with P.
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

    ln w = ln P' - ln Q, so the rows "quality" and "diversity" (of -ln Q) of a benchmark add up to "weight". Judged is
    whether the score gives original texts the higher weight.
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
