"""Table 1 extended: its grid, which rows are compared, the claims on it, what each method costs, the pictures."""

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

from paper_repro.method.baselines import NO_LABELS, SAME_LABELS
from paper_repro.paper.cells import Cell
from paper_repro.paper.more_baselines import cells as grid
from paper_repro.paper.more_baselines import tables
from paper_repro.paper.more_baselines.cost import baselines_cost, started_from
from paper_repro.paper.table1.cells import table1
from paper_repro.paper.titles import method_title
from paper_repro.runs import profiles
from paper_repro.runs.plan import needed
from paper_repro.runs.profiles import HU_VARIANTS, Profile
from paper_repro.runs.spec import Checker, RunResult, RunSpec, Source
from paper_repro.tools.errors import UserError

SIZES = {"generated": 300, "dev": 30, "generated+dev": 330, "train": 500, "test": 400}


@dataclass
class Fake(fake_runs.FakeResults):
    """Made-up runs of the extended table: dev accuracy 0.5 + tau / 10 (or w_decay / 100), ESS 50 %, 2 s (Hu: 4 s)."""

    none_left: frozenset[float] = frozenset()
    right: dict[str, float] = field(default_factory=dict)
    ess: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cells = grid.extended(self.profile) + grid.hu(self.profile, "faithful", self.profile.seeds)
        super().__post_init__()

    def failure_kind(self, spec: RunSpec) -> str:
        gone = dict(spec.options).get("tau") in self.none_left
        return "NothingLeft" if gone else super().failure_kind(spec)

    def result(self, spec: RunSpec) -> RunResult | None:
        name = self._names.get(spec)
        if name is None and spec.source.held_out is None:
            return None
        if name is not None and (name in self.missing or self.failure_kind(spec)):
            return None
        method = name[1] if name else ""
        rng, options = np.random.default_rng([spec.seed, len(method)]), dict(spec.options)
        dev = 0.5 + float(options.get("tau", 0)) / 10 + float(options.get("w_decay", 0)) / 100
        made = self.made(spec, self.right.get(method, 0.6), rng, dev)
        history = tuple(replace(e, weight_ess=self.ess.get(method, 0.5), weight_top_tenth=0.3) for e in made.history)
        about = {"device": "CPU"}
        times = {"train": 1.0 if name is None else 4.0 if spec.method == "hu" else 2.0}
        return replace(made, history=history, environment=about, seconds=times)

    def _source_rows(self, benchmark: str, source: Source) -> NDArray[np.int64]:
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


def made(results: Fake) -> tuple[list[Cell], pd.DataFrame, pd.DataFrame]:
    cells = grid.best_on_dev(results, grid.extended(results.profile))
    return cells, tables.table1_extended(results, cells), tables.baseline_differences(results, cells)


@pytest.fixture(params=["demo", "mini", "paper"])
def profile(request: pytest.FixtureRequest) -> Profile:
    return profiles.load(request.param)


# ---------------------------------------------------------------- the grid


def test_every_row_has_its_place_and_its_seeds(profile: Profile) -> None:
    cells, rows = grid.extended(profile), grid.rows()
    for cell in cells:
        row = rows[cell.method]
        assert row.formula and row.about and method_title(cell.method) != cell.method
        # Who sees labels of D_P' is in the group that says so. (The epoch is selected on D_P' everywhere.)
        checker = cell.spec.quality is not None and cell.spec.quality.exact is None
        sees = cell.spec.method in ("hu", "ren", "meta_weight_net") or checker or "dev" in cell.spec.source.pool
        if row.group in (SAME_LABELS, NO_LABELS):
            assert sees == (row.group == SAME_LABELS), cell.method
    assert {cell.spec for cell in table1(profile) if cell.train_source == "generated"} <= {c.spec for c in cells}
    seeds = {name: {c.seed for c in cells if c.method == name} for name in {c.method for c in cells}}
    counts = profile.baselines
    for name, count in {
        "filter": counts.seeds,
        "ren": counts.look_ahead_seeds,
        grid.HU[counts.hu]: counts.hu_seeds,
    }.items():
        assert seeds[name] == set(profile.seeds[:count])
    assert seeds["imp"] == set(profile.seeds)


