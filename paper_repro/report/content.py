"""What stands in the report: rows made from the tables of this run and of the shipped reference."""

from __future__ import annotations

import base64
import math
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from paper_repro.paper import published
from paper_repro.paper.claims import counted
from paper_repro.paper.csv_files import load, records
from paper_repro.paper.titles import method_title, source_title
from paper_repro.paper.views import titled
from paper_repro.report import columns, manifest
from paper_repro.tools.paths import Paths

LONGEST_TABLE = 60
"""Rows of a table that the report prints in full; longer ones are named only."""
# Sections of the paper in its order; those of the appendix follow by their letter.
SECTIONS = ("Abstract", "3", "3.1", "3.2", "3.3", "4.1", "4.2", "4.3", "4.4", "5.1", "5.2")
ACCURACIES = {"train_source", "method", "benchmark", "best_accuracy", "mean_accuracy", "n_test"}
"""Columns by which a table like Table 1 is known."""
NOT_THE_PAPERS = ("baseline_claims.csv", "diversity_claims.csv", "why_claims.csv")
"""Tables of claims that are ours or of other papers."""
OWN = ("oracle_imp", "oracle_dimp")
"""Claims on Table 1 that only the miniature world can judge."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """The tables and figures of one folder: those of this run, or the reference. None where nothing was made."""

    folder: Path
    products: manifest.Entries

    @classmethod
    def of(cls, folder: Path) -> Side:
        products = manifest.read(folder) if (folder / manifest.MANIFEST).exists() else {}
        about = {name: {"name": name, "changed": manifest.changed_files(folder, e)} for name, e in products.items()}
        return cls(folder, {name: {**entry, **about[name]} for name, entry in products.items()})

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The CSV files of all products by name."""
        files = {file: self.folder / file for entry in self.products.values() for file in entry["files"]}
        return {name: load(path) for name, path in files.items() if path.suffix == ".csv" and path.is_file()}


@dataclass(frozen=True)
class Sides:
    """This run and the shipped reference. A product that the run has not made is the reference's."""

    run: Side
    reference: Side

    @property
    def products(self) -> list[Row]:
        """All products, in the order of the notebooks and of the paper's items."""
        order = {name: place for place, name in enumerate(published.items()["item"])}
        known = {**self.reference.products, **self.run.products}
        both = [{**entry, "shipped": name not in self.run.products} for name, entry in known.items()]
        return sorted(both, key=lambda e: (e["notebook"], min([order.get(i, 99) for i in e["items"]], default=99)))

    def side_of(self, entry: Mapping[str, Any]) -> Side:
        return self.reference if entry["shipped"] else self.run


# ---------------------------------------------------------------- items and claims of the paper


def items(products: Iterable[Row], claims: Iterable[Row]) -> list[Row]:
    """Every item of the paper with what there is of it: state "done", "part", "shipped", "code" or "open"."""
    products, verdicts = list(products), dict[str, Counter[str]]()
    for claim in claims:
        if claim["kind"] == "paper":
            verdicts.setdefault(str(claim.get("item", "")), Counter())[claim["verdict"]] += 1
    rows = []
    for item in records(published.items()):
        owners = [entry for entry in products if item["item"] in entry["items"]]
        state, text, anchor = "open", "", owners[0]["name"] if owners else ""
        if owners:
            faulty = next((entry for entry in owners if not entry["complete"] or entry["changed"]), None)
            state, text = ("part", faulty["completeness"]) if faulty else ("done", "complete")
            if not faulty and all(entry["shipped"] for entry in owners):
                state, text = "shipped", "shipped reference"
        elif item["module"] and find_spec(f"paper_repro.{item['module']}"):
            state, text = "code", f"in the code: paper_repro.{item['module']}"
        line = {"state": state, "text": text, "anchor": anchor}
        rows.append({**item, **line, "verdict": counted(verdicts.get(item["item"], Counter()))})
    return rows


