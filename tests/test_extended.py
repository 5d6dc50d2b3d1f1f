"""Table 1 extended: its grid, who is compared with whom, the claims on it, what each method costs, the pictures."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import fake_runs
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from paper_repro.experiments import EXTENDED, FILTER, GENERATED, HU, LARGE, NO_LABELS, SAME_LABELS, Cell
from test_figures import words

from paper_repro import experiments, figures, tables
from paper_repro.method.recipe import EpochRecord
from paper_repro.paper.more_baselines.cost import behind, started_from
from paper_repro.runs import profiles
from paper_repro.runs.plan import check
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunResult, RunSpec, Source
from paper_repro.tools import machine
from paper_repro.tools.errors import UserError

IMP, DIMP = "IMP-Loss (Ours)", "DIMP-Loss (Ours)"
GROUPS = {title: row.group for title, row in EXTENDED.items()}
SIZES = {"generated": 300, "dev": 30, "generated+dev": 330, "train": 500}


@dataclass
class Fake(fake_runs.FakeWorkspace):
    """Made-up runs of the extended table: dev accuracy 0.5 + tau / 10, a second for each row of a method's title."""

    none_left: frozenset[float] = frozenset()
    right: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cells = experiments.extended(self.profile)
        every = self.cells + experiments.hu(self.profile, "faithful", self.profile.seeds)
        self._names = {c.spec: (c.train_source, c.method, c.benchmark, c.seed) for c in every}

    def failure(self, spec: RunSpec) -> str | None:
        if dict(spec.options).get("tau") in self.none_left:
            return "filter: no example has P'(y|x) above tau=0.9; lower it"
        return super().failure(spec) if spec in self._names else None

    def result(self, spec: RunSpec) -> RunResult | None:
        if spec not in self._names:
            return None if spec.source.held_out is None else self._made(spec, 1.0)
        if self.failure(spec) or self._names[spec] in self.missing:
            return None
        return self._made(spec, 4.0 if spec.method == "hu" else 2.0)

    def _made(self, spec: RunSpec, seconds: float) -> RunResult:
        method = self._names[spec][1] if spec in self._names else ""
        labels = self.benchmark(spec.benchmark).pools["test"].labels
        rng = np.random.default_rng([spec.seed, len(method)])
        level = self.right.get(method, 0.6)
        made = fake_runs.fake_probabilities(labels, fake_runs.LABELS[spec.benchmark], level, rng)
        tau = float(dict(spec.options).get("tau", 0))
        record: EpochRecord = replace(fake_runs.fake_epoch(1, level, rng), dev_accuracy=0.5 + tau / 10)
        about = {"device": "CPU", "peak_memory_bytes": 3 << 20, "memory_before_bytes": 1 << 20}
        times = {"train": seconds, "total": seconds}
        return RunResult(self.key(spec), spec, (record,), 1, labels, made, made[:10], times, about)

    def source_rows(self, benchmark: str, source: Source) -> NDArray[np.int64]:
        rows = np.arange(SIZES[source.pool])
        return rows if source.held_out is None else rows[rows % source.folds != source.held_out]

    def train_log_p(self, spec: RunSpec) -> NDArray[np.float32] | None:
        return np.zeros((spec.recipe.epochs, 150), dtype=np.float32)

    def scoring_seconds(self, checker: Checker, benchmark: str, pool: str) -> float | None:
        return 0.5


def fake(kind: str = "real", *, hu: Any = "cheap", **options: Any) -> Fake:
    """Four seeds of the simple baselines, two of the look-ahead ones, one of Hu et al.'s."""
    usual = fake_runs.profile(kind)
    return Fake(replace(usual, baselines=replace(usual.baselines, hu=hu)), **options)


@pytest.fixture(params=["demo", "mini", "paper"])
def profile(request: pytest.FixtureRequest) -> Profile:
    return profiles.load(request.param)


