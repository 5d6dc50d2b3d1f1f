"""What Chen et al. (arXiv 2410.15226) and Zhu et al. (arXiv 2506.19262) claim, as far as classifiers can test it.

Both are about fine-tuning large models, the first also about pre-training ones of 350 million and 1.4 billion
parameters; that is not tested here. CE-Loss stands for their training, as neither has weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from paper_repro.measures.intervals import Interval
from paper_repro.paper.claims import POINTS, Row, conjunction
from paper_repro.paper.csv_files import records
from paper_repro.paper.diversity.cells import (
    HIGH,
    LOW,
    MODERATE,
    WORLD_LOW,
    WORLD_MODERATE,
    benchmarks,
)
from paper_repro.paper.diversity.measures import AGENT
from paper_repro.paper.diversity.tables import SHIFT
from paper_repro.paper.outcomes import UNKNOWN, Key, Outcome, comparison, judged
from paper_repro.runs.profiles import Profile
from paper_repro.texts.derived import DIVERSITY

CHEN, ZHU = "Chen et al., arXiv 2410.15226", "Zhu et al., arXiv 2506.19262"
MODERATE_HELPS, HIGH_HURTS, SHIFT_MATTERS = "moderate_helps", "high_hurts", "shift_matters"
PAIRS = {
    "real": {
        MODERATE_HELPS: ("Moderate diversity beats low diversity", MODERATE, LOW),
        HIGH_HURTS: ("High diversity loses to moderate diversity", MODERATE, HIGH),
    },
    "miniature": {
        MODERATE_HELPS: ("Moderate diversity beats low diversity", WORLD_MODERATE, WORLD_LOW),
        "shift_of_words": ("A shift of the words costs accuracy", WORLD_MODERATE, "narrowed"),
        "shift_of_topics": ("A shift of what the texts are about costs accuracy", WORLD_MODERATE, "shifted"),
    },
}
"""Comparisons of two sets by kind of profile: the claim, the set said to be better, the other."""
RANKS = {
    "agent_accuracy": ("A higher cluster-agent score goes with a higher accuracy", CHEN, AGENT, 1),
    SHIFT_MATTERS: ("A smaller shift of the inputs goes with a higher accuracy", ZHU, SHIFT, -1),
}
"""Claims on rank correlations over the sets: the claim, whose, what accuracy goes with, in which direction."""


def diversity_claims(outcomes: Mapping[Key, Outcome], correlations: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    """A row for each claim and benchmark, for ranks also over all benchmarks, and for Zhu et al.'s sentence on both.

    ``outcomes`` are those of the sets, ``correlations`` the frame of
    :func:`paper_repro.paper.diversity.tables.correlations`. Columns: id, claim, section (whose claim), benchmark,
    statistic, those of :func:`paper_repro.paper.outcomes.comparison` or of ``judged``, sets.
    """
    rows = list[Row]()
    for benchmark in benchmarks(profile):
        for name, (claim, better, worse) in PAIRS[profile.kind].items():
            pair = (outcomes.get((DIVERSITY + one, "ce", benchmark)) for one in (better, worse))
            found = {"statistic": f"{POINTS}, {better} minus {worse}", **comparison(*pair)}
            rows.append({"id": name, "claim": claim, "section": ZHU, "benchmark": benchmark, **found})
    if profile.kind == "real":
        both = [row for row in rows if row["id"] in (MODERATE_HELPS, HIGH_HURTS)]
        claim = "Moderate diversity is better than low and than high diversity"
        rows.append(conjunction("moderate_best", claim, ZHU, "", "all", both))
        rows += [row for name in RANKS for row in _ranks(name, correlations)]
    return pd.DataFrame(rows).assign(item="")


def _ranks(name: str, correlations: pd.DataFrame) -> list[Row]:
    claim, whose, predictor, sign = RANKS[name]
    rows = list[Row]()
    chosen = correlations[(correlations["predictor"] == predictor) & (correlations["method"] == "ce")]
    for row in records(chosen):
        statistic = f"Spearman's correlation over {row['sets']} sets{', turned' if sign < 0 else ''}"
        about = {"id": name, "claim": claim, "section": whose, "benchmark": row["benchmark"], "statistic": statistic}
        rows.append({**about, "sets": row["sets"], **_judged(row, sign)})
    return rows


def _judged(row: Mapping[str, Any], sign: int) -> Row:
    if row["status"] != "complete":
        return {**judged(UNKNOWN, 0, 1), "status": row["status"]}
    low, high = sorted((sign * row["low"], sign * row["high"]))
    interval = Interval(sign * row["mean"], low, high, row["p_value"])
    return judged(interval, int(row["n_seeds"]), int(row["n_seeds"]))
