"""The runs behind a table, one row a run and epoch, and their seconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from paper_repro.method.recipe import HISTORY_FIELDS
from paper_repro.paper.cells import Cell
from paper_repro.runs.results import Results
from paper_repro.tools.errors import UserError


def runs(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """One row per run and epoch: what Figure 1 is drawn from. A run that is missing or failed has one row.

    Accuracies are fractions; ``selected`` marks the epoch with the best dev accuracy. Nothing in it depends on the
    machine's speed, so the same runs give the same file; :func:`timings` has the seconds.
    """
    rows: list[dict[str, Any]] = []
    history_fields = [name for name in HISTORY_FIELDS if name != "seconds"]
    for cell in cells:
        names = _names(results, cell)
        if (result := results.result(cell.spec)) is None:
            reason = results.failure(cell.spec)
            rows.append({**names, "status": f"failed: {reason}" if reason else "missing"})
            continue
        for record in result.history:
            rows.append(
                {
                    **names,
                    "status": "complete",
                    **{name: getattr(record, name) for name in history_fields},
                    "selected": record.epoch == result.selected_epoch,
                    "n_test": len(result.test_labels),
                }
            )
    start = ["profile", "encoder", "train_source", "method", "benchmark", "seed", "status"]
    frame = pd.DataFrame(rows, columns=[*start, *history_fields, "selected", "n_test", "key"])
    return frame.astype({"epoch": "Int64", "n_test": "Int64", "selected": "boolean"})


def missing(runs: pd.DataFrame) -> pd.DataFrame | str:
    """The rows of :func:`runs` that are missing or have failed, with the reason; a word where all are complete.

    Raises UserError where no run is complete: then there is nothing to show.
    """
    names = ["train_source", "method", "benchmark", "seed"]
    each = runs.drop_duplicates(names)
    lost = each[each["status"] != "complete"]
    if len(lost) == len(each):
        raise UserError(f"no run is complete, so there is nothing to show; the first: {lost['status'].iloc[0]}")
    return lost[[*names, "status"]] if len(lost) else f"all {len(each)} runs are complete"


def timings(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """One row per finished run: wall-clock seconds by phase, device, versions and memory as its store has them.

    A checker that several cells share is counted in its own cell only.
    """
    rows = []
    for cell in cells:
        if (result := results.result(cell.spec)) is not None:
            seconds = {f"seconds_{phase}": spent for phase, spent in result.seconds.items()}
            rows.append({**_names(results, cell), **seconds, **dict(result.environment)})
    return pd.DataFrame(rows)


def _names(results: Results, cell: Cell) -> dict[str, Any]:
    return {
        "profile": results.profile.name,
        "encoder": cell.spec.encoder,
        "train_source": cell.train_source,
        "method": cell.method,
        "benchmark": cell.benchmark,
        "seed": cell.seed,
        "key": results.key(cell.spec),
    }
