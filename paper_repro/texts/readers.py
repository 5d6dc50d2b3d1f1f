"""Labelled texts from files, with the file and the line in every error.

CSV, TSV and JSON lines are read by the standard library, strictly and as strings. (``datasets`` reads them by pandas
and pyarrow, which change values silently: a short row is filled up, a surplus field moves the columns, "1" becomes 1
and "2024-05-01" a date.) Parquet and Arrow files, which carry their types, are read by ``datasets``. Two formats of
published benchmarks are here as well: ``at_sign`` ("sentence@label" in each line) and ``text_and_labels`` (one text
per line in ``x_text.txt``, its label in the same line of ``x_labels.txt``). Any file may be compressed (``.gz``) or
lie in a zip (``archive.zip::member``).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from paper_repro.texts.description import Reading
from paper_repro.tools.errors import UserError

ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "json"),
}
Records = Iterator[tuple[str, dict[str, Any]]]


class Row(NamedTuple):
    """One example: its text, its label as a class index, and the second text of a pair."""

    text: str
    label: int
    pair: str | None = None


def read(path: Path, how: Reading, labels: Mapping[str, int], *, other: Sequence[str] = ()) -> list[Row]:
    """The examples in the order of the file, without white space around them.

    ``labels`` are class indices by what the file may write for them. ``other`` are columns (text, label and for pairs
    the second text) that are taken where the file lacks those that ``how`` names. Raises UserError with file and line
    for a file that is missing, cannot be read or decoded, has no such columns or no rows; for a text that is missing,
    empty, no text, or cannot be written as UTF-8; for a label that is missing or not among ``labels``.
    """
    columns: Sequence[str] = [column for column in (how.text, how.label, how.pair) if column]
    rows = list(records(path, how, {*columns, *other, how.order}))
    if not rows:
        raise UserError(f"{path}: no examples, expected one a line")
    found = rows[0][1]
    if other and set(other) <= set(found) and not set(columns) <= set(found):
        columns = other
    for column in columns:
        if column not in found:
            names = ", ".join(repr(name[:40]) for name in list(found)[:12])
            hint = ""
            if form_of(path, how) in ("csv", "tsv"):
                hint = f"; if that is an example, the file has no header: put a line above it that names {column!r}"
            raise UserError(f"{path}: no column {column!r} in its first line; found {names or 'nothing'}{hint}")
    if how.order:
        rows.sort(key=lambda row: _number(row[0], row[1], how.order))
    return [_row(place, record, columns, labels) for place, record in rows]


def records(path: Path, how: Reading, columns: set[str]) -> Records:
    """Each row of a file with its place in words (file and line). It has at least those of ``columns`` that there are.

    Raises UserError for a file that is missing, cannot be read or decoded, or is not in its format.
    """
    form = form_of(path, how)
    if form not in FORMATS:
        known = f"{', '.join(ENDINGS)}, each perhaps with .gz"
        raise UserError(f"{path}: no reader for {form or path.suffix!r}, expected {known}; save a spreadsheet as CSV")
    how = replace(how, format=form, separator=how.separator or ("\t" if form == "tsv" else ","))
    return FORMATS[form](path, how, columns)


def form_of(path: Path, how: Reading) -> str:
    """The format that ``how`` names, else that of the file's ending; "" for an unknown one."""
    return how.format or ENDINGS.get(Path(path.name.lower().removesuffix(".gz")).suffix, "")


def _bytes(path: Path) -> bytes:
    archive, _, member = str(path).partition("::")
    try:
        raw = Path(archive).read_bytes()
        if member:
            with zipfile.ZipFile(io.BytesIO(raw)) as opened:
                return opened.read(member)
        return gzip.decompress(raw) if path.suffix.lower() == ".gz" else raw
    except FileNotFoundError:
        raise UserError(f"no file {archive}: expected labelled texts") from None
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', '') or error})") from error


def _text(path: Path, encoding: str) -> str:
    raw = _bytes(path)
    try:
        text = raw.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        found = f"{path}, line {1 + raw.count(10, 0, at)}: byte {at} is not {encoding}"
        hint = 'save the file as UTF-8, or name its encoding: encoding = "cp1252" (of init: --encoding)'
        raise UserError(f"{found}; {hint}") from error
    if (at := text.find("\0")) >= 0:
        number = 1 + text[:at].count("\n")
        raise UserError(f'{path}, line {number}: a NUL byte, expected text; is its encoding another one, "utf-16"?')
    return text


def _lines(path: Path, text: str) -> Iterator[tuple[str, str]]:
    """Each line with its place. Only a line feed ends a line: texts may hold other separators."""
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        yield f"{path}, line {number}", line


def _csv(path: Path, how: Reading, columns: set[str]) -> Records:
    csv.field_size_limit(2**31 - 1)
    lines = io.StringIO(_text(path, how.encoding), newline="")
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if how.quotes else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=how.separator, quoting=quoting, strict=True)
    header: list[str] = []
    place = f"{path}, line 1"
    try:
        for fields in reader:
            if fields and not header:
                header = [name.strip() for name in fields]
                _check_header(place, header, columns)
            elif fields and len(fields) != len(header):
                hint = "a text that holds the separator or a line break stands in double quotes"
                raise UserError(f"{place}: {len(fields)} fields, expected {len(header)}; {hint}")
            elif fields:
                yield place, dict(zip(header, fields, strict=True))
            place = f"{path}, line {reader.line_num + 1}"
    except csv.Error as error:
        hint = "a quote inside quotes is doubled; where quotes are characters like any other: quotes = false"
        raise UserError(f"{place}: not CSV ({error}); {hint}") from error