def test_variants_of_hu_are_rows_of_their_own(profile: Profile) -> None:
    made = {variant: grid.hu(profile, variant, (0,)) for variant in HU_VARIANTS}
    for variant, cells in made.items():
        assert {cell.method for cell in cells} == {grid.HU[variant]}
        assert {cell.train_source for cell in cells} == {"generated"} | ({"train"} if variant != "cheap" else set())
        settings = {(dict(cell.spec.options)["norm"], dict(cell.spec.options)["w_decay"]) for cell in cells}
        assert settings == {("softmax", 5), ("linear", 10)}, "both that the authors published"
    recipe, start = made["official"][0].spec.recipe, made["official"][0].spec.start
    assert (recipe.learning_rate, recipe.epochs, recipe.batch_size, recipe.max_length) == (4e-5, 10, 8, 64)
    assert start is not None and (start.method, start.recipe.epochs, start.recipe.select) == ("ce", 3, "last")


def test_table_1_holds_hu_as_written_where_wanted_or_found() -> None:
    wanted, found = fake(hu="faithful"), fake(hu="cheap")
    assert {cell.seed for cell in grid.hu_as_written(wanted)} == {0}
    cells = grid.hu_as_written(found)
    assert {cell.method for cell in cells} == {"hu"} and {cell.seed for cell in cells} == {0, 1, 2, 3}
    assert {dict(cell.spec.options)["norm"] for cell in cells} == {"linear"}, "it is better on D_P' here"
    found.missing = frozenset((c.train_source, c.method, c.benchmark, c.seed) for c in cells)
    assert grid.hu_as_written(found) == []


def test_a_profile_can_be_narrowed() -> None:
    usual = profiles.load("demo")
    small = grid.narrowed(usual, benchmarks="mrpc, financial", seeds=1, hu="faithful", look_ahead_seeds=3)
    assert (small.benchmarks, small.seeds) == (("mrpc", "financial"), (0,))
    assert small.baselines == replace(usual.baselines, hu="faithful", seeds=1, look_ahead_seeds=1, hu_seeds=1)
    assert grid.narrowed(usual) == usual
    assert grid.narrowed(usual, look_ahead="mrpc").baselines.look_ahead == ("mrpc",)
    for wrong in ({"benchmarks": "sst2"}, {"hu": "exact"}, {"seeds": -1}, {"look_ahead": "sst2"}):
        with pytest.raises(UserError):
            grid.narrowed(usual, **wrong)  # type: ignore[arg-type]


def test_tau_is_chosen_on_d_p_prime_among_those_that_leave_texts() -> None:
    def taken(results: Fake) -> set[float]:
        cells = grid.best_on_dev(results, grid.extended(results.profile))
        assert max(Counter((c.train_source, c.method, c.benchmark, c.seed) for c in cells).values()) == 1
        return {float(dict(c.spec.options)["tau"]) for c in cells if c.method == "filter"}

    assert taken(fake()) == {0.9}
    assert taken(fake(none_left=frozenset({0.9}))) == {0.7}
    results = fake(missing=frozenset({("generated", "filter", "mrpc", 0)}))
    cells = grid.best_on_dev(results, grid.extended(results.profile))
    assert any(results.result(cell.spec) is None for cell in cells)


# ---------------------------------------------------------------- tables