# ---------------------------------------------------------------- the grid


def test_every_run_can_be_run_and_every_row_is_told(profile: Profile) -> None:
    cells = experiments.extended(profile)
    assert len({cell.spec for cell in cells}) == len(cells)
    assert {cell.method for cell in cells} <= set(EXTENDED)
    for cell in cells:
        check(cell.spec)
        assert (cell.spec.benchmark, cell.spec.seed) == (cell.benchmark, cell.seed)
    table1 = {cell.spec for cell in experiments.table1(profile) if cell.train_source == GENERATED}
    assert table1 <= {cell.spec for cell in cells}


def test_each_kind_of_row_has_the_profiles_number_of_seeds(profile: Profile) -> None:
    cells = experiments.extended(profile)
    seeds = {title: {c.seed for c in cells if c.method == title} for title in {c.method for c in cells}}
    counts = profile.baselines
    assert seeds[IMP] == set(profile.seeds)
    assert seeds[FILTER] == set(profile.seeds[: counts.seeds])
    assert seeds["Ren et al.'s"] == set(profile.seeds[: counts.look_ahead_seeds])
    assert seeds[HU[counts.hu]] == set(profile.seeds[: counts.hu_seeds])


def test_rows_that_see_labels_of_d_p_prime_are_in_the_group_that_says_so(profile: Profile) -> None:
    """In the training itself; the epoch is selected on D_P' everywhere."""
    for cell in experiments.extended(profile):
        spec, looks = cell.spec, cell.spec.method in ("hu", "ren", "meta_weight_net")
        checker = spec.quality is not None and spec.quality.exact is None
        sees = looks or checker or "dev" in spec.source.pool
        if GROUPS[cell.method] in (SAME_LABELS, NO_LABELS):
            assert sees == (GROUPS[cell.method] == SAME_LABELS), cell.method


def test_variants_of_hu_are_named_and_only_the_one_as_written_fills_the_papers_row(profile: Profile) -> None:
    made = {variant: experiments.hu(profile, variant, (0,)) for variant in profiles.HU_VARIANTS}
    assert {v: {c.method for c in cells} for v, cells in made.items()} == {v: {HU[v]} for v in HU}
    assert {c.train_source for c in made["cheap"]} == {GENERATED}
    assert {c.train_source for c in made["faithful"]} == {GENERATED, LARGE}
    assert made["faithful"][0].spec.options == ()
    recipe = made["official"][0].spec.recipe
    assert (recipe.learning_rate, recipe.epochs, recipe.batch_size, recipe.max_length) == (4e-5, 10, 8, 64)
    start = made["official"][0].spec.start
    assert start is not None and (start.method, start.recipe.epochs, start.recipe.select) == ("ce", 3, "last")
    for cells in made.values():
        for cell in cells:
            check(cell.spec)


def test_table_1_holds_hu_as_written_where_wanted_or_found() -> None:
    wanted = fake(hu="faithful")
    assert experiments.hu_as_written(wanted) == experiments.hu(wanted.profile)
    found = fake(hu="cheap")
    assert {c.method for c in experiments.hu_as_written(found)} == {HU["faithful"]}
    found.missing = frozenset(
        {(c.train_source, c.method, c.benchmark, c.seed) for c in experiments.hu_as_written(found)}
    )
    assert experiments.hu_as_written(found) == []


def test_a_profile_can_be_narrowed() -> None:
    usual = profiles.load("demo")
    small = experiments.narrowed(usual, benchmarks="mrpc, financial", seeds=1, hu="faithful", look_ahead_seeds=3)
    assert (small.benchmarks, small.seeds) == (("mrpc", "financial"), (0,))
    assert small.baselines == replace(usual.baselines, hu="faithful", seeds=1, look_ahead_seeds=1, hu_seeds=1)
    assert experiments.narrowed(usual) == usual
    assert experiments.narrowed(usual, look_ahead="mrpc").baselines.look_ahead == ("mrpc",)
    for wrong in ({"benchmarks": "sst2"}, {"hu": "exact"}, {"seeds": -1}, {"look_ahead": "sst2"}):
        with pytest.raises(UserError):
            experiments.narrowed(usual, **wrong)  # type: ignore[arg-type]


