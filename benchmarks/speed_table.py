"""The results of the speed benchmark: one row a comparison, as CSV, JSON and a table for the README."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Row:
    """One line of the table. ``ratio`` is their time over ours, or the value that ``what`` names; ``cpu_ratio``
    is the same from processor time, which a busy machine disturbs less; times are in ms a step."""

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


def write(rows: list[Row], about: dict[str, str], out: Path, readme: Path | None) -> str:
    """speed.json and speed.csv under ``out``, the README's table if asked for; returns that table."""
    frame = pd.DataFrame([asdict(row) for row in rows], columns=[f.name for f in fields(Row)])
    out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out / "speed.csv", index=False)
    content = {"about": about, "rows": json.loads(frame.to_json(orient="records", double_precision=15))}
    (out / "speed.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    table = markdown(rows, about)
    if readme is not None:
        start, end = "<!-- results -->", "<!-- end of results -->"
        text = readme.read_text(encoding="utf-8")
        before, after = text.split(start)[0], text.split(end)[1]
        readme.write_text(f"{before}{start}\n{table}\n{end}{after}", encoding="utf-8")
    return table


def markdown(rows: list[Row], about: dict[str, str]) -> str:
    lines = ["; ".join(f"{key}: {value}" for key, value in about.items()), ""]
    lines += ["| | target | median | lowest - highest | n | by CPU time | ms a step: ours / theirs |", "|" + "---|" * 7]
    for row in rows:
        mark = {None: "", True: "", False: " **(missed)**"}[row.met]
        ms = "" if math.isnan(row.ours_ms) else f"{row.ours_ms:.1f} / {row.theirs_ms:.1f}"
        cpu = "" if math.isnan(row.cpu_ratio) else f"{row.cpu_ratio:.3g}"
        span = f"{row.lowest:.3g} - {row.highest:.3g}"
        lines.append(f"| {row.what} ({row.part}) | {row.target} | {row.ratio:.3g}{mark} | {span} | {row.rounds} ")
        lines[-1] += f"| {cpu} | {ms} |"
    lines += ["", "What was compared:", ""]
    for row in rows:
        lines.append(f"- {row.what} ({row.part}). {row.work}. Ours: {row.ours}. Theirs: {row.theirs}.")
    return "\n".join(lines)
