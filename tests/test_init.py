"""``paper-repro init``: from files to a description that is read, and what is said about them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from command import call
from hypothesis import event, given, settings
from hypothesis import strategies as st

from paper_repro.texts import benchmarks, prompts
from paper_repro.tools.errors import UserError

ROWS = [(f"text {i} of {'abc'[i % 3]}", "abc"[i % 3]) for i in range(60)]
MADE = [(f"made {i}", "abc"[i % 3]) for i in range(30)]
Rows = list[tuple[str, str]]


def init(*words: str | Path) -> tuple[int, str]:
    done = call("init", *words)
    return done.exit_code, done.output


@pytest.mark.parametrize("title", ['The "best" of C:\\letters', "größer, 文"])
def test_the_title_is_what_was_asked_for(here: Path, title: str) -> None:
    (here / "letters.csv").write_text(as_csv(ROWS), "utf-8")
    (here / "q.jsonl").write_text(as_json(MADE), "utf-8")
    assert init("letters.csv", "--generated", "q.jsonl", "--title", title)[0] == 0
    assert benchmarks.load(here / "letters.toml").title == title


def as_csv(rows: Rows, separator: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows([("text", "label"), *rows])
    return text.getvalue()


def as_json(rows: Rows) -> str:
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_file_and_a_d_q(here: Path) -> None:
    """One generated text stands in the data once, another one in the generated texts twice."""
    (here / "letters.csv").write_text(as_csv([*ROWS, ROWS[0]]), "utf-8-sig")
    (here / "q.jsonl").write_text(as_json([*MADE, MADE[0], ROWS[5]]), "utf-8")
    code, told = init("letters.csv", "--generated", "q.jsonl", "--dev", "12", "--test", "15")
    assert code == 0, told
    assert told.splitlines()[-1] == "paper-repro run --benchmark letters.toml --profile mini"
    opened = benchmarks.load(here / "letters.toml")
    assert opened.label_names == ("a", "b", "c") and opened.repeated == 1
    assert [np.bincount(opened.pools[name].labels).tolist() for name in ("train", "dev", "test")] == [
        *([11, 11, 11], [4, 4, 4], [5, 5, 5])
    ]
    assert len(opened.pools["generated"]) + opened.leaked == 32
    lines = {line.rsplit(maxsplit=4)[0]: line.split()[-4:] for line in told.splitlines()[1:8]}
    assert lines["a"][:3] == ["11", "4", "5"] and lines["standing twice"] == ["0", "0", "0", "1"]
    assert "1 repeated texts left out" in told


@pytest.mark.parametrize("name", ["d.csv", "d.tsv", "d.jsonl", "d.jsonl.gz", "d.parquet"])
def test_any_format_is_proposed_with_the_same_pools(name: str, here: Path) -> None:
    if name.endswith("parquet"):
        import pandas as pd

        pd.DataFrame(ROWS, columns=["text", "label"]).to_parquet(here / name)
    else:
        content = (as_csv(ROWS, "\t" if "tsv" in name else ",") if "sv" in name else as_json(ROWS)).encode()
        (here / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert init(name, "-o", "x.toml")[0] == 0
    dev = benchmarks.load(here / "x.toml", generated=False).pools["dev"]
    assert set(zip(dev.texts, ("abc"[label] for label in dev.labels), strict=True)) <= set(ROWS)
    assert np.bincount(dev.labels).tolist() == [4, 4, 4]


def test_a_file_for_each_pool_in_another_encoding(here: Path) -> None:
    for pool, rows in {"train": ROWS[:30], "dev": ROWS[30:45], "test": ROWS[45:], "generated": MADE}.items():
        (here / f"{pool}.csv").write_text(as_csv([(f"caf\xe9 {text}", label) for text, label in rows], ";"), "cp1252")
    files = [word for pool in ("train", "dev", "test", "generated") for word in (f"--{pool}", f"{pool}.csv")]
    code, told = init(*files, "--encoding", "cp1252", "--separator", ";", "-o", "2024.toml")
    assert code == 0, told
    opened = benchmarks.load(here / "2024.toml")
    assert [len(pool) for pool in opened.pools.values()] == [30, 15, 15, 30]
    assert opened.pools["generated"].texts[0] == "caf\xe9 made 0"


def test_without_a_d_q_there_are_two_commands_and_a_prompt(here: Path) -> None:
    (here / "d.csv").write_text(as_csv(ROWS), "utf-8")
    code, told = init("d.csv", "-o", "my.toml")
    assert code == 0 and [line.split()[1] for line in told.splitlines()[-2:]] == ["generate", "run"]
    examples = benchmarks.load(here / "my.toml", generated=False).pools["dev"].subset([])
    assert prompts.template(here / "my.toml").labels == ("a", "b", "c")
    with pytest.raises(UserError, match="no example of label 'a'"):  # it is filled like any other prompt
        prompts.prompt(here / "my.toml", 0, examples, 5)


def test_labels_are_in_the_order_of_their_numbers(here: Path) -> None:
    (here / "d.csv").write_text(as_csv([(f"t{i}", str(i % 11)) for i in range(44)]), "utf-8")
    assert init("d.csv", "-o", "x.toml")[0] == 0
    assert benchmarks.load(here / "x.toml", generated=False).label_names == tuple(map(str, range(11)))


def test_nothing_is_written_where_something_is_wrong(here: Path) -> None:
    (here / "bare.csv").write_text("".join(f"t{i},{i % 2}\n" for i in range(9)), "utf-8")
    (here / "d.csv").write_text(as_csv(ROWS), "utf-8")
    (here / "q.jsonl").write_text(as_json([("x", "unheard of")]), "utf-8")
    (here / "there.toml").write_text("kept", "utf-8")
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    for words, message in (
        (["bare.csv"], "the file has no header"),
        (["d.csv", "--generated", "q.jsonl"], "q.jsonl, line 1: label 'unheard of'"),
        (["d.csv", "--generated", "none.jsonl"], "no file none.jsonl"),
        (["d.csv", "--label", "text", "--text", "label"], "60 different labels in 60 texts"),
        (["d.csv", "--dev", "60"], "dev = 60"),
        (["d.csv", "-o", "there.toml"], "it is there already"),
        (["d.xlsx"], "save a spreadsheet as CSV"),
        ([], "give one file"),
    ):
        code, told = init(*words)
        assert code == 2 and message in told and len(told.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_the_examples_of_other_domains_find_their_texts_in_the_data_directory(here: Path) -> None:
    from paper_repro.texts.description import EXAMPLE

    (here / "trec").mkdir()
    for pool in ("train", "dev", "test"):
        content = f"question,kind\nWho is {pool} ?,human\nWhere is {pool} ?,location\n"
        (here / "trec" / f"{pool}.csv").write_text(content, "utf-8")
    opened = benchmarks.load(EXAMPLE.with_name("trec.toml"), data_dir=here)
    assert opened.pools["test"].texts == ("Who is test ?", "Where is test ?")
    assert np.bincount(opened.pools["generated"].labels).tolist() == [150] * 6


# -- any files at all ---------------------------------------------------------------------------------------

CELLS = st.text(max_size=8) | st.sampled_from(
    ["", " ", "1", "None", "nan", "true", "$", "{x}", '"', "\x1b[2J", "~", "#"]
)
WORDS = st.builds("{}{}".format, st.integers(0, 99), CELLS.map(lambda cell: cell.replace("\0", "")))
FORMS = {"d.csv": as_csv, "d.tsv": lambda rows: as_csv(rows, "\t"), "d.jsonl": as_json}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(WORDS, st.sampled_from(["a", "b", " a", "\U0001f600", "1"])), min_size=8, max_size=14),
    st.just([]) | st.lists(st.tuples(CELLS, CELLS), max_size=1),
    st.lists(st.tuples(WORDS, st.integers(0, 2)), min_size=1, max_size=4),
    *(st.sampled_from(sorted(FORMS)), st.sampled_from(["utf-8", "utf-16", "latin-1"]), st.integers(0, 4)),
)
def test_any_files_become_a_benchmark_or_one_line(
    usual: Rows, odd: Rows, made: list[tuple[str, int]], name: str, encoding: str, size: int
) -> None:
    rows = [*usual, *odd]
    known = sorted({label for _, label in rows}) or ["a"]
    d_q = [(text, known[at % len(known)]) for text, at in made]
    with tempfile.TemporaryDirectory() as folder:
        at, data, target = os.fspath(folder), Path(folder, name), Path(folder, "x.toml")
        data.write_bytes(FORMS[name](rows).encode(encoding, "replace"))
        Path(at, "q.jsonl").write_text(as_json(d_q), "utf-8")
        sizes = ["--dev", str(size), "--test", str(size)] if size else []
        code, told = init(data, "--encoding", encoding, "--generated", Path(at, "q.jsonl"), "-o", target, *sizes)
        event(f"exit code {code}")
        if code:
            assert code == 2, told
            assert told.startswith("paper-repro: ") and len(told.splitlines()) == 1
            assert not target.exists()
            return
        opened = benchmarks.load(target)
    pools = {pool: len(opened.pools[pool]) for pool in ("train", "dev", "test")}
    assert sum(pools.values()) + opened.repeated == len(rows)
    assert len(opened.pools["generated"]) + opened.leaked == len(d_q)
    assert not size or pools["dev"] == pools["test"] == size
    written = Counter(label.strip() for _, label in rows)
    if encoding != "latin-1" and not opened.repeated:
        counts = sum(np.bincount(opened.pools[pool].labels, minlength=opened.classes) for pool in pools)
        assert dict(zip(opened.label_names, np.asarray(counts).tolist(), strict=True)) == written