def test_tau_is_chosen_on_d_p_prime_among_those_that_leave_texts() -> None:
    def taken(space: Fake) -> set[float]:
        cells = experiments.best_on_dev(space, space.cells)
        assert max(Counter((c.train_source, c.method, c.benchmark, c.seed) for c in cells).values()) == 1
        return {float(dict(c.spec.options)["tau"]) for c in cells if c.method == FILTER}

    assert taken(fake()) == {0.9}
    assert taken(fake(none_left=frozenset({0.9}))) == {0.7}
    space = fake(missing=frozenset({(GENERATED, FILTER, "mrpc", 0)}))
    assert any(space.result(c.spec) is None for c in experiments.best_on_dev(space, space.cells))


# ---------------------------------------------------------------- tables


def made(space: Fake) -> tuple[list[Cell], pd.DataFrame, pd.DataFrame]:
    cells = experiments.best_on_dev(space, space.cells)
    return cells, tables.table1_extended(space, cells, GROUPS), tables.baseline_differences(space, cells, GROUPS)


def test_rows_have_their_own_number_of_seeds_and_are_complete() -> None:
    _, table, _ = made(fake())
    seeds = table.groupby("method")["n_seeds"].first()
    assert (seeds[IMP], seeds["Ren et al.'s"], seeds[HU["cheap"]]) == (4, 2, 1)
    papers = table[table["method"] == HU["faithful"]]
    assert set(papers["status"]) == {"not run"} and papers["paper_accuracy"].notna().all()
    assert set(papers["train_source"]) == {GENERATED, LARGE}
    assert set(table.loc[table["method"] != HU["faithful"], "status"]) == {"complete"}
    shown = tables.side_by_side(table.assign(train_source=table["group"]))
    assert str(shown.loc[(SAME_LABELS, HU["cheap"]), ("MRPC", "mean [95 %]")]).endswith("(n = 1)")
    assert "(" not in str(shown.loc[("the paper's", IMP), ("MRPC", "mean [95 %]")])


def test_two_rows_are_compared_on_the_seeds_that_both_plan() -> None:
    space = fake(missing=frozenset({(GENERATED, IMP, "mrpc", 3)}))
    _, _, differences = made(space)
    rows = differences[(differences["method"] == IMP) & (differences["benchmark"] == "mrpc")].set_index("rival")
    assert rows.loc["Ren et al.'s", "n_seeds"] == 2 and rows.loc["Ren et al.'s", "status"] == "complete"
    assert rows.loc["CE-Loss", "status"] == "3 of 4 seeds" and rows.loc["CE-Loss", "verdict"] == "not complete"


def test_a_baseline_that_is_ahead_turns_the_sentence_round() -> None:
    level = {IMP: 0.75, DIMP: 0.75, FILTER: 0.9}
    _, table, differences = made(fake(right=level))
    sets = tables.families(differences, GROUPS, SAME_LABELS, (NO_LABELS, SAME_LABELS))
    assert sets["those of Table 1"] == ["CE-Loss", "Focal-Loss", HU["cheap"]]
    assert "CE-Loss" not in sets["those with the labels of D_P'"]
    claims = tables.baseline_claims(differences, sets)
    said = claims[claims["benchmark"] == "all"].set_index("claim")["verdict"]
    assert said["IMP and DIMP outperform every baseline: those of Table 1"] == "holds"
    assert said["IMP and DIMP outperform every baseline: those with the labels of D_P'"] == "fails"
    assert said["IMP outperforms every baseline: all of the extended table"] == "fails"
    assert not {IMP, DIMP, "- w/o diversity checker", "Oracle (true weights)"} & {r for s in sets.values() for r in s}
    needed = {"claim", "section", "item", "benchmark", "statistic", "mean", "low", "high", "n_seeds", "n_test"}
    assert needed | {"status", "verdict"} <= set(claims.columns)
    best = tables.best_rivals(table, differences, SAME_LABELS)
    assert set(best["rival"]) == {FILTER} and set(best["IMP_verdict"]) == {"fails"}


