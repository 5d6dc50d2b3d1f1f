"""What can be measured on the runs of Table 1 about where IMP-Loss and DIMP-Loss gain over CE-Loss.

Shapes: S seeds, N test texts. Gains are points of test accuracy, paired over the seeds and texts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro.measures.intervals import mean_interval
from paper_repro.measures.ranks import auroc, spearman
from paper_repro.paper.cells import Cell
from paper_repro.paper.information.input_shift import classifier
from paper_repro.paper.outcomes import comparison, gain_difference, judged, measures, outcomes_of, shared
from paper_repro.paper.why.cells import REAL_INPUTS, WEIGHTED, generated_inputs
from paper_repro.runs.results import Results
from paper_repro.runs.spec import RunResult
from paper_repro.texts.generated import whole_texts
from paper_repro.texts.pools import Benchmark
from paper_repro.tools.errors import UserError

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
COVARIATES = ("checker_minus_ce", "disagreement", "ess")
"""What may go with a gain; see :func:`gains`."""


def _gain_row(values: Any, planned: int) -> dict[str, Any]:
    """``values`` (S, N) of a difference as points with interval and verdict."""
    return judged(mean_interval(np.asarray(values, dtype=np.float64)).scaled(100), len(values), planned)


def gains(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """One row for each benchmark, method and seed of Table 1's generated block.

    Columns: benchmark, method, seed, gain (points above CE), checker_minus_ce (test accuracy of the quality checker
    minus CE's, points), disagreement (per cent of D_Q whose label is not the quality checker's), ess (effective
    sample size of the weights in the selected epoch, per cent of D_Q).
    """
    cells = list(cells)
    outcomes, rows = outcomes_of(results, cells), []
    for cell in (cell for cell in cells if cell.train_source == "generated" and cell.method in WEIGHTED):
        name, run = cell.benchmark, results.result(cell.spec)
        keys = (("generated", cell.method, name), ("generated", "ce", name), ("dev", "checker", name))
        seeds, correct, _ = shared(outcomes, keys)
        if run is None or cell.seed not in seeds or cell.spec.quality is None:
            continue
        method, ce, checker = (100 * row[seeds.index(cell.seed)].mean() for row in correct)
        guesses = results.scores(cell.spec.quality, name, "generated").argmax(axis=1)
        disagreement = 100 * float((guesses != results.benchmark(name).pool("generated").labels).mean())
        found = {"gain": method - ce, "checker_minus_ce": checker - ce, "disagreement": disagreement}
        ess = 100 * run.selected.weight_ess
        rows.append({"benchmark": name, "method": cell.method, "seed": cell.seed, **found, "ess": ess})
    return pd.DataFrame(rows, columns=["benchmark", "method", "seed", "gain", *COVARIATES])


def goes_with(gains: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rank correlation of the gain with each covariate, one row for each method and covariate.

    Columns: method, covariate, rho (over all runs), within (the same after the mean of each benchmark is taken off
    both: over seeds alone), n (runs). With three benchmarks the first says little more than how these three differ.
    """
    rows = []
    for method, runs in gains.groupby("method", sort=False):
        numbers = runs[["gain", *COVARIATES]]
        centred = numbers - numbers.groupby(runs["benchmark"]).transform("mean")
        for name in COVARIATES:
            rho, within = (float(spearman(f["gain"], f[name])) if len(f) > 2 else np.nan for f in (numbers, centred))
            rows.append({"method": method, "covariate": name, "rho": rho, "within": within, "n": len(runs)})
    return pd.DataFrame(rows, columns=["method", "covariate", "rho", "within", "n"])


