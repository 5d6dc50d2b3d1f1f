"""Labelled texts from a file of one's own: a CSV with a header line, or JSON lines. Both in UTF-8."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paper_repro.texts.original_files import Row
from paper_repro.tools.errors import UserError

SUFFIXES = (".csv", ".jsonl")


@dataclass(frozen=True)
class Columns:
    """The columns (of a CSV) or keys (of JSON lines) that hold the text, its label and the text that it is paired with.

    Whatever else the file holds is not looked at.
    """

    text: str = "text"
    label: str = "label"
    pair: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.text,) if self.pair is None else (self.text, self.pair)


def read_rows(path: Path, columns: Columns, labels: Sequence[str]) -> list[Row]:
    """The examples in the order of the file, without white space around them; ``labels`` by class index.

    Raises UserError with file and line for a file that is missing, in another encoding, no CSV or no JSON lines, or
    without one of the columns, and for an empty text or an unknown label.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: expected a file of the kind {' or '.join(SUFFIXES)}")
    records = _csv if path.suffix == ".csv" else _json_lines
    rows = [_row(place, record, columns, labels) for place, record in records(path, _text(path), columns)]
    if not rows:
        raise UserError(f"{path}: no examples, expected one a line")
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"Missing file {path}: expected labelled texts") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8, expected UTF-8: save the file as UTF-8") from error


def _csv(path: Path, text: str, columns: Columns) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for name in (*columns.texts, columns.label):
            if name not in header:
                raise UserError(f"{path}: no column {name!r} in its first line; found {', '.join(header) or 'nothing'}")
        before = reader.line_num
        for fields in reader:
            place, before = f"{path}, line {before + 1}", reader.line_num
            if not fields:
                continue
            if len(fields) != len(header):
                hint = "a text that holds a comma or a line break stands in double quotes"
                raise UserError(f"{place}: {len(fields)} fields, expected {len(header)}; {hint}")
            yield place, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not CSV ({error})") from error


def _json_lines(path: Path, text: str, columns: Columns) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UserError(f"{place}: not JSON ({error}), expected one object a line") from error
        yield place, record if isinstance(record, dict) else {}


def _row(place: str, record: Mapping[str, Any], columns: Columns, labels: Sequence[str]) -> Row:
    texts = []
    for column in columns.texts:
        text = record.get(column)
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{place}: {column!r} is missing, empty or not a text")
        texts.append(text.strip())
    label = str(record.get(columns.label)).strip()
    if label not in labels:
        raise UserError(f"{place}: label {label[:40]!r}, expected one of {', '.join(labels)}")
    return Row(texts[0], labels.index(label), texts[1] if columns.pair else None)
