"""What stands in the report: rows made from the CSV files of a figures folder and from its manifest."""

from __future__ import annotations

import base64
import math
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.paper import published
from paper_repro.paper.claims import counted
from paper_repro.paper.csv_files import load, records
from paper_repro.paper.titles import benchmark_title
from paper_repro.report.manifest import sha256
from paper_repro.tools.paths import Paths

Entries = Mapping[str, dict[str, Any]]
"""Products of the manifest by name."""

FIGURE_RULE = (
    "At the last epoch, a method is above CE-Loss if its lowest seed lies above CE's highest, below if its "
    "highest lies below CE's lowest; otherwise the bands overlap and the figure cannot tell."
)
LONGEST_TABLE = 60
"""Rows of a table that the report prints in full; longer ones are named only."""

# Sections of the paper in its order; those of the appendix follow by their letter.
SECTIONS = ("Abstract", "3", "3.1", "3.2", "3.3", "4.1", "4.2", "4.3", "4.4", "5.1", "5.2")


def changed_files(paths: Paths, entry: Mapping[str, Any]) -> list[str]:
    """The product's files that are gone or differ from what the manifest says."""

    def differs(path: Path, digest: str) -> bool:
        return not path.is_file() or sha256(path) != digest

    return [name for name, digest in entry["files"].items() if differs(paths.figures / name, digest)]


# ---------------------------------------------------------------- items of the paper


def items(products: Entries, claims: Iterable[Mapping[str, Any]], notes: Mapping[str, str]) -> list[dict[str, str]]:
    """Every item of the paper with what there is of it: state "done", "part", "code" or "open"."""
    verdicts: dict[str, Counter[str]] = {}
    for claim in claims:
        verdicts.setdefault(str(claim.get("item", "")), Counter())[claim["verdict"]] += 1
    rows = []
    for item in records(published.items()):
        name, anchor = item["item"], ""
        owners = [entry for entry in products.values() if name in entry["items"]]
        if owners:
            whole = all(entry["complete"] and not entry["changed"] for entry in owners)
            state, text = ("done", "complete") if whole else ("part", owners[0]["completeness"])
            anchor = owners[0]["name"]
        elif item["module"] and find_spec(f"paper_repro.{item['module']}"):
            state, text = "code", f"in the code: paper_repro.{item['module']}"
        else:
            state, text = "open", ""
        line = {"state": state, "text": text, "note": notes.get(name, ""), "anchor": anchor}
        rows.append({**item, **line, "verdict": counted(verdicts.get(name, Counter()))})
    return rows


def without(table1: pd.DataFrame | None) -> str:
    """The rows of Table 1 that have no runs by design, with the reason."""
    if table1 is None:
        return ""
    empty = table1[table1["status"].isin(["not run", "number not known"])]
    reasons = dict(zip(empty["method"], empty["status"], strict=True))
    return "; ".join(f"{method}: {reason}" for method, reason in reasons.items())


# ---------------------------------------------------------------- claims


def claims(paths: Paths, products: Entries) -> list[dict[str, Any]]:
    """The rows of every claims table of the manifest, each with its notebook."""
    rows = []
    for entry in products.values():
        for name in entry["files"]:
            if is_claims(name) and (paths.figures / name).is_file():
                rows += [{**row, "notebook": entry["notebook"]} for row in records(load(paths.figures / name))]
    return rows


def is_claims(name: str) -> bool:
    return name.endswith("claims.csv")


