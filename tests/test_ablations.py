"""Table 2, Figures 2 and 3, Table 3, sizes and switches: their grids, tables, claims and pictures."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import fake_runs
import numpy as np
import pandas as pd
import pytest
import tiny
from paper_repro.experiments import Cell
from test_figures import words

from paper_repro import experiments, figures, tables
from paper_repro.method.losses import NEEDS_DIVERSITY, NEEDS_QUALITY, Switches
from paper_repro.paper import published
from paper_repro.paper.ablations import table3
from paper_repro.runs import keys, profiles
from paper_repro.runs.plan import check, fold_models
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunResult, RunSpec, Source
from paper_repro.texts.pools import Benchmark, Pool

IMP, DIMP, CHECKER = "IMP-Loss (Ours)", "DIMP-Loss (Ours)", experiments.QUALITY_CHECKER
GRIDS = (
    experiments.table2,
    experiments.figure2,
    experiments.real_sizes,
    experiments.generated_sizes,
    experiments.switches,
    experiments.table3,
)


@pytest.fixture(params=["demo", "mini", "paper"])
def profile(request: pytest.FixtureRequest) -> Profile:
    return profiles.load(request.param)


def with_curve(run: RunSpec) -> RunSpec:
    """The run as Table 1 would have it: with test scores of every epoch, its checkers' runs, too."""
    quality, diversity = (
        one if one is None or one.run is None else replace(one, run=with_curve(one.run))
        for one in (run.quality, run.diversity)
    )
    return replace(run, recipe=replace(run.recipe, test_curve=True), quality=quality, diversity=diversity)


# ---------------------------------------------------------------- grids


@pytest.mark.parametrize("grid", GRIDS)
def test_every_run_of_every_grid_can_be_run(profile: Profile, grid: Any) -> None:
    cells = grid(profile)
    assert len({(c.train_source, c.method, c.benchmark, c.seed) for c in cells}) == len(cells)
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells), "whole repetitions come first"
    for cell in cells:
        check(cell.spec)
        assert (cell.spec.benchmark, cell.spec.seed) == (cell.benchmark, cell.seed)
        assert (cell.spec.quality is not None) == (cell.spec.method in NEEDS_QUALITY)
        assert (cell.spec.diversity is not None) == (cell.spec.method in NEEDS_DIVERSITY)
        for checker in (cell.spec.quality, cell.spec.diversity):
            assert checker is None or (checker.run is not None and checker.run.seed == cell.seed)


def test_table_2_is_the_papers_table_with_the_papers_checkers(profile: Profile) -> None:
    cells = experiments.table2(profile)
    paper = published.table("table2")
    rows = {(r["model_size"], r["method"], r["benchmark"]) for r in paper.to_dict("records")}
    assert {(c.train_source, c.method, c.benchmark) for c in cells} == rows
    assert {c.seed for c in cells} == set(profile.seeds[: profile.ablations.table2_seeds])
    small, large = profile.ablations.small, profile.ablations.large
    assert small != large
    quality = {(c.benchmark, c.seed): c.spec for c in cells if c.method == CHECKER}
    for cell in cells:
        spec = cell.spec
        if cell.method == CHECKER:
            assert (spec.encoder, spec.source, spec.method) == (small, Source("dev"), "ce")
            continue
        assert (spec.encoder, spec.source) == (large, Source("generated"))
        assert spec.quality is None or spec.quality.run == quality[cell.benchmark, cell.seed]
        if spec.diversity is not None and spec.diversity.run is not None:
            expected = {"IMP-Loss (base DC)": small, "IMP-Loss (large DC)": large}[cell.method]
            assert spec.diversity.run.encoder == expected


def test_one_of_table_2s_sizes_is_the_profiles_own_so_that_runs_are_shared(profile: Profile) -> None:
    table1 = {cell.spec for cell in experiments.table1(profile)}
    shared = {cell.method for cell in experiments.table2(profile) if cell.spec in table1}
    assert shared == ({"CE-Loss"} if profile.encoder == profile.ablations.large else {CHECKER})


