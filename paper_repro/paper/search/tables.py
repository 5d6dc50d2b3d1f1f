"""What a search over hyper-parameters buys, and what it seems to buy where the test set itself decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from paper_repro.measures.intervals import expected_maximum, mean_interval
from paper_repro.paper.outcomes import FEW_SHOT, UNKNOWN, Key, Outcome, comparison, measures
from paper_repro.paper.search.cells import settings, usual_setting
from paper_repro.runs.profiles import Profile

RULES = {
    "fixed": "Table 1's setting, mean of the seeds",
    "dev": "setting chosen on D_P', mean of the seeds",
    "dev_run": "the one run with the best accuracy on D_P'",
    "best_seed": "Table 1's setting, best seed on the test set",
    "best_run": "best of all runs on the test set",
}
"""What could be reported of a search, by id. The last two look at the test set before they choose. App. F reports
"the best accuracy run" of four seeds, and does not say on what it was the best."""
ON_TEST = ("best_seed", "best_run")


def search_settings(outcomes: Mapping[Key, Outcome], profile: Profile) -> pd.DataFrame:
    """One row for each benchmark, method and setting of the search; per cent. ``outcomes`` are those of its cells."""
    rows, recipes = [], settings(profile)
    for (benchmark, method), found in _settings(outcomes).items():
        for setting, outcome in found.items():
            names = ("learning_rate", "epochs", "batch_size")
            numbers = {name: getattr(recipes[setting], name) for name in names}
            about = {"benchmark": benchmark, "method": method, "setting": setting, **numbers}
            about |= {"table1": setting == usual_setting(profile)}
            about |= {"dev_accuracy": 100 * _dev(outcome) if outcome.dev else np.nan}
            rows.append({**about, **measures(outcome), "status": outcome.status})
    return pd.DataFrame(rows)


def search_rules(outcomes: Mapping[Key, Outcome], profile: Profile) -> pd.DataFrame:
    """One row for each benchmark, rule of :data:`RULES` and method: what is reported, and the difference to CE-Loss.

    Both sides of a difference follow the rule, which chooses from ``n_runs``. Intervals know of seeds and test texts,
    not of the choosing: those of the rules that look at the test set are too high. ``chance`` says how much of that
    comes by itself: points that the best of as many runs lies above their mean where they differ by their seeds alone;
    such rows have no verdict.
    """
    found, usual, rows = _settings(outcomes), usual_setting(profile), []
    for benchmark in dict.fromkeys(benchmark for benchmark, _ in found):
        methods = {method: each for (name, method), each in found.items() if name == benchmark}
        for rule in RULES:
            chosen = {method: _chosen(rule, each, usual) for method, each in methods.items()}
            ce = chosen["ce"][1] if "ce" in chosen else None
            for method, (setting, outcome, runs) in chosen.items():
                names = {"benchmark": benchmark, "rule": rule, "method": method, "setting": setting, "n_runs": runs}
                reported = _reported(outcome, ce if method != "ce" else None)
                if rule in ON_TEST:
                    reported |= {"chance": _by_chance(methods[method].values(), runs), "verdict": ""}
                rows.append({**names, **reported})
    return pd.DataFrame(rows)


def _settings(outcomes: Mapping[Key, Outcome]) -> dict[tuple[str, str], dict[str, Outcome]]:
    """The settings of each (benchmark, method), in their order."""
    grouped: dict[tuple[str, str], dict[str, Outcome]] = {}
    for (setting, method, benchmark), outcome in outcomes.items():
        if (setting, method) != FEW_SHOT:
            grouped.setdefault((benchmark, method), {})[setting] = outcome
    return grouped


def _dev(outcome: Outcome) -> float:
    return float(np.mean(outcome.dev))


def _chosen(rule: str, settings: Mapping[str, Outcome], usual: str) -> tuple[str, Outcome, int]:
    """The setting that a rule chooses for a method, the outcome to report, and of how many runs it was chosen.

    Of equals the first counts: the settings in their order, then the seeds. The outcome's status is that of all
    the runs that the rule looks at.
    """
    open_to = {usual: settings[usual]} if rule in ("fixed", "best_seed") else settings
    runs, planned = sum(len(o.seeds) for o in open_to.values()), sum(len(o.planned) for o in open_to.values())
    status = "complete" if runs == planned else f"{runs} of {planned} runs"
    known = {setting: one for setting, one in open_to.items() if one.seeds}
    if not known:
        return "", replace(settings[usual], status=status), 0
    if rule in ("fixed", "dev"):
        best = max(known, key=lambda setting: _dev(known[setting]))
        return best, replace(known[best], status=status), runs
    scores = {name: one.dev if rule == "dev_run" else one.correct.mean(axis=1) for name, one in known.items()}
    best = max(scores, key=lambda setting: max(scores[setting]))
    return best, replace(_only(known[best], int(np.argmax(scores[best]))), status=status), runs


def _only(outcome: Outcome, row: int) -> Outcome:
    """One run by itself. It meets other single runs whatever their seeds."""
    predictions = outcome.predictions[[row]]
    return replace(outcome, seeds=(0,), planned=(0,), predictions=predictions, dev=(outcome.dev[row],))


def _by_chance(settings: Iterable[Outcome], runs: int) -> float:
    """Points; the spread of the seeds is pooled within the settings. nan where no setting has two seeds."""
    accuracies = [100 * one.correct.mean(axis=1) for one in settings if len(one.seeds) > 1]
    freedom = sum(len(found) - 1 for found in accuracies)
    if not freedom or not runs:
        return np.nan
    spread = np.sqrt(sum(((found - found.mean()) ** 2).sum() for found in accuracies) / freedom)
    return float(spread * expected_maximum(runs))


def _reported(ours: Outcome, ce: Outcome | None) -> dict[str, Any]:
    level = mean_interval(ours.correct).scaled(100) if ours.seeds else UNKNOWN
    compared = comparison(ours, ce)
    lacking = next((one.status for one in (ours, ce) if one and one.status != "complete"), "")
    return {
        "accuracy": level.mean,
        "low": level.low,
        "high": level.high,
        **{f"vs_ce_{name}": compared[name] for name in ("mean", "low", "high")},
        "n_seeds": len(ours.seeds),
        "n_test": len(ours.labels),
        "chance": np.nan,
        "verdict": "" if ce is None else "incomplete" if lacking else compared["verdict"],
        "status": lacking or (compared["status"] if ce else "complete"),
    }
