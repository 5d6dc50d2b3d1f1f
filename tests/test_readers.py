"""Files of labelled texts: what is read is what was written, and what cannot be is refused with its place."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paper_repro.texts import readers
from paper_repro.texts.description import Reading
from paper_repro.texts.readers import Row
from paper_repro.tools.errors import UserError

LABELS = {"bad": 0, "good": 1}


def read(folder: Path, name: str, content: bytes, labels: dict[str, int] | None = None, **how: object) -> list[Row]:
    (folder / name).write_bytes(content)
    return readers.read(folder / name, Reading(**how), LABELS if labels is None else labels)  # type: ignore[arg-type]


ROWS = [Row("a lamp, broken", 0), Row('he said "fine"', 1), Row("two\nlines", 1), Row("NA", 0), Row("2024-05-01", 1)]


def table(rows: list[Row], separator: str = ",", end: str = "\r\n") -> str:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=separator, lineterminator=end)
    writer.writerows([("text", "n", "label"), *((row.text, i, list(LABELS)[row.label]) for i, row in enumerate(rows))])
    return written.getvalue()


def lines(rows: list[Row]) -> str:
    return "\n".join(json.dumps({"label": list(LABELS)[row.label], "text": row.text}) for row in rows)


def columnar(rows: list[Row], kind: str) -> bytes:
    import pyarrow as pa
    from pyarrow import feather, parquet

    content = pa.table({"text": [row.text for row in rows], "label": [list(LABELS)[row.label] for row in rows]})
    file = io.BytesIO()
    if kind == "parquet":
        parquet.write_table(content, file)
    elif kind == "feather":
        feather.write_feather(content, file)
    else:
        with pa.ipc.new_stream(file, content.schema) as stream:
            stream.write_table(content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "how"),
    [
        ("d.csv", table(ROWS).encode(), {}),
        ("D.CSV", table(ROWS).encode("utf-8-sig"), {}),
        ("d.csv", table(ROWS).encode("utf-16"), {"encoding": "utf-16"}),
        ("d.csv", table(ROWS, ";").encode(), {"separator": ";"}),
        ("d.csv", b"\n" + table(ROWS).replace("\r\n", "\r\n\r\n").encode(), {}),
        ("d.tsv", table(ROWS, "\t", "\n").encode(), {}),
        ("d.csv.gz", gzip.compress(table(ROWS).encode()), {}),
        ("d.tsv.gz", gzip.compress(table(ROWS, "\t").encode()), {}),
        ("d.jsonl", lines(ROWS).encode("utf-8-sig"), {}),
        ("d.ndjson", lines(ROWS).replace("\n", "\r\n\r\n").encode(), {}),
        ("d.json", f"[{lines(ROWS)}]".replace("}\n{", "},\n{").encode(), {}),
        ("d[1].parquet", lambda: columnar(ROWS, "parquet"), {}),
        ("d.parquet.gz", lambda: gzip.compress(columnar(ROWS, "parquet")), {}),
        ("d.arrow", lambda: columnar(ROWS, "arrow"), {}),
        ("d.feather", lambda: columnar(ROWS, "feather"), {}),
    ],
)
def test_every_format_gives_the_same_rows(
    name: str, content: bytes | Callable[[], bytes], how: dict[str, str], tmp_path: Path
) -> None:
    rows = read(tmp_path, name, content() if callable(content) else content, **how)
    assert rows == ROWS


def test_a_member_of_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/d.csv", table(ROWS))
    assert readers.read(tmp_path / "a.zip::in/d.csv", Reading(), LABELS) == ROWS
    with pytest.raises(UserError, match=r"a.zip::other.csv: cannot be read .*no item named 'other.csv'"):
        readers.read(Path(f"{tmp_path}/a.zip::other.csv"), Reading(), LABELS)


def test_white_space_goes_and_pairs_have_a_second_column(tmp_path: Path) -> None:
    rows = read(tmp_path, "d.tsv", b"a\tb\tlabel\n x \t y\tgood \n", text="a", pair="b")
    assert rows == [Row("x", 1, "y")]


def test_a_quote_may_be_a_character_like_any_other(tmp_path: Path) -> None:
    content = b'label\ttext\n0\t"He said\n1\tso" he\n'
    assert read(tmp_path, "d.tsv", content, {"0": 0, "1": 1}, quotes=False) == [Row('"He said', 0), Row('so" he', 1)]
    with pytest.raises(UserError, match="line 2: not CSV"):
        read(tmp_path, "d.tsv", content, {"0": 0, "1": 1})


@pytest.mark.parametrize(
    ("content", "label"),
    [
        (b'{"text": "a", "label": true}', "true"),
        (b'{"text": "a", "label": 1}', "1"),
        (b'{"text": "a", "label": "1"}', "1"),
        (b'{"text": "a", "label": 1.0}', "1.0"),
        (b'{"text": "a", "label": 12345678901234567890123}', "12345678901234567890123"),
        (b'{"text": "a", "label": " None "}', "None"),
    ],
)
def test_a_label_is_what_the_file_writes(content: bytes, label: str, tmp_path: Path) -> None:
    assert read(tmp_path, "d.jsonl", content, {"other": 0, label: 1}) == [Row("a", 1)]


def test_typed_labels_of_a_parquet_file(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    for labels, names in (([0, 1], ["0", "1"]), ([True, False], ["true", "false"]), (["x", "y"], ["x", "y"])):
        parquet.write_table(pa.table({"text": ["a", "b"], "label": labels}), tmp_path / "d.parquet")
        rows = readers.read(tmp_path / "d.parquet", Reading(), {name: i for i, name in enumerate(names)})
        assert [row.label for row in rows] == [0, 1]
    parquet.write_table(pa.table({"text": ["a", None], "label": [1, None]}), tmp_path / "d.parquet")
    with pytest.raises(UserError, match=r"d.parquet, row 2: text is missing \(null\)"):
        readers.read(tmp_path / "d.parquet", Reading(), {"1": 0})


def test_rows_are_sorted_by_a_column_of_numbers(tmp_path: Path) -> None:
    content = b"text,label,idx\nb,good,10\na,bad,9\n"
    assert [row.text for row in read(tmp_path, "d.csv", content, order="idx")] == ["a", "b"]
    with pytest.raises(UserError, match="line 2: idx is 'x', expected a whole number"):
        read(tmp_path, "d.csv", b"text,label,idx\nb,good,x\n", order="idx")


def test_other_columns_are_taken_only_where_the_named_ones_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    for record, text in (({"question": "q", "kind": "bad", "text": "t", "label": "good"}, "q"), ({"text": "t"}, "t")):
        path.write_text(json.dumps({"label": "good", **record}))
        how = Reading(text="question", label="kind")
        assert readers.read(path, how, LABELS, other=("text", "label"))[0].text == text


# -- what is refused ----------------------------------------------------------------------------------------

BAD = [
    ("d.csv", b"text,label\nrise,good\nfall,donw\n", "line 3: label 'donw', expected one of 'bad', 'good'"),
    ("d.csv", b"text,label\nrise,good\nfall,\n", "line 3: label is ''; expected text that is not empty"),
    ("d.csv", b'text,label\n"rise\nagain",good\nfall,bad,x\n', "line 4: 3 fields, expected 2; a text that holds"),
    ("d.csv", b'text,label\nrise,good\n"fall,bad\nfall,bad\n', "line 3: not CSV (unexpected end of data)"),
    ("d.csv", b"text,label\nrise,good\nfall\0,bad\n", "line 3: a NUL byte, expected text"),
    ("d.csv", "text,label\nrise,good\n".encode("utf-16-le"), "line 1: a NUL byte, expected text; is its encoding"),
    ("d.csv", b"text,label\nrise,good\ncaf\xe9,good\n", "line 3: byte 24 is not utf-8; save the file as UTF-8, or"),
    ("d.csv", b"text;label\nrise;good\n", "line 1: one column, 'text;label'; if ';' parts columns: separator = ';'"),
    ("d.csv", b"rise,good\nfall,bad\n", "no column 'text' in its first line; found 'rise', 'good'"),
    ("d.csv", b"text,text,label\nrise,rise,good\n", "line 1: 2 columns are called 'text', expected one"),
    ("d.csv", b"", "no examples"),
    ("d.csv.gz", b"text,label\nrise,good\n", "cannot be read (Not a gzipped file"),
    ("d.csv.gz", gzip.compress(b"text,label\nrise,good\n")[:-9], "cannot be read (Compressed file ended"),
    ("d.xlsx", b"PK", "no reader for '.xlsx', expected .csv, .tsv, .parquet"),
    ("d.parquet", b"PAR1", "cannot be read as parquet ("),
    ("d.jsonl", b'{"text": "a", "label": "good"}\n{"text": "a"', "line 2: not JSON"),
    ("d.jsonl", b'{"text": "a", "label": "good"}\n[1]', "line 2: found ['1'], expected an object in braces"),
    ("d.jsonl", b'{"text": "a", "label": "good"}\n{"text": "a"}', "line 2: label is missing (null)"),
    ("d.jsonl", b'{"text": "a", "label": "good"}\n{"text": NaN, "label": "bad"}', "line 2: text is missing (null)"),
    ("d.jsonl", b'{"text": "a", "label": ["good"]}', "line 1: label is ['good']"),
    ("d.jsonl", b'{"text": "a", "label": "good", "label": "bad"}', "line 1: not JSON (a key stands twice"),
    ("d.jsonl", b'\n{"text": "a \\ud83d", "label": "good"}', "line 2: text holds half a surrogate pair ('\\ud83d')"),
    ("d.jsonl", b"[" * 100_000, "not JSON"),
    ("d.json", b'[{"text": "a", "label": "good"}, {"text": "", "label": "bad"}]', "entry 2: text is ''"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD)
def test_a_faulty_file_is_refused_with_its_place(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, name, content)
    told = str(caught.value)
    assert str(tmp_path / name) in told and message in told and len(told.splitlines()) == 1


def test_of_many_labels_some_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"label 'none', expected one of 'class 0', .* \(150 in all\)") as caught:
        read(tmp_path, "d.csv", b"text,label\na,none\n", {f"class {i}": i for i in range(150)})
    assert "class 99" not in str(caught.value)


def test_what_a_terminal_would_obey_is_not_echoed(tmp_path: Path) -> None:
    for content in (b"text,label\na,\x1b[2J\n", b"\x1b[2J,label\na,b\n", b"text,label\n\x1b[2J,good,x\n"):
        with pytest.raises(UserError) as caught:
            read(tmp_path, "d.csv", content)
        assert "\x1b" not in str(caught.value)


def test_a_missing_file_and_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file .*none\.csv"):
        readers.read(tmp_path / "none.csv", Reading(), LABELS)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match="cannot be read .Is a directory"):
        readers.read(tmp_path / "folder.csv", Reading(), LABELS)


def test_a_long_field_is_read_whole(tmp_path: Path) -> None:
    assert len(read(tmp_path, "d.csv", b"text,label\n" + 135_000 * b"x" + b",good\n")[0].text) == 135_000


NO_NETWORK = """
import os, socket, sys
from pathlib import Path
def refuse(*_, **__): raise AssertionError("a socket was opened")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from paper_repro.texts import readers
from paper_repro.texts.description import Reading
assert len(readers.read(Path(sys.argv[1]), Reading(), {"bad": 0, "good": 1})) == 5
"""


def test_a_local_file_needs_no_network_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "d.parquet").write_bytes(columnar(ROWS, "parquet"))
    (tmp_path / "home").mkdir()
    environment = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "home"), "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", NO_NETWORK, str(tmp_path / "d.parquet")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


# -- any file at all ----------------------------------------------------------------------------------------

CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["None", "NA", "", " ", '"', '""', "1", "1.0", "true", "2024-01-01", "$", "\ufeff", "\x85", "a,b", "a\tb", "a\r\nb"]
)
NAMES = st.lists(CELLS, min_size=2, max_size=4, unique_by=str.strip)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), NAMES, ENCODINGS, st.sampled_from(["csv", "tsv", "jsonl", "json"]))
def test_what_is_written_is_read_or_refused(data: st.DataObject, names: list[str], encoding: str, kind: str) -> None:
    """The oracle is what was written: the same rows come back, or a UserError does; never fewer rows, never another
    error. What is refused must have a reason: a blank or NUL cell, or a character that the encoding lacks."""
    written = data.draw(st.lists(st.tuples(CELLS, st.integers(0, len(names) - 1)), min_size=1, max_size=6))
    cells = [*names, *(text for text, _ in written)]
    records = [{"text": text, "label": names[label]} for text, label in written]
    if kind in ("csv", "tsv"):
        file = io.StringIO(newline="")
        writer = csv.DictWriter(
            file, ["text", "label"], delimiter="\t" if kind == "tsv" else ",", quoting=csv.QUOTE_ALL
        )
        writer.writeheader()
        writer.writerows(records)
        content = file.getvalue()
    else:
        ascii_only = data.draw(st.booleans())
        dumped = [json.dumps(record, ensure_ascii=ascii_only) for record in records]
        content = "\n".join(dumped) if kind == "jsonl" else f"[{', '.join(dumped)}]"
    raw = content.encode(encoding, "replace")
    lossless = raw.decode(encoding) == content
    labels = {name.strip(): i for i, name in enumerate(names)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"d.{kind}"
        path.write_bytes(raw)
        try:
            rows = readers.read(path, Reading(encoding=encoding), labels)
        except UserError:
            assert not lossless or any(not cell.strip() or "\0" in cell for cell in cells)
        else:
            expected = [Row(text.strip(), label) for text, label in written]
            assert len(rows) == len(expected) and (rows == expected or not lossless)


@settings(max_examples=60)
@given(
    st.binary(max_size=60)
    | st.text('text,label\n\r"\tab{}[]:0\\u\ud83d', max_size=40).map(lambda s: s.encode("utf-8", "replace")),
    st.sampled_from(["csv", "tsv", "jsonl", "json", "csv.gz"]),
    st.sampled_from(["", "text,label\n", "text\tlabel\n", '{"text": "a", "label": "bad"}\n']),
    ENCODINGS,
    st.booleans(),
)
def test_no_bytes_bring_another_error(content: bytes, kind: str, head: str, encoding: str, quotes: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"d.{kind}"
        path.write_bytes(head.encode() + content)
        try:
            rows = readers.read(path, Reading(encoding=encoding, quotes=quotes), LABELS)
        except UserError as error:
            refused = str(error)
            assert str(path) in refused
        else:
            assert rows and all(row.text.strip() == row.text != "" and row.label in (0, 1) for row in rows)
