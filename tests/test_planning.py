"""Planning: makespans known in closed form, counts that the executor's own plan confirms, no number out of thin air."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_repro import experiments
from paper_repro.runs import estimates, planning
from paper_repro.cli import cli
from paper_repro.runs.estimates import Costs, Rate, kind_of, size
from paper_repro.runs.spec import Checker
from paper_repro.runs.plan import Task, plan, scores_plan
from paper_repro.study import Workspace, open_workspace


def graph(*edges: str) -> list[Task]:
    """ "a", "b<a", "c<ab": tasks by letter, with the letters of what they need."""
    parts = [edge.partition("<") for edge in edges]
    return [Task(key, "run", key, {}, tuple(needs)) for key, _, needs in parts]


def cost(**costs: float) -> Callable[[Task], float]:
    return lambda task: costs.get(task.key, 1.0)


# -- makespan and critical path ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "workers"), [(1, 1), (7, 2), (12, 4), (13, 4), (3, 64)])
def test_equal_tasks_without_needs(count: int, workers: int) -> None:
    tasks = graph(*"abcdefghijklm"[:count])
    assert planning.makespan(tasks, lambda _: 2.5, workers) == 2.5 * -(-count // workers)


def test_a_chain_gains_nothing() -> None:
    tasks = graph("a", "b<a", "c<b", "d<c")
    costs = cost(a=1, b=2, c=3, d=4)
    assert [planning.makespan(tasks, costs, n) for n in (1, 2, 64)] == [10, 10, 10]
    length, chain = planning.critical_path(tasks, costs)
    assert length == 10 and [task.key for task in chain] == ["a", "b", "c", "d"]


def test_fork_and_join() -> None:
    tasks = graph("a", "b<a", "c<a", "d<a", "e<bcd")
    costs = cost(a=1, b=2, c=5, d=2, e=3)
    assert planning.makespan(tasks, costs, 1) == 13
    assert planning.makespan(tasks, costs, 2) == 1 + 5 + 3  # b and d beside c
    length, chain = planning.critical_path(tasks, costs)
    assert length == 9 and [task.key for task in chain] == ["a", "c", "e"]


def test_the_first_in_the_list_goes_first() -> None:
    """A long task at the end of the list begins last; at its head it would hide behind the others."""
    late = graph("a", "b", "c", "d", "z")
    costs = cost(z=4)
    assert planning.makespan(late, costs, 2) == 2 + 4
    assert planning.makespan(late[::-1], costs, 2) == 4


def test_two_machines_and_grahams_anomaly() -> None:
    """Graham (1969): with one worker more the same list takes longer, 15 in place of 12."""
    times = {"a": 3, "b": 2, "c": 2, "d": 2, "e": 4, "f": 4, "g": 4, "h": 4, "i": 9}
    tasks = graph("a", "b", "c", "d", "e<d", "f<d", "g<d", "h<d", "i<a")
    assert planning.makespan(tasks, cost(**times), 3) == 12
    assert planning.makespan(tasks, cost(**times), 4) == 15


def test_needs_outside_the_list_are_done_and_circles_are_refused() -> None:
    assert planning.makespan(graph("b<a"), cost(), 1) == 1
    with pytest.raises(ValueError, match="need each other"):
        planning.makespan(graph("a<b", "b<a"), cost(), 2)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_bounds_of_list_scheduling(data: st.DataObject) -> None:
    """max(work / w, path) <= makespan <= work / w + (1 - 1 / w) path (Graham 1966)."""
    size = data.draw(st.integers(1, 12))
    keys = [chr(97 + i) for i in range(size)]
    edges = [
        f"{key}<{''.join(sorted(data.draw(st.sets(st.sampled_from(keys[:i]), max_size=3))))}" if i else key
        for i, key in enumerate(keys)
    ]
    tasks, costs = graph(*edges), cost(**{key: data.draw(st.integers(1, 9)) for key in keys})
    workers = data.draw(st.integers(1, 5))
    work, path = sum(map(costs, tasks)), planning.critical_path(tasks, costs)[0]
    span = planning.makespan(tasks, costs, workers)
    assert max(work / workers, path) - 1e-9 <= span <= work / workers + (1 - 1 / workers) * path + 1e-9
    assert planning.makespan(tasks, costs, 1) == work and planning.makespan(tasks, costs, size) == path


def test_gains_are_over_one_worker() -> None:
    found = planning.gains(graph("a", "b", "c", "d"), cost(), (1, 2, 4, 8)).set_index("workers")
    assert found["time"].tolist() == [4, 2, 1, 1]
    assert found["speed_up"].tolist() == [1, 2, 4, 4] and found["busy"].tolist() == [1, 1, 1, 0.5]


# -- counts ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return tiny.workspace(inputs, tmp_path_factory.mktemp("results"))


def test_runs_that_tables_share_are_counted_once() -> None:
    one, other = graph("a", "b<a"), graph("a", "c<a")
    kept = [Task("a", "run", "a", {}, (), keep_checkpoint=True), Task("s", "score", "s", {}, ("a",))]
    found = planning.Plan({"1": one, "2": other, "3": kept})
    assert [task.key for task in found.tasks] == ["a", "b", "c", "s"]
    assert [task.keep_checkpoint for task in found.tasks] == [True, False, False, False]
    rows = found.counts().set_index("table")
    assert rows["runs"].tolist() == [2, 2, 1] and rows["of them new"].tolist() == [2, 1, 0]
    assert rows["new score sets"].tolist() == [0, 0, 1]


def test_a_table_counts_what_the_executor_would_do(made: Workspace) -> None:
    """The checker of IMP's diversity is Table 1's CE run: 3 benchmarks x seeds, each model once."""
    cells = experiments.table1(made.profile)
    counted = planning.whole(planning.Outline(made), {"Table 1": experiments.table1}).tasks
    assert [(t.kind, t.label, t.keep_checkpoint) for t in counted] == [
        (t.kind, t.label, t.keep_checkpoint) for t in plan(made, [cell.spec for cell in cells])
    ]
    assert sum(task.kind == "run" for task in counted) == len({cell.spec for cell in cells})


def test_names_do_where_data_and_weights_are_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    bare = open_workspace("paper", data_dir=str(tmp_path), results_dir=str(tmp_path / "r"), device="cpu", offline=True)
    outline = planning.Outline(bare)
    found = planning.whole(outline)
    assert set(outline.absent) == {"financial", "tweet_irony", "mrpc"}
    # CE, focal, IMP, DIMP and w/o DC on large real and on generated data, and the quality checker: 4 seeds each
    assert len(found.tables["Table 1"]) > 100 and found.counts()["of them new"].sum() == sum(
        task.kind == "run" for task in found.tasks
    )


def test_the_command_says_what_it_lacks(tmp_path: Path) -> None:
    words = ["plan", "--profile", "paper", "--data-dir", str(tmp_path), "--results-dir", str(tmp_path / "r")]
    said = CliRunner().invoke(cli, [*words, "--device", "cpu"])
    assert said.exit_code == 0, said.output
    assert "Time and disk need the texts of financial, tweet_irony, mrpc" in said.output
    assert "GB" not in said.output and " h " not in said.output and "Critical path: 2 runs" in said.output


# -- seconds and bytes -------------------------------------------------------------------------------------------------


def test_the_size_of_a_run(made: Workspace) -> None:
    """48 generated texts in batches of 16, 2 epochs; 24 of D_P' and 30 of the test set after each."""
    assert size(made, tiny.spec("ce")) == estimates.Size(steps=6, texts=2 * (24 + 30))


