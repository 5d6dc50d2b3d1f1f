"""The README's result tables, written from the shipped reference so that no number in them is typed.

Each stands between ``<!-- gains PROFILE -->`` and ``<!-- end -->``: points of test accuracy above CE-Loss on generated
data, one row per method and one column per benchmark.
"""

from __future__ import annotations

import re
from pathlib import Path

from paper_repro.paper.csv_files import load
from paper_repro.paper.titles import benchmark_title, in_order, method_title
from paper_repro.paper.views import interval_text
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_whole
from paper_repro.tools.paths import REFERENCE, project_root

BLOCK = re.compile(r"(<!-- gains (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def gains(profile: str) -> str:
    """The table of a profile in Markdown. Raises UserError where the reference has no ``differences.csv``."""
    frame = load(REFERENCE / profile / "differences.csv")
    rows = frame[
        (frame["train_source"] == "generated") & frame["method"].isin(("imp", "dimp", "quality_only", "oracle"))
    ]
    if rows.empty:
        raise UserError(f"{profile}: its reference has no runs on generated data")
    benchmarks = in_order(rows["benchmark"])
    seeds = "–".join(str(int(n)) for n in sorted({rows["n_seeds"].min(), rows["n_seeds"].max()}))
    heading = [
        f"{benchmark_title(b)} ({seeds} seeds × {rows.loc[rows['benchmark'] == b, 'n_test'].max():,.0f} texts)"
        for b in benchmarks
    ]
    lines = [f"| | {' | '.join(heading)} |", f"|{'---|' * (len(benchmarks) + 1)}"]
    for method, group in rows.groupby("method", sort=False):
        cells = group.set_index("benchmark")[["mean", "low", "high"]]
        texts = [interval_text(*cells.loc[name], signed=True) if name in cells.index else "" for name in benchmarks]
        lines.append(f"| {method_title(str(method))} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def written(text: str) -> str:
    """``text`` with every such table as the reference has it."""
    return BLOCK.sub(lambda found: f"{found[1]}{gains(found[2])}{found[3]}", text)


def write(path: Path | None = None) -> None:
    """Write the tables of the README anew."""
    readme = path or project_root() / "README.md"
    write_whole(readme, written(readme.read_text("utf-8")).encode())