def test_twins_that_answer_alike_have_no_difference() -> None:
    space = fake("miniature")
    cells, _, _ = made(space)
    twins = tables.predicted_twins(space, cells, {(IMP, IMP): "itself", (IMP, "Oracle (true weights)"): "other"})
    itself = twins[twins["prediction"] == "itself"]
    assert (itself[["mean", "low", "high"]] == 0).all(axis=None)
    assert (itself[["alike", "alike_low", "alike_high"]] == 100).all(axis=None)
    assert (twins.loc[twins["prediction"] == "other", "alike"] < 100).all()


# ---------------------------------------------------------------- cost


def test_passes_and_seconds_by_hand() -> None:
    """CE: 300 texts, 5 epochs, 2 s. D_P' has 30 texts; every fold has 240 texts and takes 1 s, every scoring 0.5 s."""
    space = fake()
    cells = experiments.best_on_dev(space, space.cells)
    cost = tables.baselines_cost(space, space.cells, cells)
    assert set(cost["status"]) == {"complete"}
    row = cost[cost["benchmark"] == "mrpc"].set_index("method")
    unit, score = 300 * 5, 300 / 3
    assert (
        row.loc["CE-Loss", ["counted_training", "counted_total", "training_ratio", "total_ratio"]].tolist() == [1] * 4
    )
    expected = {
        DIMP: (1, (unit + 30 * 5 + score) / unit, 1, (2 + 2 + 0.5) / 2),
        IMP: (1, (2 * unit + 30 * 5 + 2 * score) / unit, 1, (2 + 2 + 0.5 + 2 + 0.5) / 2),
        "CE-Loss on D_Q and D_P'": (1.1, 1.1, 1, 1),
        "CE-Loss on D_Q, then on D_P'": (1.1, 1.1, 2, 2),
        FILTER: (0.5, (4 * 0.5 * unit + 30 * 5 + score) / unit, 1, (4 * 2 + 2 + 0.5) / 2),
        "Confident learning": (0.5, (0.5 * unit + 5 * 240 * 5 + score) / unit, 1, (2 + 5 + 0.5) / 2),
        HU["cheap"]: (2 + 30 / 32, 2 + 30 / 32, 2, 2),
        "Ren et al.'s": (2 + 30 / 32, 2 + 30 / 32, 1, 1),
    }
    names = ["counted_training", "counted_total", "training_ratio", "total_ratio"]
    for method, numbers in expected.items():
        assert row.loc[method, names].tolist() == pytest.approx(numbers), method
    assert row.loc["CE-Loss", "ms_per_batch"] == pytest.approx(2000 / (5 * 300 / 32))
    assert (row["memory_mb"].dropna() == 2).all() and (row["memory_ratio"].dropna() == 1).all()
    ensemble = row.loc["Ensemble sqrt(Q P')"]
    assert ensemble["counted_training"] == 0 and math.isnan(ensemble["memory_mb"])
    assert ensemble["counted_total"] == pytest.approx((unit + 30 * 5 + 2 * FORWARDS) / unit)
    assert row["n_runs"].to_dict()[HU["cheap"]] == 1


FORWARDS = (300 + 30 + 400) / 3
"""One checker's scores of D_Q, D_P' and the test set."""
SIZES["test"] = 400