def corrections(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """Where the gain comes from: test texts that the quality checker of the same seed gets right, and the others.

    One row for each benchmark, method and ``checker`` ("right", "wrong"). Columns: share (per cent of the test set),
    corrected and broken (points of test accuracy: CE wrong and the method right, and the other way round), mean (their
    difference: the two rows of a method add up to its gain) with low, high, p_value, n_seeds, status and verdict,
    n_test.
    """
    outcomes, rows = outcomes_of(results, cells), []
    for name in results.profile.benchmarks:
        for method in WEIGHTED:
            keys = (("generated", method, name), ("generated", "ce", name), ("dev", "checker", name))
            seeds, correct, planned = shared(outcomes, keys)
            if not seeds:
                continue
            ours, ce, checker = correct
            for answer, here in (("right", checker), ("wrong", ~checker)):
                parts = {"corrected": here & ours & ~ce, "broken": here & ~ours & ce, "share": here}
                points = {part: 100 * float(values.mean()) for part, values in parts.items()}
                difference = parts["corrected"].astype(float) - parts["broken"]
                gain = _gain_row(difference, planned)
                row = {"benchmark": name, "method": method, "checker": answer, **points, **gain}
                rows.append({**row, "n_test": here.shape[1]})
    return pd.DataFrame(rows)


def likeness(benchmark: Benchmark, seed: int = 0) -> Floats:
    """log P(x)/Q(x) of each test text, (N,), by the classifier of notebook 02 fitted on D_P and D_Q.

    Low values look like D_Q. Raises UserError where the texts are not at hand.
    """
    real, generated = (whole_texts(benchmark.pool(pool)) for pool in ("train", "generated"))
    fitted = classifier(seed).fit([*real, *generated], np.arange(len(real) + len(generated)) < len(real))
    return np.asarray(fitted.decision_function(whole_texts(benchmark.pools["test"]))) - np.log(
        len(real) / len(generated)
    )


def gain_by_likeness(results: Results, cells: Iterable[Cell], parts: int = 3) -> pd.DataFrame:
    """The gain among test texts by how much they look like D_Q, in ``parts`` of equal size.

    One row for each benchmark, method and ``part`` (1: most like D_Q). Columns: n_texts, log_ratio (its median), ce
    (accuracy of CE, per cent), and the gain's mean, low, high, p_value, n_seeds, status, verdict. No rows without the
    texts.
    """
    outcomes, rows = outcomes_of(results, cells), []
    for name in results.profile.benchmarks:
        try:
            ratio = likeness(results.benchmark(name))
        except UserError:
            continue
        place = ratio.argsort(kind="stable").argsort(kind="stable") * parts // len(ratio)
        for method in WEIGHTED:
            keys = (("generated", method, name), ("generated", "ce", name))
            seeds, correct, planned = shared(outcomes, keys)
            for part in range(parts) if seeds else ():
                ours, ce = (values[:, place == part] for values in correct)
                about = {
                    "part": part + 1,
                    "n_texts": ours.shape[1],
                    "log_ratio": float(np.median(ratio[place == part])),
                }
                gain = _gain_row(ours.astype(float) - ce, planned)
                rows.append({"benchmark": name, "method": method, **about, "ce": 100 * float(ce.mean()), **gain})
    columns = ["benchmark", "method", "part", "n_texts", "log_ratio", "ce", *_gain_row(np.zeros((2, 2)), 2)]
    return pd.DataFrame(rows, columns=columns)


# ---------------------------------------------------------------- without input shift


def by_inputs(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """Accuracy on real inputs with the generator's labels beside that on as many texts of D_Q.

    One row for each benchmark, train_source and method; columns: our part of Table 1's, and gain_mean, gain_low,
    gain_high, gain_verdict (points above CE on the same texts), status.
    """
    outcomes, rows = outcomes_of(results, cells), []
    for (source, method, name), outcome in outcomes.items():
        if method == "few_shot":
            continue
        gain = comparison(outcome, outcomes.get((source, "ce", name)))
        shown = {f"gain_{key}": gain[key] for key in ("mean", "low", "high", "verdict")} if method != "ce" else {}
        about = {"benchmark": name, "train_source": source, "method": method}
        rows.append({**about, **measures(outcome), **shown, "status": outcome.status})
    return pd.DataFrame(rows)


def input_shift_claims(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """Do the weights gain more where the inputs are real? The gain on relabelled texts minus that on generated ones.

    A prediction of ours: Eq. 5 needs Q(x) = P(x), so the method should gain more where that is true.
    """
    outcomes, rows = outcomes_of(results, cells), []
    for method in WEIGHTED:
        for name in results.profile.relabelled.benchmarks:
            pools = REAL_INPUTS, generated_inputs(results.profile)
            rows.append(
                {
                    "id": f"{method}_gains_more_on_real_inputs",
                    "claim": f"{method.upper()} gains more over CE where the inputs are real than where generated",
                    "section": "Beyond the paper",
                    "benchmark": name,
                    "statistic": "points of accuracy",
                    **gain_difference(outcomes, method, name, *pools),
                }
            )
    return pd.DataFrame(rows)


def wrong_labels(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """Do the weights find the generator's wrong labels? On real inputs the benchmark's own label is known.

    One row for each benchmark and method: wrong (per cent of the labels that are not the benchmark's), weight_on_wrong
    (per cent of the weight that these examples have), auroc (how often a right label has the higher weight than a wrong
    one) with low and high over seeds and texts, n_seeds, n. No rows without the texts.
    """
    rows, cells = [], [cell for cell in cells if cell.train_source == REAL_INPUTS and cell.method in WEIGHTED]
    for name, method in dict.fromkeys((cell.benchmark, cell.method) for cell in cells):
        runs = [
            (c, run) for c in cells if (c.benchmark, c.method) == (name, method) and (run := results.result(c.spec))
        ]
        try:
            wrong = _is_wrong(results.benchmark(name))
        except UserError:
            continue
        weights = np.array([_weights(results, cell, run) for cell, run in runs])
        if not len(weights):
            continue
        area = auroc(weights[:, ~wrong], weights[:, wrong])
        shares = {"wrong": 100 * wrong.mean(), "weight_on_wrong": 100 * weights[:, wrong].sum() / weights.sum()}
        interval = {"auroc": area.mean, "low": area.low, "high": area.high}
        rows.append({"benchmark": name, "method": method, **shares, **interval, "n_seeds": len(runs), "n": len(wrong)})
    columns = ["benchmark", "method", "wrong", "weight_on_wrong", "auroc", "low", "high", "n_seeds", "n"]
    return pd.DataFrame(rows, columns=columns)


def _weights(results: Results, cell: Cell, run: RunResult) -> Floats:
    """The weights of a run's training examples, (N,): IMP's, or DIMP's in the selected epoch."""
    checkers = [checker for checker in (cell.spec.quality, cell.spec.diversity) if checker is not None]
    observed = [results.observed_scores(checker, cell.benchmark, cell.train_source) for checker in checkers]
    if len(observed) == 1:
        log_p = results.train_log_p(cell.spec)
        assert log_p is not None  # stored with every run
        observed.append(log_p[run.selected_epoch - 1].astype(np.float64))
    return np.exp(observed[0] - observed[1])


def _is_wrong(benchmark: Benchmark) -> Bools:
    """Which labels of the relabelled pool are not those that the benchmark gives to the same text, (examples,)."""
    train, relabelled = benchmark.pool("train"), benchmark.pool(REAL_INPUTS)
    known = dict(zip(train.inputs, train.labels.tolist(), strict=True))
    return np.array([known[text] != label for text, label in zip(relabelled.inputs, relabelled.labels, strict=True)])
