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
from fake_runs import words

from paper_repro.method.losses import Switches
from paper_repro.method.registry import METHODS
from paper_repro.paper import published
from paper_repro.paper.ablations import switches, table3
from paper_repro.paper.ablations.figure2 import figure2, figure2_claims, figure2_lines
from paper_repro.paper.ablations.sizes import generated_sizes, real_sizes, sizes, sizes_lines
from paper_repro.paper.ablations.table2 import table2, table2_claims
from paper_repro.paper.ablations.variants import LINES, by_variant
from paper_repro.paper.cells import Cell
from paper_repro.paper.table1.cells import table1
from paper_repro.runs import keys, profiles
from paper_repro.runs.plan import check
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunResult, RunSpec, Source
from paper_repro.texts.pools import Benchmark, Pool

GRIDS = (table2, figure2, real_sizes, generated_sizes, switches.switches, table3.table3)


@pytest.fixture(params=profiles.names())
def profile(request: pytest.FixtureRequest) -> Profile:
    return profiles.load(request.param)


# ---------------------------------------------------------------- grids


@pytest.mark.parametrize("grid", GRIDS)
def test_every_run_of_every_grid_can_be_run(profile: Profile, grid: Any) -> None:
    cells = grid(profile)
    assert len({(c.train_source, c.method, c.benchmark, c.seed) for c in cells}) == len(cells)
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells), "whole repetitions come first"
    for cell in cells:
        check(cell.spec)
        method = METHODS[cell.spec.method]
        assert (cell.spec.benchmark, cell.spec.seed) == (cell.benchmark, cell.seed)
        assert (cell.spec.quality is not None, cell.spec.diversity is not None) == (method.quality, method.diversity)
        for checker in (cell.spec.quality, cell.spec.diversity):
            assert checker is None or (checker.run is not None and checker.run.seed == cell.seed)


def test_table_2_is_the_papers_table_with_the_papers_checkers(profile: Profile) -> None:
    cells, sizes = table2(profile), profile.ablations
    rows = {(r["model_size"], r["method"], r["benchmark"]) for r in published.table("table2").to_dict("records")}
    assert {(c.train_source, c.method, c.benchmark) for c in cells} == rows and sizes.small != sizes.large
    assert {c.seed for c in cells} == set(profile.seeds[: sizes.table2_seeds])
    quality = {(c.benchmark, c.seed): c.spec for c in cells if c.method == "checker"}
    shared = {cell.method for cell in cells if cell.spec in {cell.spec for cell in table1(profile)}}
    assert shared == ({"ce"} if profile.encoder == sizes.large else {"checker"}), "one size is the profile's own"
    for cell in cells:
        spec = cell.spec
        if cell.method == "checker":
            assert (spec.encoder, spec.source, spec.method) == (sizes.small, Source("dev"), "ce")
            continue
        assert (spec.encoder, spec.source) == (sizes.large, Source("generated"))
        assert spec.quality is None or spec.quality.run == quality[cell.benchmark, cell.seed]
        if spec.diversity is not None and spec.diversity.run is not None:
            expected = {"imp_base_dc": sizes.small, "imp_large_dc": sizes.large}[cell.method]
            assert spec.diversity.run == replace(spec.diversity.run, encoder=expected, source=Source("generated"))


def test_figure_2_changes_the_quality_checker_alone(profile: Profile) -> None:
    usual = {(c.train_source, c.method, c.seed): c.spec for c in table1(profile) if c.benchmark == "financial"}
    for cell in figure2(profile):
        source = Source(f"train:{cell.train_source}%")
        checker = replace(usual["dev", "checker", cell.seed], source=source)
        if cell.method == "checker":
            assert cell.spec == checker, "the recipe is that of D_P'"
        else:
            default = usual["generated", cell.method, cell.seed]
            assert cell.spec == (replace(default, quality=Checker(checker)) if default.quality else default)
    chosen = figure2(profile, "mrpc", seeds=(3,), shares=(5, 7))
    assert {(c.train_source, c.benchmark, c.seed) for c in chosen} == {("5", "mrpc", 3), ("7", "mrpc", 3)}


