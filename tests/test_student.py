"""Copies of the notebooks for a class: no solutions for students, and what nbgrader needs to grade them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import papermill
import pytest
import torch
from command import call

from paper_repro.teaching import student
from paper_repro.teaching.exercises import EXERCISES, check
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import NOTEBOOKS

NAMES = ("00_importance_weighting", "03_checkers", "04_train_losses", "07_theory")
# nbgrader's metadata of schema 3: https://nbgrader.readthedocs.io, "Metadata of notebook cells".
SCHEMA = {"grade": bool, "solution": bool, "locked": bool, "task": bool, "grade_id": str, "schema_version": int}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("class")
    student.write(sorted(NOTEBOOKS.glob("*.ipynb")), place)
    return place


def cells_of(path: Path) -> list[Any]:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return list(notebook.cells)


def graded(cells: list[Any]) -> dict[str, Any]:
    """nbgrader's cells by grade_id."""
    marked = [cell for cell in cells if "nbgrader" in cell.metadata]
    found = {cell.metadata.nbgrader.grade_id: cell for cell in marked}
    assert len(found) == len(marked), "each grade_id once"
    return found


def solutions(name: str) -> list[str]:
    """The code of each solution, without its line with def."""
    text = "\n".join(cell.source for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells)
    return re.findall(r"Solution \d+</summary>\n\n```python\ndef .*?\n(.*?)\n```", text, flags=re.DOTALL)


def test_all_notebooks_with_exercises_are_copied_twice(folder: Path) -> None:
    assert sorted(path.stem for path in (folder / "student").iterdir()) == list(NAMES)
    assert sorted(str(path.relative_to(folder / "source")) for path in folder.glob("source/*/*")) == [
        f"{name}/{name}.ipynb" for name in NAMES
    ]
    ids = {key for name in NAMES for key in graded(cells_of(folder / "student" / f"{name}.ipynb"))}
    assert ids == {f"exercise-{n}{part}" for n in EXERCISES for part in ("", "-check")}


@pytest.mark.parametrize("name", NAMES)
def test_the_students_copy_holds_no_solution(name: str, folder: Path) -> None:
    cells = cells_of(folder / "student" / f"{name}.ipynb")
    text = "\n".join(cell.source for cell in cells)
    assert solutions(name)
    assert not [code for code in solutions(name) if code in text]
    assert "olution is folded" not in text and "HIDDEN" not in text and "<details>" not in text
    original = cells_of(NOTEBOOKS / f"{name}.ipynb")
    kept = [cell.source for cell in cells if "nbgrader" not in cell.metadata and "exercise" not in cell.source.lower()]
    assert set(kept) <= {cell.source for cell in original}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["student", "source"])
def test_answers_are_open_and_checks_are_locked(kind: str, name: str, folder: Path) -> None:
    (path,) = (folder / kind).glob(f"**/{name}.ipynb")
    for key, cell in graded(cells_of(path)).items():
        meta, is_check = cell.metadata.nbgrader, key.endswith("-check")
        assert {field: type(meta[field]) for field in SCHEMA} == SCHEMA and meta.schema_version == 3
        assert (meta.grade, meta.locked, meta.solution, meta.task) == (is_check, is_check, not is_check, False)
        assert ("points" in meta) == is_check and meta.get("points", 1) > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_hidden_tests_pass_the_solution_and_stop_at_an_empty_answer(name: str, folder: Path) -> None:
    source = graded(cells_of(folder / "source" / name / f"{name}.ipynb"))
    empty = graded(cells_of(folder / "student" / f"{name}.ipynb"))
    for key, answer in source.items():
        if key.endswith("-check"):
            continue
        room: dict[str, Any] = {"np": np, "torch": torch, "check": check}
        exec(answer.source, room)
        exec(source[f"{key}-check"].source, room)
        exec(empty[key].source, room)
        assert eval(empty[f"{key}-check"].source, room).state == "open"
        with pytest.raises(AssertionError, match="not answered yet"):
            exec(source[f"{key}-check"].source, room)
        # what nbgrader leaves of the source is what the student's copy has, but for the line to be filled in
        released = re.sub(r"    ### BEGIN SOLUTION\n.*\n    ### END SOLUTION", "", answer.source, flags=re.DOTALL)
        assert empty[key].source.startswith(released)
        assert source[f"{key}-check"].source.split("\n### BEGIN HIDDEN")[0] == empty[f"{key}-check"].source


def test_nobodys_answers_are_overwritten(folder: Path, tmp_path: Path) -> None:
    paths = [NOTEBOOKS / "03_checkers.ipynb"]
    (first, _) = student.write(paths, tmp_path)
    student.write(paths, tmp_path)  # the same again does no harm
    first.write_text("my answers", encoding="utf-8")
    with pytest.raises(UserError, match="03_checkers.ipynb is there and differs"):
        student.write(paths, tmp_path)
    assert first.read_text(encoding="utf-8") == "my answers"


def test_a_notebook_without_exercises_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of these notebooks has exercises"):
        student.write([NOTEBOOKS / "01_generate.ipynb"], tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_copies_the_notebooks_that_are_named(tmp_path: Path) -> None:
    result = call("student", "3", "theory", "--to", tmp_path)
    assert result.exit_code == 0, result.output
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.ipynb")}
    names = ("03_checkers", "07_theory")
    assert written == {f"{place}.ipynb" for name in names for place in (f"student/{name}", f"source/{name}/{name}")}
    assert set(result.stdout.split()) == {str(tmp_path / name) for name in written}


@pytest.mark.slow
def test_an_unanswered_copy_runs_to_its_end_and_says_so(folder: Path, tmp_path: Path) -> None:
    path = folder / "student" / "00_importance_weighting.ipynb"
    few = {"profile": "smoke", "simulations": 50, "repetitions": 2}
    places = {name: str(tmp_path / name) for name in ("results_dir", "figures_dir")}
    out = tmp_path / "executed.ipynb"
    papermill.execute_notebook(path, out, parameters={**few, **places}, kernel_name="python3", progress_bar=False)
    outputs = [output for cell in cells_of(out) if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    said = "\n".join(output.get("data", {}).get("text/plain", "") for output in outputs)
    assert re.findall(r"Exercise (\d+): not answered yet", said) == ["1", "2", "3", "4", "5"]
