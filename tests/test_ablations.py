"""Table 2, Figures 2 and 3, Table 3, sizes and switches: their grids, tables, claims and pictures."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import fake_runs
import numpy as np
import pandas as pd
import pytest
import tiny
from fake_runs import FakeResults, words

from paper_repro.method.losses import Switches
from paper_repro.paper.ablations import switches, table3
from paper_repro.paper.ablations.figure2 import figure2, figure2_claims
from paper_repro.paper.ablations.sizes import generated_sizes, real_sizes, sizes
from paper_repro.paper.ablations.table2 import table2, table2_claims
from paper_repro.paper.ablations.variants import by_variant
from paper_repro.paper.cells import Cell
from paper_repro.paper.table1.cells import table1
from paper_repro.runs import keys, profiles
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import RunSpec, Source


@pytest.fixture(params=profiles.names())
def profile(request: pytest.FixtureRequest) -> Profile:
    return profiles.load(request.param)


# ---------------------------------------------------------------- grids


def test_figure_2_of_another_benchmark(profile: Profile) -> None:
    chosen = figure2(profile, "mrpc", seeds=(3,), shares=(5, 7))
    assert {(c.train_source, c.benchmark, c.seed) for c in chosen} == {("5", "mrpc", 3), ("7", "mrpc", 3)}


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


# ---------------------------------------------------------------- by variant


Levels = dict[tuple[str, str], int]
"""How many of 100 texts the runs of a variant and method are right on, the first ones."""


def answers(cells: list[Cell], right: Levels, profile: Profile | None = None, lost: tuple[Any, ...] = ()) -> Any:
    """Results of the cells; ``lost`` are (variant, method, seed)."""
    missing = frozenset((*row, cell.benchmark, seed) for cell in cells for *row, seed in lost)
    used = profile or fake_runs.profile()
    return FakeResults(used, cells, examples=100, missing=missing, right=lambda name: right[name[:2]])


def small_grid(variants: dict[str, tuple[str, ...]], seeds: int = 2) -> list[Cell]:
    """Cells whose specifications differ by a made-up option."""
    return [
        Cell(variant, method, "mrpc", seed, tiny.spec(benchmark="mrpc", seed=seed, options=((variant, method),)))
        for seed in range(seeds)
        for variant, methods in variants.items()
        for method in methods
    ]


def test_a_variant_stands_beside_its_default_ce_and_its_checker() -> None:
    cells = small_grid({"default": ("ce", "imp"), "new": ("imp",), "own": ("checker", "ce", "imp")})
    level = {("default", "ce"): 50, ("default", "imp"): 60, ("new", "imp"): 63}
    level |= {("own", "ce"): 40, ("own", "imp"): 70, ("own", "checker"): 66}
    frame = by_variant(answers(cells, level), cells, "default").set_index(["variant", "method"])
    assert frame.loc[("new", "imp"), ["mean_accuracy", "vs_default_mean", "vs_ce_mean"]].tolist() == [63, 3, 13]
    differences = [f"vs_{rival}_mean" for rival in ("default", "ce", "checker")]
    assert frame.loc[("own", "imp"), differences].tolist() == [10, 30, 4]
    assert frame.loc[("default", "imp"), differences].isna().tolist() == [True, False, True]
    assert (frame["vs_ce_low"].dropna() <= frame["vs_ce_mean"].dropna()).all()
    assert set(frame["status"]) == {"complete"} and set(frame["n_seeds"]) == {2}


# ---------------------------------------------------------------- claims


LEVELS = {"ce": 50, "imp_base_dc": 60, "imp_large_dc": 70, "dimp": 65, "checker": 55}


def answers_of(cells: list[Cell], levels: dict[str, int], profile: Profile) -> Any:
    """Every run of a method gets the same texts right."""
    return answers(cells, {(c.train_source, c.method): levels[c.method] for c in cells}, profile)


def test_claims_on_table_2_by_hand() -> None:
    profile = fake_runs.profile(seeds=2)
    cells = table2(profile)
    frame = table2_claims(answers_of(cells, LEVELS, profile), cells)
    mrpc = frame[frame["benchmark"] == "mrpc"]
    assert mrpc["mean"].tolist() == [15, 10, 10] and set(mrpc["verdict"]) == {"holds"}
    assert mrpc["paper_difference"].tolist() == pytest.approx([77.04 - 74.2, 75.36 - 74.2, 76.41 - 75.36])
    assert frame.set_index("benchmark").loc["all", "verdict"].tolist() == ["holds", "fails"], "IMP is above CE: steady"
    worse = table2_claims(answers_of(cells, {**LEVELS, "imp_base_dc": 30}, profile), cells)
    assert worse.set_index("benchmark").loc["all", "verdict"].tolist() == ["holds", "holds"]


def test_claims_on_figure_2_speak_of_the_smallest_share() -> None:
    profile = fake_runs.profile(seeds=2)
    cells = figure2(profile)
    levels = {"ce": 50, "checker": 70, "imp": 80, "dimp": 60}
    rows = figure2_claims(answers_of(cells, levels, profile), cells)
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


def test_figure_3_shows_both_with_ratios_and_says_what_ours_is() -> None:
    frame = table3.running_times(timed_frame(ce=[10.0, 12.0], imp=[20.0, 24.0], dimp=[11.0, 13.2]))
    figure = table3.figure3(frame, encoder="tiny", miniature=True)
    assert "x 2.20" in (text := words(figure)) and "x 2.00" in text and "x 1.10" in text
    tops = [max(p.get_y() + p.get_height() for p in ax.patches if p.get_height() > 0) for ax in figure.axes]  # type: ignore[attr-defined]
    assert tops == pytest.approx([733.363, 22.0], abs=0.01)


def test_sizes_are_numbers_of_texts() -> None:
    profile = fake_runs.profile(seeds=2)
    real, generated = real_sizes(profile), generated_sizes(profile)
    results = answers_of([*real, *generated], LEVELS | {"imp": 60}, profile)
    texts = sizes(results, real, generated).groupby("axis")["texts"].unique().map(sorted)
    assert (texts["dev"], texts["generated"]) == ([50, 80], [300, 320])