def test_other_sizes_are_other_pools_for_all_models_of_their_variant(profile: Profile) -> None:
    for cell in real_sizes(profile):
        runs = [cell.spec, *(c.run for c in (cell.spec.quality, cell.spec.diversity) if c and c.run)]
        assert {run.selection for run in runs} == {cell.train_source}, "less D_P' selects the epoch of every run"
    for cell in generated_sizes(profile):
        assert cell.spec.source == Source(cell.train_source)
        if cell.spec.diversity is not None and cell.spec.diversity.run is not None:
            assert cell.spec.diversity.run.source == Source(cell.train_source)
    usual = {c.spec for c in table1(profile)}
    default = [c for c in real_sizes(profile) if c.train_source == "dev"]
    default += [c for c in generated_sizes(profile) if c.train_source == "generated"]
    assert {c.spec for c in default} <= usual


def test_each_variant_changes_one_thing(profile: Profile) -> None:
    cells = switches.switches(profile)
    usual = {(c.method, c.seed): c.spec for c in cells if c.train_source == switches.DEFAULT}
    assert set(usual.values()) <= {c.spec for c in table1(profile)}
    assert set(Counter(cell.spec for cell in cells).values()) == {1}, "no variant repeats another one"
    assert {cell.train_source for cell in cells} == set(switches.TITLES)
    for cell in cells:
        default, spec = usual[cell.method, cell.seed], cell.spec
        changed = {f.name for f in fields(RunSpec) if getattr(spec, f.name) != getattr(default, f.name)}
        if cell.train_source == "qc_half":
            assert "selection" in changed <= {"selection", "quality", "diversity"}
            assert spec.quality is None or spec.quality.run.source == Source("dev:fit")  # type: ignore[union-attr]
        else:
            assert len(changed) == (cell.train_source != switches.DEFAULT), cell.train_source
        if changed == {"switches"}:
            mine, theirs = spec.switches, Switches()
            assert sum(getattr(mine, f.name) != getattr(theirs, f.name) for f in fields(Switches)) == 1


def test_all_switches_and_checkers_have_a_variant() -> None:
    cells = switches.switches(profiles.load("mini"))
    tried = {f.name: {getattr(c.spec.switches, f.name) for c in cells} for f in fields(Switches)}
    assert all(len(values) > 1 for name, values in tried.items() if name != "alpha"), tried
    assert {c.spec.quality.run.method for c in cells if c.spec.quality and c.spec.quality.run} == {
        *("ce", "tfidf", "frozen")
    }


def test_table_3_is_measured_on_the_papers_set_up_by_runs_of_its_own(profile: Profile) -> None:
    cells = table3.table3(profile, seeds=(0, 1))
    assert Counter(c.method for c in cells) == {"checker": 2, "ce": 2, "imp": 2, "dimp": 2}
    assert {(c.spec.recipe.epochs, c.spec.recipe.batch_size) for c in cells} == {(5, 32)}
    ce = {c.seed: c.spec for c in cells if c.method == "ce"}
    assert all(c.spec.diversity == Checker(ce[c.seed]) for c in cells if c.method == "imp")


# ---------------------------------------------------------------- by variant


