"""What the paper's first version prints and what does not add up in it, each point with a computation that shows it.

Thirteen points. Published numbers come from :mod:`paper_repro.paper.published`; what only the running text has stands in
:mod:`paper_repro.paper.theory.slips.numbers` with its section. Nothing here says that a result is wrong: a slip of the pen is one.
"""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from paper_repro.paper.theory.slips import arguments, numbers
from paper_repro.paper.theory.slips.point import Point

POINTS = (
    numbers.few_shot_mrpc,
    numbers.sentences,
    numbers.macro_f1_above_accuracy,
    numbers.majority_classifier,
    arguments.without_diversity_checker,
    arguments.lower_bound,
    arguments.pointwise_convergence,
    arguments.ratio_is_one,
    numbers.not_in_all_benchmarks,
    numbers.standard_errors,
    arguments.labels_of_dev,
    arguments.units_and_sizes,
    arguments.direction_of_kl,
)


def table() -> pd.DataFrame:
    """All points, one a row: number, subject, kind, where, printed, found, follows, result, check."""
    rows = []
    for number, check in enumerate(POINTS, start=1):
        point = asdict(check())
        result = "borne out" if point.pop("borne_out") else "not borne out"
        rows.append({"point": number, **point, "result": result, "check": f"{check.__module__}.{check.__name__}"})
    return pd.DataFrame(rows)


__all__ = ["POINTS", "Point", "table"]
