"""Where the losses lead, checked twice: gradient descent on a table of logits, and trained models in a known world.

The predictions are those of :func:`paper_repro.paper.theory.closed_forms.limit`; distances are total variations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from paper_repro.measures import intervals
from paper_repro.measures.intervals import Interval
from paper_repro.method import losses
from paper_repro.method.losses import Switches
from paper_repro.paper import views
from paper_repro.paper.cells import Cell, grouped
from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import judged, seeds_status
from paper_repro.paper.theory.closed_forms import limit, normalised, total_variation
from paper_repro.runs.results import Results
from paper_repro.runs.spec import Checker, RunSpec

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

CANDIDATES = {
    "ce": "Q",
    "quality_only": "Q P'",
    "imp": "P'",
    "dimp": "(Q P')^(1/2)",
    "dimp_gamma_2": "(Q P'^2)^(1/3)",
    "p": "P",
}
"""The distributions with which trained models are compared: the limits of the losses with these ids, and P itself.
Products stand for the distribution proportional to them."""


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
    share = torch.from_numpy(q)
    log_quality, log_diversity = (torch.from_numpy(np.log(values)).flatten() for values in (quality, q))
    logits = torch.zeros_like(share).requires_grad_()
    switches = Switches(gamma=gamma, detach=detach)
    for _ in range(steps):
        log_p = torch.log_softmax(logits, dim=-1)
        weight = losses.weights(method, log_p.flatten(), log_quality, log_diversity, switches).view_as(share)
        (gradient,) = torch.autograd.grad((share * weight * -log_p).sum(), logits)
        with torch.no_grad():
            logits -= rate * gradient / (share * weight).sum(dim=-1, keepdim=True)
    reached: Floats = torch.softmax(logits.detach(), dim=-1).numpy()
    return reached


def tabular(texts: int = 50, classes: int = 3, seed: int = 0) -> pd.DataFrame:
    """:data:`TABULAR` followed by :func:`descend` on random distributions: the largest total variation to the closed
    form over the ``n`` texts, and the mean ones to q and to quality, which show that the limits differ.
    """
    rng = np.random.default_rng(seed)
    q, quality = (normalised(0.1 + rng.dirichlet(np.ones(classes), texts)) for _ in range(2))
    rows = []
    for method, gamma, detach in TABULAR:
        reached = descend(method, q, quality, gamma=gamma, detach=detach)
        to_limit = total_variation(reached, limit(method, q, quality, gamma=gamma, detach=detach)).max()
        to_q, to_quality = (total_variation(reached, other).mean() for other in (q, quality))
        rows.append((method, gamma, detach, to_limit, to_q, to_quality, texts))
    return pd.DataFrame(rows, columns=["method", "gamma", "detach", "to_limit", "to_q", "to_quality", "n"])


# ---------------------------------------------------------------- trained models


def predicted(spec: RunSpec) -> str:
    """The candidate to which a run's loss leads, if its diversity checker is right."""
    gamma = spec.switches.gamma
    return spec.method if gamma == 1 else f"{spec.method}_gamma_{gamma:g}"


def candidates(q: Floats, quality: Floats, p: Floats) -> dict[str, Floats]:
    """Every distribution of :data:`CANDIDATES`, (texts, classes) each; all but the last depend on Q and P' alone."""
    of_losses = {name: limit(name, q, quality) for name in ("ce", "quality_only", "imp", "dimp")}
    return {**of_losses, "dimp_gamma_2": limit("dimp", q, quality, gamma=2), "p": p}


DISTANCES = [
    "benchmark", "method", "candidate", "predicted", "distance", "distance_low", "distance_high", "margin",
    "margin_low", "margin_high", "noise", "n_seeds", "n", "status", "verdict",
]  # fmt: skip


