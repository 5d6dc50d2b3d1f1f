"""One HTML page that needs nothing else: the paper, the shipped reference and this run side by side.

It reads the CSV files, pictures and manifests of both folders alone. Links to runs are made where the store is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from paper_repro.paper.csv_files import write
from paper_repro.paper.outcomes import RULE
from paper_repro.paper.titles import BENCHMARKS, OTHER_DATA
from paper_repro.report import content, headlines, manifest
from paper_repro.report.content import Side, Sides
from paper_repro.runs import profiles
from paper_repro.tools.paths import BUNDLED, Paths, owner


def build(paths: Paths) -> Path:
    """Make the report of a profile and return where it lies. Raises UserError where there is nothing to show.

    It links to the pages of the notebooks where the website (:mod:`paper_repro.report.site`) was built, else to the
    executed notebooks.
    """
    return write(paths.report, render(paths, _links(paths, paths.written)).encode())


def build_in_site(paths: Paths) -> None:
    """The same as a page of the website. Nothing outside of it is linked to."""
    links = _links(paths, paths.site)
    (paths.site / paths.report.name).write_text(render(paths, links, linked_runs=False), "utf-8")


def _links(paths: Paths, start: Path) -> dict[str, str]:
    """Where each notebook is shown, seen from ``start``, by its name."""
    places = [*paths.notebooks.glob("*.ipynb"), *(paths.site / "notebooks").glob("*.html")]  # the later ones count
    return {path.stem: path.relative_to(start).as_posix() for path in places if path.is_relative_to(start)}


def render(paths: Paths, links: Mapping[str, str], *, linked_runs: bool = True) -> str:
    """The report as HTML. ``links`` are the addresses of notebooks by name."""
    sides = Sides(Side.of(paths.figures), Side.of(paths.reference))
    products, has_run = sides.products, bool(sides.run.products)
    if not products:
        manifest.read(paths.figures)  # says what to do
    profile = profiles.load(paths.profile)
    benchmarks = {paths.benchmark: paths.benchmark} if paths.benchmark else BENCHMARKS
    claims = content.claims(sides)
    kinds = {kind: [claim for claim in claims if claim["kind"] == kind] for kind in ("paper", "own", "summary")}
    runs = content.runs(paths, sides.run.tables.get("table1_runs.csv"))
    return str(
        _template().render(
            profile=paths.folder,
            title=profile.title,
            other_data=OTHER_DATA if profile.kind == "miniature" and not paths.benchmark else "",
            own=bool(paths.benchmark),
            data=owner(paths.figures).get("data", []),
            benchmarks=benchmarks,
            rule=RULE,
            has_run=has_run,
            has_reference=bool(sides.reference.products),
            links=links,
            headlines=[] if paths.benchmark else headlines.headlines(),
            profiles=headlines.PROFILES,
            verdicts=Counter(claim["verdict"] for claim in kinds["paper"]),
            differing=[{**claim, "claim": content.claim_title(claim)} for claim in content.differing(claims)],
            items=content.items(products, claims),
            claims={kind: content.claim_blocks(rows, benchmarks) for kind, rows in kinds.items()},
            sections=content.sections(sides),
            products=products,
            runs=runs if linked_runs else [{**run, "link": ""} for run in runs],
            incomplete=[e for e in products if e["shipped"] != has_run and (not e["complete"] or e["changed"])],
        )
    )


def _template() -> Any:
    """The page's template; everything put into it is escaped."""
    loader = FileSystemLoader(BUNDLED / "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["number"] = _number
    return environment.get_template("report.html.j2")


def _number(value: Any) -> str:
    return "–" if pd.isna(value) else f"{value:.2f}"
