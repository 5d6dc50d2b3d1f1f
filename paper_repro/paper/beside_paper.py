"""Tables of accuracies (Tables 1, 2 and 4) with the paper's numbers beside ours, and the differences in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.paper import published
from paper_repro.paper.cells import Cell
from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import FEW_SHOT, OTHER_DATA, Key, Outcome, comparison, measures, outcomes_of
from paper_repro.paper.titles import BENCHMARKS as BENCHMARK_TITLES
from paper_repro.paper.titles import benchmark_title
from paper_repro.runs.profiles import Profile
from paper_repro.runs.results import Results

PAPER_COLUMNS = ["paper_accuracy", "paper_macro_f1"]


def beside_paper(results: Results, cells: Iterable[Cell], table: str = "table1") -> pd.DataFrame:
    """A table of the paper ("table1", "table2" or "table4") with ours beside it: one row per train_source, method
    and benchmark.

    Columns: train_source, method, reproduction (what ours is where it is not the same thing), benchmark,
    paper_accuracy, paper_macro_f1 (best of four seeds), best_accuracy, best_macro_f1 (ours, best of n),
    mean_accuracy, accuracy_low, accuracy_high (95 % interval over seeds and test examples), mean_macro_f1,
    n_seeds, n_test, status ("complete", "2 of 4 seeds", "failed: ...", "not run", "number not known"). Where the
    paper has no number at all, for a benchmark of one's own, its rows and columns are left out.
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
    """Every method minus CE-Loss within its train_source and benchmark, in points of accuracy.

    Columns: train_source, method, benchmark, baseline, then those of :func:`comparison`: mean, low, high
    (paired over shared seeds and examples), n_seeds, n_test, p_mcnemar, p_permutation, status.
    """
    outcomes = outcomes_of(results, cells)
    baselines = {(s, b): m for s, m, b in outcomes if m.startswith("CE-Loss")}
    rows = []
    for source, method, benchmark in outcomes:
        baseline = baselines.get((source, benchmark))
        if baseline not in (None, method) and (source, method) != FEW_SHOT:
            pair = outcomes[source, method, benchmark], outcomes[source, str(baseline), benchmark]
            names = {"train_source": source, "method": method, "benchmark": benchmark, "baseline": baseline}
            rows.append({**names, **comparison(*pair)})
    columns = ["train_source", "method", "benchmark", "baseline", *comparison(None, None)]
    return pd.DataFrame(rows, columns=columns)


def title(profile: Profile, table: str = "Table 1") -> str:
    """Heading of a table for a profile; the miniature world's says what its paper columns are not."""
    ours = f"({profile.title}); accuracy / macro-F1 in per cent"
    if not set(profile.benchmarks) & set(BENCHMARK_TITLES):
        return f"The rows of {table} on a benchmark of your own {ours}"
    heading = f"{table}, the paper beside this reproduction {ours}"
    return f"{heading}; {OTHER_DATA}" if profile.kind == "miniature" else heading


def side_by_side(frame: pd.DataFrame) -> pd.DataFrame:
    """A table as the paper lays it out, as text: one row per method, "paper", "best", "mean" per benchmark.

    ``frame`` is that of :func:`beside_paper`. What is not complete is marked in the mean's column.
    """
    order = list(dict.fromkeys(zip(frame["train_source"], frame["method"], strict=True)))
    most = frame["n_seeds"].max()
    columns: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for row in records(frame):
        heading, at = benchmark_title(row["benchmark"]), (row["train_source"], row["method"])
        texts = {"paper": _pair(row["paper_accuracy"], row["paper_macro_f1"])} if "paper_accuracy" in row else {}
        texts |= {
            "best": _pair(row["best_accuracy"], row["best_macro_f1"]),
            "mean [95 %]": _mean_text(row, most),
        }
        for column, text in texts.items():
            columns.setdefault((heading, column), {})[at] = text
    table = pd.DataFrame(columns, index=pd.MultiIndex.from_tuples(order))
    return table.rename_axis(index=["training data", "method"])


def _pair(accuracy: float, macro_f1: float) -> str:
    if pd.isna(accuracy):
        return ""
    return f"{accuracy:.2f}" if pd.isna(macro_f1) else f"{accuracy:.2f} / {macro_f1:.2f}"


def _mean_text(row: Mapping[str, Any], most: float) -> str:
    """The mean with its interval; what is not complete, or has fewer seeds than the others, says so."""
    if pd.isna(row["mean_accuracy"]):
        return str(row["status"])
    mark = "" if row["status"] == "complete" else f" ({row['status']})"
    if not mark and row["n_seeds"] < most and (row["train_source"], row["method"]) != FEW_SHOT:
        mark = f" (n = {int(row['n_seeds'])})"
    return f"{row['mean_accuracy']:.2f} [{row['accuracy_low']:.1f}, {row['accuracy_high']:.1f}]{mark}"


def printed(table: str) -> dict[Key, tuple[float, float]]:
    """Accuracy and macro-F1 of one of the paper's tables, per cent; Table 2 prints no F1 (nan)."""
    frame = published.table(table).rename(columns={"model_size": "train_source"})
    rows = records(frame.reindex(columns=["train_source", "method", "benchmark", "accuracy", "macro_f1"]))
    return {(r["train_source"], r["method"], r["benchmark"]): (r["accuracy"], r["macro_f1"]) for r in rows}


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
