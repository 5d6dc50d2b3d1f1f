"""All grids: what they hold, that each run can be run, and in what a run differs from that of Table 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import fake_runs
import pytest
import tiny

from paper_repro.method.losses import Switches
from paper_repro.method.registry import METHODS
from paper_repro.paper import published
from paper_repro.paper.ablations.figure2 import figure2
from paper_repro.paper.ablations.sizes import generated_sizes, real_sizes
from paper_repro.paper.ablations.switches import switches
from paper_repro.paper.ablations.table2 import table2
from paper_repro.paper.ablations.table3 import table3
from paper_repro.paper.cells import Cell, named
from paper_repro.paper.checkers.cells import checkers
from paper_repro.paper.diversity.cells import diversity, mixtures
from paper_repro.paper.information.cells import section3_2
from paper_repro.paper.more_baselines.cells import extended, hu
from paper_repro.paper.noisy.cells import table4
from paper_repro.paper.search.cells import search, settings, usual_setting
from paper_repro.paper.table1.cells import table1
from paper_repro.paper.theory.cells import LIMIT_EPOCHS, growing, limits, usual_runs
from paper_repro.paper.why.cells import input_shift_runs
from paper_repro.runs import profiles
from paper_repro.runs.plan import check, plan
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunSpec, Source
from paper_repro.tools.errors import UserError

Changes = Mapping[str, Any]
METHOD_OF_ROW = {"checker": "ce", "oracle": "imp", "imp_base_dc": "imp", "imp_large_dc": "imp"}
METHOD_OF_ROW |= {"imp_exact_q": "imp", "dimp_gamma_2": "dimp"} | {f"ce_without_fold{k}": "ce" for k in range(1, 6)}
"""The methods of the rows that are none themselves."""


GRIDS: Mapping[str, tuple[Callable[[Profile], list[Cell]], int]] = {
    "table1": (table1, 4 * 3 * 12),
    "table2": (table2, 4 * 3 * 5),
    "figure2": (figure2, 2 * 2 * 4),
    "table3": (table3, 4 * 4),
    "table4": (table4, 4 * 3 * 5),
    "real_sizes": (real_sizes, 2 * 2 * 4),
    "generated_sizes": (generated_sizes, 2 * 2 * 3),
    "switches": (switches, 2 * (3 + 12 + 12)),
    "search": (search, 2 * 1 * 3 * 2),
    "diversity": (diversity, 4 * 2 * 6 * 3),
    "mixtures": (mixtures, 4 * 2 * 2 * 3 * 5),
    "inputs": (input_shift_runs, 4 * 3 * 2 * 3),
    "section3_2": (section3_2, 4 * 3 * 2 + 3 * 2 * 5),
    "checkers": (checkers, 4 * 3 * 3),
    "limits": (limits, 3 * 6),
    "growing": (growing, 3 * 4),
    "usual_runs": (usual_runs, 4 * 3 * 4),
    "extended": (extended, 3 * (4 * (6 + 10) + 2 * 3) + 3 * 2 * 2),
    "hu": (partial(hu, variant="faithful"), 3 * 2 * 2),
    "hu_cheap": (partial(hu, variant="cheap"), 3 * 2),
    "hu_official": (partial(hu, variant="official"), 3 * 2 * 2),
}
"""Each with its size in the profile of :mod:`fake_runs`: seeds, benchmarks, rows and (Hu et al., filter) settings."""

LOSSES = {"ce", "imp", "dimp"}
ROWS = {
    **dict.fromkeys(("generated_sizes", "switches", "search", "diversity", "inputs"), LOSSES),
    **{name: LOSSES | {"checker"} for name in ("figure2", "table3", "real_sizes")},
    "mixtures": {"ce"},
    "checkers": {"checker", "ce"},
}


@pytest.fixture(params=profiles.names())
def profile(request: pytest.FixtureRequest) -> Profile:
    return profiles.load(request.param)


# ---------------------------------------------------------------- in what runs differ from those of Table 1


def nothing(profile: Profile, cell: Cell) -> Changes:
    return {}


def pool(profile: Profile, cell: Cell) -> Changes:
    """The classifier and its diversity checker have another pool, which the cell names."""
    source = Source(cell.train_source)
    return {"source": source, "diversity.run.source": source}


def of_table2(profile: Profile, cell: Cell) -> Changes:
    small, large = profile.ablations.small, profile.ablations.large
    if cell.method == "checker":
        return {"encoder": small}
    diversity = small if cell.method == "imp_base_dc" else large
    return {"encoder": large, "quality.run.encoder": small, "diversity.run.encoder": diversity}


def share_of_train(profile: Profile, cell: Cell) -> Changes:
    """Figure 2 changes the quality checker alone, which keeps the recipe of D_P'."""
    share = Source(f"train:{cell.train_source}%")
    return {"source": share} if cell.method == "checker" else {"quality.run.source": share}


