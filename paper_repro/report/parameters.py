"""The parameters of a notebook: what its ``parameters`` cell declares, and whether given values fit.

papermill by itself only warns about a parameter that a notebook does not have, and passes any value on.
"""

from __future__ import annotations

import ast
import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paper_repro.tools.errors import UserError

# Those that mean the same in every notebook that has them; the options of `paper-repro run` set them.
FOLDERS = ("data_dir", "encoder_dir", "results_dir", "figures_dir")
COMMON = ("profile", "benchmark_file", "device", "workers", "scheduler", *FOLDERS)

TYPES: Mapping[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
INJECTED = "# Parameters\n"  # the first line of the cell that papermill puts below a notebook's parameters cell
OPENING = "open_notebook("


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell."""

    name: str
    type: type
    default: object

    def __str__(self) -> str:
        return f"{self.name} ({self.type.__name__}, {self.default!r})"


def declared(notebook: Path) -> dict[str, Parameter]:
    """The typed scalars of the cell tagged ``parameters``, by name.

    A parameter's type is its annotation, else that of its value. UserError for a file that is no notebook.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
        source = "".join(tagged[0]["source"]) if tagged else ""
        values, annotations = _assignments(source), _annotations(source)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError) as error:
        raise UserError(f"{notebook}: cannot be read as a notebook ({type(error).__name__}: {error})") from error
    return {
        name: Parameter(name, TYPES.get(annotations.get(name, ""), type(value)), value)
        for name, value in values.items()
    }


def check(notebook: Path, given: Mapping[str, object]) -> dict[str, Any]:
    """``given`` in the types that the notebook declares; texts (from a command line) are converted.

    Raises UserError for a name that the notebook does not declare or a value of another type, with the valid names.
    """
    known = declared(notebook)
    listing = ", ".join(map(str, known.values())) or "none"
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"{notebook.stem}: it has no parameter {name!r}{hint}\nIts parameters are: {listing}")
        try:
            checked[name] = convert(value, known[name].type)
        except ValueError:
            wanted = known[name].type.__name__
            raise UserError(
                f"{notebook.stem}: parameter {name!r} must be {wanted}, found {value!r}\nIts parameters are: {listing}"
            ) from None
    return checked


def in_effect(notebook: Path, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """A running notebook's parameters, read from its ``namespace`` (``globals()``) and checked.

    Besides :func:`check`, UserError for whatever the parameters cell, or the one that papermill put below it, sets
    and the notebook does not declare.
    """
    known = declared(notebook)
    set_there = dict.fromkeys(name for cell in _parameter_cells(namespace.get("In", ()), known) for name in cell)
    return check(notebook, {name: namespace[name] for name in {**known, **set_there} if name in namespace})


def _parameter_cells(history: Sequence[str], known: Mapping[str, Parameter]) -> list[dict[str, object]]:
    """What each cell of parameters has set, among the cells that were executed since the notebook was last opened."""
    found: list[dict[str, object]] = []
    for source in reversed(history[:-1]):  # the last one is being executed
        if OPENING in source:
            break
        values = _assignments(source) if _only_assigns(source) else {}
        if source.startswith(INJECTED) or set(values) & set(known):
            found.append(values)
    return found


def _only_assigns(source: str) -> bool:
    try:
        return all(isinstance(statement, ast.Assign | ast.AnnAssign) for statement in ast.parse(source).body)
    except SyntaxError:  # a magic, say
        return False


def _assignments(source: str) -> dict[str, object]:
    """The literals that a piece of code gives to names."""
    values = {}
    for statement in ast.parse(source).body:
        target = statement.target if isinstance(statement, ast.AnnAssign) else None
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]
        if isinstance(target, ast.Name) and isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
            try:
                values[target.id] = ast.literal_eval(statement.value)
            except ValueError:
                continue
    return values


def _annotations(source: str) -> dict[str, str]:
    annotated = [statement for statement in ast.parse(source).body if isinstance(statement, ast.AnnAssign)]
    return {ast.unparse(statement.target): ast.unparse(statement.annotation) for statement in annotated}


def convert(value: object, wanted: type) -> object:
    """``value`` as ``wanted``, from a text where it is one; ValueError where that loses or invents anything."""
    if isinstance(value, str) and wanted is not str:
        return _parse(value.strip(), wanted)
    if wanted is float and type(value) is int:
        return float(value)
    # bool is a subclass of int, yet True is not a number that anybody means.
    if type(value) is not wanted or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(value)
    return value


def _parse(text: str, wanted: type) -> object:
    if wanted is bool:
        if text.lower() not in TRUTHS:
            raise ValueError(text)
        return TRUTHS[text.lower()]
    if wanted in (int, float):
        return convert(wanted(text), wanted)
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, MemoryError) as error:
        raise ValueError(text) from error
    return convert(value, wanted)
