"""The search over hyper-parameters: its grid, and what five rules report of runs whose accuracies are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import fake_runs
import numpy as np
import pandas as pd
import pytest
from paper_repro.experiments import Cell
from test_figures import words

from paper_repro import experiments, figures, tables
from paper_repro.measures.intervals import expected_maximum, paired_interval
from paper_repro.method import losses
from paper_repro.runs import profiles
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import RunResult, RunSpec
from paper_repro.texts.pools import Benchmark, Pool

CE, IMP = "CE-Loss", "IMP-Loss (Ours)"
RULES = tables.RULES
TEXTS = 200


@pytest.mark.parametrize("name", profiles.names())
def test_a_setting_changes_the_classifier_and_nothing_else(name: str) -> None:
    profile = profiles.load(name)
    usual = {(c.spec.benchmark, c.spec.method, c.seed): c.spec for c in experiments.table1(profile) if _on_d_q(c)}
    cells = experiments.search(profile)
    assert len({(c.train_source, c.method, c.benchmark, c.seed) for c in cells}) == len(cells)
    for cell in cells:
        ours, theirs = cell.spec, usual[cell.benchmark, cell.spec.method, cell.seed]
        names = ("learning_rate", "epochs", "batch_size", "test_curve")
        same = {field: getattr(theirs.recipe, field) for field in names}
        assert replace(ours, recipe=replace(ours.recipe, **same)) == theirs
    shared = [cell for cell in cells if cell.spec in usual.values()]
    assert len(shared) * len(experiments.settings(profile)) == len(cells), "Table 1's setting is one of them"


def _on_d_q(cell: Cell) -> bool:
    return cell.train_source == experiments.GENERATED and cell.method != experiments.ORACLE


def test_a_search_can_have_every_loss_of_the_paper() -> None:
    assert profiles.SEARCHED == losses.METHODS


def test_the_papers_search_is_app_f() -> None:
    """Learning rate 6e-6 or 6e-5, 5 or 7 epochs, batches of 32 or 64; four seeds, five methods, three benchmarks."""
    cells = experiments.search(profiles.load("paper"))
    recipes = {(c.spec.recipe.learning_rate, c.spec.recipe.epochs, c.spec.recipe.batch_size) for c in cells}
    assert recipes == set(product((6e-6, 6e-5), (5, 7), (32, 64)))
    assert len(cells) == 8 * 4 * 5 * 3


# ---------------------------------------------------------------- rules


@dataclass
class Known:
    """Runs of which each is right on the first so many of :data:`TEXTS` texts, and so good on D_P'.

    ``runs`` holds (right, dev accuracy) by (setting, method, seed).
    """

    profile: Profile
    runs: dict[tuple[str, str, int], tuple[int, float]]
    cells: list[Cell]

    def benchmark(self, name: str) -> Benchmark:
        test = Pool("test", tuple(map(str, range(TEXTS))), np.zeros(TEXTS, dtype=np.int64))
        return Benchmark(name, name, ("a", "b"), {"test": test}, {})

    def result(self, spec: RunSpec) -> RunResult | None:
        cell = next(cell for cell in self.cells if cell.spec == spec)
        found = self.runs.get((cell.train_source, cell.method, cell.seed))
        if found is None:
            return None
        right, dev = found
        probabilities = np.zeros((TEXTS, 2), dtype=np.float32)
        probabilities[np.arange(TEXTS), (np.arange(TEXTS) >= right).astype(int)] = 1
        epoch = replace(fake_runs.fake_epoch(1, 0.5, np.random.default_rng(0)), dev_accuracy=dev)
        labels = np.zeros(TEXTS, dtype=np.int64)
        return RunResult("key", spec, (epoch,), 1, labels, probabilities, probabilities, {}, {})

    def failure(self, spec: RunSpec) -> str | None:
        return None

    def key(self, spec: RunSpec) -> str:
        return "key"


LOW, HIGH = "rate 6e-06, 5 epochs, batches of 32", "rate 6e-05, 5 epochs, batches of 32"
ACCURACIES = {
    # Table 1's setting is HIGH. CE's dev accuracy prefers LOW, whose test mean is lower; IMP's prefers HIGH.
    (HIGH, CE, 0): (140, 0.60),
    (HIGH, CE, 1): (150, 0.62),
    (LOW, CE, 0): (120, 0.64),
    (LOW, CE, 1): (160, 0.66),
    (HIGH, IMP, 0): (160, 0.70),
    (HIGH, IMP, 1): (170, 0.71),
    (LOW, IMP, 0): (110, 0.72),
    (LOW, IMP, 1): (130, 0.50),
}


def known(runs: dict[tuple[str, str, int], tuple[int, float]]) -> Known:
    profile = fake_runs.profile()
    search = profiles.Search((6e-6, 6e-5), (5,), (32,), ("ce", "imp"), ("mrpc",), 2)
    profile = replace(profile, search=search)
    return Known(profile, runs, experiments.search(profile))


def rules(workspace: Known) -> pd.DataFrame:
    return tables.search_rules(tables.outcomes_of(workspace, workspace.cells), HIGH)


def settings(workspace: Known) -> pd.DataFrame:
    outcomes = tables.outcomes_of(workspace, workspace.cells)
    return tables.search_settings(outcomes, experiments.settings(workspace.profile), HIGH)


def accuracies(frame: pd.DataFrame, method: str) -> dict[str, float]:
    rows = frame[frame["method"] == method]
    return {rule: rows.loc[rows["rule"] == RULES[rule], "accuracy"].item() for rule in RULES}


def test_each_rule_reports_what_it_may_see() -> None:
    workspace = known(ACCURACIES)
    frame = rules(workspace)
    assert accuracies(frame, CE) == pytest.approx(
        {"fixed": 72.5, "dev": 70.0, "dev run": 80.0, "best seed": 75.0, "best run": 80.0}
    )
    assert accuracies(frame, IMP) == pytest.approx(
        {"fixed": 82.5, "dev": 82.5, "dev run": 55.0, "best seed": 85.0, "best run": 85.0}
    )
    by = frame.set_index(["method", "rule"])
    assert by.loc[(CE, RULES["dev"]), "setting"] == LOW
    assert by.loc[(CE, RULES["best run"]), ["setting", "n_seeds", "n_runs"]].tolist() == [LOW, 1, 4]
    assert by.loc[(IMP, RULES["best seed"]), ["setting", "n_seeds", "n_runs"]].tolist() == [HIGH, 1, 2]


def test_both_sides_of_a_difference_follow_the_rule() -> None:
    workspace = known(ACCURACIES)
    frame = rules(workspace)
    by = frame[frame["method"] == IMP].set_index("rule")["vs_ce_mean"]
    assert by.to_dict() == pytest.approx(
        {RULES[rule]: gap for rule, gap in zip(RULES, (10.0, 12.5, -25.0, 10.0, 5.0), strict=True)}
    )
    row = frame[(frame["method"] == IMP) & (frame["rule"] == RULES["dev"])].iloc[0]
    right = {key: np.arange(TEXTS) < number for key, (number, _) in ACCURACIES.items()}
    pairs = [np.stack([right[place, method, seed] for seed in (0, 1)]) for place, method in ((HIGH, IMP), (LOW, CE))]
    interval = paired_interval(*pairs).scaled(100)
    assert (row["vs_ce_low"], row["vs_ce_high"]) == pytest.approx((interval.low, interval.high))
    assert row["verdict"] == ("holds" if interval.low > 0 else "cannot be told")


def test_what_the_test_set_chose_has_no_verdict() -> None:
    workspace = known(ACCURACIES)
    frame = rules(workspace)
    judged = frame[frame["verdict"] != ""]
    assert set(judged["method"]) == {IMP}
    assert set(judged["rule"]) == {RULES["fixed"], RULES["dev"], RULES["dev run"]}


def test_chance_is_the_spread_of_the_seeds_times_the_largest_of_so_many() -> None:
    """CE: two seeds 5 points apart in one setting and 20 in the other; variances 12.5 and 200, pooled 106.25."""
    workspace = known(ACCURACIES)
    frame = rules(workspace)
    chance = frame[frame["method"] == CE].set_index("rule")["chance"]
    assert chance[RULES["best run"]] == pytest.approx(np.sqrt(106.25) * expected_maximum(4))
    assert chance[RULES["best seed"]] == pytest.approx(np.sqrt(106.25) * expected_maximum(2))
    assert chance.drop([RULES["best run"], RULES["best seed"]]).isna().all()


def test_every_setting_has_its_row() -> None:
    workspace = known(ACCURACIES)
    frame = settings(workspace)
    row = frame[(frame["method"] == CE) & (frame["setting"] == LOW)].iloc[0]
    assert (row["mean_accuracy"], row["dev_accuracy"], row["n_seeds"]) == pytest.approx((70.0, 65.0, 2))
    assert (row["learning_rate"], row["epochs"], row["batch_size"], row["table1"]) == (6e-6, 5, 32, False)
    assert frame.loc[frame["table1"], "setting"].unique().tolist() == [HIGH]


@pytest.mark.parametrize("lost", [(LOW, CE, 1), (HIGH, CE, 0)])
def test_a_search_that_is_not_complete_has_no_verdict(lost: tuple[str, str, int]) -> None:
    workspace = known({key: value for key, value in ACCURACIES.items() if key != lost})
    frame = rules(workspace)
    by = frame[frame["method"] == IMP].set_index("rule")
    assert (by["verdict"] == "not complete").loc[[RULES["dev"], RULES["dev run"]]].all()
    assert (by.loc[RULES["fixed"], "verdict"] == "not complete") == (lost[0] == HIGH)
    assert frame.loc[frame["method"] == CE, "status"].str.contains("of").any()


def test_nothing_at_all_is_an_empty_table_and_no_error() -> None:
    workspace = known({})
    frame = rules(workspace)
    assert frame["accuracy"].isna().all()
    assert set(frame.loc[frame["method"] == IMP, "verdict"]) == {"not complete", ""}
    assert settings(workspace)["mean_accuracy"].isna().all()


def drawn(workspace: Known) -> Any:
    return figures.search(settings(workspace), rules(workspace), profile="mini")


def test_the_picture_shows_every_setting_and_what_the_rules_choose() -> None:
    figure = drawn(known(ACCURACIES))
    heights = sorted(
        {
            round(float(y), 3)
            for line in figure.axes[0].lines
            for y in line.get_ydata()[:1]
            if line.get_marker() != "None"
        }
    )
    assert set(heights) >= {70.0, 72.5, 60.0, 82.5, 80.0, 85.0}, "four settings, and the best run of each method"
    assert "n = 2 seeds, 200 test texts" in words(figure).replace("\n", " ")
    assert "INCOMPLETE" not in words(figure)


def test_a_picture_of_a_part_says_so() -> None:
    part = {key: value for key, value in ACCURACIES.items() if key != (LOW, CE, 1)}
    assert "INCOMPLETE: 1 of 4 settings" in words(drawn(known(part))).replace("\n", " ")
