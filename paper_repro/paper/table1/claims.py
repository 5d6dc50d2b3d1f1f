"""What the paper says of Table 1 and Figure 1, each statement judged by the same rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from paper_repro.measures import intervals
from paper_repro.measures.intervals import Interval
from paper_repro.paper.beside_paper import printed, printed_difference
from paper_repro.paper.cells import Cell
from paper_repro.paper.claims import POINTS, Row, comparisons, in_all, sentences
from paper_repro.paper.outcomes import UNKNOWN, Key, Outcome, gain_difference, outcomes_of
from paper_repro.runs.results import Results

SPREADS = (
    ("imp_steady", "IMP varies less than CE over the seeds at the last epoch", "imp", "ce", slice(-1, None)),
    ("dimp_steady", "DIMP varies less than CE over the seeds at the last epoch", "dimp", "ce", slice(-1, None)),
    ("dimp_unsteady", "DIMP varies more than IMP over the seeds in the first two epochs", "imp", "dimp", slice(2)),
)
"""Fig. 1: id, claim, the method that varies less, the one that varies more, in which epochs. The paper does not say how
many its "initial epochs" are."""


def claims(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """The paper's claims on Table 1 and Figure 1 on each benchmark, and its sentences on all of them.

    A claim on the curves says all of its epochs at once; ``epochs`` is in how many it holds, mean and interval are
    those of the mean over them.
    """
    cells = list(cells)
    outcomes, benchmarks = outcomes_of(results, cells), results.profile.benchmarks
    rows = comparisons(results, outcomes, "table1")
    rows += [_gain(outcomes, method, name) for method in ("imp", "dimp") for name in benchmarks]
    rows += [row for name in benchmarks for row in _figure1(results, cells, name)]
    return pd.DataFrame(rows + sentences(rows, "table1"))


def _about(name: str, claim: str, item: str, benchmark: str, method: str, rival: str, statistic: str) -> Row:
    sides = {"train_source": "generated", "method": method, "versus_source": "generated", "versus_method": rival}
    section = "5.1" if item == "Figure 1" else "5.2"
    head = {"id": name, "claim": claim, "section": section, "item": item}
    return {**head, **sides, "benchmark": benchmark, "statistic": statistic}


def _gain(outcomes: Mapping[Key, Outcome], method: str, benchmark: str) -> Row:
    """Sec. 5.2: what the weights add to CE is less on real than on generated data."""
    claim = f"{method.upper()} gains less over CE on real than on generated data"
    statistic = f"{POINTS}, gain on generated minus gain on large real data"
    row = _about(f"gain_{method}", claim, "Table 1", benchmark, method, method, statistic) | {"versus_source": "train"}
    keys = [(source, name, benchmark) for source in ("generated", "train") for name in (method, "ce")]
    paper = printed("table1")
    generated, real = (printed_difference(paper, *pair)[0] for pair in (keys[:2], keys[2:]))
    row["paper_difference"] = generated - real
    return row | gain_difference(outcomes, method, benchmark, "generated", "train")


def _figure1(results: Results, cells: Iterable[Cell], benchmark: str) -> list[Row]:
    """Sec. 5.1: IMP and DIMP outperform CE and Focal over the epochs; they end with little variation between the seeds,
    and DIMP varies more than IMP at first."""
    curves: dict[str, dict[int, list[float]]] = {}
    for cell in cells:
        if (cell.train_source, cell.benchmark) == ("generated", benchmark):
            of_method, result = curves.setdefault(cell.method, {}), results.result(cell.spec)
            of_method[cell.seed] = [100 * epoch.test_accuracy for epoch in result.history] if result else []
    rows = []
    for method in ("imp", "dimp"):
        for rival in ("ce", "focal"):
            ours, theirs, planned = _shared(curves, method, rival)
            every = (
                [intervals.paired_interval(a, b) for a, b in zip(ours.T, theirs.T, strict=True)] if ours.size else []
            )
            claim = f"{method.upper()} is above {'CE' if rival == 'ce' else 'Focal'} in every epoch"
            statistic = f"{POINTS}, mean of the epochs, interval over the seeds"
            about = _about(f"curve_{method}_{rival}", claim, "Figure 1", benchmark, method, rival, statistic)
            mean = intervals.paired_interval(ours.mean(axis=1), theirs.mean(axis=1)) if ours.size else UNKNOWN
            rows.append({**about, **in_all(every, mean, len(ours), planned)})
    for name, claim, narrow, wide, epochs in SPREADS:
        ours, theirs, planned = _shared(curves, narrow, wide)
        pairs = zip(ours.T[epochs], theirs.T[epochs], strict=True)
        every = [intervals.log_spread_ratio(b, a) for a, b in pairs]
        statistic = "ln of the ratio of standard deviations over the seeds (F)"
        about = _about(name, claim, "Figure 1", benchmark, narrow, wide, statistic)
        ends = np.array([(one.mean, one.low, one.high, one.p_value) for one in every]).mean(axis=0) if every else None
        mean = UNKNOWN if ends is None else Interval(*ends.tolist())
        rows.append({**about, **in_all(every, mean, len(ours), planned)})
    return rows


def _shared(curves: Mapping[str, Mapping[int, Sequence[float]]], a: str, b: str) -> tuple[np.ndarray, np.ndarray, int]:
    """The curves of two methods, (seeds, epochs) each, on the seeds that have both, and how many are planned.

    A run can be there without the test scores of every epoch; then it has no curve.
    """
    planned = sorted(set(curves.get(a, {})) & set(curves.get(b, {})))
    found = [
        seed for seed in planned if all(len(c) and np.isfinite(c).all() for c in (curves[a][seed], curves[b][seed]))
    ]
    sides = (
        np.array([curves[method][seed] for seed in found]).reshape(len(found), -1 if found else 0) for method in (a, b)
    )
    return (*sides, len(planned))  # type: ignore[return-value]
