"""Table 1 with more baselines: accuracies, IMP and DIMP against each of them, claims, and what the theory predicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.measures import intervals
from paper_repro.paper.beside_paper import printed
from paper_repro.paper.cells import Cell
from paper_repro.paper.claims import POINTS, jointly, sentence
from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import Key, Outcome, comparison, measures, outcomes_of, verdict
from paper_repro.runs.results import Results

GENERATED, LARGE = "GPT-3.5 generated", "Large real world"
IMP, DIMP = "IMP-Loss (Ours)", "DIMP-Loss (Ours)"
SHORT = {IMP: "IMP", DIMP: "DIMP"}
ITEM = "Table 1 extended"
HU = "Hu et al.'s"
"""How the titles of all variants of that method begin."""


class Rows:
    """The cells of a table by row, and comparisons of two rows on the seeds that both of them plan.

    Rows have their own numbers of seeds here, so that a row of two seeds is compared with the first two of another.
    """

    def __init__(self, results: Results, cells: Iterable[Cell]) -> None:
        self.results = results
        self.cells: dict[Key, list[Cell]] = {}
        for cell in cells:
            self.cells.setdefault((cell.train_source, cell.method, cell.benchmark), []).append(cell)
        self._outcomes: dict[tuple[Key, tuple[int, ...]], Outcome] = {}

    def seeds(self, key: Key) -> tuple[int, ...]:
        return tuple(cell.seed for cell in self.cells.get(key, ()))

    def outcome(self, key: Key, seeds: Iterable[int] | None = None) -> Outcome | None:
        """What a row's runs predicted, of ``seeds`` only if they are given; None for a row without a plan."""
        wanted = tuple(seed for seed in self.seeds(key) if seeds is None or seed in set(seeds))
        if not wanted:
            return None
        if (key, wanted) not in self._outcomes:
            chosen = [cell for cell in self.cells[key] if cell.seed in wanted]
            self._outcomes[key, wanted] = outcomes_of(self.results, chosen)[key]
        return self._outcomes[key, wanted]

    def pair(self, ours: Key, theirs: Key) -> tuple[Outcome | None, Outcome | None]:
        return self.outcome(ours, self.seeds(theirs)), self.outcome(theirs, self.seeds(ours))

    def compare(self, ours: Key, theirs: Key) -> dict[str, Any]:
        """:func:`paper_repro.tables.comparison` of two rows on the seeds that both plan."""
        return comparison(*self.pair(ours, theirs))

    def source(self, method: str) -> str:
        """The training data of a method on generated data; the quality checker has other ones."""
        return next((s for s, m, _ in self.cells if m == method and s != LARGE), GENERATED)


def table1_extended(results: Results, cells: Iterable[Cell], groups: Mapping[str, str]) -> pd.DataFrame:
    """One row per group, method and benchmark, Hu et al.'s on large real data too.

    ``cells`` hold one candidate a row and seed, ``groups`` the group of each title, in the table's order. Columns:
    group, train_source, method, benchmark, paper_accuracy, paper_macro_f1, those of
    :func:`paper_repro.tables.beside_paper` on our runs, chosen (options picked on D_P', seed by seed), status.
    """
    rows, paper = Rows(results, cells), printed("table1")
    order = [(group, rows.source(method), method) for method, group in groups.items()]
    order += [("large real data", LARGE, method) for method in groups if method.startswith(HU)]
    found = []
    for group, source, method in order:
        for benchmark in results.profile.benchmarks:
            key = (source, method, benchmark)
            outcome, numbers = rows.outcome(key), paper.get(key)
            if outcome is None and numbers is None:
                continue
            found.append(
                {
                    "group": group,
                    "train_source": source,
                    "method": method,
                    "benchmark": benchmark,
                    **dict(zip(("paper_accuracy", "paper_macro_f1"), numbers or (np.nan, np.nan), strict=True)),
                    **measures(outcome),
                    "chosen": _chosen(rows.cells.get(key, ())),
                    "status": outcome.status if outcome else "not run",
                }
            )
    return pd.DataFrame(found)


def _chosen(cells: Iterable[Cell]) -> str:
    """The tau of each seed, where there is one to choose."""
    values = [value for cell in cells for name, value in cell.spec.options if name == "tau"]
    return "tau " + ", ".join(f"{value:g}" for value in values) if values else ""


def baseline_differences(results: Results, cells: Iterable[Cell], groups: Mapping[str, str]) -> pd.DataFrame:
    """IMP and DIMP minus every other row on generated data, by benchmark.

    Columns: method, group and rival (the other row), benchmark, those of :func:`paper_repro.tables.comparison` (paired
    over the seeds that both rows plan and all test examples), verdict on "IMP (DIMP) is more accurate".
    """
    rows, found = Rows(results, cells), []
    for method in SHORT:
        for rival, group in groups.items():
            for benchmark in results.profile.benchmarks:
                keys = (GENERATED, method, benchmark), (rows.source(rival), rival, benchmark)
                if rival != method and keys[1] in rows.cells:
                    compared = rows.compare(*keys)
                    judged = verdict(compared["low"], compared["high"], compared["status"])
                    names = {"method": method, "group": group, "rival": rival, "benchmark": benchmark}
                    found.append({**names, **compared, "verdict": judged})
    columns = ["method", "group", "rival", "benchmark", *comparison(None, None), "verdict"]
    return pd.DataFrame(found, columns=columns)