def test_figure_2_changes_the_quality_checker_alone(profile: Profile) -> None:
    trained = [c for c in experiments.table1(profile) if c.method != experiments.ORACLE and c.benchmark == "financial"]
    table1 = {(c.spec.source.pool, c.spec.method, c.seed): with_curve(c.spec) for c in trained}
    for cell in experiments.figure2(profile):
        spec = with_curve(cell.spec)
        source = Source(f"train:{cell.train_source}%")
        if cell.method == CHECKER:
            assert spec == replace(table1["dev", "ce", cell.seed], source=source), "the recipe is that of D_P'"
            continue
        usual = table1["generated", cell.spec.method, cell.seed]
        if cell.spec.quality is None:
            assert spec == usual
        else:
            assert usual.quality is not None and usual.quality.run is not None
            fitted = Checker(replace(usual.quality.run, source=source))
            assert spec == replace(usual, quality=fitted)


@pytest.mark.parametrize("grid", [*GRIDS[:-1], experiments.extended])
def test_the_curve_on_the_test_set_is_table_1s_alone(profile: Profile, grid: Any) -> None:
    """Figure 1 shows it; a run that Table 1 has is that very run, and so are the checkers that a grid shares."""
    table1 = {cell.spec for cell in experiments.table1(profile)}
    cells = grid(profile)
    assert all(cell.spec in table1 for cell in cells if cell.spec.recipe.test_curve)
    own = {with_curve(cell.spec): cell.spec for cell in cells}
    for cell in cells:
        runs = [one.run for one in (cell.spec.quality, cell.spec.diversity) if one and one.run]
        assert all(own.get(with_curve(run), run) == run for run in runs), "trained twice, with and without a curve"


def test_shares_and_seeds_can_be_chosen() -> None:
    cells = experiments.figure2(profiles.load("demo"), "mrpc", seeds=(3,), shares=(5, 7))
    assert {(c.train_source, c.benchmark, c.seed) for c in cells} == {("5", "mrpc", 3), ("7", "mrpc", 3)}
    assert experiments.first_seeds(profiles.load("demo"), 1) == (0,)
    assert len(experiments.first_seeds(profiles.load("demo"))) == profiles.load("demo").ablations.seeds


def test_less_d_p_prime_selects_the_epoch_of_every_run_in_its_variant(profile: Profile) -> None:
    for cell in experiments.real_sizes(profile):
        runs = [cell.spec, *(c.run for c in (cell.spec.quality, cell.spec.diversity) if c and c.run)]
        assert {run.selection for run in runs} == {cell.train_source}
    default = [c for c in experiments.real_sizes(profile) if c.train_source == "dev" and c.method != CHECKER]
    assert {c.spec for c in default} <= {c.spec for c in experiments.table1(profile)}


def test_less_d_q_is_less_for_the_diversity_checker_too(profile: Profile) -> None:
    for cell in experiments.generated_sizes(profile):
        assert cell.spec.source == Source(cell.train_source)
        if cell.spec.diversity is not None and cell.spec.diversity.run is not None:
            assert cell.spec.diversity.run.source == Source(cell.train_source)


def test_each_variant_changes_one_thing(profile: Profile) -> None:
    cells = experiments.switches(profile)
    usual = {(c.method, c.seed): c.spec for c in cells if c.train_source == experiments.DEFAULT}
    assert set(usual.values()) <= {c.spec for c in experiments.table1(profile)}
    for cell in cells:
        default, spec = with_curve(usual[cell.method, cell.seed]), with_curve(cell.spec)
        changed = {f.name for f in fields(RunSpec) if getattr(spec, f.name) != getattr(default, f.name)}
        if cell.train_source == experiments.DEFAULT:
            continue
        if "selects" in cell.train_source:
            assert changed <= {"selection", "quality", "diversity"} and "selection" in changed
            assert cell.spec.quality is None or cell.spec.quality.run.source == Source("dev:fit")  # type: ignore[union-attr]
        else:
            assert len(changed) == 1, cell.train_source
        if changed == {"switches"}:
            mine, theirs = cell.spec.switches, Switches()
            assert sum(getattr(mine, f.name) != getattr(theirs, f.name) for f in fields(Switches)) == 1


