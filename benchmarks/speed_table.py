"""The results of the speed benchmarks: one row a comparison, as CSV, JSON and a table for the README."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """One line of the table. ``ratio`` is their time over ours, or the value that ``what`` names; ``cpu_ratio``
    is the same from processor time, which a busy machine disturbs less; times are in ms a step. ``predicted`` is the
    ratio expected before the measurement, ``of_floor`` the least time that the hardware allows over ours."""

    part: str
    what: str
    target: str
    ratio: float
    lowest: float
    highest: float
    rounds: int
    met: bool | None
    work: str
    ours: str
    theirs: str
    cpu_ratio: float = math.nan
    ours_ms: float = math.nan
    theirs_ms: float = math.nan
    predicted: float = math.nan
    of_floor: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain values, None for what was not measured."""
        values = {name: value.item() if isinstance(value, np.generic) else value for name, value in vars(self).items()}
        return {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in values.items()}


def write(
    name: str, rows: list[Row], about: dict[str, str], out: Path, readme: Path | None, *, legend: bool = True
) -> str:
    """``name``.json and ``name``.csv under ``out``, the README's table if asked for; returns that table."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [f.name for f in fields(Row)], lineterminator="\n")
        table.writeheader()
        table.writerows(row.to_dict() for row in rows)
    content = {"about": about, "rows": [row.to_dict() for row in rows]}
    (out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    text_table = markdown(rows, about, legend=legend)
    if readme is not None:
        start, end = f"<!-- results of {name} -->", f"<!-- end of {name} -->"
        text = readme.read_text(encoding="utf-8")
        before, after = text.split(start)[0], text.split(end)[1]
        readme.write_text(f"{before}{start}\n{text_table}\n{end}{after}", encoding="utf-8")
    return text_table


def markdown(rows: list[Row], about: dict[str, str], *, legend: bool = True) -> str:
    """The table; ``legend`` adds what was compared, row by row."""
    lines = ["; ".join(f"{key}: {value}" for key, value in about.items()), ""]
    foreseen = any(not math.isnan(row.predicted) or not math.isnan(row.of_floor) for row in rows)
    more = ["predicted", "of the floor"] if foreseen else []
    heads = ["", "target", "median", "lowest - highest", "n", "by CPU time", "ms a step: ours / theirs", *more]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        mark = {None: "", True: "", False: " **(missed)**"}[row.met]
        ms = "" if math.isnan(row.ours_ms) else f"{row.ours_ms:.1f} / {row.theirs_ms:.1f}"
        cpu = "" if math.isnan(row.cpu_ratio) else f"{row.cpu_ratio:.3g}"
        span = f"{row.lowest:.3g} - {row.highest:.3g}"
        lines.append(f"| {row.what} ({row.part}) | {row.target} | {row.ratio:.3g}{mark} | {span} | {row.rounds} ")
        lines[-1] += f"| {cpu} | {ms} |"
        if foreseen:
            floor = "" if math.isnan(row.of_floor) else f"{100 * row.of_floor:.0f} %"
            lines[-1] += f" {'' if math.isnan(row.predicted) else f'{row.predicted:g}'} | {floor} |"
    if legend:
        lines += ["", "What was compared:", ""]
    for row in rows if legend else ():
        lines.append(f"- {row.what} ({row.part}). {row.work}. Ours: {row.ours}. Theirs: {row.theirs}.")
    return "\n".join(lines)
