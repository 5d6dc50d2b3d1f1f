"""Benchmarks by their descriptions: how texts are split, which labels are read, and what is refused or told."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from moods import LABELS, Make, csv_of, texts

from paper_repro.texts import benchmarks, description, generated, prompts
from paper_repro.texts.description import Data, Description
from paper_repro.texts.pools import Benchmark
from paper_repro.tools.errors import UserError

# -- splits -------------------------------------------------------------------------------------------------


def test_the_splits_have_the_sizes_and_the_shares_and_no_text_in_common(make: Make) -> None:
    pools = dict(benchmarks.load(make()).pools)
    assert {name: len(pool) for name, pool in pools.items()} == {"train": 36, "dev": 24, "test": 30, "generated": 48}
    del pools["generated"]
    assert [np.bincount(pools[name].labels).tolist() for name in ("test", "dev", "train")] == [
        *([5, 10, 15], [4, 8, 12], [6, 12, 18])
    ]
    everywhere = Counter(text for pool in pools.values() for text in pool.texts)
    assert everywhere == Counter(text for text, _ in texts(90, seed=1))
    assert max(everywhere.values()) == 1


def test_the_seed_alone_decides_the_splits(make: Make) -> None:
    first, again = (benchmarks.load(make()).pools["test"].fingerprint for _ in range(2))
    other = benchmarks.load(make("seed = 0", "seed = 1")).pools["test"].fingerprint
    assert first == again != other


@pytest.mark.parametrize(
    ("counts", "size", "shares"),
    [((50, 30, 20), 10, [5, 3, 2]), ((5, 5, 5), 4, [2, 1, 1]), ((97, 2, 1), 10, [10, 0, 0]), ((1, 1, 8), 9, [1, 1, 7])],
)
def test_shares_are_rounded_by_largest_remainder(counts: tuple[int, ...], size: int, shares: list[int]) -> None:
    labels = np.repeat(np.arange(3), counts)
    rows = benchmarks.stratified(labels, size, np.random.default_rng(0))
    assert len(set(rows.tolist())) == size and (np.diff(rows) > 0).all()
    assert np.bincount(labels[rows], minlength=3).tolist() == shares


def test_a_repeated_text_stays_in_one_place_and_is_counted(make: Make) -> None:
    rows = texts(90, seed=1)
    more = [*rows, rows[0], (rows[0][0], "flat"), (f" {rows[3][0]} ", rows[3][1])]
    opened = benchmarks.load(make(rows=more))
    assert sum(len(opened.pools[name]) for name in ("train", "dev", "test")) == 90
    assert (opened.repeated, opened.contradicting) == (3, 1)
    assert "3 repeated texts left out, 1 of them with another label" in benchmarks.summary(opened)
    kept = benchmarks.load(make("seed = 0", "keep_duplicates = true", rows=more))
    assert sum(len(kept.pools[name]) for name in ("train", "dev", "test")) == 93 and kept.repeated == 0


def test_a_pool_may_be_a_file_with_a_reading_of_its_own(make: Make, tmp_path: Path) -> None:
    rows = texts(90, seed=1)
    path = make("test = 30", 'test = { file = "held.csv", encoding = "cp1252", separator = ";" }')
    held = [rows[7], rows[6], ("caf\xe9", "up"), rows[6]]
    (tmp_path / "held.csv").write_text("mood;words\n" + "".join(f"{m};{w}\n" for w, m in held), "cp1252")
    opened = benchmarks.load(path)
    assert opened.pools["test"].texts == (rows[7][0], rows[6][0], "caf\xe9")
    assert (len(opened.pools["dev"]), len(opened.pools["train"]), opened.repeated) == (24, 64, 3)


def test_splits_by_row_numbers(make: Make, tmp_path: Path) -> None:
    rows = texts(90, seed=1)
    path = make("dev = 24\ntest = 30", 'dev = "moods.csv"\ntest = "moods.csv"\nsplits = "s.json"')
    (tmp_path / "s.json").write_text('{"train": [3, 1], "dev": [0], "test": [89, 2], "rule": "none"}', "utf-8")
    pools = benchmarks.load(path).pools
    assert [pools[name].texts for name in ("train", "dev", "test")] == [
        *((rows[3][0], rows[1][0]), (rows[0][0],), (rows[89][0], rows[2][0]))
    ]
    (tmp_path / "s.json").write_text(json.dumps({"dev": [90]}), "utf-8")
    with pytest.raises(UserError, match=r"moods.csv: 90 examples, but the splits take number 91"):
        benchmarks.load(path)
    (tmp_path / "s.json").write_text("[", "utf-8")
    with pytest.raises(UserError, match=r"s.json: cannot be read"):
        benchmarks.load(path)


def test_pairs_have_a_column_of_their_own(make: Make, tmp_path: Path) -> None:
    path = make('example = "{text}"', 'example = "{text} | {pair}"')
    path.write_text(path.read_text("utf-8").replace('text = "words"', 'text = "words"\npair = "number"'), "utf-8")
    (tmp_path / "moods.generated.jsonl").write_text('{"sentence1": "a", "sentence2": "b", "label": "up"}', "utf-8")
    opened = benchmarks.load(path)
    assert opened.pools["dev"].pairs is not None and all(pair.isdigit() for pair in opened.pools["dev"].pairs)
    assert opened.pools["generated"].pairs == ("b",)


# -- labels and D_Q -----------------------------------------------------------------------------------------


def test_the_label_s_wording_goes_into_the_request_and_its_name_into_the_data(make: Make) -> None:
    form = prompts.template(make())
    assert form.labels == LABELS and form.wording == ("sad", "dull", "glad")
    opened = benchmarks.load(make())
    drawn = prompts.draw_examples(opened.pools["dev"], 2, 2)
    assert prompts.prompt(make(), 2, drawn)[1]["content"].startswith("Write a text that is glad.\n")
    assert opened.label_names == LABELS


def test_files_may_write_other_labels_than_the_names(make: Make, tmp_path: Path) -> None:
    path = make('title = "Three moods"', 'title = "Three moods"\nwritten = ["0", "1", "2"]')
    numbered = [(text, str(LABELS.index(label))) for text, label in texts(90, seed=1)]
    (tmp_path / "moods.csv").write_text(csv_of(numbered), "utf-8")
    opened = benchmarks.load(path)
    assert np.bincount(opened.pools["test"].labels).tolist() == [5, 10, 15] and len(opened.pools["generated"]) == 48


@pytest.mark.parametrize("name", ["q.csv", "q.jsonl"])
def test_a_d_q_from_elsewhere_has_the_columns_of_the_data(name: str, make: Make, tmp_path: Path) -> None:
    path = make('"moods.generated.jsonl"', f'"{name}"')
    content = "mood,words\nup,rise\n" if name == "q.csv" else '{"words": "rise", "mood": "up", "text": "not this"}'
    (tmp_path / name).write_text(content, "utf-8-sig")
    assert benchmarks.load(path).pools["generated"].texts == ("rise",)


def test_a_d_q_that_was_written_is_read_again(make: Make) -> None:
    path = make()
    described, first = description.read(path), benchmarks.load(path).pools["generated"]
    generated.write_pool(first, described, described.generated)
    assert benchmarks.load(path).pools["generated"].fingerprint == first.fingerprint


def test_no_d_q_yet(make: Make) -> None:
    path = make('"moods.generated.jsonl"', '"no.jsonl"')
    with pytest.raises(UserError, match=f"make them by: paper-repro generate --benchmark {path}"):
        benchmarks.load(path)
    assert set(benchmarks.load(path, generated=False).pools) == {"train", "dev", "test"}


def test_a_description_needs_no_prompt_and_any_name_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "2024.toml").write_text(
        'title = "Y"\nlabels = ["0", "1"]\n[data]\ntrain = "~/d.csv"\ndev = 2\ntest = 2\ngenerated = "~/d.csv"\n',
        "utf-8",
    )
    (tmp_path / "d.csv").write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(8)), "utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(benchmarks.load("~/2024.toml").pools["train"]) == 4
    with pytest.raises(UserError, match=r"2024.toml: no prompt, so no text can be asked for"):
        prompts.template(tmp_path / "2024.toml")


def test_the_example_is_whole() -> None:
    opened = benchmarks.load(description.EXAMPLE)
    sizes = {"train": 180, "dev": 60, "test": 120, "generated": 240}
    assert {name: len(pool) for name, pool in opened.pools.items()} == sizes
    assert opened.classes == 3 and opened.repeated == 0 and benchmarks.remarks(opened) == []


# -- what is told -------------------------------------------------------------------------------------------

SENTENCES = ("The {} broke and nobody helped me.", "What does a {} cost?", "Thank you for the {}!")
THINGS = [f"{kind} {i}" for kind in ("lamp", "chair", "radio", "kettle") for i in range(12)]


Record = tuple[str, object]


def case(folder: Path, labels: Iterable[str], data: list[Record], d_q: list[Record]) -> Path:
    """A benchmark of JSON lines of these records (text, label)."""
    for name, records in (("d", data), ("q", d_q)):
        lines = [json.dumps({"text": text, "label": label}) for text, label in records]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    files = '[data]\nfile = "d.jsonl"\ndev = 30\ntest = 45\ngenerated = "q.jsonl"\n'
    (folder / "case.toml").write_text(f'title = "X"\nlabels = [{",".join(map(toml, labels))}]\n{files}', "utf-8")
    return folder / "case.toml"


def toml(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


def records(written: Iterable[object], tail: str = "") -> list[Record]:
    """48 texts of each of three classes, labelled by what is ``written`` for them."""
    return [
        (f"{s.format(thing)}{tail}", label) for thing in THINGS for s, label in zip(SENTENCES, written, strict=True)
    ]


NAMED = ("bad", "ask", "good")
GOOD, MADE = records(NAMED), records(NAMED, " Really.")
BAD_AND_ASK = [record for record in GOOD if record[1] != "good"]


@pytest.mark.parametrize(
    ("data", "d_q", "told"),
    [
        (BAD_AND_ASK + GOOD[2:3], MADE, "D_P': few or no texts labelled 'good' ("),
        (GOOD, [(f"{text} Really.", label) for text, label in BAD_AND_ASK], "D_Q: few or no texts labelled 'good' (0)"),
    ],
    ids=["rare class", "D_Q lacks a class"],
)
def test_what_is_unusual_is_told_and_runs(data: list[Record], d_q: list[Record], told: str, tmp_path: Path) -> None:
    opened = benchmarks.load(case(tmp_path, NAMED, data, d_q))
    assert any(remark.startswith(told) for remark in benchmarks.remarks(opened))
    for pool in opened.pools.values():
        assert len(generated.samples(pool, opened.label_names, per_label=4)) <= 12
        assert generated.describe(pool, opened)["size"].item() == len(pool)


def test_texts_of_d_q_that_stand_in_the_test_set_are_left_out_and_counted(tmp_path: Path) -> None:
    path = case(tmp_path, NAMED, GOOD, GOOD)
    opened = benchmarks.load(path)
    made, test = opened.pools["generated"], opened.pools["test"]
    assert (len(made), opened.leaked) == (99, 45) and not set(made.inputs) & set(test.inputs)
    assert "45 of D_Q's texts left out" in benchmarks.summary(opened)
    assert benchmarks.remarks(opened) == ["D_Q: 30 of its 99 texts stand in D_P', too"]
    path.write_text(path.read_text("utf-8").replace("[data]", "[data]\nkeep_duplicates = true"), "utf-8")
    kept = benchmarks.load(path)
    assert (len(kept.pools["generated"]), kept.leaked) == (144, 0)
    assert "D_Q: 45 of its 144 texts stand in the test set, too" in benchmarks.remarks(kept)


def test_a_d_q_of_nothing_but_test_texts_is_refused(make: Make, tmp_path: Path) -> None:
    path = make()
    test = benchmarks.load(path).pools["test"]
    lines = [json.dumps({"text": text, "label": "up"}) for text in test.texts]
    (tmp_path / "moods.generated.jsonl").write_text("\n".join(lines), "utf-8")
    with pytest.raises(UserError, match=r"moods.generated.jsonl: all texts of D_Q stand in the test set"):
        benchmarks.load(path)


# -- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title", "titel", "unknown field 'titel'; known are again, data,"),
        ('again = "Another one?"', "", "again is missing"),
        ("{label}", "{lable}", "user holds {lable}; known placeholders are {examples}, {label}"),
        ("{label}", "{label", "write a literal brace as"),
        ('"{text}"', '"{examples}"', "example holds {examples}"),
        ('"{text}"', '"{pair}"', "holds {pair}, but [data] names no column 'pair'"),
        ("[data]", "[length]\nsigma = 1\nshortest = 2\nlongest = 3\n[data]", "length.shortest"),
        ("dev = 24", "", "data.dev"),
        ("dev = 24", "dev = 24\ntrian = 2", "unknown field 'data.trian'; known are dev, encoding,"),
        ("dev = 24", "dev = true", "data.dev"),
        ("dev = 24", "dev = 60", "dev = 60, but there are 60 different texts for it"),
        ("dev = 24", 'dev = { fiel = "x" }', "dev: fiel = 'x'; a file has file, text,"),
        ("dev = 24", 'dev = { text = "x" }', "dev: its table names no file"),
        ("seed = 0", 'train = "moods.csv"', "expected either file or train"),
        ("seed = 0", 'separator = ",,"', "separator = ',,'; expected one character"),
        ("seed = 0", 'encoding = "base64"', "encoding = 'base64'; expected one such as utf-8"),
        ('text = "words"', 'text = "mood"', "text, label and pair name one column twice: mood, mood"),
        ('text = "words"', 'text = "text"', "no column 'text' in its first line; found 'words', 'mood', 'number'"),
        ('up = "glad"', 'up = "sad"', "two have the same wording"),
        ("title", 'written = ["0", "1"]\ntitle', "written = ['0', '1']; expected one text for each label"),
        ("title", 'written = ["up", "flat", "down"]\ntitle', "expected one text for each label, in their order"),
        ('"moods.csv"', '"gone.csv"', "no file "),
        ("generated =", "# generated =", "'generated' is missing"),
        ("generated =", "generated = 30 #", "generated is a number; expected a file"),
        ("title", "\x00title", "not a TOML file in UTF-8"),
    ],
)
def test_a_faulty_description_is_told_in_a_line(make: Make, old: str, new: str, message: str) -> None:
    path = make(old, new)
    with pytest.raises(UserError) as caught:
        benchmarks.load(path)
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("[1, 2, 3]", 'expected names in quotes: labels = ["1", "2"]'),
        ("[true, false]", "expected names in quotes"),
        ('["a", " a"]', "at least two different names"),
        ('["a"]', "at least two different names"),
        ('["a", ""]', "labels"),
        ('"ab"', "at least two different names"),
    ],
)
def test_labels_that_are_none(labels: str, message: str, tmp_path: Path) -> None:
    data = '[data]\nfile = "d.csv"\ndev = 1\ntest = 1\ngenerated = "q.csv"'
    (tmp_path / "x.toml").write_text(f'title = "X"\nlabels = {labels}\n{data}', "utf-8")
    with pytest.raises(UserError) as caught:
        description.read(tmp_path / "x.toml")
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_names_that_would_be_mistaken_are_refused(make: Make, tmp_path: Path) -> None:
    text = make().read_text("utf-8")
    for name, message in [
        ("mrpc.toml", "mrpc is a benchmark of the package"),
        ("my file.toml", "is called by letters"),
    ]:
        (tmp_path / name).write_text(text, "utf-8")
        with pytest.raises(UserError, match=message):
            description.read(tmp_path / name)
    with pytest.raises(UserError, match="no benchmark file .*absent.toml: .*workshop.toml"):
        description.read(tmp_path / "absent.toml")
    with pytest.raises(UserError, match="Unknown benchmark 'mnli': the package has financial, mrpc, tweet_irony"):
        benchmarks.load("mnli")


# -- any benchmark at all -----------------------------------------------------------------------------------

CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["None", "1", "true", "$", "{x}"]
)


def loaded(
    folder: str, labels: list[str], rows: list[tuple[str, str]], dev: int, test: int, encoding: str
) -> Benchmark:
    """A benchmark of these rows (text, label), and a D_Q of the same, loaded."""
    for name in ("d.jsonl", "q.jsonl"):
        dumped = "\n".join(json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows)
        (Path(folder) / name).write_bytes(dumped.encode(encoding, "backslashreplace"))
    source = f'{{ file = "q.jsonl", encoding = "{encoding}" }}'
    (Path(folder) / "x.toml").write_bytes(
        f'title = "X"\nlabels = [{",".join(map(toml, labels))}]\n[data]\nfile = "d.jsonl"\nencoding = "{encoding}"\n'
        f"dev = {dev}\ntest = {test}\ngenerated = {source}\n".encode()
    )
    return benchmarks.load(Path(folder) / "x.toml")


VALUES = st.recursive(
    st.integers(-2, 50) | st.booleans() | st.floats(-2, 2) | st.sampled_from(["", "~x/d.csv", "{x}", "{"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*Data.__dataclass_fields__, "sigma", "a", "b"]), inner, max_size=4)
    ),
    max_leaves=6,
)
FILES = st.sampled_from(["d.csv", "t.csv", "q.csv"])
SIZES = st.integers(1, 9)
LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "train": FILES,
        "dev": SIZES | FILES,
        "test": SIZES,
        "generated": FILES,
        "keep_duplicates": st.booleans(),
    },
)


def anything(fields: dict[str, Any]) -> st.SearchStrategy[dict[str, object]]:
    return st.dictionaries(st.sampled_from([*fields, "labels", "junk"]), VALUES, max_size=3)


@settings(max_examples=150)
@given(st.just({}) | anything(Description.__dataclass_fields__), LIKELY | anything(Data.__dataclass_fields__))
@example({}, {})
def test_any_value_in_a_description_is_taken_or_told_in_a_line(
    changes: dict[str, object], data: dict[str, object]
) -> None:
    usual = {"train": "d.csv", "dev": 1, "test": {"file": "t.csv"}, "generated": "q.csv"}
    table = {"title": "X", "labels": ["a", "b"], "data": {**usual, **data}, **changes}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        (Path(folder) / "x.toml").write_bytes(b"")
        for name in ("d.csv", "t.csv", "q.csv"):
            rows = "".join(f"{name} {i},{'ab'[i % 2]}\n" for i in range(8))
            (Path(folder) / name).write_text(f"text,label\n{rows}", "utf-8")
        patch.setattr(description.tomllib, "loads", lambda _: dict(table))
        try:
            opened = benchmarks.load(Path(folder) / "x.toml")
        except UserError as error:
            refused = str(error)
            assert len(refused.splitlines()) == 1 and (changes or data)
            return
    assert set(opened.pools) == {"train", "dev", "test", "generated"} and all(map(len, opened.pools.values()))
    assert all(set(pool.labels.tolist()) <= set(range(opened.classes)) for pool in opened.pools.values())


WORDS = CELLS.filter(lambda cell: cell.strip() and "\0" not in cell)


@settings(max_examples=60)
@given(
    st.lists(WORDS, min_size=2, max_size=4, unique_by=str.strip),
    st.lists(st.tuples(WORDS, st.integers(0, 3)), min_size=6, max_size=12, unique_by=lambda row: row[0].strip()),
    st.lists(st.tuples(CELLS, st.integers(0, 3)), max_size=3),
    *(st.integers(1, 2), st.integers(1, 2), st.sampled_from(["utf-8", "utf-16", "latin-1"])),
)
def test_a_random_benchmark_loads_whole_or_is_refused(
    labels: list[str],
    usual: list[tuple[str, int]],
    odd: list[tuple[str, int]],
    dev: int,
    test: int,
    encoding: str,
) -> None:
    rows = [(text, labels[at % len(labels)]) for text, at in [*usual, *odd]]
    with tempfile.TemporaryDirectory() as folder:
        try:
            opened = loaded(folder, labels, rows, dev, test, encoding)
        except UserError as error:
            refused = str(error)
            assert len(refused.splitlines()) == 1
            return
    lossless = all((text + label).encode(encoding, "replace").decode(encoding) == text + label for text, label in rows)
    names = [label.strip() for label in labels]
    if lossless:
        made, held = opened.pools["generated"], set(opened.pools["test"].texts)
        assert [(t, names[y]) for t, y in zip(made.texts, made.labels, strict=True)] == [
            (text.strip(), label.strip()) for text, label in rows if text.strip() not in held
        ]
        first = {text.strip(): label.strip() for text, label in reversed(rows)}
        real = [opened.pools[name] for name in ("train", "dev", "test")]
        assert {t: names[y] for pool in real for t, y in zip(pool.texts, pool.labels, strict=True)} == first
    assert sum(len(opened.pools[name]) for name in ("train", "dev", "test")) + opened.repeated == len(rows)
    assert (len(opened.pools["dev"]), len(opened.pools["test"])) == (dev, test)
    assert len(opened.pools["generated"]) + opened.leaked == len(rows)
