"""Tables of accuracies (Tables 1, 2 and 4) with the paper's numbers beside ours, and the differences in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro.paper import published
from paper_repro.paper.cells import Cell
from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import FEW_SHOT, Key, Outcome, comparison, measures, outcomes_of
from paper_repro.runs.results import Results

PAPER_COLUMNS = ["paper_accuracy", "paper_macro_f1"]
BASELINES = ("ce", "checker")


def beside_paper(results: Results, cells: Iterable[Cell], table: str = "table1") -> pd.DataFrame:
    """A table of the paper ("table1", "table2" or "table4") with ours beside it: one row per train_source, method and
    benchmark.

    ``reproduction`` says what ours is where it is not the same thing; the paper's numbers are the best of four seeds,
    ours the columns of :func:`measures`; ``status`` is "complete", "2 of 4 seeds", "failed: ...", "not run" or "number
    not known". For a benchmark of the user's own, of which the paper has no number, its rows and columns are left out.
    """
    of_ours = results.profile.benchmarks
    paper_numbers = {key: numbers for key, numbers in printed(table).items() if key[2] in of_ours}
    outcomes = outcomes_of(results, cells)
    rows = []
    for source, method in _row_order(table, paper_numbers, outcomes):
        for benchmark in results.profile.benchmarks:
            key = (source, method, benchmark)
            paper, outcome = paper_numbers.get(key, (np.nan, np.nan)), outcomes.get(key)
            rows.append(
                {
                    "train_source": source,
                    "method": method,
                    "reproduction": _reproduction(results, source, method, benchmark),
                    "benchmark": benchmark,
                    "paper_accuracy": paper[0],
                    "paper_macro_f1": paper[1],
                    **measures(outcome),
                    "status": outcome.status if outcome else _empty_status(source, method),
                }
            )
    frame = pd.DataFrame(rows)
    return frame if paper_numbers else frame.drop(columns=PAPER_COLUMNS)


def differences(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """Every method minus CE-Loss within its train_source and benchmark, in points (:func:`comparison`).

    ``baseline`` is "ce", or "checker", which is CE on D_P'.
    """
    outcomes, rows = outcomes_of(results, cells), []
    for source, method, benchmark in outcomes:
        baseline = next((b for b in BASELINES if (source, b, benchmark) in outcomes), method)
        if baseline != method and (source, method) != FEW_SHOT:
            pair = outcomes[source, method, benchmark], outcomes[source, baseline, benchmark]
            names = {"train_source": source, "method": method, "benchmark": benchmark, "baseline": baseline}
            rows.append({**names, **comparison(*pair)})
    columns = ["train_source", "method", "benchmark", "baseline", *comparison(None, None)]
    return pd.DataFrame(rows, columns=columns)


def printed(table: str) -> dict[Key, tuple[float, float]]:
    """Accuracy and macro-F1 of one of the paper's tables, per cent; Table 2 prints no F1 (nan)."""
    frame = published.table(table).rename(columns={"model_size": "train_source"})
    rows = records(frame.reindex(columns=["train_source", "method", "benchmark", "accuracy", "macro_f1"]))
    return {(r["train_source"], r["method"], r["benchmark"]): (r["accuracy"], r["macro_f1"]) for r in rows}


def printed_difference(paper: Mapping[Key, tuple[float, float]], ours: Key, theirs: Key) -> NDArray[np.float64]:
    """Points of accuracy and of macro-F1, (2,), between two rows of :func:`printed`; nan where one is not printed."""
    return np.subtract(paper.get(ours, np.nan), paper.get(theirs, np.nan)) * np.ones(2)


def _row_order(table: str, paper: Iterable[Key], outcomes: Mapping[Key, Outcome]) -> list[tuple[str, str]]:
    """The paper's rows in the paper's order, then in each block what only the camera-ready or we have."""
    rows = [(source, method) for source, method, _ in paper]
    own = [(source, method) for source, method, _ in outcomes]
    if table == "table1" and rows:
        rows += published.NUMBERS_NOT_KNOWN
    rows += own if FEW_SHOT in rows or not rows else [row for row in own if row != FEW_SHOT]
    blocks = list(dict.fromkeys(source for source, _ in rows))
    return sorted(dict.fromkeys(rows), key=lambda row: blocks.index(row[0]))


def _reproduction(results: Results, source: str, method: str, benchmark: str) -> str:
    if (source, method) != FEW_SHOT:
        return ""
    if (asked := results.benchmark(benchmark).few_shot) is not None:
        return asked.generator
    if results.profile.kind == "miniature":
        return "the generator's own answer, argmax Q(y|x)"
    return ""


def _empty_status(source: str, method: str) -> str:
    """Why a row has no runs at all."""
    if (source, method) in published.NUMBERS_NOT_KNOWN:
        return "number not known"
    if (source, method) == FEW_SHOT:
        return "no predictions for this test set"
    return "not run"