def test_rows_have_their_own_number_of_seeds_and_show_their_weights() -> None:
    _, table, _ = made(fake())
    first = table.groupby("method").first()
    assert first.loc[["imp", "ren", "hu_cheap"], "n_seeds"].tolist() == [4, 2, 1]
    papers = table[table["method"] == "hu"]
    assert set(papers["status"]) == {"not run"} and papers["paper_accuracy"].notna().all()
    assert set(papers["train_source"]) == {"generated", "train"}
    assert set(table.loc[table["method"] != "hu", "status"]) == {"complete"}
    assert first.loc[["imp", "hu_cheap", "ren"], "weight_ess"].eq(0.5).all()
    assert first.loc["filter", ["weight_ess", "weight_top_tenth"]].tolist() == [0.5, 0.2]  # half of the texts are kept
    assert first.loc[["ce", "distil", "ensemble", "checker"], "weight_ess"].isna().all()
    assert (first.loc["filter", "chosen"], first.loc["hu_cheap", "chosen"]) == ("tau 0.9", "linear, w_decay 10")


def test_a_row_whose_weights_do_not_move_is_no_test_of_its_method() -> None:
    level = {"imp": 0.75, "dimp": 0.75}
    _, _, differences = made(fake(right=level, ess={"meta_weight_net": 0.99}))
    rows = differences[differences["method"] == "imp"].set_index(["rival", "benchmark"])
    even, uneven = rows.loc[("meta_weight_net", "mrpc")], rows.loc[("ren", "mrpc")]
    assert even["status"].startswith(tables.NO_TEST) and even["verdict"] == even["f1_verdict"] == "incomplete"
    assert even["mean"] > 5 and uneven["verdict"] == "holds"
    claims = tables.baseline_claims(differences).set_index(["id", "benchmark"])["verdict"]
    assert claims["imp_ren", "mrpc"] == "holds" and claims["imp_meta_weight_net", "mrpc"] == "incomplete"
    assert claims["imp_same_labels", "mrpc"] == "incomplete"


def test_a_rival_that_a_benchmark_lacks_leaves_the_sentence_incomplete() -> None:
    results = fake(right={"imp": 0.75, "dimp": 0.75})
    results.profile = replace(results.profile, baselines=replace(results.profile.baselines, look_ahead=("financial",)))
    _, _, differences = made(results)
    row = differences.set_index(["method", "rival", "benchmark"]).loc[("imp", "ren", "mrpc")]
    assert (row["status"], row["verdict"]) == ("not run", "incomplete")
    verdicts = tables.baseline_claims(differences).set_index(["id", "benchmark"])["verdict"]
    assert verdicts["both_all", "mrpc"] == "incomplete" and verdicts["both_table1", "mrpc"] == "incomplete"


def test_a_baseline_that_is_ahead_turns_the_sentence_round() -> None:
    results = fake(right={"imp": 0.75, "dimp": 0.75, "filter": 0.9})
    results.profile = replace(results.profile, baselines=replace(results.profile.baselines, hu_seeds=2))
    results.__post_init__()
    _, _, differences = made(results)
    sets = {name: rivals for name, (_, rivals) in tables.families(differences).items()}
    assert set(sets["table1"]) == {"ce", "focal", "hu_cheap"} and "ce" not in sets["same_labels"]
    assert not {"imp", "dimp", "quality_only", "oracle"} & {rival for rivals in sets.values() for rival in rivals}
    claims = tables.baseline_claims(differences)
    said = claims[claims["benchmark"] == "all"].set_index("id")["verdict"]
    assert (said["both_table1"], said["both_same_labels"], said["imp_all"]) == ("holds", "fails", "fails")
    assert not claims.duplicated(["id", "benchmark"]).any()


def test_twins_that_answer_alike_have_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    results = fake("miniature")
    cells, _, _ = made(results)
    monkeypatch.setattr(tables, "TWINS", (("imp", "imp", "itself"), ("imp", "oracle", "other")))
    twins = tables.predicted_twins(results, cells).set_index("prediction")
    assert (twins.loc["itself", ["mean", "low", "high"]] == 0).all(axis=None)
    assert (twins.loc["itself", ["alike", "alike_low", "alike_high"]] == 100).all(axis=None)
    assert (twins.loc["other", "alike"] < 100).all()