def test_no_variant_repeats_the_default_or_another_one(profile: Profile) -> None:
    specs = Counter(cell.spec for cell in experiments.switches(profile))
    assert set(specs.values()) == {1}


def test_all_switches_of_the_losses_have_a_variant() -> None:
    cells = experiments.switches(profiles.load("mini"))
    tried = {name: {getattr(c.spec.switches, name) for c in cells} for name in Switches.__dataclass_fields__}
    assert tried.pop("alpha") == {0.1}
    assert all(len(values) > 1 for values in tried.values()), tried
    methods = {c.spec.quality.run.method for c in cells if c.spec.quality and c.spec.quality.run}
    assert methods == {"ce", "tfidf", "frozen"}


def test_table_3_is_measured_on_the_papers_set_up_by_runs_of_its_own(profile: Profile) -> None:
    cells = experiments.table3(profile, seeds=(0, 1))
    assert Counter(c.method for c in cells) == {CHECKER: 2, "CE-Loss": 2, "IMP-Loss": 2, "DIMP-Loss": 2}
    assert {(c.spec.recipe.epochs, c.spec.recipe.batch_size) for c in cells} == {(5, 32)}
    assert set(published.table("table3")["method"]) == {"CE-Loss", "IMP-Loss", "DIMP-Loss"}
    ce = {c.seed: c.spec for c in cells if c.method == "CE-Loss"}
    assert all(c.spec.diversity == Checker(ce[c.seed]) for c in cells if c.method == "IMP-Loss")
    others = {cell.spec for grid in (experiments.table1, *GRIDS[:-1]) for cell in grid(profile)}
    assert not others & {cell.spec for cell in cells}, "a run of another table may have shared the machine"


def test_status_counts_runs_on_an_encoder_that_cannot_be_had_as_missing(tmp_path: Path) -> None:
    """The encoder given has one layer, so that Table 2's first three of six are not to be had."""
    made = tiny.workspace(tiny.make_inputs(tmp_path), tmp_path / "results")
    recipes = dict.fromkeys(("dev", "generated", "train"), tiny.RECIPE)
    made.profile = replace(made.profile, recipes=recipes, benchmarks=("mrpc",), seeds=(0,))
    ce = next(cell.spec for cell in experiments.table2(made.profile) if cell.method == "CE-Loss")
    made.run([ce], progress=False)
    state = made.status().set_index(["table", "train_source"])
    assert state.loc[("Table 2", "large"), ["done", "missing"]].tolist() == [1, 3]
    assert state.loc[("Table 2", "base"), ["done", "missing"]].tolist() == [0, 1]
    assert state.loc[("Table 1", experiments.GENERATED), "done"] == 1


# ---------------------------------------------------------------- by variant


@dataclass
class Answers:
    """A workspace whose runs get the first so many of 100 test texts right, by (train_source, method, seed)."""

    cells: list[Cell]
    right: dict[tuple[str, str, int], int]
    profile: Profile = field(default_factory=fake_runs.profile)

    def benchmark(self, name: str) -> Benchmark:
        texts = tuple(map(str, range(100)))
        pools = {pool: Pool(pool, texts, np.zeros(100, dtype=np.int64)) for pool in ("test", "generated")}
        return Benchmark(name, name, ("a", "b"), pools)

    def result(self, spec: RunSpec) -> RunResult | None:
        cell = next(cell for cell in self.cells if cell.spec == spec)
        right = self.right.get((cell.train_source, cell.method, cell.seed))
        if right is None:
            return None
        probabilities = np.tile(np.float32([0.2, 0.8]), (100, 1))
        probabilities[:right] = [0.8, 0.2]
        seconds, labels = {"train": 1.0, "total": 2.0}, np.zeros(100, dtype=np.int64)
        history = (fake_runs.fake_epoch(1, right / 100, np.random.default_rng(0)),)
        return RunResult("k", spec, history, 1, labels, probabilities, probabilities, seconds, fake_runs.HARDWARE)

    def failure(self, spec: RunSpec) -> str | None:
        return None

    def key(self, spec: RunSpec) -> str:
        return "k"


