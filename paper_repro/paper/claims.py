"""The paper's claims on Table 1 and Figure 1 as rows, each judged by the same rule.

Three kinds of row: one method against another on one benchmark; a difference or a spread compared with another;
and sentences that say "in all benchmarks" or "outperforms the baselines", which are no more than all of their rows
together (``benchmark`` "all").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.measures import intervals
from paper_repro.paper import published
from paper_repro.paper.beside_paper import printed
from paper_repro.paper.cells import Cell
from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import Key, Outcome, comparison, outcomes_of, verdict
from paper_repro.runs.results import Results

POINTS = "points of accuracy"
WEIGHTED = {"IMP-Loss (Ours)": "IMP", "DIMP-Loss (Ours)": "DIMP"}
SOURCES = ("Small real world", "GPT-3.5 generated", "Large real world")
TOGETHER = {
    "IMP and DIMP outperform every baseline on generated data": ("5.1", r"Generated data: (IMP|DIMP) beats"),
    "IMP and DIMP surpass the data generator": ("5.1", r"(IMP|DIMP) beats the generator"),
    "IMP and DIMP outperform the small quality checker": ("5.1", r"(IMP|DIMP) on generated data beats the quality"),
    "IMP and DIMP outperform every baseline on real data": ("5.2", r"Large real data: (IMP|DIMP) beats"),
    "The weighted losses robustly outperform CE and other weightings": ("Abstract", r"data: (IMP|DIMP) beats"),
}
"""Sentences on several rows, by the section that says them and the pattern of their rows' claims."""


