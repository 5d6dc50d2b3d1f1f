"""The main claims of the paper beside the shipped results of every profile: the first thing in the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from paper_repro.paper import published
from paper_repro.paper.claims import POINTS, jointly
from paper_repro.paper.csv_files import load, records
from paper_repro.paper.titles import benchmark_title, in_order
from paper_repro.paper.views import interval_text
from paper_repro.tools import paths as places

PROFILES = ("base", "mini", "demo")
Row = dict[str, Any]


def headlines() -> list[Row]:
    """A row for each main claim: claim, section, item, and ``cells`` by profile (None where nothing was run).

    A cell has the verdict on all its comparisons together, what was measured (empty: points of accuracy), the
    ``methods`` that are compared, n, and ``lines``: a benchmark with the interval of each method.
    """
    rows = []
    for row in records(published.headlines()):
        members = dict(member.split("=") for member in row["members"].split(";"))
        cells = {profile: _cell(_claims(profile, row["table"]), members) for profile in PROFILES}
        rows.append({**row, "cells": cells})
    return rows if any(cell for row in rows for cell in row["cells"].values()) else []


def _claims(profile: str, table: str) -> list[Row]:
    path = places.REFERENCE / profile / f"{table}.csv"
    return records(load(path)) if path.is_file() else []


def _cell(claims: Sequence[Mapping[str, Any]], members: Mapping[str, str]) -> Row | None:
    found = [row for row in claims if row.get("id") in members.values() and pd.notna(row["mean"])]
    if not found:
        return None
    by_place = {(row["benchmark"], row["id"]): row for row in found}
    lines = []
    for benchmark in in_order(row["benchmark"] for row in found):
        texts = [_interval(by_place.get((benchmark, name))) for name in members.values()]
        lines.append({"benchmark": benchmark_title(benchmark), "intervals": texts})
    statistics = {str(row["statistic"]) for row in found}
    return {
        "verdict": together(found),
        "statistic": min(statistics - {POINTS}, key=len, default=""),
        "methods": list(members),
        "n": _counts(found),
        "lines": lines,
    }


def together(rows: Sequence[Mapping[str, Any]]) -> str:
    """The verdict that all ``rows`` hold. A row that fails counts after Holm's correction, by its p value; where
    an older table has none, only if every row fails."""
    if {row["verdict"] for row in rows} == {"fails"}:
        return "fails"
    return jointly([{**row, "p_value": p if pd.notna(p := row.get("p_value")) else 1.0} for row in rows])


def _interval(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    digits, signed = (1, True) if str(row["statistic"]).startswith("points") else (2, False)
    return interval_text(row["mean"], row["low"], row["high"], digits, signed=signed).replace("-", "−")


def _counts(rows: Sequence[Mapping[str, Any]]) -> str:
    """Seeds and test texts, as ranges where the benchmarks differ."""
    counts = []
    for name, what in (("n_seeds", "seeds"), ("n_test", "texts")):
        numbers = [int(row[name]) for row in rows if pd.notna(row.get(name))]
        if numbers:
            low, high = min(numbers), max(numbers)
            counts.append(f"{low:,} {what}" if low == high else f"{low:,} to {high:,} {what}")
    return " × ".join(counts)