def _check_header(place: str, header: Sequence[str], columns: set[str]) -> None:
    for column in columns & set(header):
        if (count := header.count(column)) > 1:
            raise UserError(f"{place}: {count} columns are called {column!r}, expected one")
    if len(header) == 1 and (mark := next((mark for mark in ";\t|," if mark in header[0]), "")):
        hint = f"if {mark!r} parts columns: separator = {mark!r} (of init: --separator)"
        raise UserError(f"{place}: one column, {header[0][:60]!r}; {hint}")


def _json(path: Path, how: Reading, columns: set[str]) -> Records:
    """One object a line, or one list of objects. Numbers stay as they are written."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(found := dict(pairs)) != len(pairs):
            raise ValueError(f"a key stands twice: {', '.join(repr(key) for key, _ in pairs)}")
        return found

    def parse(place: str, content: str) -> Any:
        numbers: dict[str, Any] = {"parse_int": str, "parse_float": str, "parse_constant": lambda name: None}
        try:
            return json.loads(content, object_pairs_hook=once, **numbers)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: not JSON ({error}), expected one object a line") from error

    text = _text(path, how.encoding)
    if text.lstrip().startswith("["):
        entries = [(f"{path}, entry {number}", found) for number, found in enumerate(parse(str(path), text), 1)]
    else:
        entries = [(place, parse(place, line)) for place, line in _lines(path, text) if line.strip()]
    for place, record in entries:
        if not isinstance(record, dict):
            raise UserError(f"{place}: found {_shown(record)}, expected an object in braces")
        yield place, record


def _columnar(path: Path, how: Reading, columns: set[str]) -> Records:
    import datasets  # late: it takes seconds

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:  # not the cache in the user's home; and any name of a file will do
        file = Path(folder) / f"data.{how.format}"
        file.write_bytes(_bytes(path))
        try:
            table = datasets.load_dataset(
                how.format, data_files=str(file), split="train", cache_dir=folder, keep_in_memory=True
            ).data
            rows = table.select([name for name in table.column_names if name in columns]).to_pylist()
        except Exception as error:  # the library's own, pyarrow's and built-in ones
            reason = str(error.__cause__ or error).strip().split("\n")[0][:200]
            raise UserError(f"{path}: cannot be read as {how.format} ({reason})") from error
    for number, row in enumerate(rows, 1):
        yield f"{path}, row {number}", row


def _at_sign(path: Path, how: Reading, columns: set[str]) -> Records:
    for place, line in _lines(path, _text(path, how.encoding)):
        sentence, at, label = line.rpartition("@")
        if not at:
            raise UserError(f"{place}: no '@' between sentence and label, expected 'sentence@label'")
        yield place, {how.text: sentence, how.label: label}


def _text_and_labels(path: Path, how: Reading, columns: set[str]) -> Records:
    beside = path.with_name(path.name.replace("_text", "_labels"))
    texts, labels = (list(_lines(file, _text(file, how.encoding))) for file in (path, beside))
    if len(texts) != len(labels):
        raise UserError(f"{path}: {len(texts)} lines, but {beside.name} has {len(labels)}; expected one label a text")
    for (place, text), (_, label) in zip(texts, labels, strict=True):
        yield place, {how.text: text, how.label: label}


FORMATS: Mapping[str, Callable[[Path, Reading, set[str]], Records]] = {
    "csv": _csv,
    "tsv": _csv,
    "json": _json,
    "parquet": _columnar,
    "arrow": _columnar,
    "at_sign": _at_sign,
    "text_and_labels": _text_and_labels,
}


def _row(place: str, record: Mapping[str, Any], columns: Sequence[str], labels: Mapping[str, int]) -> Row:
    values = []
    for column in columns:
        value = record.get(column)
        if column == columns[1] and isinstance(value, bool | int | float) and value == value:  # nan is none
            value = str(value).lower() if isinstance(value, bool) else str(value)  # bool as JSON writes it
        if not isinstance(value, str) or not value.strip():
            raise UserError(f"{place}: {column} is {_shown(value)}; expected text that is not empty")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            found = f"half a surrogate pair ({value[error.start]!a}), as of an answer cut inside an emoji"
            raise UserError(f"{place}: {column} holds {found}; mend it or take the line out") from None
        values.append(value.strip())
    text, label, *pair = values
    try:
        return Row(text, labels[label], *pair)
    except KeyError:
        known = ", ".join(map(repr, list(labels)[:20])) + (f" ... ({len(labels)} in all)" if len(labels) > 20 else "")
        raise UserError(f"{place}: label {_shown(label)}, expected one of {known}") from None


def _shown(value: Any) -> str:
    """A value on one line, short, without control characters that a terminal would obey."""
    shown = "missing (null)" if value is None else repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


def _number(place: str, record: Mapping[str, Any], column: str) -> int:
    try:
        return int(record[column])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{place}: {column} is {_shown(record.get(column))}, expected a whole number") from None