def claims(sides: Sides) -> list[Row]:
    """The rows of every table of claims: this run's with the verdict that the reference has (``reference``), and those
    of tables that this run has not made (``shipped``)."""
    ours, theirs = ({name: t for name, t in s.tables.items() if is_claims(name)} for s in (sides.run, sides.reference))
    known = {(name, *_claim(row)): row["verdict"] for name, table in theirs.items() for row in records(table)}
    rows = []
    for name, table in {**theirs, **ours}.items():
        for row in records(table):
            about = {"shipped": name not in ours, "reference": known.get((name, *_claim(row)), "")}
            rows.append({**row, **about, "kind": _kind(name, row)})
    return rows


def _kind(table: str, row: Mapping[str, Any]) -> str:
    """Whose claim it is: "paper" (one statement on one benchmark), "summary" (several of them at once) or "own" (a
    prediction or a comparison of this package that the paper does not have)."""
    no_item = _missing(row.get("item"))
    if table in NOT_THE_PAPERS or row.get("id") in OWN or (table == "theory_claims.csv" and no_item):
        return "own"
    return "summary" if row.get("benchmark") == "all" else "paper"


def _claim(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells a claim from the others of its table."""
    return tuple(str(row.get(name)) for name in ("id" if "id" in row else "claim", "variant", "benchmark"))


def is_claims(name: str) -> bool:
    return name.endswith("claims.csv")


def differing(claims: Iterable[Row]) -> list[Row]:
    """Claims on which this run and the reference have another verdict."""
    return [c for c in claims if not c["shipped"] and c["reference"] not in ("", c["verdict"])]


def claim_blocks(rows: Iterable[Row], benchmarks: Container[str]) -> list[Row]:
    """Claims by section of the paper: a row for each claim with a cell for each of ``benchmarks`` and one for "all"."""
    blocks: dict[str, dict[str, Row]] = {}
    for row in sorted(rows, key=lambda row: _place(str(row["section"]))):
        lines = blocks.setdefault(_section_title(str(row["section"])), {})
        name = claim_title(row)
        line = lines.setdefault(name, {"claim": name, "cells": {}})
        line["cells"][row["benchmark"] if row.get("benchmark") in benchmarks else "all"] = _cell(row)
    return [{"title": title, "rows": list(lines.values())} for title, lines in blocks.items()]


def claim_title(row: Mapping[str, Any]) -> str:
    return str(row["claim"]) if _missing(row.get("variant")) else f"{row['claim']} ({row['variant']})"


def _cell(row: Mapping[str, Any]) -> Row:
    statistic = "" if _missing(row.get("statistic")) else str(row["statistic"])
    form = "+.1f" if not statistic or statistic.startswith("points") else "+.3g"
    numbers = {name: row.get(name, math.nan) for name in ("mean", "low", "high", "paper_difference")}
    counts = [row[name] for name in ("n_seeds", "n_test", "n") if not _missing(row.get(name))][:2]
    p = math.nan if _missing(row.get("p_value")) else float(row["p_value"])
    return {
        **{name: "" if _missing(v) else f"{v:{form}}".replace("-", "−") for name, v in numbers.items()},
        "n": " × ".join(f"{int(count):,}" for count in counts),
        "p": "" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}",
        "statistic": "" if statistic == "points of accuracy" else statistic,
        "status": "" if _missing(row.get("status")) else row["status"],
        **{name: row[name] for name in ("verdict", "reference", "shipped")},
    }


def _missing(value: Any) -> bool:
    return value is None or value == "" or bool(pd.isna(value))


def _place(section: str) -> tuple[int, str]:
    """Where a section stands in the paper."""
    known = re.sub(r"^(Sec|App)\. ", "", section)
    return (SECTIONS.index(known), known) if known in SECTIONS else (len(SECTIONS), known)


def _section_title(section: str) -> str:
    """3.1 -> Sec. 3.1, G.2 -> App. G.2; titles that say what they are stay."""
    if re.fullmatch(r"\d+(\.\d+)*", section):
        return f"Sec. {section}"
    return f"App. {section}" if re.fullmatch(r"[A-Z](\.\d+)*", section) else section


# ---------------------------------------------------------------- tables, figures, runs


def sections(sides: Sides) -> list[Row]:
    """Every product that has more to show than claims: its pictures, and its tables if they are short."""
    shown = []
    for entry in sides.products:
        side, blocks, tables, long = sides.side_of(entry), list[Row](), list[Row](), list[str]()
        pictures = [uri for file in entry["files"] if (uri := _picture(side.folder / file, entry["files"]))]
        for name in entry["files"]:
            if name not in side.tables or is_claims(name):
                continue
            frame = side.tables[name]
            if set(frame) >= ACCURACIES:
                blocks += accuracy_blocks(sides.run.tables.get(name), sides.reference.tables.get(name))
            elif len(frame) <= LONGEST_TABLE:
                headings, cells = columns.shown(frame)
                tables.append({"name": name, "columns": headings, "rows": cells})
            else:
                long.append(f"{name} ({len(frame):,} rows)")
        if pictures or blocks or tables or long:
            shown.append({**entry, "pictures": pictures, "blocks": blocks, "tables": tables, "long": long})
    return shown


def _picture(path: Path, files: Container[str]) -> str:
    """An SVG as a data URI, or a PNG that has none beside it; empty for another file."""
    kind = {".svg": "svg+xml", ".png": "png"}.get(path.suffix)
    if kind is None or not path.is_file() or (kind == "png" and path.with_suffix(".svg").name in files):
        return ""
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def accuracy_blocks(run: pd.DataFrame | None, reference: pd.DataFrame | None) -> list[Row]:
    """A table like Table 1 in blocks by training data (the extended one: by group). Each row has a cell for each
    benchmark: the paper's number, this run's and the reference's ("" where there is none)."""
    sides = {"run": run, "reference": reference}
    blocks: dict[str, dict[str, Row]] = {}
    for side, row in [(side, row) for side, frame in sides.items() if frame is not None for row in records(frame)]:
        block = blocks.setdefault(row.get("group", source_title(row["train_source"])), {})
        line = block.setdefault(row["method"], {"method": method_title(row["method"]), "note": "", "cells": {}})
        line["note"] = line["note"] or ("" if _missing(row.get("reproduction")) else row["reproduction"])
        cell = line["cells"].setdefault(
            row["benchmark"], {"paper": _pair(row, "paper"), "run": None, "reference": None}
        )
        cell[side] = _measured(row)
    return [{"source": source, "rows": list(rows.values())} for source, rows in blocks.items()]


def _measured(row: Mapping[str, Any]) -> Row:
    status = "" if row["status"] == "complete" else row["status"]
    if _missing(row["mean_accuracy"]):
        return {"mean": "", "interval": "", "best": "", "n": "", "status": status}
    n = f"n = {int(row['n_seeds'])} × {int(row['n_test']):,}"
    interval = f"[{row['accuracy_low']:.1f}, {row['accuracy_high']:.1f}]"
    return {"mean": _pair(row, "mean"), "interval": interval, "best": _pair(row, "best"), "n": n, "status": status}


def _pair(row: Mapping[str, Any], whose: str) -> str:
    """Accuracy / macro-F1, as far as they are known."""
    numbers = (row.get(f"{whose}_{measure}") for measure in ("accuracy", "macro_f1"))
    return " / ".join(f"{number:.2f}" for number in numbers if not _missing(number))


def runs(paths: Paths, frame: pd.DataFrame | None) -> list[Row]:
    """A row for each run: its selected epoch and accuracy, and a link where the store is at hand."""
    if frame is None:
        return []
    chosen = frame[(frame["status"] != "complete") | (frame["selected"].astype("boolean").fillna(False))]
    rows = []
    for row in records(titled(chosen)):
        folder = paths.results / "runs" / str(row["key"])
        link = Path(os.path.relpath(folder, paths.report.parent)).as_posix() + "/" if folder.is_dir() else ""
        rows.append({**row, "link": link})
    return rows
