"""Table 1 with more baselines: accuracies, IMP and DIMP against each of them, claims, and what the theory predicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.measures.intervals import mean_interval
from paper_repro.method.baselines import NO_LABELS, SAME_LABELS
from paper_repro.method.registry import method_of
from paper_repro.paper.beside_paper import PAPER_COLUMNS, printed
from paper_repro.paper.cells import Cell
from paper_repro.paper.claims import POINTS, conjunction
from paper_repro.paper.csv_files import records
from paper_repro.paper.more_baselines.cells import HU, chosen_options, rows
from paper_repro.paper.more_baselines.cost import SELECTING, kept_share
from paper_repro.paper.outcomes import UNKNOWN, Key, Outcome, comparison, measures, outcomes_of
from paper_repro.paper.titles import method_title
from paper_repro.runs.results import Results

OURS = ("imp", "dimp")
MOST_EVEN = 0.98
"""A rival whose weights have a larger effective sample size than this is no test of its method: the coefficient of
variation of the weights is below 0.15."""
NO_TEST = "not a test of the method"
TWINS = (
    ("distil", "imp_exact_q", "IMP with the true Q tends to P'"),
    ("distil", "imp", "IMP tends to P', if its Q is right"),
    ("ensemble", "dimp", "DIMP tends to sqrt(Q P')"),
    ("ce", "imp", "For scale, not alike"),
)
"""Pairs of rows that theory predicts to be alike, and why."""


def benchmarks_of(cells: Iterable[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.benchmark for cell in cells))


def row_outcomes(results: Results, cells: Iterable[Cell]) -> dict[tuple[str, str], Outcome]:
    """Predictions by row and benchmark; runs on large real data are left out."""
    outcomes = outcomes_of(results, [cell for cell in cells if cell.train_source != "train"])
    return {(row, benchmark): outcome for (_, row, benchmark), outcome in outcomes.items()}


def unevenness(results: Results, cells: Iterable[Cell]) -> dict[Key, tuple[float, float]]:
    """How uneven the weights of each row are in the selected epoch, means over the seeds.

    Of each row that weights or selects: the effective sample size, a fraction, and the share of the weights' sum on
    their largest tenth; of a filter, those of its 0/1 weights. ``cells`` hold one candidate for each row and seed.
    """
    found: dict[Key, list[tuple[float, float]]] = {}
    for cell in cells:
        result, numbers = results.result(cell.spec), found.setdefault(_key(cell), [])
        if result is not None and cell.spec.method in SELECTING:
            kept = kept_share(results, cell.spec)
            numbers.append((kept, min(0.1 / kept, 1.0)))
        elif result is not None and method_of(cell.spec.method).reweights:
            numbers.append((result.selected.weight_ess, result.selected.weight_top_tenth))
    means = {key: np.mean(numbers, axis=0).tolist() for key, numbers in found.items() if numbers}
    return {key: (ess, top) for key, (ess, top) in means.items()}


def _key(cell: Cell) -> Key:
    return cell.train_source, cell.method, cell.benchmark


def table1_extended(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """One row per group, method and benchmark, Hu et al.'s on large real data too.

    ``cells`` hold one candidate a row and seed; ``chosen`` are the options picked on D_P', seed by seed.
    """
    cells, paper, found = list(cells), printed("table1"), []
    outcomes, uneven = outcomes_of(results, cells), unevenness(results, cells)
    order = [(row.group, "dev" if name == "checker" else "generated", name) for name, row in rows().items()]
    order += [("large real data", "train", name) for name in HU.values()]
    for group, source, method in order:
        for benchmark in benchmarks_of(cells):
            key = (source, method, benchmark)
            outcome, numbers = outcomes.get(key), paper.get(key, (np.nan, np.nan))
            if outcome is None and key not in paper:
                continue
            about: dict[str, Any] = {"group": group, "train_source": source, "method": method, "benchmark": benchmark}
            about |= {"paper_accuracy": numbers[0], "paper_macro_f1": numbers[1]}
            about |= measures(outcome)
            about |= dict(zip(("weight_ess", "weight_top_tenth"), uneven.get(key, (np.nan, np.nan)), strict=True))
            chosen = [chosen_options(cell) for cell in cells if _key(cell) == key]
            about["chosen"] = "; ".join(dict.fromkeys(filter(None, chosen)))
            found.append({**about, "status": outcome.status if outcome else "not run"})
    of_paper = {benchmark for _, _, benchmark in paper} & set(benchmarks_of(cells))
    return pd.DataFrame(found) if of_paper else pd.DataFrame(found).drop(columns=PAPER_COLUMNS)


def baseline_differences(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """IMP and DIMP minus every other row on generated data, by benchmark.

    A row that the table has on some benchmarks only has a comparison without runs on the others; and where the
    weights of a rival are nearly even, the comparison says nothing about its method and has no verdict.
    The verdict is on "IMP (DIMP) is more accurate" than the ``rival``, paired over the seeds that both rows plan.
    """
    cells = [cell for cell in cells if cell.train_source != "train"]
    outcomes = row_outcomes(results, cells)
    ess = {(row, benchmark): ess for (_, row, benchmark), (ess, _) in unevenness(results, cells).items()}
    present = {name: row for name, row in rows().items() if name in {cell.method for cell in cells}}
    found = []
    for method in OURS:
        for rival, row in present.items():
            for benchmark in benchmarks_of(cells) if rival != method else ():
                compared = comparison(outcomes.get((method, benchmark)), outcomes.get((rival, benchmark)))
                if (even := ess.get((rival, benchmark), 0.0)) > MOST_EVEN:
                    status = f"{NO_TEST} (ESS {100 * even:.0f} %)"
                    compared |= {"status": status, "verdict": "incomplete", "f1_verdict": "incomplete"}
                names = {"method": method, "group": row.group, "rival": rival, "benchmark": benchmark}
                found.append({**names, **compared})
    return pd.DataFrame(found, columns=["method", "group", "rival", "benchmark", *comparison(None, None)])


def families(differences: pd.DataFrame) -> dict[str, tuple[str, list[str]]]:
    """Sets of baselines by id, each with a title and its rows: Table 1's, those with the same labels, all of them."""
    groups: dict[str, str] = dict(zip(differences["rival"], differences["group"], strict=True))
    everything = [rival for rival, group in groups.items() if group in (NO_LABELS, SAME_LABELS)]
    in_table1 = [rival for rival in everything if rival in ("ce", "focal", *HU.values())]
    same = [rival for rival in everything if groups[rival] == SAME_LABELS]
    return {
        "table1": ("those of Table 1", in_table1),
        "same_labels": ("those with the labels of D_P'", same),
        "all": ("all of the extended table", everything),
    }


