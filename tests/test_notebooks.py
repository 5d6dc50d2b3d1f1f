"""Parameters of notebooks, and the driver: real kernels on small notebooks made here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import command
import nbformat
import pytest

from paper_repro.report import notebooks, parameters, status
from paper_repro.runs.spec import Task
from paper_repro.runs.store import Store
from paper_repro.tools import paths as places
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths

PARAMETERS = """profile = "demo"  # which profile
workers: int = 0  # training processes
rate: float = 1
shuffle = True
results_dir = ""
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of notebooks in place of the project's; braces and spaces must not matter."""
    path = tmp_path / "a {b} c" / "notebooks"
    path.mkdir(parents=True)
    monkeypatch.setattr(places, "NOTEBOOKS", path)
    return path


@pytest.fixture
def paths(tmp_path):
    return Paths.of("demo", str(tmp_path / "results"), str(tmp_path / "figures"))


def write(folder: Path, name: str, *cells: str) -> Path:
    return command.write(folder, name, PARAMETERS, *cells)


def outputs(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.get("text", "") for cell in cells if cell.cell_type == "code" for o in cell.outputs)


def execute(paths: Paths, parameters=None) -> Path:
    return notebooks.execute("01", parameters or {}, paths=paths, echo=lambda _: None)


# -- parameters -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        ({"profile": "7", "workers": "3"}, {"profile": "7", "workers": 3}),
        ({"rate": "1e-3", "shuffle": "no"}, {"rate": 0.001, "shuffle": False}),
        ({"shuffle": "false"}, {"shuffle": False}),
        ({"workers": 2, "rate": 3, "shuffle": True}, {"workers": 2, "rate": 3.0, "shuffle": True}),
    ],
)
def test_values_and_texts_get_the_declared_type(folder, given, checked):
    found = parameters.check(write(folder, "01_a"), given)
    assert found == checked
    assert [type(value) for value in found.values()] == [type(value) for value in checked.values()]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        *[("workers", value, "must be int") for value in ("two", "2.5", 2.0, True, "abc")],
        *[("rate", value, "must be float") for value in ("fast", "nan", float("inf"))],
        *[("shuffle", value, "must be bool") for value in ("maybe", 1)],
        ("profile", 5, "must be str"),
        ("worker", 1, "did you mean 'workers'?"),
    ],
)
def test_a_wrong_value_or_name_is_refused_with_the_valid_ones_before_anything_starts(folder, paths, name, value, said):
    write(folder, "01_a", "raise SystemExit('launched')")
    with pytest.raises(UserError) as caught:
        execute(paths, {name: value})
    first, second = str(caught.value).splitlines()
    assert first.startswith("01_a: ") and said in first
    assert "workers (int, 0), rate (float, 1)" in second
    assert not paths.results_root.exists()


OPEN = "study = open_notebook('01_a', globals())"


@pytest.mark.parametrize(
    ("history", "set_to", "refused"),
    [
        ([PARAMETERS, "# Parameters\nworkers = 3\n", "import numpy", OPEN], {"workers": 3}, None),
        ([PARAMETERS, "# Parameters\nshuffle = 'false'\n", OPEN], {"shuffle": "false"}, None),
        ([PARAMETERS, "# Parameters\nwrkers = 3\n", OPEN], {"wrkers": 3}, "no parameter 'wrkers'"),
        ([PARAMETERS + "folds = 5\n", OPEN], {"folds": 5}, "no parameter 'folds'"),
        ([PARAMETERS, "# Parameters\nshuffle = 'maybe'\n", OPEN], {"shuffle": "maybe"}, "must be bool"),
        # what a notebook sets itself, and what was mended since it was opened in vain, is no parameter
        ([PARAMETERS, "sizes = (3, 4)", "%matplotlib inline", OPEN], {"sizes": (3, 4)}, None),
        ([PARAMETERS, "# Parameters\nwrkers = 3\n", OPEN, PARAMETERS, OPEN], {"wrkers": 3}, None),
    ],
)
def test_a_running_notebook_checks_what_its_cells_of_parameters_have_set(folder, history, set_to, refused):
    namespace = {"In": ["", *history], "profile": "demo", "workers": 0, "rate": 1, "shuffle": True, **set_to}
    path = write(folder, "01_a")
    if refused is None:
        found = parameters.in_effect(path, namespace)
        assert set(found) == {"profile", "workers", "rate", "shuffle"}
        assert type(found["shuffle"]) is bool and found["workers"] == namespace["workers"]
    else:
        with pytest.raises(UserError, match=refused):
            parameters.in_effect(path, namespace)


def test_a_file_that_is_no_notebook_is_named(folder):
    (folder / "02_b.ipynb").write_text('{"cells": 3', encoding="utf-8")
    with pytest.raises(UserError, match=r"02_b\.ipynb: cannot be read as a notebook"):
        parameters.declared(folder / "02_b.ipynb")