# ---------------------------------------------------------------- cost


def cost_of(results: Fake) -> pd.DataFrame:
    cells = grid.extended(results.profile)
    return baselines_cost(results, cells, grid.best_on_dev(results, cells))  # type: ignore[arg-type]


def test_passes_and_seconds_by_hand() -> None:
    """CE: 300 texts, 5 epochs, 2 s. D_P' has 30 texts; every fold has 240 texts and takes 1 s, every scoring 0.5 s."""
    cost = cost_of(fake())
    assert set(cost["status"]) == {"complete"}
    row = cost[cost["benchmark"] == "mrpc"].set_index("method")
    unit, score = 300 * 5, 300 / 3
    expected = {
        "ce": (1, 1, 1, 1),
        "dimp": (1, (unit + 30 * 5 + score) / unit, 1, (2 + 2 + 0.5) / 2),
        "imp": (1, (2 * unit + 30 * 5 + 2 * score) / unit, 1, (2 + 2 + 0.5 + 2 + 0.5) / 2),
        "ce_dq_dp": (1.1, 1.1, 1, 1),
        "ce_then_dp": (1.1, 1.1, 2, 2),
        "filter": (0.5, (4 * 0.5 * unit + 30 * 5 + score) / unit, 1, (4 * 2 + 2 + 0.5) / 2),
        "confident": (0.5, (0.5 * unit + 5 * 240 * 5 + score) / unit, 1, (2 + 5 + 0.5) / 2),
        "hu_cheap": (2 + 30 / 32, 2 * (2 + 30 / 32), 2, 4),  # two settings are tried
        "ren": (2 + 30 / 32, 2 + 30 / 32, 1, 1),
        "rho": (1 + 10 / 3, ((1 + 10 / 3) * unit + 30 * 5 + score) / unit, 1, (2 + 2 + 0.5) / 2),
    }
    names = ["counted_training", "counted_total", "training_ratio", "total_ratio"]
    for method, numbers in expected.items():
        assert row.loc[method, names].tolist() == pytest.approx(numbers), method
    ensemble, scores = row.loc["ensemble"], (300 + 30 + 400) / 3  # of D_Q, D_P' and the test set, by one checker
    assert ensemble["counted_training"] == 0
    assert ensemble["counted_total"] == pytest.approx((unit + 30 * 5 + 2 * scores) / unit)
    assert row["n_runs"]["hu_cheap"] == 1 and math.isnan(row["total_ratio_low"]["hu_cheap"])


def test_what_is_missing_has_no_cost_and_a_filter_that_leaves_nothing_costs_nothing() -> None:
    gone = {("generated", "ce", "mrpc", 0), *(("generated", "sungen", "financial", seed) for seed in range(4))}
    cost = cost_of(fake(missing=frozenset(gone), none_left=frozenset({0.9}))).set_index(["method", "benchmark"])
    hu, sungen = cost.loc[("hu_cheap", "mrpc")], cost.loc[("sungen", "financial")]
    assert hu["status"] == "0 of 1 seeds" and math.isnan(hu["total_ratio"])
    assert sungen["status"] == "0 of 2 seeds" and sungen["n_runs"] == 0
    assert cost.loc[("imp", "mrpc"), "n_runs"] == 3
    assert cost.loc[("filter", "financial"), "total_ratio"] == pytest.approx((3 * 2 + 2 + 0.5) / 2)


def test_what_stands_behind_a_run() -> None:
    cells = {c.method: c.spec for c in grid.extended(profiles.load("demo")) if c.seed == 0}
    assert [run.source.pool for run in started_from(cells["ce_then_dp"])] == ["dev", "generated"]
    folds = Counter(run.source.held_out for run in needed(cells["confident"]))
    assert folds == dict.fromkeys([None, *range(5)], 1)
    assert set(needed(cells["oracle"])) == {cells["oracle"]}