def small_grid(variants: dict[str, tuple[str, ...]], seeds: int = 2) -> list[Cell]:
    """Cells whose specifications differ by a made-up benchmark."""
    base = tiny.spec()
    return [
        Cell(variant, method, "mrpc", seed, replace(base, benchmark=f"{variant} {method}", seed=seed))
        for seed in range(seeds)
        for variant, methods in variants.items()
        for method in methods
    ]


def test_a_variant_stands_beside_its_default_ce_and_its_checker() -> None:
    cells = small_grid({"default": ("CE-Loss", IMP), "new": (IMP,), "own": (CHECKER, "CE-Loss", IMP)})
    level = {"default CE-Loss": 50, f"default {IMP}": 60, f"new {IMP}": 63}
    level |= {"own CE-Loss": 40, f"own {IMP}": 70, f"own {CHECKER}": 66}
    answers = Answers(cells, {(c.train_source, c.method, c.seed): level[f"{c.train_source} {c.method}"] for c in cells})
    frame = tables.by_variant(answers, cells, "default").set_index(["variant", "method"])
    assert frame.loc[("new", IMP), ["mean_accuracy", "vs_default_mean", "vs_ce_mean"]].tolist() == [63, 3, 13]
    assert frame.loc[("own", IMP), ["vs_default_mean", "vs_ce_mean", "vs_checker_mean"]].tolist() == [10, 30, 4]
    assert frame.loc[("default", IMP), "vs_ce_mean"] == 10
    assert math.isnan(frame.loc[("default", IMP), "vs_default_mean"]) and math.isnan(
        frame.loc[("new", IMP), "vs_checker_mean"]
    )
    assert (frame["vs_ce_low"].dropna() <= frame["vs_ce_mean"].dropna()).all()
    assert set(frame["status"]) == {"complete"} and set(frame["n_seeds"]) == {2}


def test_a_variant_is_not_complete_without_all_of_its_own_or_of_its_rivals_runs() -> None:
    cells = small_grid({"default": ("CE-Loss", IMP), "new": (IMP,)})
    right = {(c.train_source, c.method, c.seed): 50 for c in cells}
    for gone, told in ((("new", IMP, 1), "1 of 2 seeds"), (("default", "CE-Loss", 0), "1 of 2 seeds")):
        answers = Answers(cells, {key: value for key, value in right.items() if key != gone})
        frame = tables.by_variant(answers, cells, "default").set_index(["variant", "method"])
        assert frame.loc[("new", IMP), "status"] == told
    empty = tables.by_variant(Answers(cells, {}), cells, "default")
    assert set(empty["status"]) == {"0 of 2 seeds"} and empty["mean_accuracy"].isna().all()


# ---------------------------------------------------------------- claims


LEVELS = {"CE-Loss": 50, "IMP-Loss (base DC)": 60, "IMP-Loss (large DC)": 70, "DIMP-Loss": 65, CHECKER: 55}


def claims_of(levels: dict[str, int], share: dict[str, int] | None = None) -> pd.DataFrame:
    """Claims where every run of a method gets the same texts right; ``share`` are the levels of Figure 2."""
    profile = fake_runs.profile(seeds=2)
    table2, figure2 = experiments.table2(profile), experiments.figure2(profile)
    usual = {"CE-Loss": 50, CHECKER: 70, IMP: 80, DIMP: 60, **(share or {})}
    right = {(c.train_source, c.method, c.seed): levels[c.method] for c in table2}
    right |= {(c.train_source, c.method, c.seed): usual[c.method] for c in figure2}
    return tables.ablation_claims(Answers([*table2, *figure2], right, profile), table2, figure2)