@dataclass
class Answers:
    """Results whose runs get the first so many of 100 test texts right, by (train_source, method, seed)."""

    cells: list[Cell]
    right: dict[tuple[str, str, int], int]
    profile: Profile = field(default_factory=fake_runs.profile)

    def benchmark(self, name: str) -> Benchmark:
        sizes = {"test": 100, "generated": 320, "dev": 80}
        pools = {pool: Pool(pool, tuple(map(str, range(size))), np.arange(size) * 0) for pool, size in sizes.items()}
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
    cells = small_grid({"default": ("ce", "imp"), "new": ("imp",), "own": ("checker", "ce", "imp")})
    level = {("default", "ce"): 50, ("default", "imp"): 60, ("new", "imp"): 63}
    level |= {("own", "ce"): 40, ("own", "imp"): 70, ("own", "checker"): 66}
    answers = Answers(cells, {(c.train_source, c.method, c.seed): level[c.train_source, c.method] for c in cells})
    frame = by_variant(answers, cells, "default").set_index(["variant", "method"])  # type: ignore[arg-type]
    assert frame.loc[("new", "imp"), ["mean_accuracy", "vs_default_mean", "vs_ce_mean"]].tolist() == [63, 3, 13]
    differences = [f"vs_{rival}_mean" for rival in ("default", "ce", "checker")]
    assert frame.loc[("own", "imp"), differences].tolist() == [10, 30, 4]
    assert frame.loc[("default", "imp"), differences].isna().tolist() == [True, False, True]
    assert (frame["vs_ce_low"].dropna() <= frame["vs_ce_mean"].dropna()).all()
    assert set(frame["status"]) == {"complete"} and set(frame["n_seeds"]) == {2}


def test_a_variant_is_not_complete_without_all_of_its_own_or_of_its_rivals_runs() -> None:
    cells = small_grid({"default": ("ce", "imp"), "new": ("imp",)})
    right = {(c.train_source, c.method, c.seed): 50 for c in cells}
    for gone in (("new", "imp", 1), ("default", "ce", 0)):
        answers = Answers(cells, {key: value for key, value in right.items() if key != gone})
        frame = by_variant(answers, cells, "default").set_index(["variant", "method"])  # type: ignore[arg-type]
        assert frame.loc[("new", "imp"), "status"] == "1 of 2 seeds"
    empty = by_variant(Answers(cells, {}), cells, "default")  # type: ignore[arg-type]
    assert set(empty["status"]) == {"0 of 2 seeds"} and empty["mean_accuracy"].isna().all()


# ---------------------------------------------------------------- claims


LEVELS = {"ce": 50, "imp_base_dc": 60, "imp_large_dc": 70, "dimp": 65, "checker": 55}


def answers_of(cells: list[Cell], levels: dict[str, int], profile: Profile) -> Answers:
    """Every run of a method gets the same texts right."""
    return Answers(cells, {(c.train_source, c.method, c.seed): levels[c.method] for c in cells}, profile)


def test_claims_on_table_2_by_hand() -> None:
    profile = fake_runs.profile(seeds=2)
    cells = table2(profile)
    frame = table2_claims(answers_of(cells, LEVELS, profile), cells)  # type: ignore[arg-type]
    mrpc = frame[frame["benchmark"] == "mrpc"]
    assert mrpc["mean"].tolist() == [15, 10, 10] and set(mrpc["verdict"]) == {"holds"}
    assert mrpc["paper_difference"].tolist() == pytest.approx([77.04 - 74.2, 75.36 - 74.2, 76.41 - 75.36])
    assert frame.set_index("benchmark").loc["all", "verdict"].tolist() == ["holds", "fails"], "IMP is above CE: steady"
    worse = table2_claims(answers_of(cells, {**LEVELS, "imp_base_dc": 30}, profile), cells)  # type: ignore[arg-type]
    assert worse.set_index("benchmark").loc["all", "verdict"].tolist() == ["holds", "holds"]


def test_claims_on_figure_2_speak_of_the_smallest_share() -> None:
    profile = fake_runs.profile(seeds=2)
    cells = figure2(profile)
    levels = {"ce": 50, "checker": 70, "imp": 80, "dimp": 60}
    rows = figure2_claims(answers_of(cells, levels, profile), cells)  # type: ignore[arg-type]
    assert rows["claim"].str.startswith("With 10 % of the training set").all()
    assert set(rows["benchmark"]) == {"financial"} and rows["id"].is_unique
    assert rows["mean"].tolist() == [30, 10, 10, -10] and rows["verdict"].tolist() == ["holds"] * 3 + ["fails"]


# ---------------------------------------------------------------- seconds


def timed_frame(**totals: list[float]) -> pd.DataFrame:
    rows = []
    for method, values in totals.items():
        for seed, total in enumerate(values):
            times = dict.fromkeys(table3.PHASES, math.nan) | {"training_s": total, "total_s": total}
            row = {"method": method, "benchmark": "financial", "seed": seed, **times}
            rows.append({**row, "loading_and_evaluation_s": 1.0, "status": "complete", "n_train": 100, "device": "A"})
    return pd.DataFrame(rows)


