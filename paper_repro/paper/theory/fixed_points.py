"""Where the losses lead, checked twice: gradient descent on a table of logits, and trained models in a made world.

The predictions are those of :func:`paper_repro.paper.theory.closed_forms.limit`; distances are total variations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from paper_repro.measures import intervals
from paper_repro.method import losses
from paper_repro.method.losses import Switches
from paper_repro.paper.cells import Cell
from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import verdict
from paper_repro.paper.theory import closed_forms
from paper_repro.runs.results import Results
from paper_repro.runs.spec import Checker, RunResult, RunSpec

Floats = NDArray[np.float64]

TABULAR = (
    ("ce", 1.0, True),
    ("quality_only", 1.0, True),
    ("imp", 1.0, True),
    ("imp", 0.5, True),
    ("dimp", 1.0, True),
    ("dimp", 0.5, True),
    ("dimp", 2.0, True),
    ("dimp", 1.0, False),
    ("focal", 1.0, True),
)
"""(method, gamma, detach) of the losses that are followed to their limits on a table of logits."""

CANDIDATES = ("Q", "Q P'", "P'", "(Q P')^(1/2)", "(Q P'^2)^(1/3)", "P")
"""The laws with which trained models are compared; products stand for the law proportional to them."""


def descend(
    method: str,
    q: Floats,
    quality: Floats,
    *,
    gamma: float = 1.0,
    detach: bool = True,
    steps: int = 2000,
    rate: float = 0.5,
) -> Floats:
    """p(y|x) (texts, classes) after gradient descent on E_Q[weight * -log p] with one logit for each (x, y).

    The weights are the package's own (:func:`paper_repro.method.losses.weights`), IMP's diversity checker is ``q``.
    The expectation over y ~ Q is taken in full: this is the loss on endless data, for a model that can be anything.
    A text's gradient is divided by its mean weight, which changes how fast it gets there and not where it ends.
    """
    law = torch.from_numpy(q)
    log_quality, log_diversity = (torch.from_numpy(np.log(values)).flatten() for values in (quality, q))
    logits = torch.zeros_like(law).requires_grad_()
    switches = Switches(gamma=gamma, detach=detach)
    for _ in range(steps):
        log_p = torch.log_softmax(logits, dim=-1)
        weight = losses.weights(method, log_p.flatten(), log_quality, log_diversity, switches).view_as(law)
        (gradient,) = torch.autograd.grad((law * weight * -log_p).sum(), logits)
        with torch.no_grad():
            logits -= rate * gradient / (law * weight).sum(dim=-1, keepdim=True)
    found: Floats = torch.softmax(logits.detach(), dim=-1).numpy()
    return found


def tabular(texts: int = 50, classes: int = 3, seed: int = 0) -> pd.DataFrame:
    """:data:`TABULAR` followed by :func:`descend` on random laws, beside the closed form.

    Columns: method, gamma, detach, to_limit (largest total variation to the closed form over the texts), n; then
    the mean distance to q and to quality, which shows that the limits differ from each other.
    """
    rng = np.random.default_rng(seed)
    q, quality = (0.1 + rng.dirichlet(np.ones(classes), texts) for _ in range(2))
    q, quality = closed_forms.normalised(q), closed_forms.normalised(quality)
    rows = []
    for method, gamma, detach in TABULAR:
        found = descend(method, q, quality, gamma=gamma, detach=detach)
        predicted = closed_forms.limit(method, q, quality, gamma=gamma, detach=detach)
        rows.append(
            {
                "method": method,
                "gamma": gamma,
                "detach": detach,
                "to_limit": float(closed_forms.total_variation(found, predicted).max()),
                "to_q": float(closed_forms.total_variation(found, q).mean()),
                "to_quality": float(closed_forms.total_variation(found, quality).mean()),
                "n": texts,
            }
        )
    return pd.DataFrame(rows)


# ---------------------------------------------------------------- trained models


def predicted(spec: RunSpec) -> str:
    """The candidate of :data:`CANDIDATES` to which a run's loss leads, if its diversity checker is right."""
    if spec.method == "dimp":
        return {1.0: "(Q P')^(1/2)", 2.0: "(Q P'^2)^(1/3)"}[spec.switches.gamma]
    return {"ce": "Q", "quality_only": "Q P'", "imp": "P'"}[spec.method]


