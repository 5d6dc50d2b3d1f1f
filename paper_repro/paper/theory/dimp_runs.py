"""What the training passes of finished DIMP runs say about Apps. C and D, text by text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from paper_repro.measures.weights import top_tenth_share
from paper_repro.method import losses
from paper_repro.paper.cells import Cell
from paper_repro.paper.theory import closed_forms, one_step
from paper_repro.runs.results import Results
from paper_repro.tools.errors import UserError

Floats = NDArray[np.float64]


def observed_quality(results: Results, cell: Cell) -> Floats:
    """log P'(y_i|x_i) of the texts that a run trains on, (texts,), as its weights saw them.

    Raises UserError where the quality checker's scores are not in the store.
    """
    assert cell.spec.quality is not None
    return results.observed_scores(cell.spec.quality, cell.benchmark, cell.spec.source.pool)


def one_step_ranks(results: Results, cells: Iterable[Cell], candidates: int) -> pd.DataFrame:
    """:func:`one_step.compare` on each benchmark after 1 and 10 epochs, with the quality scores of its first run.

    Raises UserError where the texts or the scores are not here.
    """
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(cell.benchmark, cell)
    return pd.concat(
        [
            one_step.compare(results.benchmark(name), {"BERT P'": scores}, epochs=stage, candidates=candidates)
            for name, scores in ((name, observed_quality(results, cell)) for name, cell in first.items())
            for stage in (1, 10)
        ],
        ignore_index=True,
    )


def by_epoch(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """One row per DIMP run and epoch; a run that is not finished has one row that says so in ``status``.

    App. C: ``log_weight_gap`` is the largest distance of ln w to the reducible hold-out loss, ``recorded_gap`` that of
    the mean weight to the one that training recorded, as a fraction, ``top_tenth`` the share of the weight on the
    heaviest tenth of the texts. App. D: means over the texts of the loss, the bound (and Eq. 24's) and of what the two
    steps between them give away (``am_gm``, ``hoelder``), ``gap_min`` the smallest loss - bound of a text,
    ``negative`` the share of texts whose bound is below 0.
    """
    rows: list[dict[str, Any]] = []
    for cell in cells:
        names = {"benchmark": cell.benchmark, "seed": cell.seed}
        result, log_ps = results.result(cell.spec), results.train_log_p(cell.spec)
        try:
            quality = observed_quality(results, cell)
        except UserError:
            result = None
        if result is None or log_ps is None:
            rows.append({**names, "status": results.failure(cell.spec) or "missing"})
            continue
        for record, log_p in zip(result.history, log_ps.astype(np.float64), strict=True):
            about = {"epoch": record.epoch, "n": len(log_p), **_epoch(log_p, quality, record.weight_mean)}
            rows.append({**names, **about, "status": "complete"})
    return pd.DataFrame(rows)


def _epoch(log_p: Floats, log_quality: Floats, recorded: float) -> dict[str, float]:
    weight = losses.weights("dimp", torch.from_numpy(log_p), torch.from_numpy(log_quality)).numpy()
    reducible = log_quality - log_p  # CE of the model minus CE of the hold-out model
    p, quality = np.exp(log_p), np.exp(log_quality)
    loss, bound = closed_forms.dimp_term(p, quality), closed_forms.bound(p, quality)
    return {
        "log_weight_gap": float(np.abs(np.log(weight) - reducible).max()),
        "recorded_gap": float(abs(np.exp(reducible).mean() / recorded - 1)),
        "top_tenth": top_tenth_share(weight),
        "loss": float(loss.mean()),
        "bound": float(bound.mean()),
        "bound_eq24": float(closed_forms.bound(p, quality, 1).mean()),
        "gap_min": float((loss - bound).min()),
        "am_gm": float(closed_forms.am_gm_gap(p, quality).mean()),
        "hoelder": float(closed_forms.hoelder_gap(p, quality).mean()),
        "negative": float((bound < 0).mean()),
    }
