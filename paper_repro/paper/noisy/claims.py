"""App. G's claims on Table 4 and on the scores of Figures 4 to 7, each judged by the same rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from paper_repro.paper.cells import Cell
from paper_repro.paper.claims import Row, comparisons, conjunction, in_all, sentences
from paper_repro.paper.noisy.scores import DIMP, IMP, Scores
from paper_repro.paper.noisy.tables import difference
from paper_repro.paper.outcomes import judged, outcomes_of
from paper_repro.runs.results import Results

FIGURES = {(IMP, "financial"): "Figure 4", (IMP, "tweet_irony"): "Figure 5"}
LEARNT_FIGURES = {("diversity", "financial"): "Figure 6", ("weight", "financial"): "Figure 7"}
"""Where the paper shows the scores of IMP and of DIMP; the other benchmarks are not in it."""
SCORES = {
    (IMP, "quality"): "P'",
    (IMP, "diversity"): "Q",
    (IMP, "weight"): "IMP's weight",
    (DIMP, "diversity"): "DIMP's p",
    (DIMP, "weight"): "DIMP's weight",
}
SCORE_CLAIMS = (
    (IMP, "quality", "original", "higher", "swapped"),
    (IMP, "quality", "original", "higher", "duplicated"),
    (IMP, "quality", "swapped", "lower", "duplicated"),
    (IMP, "diversity", "original", "lower", "duplicated"),
    (IMP, "diversity", "swapped", "lower", "original"),
    (IMP, "diversity", "swapped", "lower", "duplicated"),
    (IMP, "weight", "original", "higher", "swapped"),
    (IMP, "weight", "original", "higher", "duplicated"),
    (DIMP, "diversity", "original", "lower", "duplicated"),
    (DIMP, "weight", "original", "higher", "swapped"),
    (DIMP, "weight", "original", "higher", "duplicated"),
)
"""What G.3 reads off the figures. Of DIMP's weight it says so "consistently across epochs"."""


def noisy_claims(results: Results, cells: Iterable[Cell], measured: Sequence[Scores]) -> pd.DataFrame:
    """App. G's claims on Table 4 and on the scores by part, on each benchmark, and its sentences on all of them.

    Columns: those of :func:`paper_repro.paper.claims.comparisons`; a claim on scores has in ``n_texts`` the texts
    compared, in ``epochs`` (DIMP) in how many of them it holds, and no ``item`` where the paper does not show the
    benchmark. Of DIMP's scores, mean and interval are those of the mean over the epochs.
    """
    on_table = comparisons(results, outcomes_of(results, cells), "table4")
    scores = {(one.benchmark, one.weighting, one.score): one for one in measured}
    on_scores = [
        _score_claim(scores[name, *claim[:2]], *claim)
        for claim in SCORE_CLAIMS
        for name in results.profile.benchmarks
        if (name, *claim[:2]) in scores
    ]
    weights = [row for row in on_scores if row["score"] == "weight"]
    claim = "IMP and DIMP weight original texts highest"
    both = conjunction("original_weights", claim, "G.3", "", "all", weights)
    return pd.DataFrame([*on_table, *on_scores, *sentences(on_table, "table4"), both])


def _score_claim(one: Scores, weighting: str, score: str, part: str, direction: str, than: str) -> Row:
    upper, lower = (part, than) if direction == "higher" else (than, part)
    every_epoch = (weighting, score) == (DIMP, "weight")
    claim = f"{SCORES[weighting, score]} is {direction} for {part} than for {than} texts"
    row = {
        "id": f"{weighting}_{score}_{part}_{than}",
        "claim": f"{claim} in every epoch" if every_epoch else claim,
        "section": "G.3",
        "item": FIGURES.get((weighting, one.benchmark), ""),
        "benchmark": one.benchmark,
        "score": score,
        "statistic": f"mean {score}, {upper} minus {lower}",
        "n_texts": len(one.rows_of(upper)) + len(one.rows_of(lower)),
    }
    found, mean = len(one.seeds), difference(one, upper, lower)
    if weighting == IMP:
        return {**row, **judged(mean, found, one.planned)}
    row |= {
        "item": LEARNT_FIGURES.get((score, one.benchmark), ""),
        "statistic": f"{row['statistic']}, mean of the epochs",
    }
    epochs = in_all([difference(one, upper, lower, epoch) for epoch in one.epochs], mean, found, one.planned)
    return {**row, **epochs} if every_epoch else {**row, **epochs, **judged(mean, found, one.planned)}