def dev_of_another_size(profile: Profile, cell: Cell) -> Changes:
    """Less D_P' fits the quality checker and selects the epoch of every run."""
    pool, source = cell.train_source, Source(cell.train_source)
    selected = {"selection": pool, "quality.run.selection": pool, "diversity.run.selection": pool}
    return {**selected, "source" if cell.method == "checker" else "quality.run.source": source}


def five_epochs_of_32(profile: Profile, cell: Cell) -> Changes:
    """App. E's set-up, of the classifier and of both checkers."""
    runs, recipe = ("", "quality.run.", "diversity.run."), {"epochs": 5, "batch_size": 32}
    return {f"{run}recipe.{name}": value for run in runs for name, value in recipe.items()}


def setting(profile: Profile, cell: Cell) -> Changes:
    """A setting of the search changes the classifier and nothing else."""
    recipe = settings(profile)[cell.train_source]
    return {f"recipe.{name}": getattr(recipe, name) for name in ("learning_rate", "epochs", "batch_size")}


def fold(profile: Profile, cell: Cell) -> Changes:
    """Cross-fitting leaves one of five folds out."""
    number = cell.method.removeprefix("ce_without_fold")
    return {} if cell.method == "ce" else {"source": Source(cell.train_source, 5, int(number) - 1)}


def to_the_end(profile: Profile, cell: Cell) -> Changes:
    """The first seed's checkers for all seeds, so that the runs of a loss differ by their training seed alone."""
    long = {"recipe.epochs": LIMIT_EPOCHS, "recipe.select": "last"}
    checkers = {"quality.run.seed": profile.seeds[0], "diversity.run.seed": profile.seeds[0]}
    checkers |= {f"diversity.run.{name}": value for name, value in long.items()}
    own: dict[str, Changes] = {
        "imp_exact_q": {"diversity": Checker(exact="q")},
        "dimp_gamma_2": {"switches.gamma": 2},
    }
    return {**long, **checkers, **own.get(cell.method, {})}


def with_exact_checkers(profile: Profile, cell: Cell) -> Changes:
    exact = {"quality": Checker(exact="p"), "diversity": Checker(exact="q")}
    return {"recipe.epochs": LIMIT_EPOCHS, "recipe.select": "last", **exact}


CHANGES: Mapping[str, Callable[[Profile, Cell], Changes]] = {
    "table2": of_table2,
    "figure2": share_of_train,
    "table3": five_epochs_of_32,
    "table4": pool,
    "real_sizes": dev_of_another_size,
    "generated_sizes": pool,
    "search": setting,
    "diversity": pool,
    "mixtures": pool,
    "inputs": pool,
    "section3_2": fold,
    "checkers": nothing,
    "limits": to_the_end,
    "growing": with_exact_checkers,
    "usual_runs": nothing,
}
"""By grid. The tests of the ablations have the switches, those of the extended table the other baselines."""


def of_table1(cell: Cell) -> tuple[str, str]:
    """The block and the row of Table 1 that a cell is to be compared with."""
    method = METHOD_OF_ROW.get(cell.method, cell.method)
    if cell.method == "checker" or (cell.train_source.startswith("mix:") and cell.train_source.endswith(":dev")):
        return "dev", "checker"
    return "train" if cell.train_source.startswith("train") else "generated", method


def changed(thing: Any, path: str, value: Any) -> Any:
    """A copy with another value at a path such as "quality.run.encoder"; what is None stays None."""
    name, _, rest = path.partition(".")
    if thing is None or getattr(thing, name) is None:
        return thing
    return replace(thing, **{name: changed(getattr(thing, name), rest, value) if rest else value})


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_is_table_1s_but_for_what_its_grid_is_about(profile: Profile, name: str) -> None:
    usual = {(c.train_source, c.method, c.benchmark, c.seed): c.spec for c in table1(profile)}
    for cell in GRIDS[name][0](profile):
        expected: RunSpec = usual[*of_table1(cell), cell.benchmark, cell.seed]
        for path, value in CHANGES[name](profile, cell).items():
            expected = changed(expected, path, value)
        assert cell.spec == expected, (cell.train_source, cell.method)


# ---------------------------------------------------------------- every grid