def test_claims_on_table_2_by_hand() -> None:
    frame = claims_of(LEVELS)
    mrpc = frame[(frame["benchmark"] == "mrpc") & (frame["item"] == "Table 2")].set_index("claim")
    assert mrpc["mean"].tolist() == [15, 10, 10] and set(mrpc["verdict"]) == {"holds"}
    assert mrpc["paper_difference"].tolist() == pytest.approx([77.04 - 74.2, 75.36 - 74.2, 76.41 - 75.36])
    together = frame[frame["benchmark"] == "all"]
    assert together["verdict"].tolist() == ["holds", "fails"], "IMP is above CE everywhere: not inconsistent"
    worse = claims_of({**LEVELS, "IMP-Loss (base DC)": 30})
    assert worse[worse["benchmark"] == "all"]["verdict"].tolist() == ["holds", "holds"]


def test_claims_on_figure_2_speak_of_the_smallest_share() -> None:
    frame = claims_of(LEVELS)
    rows = frame[frame["item"] == "Figure 2"]
    assert rows["claim"].str.startswith("With 10 % of the training set").all()
    assert set(rows["benchmark"]) == {"financial"}
    assert rows["mean"].tolist() == [30, 10, 10, -10] and rows["verdict"].tolist() == ["holds"] * 3 + ["fails"]


def test_claims_have_the_columns_that_the_report_gathers() -> None:
    frame = claims_of(LEVELS)
    wanted = {"claim", "section", "item", "benchmark", "mean", "low", "high", "n_seeds", "n_test", "status", "verdict"}
    assert wanted <= set(frame) and set(frame["section"]) == {"5.1"}
    assert set(frame["item"]) <= set(published.items()["item"])


# ---------------------------------------------------------------- seconds


def timed_frame(**totals: list[float]) -> pd.DataFrame:
    rows = []
    for method, values in totals.items():
        for seed, total in enumerate(values):
            times = dict.fromkeys(table3.PHASES, math.nan) | {"training_s": total, "total_s": total}
            row = {"method": f"{method}-Loss", "benchmark": "financial", "seed": seed, **times}
            rows.append({**row, "loading_and_evaluation_s": 1.0, "status": "complete", "n_train": 100, "device": "A"})
    return pd.DataFrame(rows)


def test_the_ratio_is_taken_within_repetitions() -> None:
    """Twice the time in a slow and in a quick repetition is a ratio of 2, however far the two are apart."""
    frame = tables.table3(timed_frame(CE=[10.0, 40.0], IMP=[20.0, 80.0], DIMP=[11.0, 44.0])).set_index("method")
    assert frame["ratio"].tolist() == pytest.approx([1, 2, 1.1])
    assert frame["ratio_low"].tolist() == pytest.approx([1, 2, 1.1]) == frame["ratio_high"].tolist()
    assert frame.loc["IMP-Loss", ["total_s", "total_s_low", "total_s_high"]].tolist() == [50, 20, 80]
    assert frame["paper_ratio"].tolist() == pytest.approx([1, 733.363 / 333.242, 371.524 / 333.242])


def test_ratio_interval_by_hand() -> None:
    """Log ratios 0 and 2: mean 1, standard error 1, Student's t of one degree 12.706."""
    found = tables.ratio_interval([1.0, math.exp(2)], [1.0, 1.0])
    assert math.log(found.mean) == pytest.approx(1)
    assert math.log(found.high) == pytest.approx(1 + 12.7062, abs=1e-4)
    assert math.log(found.low) == pytest.approx(1 - 12.7062, abs=1e-4)
    assert math.isnan(tables.ratio_interval([2.0], [1.0]).low) and tables.ratio_interval([2.0], [1.0]).mean == 2
    assert math.isnan(tables.ratio_interval([], []).mean)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (2.0, 2.4, "holds"),
        (2.5, 3.0, "fails"),
        (1.0, 1.9, "fails"),
        (1.9, 2.3, "cannot be told"),
        (1, 9, "cannot be told"),
    ],
)
def test_about_is_within_a_tenth(low: float, high: float, verdict: str) -> None:
    assert table3.about_verdict(low, high, 2.2) == verdict