def test_a_notebook_is_found_by_number_by_part_of_its_name_or_by_file(folder):
    losses, theory = write(folder, "04_train_losses"), write(folder, "07_theory")
    for name in ("04", "4", "losses", "04_train_losses", "04_train_losses.ipynb", "notebooks/04_train_losses.ipynb"):
        assert notebooks.find(name) == losses
    assert notebooks.find("theory") == theory
    for name in ("09", "", "t"):  # not there, nothing, more than one
        with pytest.raises(UserError, match="there are: 04_train_losses, 07_theory"):
            notebooks.find(name)


# -- execution ------------------------------------------------------------------------------------------------


def test_the_kernel_is_this_python_whatever_is_installed(folder, paths, tmp_path, monkeypatch):
    wrong = tmp_path / "jupyter" / "kernels" / "python3"
    wrong.mkdir(parents=True)
    spec = {"argv": ["/bin/false", "{connection_file}"], "display_name": "wrong", "language": "python"}
    (wrong / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-personal.py").write_text("profile = 'spoiled'", encoding="utf-8")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    code = "print(sys.executable, os.path.dirname(paper_repro.__file__), os.getcwd(), profile, workers + 1, sep='\\n')"
    write(folder, "01_a", "# Title", "## Table 1", "import sys, os, paper_repro", code, "print('[runs] 1 of 2 done')")
    (paths.notebooks).mkdir(parents=True)
    (paths.notebooks / "01_a.failed.ipynb").write_text("of an earlier run", encoding="utf-8")
    told: list[str] = []
    made = notebooks.execute("01", {"workers": "4", "profile": "mini"}, paths=paths, echo=told.append)
    expected = [sys.executable, str(places.PACKAGE), str(folder), "mini", "5", "[runs] 1 of 2 done"]
    assert outputs(made).splitlines() == expected
    assert sorted(path.name for path in paths.notebooks.iterdir()) == ["01_a.ipynb"]
    assert told[:3] == ["01_a: started", "01_a: Table 1", "[runs] 1 of 2 done"], "progress comes as it is printed"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "from paper_repro.tools.errors import UserError\nraise UserError('data/x.txt is empty')",
            "cell 2 failed: data/x.txt is empty",
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "its kernel died"),
        ("import sys; sys.exit(0)", "it stopped after 2 of 3 code cells"),
        ("import sys; sys.exit(3)", "cell 2 failed: SystemExit: 3"),
    ],
    ids=["user error", "kill -9", "quiet exit", "exit with a code"],
)
def test_a_notebook_that_does_not_reach_its_end_never_looks_finished(folder, paths, cell, message):
    write(folder, "01_a", cell, "print('after')")
    with pytest.raises(notebooks.NotebookError) as caught:
        execute(paths)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"01_a: {message}")
    assert second.endswith("01_a.failed.ipynb")
    assert [path.name for path in paths.notebooks.iterdir()] == ["01_a.failed.ipynb"]
    assert "after" not in outputs(paths.notebooks / "01_a.failed.ipynb")


def test_the_state_of_a_notebook_while_it_runs_and_after_a_kill(paths):
    with status.recorded(paths, "01_a"):
        assert status.read(paths)["01_a"].status == "running"
        path = paths.results / "notebooks.json"
        text = path.read_text(encoding="utf-8").replace(f'"process": {os.getpid()}', '"process": 99999999')
        path.write_text(text, encoding="utf-8")
        assert status.read(paths)["01_a"].status == "stopped"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"notebooks\.json: cannot be read"):
        status.read(paths)


def test_failed_trainings_are_told_with_their_reason_and_an_empty_filter_is_none(paths):
    with status.recorded(paths, "01_a"):
        store = Store(paths.results)
        for key, reason, kind in (("a", "filter: nothing left", "NothingLeft"), ("b", "loss is nan", "TrainingError")):
            store.fail(Task(key * 64, "run", "a run", {}), reason, kind=kind)
    told = status.lines(paths, ["01_a", "02_b"])
    assert "02_b: not run yet" in told
    assert "- 1 failed: loss is nan" in told
    assert not [line for line in told if "nothing left" in line]


# -- the shipped notebooks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((places.project_root() / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_shipped_notebook_is_clean(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert cells[0].metadata.tags == ["parameters"]


@pytest.mark.parametrize("path", sorted((places.project_root() / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_kernel_of_another_environment_is_told_in_one_line(path, monkeypatch):
    cell = next(c for c in nbformat.read(path, as_version=4).cells if "remove-cell" in c.metadata.get("tags", []))
    monkeypatch.setitem(sys.modules, "paper_repro", None)  # as where it is not installed
    with pytest.raises(ModuleNotFoundError) as caught:
        exec(cell.source, {})
    (line,) = caught.value._render_traceback_()
    assert "make lab" in line and "\n" not in line