def families(
    differences: pd.DataFrame, groups: Mapping[str, str], same: str, rivals: Iterable[str]
) -> dict[str, list[str]]:
    """Sets of baselines by name: Table 1's, those of the group ``same``, all of the groups ``rivals``."""
    present = [title for title in groups if title in set(differences["rival"])]
    wanted = [title for title in present if groups[title] in set(rivals)]
    return {
        "those of Table 1": [title for title in wanted if title in ("CE-Loss", "Focal-Loss") or title.startswith(HU)],
        f"those with the {same}": [title for title in wanted if groups[title] == same],
        "all of the extended table": wanted,
    }


def baseline_claims(differences: pd.DataFrame, sets: Mapping[str, Iterable[str]]) -> pd.DataFrame:
    """ "IMP and DIMP outperform every baseline", for each of ``sets`` of baselines, and the rows behind it.

    ``differences`` is that of :func:`baseline_differences`. Columns: claim, section, item, benchmark, statistic, those
    of :func:`paper_repro.tables.comparison`, verdict. A sentence holds if all of its rows do and fails if one does;
    it has a row a benchmark and one for "all".
    """
    members = list(dict.fromkeys(title for titles in sets.values() for title in titles))
    found = []
    for row in records(differences[differences["rival"].isin(members)]):
        claim = f"Generated data: {SHORT[row['method']]} beats {row['rival']}"
        names = {"claim": claim, "section": "5.1", "item": ITEM, "benchmark": row["benchmark"], "statistic": POINTS}
        found.append({**names, **{name: row[name] for name in comparison(None, None)}, "verdict": row["verdict"]})
    for name, titles in sets.items():
        for who in (*SHORT, None):
            behind = differences[differences["rival"].isin(list(titles))]
            if who is not None:
                behind = behind[behind["method"] == who]
            claim = f"{SHORT[who] + ' outperforms' if who else 'IMP and DIMP outperform'} every baseline: {name}"
            for benchmark in (*dict.fromkeys(behind["benchmark"]), "all"):
                here = behind if benchmark == "all" else behind[behind["benchmark"] == benchmark]
                verdicts = Counter(here["verdict"])
                found.append(sentence(claim, "5.1", ITEM, benchmark, verdicts, jointly(verdicts)))
    return pd.DataFrame(found)


def best_rivals(frame: pd.DataFrame, differences: pd.DataFrame, group: str) -> pd.DataFrame:
    """The most accurate row of a group by benchmark (mean over its seeds), with IMP and DIMP minus it.

    ``frame`` is that of :func:`table1_extended`. Columns: benchmark, rival, mean_accuracy, n_seeds, and for IMP and
    DIMP <name>_mean, _low, _high, _verdict. It is chosen on the test set, which flatters it.
    """
    found = []
    known = frame[(frame["group"] == group) & frame["mean_accuracy"].notna()]
    for benchmark in known["benchmark"].unique():
        rows = records(known[known["benchmark"] == benchmark])
        best = max(rows, key=lambda row: float(row["mean_accuracy"]))
        line: dict[str, Any] = {"benchmark": benchmark, "rival": best["method"]}
        line |= {name: best[name] for name in ("mean_accuracy", "n_seeds")}
        here = differences[(differences["rival"] == best["method"]) & (differences["benchmark"] == benchmark)]
        for row in records(here):
            line |= {f"{SHORT[row['method']]}_{part}": row[part] for part in ("mean", "low", "high", "verdict")}
        found.append(line)
    return pd.DataFrame(found)


def predicted_twins(results: Results, cells: Iterable[Cell], pairs: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Pairs of methods that theory calls alike: their difference, and how often they answer alike.

    ``pairs`` are two titles on generated data with what is said of them. Columns: prediction, method, other,
    benchmark, those of :func:`paper_repro.tables.comparison`, alike, alike_low, alike_high (per cent of the test
    examples, same seed, with the 95 % interval over seeds and examples).
    """
    rows, found = Rows(results, cells), []
    for (method, other), prediction in pairs.items():
        for benchmark in results.profile.benchmarks:
            keys = (GENERATED, method, benchmark), (GENERATED, other, benchmark)
            if set(keys) <= set(rows.cells):
                names = {"prediction": prediction, "method": method, "other": other, "benchmark": benchmark}
                found.append({**names, **rows.compare(*keys), **_alike(*rows.pair(*keys))})
    return pd.DataFrame(found)


def _alike(ours: Outcome | None, theirs: Outcome | None) -> dict[str, float]:
    names = ("alike", "alike_low", "alike_high")
    shared = [] if ours is None or theirs is None else [seed for seed in ours.seeds if seed in theirs.seeds]
    if ours is None or theirs is None or not shared:
        return dict.fromkeys(names, np.nan)
    a, b = (side.predictions[[side.seeds.index(seed) for seed in shared]] for side in (ours, theirs))
    interval = intervals.mean_interval(a == b).scaled(100)
    return dict(zip(names, (interval.mean, interval.low, interval.high), strict=True))
