"""The grid of Table 1: every cell of the paper's table, with the checkers that the paper gives it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from paper_repro.method.losses import Switches
from paper_repro.method.registry import METHODS
from paper_repro.paper import published
from paper_repro.paper.cells import named
from paper_repro.paper.table1.cells import table1
from paper_repro.runs import profiles
from paper_repro.runs.plan import check, plan
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, Source
from paper_repro.tools.errors import UserError


@pytest.fixture(params=profiles.names())
def profile(request: pytest.FixtureRequest) -> Profile:
    return profiles.load(request.param)


def test_the_grid_is_the_papers(profile: Profile) -> None:
    """Every printed row but the few-shot labels and Hu et al., for each seed; whole repetitions come first."""
    cells = table1(profile)
    table = published.table("table1").query("method not in ('few_shot', 'hu')")
    expected = set(table[["train_source", "method", "benchmark"]].itertuples(index=False, name=None))
    if profile.kind == "miniature":
        expected |= {("generated", "oracle", benchmark) for benchmark in profile.benchmarks}
    found = Counter((cell.train_source, cell.method, cell.benchmark) for cell in cells)
    assert found == dict.fromkeys(expected, len(profile.seeds))
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    assert len({cell.spec for cell in cells}) == len(cells)


def test_each_spec_is_what_its_cell_says(profile: Profile) -> None:
    """P' is the CE model on D_P' and Q the CE model on the training pool, of the run's own seed, in-sample, and both
    are cells of the table themselves."""
    cells = table1(profile)
    specs = {cell.spec for cell in cells}
    for cell in cells:
        spec, pool = cell.spec, cell.train_source
        check(spec)
        assert (spec.benchmark, spec.seed, spec.source) == (cell.benchmark, cell.seed, Source(pool))
        assert spec.method == {"checker": "ce", "oracle": "imp"}.get(cell.method, cell.method)
        assert (spec.recipe, spec.encoder, spec.switches) == (profile.recipes[pool], profile.encoder, Switches())
        if cell.method == "oracle":
            assert (spec.quality, spec.diversity) == (Checker(exact="p"), Checker(exact="q"))
            continue
        needs = METHODS[spec.method]
        for checker, needed, on in ((spec.quality, needs.quality, "dev"), (spec.diversity, needs.diversity, pool)):
            assert (checker is not None) == needed
            if checker is not None and checker.run is not None:
                assert checker == Checker(checker.run) and checker.run in specs
                assert (checker.run.method, checker.run.source, checker.run.seed) == ("ce", Source(on), cell.seed)


def test_no_training_is_done_twice(tmp_path: Path) -> None:
    """144 runs fill the 144 cells, and five pools of scores for each benchmark and seed: P' on three, Q on two."""
    made = tiny.study(tiny.make_inputs(tmp_path), tmp_path / "results")
    cells = table1(made.profile)
    tasks = plan(made, [cell.spec for cell in cells])
    assert Counter(task.kind for task in tasks) == {"run": 144, "score": 5 * 12}
    assert len({made.key(cell.spec) for cell in cells}) == 144


def test_a_small_table_end_to_end(tmp_path: Path) -> None:
    """One seed of one benchmark: every cell is filled, and the weights are what the methods say."""
    made = tiny.study(tiny.make_inputs(tmp_path), tmp_path / "results")
    recipes = dict.fromkeys(("dev", "generated", "train"), tiny.RECIPE)
    grid = replace(made.profile.search, learning_rates=(3e-3,), epochs=(2,), batch_sizes=(16,))  # holds that recipe
    made.inputs.profile = replace(made.profile, seeds=(0,), benchmarks=("mrpc",), recipes=recipes, search=grid)
    cells = table1(made.profile)
    made.run([cell.spec for cell in cells], progress=False)
    for cell in cells:
        assert made.failure(cell.spec) is None
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


def test_benchmarks_are_named_in_a_text() -> None:
    assert named(" mrpc, financial,", ("financial", "mrpc")) == ("mrpc", "financial")
    assert named("", ("mrpc",)) == ()
    with pytest.raises(UserError, match="'mrcp' is not known; expected some of: financial, mrpc"):
        named("mrcp", ("financial", "mrpc"))