def test_what_the_losses_share_and_baselines_do_not() -> None:
    assert kind_of(tiny.spec("imp")) == kind_of(tiny.spec("ce")) == ("minilm-l6", "financial", "ce", "fp32")
    assert kind_of(tiny.spec("hu"))[2] == "hu" and kind_of(tiny.spec("tfidf"))[2] == "tfidf"


def test_seconds_by_hand(made: Workspace) -> None:
    costs = Costs(made, {kind_of(tiny.spec("ce")): Rate(load=1, step=10, text=0.5)})
    run, score = scores_plan(planning.Outline(made), [(Checker(tiny.spec("ce")), "financial", "test")])  # type: ignore[arg-type]
    assert costs.seconds(run) == 1 + 6 * 10 + 108 * 0.5 and costs.seconds(score) == 1 + 30 * 0.5
    assert costs.seconds(plan(made, [tiny.spec("tfidf")])[0]) is None
    assert costs.steps(run) == 6 and costs.steps(score) == 0
    weights = (made.encoder.directory / "model.safetensors").stat().st_size
    arrays = 4 * 3 * (30 + 24) + 4 * 2 * 48 + 8 * 30 + 4096  # probabilities, log p by epoch, labels, the rest
    assert costs.disk([run]) == (arrays + weights, set()) and costs.disk([score]) == (4 * 3 * 30, set())


def test_rates_come_from_this_device_alone(
    inputs: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tiny.workspace(inputs, tmp_path)
    assert estimates.measured(made) == {}
    made.run([tiny.spec("ce"), tiny.spec("quality_only")], progress=False)
    rates = estimates.measured(made)
    assert list(rates) == [kind_of(tiny.spec("ce"))]
    assert all(value > 0 for value in vars(rates[kind_of(tiny.spec("ce"))]).values())
    monkeypatch.setattr(estimates, "processor", lambda: "another machine")
    assert estimates.measured(made) == {}


def test_a_calibration_fills_what_is_unknown_and_stores_nothing(inputs: dict[str, str], tmp_path: Path) -> None:
    made = tiny.workspace(inputs, tmp_path)
    tasks = plan(made, [tiny.spec("imp"), tiny.spec("tfidf"), tiny.spec("ce", benchmark="mrpc")])
    known = kind_of(tiny.spec("ce", benchmark="mrpc"))
    assert list(estimates.calibrate(made, tasks, [known])) == [kind_of(tiny.spec("ce"))]
    assert not (made.store.root / "runs").exists() and not (made.store.root / "checkpoints").exists()
