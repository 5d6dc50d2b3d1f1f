"""The notebook driver: real kernels on small notebooks made here."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from paper_repro.report import notebook_html, notebooks, parameters, status
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


def write(folder: Path, name: str, *cells: str, parameters: str = PARAMETERS, products=()) -> Path:
    """A notebook; a cell that begins with "#" and a space is Markdown."""
    made = [new_code_cell(parameters, metadata={"tags": ["parameters"]})] if parameters else []
    made += [new_markdown_cell(c) if c.startswith(("# ", "## ")) else new_code_cell(c) for c in cells]
    notebook = new_notebook(cells=made)
    # The kernel that it asks for does not exist anywhere: the driver must not care.
    notebook.metadata.kernelspec = {"name": "nowhere", "display_name": "?", "language": "python"}
    notebook.metadata.language_info = {"name": "python"}
    if products:
        notebook.metadata["paper_repro"] = {"products": list(products)}
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def outputs(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.get("text", "") for cell in cells if cell.cell_type == "code" for o in cell.outputs)


# -- checking before the launch -----------------------------------------------------------------------------


def test_parameters_have_the_declared_types(folder):
    found = parameters.declared(write(folder, "01_a"))
    assert [(p.name, p.type, p.default) for p in found.values()] == [
        ("profile", str, "demo"),
        ("workers", int, 0),
        ("rate", float, 1),
        ("shuffle", bool, True),
        ("results_dir", str, ""),
    ]


def test_texts_are_converted_by_the_declared_type(folder):
    given = {"profile": "7", "workers": "3", "rate": "1e-3", "shuffle": "no"}
    checked = parameters.check(write(folder, "01_a"), given)
    assert checked == {"profile": "7", "workers": 3, "rate": 0.001, "shuffle": False}
    assert [type(value) for value in checked.values()] == [str, int, float, bool]


def test_values_of_the_right_type_pass_and_a_whole_number_is_a_float_too(folder):
    checked = parameters.check(write(folder, "01_a"), {"workers": 2, "rate": 3, "shuffle": True})
    assert checked == {"workers": 2, "rate": 3.0, "shuffle": True}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", "two"),
        ("workers", "2.5"),
        ("workers", 2.0),
        ("workers", True),
        ("rate", "fast"),
        ("rate", "nan"),
        ("rate", float("inf")),
        ("shuffle", "perhaps"),
        ("shuffle", 1),
        ("profile", 5),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_valid_names(folder, name, value):
    with pytest.raises(UserError) as caught:
        parameters.check(write(folder, "01_a"), {name: value})
    lines = str(caught.value).splitlines()
    assert f"01_a: parameter '{name}' must be" in lines[0]
    assert repr(value) in lines[0]
    assert "workers (int, 0), rate (float, 1)" in lines[1]
    assert len(lines) == 2


def test_an_unknown_parameter_is_refused_with_a_suggestion(folder):
    with pytest.raises(UserError) as caught:
        parameters.check(write(folder, "01_a"), {"worker": 1})
    assert "01_a: it has no parameter 'worker'; did you mean 'workers'?" in str(caught.value)
    assert "profile (str, 'demo')" in str(caught.value)


def test_nothing_is_launched_and_nothing_written_for_a_wrong_parameter(folder, paths):
    write(folder, "01_a")
    with pytest.raises(UserError, match="no parameter 'sed'"):
        notebooks.execute("01_a", {"sed": 1}, paths=paths)
    assert not paths.results_root.exists()


def test_a_file_that_is_no_notebook_is_named(folder):
    (folder / "02_b.ipynb").write_text('{"cells": 3', encoding="utf-8")
    with pytest.raises(UserError, match=r"02_b\.ipynb: cannot be read as a notebook"):
        parameters.check(folder / "02_b.ipynb", {})


def test_a_notebook_is_found_by_number_name_or_file_name(folder):
    path = write(folder, "04_train_losses")
    for name in ("04", "04_train_losses", "04_train_losses.ipynb", "notebooks/04_train_losses.ipynb"):
        assert notebooks.find(name) == path
    with pytest.raises(UserError, match="notebook '09' is not known; there are: 04_train_losses"):
        notebooks.find("09")


# -- execution ----------------------------------------------------------------------------------------------


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
    write(
        folder,
        "01_a",
        "import sys, os, paper_repro",
        "print(sys.executable, os.path.dirname(paper_repro.__file__), sep='\\n')",
        "print(os.environ['PAPER_REPRO_RESULTS'], os.getcwd(), profile, workers + 1, sep='\\n')",
    )
    lines: list[str] = []
    out = notebooks.execute("01", {"workers": "4", "profile": "mini"}, paths=paths, echo=lines.append)
    assert out == paths.notebooks / "01_a.ipynb"
    assert outputs(out).splitlines() == [
        sys.executable,
        str(places.PACKAGE),
        str(paths.results_root),
        str(folder),
        "mini",
        "5",
    ]
    assert sorted(p.name for p in paths.notebooks.iterdir()) == ["01_a.html", "01_a.ipynb"]
    assert lines[0] == "01_a: started"
    assert re.fullmatch(r"01_a: finished in 0:\d\d", lines[-1])


def test_progress_lines_and_headings_are_passed_on_as_they_come(folder, paths):
    write(
        folder,
        "01_a",
        "# Title",
        "## Table 1",
        "print('noise'); print('[runs] 1 of 2', end='', flush=True); print(' done')",
        "import sys; sys.stdout.write('[runs] 2 of 2 done')",
    )
    lines: list[str] = []
    notebooks.execute("01", {}, paths=paths, echo=lines.append)
    assert lines[1:-1] == ["01_a: Table 1", "[runs] 1 of 2 done", "[runs] 2 of 2 done"]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1 / 0", "cell 2 failed: ZeroDivisionError: division by zero"),
        (
            "from paper_repro.tools.errors import UserError\nraise UserError('data/x.txt is empty')",
            "cell 2 failed: data/x.txt is empty",
        ),
        ("import os; os._exit(0)", "its kernel died"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "its kernel died"),
        ("import sys; sys.exit(0)", "it stopped after 2 of 3 code cells"),
        ("import sys; sys.exit(3)", "cell 2 failed: SystemExit: 3"),
    ],
    ids=["exception", "user error", "exit of the process", "kill -9", "quiet exit", "exit with a code"],
)
def test_a_notebook_that_does_not_reach_its_end_never_looks_finished(folder, paths, cell, message):
    write(folder, "01_a", cell, "print('after')")
    with pytest.raises(notebooks.NotebookError) as caught:
        notebooks.execute("01", {}, paths=paths, echo=lambda _: None)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"01_a: {message}")
    assert second.endswith("01_a.failed.ipynb")
    assert [p.name for p in paths.notebooks.iterdir()] == ["01_a.failed.ipynb"]
    assert "after" not in outputs(paths.notebooks / "01_a.failed.ipynb")


def test_success_takes_the_failed_copy_and_dead_leftovers_away(folder, paths):
    write(folder, "01_a", "print('well')")
    paths.notebooks.mkdir(parents=True)
    (paths.notebooks / "01_a.failed.ipynb").write_text("old", encoding="utf-8")
    (paths.notebooks / ".01_a.99999999.ipynb").write_text("of a killed process", encoding="utf-8")
    (paths.notebooks / f".01_a.{os.getppid()}.ipynb").write_text("of a living one", encoding="utf-8")
    notebooks.execute("01", {}, paths=paths, echo=lambda _: None)
    names = {p.name for p in paths.notebooks.iterdir()}
    assert names == {"01_a.html", "01_a.ipynb", f".01_a.{os.getppid()}.ipynb"}


# -- pages --------------------------------------------------------------------------------------------------


def test_the_page_shows_formulas_pictures_and_widgets_and_loads_nothing(folder, paths):
    write(
        folder,
        "01_a",
        r"# Weights: $w = \frac{P'}{Q}$" + "\n\n$$\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}$$",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
        "import pandas as pd\npd.DataFrame({'text': ['<script>alert(1)</script>']})",
        "import ipywidgets\nipywidgets.IntSlider()",
    )
    page = notebooks.execute("01", {}, paths=paths, echo=lambda _: None).with_suffix(".html")
    text = page.read_text(encoding="utf-8")
    assert notebook_html.external_resources(text) == []
    assert "<script" not in text
    assert "<mfrac>" in text
    assert "<mtable" in text
    assert "data:image/png;base64," in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "IntSlider(value=0)" in text


@pytest.mark.parametrize(
    ("page", "count"),
    [
        ('<script src="https://x.org/a.js"></script>', 1),
        ("<img alt='' src='//x.org/a.png'>", 1),
        ("<link rel=stylesheet href=http://x.org/a.css>", 1),
        ("<style>@import url(https://x.org/a.css);</style>", 1),
        ('<a href="https://x.org">paper</a> <img src="data:image/png;base64,AA=="> <math xmlns="http://w3">', 0),
    ],
)
def test_external_resources_are_what_a_browser_would_fetch(page, count):
    assert len(notebook_html.external_resources(page)) == count


def test_a_formula_that_cannot_be_converted_is_shown_as_written():
    assert notebook_html.math("a<b^c^d", display=False) == "<code>a&lt;b^c^d</code>"


# -- several notebooks --------------------------------------------------------------------------------------


def test_one_failure_does_not_stop_the_others_and_is_kept(folder, paths):
    write(folder, "01_a", "raise ValueError('no')")
    write(folder, "02_b", "assert workers == 2")
    lines: list[str] = []
    ended = notebooks.run_all({"01_a": {}, "02_b": {"workers": 2}}, paths=paths, echo=lines.append)
    assert {name: outcome.status for name, outcome in ended.items()} == {"01_a": "failed", "02_b": "done"}
    assert ended["01_a"].error.startswith("01_a: cell 2 failed: ValueError: no\n")
    assert ended["01_a"].error in lines
    assert status.read(paths) == ended
    assert not list(paths.results.glob(".*.json.[0-9]*"))


def test_a_notebook_whose_process_was_killed_is_told_as_stopped(paths):
    outcome = status.begin(paths, "01_a")
    assert status.read(paths)["01_a"].status == "running"
    text = (paths.results / "notebooks.json").read_text(encoding="utf-8")
    gone = text.replace(f'"process": {os.getpid()}', '"process": 99999999')
    (paths.results / "notebooks.json").write_text(gone, encoding="utf-8")
    assert status.read(paths)["01_a"].status == "stopped"
    assert outcome.status == "running"


def test_a_damaged_state_is_named(paths):
    paths.results.mkdir(parents=True)
    (paths.results / "notebooks.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"notebooks\.json: cannot be read .* remove it, nothing else is lost"):
        status.read(paths)


def test_a_notebook_names_its_products_in_its_metadata(folder):
    assert notebooks.products_of(write(folder, "01_a", products=["table1", "figure1"])) == ["table1", "figure1"]
    assert notebooks.products_of(write(folder, "02_b")) == []


GOOD = {
    "notebook": "04_train_losses",
    "written": "2026-01-01T00:00:05+00:00",
    "complete": True,
    "completeness": "complete",
    # printf 'method\n' | sha256sum
    "files": {"t.csv": "9267048380ff1914ceccf8b22a01c81a525e3f49997ef5790e02b6267919f4ca"},
}


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({}, None),
        ({"written": "2025-12-31T23:59:59+00:00"}, "left from an earlier run"),
        ({"complete": False, "completeness": "3 of 4 runs"}, "3 of 4 runs"),
        ({"files": {"t.csv": "0" * 64}}, "t.csv differs from what the manifest says"),
        ({"files": {"gone.csv": GOOD["files"]["t.csv"]}}, "gone.csv differs from what the manifest says"),
    ],
)
def test_a_product_must_be_new_whole_and_as_it_was_hashed(tmp_path, entry, fault):
    (tmp_path / "t.csv").write_text("method\n", encoding="utf-8")
    started = status.Outcome("04_train_losses", "2026-01-01T00:00:00+00:00", process=1, host="")
    products = {"table1": {**GOOD, **entry}}
    told = status.gaps(tmp_path, products, {"04_train_losses": started}, {})
    assert told == ([] if fault is None else [f"04_train_losses: table1: {fault}"])


def test_what_is_made_on_demand_may_be_older_but_must_be_whole(tmp_path):
    (tmp_path / "t.csv").write_text("method\n", encoding="utf-8")
    started = {"04_train_losses": status.Outcome("04_train_losses", "2027-01-01T00:00:00+00:00", process=1, host="")}
    assert status.gaps(tmp_path, {"table1": GOOD}, started, {}, {"table1"}) == []
    (tmp_path / "t.csv").unlink()
    told = status.gaps(tmp_path, {"table1": GOOD}, started, {}, {"table1"})
    assert told == ["04_train_losses: table1: t.csv differs from what the manifest says"]


def test_on_demand_products_are_told_from_the_others(folder):
    assert notebooks.products_of(write(folder, "01_a", products=["table1"]), on_demand=True) == []
    shipped = places.project_root() / "notebooks" / "07_theory.ipynb"
    assert "limits_growing" in notebooks.products_of(shipped, on_demand=True)
    assert "limits_growing" not in notebooks.products_of(shipped)


def test_a_product_that_is_declared_must_be_there(tmp_path):
    started = status.Outcome("04_train_losses", "2026-01-01T00:00:00+00:00", process=1, host="")
    declared = {"04_train_losses": ["table1"]}
    told = status.gaps(tmp_path, {}, {"04_train_losses": started}, declared)
    assert told == ["04_train_losses: table1: not in the manifest"]
    assert status.gaps(tmp_path, {}, {}, declared) == [], "a notebook that failed is told once"


@pytest.mark.parametrize("path", sorted((places.project_root() / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_shipped_notebook_is_clean_and_its_cells_are_short(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    lengths = sorted(len(cell.source.splitlines()) for cell in cells)
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert lengths[-1] <= 25 and lengths[len(lengths) // 2] <= 8
    assert cells[0].metadata.tags == ["parameters"]
