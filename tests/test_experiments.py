"""The grid of Table 1: every cell of the paper's table, with the checkers that the paper gives it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from paper_repro.experiments import GENERATED, LARGE, ORACLE, SMALL

from paper_repro import experiments
from paper_repro.method.losses import NEEDS_DIVERSITY, NEEDS_QUALITY, Switches
from paper_repro.paper import published
from paper_repro.runs import profiles
from paper_repro.runs.plan import check, plan
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, Source
from paper_repro.study import Workspace


@pytest.fixture(params=["demo", "mini", "paper"])
def profile(request: pytest.FixtureRequest) -> Profile:
    return profiles.load(request.param)


def test_the_grid_is_that_of_the_issue(profile: Profile) -> None:
    """Small real 3, generated 5, large real 4 methods, by 3 benchmarks and 4 seeds; the made world adds its oracle."""
    cells = experiments.table1(profile)
    oracle = profile.kind == "miniature"
    rows = Counter(cell.train_source for cell in cells)
    assert rows == {SMALL: 3 * 12, GENERATED: (5 + oracle) * 12, LARGE: 4 * 12}
    assert len({(c.train_source, c.method, c.benchmark, c.seed) for c in cells}) == len(cells)
    assert {cell.seed for cell in cells} == {0, 1, 2, 3}
    assert len({cell.spec for cell in cells}) == len(cells)


def test_titles_are_those_of_the_papers_table(profile: Profile) -> None:
    table = published.table("table1")
    paper = {(r["train_source"], r["method"], r["benchmark"]) for r in table.to_dict("records")}
    ours = {(c.train_source, c.method, c.benchmark) for c in experiments.table1(profile)}
    assert {cell for cell in ours if cell[1] != ORACLE} <= paper
    assert any(cell[1] == ORACLE for cell in ours) == (profile.kind == "miniature")


def test_each_spec_is_what_its_cell_says(profile: Profile) -> None:
    pools = {SMALL: "dev", GENERATED: "generated", LARGE: "train"}
    methods = {
        "CE-Loss": "ce",
        "CE-Loss (quality checker)": "ce",
        "Focal-Loss": "focal",
        "IMP-Loss (Ours)": "imp",
        "DIMP-Loss (Ours)": "dimp",
        "- w/o diversity checker": "quality_only",
        ORACLE: "imp",
    }
    for cell in experiments.table1(profile):
        spec, pool = cell.spec, pools[cell.train_source]
        check(spec)
        assert (spec.benchmark, spec.seed, spec.method) == (cell.benchmark, cell.seed, methods[cell.method])
        assert spec.source == Source(pool) and spec.recipe == profile.recipes[pool]
        assert spec.encoder == profile.encoder and spec.switches == Switches()
        if cell.method == ORACLE:
            assert (spec.quality, spec.diversity) == (Checker(exact="p"), Checker(exact="q"))
            continue
        assert (spec.quality is not None) == (spec.method in NEEDS_QUALITY)
        assert (spec.diversity is not None) == (spec.method in NEEDS_DIVERSITY)


def test_checkers_are_cells_of_the_table_themselves(profile: Profile) -> None:
    """P' is the CE model on D_P' and Q the CE model on the training pool, of the run's own seed, in-sample."""
    cells = experiments.table1(profile)
    specs = {cell.spec for cell in cells}
    for cell in cells:
        if cell.method == ORACLE:
            continue
        for checker, pool in ((cell.spec.quality, "dev"), (cell.spec.diversity, cell.spec.source.pool)):
            if checker is None:
                continue
            assert checker.run in specs and checker.run is not None
            assert (checker.run.method, checker.run.source) == ("ce", Source(pool))
            assert (checker.run.seed, checker.run.benchmark) == (cell.seed, cell.benchmark)
            assert (checker.folds, checker.temperature, checker.exact) == (0, "none", None)


def test_whole_repetitions_come_first(profile: Profile) -> None:
    seeds = [cell.seed for cell in experiments.table1(profile)]
    assert seeds == sorted(seeds)


def test_no_training_is_done_twice(tmp_path: Path) -> None:
    """144 runs fill the 144 cells, and five pools of scores a benchmark and seed: P' on three, Q on two."""
    made = tiny.workspace(tiny.make_inputs(tmp_path), tmp_path / "results")
    cells = experiments.table1(made.profile)
    tasks = plan(made, [cell.spec for cell in cells])
    assert Counter(task.kind for task in tasks) == {"run": 144, "score": 5 * 12}
    assert len({made.key(cell.spec) for cell in cells}) == 144


def test_a_small_table_end_to_end(tmp_path: Path) -> None:
    """One seed of one benchmark: every cell is filled, and the weights are what the methods say."""
    made = tiny.workspace(tiny.make_inputs(tmp_path), tmp_path / "results")
    recipes = dict.fromkeys(("dev", "generated", "train"), tiny.RECIPE)
    made.profile = replace(made.profile, seeds=(0,), benchmarks=("mrpc",), recipes=recipes)
    cells = experiments.table1(made.profile)
    made.run([cell.spec for cell in cells], progress=False)
    assert [made.failure(cell.spec) for cell in cells] == [None] * 12
    for cell in cells:
        check_weights(made, cell)


def check_weights(made: Workspace, cell: experiments.Cell) -> None:
    result = made.result(cell.spec)
    assert result is not None and len(result.test_labels) == tiny.SIZES["test"]
    chosen = result.selected
    assert chosen.dev_accuracy == max(row.dev_accuracy for row in result.history)
    if cell.spec.method == "ce":
        assert (chosen.weight_mean, chosen.weight_ess, chosen.weight_max) == (1, 1, 1)
    elif cell.spec.method in ("focal", "quality_only"):
        assert chosen.weight_max <= 1
    else:
        assert chosen.weight_ess < 1 and chosen.weight_max > 0
