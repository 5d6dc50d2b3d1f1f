"""One HTML page that needs nothing else: the paper beside its reproduction.

It reads ``figures/<profile>`` alone (CSV, pictures, ``manifest.json``), so that it can also be made from committed
figures. Links to runs are made where the results store lies beside it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from paper_repro.paper.csv_files import write
from paper_repro.paper.outcomes import OTHER_DATA, RULE
from paper_repro.paper.titles import BENCHMARKS as BENCHMARK_TITLES
from paper_repro.report import content
from paper_repro.report.manifest import read_manifest
from paper_repro.runs import profiles
from paper_repro.tools.paths import BUNDLED, Paths


def build(paths: Paths) -> Path:
    """Make the report of a profile and return where it lies. Raises UserError where nothing has been run."""
    products = read_manifest(paths.figures)
    for entry in products.values():
        entry["changed"] = content.changed_files(paths, entry)
    profile = profiles.load(paths.profile) if paths.profile in profiles.names() else None
    benchmarks = {paths.benchmark: paths.benchmark} if paths.benchmark else BENCHMARK_TITLES
    table1, runs = (content.table(paths, products, name) for name in ("table1.csv", "table1_runs.csv"))
    claims = content.claims(paths, products)
    page = _template().render(
        profile=paths.folder,
        title=profile.title if profile else paths.profile,
        other_data=OTHER_DATA if profile and profile.kind == "miniature" and not paths.benchmark else "",
        own=bool(paths.benchmark),
        benchmarks=benchmarks,
        rule=RULE,
        figure_rule=content.FIGURE_RULE,
        verdicts=Counter(claim["verdict"] for claim in claims),
        items=content.items(products, claims, {"Table 1": content.without(table1)}),
        claims=content.claim_blocks(claims, benchmarks),
        figure1=content.figure1_verdicts(runs),
        sections=content.sections(paths, products),
        products=list(products.values()),
        runs=content.runs(paths, runs),
        incomplete=[entry for entry in products.values() if not entry["complete"] or entry["changed"]],
    )
    return write(paths.report, page.encode())


def _template() -> Any:
    """The page's template; everything put into it is escaped."""
    loader = FileSystemLoader(BUNDLED / "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["number"] = _number
    return environment.get_template("report.html.j2")


def _number(value: Any, digits: int = 2) -> str:
    return "–" if pd.isna(value) else f"{value:.{digits}f}"