def distances(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """Total variation of trained models on the test texts from every candidate, one row per loss and candidate.

    ``cells`` are runs on generated data; P' is the quality checker that the cells of a seed share. Where that is the
    exact P, P' and P are one candidate. The test texts are new to all models, and in a world without ``input_shift``
    they have the distribution Q(x). Intervals are over seeds and texts. ``margin`` is the candidate's distance minus
    that of the predicted one, paired, with the verdict on "the predicted one is nearer"; ``noise`` the mean distance
    of two seeds of the loss, nan where their teachers differ.
    """
    cells = list(cells)
    teachers = {(cell.benchmark, cell.seed): cell.spec.quality for cell in cells if cell.spec.quality}
    rows: list[dict[str, Any]] = []
    for (benchmark, method), members in grouped(cells, "benchmark", "method").items():
        of_members = [teachers[benchmark, cell.seed] for cell in members]
        found = _distances_of(results, members, of_members)
        rows += [{"benchmark": benchmark, "method": method, **row} for row in found]
    return pd.DataFrame(rows, columns=DISTANCES).astype({"predicted": bool})


def _distances_of(results: Results, cells: Sequence[Cell], teachers: Sequence[Checker]) -> list[dict[str, Any]]:
    truth = results.benchmark(cells[0].benchmark).truth_of("test")
    assert truth is not None, "only a miniature world knows P and Q"
    goal, models, to = predicted(cells[0].spec), [], []
    for cell, teacher in zip(cells, teachers, strict=True):
        run, quality = results.result(cell.spec), _probabilities(results, teacher, truth.p)
        if run is not None and quality is not None:
            models.append(run.test_probabilities)
            others = candidates(truth.q, normalised(quality), truth.p)
            to.append({name: total_variation(run.test_probabilities, other) for name, other in others.items()})
    if not models:
        status = seeds_status(0, len(cells))
        return [{"candidate": goal, "predicted": True, "n_seeds": 0, "status": status, "verdict": "incomplete"}]
    pairs = [total_variation(a, b).mean() for a, b in combinations(models, 2)] if len(set(teachers)) == 1 else []
    noise, rows = float(np.mean(pairs)) if pairs else np.nan, []
    for name in CANDIDATES:
        if name == "p" and all(teacher.exact for teacher in teachers):
            continue  # P' is P
        values, of_goal = (np.stack([distance[which] for distance in to]) for which in (name, goal))
        distance = intervals.mean_interval(values)
        margin = judged(intervals.paired_interval(values, of_goal), len(models), len(cells))
        row = {"candidate": name, "predicted": name == goal, "noise": noise}
        row |= {"distance": distance.mean, "distance_low": distance.low, "distance_high": distance.high}
        row |= {"margin": margin["mean"], "margin_low": margin["low"], "margin_high": margin["high"]}
        rows.append({**row, **{key: margin[key] for key in ("n_seeds", "status", "verdict")}, "n": values.shape[1]})
    return rows


def _probabilities(results: Results, checker: Checker, p: Floats) -> Floats | None:
    """(test texts, classes) probabilities of a quality checker: what its run says, or the exact P."""
    if checker.run is None:
        return p
    run = results.result(checker.run)
    return None if run is None else run.test_probabilities.astype(np.float64)


SUMMARY = [
    "benchmark", "method", "predicted", "distance", "distance_low", "distance_high", "nearest", "rival", "margin",
    "margin_low", "margin_high", "noise", "within_noise", "n_seeds", "n", "status", "verdict",
]  # fmt: skip


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per loss of :func:`distances`: predicted limit, nearest candidate, runner-up and how far it is behind.

    ``rival`` is the nearest candidate other than the predicted one; ``margin`` and ``verdict`` judge how much further
    away it is. ``within_noise``: is the distance to the prediction no larger than that between two seeds?
    """
    rows: list[dict[str, Any]] = []
    for _, group in frame.groupby(["benchmark", "method"], sort=False):
        (goal,) = records(group[group["predicted"]])
        row = {**goal, "predicted": goal["candidate"]}
        if others := records(group[~group["predicted"]].sort_values("distance", kind="stable")):
            rival, noise = others[0], goal["noise"]
            row |= {name: rival[name] for name in ("margin", "margin_low", "margin_high", "verdict")}
            nearest = min(goal, rival, key=lambda one: one["distance"])
            row |= {"rival": rival["candidate"], "nearest": nearest["candidate"]}
            row["within_noise"] = "" if np.isnan(noise) else "yes" if goal["distance"] <= noise else "no"
        rows.append(row)
    return pd.DataFrame(rows, columns=SUMMARY)


def arrivals(frame: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Whether each loss is at its predicted limit, to a tolerance, on the largest D_Q of several.

    ``frame``: :func:`distances` with a column ``texts``, the size of D_Q. The :func:`summary` on the largest D_Q, with
    the distance on the smallest as ``first``; the verdict *holds* where the whole interval of the distance is below
    the tolerance.
    """
    sizes = frame["texts"]
    first = summary(frame[sizes == sizes.min()]).set_index("method")["distance"]
    last = summary(frame[sizes == sizes.max()])
    verdicts = []
    for row in records(last):
        spare = Interval(*(tolerance - row[name] for name in ("distance", "distance_high", "distance_low")))
        answer = judged(spare, row["n_seeds"], row["n_seeds"])["verdict"]
        verdicts.append("incomplete" if row["verdict"] == "incomplete" else answer)
    first_of = last["method"].map(first)
    return last.assign(texts=int(sizes.max()), first=first_of, tolerance=tolerance, verdict=verdicts)


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A summary with titles in place of ids."""
    return views.titled(frame).replace(dict.fromkeys(("predicted", "nearest", "rival"), CANDIDATES))