def claim_blocks(rows: Iterable[Mapping[str, Any]], benchmarks: Container[str]) -> list[dict[str, Any]]:
    """Claims by section of the paper: one row a claim with a cell for each of ``benchmarks`` and one for "all"."""
    blocks: dict[str, dict[str, dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: _place(str(row["section"]))):
        lines = blocks.setdefault(_section_title(str(row["section"])), {})
        variant = row.get("variant")
        name = str(row["claim"]) if _missing(variant) else f"{row['claim']} ({variant})"
        line = lines.setdefault(name, {"claim": name, "cells": {}})
        benchmark = row.get("benchmark")
        line["cells"]["all" if _missing(benchmark) or benchmark not in benchmarks else benchmark] = _cell(row)
    return [{"title": title, "rows": list(lines.values())} for title, lines in blocks.items()]


def _cell(row: Mapping[str, Any]) -> dict[str, Any]:
    statistic = "" if _missing(row.get("statistic")) else str(row["statistic"])
    points = not statistic or statistic.startswith("points")
    shown = _points if points else _three_digits
    numbers = {name: row.get(name, math.nan) for name in ("mean", "low", "high", "paper_difference")}
    texts = {name: "" if _missing(value) else shown(value) for name, value in numbers.items()}
    seeds = row.get("n_seeds")
    examples = next((row[name] for name in ("n_test", "n") if not _missing(row.get(name))), None)
    counts = [f"{int(count):,}" for count in (seeds, examples) if count is not None and not _missing(count)]
    tests = [_p_value(row.get(name)) for name in ("p_permutation", "p_mcnemar") if not _missing(row.get(name))]
    return {
        **texts,
        "n": " × ".join(counts),
        "p": ", ".join(tests),
        "statistic": "" if points and statistic in ("", "points of accuracy") else statistic,
        "status": "" if _missing(row.get("status")) else row["status"],
        "verdict": row["verdict"],
    }


def _missing(value: Any) -> bool:
    return value is None or value == "" or bool(pd.isna(value))


def _points(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _three_digits(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")


def _p_value(value: Any) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _place(section: str) -> tuple[int, str]:
    """Where a section stands in the paper."""
    known = re.sub(r"^(Sec|App)\. ", "", section)
    return (SECTIONS.index(known), known) if known in SECTIONS else (len(SECTIONS), known)


def _section_title(section: str) -> str:
    """3.1 -> Sec. 3.1, G.2 -> App. G.2; titles that say what they are stay."""
    if re.fullmatch(r"\d+(\.\d+)*", section):
        return f"Sec. {section}"
    return f"App. {section}" if re.fullmatch(r"[A-Z](\.\d+)*", section) else section


def figure1_verdicts(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    """:data:`FIGURE_RULE` for IMP and DIMP on generated data: per cent at the last epoch, by benchmark."""
    if frame is None or frame.empty:
        return []
    here = frame[frame["train_source"] == "GPT-3.5 generated"]
    rows = []
    for (benchmark, method), group in here.groupby(["benchmark", "method"], sort=False):
        if method not in ("IMP-Loss (Ours)", "DIMP-Loss (Ours)"):
            continue
        plain = here[(here["benchmark"] == benchmark) & (here["method"] == "CE-Loss")]
        ours, theirs = _last_epoch(group), _last_epoch(plain)
        whole = (group["status"] == "complete").all() and (plain["status"] == "complete").all() and len(theirs)
        above, below = ours.min(initial=np.inf) > theirs.max(initial=0), ours.max(initial=0) < theirs.min(initial=1)
        found = "holds" if above else "fails" if below else "cannot be told"
        rows.append(
            {
                "benchmark": benchmark_title(str(benchmark)),
                "method": method,
                "ours": 100 * ours,
                "theirs": 100 * theirs,
                "verdict": found if whole else "not complete",
            }
        )
    return rows


def _last_epoch(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """(seeds,) test accuracies, fractions, at each finished run's last epoch."""
    done = frame[frame["status"] == "complete"].sort_values("epoch")
    return done.groupby("seed")["test_accuracy"].last().to_numpy(dtype=float)


# ---------------------------------------------------------------- tables, figures, runs


def table(paths: Paths, products: Entries, name: str) -> pd.DataFrame | None:
    """A CSV of the figures folder that some product of the manifest owns."""
    owned = any(name in entry["files"] for entry in products.values())
    return load(paths.figures / name) if owned and (paths.figures / name).is_file() else None


def sections(paths: Paths, products: Entries) -> list[dict[str, Any]]:
    """Every product that has more to show than claims, in the order of the notebooks and of the paper's items."""
    order = {name: place for place, name in enumerate(published.items()["item"])}
    found = sorted(
        products.values(),
        key=lambda entry: (entry["notebook"], min([order.get(i, 99) for i in entry["items"]], default=99)),
    )
    shown = [section(paths, entry) for entry in found]
    return [entry for entry in shown if entry["pictures"] or entry["blocks"] or entry["tables"] or entry["long"]]


def section(paths: Paths, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A product: its pictures, the paper's tables beside ours, and other tables if they are short."""
    stems = dict.fromkeys(Path(name).stem for name in entry["files"] if not name.endswith(".csv"))
    pictures = [shown for stem in stems if (shown := picture(paths, entry, stem))]
    blocks: list[dict[str, Any]] = []
    tables, long = [], []
    for name in entry["files"]:
        if not name.endswith(".csv") or is_claims(name) or not (paths.figures / name).is_file():
            continue
        frame = load(paths.figures / name)
        if {"train_source", "method", "best_accuracy", "mean_accuracy", "n_test"} <= set(frame):
            blocks += accuracy_blocks(frame)
        elif len(frame) <= LONGEST_TABLE:
            tables.append({"name": name, "columns": list(frame), "rows": _texts(frame)})
        else:
            long.append(f"{name} ({len(frame):,} rows)")
    return {**entry, "pictures": pictures, "blocks": blocks, "tables": tables, "long": long}


def _texts(frame: pd.DataFrame) -> list[list[Any]]:
    """The cells of a frame for the eye: four digits, empty where there is nothing."""
    rows = frame.to_numpy(dtype=object)
    return [["" if pd.isna(v) else f"{v:.4g}" if isinstance(v, float) else v for v in row] for row in rows]


def picture(paths: Paths, entry: Mapping[str, Any], stem: str) -> str:
    """A picture of a product as a data URI, the SVG if there is one; empty where there is none."""
    for suffix, kind in ((".svg", "image/svg+xml"), (".png", "image/png")):
        path = paths.figures / f"{stem}{suffix}"
        if path.name in entry["files"] and path.is_file():
            return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return ""


def accuracy_blocks(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Blocks of Table 1, 2 or 4 by train_source, of the extended one by group; each row has one cell a benchmark."""
    blocks: dict[str, dict[str, dict[str, Any]]] = {}
    for row in records(frame):
        line = blocks.setdefault(row.get("group", row["train_source"]), {}).setdefault(row["method"], {"cells": {}})
        line["reproduction"] = "" if _missing(row.get("reproduction")) else row["reproduction"]
        line["cells"][row["benchmark"]] = row
    return [
        {"source": source, "rows": [{"method": m, **r} for m, r in rows.items()]} for source, rows in blocks.items()
    ]


def runs(paths: Paths, frame: pd.DataFrame | None) -> Sequence[dict[str, Any]]:
    """One row a run: what was trained, its selected epoch and accuracy, and a link where the store is at hand."""
    if frame is None:
        return []
    chosen = frame[(frame["status"] != "complete") | (frame["selected"].astype("boolean").fillna(False))]
    rows = []
    for row in records(chosen):
        folder = paths.store / "runs" / str(row["key"])
        link = Path(os.path.relpath(folder, paths.report.parent)).as_posix() + "/" if folder.is_dir() else ""
        rows.append({**row, "link": link})
    return rows
