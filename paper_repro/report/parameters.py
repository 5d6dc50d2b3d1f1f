"""The parameters of a notebook: what its ``parameters`` cell declares, and whether given values fit.

papermill by itself only warns about a parameter that a notebook does not have, and passes any value on.
"""

from __future__ import annotations

import ast
import difflib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
        return _assigned("".join(tagged[0]["source"])) if tagged else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError) as error:
        raise UserError(f"{notebook}: cannot be read as a notebook ({type(error).__name__}: {error})") from error


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


def distribute(
    chosen: Sequence[Path], common: Mapping[str, object], extra: Sequence[tuple[str, str]]
) -> dict[str, dict[str, object]]:
    """The parameters of each chosen notebook: the common ones and the extra ones that it has, checked.

    Raises UserError for an extra parameter that none of them has, or that an option sets.
    """
    has = {path: declared(path) for path in chosen}
    for name, _ in extra:
        if name in COMMON:
            option = name.removesuffix("_file").replace("_", "-")
            raise UserError(f"-p {name}: use --{option} instead, it is the same for all notebooks")
        if not any(name in names for names in has.values()):
            listing = "; ".join(
                f"{path.stem}: {', '.join(sorted(set(names) - set(COMMON)))}" for path, names in has.items()
            )
            raise UserError(f"-p {name}: no chosen notebook has this parameter\nThey have: {listing}")
    # A setting that was not given is left to the notebook's own default.
    given = {name: value for name, value in common.items() if value not in ("", 0, "auto")} | dict(extra)
    return {
        path.stem: check(path, {name: value for name, value in given.items() if name in names})
        for path, names in has.items()
    }


def in_effect(notebook: Path, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """A running notebook's parameters, read from its ``namespace`` (``globals()``) and checked.

    Besides :func:`check`, UserError for whatever the parameters cell, or the one that papermill put below it, sets
    and the notebook does not declare.
    """
    known, wanted = declared(notebook), dict.fromkeys(declared(notebook))
    for source in reversed(namespace.get("In", [])[:-1]):  # IPython's history, of which the last cell is being executed
        if OPENING in source:
            break
        if _only_assigns(source) and (source.startswith(INJECTED) or set(_assigned(source)) & set(known)):
            wanted |= dict.fromkeys(_assigned(source))
    return check(notebook, {name: namespace[name] for name in wanted if name in namespace})


def _assigned(source: str) -> dict[str, Parameter]:
    """The literals that a piece of code gives to names, with the types that it declares."""
    found = {}
    for statement in ast.parse(source).body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
                kind = ast.unparse(annotation)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                kind = ""
            case _:
                continue
        with suppress(ValueError):  # no literal
            default = ast.literal_eval(value)
            found[name] = Parameter(name, TYPES.get(kind, type(default)), default)
    return found


def _only_assigns(source: str) -> bool:
    try:
        return all(isinstance(statement, ast.Assign | ast.AnnAssign) for statement in ast.parse(source).body)
    except SyntaxError:  # a magic, say
        return False


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