def claims(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """What the paper claims on Table 1 and Figure 1, with its difference, ours, and the verdict of :data:`RULE`.

    Columns: those of :func:`paper_repro.paper.published.claims` with one benchmark a row, item (of the paper), statistic
    (what mean, low and high are), paper_difference (points, best run minus best run), those of
    :func:`comparison`, verdict. Where the two sides train on different data, runs of the same seed are paired.
    """
    cells = list(cells)
    outcomes = outcomes_of(results, cells)
    rows = comparisons(results, outcomes, "table1")
    rows += [_gain(outcomes, method, name) for method in WEIGHTED for name in results.profile.benchmarks]
    rows += _spreads(results, cells)
    return pd.DataFrame(rows + together(rows, TOGETHER, "Table 1"))


def comparisons(results: Results, outcomes: Mapping[Key, Outcome], table: str) -> list[dict[str, Any]]:
    """What the paper claims on a table ("table1", "table4"): one method against another, by benchmark."""
    paper, unknown = printed(table), (np.nan, np.nan)
    rows: list[dict[str, Any]] = []
    for claim in records(published.claims(table)):
        named = claim.pop("benchmarks")
        for benchmark in results.profile.benchmarks:
            ours = (claim["train_source"], claim["method"], benchmark)
            theirs = (claim["versus_source"], claim["versus_method"], benchmark)
            # the oracle, outside its world; few-shot labels and Hu et al. on a benchmark of one's own
            unheard_of = any(key not in paper and key not in outcomes for key in (ours, theirs))
            if unheard_of or (named and benchmark not in named.split(";")):
                continue
            compared = comparison(outcomes.get(ours), outcomes.get(theirs))
            gap = paper.get(ours, unknown)[0] - paper.get(theirs, unknown)[0]
            rows.append(
                {
                    **claim,
                    "item": table.replace("table", "Table "),
                    "benchmark": benchmark,
                    "statistic": POINTS,
                    "paper_difference": gap,
                    **compared,
                    "verdict": verdict(compared["low"], compared["high"], compared["status"]),
                }
            )
    return rows


def _gain(outcomes: Mapping[Key, Outcome], method: str, benchmark: str) -> dict[str, Any]:
    """Sec. 5.2: what the weights add to CE is less on real than on generated data."""
    _, generated, large = SOURCES
    wanted = [(source, name, benchmark) for source in (generated, large) for name in (method, "CE-Loss")]
    found = [outcomes[key] for key in wanted if key in outcomes]
    row = {
        "claim": f"{WEIGHTED[method]} gains less over CE on real than on generated data",
        "section": "5.2",
        "item": "Table 1",
        "method": method,
        "train_source": generated,
        "versus_source": large,
        "versus_method": method,
        "benchmark": benchmark,
        "statistic": "points of accuracy, gain on generated minus gain on large real data",
    }
    shared = sorted(set.intersection(*(set(outcome.seeds) for outcome in found))) if len(found) == 4 else []
    if not shared:
        return {**row, **comparison(None, None), "verdict": "incomplete"}
    correct = [outcome.correct[[outcome.seeds.index(s) for s in shared]].astype(float) for outcome in found]
    interval = intervals.paired_interval(correct[0] - correct[1], correct[2] - correct[3]).scaled(100)
    complete = all(len(shared) == outcome.wanted for outcome in found)
    status = "complete" if complete else f"{len(shared)} of {max(o.wanted for o in found)} seeds"
    paper = printed("table1")
    gaps = [paper.get(key, (np.nan, np.nan))[0] for key in wanted]
    return {
        **row,
        "paper_difference": (gaps[0] - gaps[1]) - (gaps[2] - gaps[3]),
        **{name: getattr(interval, name) for name in ("mean", "low", "high")},
        "n_seeds": len(shared),
        "n_test": correct[0].shape[1],
        "status": status,
        "verdict": verdict(interval.low, interval.high, status),
    }


def _spreads(results: Results, cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """Fig. 1: IMP and DIMP end with less variation than CE, and DIMP starts with more of it than IMP."""
    curves: dict[tuple[str, str], list[list[float]]] = {}
    wanted: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        if cell.train_source == SOURCES[1]:
            wanted[cell.method, cell.benchmark] += 1
            if (result := results.result(cell.spec)) is not None:
                curves.setdefault((cell.method, cell.benchmark), []).append([e.test_accuracy for e in result.history])
    imp, dimp = WEIGHTED
    told = [
        ("IMP varies less than CE over the seeds at the last epoch", "CE-Loss", imp, -1),
        ("DIMP varies less than CE over the seeds at the last epoch", "CE-Loss", dimp, -1),
        ("DIMP varies more than IMP over the seeds in the first epoch", dimp, imp, 0),
    ]
    rows = []
    for claim, wider, narrower, epoch in told:
        for benchmark in results.profile.benchmarks:
            sides = [curves.get((method, benchmark), []) for method in (wider, narrower)]
            ratio = intervals.log_spread_ratio(*([curve[epoch] for curve in side] for side in sides))
            complete = all(len(s) == wanted[m, benchmark] > 1 for s, m in zip(sides, (wider, narrower), strict=True))
            status = "complete" if complete else f"{min(map(len, sides))} of {wanted[narrower, benchmark]} seeds"
            rows.append(
                {
                    "claim": claim,
                    "section": "5.1",
                    "item": "Figure 1",
                    "train_source": SOURCES[1],
                    "method": narrower,
                    "versus_source": SOURCES[1],
                    "versus_method": wider,
                    "benchmark": benchmark,
                    "statistic": "ln of the ratio of standard deviations over the seeds (F)",
                    **{name: getattr(ratio, name) for name in ("mean", "low", "high")},
                    "n_seeds": min(map(len, sides)),
                    "status": status,
                    "verdict": verdict(ratio.low, ratio.high, status),
                }
            )
    return rows


def together(
    rows: Iterable[Mapping[str, Any]], sentences: Mapping[str, tuple[str, str]], item: str
) -> list[dict[str, Any]]:
    """A sentence on several rows holds if all of them do, fails if one of them does, and else is inconclusive."""
    rows, found = list(rows), []
    for claim, (section, pattern) in sentences.items():
        members = [row for row in rows if re.search(pattern, row["claim"])]
        verdicts = Counter(row["verdict"] for row in members)
        if members:
            found.append(sentence(claim, section, item, "all", verdicts, jointly(verdicts)))
    return found


def sentence(
    claim: str, section: str, item: str, benchmark: str, verdicts: Mapping[str, int], judged: str
) -> dict[str, Any]:
    """The row of a sentence on several rows, whose ``verdicts`` stand in its ``statistic``; ``judged`` is its own."""
    return {
        "claim": claim,
        "section": section,
        "item": item,
        "benchmark": benchmark,
        "statistic": f"its {sum(verdicts.values())} rows: {counted(verdicts)}",
        "status": "incomplete" if verdicts.get("incomplete") else "complete",
        "verdict": judged,
    }


def counted(verdicts: Mapping[str, int]) -> str:
    """Verdicts as a phrase: "19 hold, 1 fails"."""
    plural = {"holds": "hold", "fails": "fail"}
    order = ("holds", "fails", "inconclusive", "incomplete")
    found = [(verdicts[name], name) for name in order if verdicts.get(name)]
    return ", ".join(f"{count} {name if count == 1 else plural.get(name, name)}" for count, name in found)


def jointly(verdicts: Mapping[str, int]) -> str:
    """The verdict on "all of these", from how many there are of each."""
    if verdicts.get("fails"):
        return "fails"
    if not sum(verdicts.values()) or verdicts.get("incomplete"):
        return "incomplete"
    return "inconclusive" if verdicts.get("inconclusive") else "holds"
