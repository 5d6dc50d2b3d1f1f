"""Tables for the eye: text in the cells, titles in place of ids, one column for each benchmark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import FEW_SHOT
from paper_repro.paper.titles import benchmark_title, in_order, method_title, source_title

CellText = Callable[[dict[str, Any]], str] | str
TITLES: Mapping[str, Callable[[str], str]] = {
    "train_source": source_title,
    "method": method_title,
    "other": method_title,
    "rival": method_title,
    "baseline": method_title,
    "weighting": method_title,
    "benchmark": benchmark_title,
}
"""How the ids of a column are shown."""


def interval_text(mean: float, low: float, high: float, digits: int = 1, *, signed: bool = True) -> str:
    """An estimate with its 95 % interval, "+1.2 [-0.3, +2.7]", as far as they are known."""
    form = f"{'+' if signed else ''}z.{digits}f"  # z: no -0.0
    mean_text, low_text, high_text = (format(number, form) for number in (mean, low, high))
    if pd.isna(mean):
        return ""
    return mean_text if pd.isna(low) else f"{mean_text} [{low_text}, {high_text}]"


def text_of(value: str = "mean", digits: int = 2, *, signed: bool = False) -> CellText:
    """For :func:`wide`: the interval of a row from its columns ``value``, low and high."""
    return lambda row: interval_text(row[value], row["low"], row["high"], digits, signed=signed)


def difference_text(row: Mapping[str, Any], prefix: str = "", digits: int = 1) -> str:
    """Mean and interval of a row of :func:`paper_repro.paper.outcomes.comparison`, or why there is none.

    ``prefix`` "f1_" takes macro-F1 in place of accuracy.
    """
    text = interval_text(row[f"{prefix}mean"], row[f"{prefix}low"], row[f"{prefix}high"], digits)
    if not text:
        return str(row["status"])
    return text if row["status"] == "complete" else f"{text} ({row['status']})"


def accuracy_text(row: Mapping[str, Any]) -> str:
    """The mean accuracy of a row with its interval, or why there is none."""
    text = interval_text(row["mean_accuracy"], row["accuracy_low"], row["accuracy_high"], signed=False)
    return text if row["status"] == "complete" else f"{text} ({row['status']})".strip()


def verdict_text(row: Mapping[str, Any], digits: int = 1) -> str:
    """The verdict of a row of claims, the interval behind it, in how many epochs it holds, the paper's difference."""
    text = interval_text(row["mean"], row["low"], row["high"], digits)
    if not text:
        return str(row["verdict"])
    text += f", {row['epochs']} epochs" if row.get("epochs") and not pd.isna(row["epochs"]) else ""
    paper = row.get("paper_difference", math.nan)
    return f"{row['verdict']}: {text}" + ("" if pd.isna(paper) else f" (paper {paper:+.1f})")


def titled(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with titles in place of the ids of :data:`TITLES`."""
    shown = {name: frame[name].map(title) for name, title in TITLES.items() if name in frame}
    return frame.assign(**shown)


def by_benchmark(frame: pd.DataFrame, index: str | Sequence[str], text: CellText) -> pd.DataFrame:
    """:func:`wide` with a column for each benchmark, in the paper's order."""
    order = {name: place for place, name in enumerate(in_order(frame["benchmark"]))} | {"all": len(frame)}
    columns = sorted(frame["benchmark"].unique(), key=lambda name: order[name])
    return wide(frame, index, "benchmark", text)[[benchmark_title(name) for name in columns]]


def wide(frame: pd.DataFrame, index: str | Sequence[str], columns: str, text: CellText) -> pd.DataFrame:
    """A table of texts with titles: a row for each ``index``, a column for each value of ``columns``, as they come.

    ``text`` makes a cell's text from a row of the frame, or is the name of the column to show.
    """
    names = [index] if isinstance(index, str) else list(index)
    texts = [row[text] if isinstance(text, str) else text(row) for row in records(frame)]
    shown = titled(frame[[*names, columns]]).assign(text=texts)
    table = shown.pivot(index=names, columns=columns, values="text").fillna("")
    order = shown[names].drop_duplicates()
    order = order.sort_values(names[0], key=lambda column: pd.factorize(column)[0], kind="stable")  # blocks together
    rows = pd.Index(order[names[0]]) if len(names) == 1 else pd.MultiIndex.from_frame(order)
    return table.reindex(rows)[list(shown[columns].unique())].rename_axis(columns=None)


def claims_by_benchmark(claims: pd.DataFrame, digits: int = 1) -> pd.DataFrame:
    """The claims on single benchmarks: verdict and interval, one row for each claim and one column a benchmark."""
    return by_benchmark(claims[claims["benchmark"] != "all"], "claim", lambda row: verdict_text(row, digits))


def sentences(claims: pd.DataFrame) -> pd.DataFrame:
    """The sentences on all benchmarks at once: their verdicts, those on macro-F1, and what is behind the first."""
    rows = claims[claims["benchmark"] == "all"].set_index("claim")
    names = {"section": "section", "verdict": "verdict", "f1_verdict": "on macro-F1", "statistic": "which is"}
    return rows[[name for name in names if name in rows]].rename(columns=names).fillna("")


def side_by_side(frame: pd.DataFrame) -> pd.DataFrame:
    """A table as the paper lays it out: one row per method, "paper", "best" and "mean" for each benchmark.

    ``frame`` is that of :func:`paper_repro.paper.beside_paper.beside_paper`. What is not complete is marked in the
    mean's column, and so are a row with fewer seeds than others and one that only knows the most frequent class.
    """
    most = frame["n_seeds"].max()
    texts: dict[str, CellText] = {
        "paper": lambda row: _pair(row["paper_accuracy"], row["paper_macro_f1"]),
        "best": lambda row: _pair(row["best_accuracy"], row["best_macro_f1"]),
        "mean [95 %]": lambda row: _mean_text(row, most),
    }
    parts = {
        name: by_benchmark(frame, ["train_source", "method"], text)
        for name, text in texts.items()
        if name != "paper" or "paper_accuracy" in frame  # not for a benchmark of the user's own
    }
    table = pd.concat(parts, axis=1).swaplevel(axis=1)[[(name, part) for name in parts["best"] for part in parts]]
    return table.rename_axis(index=["training data", "method"])


def compact(frame: pd.DataFrame) -> Styler:
    """A wide table of texts in small print. Numbers stay in one line, reasons may take several."""
    unbroken = frame.map(lambda text: text.replace(" ", "\N{NO-BREAK SPACE}") if len(text) < 20 else text)
    small = "font-size: 78%; padding: 3px 4px; text-align: left"
    return unbroken.style.format(escape="html").set_table_styles([{"selector": "th, td", "props": small}])


def _pair(accuracy: float, macro_f1: float) -> str:
    if pd.isna(accuracy):
        return ""
    return f"{accuracy:.2f}" if pd.isna(macro_f1) else f"{accuracy:.2f} / {macro_f1:.2f}"


def _mean_text(row: Mapping[str, Any], most: float) -> str:
    if pd.isna(row["mean_accuracy"]):
        return str(row["status"])
    notes = [] if row["status"] == "complete" else [row["status"]]
    if not notes and row["n_seeds"] < most and (row["train_source"], row["method"]) != FEW_SHOT:
        notes = [f"n = {int(row['n_seeds'])}"]
    if row["n_majority"]:
        notes += [f"majority class in {int(row['n_majority'])} of {int(row['n_seeds'])}"]
    text = interval_text(row["mean_accuracy"], row["accuracy_low"], row["accuracy_high"], signed=False)
    return " ".join([text, *(f"({note})" for note in notes)])
