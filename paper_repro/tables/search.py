"""What a search over hyper-parameters buys, and what it seems to buy where the test set itself decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro.statistics import expected_maximum, mean_interval
from paper_repro.tables.outcomes import FEW_SHOT, Outcome, Runs, comparison, measures, outcomes_of, verdict

if TYPE_CHECKING:
    from paper_repro.experiments import Cell

CE = "CE-Loss"
RULES = {
    "fixed": "Table 1's setting, mean of the seeds",
    "dev": "setting chosen on D_P', mean of the seeds",
    "dev run": "the one run that D_P' likes best",
    "best seed": "Table 1's setting, best seed on the test set",
    "best run": "best of all runs on the test set",
}
"""What could be reported of a search, by name. The last two look at the test set before they choose. App. F reports
"the best accuracy run" of four seeds, and does not say on what it was the best."""


ON_TEST = ("best seed", "best run")


@dataclass(frozen=True)
class Found:
    """One setting of one method on one benchmark: test predictions, and accuracies on D_P' of the same seeds,
    (seeds found,) fractions."""

    setting: str
    outcome: Outcome
    dev: NDArray[np.float64]


def search_settings(workspace: Runs, cells: Iterable[Cell], usual: str) -> pd.DataFrame:
    """One row a benchmark, method and setting.

    Columns: benchmark, method, setting, learning_rate, epochs, batch_size, table1 (whether it is ``usual``, the
    setting of Table 1), dev_accuracy (mean over the seeds), those of our part of Table 1, status. Per cent.
    """
    cells = list(cells)
    recipes = {cell.train_source: cell.spec.recipe for cell in cells}
    rows = []
    for (benchmark, method), settings in _found(workspace, cells).items():
        for one in settings:
            recipe = recipes[one.setting]
            numbers = {name: getattr(recipe, name) for name in ("learning_rate", "epochs", "batch_size")}
            dev = 100 * float(one.dev.mean()) if len(one.dev) else np.nan
            names = {"benchmark": benchmark, "method": method, "setting": one.setting, **numbers}
            about = {"table1": one.setting == usual, "dev_accuracy": dev}
            rows.append({**names, **about, **measures(one.outcome), "status": one.outcome.status})
    return pd.DataFrame(rows)


def search_rules(workspace: Runs, cells: Iterable[Cell], usual: str) -> pd.DataFrame:
    """One row a benchmark, rule of :data:`RULES` and method: what would be reported, and the difference to CE-Loss.

    Columns: benchmark, rule, method, setting (that the rule chooses), accuracy with low and high in per cent, chance,
    vs_ce_mean, vs_ce_low and vs_ce_high in points, n_seeds (runs behind the number), n_runs (that it was chosen from),
    n_test, verdict, status. Both sides of a difference follow the rule. Intervals know of seeds and test texts, not of
    the choosing: those of the rules that look at the test set are too high. ``chance`` says how much of that comes by
    itself: points that the best of as many runs lies above their mean where they differ by their seeds alone; such rows
    have no verdict.
    """
    found = _found(workspace, cells)
    rows = []
    for benchmark in dict.fromkeys(benchmark for benchmark, _ in found):
        methods = {method: settings for (name, method), settings in found.items() if name == benchmark}
        for rule, words in RULES.items():
            chosen = {method: _chosen(rule, settings, usual) for method, settings in methods.items()}
            for method, choice in chosen.items():
                names = {"benchmark": benchmark, "rule": words, "method": method, "setting": choice.setting}
                reported = _reported(choice, chosen.get(CE) if method != CE else None)
                if rule in ON_TEST:
                    reported |= {"chance": _by_chance(methods[method], choice.runs), "verdict": ""}
                rows.append({**names, **reported})
    return pd.DataFrame(rows)


def _found(workspace: Runs, cells: Iterable[Cell]) -> Mapping[tuple[str, str], list[Found]]:
    """The settings of each (benchmark, method), in their order."""
    cells = list(cells)
    grouped: dict[tuple[str, str], list[Found]] = {}
    for (setting, method, benchmark), outcome in outcomes_of(workspace, cells).items():
        if (setting, method) == FEW_SHOT:
            continue
        place = (setting, method, benchmark)
        results = [workspace.result(c.spec) for c in cells if (c.train_source, c.method, c.benchmark) == place]
        dev = np.array([result.selected.dev_accuracy for result in results if result is not None])
        grouped.setdefault((benchmark, method), []).append(Found(setting, outcome, dev))
    return grouped


@dataclass(frozen=True)
class _Choice:
    """What a rule makes of one method's runs: the outcome to report, and how many runs it was chosen from."""

    setting: str
    outcome: Outcome
    runs: int
    status: str


def _chosen(rule: str, settings: list[Found], usual: str) -> _Choice:
    """Of equals the first counts: the settings in their order, then the seeds."""
    fixed = [one for one in settings if one.setting == usual]
    open_to = fixed if rule in ("fixed", "best seed") else settings
    runs, wanted = sum(len(one.dev) for one in open_to), sum(one.outcome.wanted for one in open_to)
    status = "complete" if runs == wanted else f"{runs} of {wanted} runs"
    known = [one for one in open_to if len(one.dev)]
    if not known:
        return _Choice("", fixed[0].outcome, 0, status)
    if rule in ("fixed", "dev"):
        best = max(known, key=lambda one: float(one.dev.mean()))
        return _Choice(best.setting, best.outcome, runs, status)
    scores = [one.dev if rule == "dev run" else one.outcome.correct.mean(axis=1) for one in known]
    place = int(np.argmax([score.max() for score in scores]))
    row = int(scores[place].argmax())
    return _Choice(known[place].setting, _only(known[place].outcome, row), runs, status)


def _only(outcome: Outcome, row: int) -> Outcome:
    """One run by itself. It meets other single runs whatever their seeds."""
    return replace(outcome, seeds=(0,), wanted=1, predictions=outcome.predictions[row : row + 1])


def _by_chance(settings: list[Found], runs: int) -> float:
    """Points; the spread of the seeds is pooled within the settings. nan where no setting has two seeds."""
    accuracies = [100 * one.outcome.correct.mean(axis=1) for one in settings if len(one.dev) > 1]
    freedom = sum(len(found) - 1 for found in accuracies)
    if not freedom or not runs:
        return np.nan
    spread = np.sqrt(sum(((found - found.mean()) ** 2).sum() for found in accuracies) / freedom)
    return float(spread * expected_maximum(runs))


def _reported(choice: _Choice, ce: _Choice | None) -> dict[str, Any]:
    interval = mean_interval(choice.outcome.correct).scaled(100) if choice.runs else None
    numbers = dict(zip(("accuracy", "low", "high"), vars(interval).values() if interval else [np.nan] * 3, strict=True))
    compared = comparison(choice.outcome, ce.outcome if ce else None)
    status = choice.status if ce is None or ce.status == "complete" else ce.status
    return {
        **numbers,
        **{f"vs_ce_{name}": compared[name] for name in ("mean", "low", "high")},
        "n_seeds": len(choice.outcome.seeds),
        "n_runs": choice.runs,
        "n_test": len(choice.outcome.labels),
        "chance": np.nan,
        "verdict": "" if ce is None else verdict(compared["low"], compared["high"], status),
        "status": status,
    }