def test_times_of_two_machines_are_not_mixed() -> None:
    frame = timed_frame(CE=[10.0, 10.0, 10.0], IMP=[20.0, 20.0, 20.0])
    frame.loc[frame["seed"] == 2, "device"] = "B"
    frame.loc[frame["seed"] == 2, "total_s"] = 500.0
    table = tables.table3(frame).set_index("method")
    assert table.loc["IMP-Loss", "n_runs"] == 2 and table.loc["IMP-Loss", "total_s_high"] == 20
    assert table.loc["IMP-Loss", "status"] == "2 of 3 runs on one machine" and table.loc["IMP-Loss", "device"] == "A"
    claims = tables.timing_claims(tables.table3(frame))
    assert claims["verdict"].tolist() == ["not complete", "not complete"]


def test_claims_on_times() -> None:
    frame = tables.table3(timed_frame(CE=[10.0, 10.1], IMP=[22.0, 22.2], DIMP=[15.0, 15.15]))
    claims = tables.timing_claims(frame).set_index("claim")
    assert claims["verdict"].tolist() == ["holds", "fails"]
    assert claims["mean"].tolist() == pytest.approx([2.2, 1.5], rel=0.01) and set(claims["section"]) == {"E"}
    single = tables.timing_claims(tables.table3(timed_frame(CE=[10.0], IMP=[22.0], DIMP=[11.0])))
    assert set(single["verdict"]) == {"not complete"} and set(single["status"]) == {"one run has no interval"}


def test_seconds_of_real_runs_add_up(tmp_path: Path) -> None:
    """On tiny models: every phase is what the store has, and the total their sum."""
    made = tiny.workspace(tiny.make_inputs(tmp_path, layers=2), tmp_path / "results")
    recipes = dict.fromkeys(("dev", "generated", "train"), tiny.RECIPE)
    made.profile = replace(made.profile, recipes=recipes, encoder="minilm-l6:1")
    cells = experiments.table3(made.profile, "mrpc", seeds=(0,))
    empty = tables.phases(made, cells)
    assert empty["status"].tolist() == ["not run"] * 3 and empty["total_s"].isna().all()
    assert tables.table3(empty)["ratio"].isna().all()
    made.run([cell.spec for cell in cells], progress=False)
    frame = tables.phases(made, cells).set_index("method")
    assert set(frame["status"]) == {"complete"}
    by_method = {cell.method: made.result(cell.spec) for cell in cells}
    assert (
        frame.loc["IMP-Loss", "build_dc_s"] == by_method["CE-Loss"].seconds["train"] == frame.loc["CE-Loss", "total_s"]
    )  # type: ignore[union-attr]
    assert frame["build_qc_s"].isna().tolist() == [True, False, False]
    checkers = [checker for checker in (cells[2].spec.quality, cells[2].spec.diversity) if checker is not None]
    scoring = [made.scoring_seconds(checker, "mrpc", "generated") for checker in checkers]
    assert len(scoring) == 2 and frame.loc["IMP-Loss", "precalculate_weights_s"] == pytest.approx(
        sum(map(float, scoring))
    )  # type: ignore[arg-type]
    sums = frame[list(table3.PHASES)].sum(axis=1)
    assert frame["total_s"].tolist() == pytest.approx(sums.tolist())
    origin = made.store.scores_origin(keys.score_key(made, checkers[0], "mrpc", "generated"))
    assert origin is not None and origin["models"] == [
        made.key(model) for model in fold_models(cells[0].spec, 0) or [cells[0].spec]
    ]
    assert made.encoder_named("minilm-l6:1").fingerprint != made.encoder_named("minilm-l6").fingerprint


# ---------------------------------------------------------------- pictures