def test_the_ratio_is_taken_within_repetitions() -> None:
    """Twice the time in a slow and in a quick repetition is a ratio of 2, however far the two are apart."""
    times = table3.running_times(timed_frame(ce=[10.0, 40.0], imp=[20.0, 80.0], dimp=[11.0, 44.0]))
    frame = times.set_index("method")
    assert frame["ratio"].tolist() == pytest.approx([1, 2, 1.1])
    assert frame["ratio_low"].tolist() == pytest.approx([1, 2, 1.1]) == frame["ratio_high"].tolist()
    assert frame.loc["imp", ["total_s", "total_s_low", "total_s_high"]].tolist() == [50, 20, 80]
    assert frame["paper_ratio"].tolist() == pytest.approx([1, 733.363 / 333.242, 371.524 / 333.242])


def test_ratio_interval_by_hand() -> None:
    """Log ratios 0 and 2: mean 1, standard error 1, Student's t of one degree 12.706."""
    found = table3.ratio_interval([1.0, math.exp(2)], [1.0, 1.0])
    assert np.log([found.mean, found.low, found.high]) == pytest.approx([1, 1 - 12.7062, 1 + 12.7062], abs=1e-4)
    single = table3.ratio_interval([2.0], [1.0])
    assert single.mean == 2 and math.isnan(single.low) and math.isnan(table3.ratio_interval([], []).mean)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (2.0, 2.4, "holds"),
        (2.5, 3.0, "fails"),
        (1.0, 1.9, "fails"),
        (1.9, 2.3, "inconclusive"),
        (1, 9, "inconclusive"),
    ],
)
def test_about_is_within_a_tenth(low: float, high: float, verdict: str) -> None:
    assert table3.about_verdict(low, high, 2.2) == verdict


def test_times_of_two_machines_are_not_mixed() -> None:
    frame = timed_frame(ce=[10.0, 10.0, 10.0], imp=[20.0, 20.0, 20.0])
    frame.loc[frame["seed"] == 2, "device"] = "B"
    frame.loc[frame["seed"] == 2, "total_s"] = 500.0
    times = table3.running_times(frame)
    row = times.set_index("method").loc["imp"]
    assert row[["n_runs", "total_s_high", "status", "device"]].tolist() == [2, 20, "2 of 3 runs on one machine", "A"]
    assert set(table3.timing_claims(times)["verdict"]) == {"incomplete"}


def test_claims_on_times() -> None:
    claims = table3.timing_claims(table3.running_times(timed_frame(ce=[10, 10.1], imp=[22, 22.2], dimp=[15, 15.15])))
    assert claims["verdict"].tolist() == ["holds", "fails"]
    assert claims["mean"].tolist() == pytest.approx([2.2, 1.5], rel=0.01) and set(claims["section"]) == {"E"}
    single = table3.timing_claims(table3.running_times(timed_frame(ce=[10.0], imp=[22.0], dimp=[11.0])))
    assert set(single["verdict"]) == {"incomplete"} and set(single["status"]) == {"one run has no interval"}


