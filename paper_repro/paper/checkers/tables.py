"""What the checkers know, and the weights that they make: one row per text, and what follows from these rows."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.measures import accuracy, intervals, ranks
from paper_repro.measures.weights import diagnose
from paper_repro.paper.beside_paper import printed
from paper_repro.paper.cells import Cell, checker
from paper_repro.paper.checkers.cells import WEIGHTED
from paper_repro.paper.outcomes import FEW_SHOT, measures, outcomes_of
from paper_repro.runs.plan import models_of
from paper_repro.runs.results import Results
from paper_repro.texts.generated import whole_texts
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError

MEASURES = "mean_accuracy accuracy_low accuracy_high mean_macro_f1 n_seeds n_test".split()
EDGES = {name: np.linspace(0, 1, 26) for name in ("quality", "diversity")} | {"weight": np.geomspace(1e-3, 1e2, 41)}
"""The bins in which each score is counted."""


# ---------------------------------------------------------------- on the test set


def checker_accuracy(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """Each checker on the test set; ``cells`` are those of :func:`paper_repro.paper.checkers.cells.checkers`.

    ``majority`` is the accuracy of naming the most frequent class, ``ece`` the expected calibration error in per cent,
    ``ece_if_calibrated`` what it would be if each text were right with the probability of its confidence.
    """
    cells, paper, rows = list(cells), printed("table1"), []
    confidences = test_confidences(results, cells)
    for (pool, row, name), outcome in outcomes_of(results, cells).items():
        if (pool, row) == FEW_SHOT:
            continue
        here = confidences[(confidences["benchmark"] == name) & (confidences["fitted_on"] == pool)]
        errors = np.array([_ece(frame) for _, frame in here.groupby("seed")] or [(np.nan, np.nan)]).mean(axis=0)
        found = measures(outcome)
        rows.append(
            {
                "benchmark": name,
                "fitted_on": pool,
                "n_fitted": len(results.benchmark(name).pools[pool]),
                "paper_best": paper.get((pool, row, name), (np.nan,))[0],
                **{column: found[column] for column in MEASURES},
                "majority": 100 * np.bincount(outcome.labels).max() / len(outcome.labels),
                "ece": errors[0],
                "ece_if_calibrated": errors[1],
                "status": outcome.status,
            }
        )
    return pd.DataFrame(rows)


def test_confidences(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """One row per test text of each finished run: benchmark, fitted_on, seed, confidence (probability of the predicted
    class), correct."""
    parts = [pd.DataFrame(columns=["benchmark", "fitted_on", "seed", "confidence", "correct"])]
    for cell in cells:
        if (run := results.result(cell.spec)) is not None:
            names = {"benchmark": cell.benchmark, "fitted_on": cell.train_source, "seed": cell.seed}
            correct = run.test_probabilities.argmax(axis=1) == run.test_labels
            parts.append(pd.DataFrame({**names, "confidence": run.test_probabilities.max(axis=1), "correct": correct}))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _ece(frame: pd.DataFrame, draws: int = 50) -> tuple[float, float]:
    confidence, rng = frame["confidence"].to_numpy(dtype=float), np.random.default_rng(0)
    if_calibrated = [accuracy.calibration_error(confidence, rng.random(len(frame)) < confidence) for _ in range(draws)]
    return 100 * accuracy.calibration_error(confidence, frame["correct"]), 100 * float(np.mean(if_calibrated))


def reliability(confidences: pd.DataFrame) -> pd.DataFrame:
    """The bins of a reliability diagram by benchmark (:func:`paper_repro.measures.accuracy.calibration`).

    ``confidences`` are rows of :func:`test_confidences`.
    """
    parts = confidences.groupby("benchmark", sort=False)[["confidence", "correct"]]
    return parts.apply(lambda rows: accuracy.calibration(rows["confidence"], rows["correct"])).reset_index("benchmark")


# ---------------------------------------------------------------- scores and weights of texts


def text_weights(results: Results) -> pd.DataFrame:
    """The rows of :func:`weights_of` for each benchmark, pool and seed whose scores the store has.

    Raises UserError where there are none.
    """
    profile = results.profile
    return _computed(results, [(b, pool, s) for s, b, pool in product(profile.seeds, profile.benchmarks, WEIGHTED)])


def _computed(results: Results, wanted: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    """The rows of :func:`weights_of` for each of its arguments in ``wanted`` that the store has scores for."""
    parts = []
    for arguments in wanted:
        with suppress(UserError):  # not computed
            parts.append(weights_of(results, *arguments))
    if not parts:
        raise UserError("no scores of the checkers are there; run the notebook with train = True")
    return pd.concat(parts, ignore_index=True)


def weights_of(results: Results, benchmark: str, pool: str, seed: int, folds: int = 0) -> pd.DataFrame:
    """One row per text of D_Q ("generated") or D_P ("train"); with ``folds`` the diversity checker is cross-fitted.

    quality and diversity are the probabilities of the observed label, weight their ratio (IMP's), true_diversity and
    true_weight Q and P/Q (nan outside the miniature world). Raises UserError without the scores.
    """
    made = results.benchmark(benchmark)
    labels, names = made.pool(pool).labels, np.array(made.label_names)
    log_p, log_q = (
        results.scores(checker(results.profile, benchmark, fitted_on, seed, k), benchmark, pool).astype(np.float64)
        for fitted_on, k in (("dev", 0), (pool, folds))
    )
    observed, truth = (np.arange(len(labels)), labels), made.truth_of(pool)
    return pd.DataFrame(
        {
            "benchmark": benchmark,
            "pool": pool,
            "seed": seed,
            "folds": folds,
            "label": names[labels],
            "row": np.arange(len(labels)),
            "quality_says": names[log_p.argmax(axis=1)],
            "diversity_says": names[log_q.argmax(axis=1)],
            "quality": np.exp(log_p[observed]),
            "diversity": np.exp(log_q[observed]),
            "weight": np.exp(log_p[observed] - log_q[observed]),  # of logarithms: never 0/0
            "true_diversity": truth.q[observed] if truth else np.nan,
            "true_weight": truth.p[observed] / truth.q[observed] if truth else np.nan,
        }
    )


def histograms(frame: pd.DataFrame) -> pd.DataFrame:
    """How quality, diversity and weight are distributed: benchmark, pool, score, low, high (of the bin), share (per
    cent of the texts; those outside all bins count in the outermost), n. ``frame`` has rows of one seed."""
    parts = []
    for (benchmark, pool), rows in frame.groupby(["benchmark", "pool"], sort=False):
        for score, edges in EDGES.items():
            share = 100 * np.histogram(rows[score].clip(edges[0], edges[-1]), edges)[0] / len(rows)
            names = {"benchmark": benchmark, "pool": pool, "score": score}
            parts.append(pd.DataFrame({**names, "low": edges[:-1], "high": edges[1:], "share": share, "n": len(rows)}))
    return pd.concat(parts, ignore_index=True)


def weight_summary(frame: pd.DataFrame) -> pd.DataFrame:
    """The weights of each benchmark, pool and seed.

    ``mean`` with its 95 % interval over the texts, ``ess`` in per cent of the texts; ``doubted``: per cent of the texts
    whose label P' would not have given, ``doubted_weight``: of the whole weight that these have; ``q_says_y``: of the
    texts whose label Q prefers; ``spearman``: rank correlation of the weight and P'.
    """
    names, rows = ["benchmark", "pool", "seed", "folds"], []
    for _, texts in frame.groupby(names, sort=False):
        weight, doubted = texts["weight"], texts["quality_says"] != texts["label"]
        found, reach = diagnose(weight), 1.96 * weight.std() / np.sqrt(len(texts))
        rows.append(
            {
                "n": len(texts),
                "mean": found.mean,
                "low": found.mean - reach,
                "high": found.mean + reach,
                "ess": 100 * found.ess,
                "max": found.max,
                "khat": found.khat,
                "doubted": 100 * doubted.mean(),
                "doubted_weight": 100 * weight[doubted].sum() / weight.sum(),
                "diversity": texts["diversity"].mean(),
                "q_says_y": 100 * (texts["diversity_says"] == texts["label"]).mean(),
                "spearman": float(ranks.spearman(weight, texts["quality"])),
            }
        )
    return pd.concat([frame[names].drop_duplicates(ignore_index=True), pd.DataFrame(rows)], axis=1)


def extremes(frame: pd.DataFrame, pool: Pool, count: int = 2) -> pd.DataFrame:
    """The lightest and the heaviest texts of each label in ``pool``, ``count`` of each, with their scores."""
    frame = frame.assign(text=np.array(whole_texts(pool), dtype=object)[frame["row"]])
    ranked = frame.sort_values("weight", kind="stable").groupby("label")
    both = pd.concat({"light": ranked.head(count), "heavy": ranked.tail(count)}, names=["end", "row"])
    columns = ["end", "label", "quality_says", "quality", "diversity", "weight", "true_weight", "text"]
    both = both.reset_index("end")[columns].dropna(axis=1, how="all")
    return both.sort_values(["label", "end"], kind="stable", ignore_index=True)


# ---------------------------------------------------------------- the diversity checker, and the truth


def cross_fit(results: Results, benchmark: str, seed: int, folds: Iterable[int]) -> pd.DataFrame:
    """:func:`weight_summary` of D_Q, in-sample (0 folds) and cross-fitted, as far as the scores are there; with epoch,
    the mean of the selected ones. Raises UserError where none are there."""
    table = weight_summary(_computed(results, [(benchmark, "generated", seed, count) for count in folds]))
    epochs = []
    for count in table["folds"]:
        models = models_of(checker(results.profile, benchmark, "generated", seed, count), "generated")
        epochs.append(np.mean([r.selected_epoch for model in models if (r := results.result(model)) is not None]))
    return table.assign(epoch=epochs)


def rank_agreement(frame: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation of the true weights of D_Q with estimates: mean over the seeds with its 95 % interval
    (Student's, for these texts); empty outside the miniature world.

    An ``estimate`` is "weight" P'/Q, "quality" P' alone or "diversity" 1/Q alone.
    """
    known, rows = frame[(frame["pool"] == "generated") & frame["true_weight"].notna()], []
    for benchmark, texts in known.groupby("benchmark", sort=False):
        seeds = [of_seed for _, of_seed in texts.groupby("seed")]
        for estimate, sign in {"weight": 1, "quality": 1, "diversity": -1}.items():
            values = [ranks.spearman(of_seed["true_weight"], sign * of_seed[estimate]) for of_seed in seeds]
            found = intervals.paired_interval(values, np.zeros(len(values)))
            rows.append((benchmark, estimate, found.mean, found.low, found.high, len(seeds), len(seeds[0])))
    return pd.DataFrame(rows, columns=["benchmark", "estimate", "mean", "low", "high", "n_seeds", "n"])