def variant_frame(variants: list[Any]) -> pd.DataFrame:
    rows = []
    for i, variant in enumerate(variants):
        for j, method in enumerate((CHECKER, "CE-Loss", IMP, DIMP)):
            mean = 60.0 + 3 * i + j
            numbers = {f"vs_{a}_{n}": float(i + d) for a in ("default", "ce", "checker") for n, d in zip(
                ("mean", "low", "high"), (0, -1, 1), strict=True)}  # fmt: skip
            spread = {"mean_accuracy": mean, "accuracy_low": mean - 1, "accuracy_high": mean + 1}
            row = {"variant": variant, "method": method, "benchmark": "financial", **spread, **numbers}
            rows.append({**row, "n_seeds": 2, "n_test": 100, "status": "complete"})
    return pd.DataFrame(rows)


def test_figure_2_draws_three_lines_and_ce_as_a_level() -> None:
    figure = figures.figure2(variant_frame([10, 100]), profile="mini")
    text = words(figure).replace("\n", " ")
    assert "n = 2 seeds, 100 test texts" in text and "figure2.csv, profile mini" in text and "INCOMPLETE" not in text
    assert all(name in text for name in (CHECKER, "IMP-Loss", "DIMP-Loss", "CE-Loss, no checker", "Financial"))
    heights = [list(map(float, np.asarray(c.lines[0].get_ydata()))) for c in figure.axes[0].containers]
    assert heights == [[62, 65], [63, 66], [60, 63]]
    lost = variant_frame([10, 100])
    lost.loc[0, ["mean_accuracy", "status"]] = [math.nan, "0 of 2 seeds"]
    assert "INCOMPLETE: 1 of 8 points" in words(figures.figure2(lost)).replace("\n", " ")


def test_figure_3_shows_both_with_ratios_and_says_what_ours_is() -> None:
    frame = timed_frame(CE=[10.0, 12.0], IMP=[20.0, 24.0], DIMP=[11.0, 13.2])
    figure = figures.figure3(tables.table3(frame), encoder="tiny", miniature=True)
    text = words(figure).replace("\n", " ")
    assert "x 2.20" in text and "x 2.00" in text and "x 1.10" in text and "n = 2 repetitions on A" in text
    assert "Only the ratios" in text and "here: tiny" in text
    tops = [max(p.get_y() + p.get_height() for p in ax.patches) for ax in figure.axes]  # type: ignore[attr-defined]
    assert tops == pytest.approx([733.363, 22.0], abs=0.01)


def test_figure_3_of_nothing_shows_the_paper_alone() -> None:
    frame = timed_frame(CE=[10.0], IMP=[20.0], DIMP=[11.0]).assign(status="not run")
    assert "n = 0 repetitions on no machine" in words(figures.figure3(tables.table3(frame))).replace("\n", " ")


def test_sizes_have_one_column_an_axis() -> None:
    frame = variant_frame([50, 200]).assign(axis="real texts")
    frame = pd.concat([frame, variant_frame([300]).assign(axis="generated texts")]).rename(columns={"variant": "texts"})
    figure = figures.sizes(frame, profile="demo")
    assert [ax.get_title() for ax in figure.axes[:2]] == ["real texts", "generated texts"]
    assert "Source: sizes.csv, profile demo" in words(figure).replace("\n", " ")


def test_switches_fill_what_leaves_zero_out() -> None:
    frame = variant_frame(["default", "gradient", "quality checker: half"])
    figure = figures.switches(frame)
    assert "QC: half" in words(figure)
    faces = [line.get_markerfacecolor() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert faces == ["white", "white", figures.BLUE], "intervals from -1 to 1, 0 to 2, 1 to 3"


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    frame = variant_frame(["default", "gradient"])
    first, second = (figures.save(figures.switches(frame), tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_table_2_side_by_side_prints_no_f1_where_the_paper_has_none() -> None:
    profile = fake_runs.profile(seeds=1)
    cells = experiments.table2(profile)
    frame = tables.beside_paper(Answers(cells, {}, profile), cells, "table2")
    shown = tables.side_by_side(frame)
    assert shown.loc[("large", "DIMP-Loss"), ("MRPC", "paper")] == "77.04"
    assert set(shown["MRPC", "mean [95 %]"]) == {"0 of 1 seeds"}