def test_seconds_of_real_runs_add_up(tmp_path: Path) -> None:
    """On tiny models: every phase is what the store has, and the total their sum."""
    made = tiny.study(tiny.make_inputs(tmp_path, layers=2), tmp_path / "results")
    made.inputs.profile = replace(made.profile, encoder="minilm-l6:1")
    cells = table3.table3(made.profile, "mrpc", seeds=(0,))
    empty = table3.phases(made, cells)
    assert empty["status"].tolist() == ["not run"] * 3 and empty["total_s"].isna().all()
    assert table3.running_times(empty)["ratio"].isna().all()
    made.run([cell.spec for cell in cells], progress=False)
    frame = table3.phases(made, cells).set_index("method")
    assert set(frame["status"]) == {"complete"}
    ce = made.result(next(cell.spec for cell in cells if cell.method == "ce"))
    assert ce is not None
    assert frame.loc["imp", "build_dc_s"] == ce.seconds["train"] == frame.loc["ce", "total_s"]
    assert frame["build_qc_s"].isna().tolist() == [True, False, False]
    (imp,) = (cell.spec for cell in cells if cell.method == "imp")
    scoring = [made.scoring_seconds(c, "mrpc", "generated") for c in (imp.quality, imp.diversity) if c]
    assert frame.loc["imp", "precalculate_weights_s"] == pytest.approx(sum(s for s in scoring if s)) and all(scoring)
    assert frame["total_s"].tolist() == pytest.approx(frame[list(table3.PHASES)].sum(axis=1).tolist())
    assert imp.quality is not None
    origin = made.store.scores_origin(keys.score_key(made.inputs, imp.quality, "mrpc", "generated"))
    assert origin is not None and origin["models"] == [made.key(cells[0].spec)]


# ---------------------------------------------------------------- pictures


def variant_frame(variants: list[str]) -> pd.DataFrame:
    rows = []
    for i, variant in enumerate(variants):
        for j, method in enumerate(("checker", "ce", "imp", "dimp")):
            mean = 60.0 + 3 * i + j
            numbers = {f"vs_{a}_{n}": float(i + d) for a in ("default", "ce", "checker") for n, d in zip(
                ("mean", "low", "high"), (0, -1, 1), strict=True)}  # fmt: skip
            spread = {"mean_accuracy": mean, "accuracy_low": mean - 1, "accuracy_high": mean + 1}
            row = {"variant": variant, "method": method, "benchmark": "financial", **spread, **numbers}
            rows.append({**row, "n_seeds": 2, "n_test": 100, "status": "complete"})
    return pd.DataFrame(rows)


def test_figure_2_draws_a_line_for_each_method() -> None:
    figure = figure2_lines(variant_frame(["10", "100"]), profile="mini")
    heights = [list(map(float, np.asarray(c.lines[0].get_ydata()))) for c in figure.axes[0].containers]
    assert heights == [[61, 64], [62, 65], [63, 66], [60, 63]], LINES


def test_figure_3_shows_both_with_ratios_and_says_what_ours_is() -> None:
    frame = table3.running_times(timed_frame(ce=[10.0, 12.0], imp=[20.0, 24.0], dimp=[11.0, 13.2]))
    figure = table3.figure3(frame, encoder="tiny", miniature=True)
    assert "x 2.20" in (text := words(figure)) and "x 2.00" in text and "x 1.10" in text
    tops = [max(p.get_y() + p.get_height() for p in ax.patches if p.get_height() > 0) for ax in figure.axes]  # type: ignore[attr-defined]
    assert tops == pytest.approx([733.363, 22.0], abs=0.01)


def test_sizes_have_one_column_for_each_axis() -> None:
    profile = fake_runs.profile(seeds=2)
    real, generated = real_sizes(profile), generated_sizes(profile)
    answers = answers_of([*real, *generated], {**LEVELS, "imp": 60}, profile)
    frame = sizes(answers, real, generated)  # type: ignore[arg-type]
    texts = frame.groupby("axis")["texts"].unique().map(sorted)
    assert (texts["dev"], texts["generated"]) == ([50, 80], [300, 320])
    above = sizes_lines(frame, profile="demo").axes[0]
    assert sorted(set(above.lines[0].get_ydata())) == [50]  # CE


def test_switches_draw_what_is_missing_hollow() -> None:
    frame = variant_frame(["default", "gamma_two", "qc_half"])
    frame.loc[(frame["variant"] == "qc_half") & (frame["method"] == "imp"), "status"] = "1 of 2 seeds"
    figure = switches.switches_dots(frame)
    imp = [line for line in figure.axes[0].lines if line.get_marker() == METHODS["imp"].marker]
    by_face = {line.get_markerfacecolor(): list(np.asarray(line.get_xdata())) for line in imp}
    assert by_face == {METHODS["imp"].colour: [0, 1], "white": [2]}
