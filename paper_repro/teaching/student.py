"""Notebooks for a class: copies without solutions for students, and with solutions for nbgrader.

The cell of an exercise becomes two, marked with nbgrader's metadata (schema 3): the student's answer, and a locked
cell that checks it. nbgrader is not needed to make or to use the copies.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_whole

POINTS = 1
"""Of each exercise."""
STUB = re.compile(r"^    return .*  # your answer$", re.MULTILINE)
FOLDED = " A solution is folded away below each."
"""What the notebooks say of their solutions, and a copy without them does not."""
HIDDEN = """
### BEGIN HIDDEN TESTS
assert {call}.state == "right", {call}
### END HIDDEN TESTS"""
"""nbgrader takes these lines out of what students get and puts them back when it grades."""


def write(notebooks: Iterable[Path], folder: Path) -> list[Path]:
    """``student/NAME.ipynb`` and ``source/NAME/NAME.ipynb`` in ``folder``, for each notebook that has exercises.

    UserError where no notebook has any, or where a file is in the way that is not what would be written: it may hold
    somebody's answers.
    """
    made: dict[Path, bytes] = {}
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        if any(map(exercise_of, notebook.cells)):
            made[folder / "student" / path.name] = _bytes(for_class(notebook))
            made[folder / "source" / path.stem / path.name] = _bytes(for_class(notebook, solutions=True))
    if not made:
        raise UserError("none of these notebooks has exercises; expected some of 00, 03, 04 and 07")
    for target, content in made.items():
        if target.exists() and target.read_bytes() != content:
            raise UserError(f"{target} is there and differs; move it away, or name another folder with --to")
    for target, content in made.items():
        write_whole(target, content)
    return list(made)


def for_class(notebook: NotebookNode, *, solutions: bool = False) -> NotebookNode:
    """A copy with nbgrader's cells. With ``solutions`` it is the source that nbgrader makes its own release from."""
    made, cells = copy.deepcopy(notebook), []
    for cell, below in pairwise([*made.cells, nbformat.v4.new_markdown_cell("")]):
        if number := exercise_of(cell):
            cells += _answer_and_check(cell, number, below.source if solutions else "")
        elif "solution" not in cell.metadata.get("tags", []):
            cell.source = cell.source.replace(FOLDED, "")
            cells.append(cell)
    made.cells = cells
    return made


def exercise_of(cell: NotebookNode) -> str:
    """The number of the exercise that a cell asks for; "" for any other cell."""
    tags: Sequence[str] = cell.metadata.get("tags", [])
    return next((tag.removeprefix("exercise-") for tag in tags if tag.startswith("exercise-")), "")


def _answer_and_check(cell: NotebookNode, number: str, solution: str) -> list[NotebookNode]:
    """The two cells of an exercise; ``solution`` is the folded cell below it, "" to leave it out."""
    answer, call = cell.source.rsplit("\n\n\n", 1)
    check = copy.deepcopy(cell)
    check.id = f"{cell.id}-check"
    cell.source, check.source = answer, call
    if solution:
        (found,) = re.findall(r"```python\n.*?\n(.*?)\n```", solution, flags=re.DOTALL)  # all but its line with def
        body = f"    ### BEGIN SOLUTION\n{found}\n    ### END SOLUTION"
        cell.source = STUB.sub(lambda _: body, answer)
        check.source += HIDDEN.format(call=call)
    common: dict[str, Any] = {"schema_version": 3, "task": False}
    written = {"grade": False, "solution": True, "locked": False, "grade_id": f"exercise-{number}"}
    graded = {"grade": True, "solution": False, "locked": True, "grade_id": f"exercise-{number}-check"}
    cell.metadata["nbgrader"] = {**written, **common}
    check.metadata["nbgrader"] = {**graded, "points": POINTS, **common}
    return [cell, check]


def _bytes(notebook: NotebookNode) -> bytes:
    nbformat.validate(notebook)
    return (nbformat.writes(notebook) + "\n").encode()