def test_a_filter_that_leaves_nothing_costs_nothing() -> None:
    space = fake(none_left=frozenset({0.9}))
    cost = tables.baselines_cost(space, space.cells, experiments.best_on_dev(space, space.cells))
    row = cost[(cost["method"] == FILTER) & (cost["benchmark"] == "mrpc")].iloc[0]
    assert row["total_ratio"] == pytest.approx((3 * 2 + 2 + 0.5) / 2) and row["status"] == "complete"


def test_a_missing_run_leaves_its_cost_open() -> None:
    space = fake(missing=frozenset({(GENERATED, "CE-Loss", "mrpc", 0)}))
    cost = tables.baselines_cost(space, space.cells, experiments.best_on_dev(space, space.cells))
    row = cost[cost["benchmark"] == "mrpc"].set_index("method")
    assert row.loc[HU["cheap"], "status"] == "0 of 1 seeds" and math.isnan(row.loc[HU["cheap"], "total_ratio"])
    assert row.loc[IMP, "n_runs"] == 3


def test_a_baseline_that_was_not_run_has_no_cost() -> None:
    space = fake(missing=frozenset((GENERATED, "SunGen (ours)", "financial", seed) for seed in range(4)))
    cost = tables.baselines_cost(space, space.cells, experiments.best_on_dev(space, space.cells))
    row = cost[(cost["method"] == "SunGen (ours)") & (cost["benchmark"] == "financial")].iloc[0]
    assert row["status"] == "0 of 2 seeds" and math.isnan(row["total_ratio"]) and row["n_runs"] == 0


def test_what_stands_behind_a_run() -> None:
    cells = {c.method: c.spec for c in experiments.extended(profiles.load("demo")) if c.seed == 0}
    then = cells["CE-Loss on D_Q, then on D_P'"]
    assert [run.source.pool for run in started_from(then)] == ["dev", "generated"]
    assert Counter(run.source.held_out for run in behind(cells["Confident learning"])) == dict.fromkeys(
        [None, *range(5)], 1
    )
    assert set(behind(cells["Oracle (true weights)"])) == {cells["Oracle (true weights)"]}


def test_the_peak_of_memory_can_be_forgotten() -> None:
    block = np.ones(40 << 20, dtype=np.uint8)
    with_block = machine.reset_peak_memory("cpu")
    del block
    assert machine.reset_peak_memory("cpu") <= with_block


# ---------------------------------------------------------------- pictures


def test_pictures_name_rows_counts_and_sources() -> None:
    space = fake("miniature")
    cells, table, differences = made(space)
    text = words(figures.baselines_differences(differences, profile="demo")).replace("\n", " ")
    assert "n = 1-4" in text and "400 test texts" in text and "baselines_differences.csv" in text
    assert FILTER in text and "Meta-Weight-Net" in text
    cost = tables.baselines_cost(space, space.cells, cells)
    columns = ["group", "method", "benchmark", "mean_accuracy", "accuracy_low", "accuracy_high"]
    both = cost.merge(table.loc[table["train_source"] != LARGE, columns], on=["method", "benchmark"])
    picture = figures.baselines_cost(both, profile="demo")
    text = words(picture).replace("\n", " ")
    assert "baselines_cost.csv" in text and "seeds on CPU" in text
    assert all(ax.get_xscale() == "log" for ax in picture.axes)
    named = [annotation.get_text() for annotation in picture.axes[0].texts]
    assert sorted(named) == sorted(set(named)) and {"IMP", "DIMP", "filter", "Hu, cheaper"} <= set(named)


def test_pictures_of_nothing_are_empty() -> None:
    space = fake()
    space.missing = frozenset((c.train_source, c.method, c.benchmark, c.seed) for c in space.cells)
    cells, table, differences = made(space)
    assert "n = 0" in words(figures.baselines_differences(differences))
    cost = tables.baselines_cost(space, space.cells, cells).merge(table, on=["method", "benchmark"])
    assert "n = 0 seeds" in words(figures.baselines_cost(cost))
