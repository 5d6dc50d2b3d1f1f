"""How much training a profile's tables are, and how much of it is left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

import pandas as pd

from paper_repro.paper.ablations.figure2 import figure2
from paper_repro.paper.ablations.sizes import generated_sizes, real_sizes
from paper_repro.paper.ablations.switches import switches
from paper_repro.paper.ablations.table2 import table2
from paper_repro.paper.ablations.table3 import table3
from paper_repro.paper.cells import Cell
from paper_repro.paper.diversity.cells import diversity, mixtures
from paper_repro.paper.information.cells import section3_2
from paper_repro.paper.more_baselines.cells import extended
from paper_repro.paper.noisy.cells import table4
from paper_repro.paper.search.cells import search
from paper_repro.paper.table1.cells import table1
from paper_repro.paper.titles import BENCHMARKS
from paper_repro.paper.why.cells import input_shift_runs
from paper_repro.runs.archive import Part
from paper_repro.runs.plan import needed
from paper_repro.runs.profiles import Profile
from paper_repro.runs.results import NOTHING_LEFT, Results
from paper_repro.runs.spec import RunSpec, spec_from_dict

TIMED = 3
"""Repetitions of Table 3's measurement, as in 06_ablations."""
Kind = tuple[str, str, str, str]
"""Benchmark, pool, method, encoder."""


def grids(profile: Profile) -> dict[str, list[Cell]]:
    """The cells of every table that a profile's notebooks train. The last ones are about the paper's benchmarks."""
    first = profile.benchmarks[0]
    made = {
        "table1": table1(profile),
        "section3_2": section3_2(profile),
        "table4": table4(profile),
        "table2": table2(profile),
        "figure2": figure2(profile, first),
        "real_sizes": real_sizes(profile, first),
        "generated_sizes": generated_sizes(profile, first),
        "switches": switches(profile, first),
        "table3": table3(profile, first, profile.seeds[:TIMED]),
        "table1_extended": extended(profile),
    }
    if first in BENCHMARKS:
        made["search"] = search(profile)
        made["relabelled"] = input_shift_runs(profile)
        made |= {"diversity": diversity(profile), "mixtures": mixtures(profile)}
    return made


def workload(results: Results, tables: Mapping[str, Iterable[Cell]]) -> pd.DataFrame:
    """One row per table: its training runs with their checkers' (``runs``), those that no table above it has
    (``new``), and how many of these are not done (``left``).

    ``minutes`` is what the runs left would take on one worker, by the median over the store's finished runs of the
    same benchmark, data, method and encoder; ``not measured`` counts those that have none. A filter that leaves no text
    is done. The last row is the sum. An empty store asks for no data and no weights; else UserError where they are not
    at hand.
    """
    took: dict[Kind, list[float]] = defaultdict(list)
    for run in results.store.finished():
        spec = run["spec"]
        took[spec["benchmark"], spec["source"]["pool"], spec["method"], spec["encoder"]].append(run["seconds"]["total"])
    failures = results.store.failures()
    empty = {spec_from_dict(entry["spec"]) for entry in failures if entry.get("kind") == NOTHING_LEFT}
    known, rows = set[RunSpec](), list[dict[str, Any]]()
    for name, cells in tables.items():
        runs = dict.fromkeys(run for cell in cells for run in needed(cell.spec))
        new = [run for run in runs if run not in known]
        left = [run for run in new if run not in empty and (not took or not results.store.has(results.key(run)))]
        kinds = [(run.benchmark, run.source.pool, run.method, run.encoder) for run in left]
        measured = [median(took[kind]) for kind in kinds if kind in took]
        counts = {"table": name, "runs": len(runs), "new": len(new), "left": len(left)}
        rows.append({**counts, "minutes": sum(measured) / 60, "not measured": len(left) - len(measured)})
        known |= set(runs)
    totals = {name: sum(row[name] for row in rows) for name in ("new", "left", "minutes", "not measured")}
    return pd.DataFrame([*rows, {"table": "all", "runs": len(known), **totals}])


def archive_parts(profile: Profile) -> list[Part]:
    """What :func:`paper_repro.runs.archive.pack` files: one part for each table and benchmark."""
    from paper_repro.paper.information.cells import section3_2_scores

    scores = section3_2_scores(profile)
    return [
        Part(
            f"{table}-{benchmark}",
            tuple(cell.spec for cell in cells if cell.benchmark == benchmark),
            tuple(wanted for wanted in scores if wanted[1] == benchmark) if table == "section3_2" else (),
        )
        for table, cells in grids(profile).items()
        for benchmark in profile.benchmarks
    ]
