"""The paper's claims as rows that are all judged by the same rule (:data:`paper_repro.paper.outcomes.RULE`).

A row is one statement on one benchmark. A conjunction is a sentence such as "in all benchmarks" or "outperforms the
baselines": it says no more than all of its rows together. Rows are found by ``id``; ``claim`` is for the reader.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from paper_repro.measures.intervals import Interval
from paper_repro.paper import published
from paper_repro.paper.beside_paper import printed, printed_difference
from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import VERDICTS, Key, Outcome, comparison, judged
from paper_repro.runs.results import Results

POINTS = "points of accuracy"
LEVEL = 0.025
"""One-sided, as the two-sided 95 % interval of a single row."""
Row = dict[str, Any]


def comparisons(results: Results, outcomes: Mapping[Key, Outcome], table: str) -> list[Row]:
    """What the paper claims on a table ("table1", "table4"): one method against another, a row for each benchmark.

    ``paper_difference`` is best run minus best run. Where the two sides train on different data, runs of the same seed
    are paired. A rival that was not run has its row.
    """
    paper, rows = printed(table), []
    for claim in records(published.claims(table)):
        named = claim.pop("benchmarks").split(";")
        for benchmark in results.profile.benchmarks:
            ours = (claim["train_source"], claim["method"], benchmark)
            theirs = (claim["versus_source"], claim["versus_method"], benchmark)
            if named != [""] and benchmark not in named:
                continue
            if ours not in paper and ours not in outcomes:  # the oracle outside the miniature world
                continue
            gaps = printed_difference(paper, ours, theirs)
            about = {"item": table.replace("table", "Table "), "benchmark": benchmark, "statistic": POINTS}
            about |= {"paper_difference": gaps[0], "paper_f1_difference": gaps[1]}
            rows.append({**claim, **about, **comparison(outcomes.get(ours), outcomes.get(theirs))})
    return rows


def sentences(rows: Sequence[Mapping[str, Any]], table: str) -> list[Row]:
    """The paper's sentences on several of the ``rows`` that :func:`comparisons` made of a table."""
    item, found = table.replace("table", "Table "), []
    for row in records(published.sentences(table)):
        ids = row["members"].split(";")
        members = [member for member in rows if member["id"] in ids]
        found.append(conjunction(row["id"], row["claim"], row["section"], item, "all", members))
    return found


def conjunction(
    name: str, claim: str, section: str, item: str, benchmark: str, members: Sequence[Mapping[str, Any]]
) -> Row:
    """The row of a sentence with the id ``name`` that says all of its ``members`` at once.

    It holds if all of them hold. It fails if one of them lies below zero by more than chance explains among so many
    (Holm's correction of the members' p values). It is incomplete if one is, and else inconclusive. ``members`` are
    rows with p_value and verdict, and f1_p_value and f1_verdict where they have them.
    """
    verdicts = Counter(str(member["verdict"]) for member in members)
    row = {
        "id": name,
        "claim": claim,
        "section": section,
        "item": item,
        "benchmark": benchmark,
        "statistic": f"its {len(members)} rows: {counted(verdicts)}",
        "status": "incomplete" if verdicts["incomplete"] or not members else "complete",
        "verdict": jointly(members),
    }
    if row["verdict"] != "fails" and verdicts["fails"]:
        row["statistic"] += "; none fails after Holm's correction"
    if any("f1_verdict" in member for member in members):
        row["f1_verdict"] = jointly(members, "f1_")
    return row


def jointly(members: Sequence[Mapping[str, Any]], prefix: str = "") -> str:
    """The verdict on "all of these", see :func:`conjunction`; ``prefix`` "f1_" takes that on macro-F1."""
    verdicts = [member[f"{prefix}verdict"] for member in members]
    p_values = [m[f"{prefix}p_value"] / 2 if v == "fails" else 1.0 for m, v in zip(members, verdicts, strict=True)]
    if members and len(members) * min(p_values) < LEVEL:  # Holm (1979): the smallest of K p values counts K times
        return "fails"
    if not members or "incomplete" in verdicts:
        return "incomplete"
    return "holds" if set(verdicts) == {"holds"} else "inconclusive"


def in_all(epochs: Sequence[Interval], mean: Interval, found: int, planned: int) -> Row:
    """The columns of a claim that says all of some epochs at once, from the interval of each and that of their mean.

    ``found`` of ``planned`` seeds are behind them. ``epochs`` tells in how many of several epochs it holds.
    """
    each = [judged(interval, found, planned) for interval in epochs]
    holding = f"{sum(row['verdict'] == 'holds' for row in each)} of {len(each)}" if len(each) > 1 else ""
    return {**judged(mean, found, planned), "epochs": holding, "verdict": jointly(each)}


def counted(verdicts: Mapping[str, int]) -> str:
    """Verdicts as a phrase: "19 hold, 1 fails"."""
    plural = {"holds": "hold", "fails": "fail"}
    found = [(verdicts[name], name) for name in VERDICTS if verdicts.get(name)]
    return ", ".join(f"{count} {name if count == 1 else plural.get(name, name)}" for count, name in found)