@pytest.mark.parametrize("name", GRIDS)
def test_every_run_of_every_grid_can_be_run(profile: Profile, name: str) -> None:
    grid, size = GRIDS[name]
    cells = grid(profile)
    places = {(c.train_source, c.method, c.benchmark, c.seed, c.spec.options) for c in cells}
    assert len(places) == len(cells) and len(grid(fake_runs.profile())) == size
    if name != "figure2":  # whose CE-Loss has no checker, and is the same run for every share
        assert len({cell.spec for cell in cells}) == len(cells), "nothing is trained twice"
    if name != "extended":  # whose rows have different numbers of seeds
        assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells), "whole repetitions come first"
    curves = name in ("table1", "table4", "checkers", "section3_2", "usual_runs")  # which are runs of figures 1 and 6
    assert curves or not any(cell.spec.recipe.test_curve for cell in cells), "it takes time, and nobody looks at it"
    for cell in cells:
        check(cell.spec)
        assert (cell.spec.benchmark, cell.spec.seed) == (cell.benchmark, cell.seed)
        both, method = (cell.spec.quality, cell.spec.diversity), METHODS[cell.spec.method]
        assert tuple(checker is not None for checker in both) == (method.quality, method.diversity)
        seed = profile.seeds[0] if name == "limits" else cell.seed
        for run in (checker.run for checker in both if checker is not None and checker.run is not None):
            assert (run.benchmark, run.seed) == (cell.benchmark, seed)


@pytest.mark.parametrize("name", ROWS)
def test_the_rows_are_the_losses_and_their_checker(name: str) -> None:
    assert {cell.method for cell in GRIDS[name][0](fake_runs.profile())} == ROWS[name]


@pytest.mark.parametrize("name", ["table1", "table2", "table4"])
def test_the_rows_are_the_papers(profile: Profile, name: str) -> None:
    """Every printed row but the few-shot labels and, of Table 1, Hu et al., for each seed."""
    printed = published.table(name).rename(columns={"model_size": "train_source"})
    left_out = ("few_shot", "hu") if name == "table1" else ("few_shot",)
    rows = printed.loc[~printed["method"].isin(left_out), ["train_source", "method", "benchmark"]]
    expected = set(rows.itertuples(index=False, name=None))
    if name == "table1" and profile.kind == "miniature":
        expected |= {("generated", "oracle", benchmark) for benchmark in profile.benchmarks}
    seeds = profile.seeds[: profile.ablations.table2_seeds] if name == "table2" else profile.seeds
    found = Counter((c.train_source, c.method, c.benchmark, c.seed) for c in GRIDS[name][0](profile))
    assert found == dict.fromkeys(((*row, seed) for row in expected for seed in seeds), 1)


def test_choices_of_the_profile(profile: Profile) -> None:
    sizes = profile.ablations
    assert sizes.small != sizes.large and profile.encoder in (sizes.small, sizes.large)
    assert usual_setting(profile) in settings(profile), "the search has Table 1's setting"


# ---------------------------------------------------------------- Table 1


def test_each_run_of_table_1_is_what_its_cell_says(profile: Profile) -> None:
    """P' is the CE model on D_P' and Q the CE model on the training pool, of the run's own seed, in-sample, and both
    are cells of the table themselves."""
    cells = table1(profile)
    specs = {cell.spec for cell in cells}
    for cell in cells:
        spec, on = cell.spec, cell.train_source
        assert (spec.method, spec.source) == (METHOD_OF_ROW.get(cell.method, cell.method), Source(on))
        assert (spec.recipe, spec.encoder, spec.switches) == (profile.recipes[on], profile.encoder, Switches())  # type: ignore[index]
        if cell.method == "oracle":
            assert (spec.quality, spec.diversity) == (Checker(exact="p"), Checker(exact="q"))
            continue
        for checker, fitted_on in ((spec.quality, "dev"), (spec.diversity, on)):
            if checker is not None and checker.run is not None:
                assert checker == Checker(checker.run) and checker.run in specs
                assert (checker.run.method, checker.run.source) == ("ce", Source(fitted_on))


def test_no_training_is_done_twice(inputs: dict[str, str], tmp_path: Path) -> None:
    """144 runs fill the 144 cells, and five pools of scores for each benchmark and seed: P' on three, Q on two."""
    made = tiny.study(inputs, tmp_path)
    cells = table1(made.profile)
    tasks = plan(made, [cell.spec for cell in cells])
    assert Counter(task.kind for task in tasks) == {"run": 144, "score": 5 * 12}
    assert len({made.key(cell.spec) for cell in cells}) == 144


def test_benchmarks_are_named_in_a_text() -> None:
    assert named(" mrpc, financial,", ("financial", "mrpc")) == ("mrpc", "financial")
    assert named("", ("mrpc",)) == ()
    with pytest.raises(UserError, match="'mrcp' is not known; expected some of: financial, mrpc"):
        named("mrcp", ("financial", "mrpc"))