def baseline_claims(differences: pd.DataFrame) -> pd.DataFrame:
    """ "IMP and DIMP outperform every baseline", for each of :func:`families`, and the rows behind it.

    ``differences`` is that of :func:`baseline_differences`. Sentences have a row for each benchmark and one for "all".
    """
    section, item, sets = "5.1", "Table 1 extended", families(differences)
    found = []
    for row in records(differences[differences["rival"].isin(sets["all"][1])]):
        claim = f"Generated data: {row['method'].upper()} beats {method_title(row['rival'])}"
        names = {"id": f"{row['method']}_{row['rival']}", "claim": claim, "section": section, "item": item}
        compared = {name: row[name] for name in comparison(None, None)}
        found.append({**names, "benchmark": row["benchmark"], "statistic": POINTS, **compared})
    for family, (title, rivals) in sets.items():
        members = differences[differences["rival"].isin(rivals)]
        for who in (*OURS, "both"):
            ours = members if who == "both" else members[members["method"] == who]
            says = "IMP and DIMP outperform" if who == "both" else f"{who.upper()} outperforms"
            claim = f"{says} every baseline: {title}"
            for benchmark in (*dict.fromkeys(ours["benchmark"]), "all"):
                here = records(ours if benchmark == "all" else ours[ours["benchmark"] == benchmark])
                found.append(conjunction(f"{who}_{family}", claim, section, item, benchmark, here))
    return pd.DataFrame(found)


def predicted_twins(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """The pairs of rows in :data:`TWINS`: their difference, and how often they answer alike.

    ``alike`` is in per cent of the test texts, same seed, with the 95 % interval over seeds and texts.
    """
    cells, found = list(cells), []
    outcomes = row_outcomes(results, cells)
    for method, other, prediction in TWINS:
        for benchmark in benchmarks_of(cells):
            ours, theirs = outcomes.get((method, benchmark)), outcomes.get((other, benchmark))
            if ours is None or theirs is None:
                continue
            shared, alike = [seed for seed in ours.seeds if seed in theirs.seeds], UNKNOWN
            if shared:
                same = ours.predictions[ours.rows(shared)] == theirs.predictions[theirs.rows(shared)]
                alike = mean_interval(same).scaled(100)
            names = {"prediction": prediction, "method": method, "other": other, "benchmark": benchmark}
            numbers = {"alike": alike.mean, "alike_low": alike.low, "alike_high": alike.high}
            found.append({**names, **comparison(ours, theirs), **numbers})
    return pd.DataFrame(found)
