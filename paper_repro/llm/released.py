"""The D_Q that the paper's authors released for MRPC, from a folder as Weights & Biases downloads it.

The package asks no Weights & Biases itself; who has its client gets the folder once by ::

    wandb artifact get hsunyu/DIMP-Loss/synthetic_few-shot_glue_mrpc:latest --root FOLDER

The authors' training script reads such a folder thus, and so does this module: the training set is the file with
"train" in its name, CSV or JSON; besides ``label`` the first two columns are the sentences (``sentence1`` and
``sentence2``, where there are columns of these names).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paper_repro.texts.pools import Pool
from paper_repro.texts.prompts import Template
from paper_repro.tools.errors import UserError

COMMAND = "wandb artifact get hsunyu/DIMP-Loss/synthetic_few-shot_glue_mrpc:latest --root FOLDER"
ENDINGS = (".csv", ".json", ".jsonl")


def read_released(folder: Path, form: Template) -> Pool:
    """The training set in ``folder`` as a D_Q. Raises UserError with file and row for what is not usable."""
    path = _training_file(folder)
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason})") from None
    rows = _csv_rows(content) if path.suffix == ".csv" else _json_rows(path, content)
    if not rows:
        raise UserError(f"{path}: holds no rows")
    columns = _text_columns(path, rows[0], 2 if form.paired else 1)
    texts = [[_text(path, number, row, column) for column in columns] for number, row in enumerate(rows, 1)]
    labels = [_label(path, number, row, form) for number, row in enumerate(rows, 1)]
    pairs = tuple(row[1] for row in texts) if form.paired else None
    return Pool("generated", tuple(row[0] for row in texts), np.array(labels, dtype=np.int64), pairs)


def _training_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; the authors' files come by: {COMMAND}")
    files = sorted(path for path in folder.iterdir() if "train" in path.name and path.suffix in ENDINGS)
    if len(files) != 1:
        found = ", ".join(path.name for path in files or sorted(folder.iterdir())) or "nothing"
        raise UserError(f"{folder}: expected one CSV or JSON file with 'train' in its name, found {found}")
    return files[0]


def _csv_rows(content: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(content, newline="")))


def _json_rows(path: Path, content: str) -> list[dict[str, Any]]:
    """One object a line, a list of objects, or an object of columns (as pandas writes them)."""
    try:
        try:
            value = json.loads(content)
        except json.JSONDecodeError:
            value = [json.loads(line) for line in content.splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON ({error.msg}, line {error.lineno})") from None
    if isinstance(value, dict) and all(isinstance(column, list | dict) for column in value.values()):
        columns = {
            name: list(column.values() if isinstance(column, dict) else column) for name, column in value.items()
        }
        value = [dict(zip(columns, cells, strict=False)) for cells in zip(*columns.values(), strict=False)]
    value = [value] if isinstance(value, dict) else value
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise UserError(f"{path}: expected objects with texts and label")
    return value


def _text_columns(path: Path, row: Mapping[str, Any], count: int) -> list[str]:
    named = [name for name in ("sentence1", "sentence2") if name in row]
    others = [name for name in row if name != "label"]
    if "label" not in row or len(others) < count:
        raise UserError(f"{path}: columns {', '.join(map(str, row))}; expected label and {count} with texts")
    return named if len(named) == count else others[:count]


def _text(path: Path, number: int, row: Mapping[str, Any], column: str) -> str:
    text = row.get(column)
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"{path}, row {number}: {column} = {text!r}; expected a text that is not empty")
    return text.strip()


def _label(path: Path, number: int, row: Mapping[str, Any], form: Template) -> int:
    word = str(row.get("label")).strip().removesuffix(".0")
    if word not in form.labels:
        raise UserError(f"{path}, row {number}: label {row.get('label')!r}; expected one of {', '.join(form.labels)}")
    return form.labels.index(word)