def candidates(q: Floats, quality: Floats, p: Floats) -> dict[str, Floats]:
    """Every law of :data:`CANDIDATES`, (texts, classes) each; all but the last hang on Q and P' alone."""
    return {
        "Q": q,
        "Q P'": closed_forms.limit("quality_only", q, quality),
        "P'": quality,
        "(Q P')^(1/2)": closed_forms.limit("dimp", q, quality),
        "(Q P'^2)^(1/3)": closed_forms.limit("dimp", q, quality, gamma=2),
        "P": p,
    }


DISTANCES = [
    "benchmark", "loss", "candidate", "predicted", "mean", "low", "high", "margin", "margin_low", "margin_high",
    "noise", "n_seeds", "n", "status",
]  # fmt: skip


def distances(results: Results, cells: Iterable[Cell], quality: Mapping[tuple[str, int], Checker]) -> pd.DataFrame:
    """Total variation of trained models on the test texts from every candidate, one row a loss and candidate.

    ``cells`` are runs on generated data, ``quality`` their quality checkers by (benchmark, seed); where that is the
    exact P, P' and P are one candidate. The test texts are new to all models, and in a world without
    ``input_shift`` they have the law Q(x). Columns: benchmark, loss,
    candidate, predicted (bool), mean, low, high (95 % over seeds and texts), margin, margin_low, margin_high (the
    candidate's distance minus that of the predicted one, paired), noise (mean distance of two seeds of the loss,
    nan where their teachers differ), n_seeds, n, status.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.benchmark, cell.method), []).append(cell)
    rows: list[dict[str, Any]] = []
    for (benchmark, loss), members in groups.items():
        rows += _rows(results, benchmark, loss, members, quality)
    return pd.DataFrame(rows, columns=DISTANCES).astype({"predicted": bool})


def _rows(
    results: Results, benchmark: str, loss: str, cells: list[Cell], quality: Mapping[tuple[str, int], Checker]
) -> list[dict[str, Any]]:
    truth = results.benchmark(benchmark).truth_of("test")
    assert truth is not None, "only a miniature world knows P and Q"
    teachers = [quality[benchmark, cell.seed] for cell in cells]
    runs = [
        (results.result(cell.spec), _law(results, teacher, truth.p))
        for cell, teacher in zip(cells, teachers, strict=True)
    ]
    found = [(run.test_probabilities, teacher) for run, teacher in runs if run and teacher is not None]
    status = "complete" if len(found) == len(cells) else f"{len(found)} of {len(cells)} seeds"
    goal, names = predicted(cells[0].spec), {"benchmark": benchmark, "loss": loss}
    if not found:
        return [{**names, "candidate": goal, "predicted": True, "n_seeds": 0, "status": status}]
    laws = [candidates(truth.q, closed_forms.normalised(teacher), truth.p) for _, teacher in found]
    to = {
        name: np.stack([closed_forms.total_variation(p, law[name]) for (p, _), law in zip(found, laws, strict=True)])
        for name in CANDIDATES
        if name != "P" or any(teacher.run for teacher in teachers)
    }
    same_teacher = len(set(teachers)) == 1
    rows = []
    for name, values in to.items():
        distance = intervals.mean_interval(values)
        margin = intervals.paired_interval(values, to[goal])
        rows.append(
            {
                **names,
                "candidate": name,
                "predicted": name == goal,
                "mean": distance.mean,
                "low": distance.low,
                "high": distance.high,
                "margin": margin.mean,
                "margin_low": margin.low,
                "margin_high": margin.high,
                "noise": _retraining([p for p, _ in found]) if same_teacher else np.nan,
                "n_seeds": len(found),
                "n": values.shape[1],
                "status": status,
            }
        )
    return rows


def _law(results: Results, checker: Checker, p: Floats) -> Floats | None:
    """(test texts, classes) probabilities of a quality checker: what its run says, or the exact P."""
    run: RunResult | None = results.result(checker.run) if checker.run else None
    return p if checker.exact == "p" else None if run is None else run.test_probabilities.astype(np.float64)


def _retraining(models: list[NDArray[np.float32]]) -> float:
    """Mean total variation between two seeds of one loss, over all pairs and texts; nan for a single seed."""
    pairs = [closed_forms.total_variation(a, b).mean() for a, b in combinations(models, 2)]
    return float(np.mean(pairs)) if pairs else np.nan


SUMMARY = [
    "benchmark", "loss", "predicted", "distance", "low", "high", "nearest", "rival", "margin", "margin_low",
    "margin_high", "noise", "within_noise", "n_seeds", "n", "status", "verdict",
]  # fmt: skip


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a loss of :func:`distances`: predicted limit, nearest candidate, runner-up and how far it is behind.

    ``verdict`` judges the margin of the nearest *other* candidate over the predicted one (above zero: the
    predicted one is nearest); ``within_noise`` says whether the distance to the prediction is no larger than that
    between two seeds. Columns: :data:`SUMMARY`; rival is the nearest other candidate.
    """
    rows: list[dict[str, Any]] = []
    if frame.empty:
        return pd.DataFrame(rows, columns=SUMMARY)
    for (benchmark, loss), group in frame.groupby(["benchmark", "loss"], sort=False):
        (goal,) = records(group[group["predicted"]])
        others = records(group[~group["predicted"]].sort_values("mean", kind="stable"))
        row = {"benchmark": benchmark, "loss": loss, "predicted": goal["candidate"]}
        if not others:
            rows.append({**row, "within_noise": "", "n_seeds": 0, "status": goal["status"], "verdict": "incomplete"})
            continue
        rival, noise = others[0], goal["noise"]
        row |= {"distance": goal["mean"], "low": goal["low"], "high": goal["high"], "rival": rival["candidate"]}
        row |= {"nearest": (goal if goal["mean"] <= rival["mean"] else rival)["candidate"]}
        row |= {name: rival[name] for name in ("margin", "margin_low", "margin_high")}
        row |= {"noise": noise, "within_noise": "" if np.isnan(noise) else "yes" if goal["mean"] <= noise else "no"}
        row |= {name: goal[name] for name in ("n_seeds", "n", "status")}
        rows.append({**row, "verdict": verdict(rival["margin_low"], rival["margin_high"], goal["status"])})
    return pd.DataFrame(rows, columns=SUMMARY)


ARRIVALS = [
    "benchmark", "loss", "predicted", "texts", "first", "distance", "low", "high", "tolerance", "nearest", "n_seeds",
    "n", "status", "verdict",
]  # fmt: skip


def arrivals(frame: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Whether each loss is at its predicted limit, to a tolerance, on the largest D_Q of several.

    ``frame``: :func:`distances` with a column ``texts``, the size of D_Q. Columns: :data:`ARRIVALS`; ``first`` and
    ``distance`` are the distances to the prediction on the smallest and the largest D_Q, the verdict *holds* where
    the whole interval of the latter is below the tolerance.
    """
    sizes, loss = frame["texts"], ["benchmark", "loss"]
    first = summary(frame[sizes == sizes.min()])[[*loss, "distance"]].rename(columns={"distance": "first"})
    found = summary(frame[sizes == sizes.max()]).merge(first, on=loss)
    found = found.assign(texts=int(sizes.max()), tolerance=tolerance)
    judged = [verdict(tolerance - r["high"], tolerance - r["low"], r["status"]) for r in records(found)]
    return found.assign(verdict=judged)[ARRIVALS]
