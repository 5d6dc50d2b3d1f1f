"""A benchmark of one's own: how its texts are split, what is refused, and a whole run of one with three classes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scripted_server
import tiny
from chat_server import serving
from click.testing import CliRunner

from paper_repro import report
from paper_repro.cli import cli
from paper_repro.study import open_workspace
from paper_repro.texts import own, prompts
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths

ROOT = Path(__file__).resolve().parents[1]
LABELS = ("down", "flat", "up")
FILE = """
title = "Three moods"
system_title = "System prompt"
system = "You write about a market."
user = "Write a text that is {label}.\\n{examples}"
again = "Another one?"
example = "{text}"

[labels]
down = "sad"
flat = "dull"
up = "glad"

[data]
file = "moods.csv"
text = "words"
label = "mood"
dev = 24
test = 30
seed = 0
generated = "moods.generated.jsonl"
"""
Make = Callable[..., Path]


def csv_of(rows: list[tuple[str, str]]) -> str:
    return "words,mood,number\n" + "".join(f'"{text}",{label},{i}\n' for i, (text, label) in enumerate(rows))


def texts(count: int, seed: int) -> list[tuple[str, str]]:
    """Different texts of the tiny encoder's words; classes down, flat, up as 1 : 2 : 3."""
    labels = np.resize([0, 1, 1, 2, 2, 2], count)
    pool = tiny.make_pool("train", 6 * count, 3, seed=seed)
    unused = {label: [t for t, at in zip(pool.texts, pool.labels, strict=True) if at == label] for label in range(3)}
    found = [(dict.fromkeys(unused[label]), LABELS[label]) for label in range(3)]
    stock = {label: list(kept) for kept, label in found}
    return [(stock[LABELS[label]].pop(), LABELS[label]) for label in labels]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes moods.toml and its files, each with one piece of text replaced; returns its path."""

    def made(old: str = "", new: str = "", rows: list[tuple[str, str]] | None = None) -> Path:
        assert old in FILE, "the test must change something"
        (tmp_path / "moods.toml").write_text(FILE.replace(old, new, 1) if old else FILE, "utf-8")
        (tmp_path / "moods.csv").write_text(csv_of(texts(90, seed=1) if rows is None else rows), "utf-8")
        made_up = [json.dumps({"label": label, "text": text}) for text, label in texts(48, seed=2)]
        (tmp_path / "moods.generated.jsonl").write_text("\n".join(made_up), "utf-8")
        return tmp_path / "moods.toml"

    return made


def pools(path: Path) -> own.Real:
    return own.real_pools(own.read(path))


# -- splits -------------------------------------------------------------------------------------------------


def test_the_splits_have_the_sizes_and_the_shares_and_no_text_in_common(make: Make) -> None:
    found = pools(make()).pools
    assert {name: len(pool) for name, pool in found.items()} == {"train": 36, "dev": 24, "test": 30}
    assert [np.bincount(found[name].labels).tolist() for name in ("test", "dev", "train")] == [
        [5, 10, 15],
        [4, 8, 12],
        [6, 12, 18],
    ]
    everywhere = Counter(text for pool in found.values() for text in pool.texts)
    assert everywhere == Counter(text for text, _ in texts(90, seed=1))
    assert max(everywhere.values()) == 1


def test_the_seed_alone_decides_the_splits(make: Make) -> None:
    first, again = (pools(make()).pools["test"].fingerprint for _ in range(2))
    other = pools(make("seed = 0", "seed = 1")).pools["test"].fingerprint
    assert first == again != other


@pytest.mark.parametrize(
    ("counts", "size", "shares"),
    [((50, 30, 20), 10, [5, 3, 2]), ((5, 5, 5), 4, [2, 1, 1]), ((97, 2, 1), 10, [10, 0, 0]), ((1, 1, 8), 9, [1, 1, 7])],
)
def test_shares_are_rounded_by_largest_remainder(counts: tuple[int, ...], size: int, shares: list[int]) -> None:
    labels = np.repeat(np.arange(3), counts)
    rows = own.stratified(labels, size, np.random.default_rng(0))
    assert len(set(rows.tolist())) == size and (np.diff(rows) > 0).all()
    assert np.bincount(labels[rows], minlength=3).tolist() == shares


def test_a_repeated_text_stays_in_one_place_and_is_counted(make: Make) -> None:
    rows = texts(90, seed=1)
    found = pools(make(rows=[*rows, rows[0], (rows[0][0], "flat"), (f" {rows[3][0]} ", rows[3][1])]))
    assert sum(map(len, found.pools.values())) == 90
    assert (found.repeated, found.contradicting) == (3, 1)
    assert found.summary.endswith("; 3 repeated texts left out, 1 of them with another label")


def test_a_set_may_be_a_file_and_then_it_is_taken_as_it_is(make: Make, tmp_path: Path) -> None:
    path, rows = make("test = 30", 'test = "held.jsonl"'), texts(90, seed=1)
    held = [{"words": rows[i][0], "mood": rows[i][1]} for i in (7, 6, 5, 5)]
    (tmp_path / "held.jsonl").write_text("\n".join(map(json.dumps, held)), "utf-8")
    found = pools(path)
    assert found.pools["test"].texts == (rows[7][0], rows[6][0], rows[5][0])
    assert (len(found.pools["dev"]), len(found.pools["train"]), found.repeated) == (24, 63, 4)


def test_pairs_have_a_column_of_their_own(make: Make, tmp_path: Path) -> None:
    path = make('example = "{text}"', 'example = "{text} | {pair}"')
    path.write_text(path.read_text("utf-8").replace('text = "words"', 'text = "words"\npair = "number"'), "utf-8")
    real = pools(path).pools["dev"]
    assert real.pairs is not None and all(pair.isdigit() for pair in real.pairs)


def test_the_label_s_wording_goes_into_the_request_and_its_name_into_the_data(make: Make) -> None:
    described = own.read(make())
    assert described.form.labels == LABELS and described.form.wording == ("sad", "dull", "glad")
    real = own.real_pools(described).pools["dev"]
    drawn = prompts.draw_examples(real, 2, 2)
    assert prompts.prompt(described.path, 2, drawn)[1]["content"].startswith("Write a text that is glad.\n")
    assert own.load(described).label_names == LABELS


def test_the_example_is_whole() -> None:
    described = own.read(own.EXAMPLE)
    benchmark = own.load(described)
    assert benchmark.classes == 3 and own.real_pools(described).repeated == 0
    assert {name: len(pool) for name, pool in benchmark.pools.items()} == {
        "train": 180,
        "dev": 60,
        "test": 120,
        "generated": 240,
    }


# -- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Three moods"', "", "moods.toml: title = None; expected text"),
        ("title", "titel", "moods.toml: unknown field 'titel'; a prompt file has again, data,"),
        ("title", "question = 3\ntitle", "moods.toml: question = 3; expected text"),
        ('again = "Another one?"', "", "moods.toml: field 'again' is missing"),
        ("dev = 24", "", r"moods.toml: [data]: field 'dev' is missing; it has dev, file, generated,"),
        ("dev = 24", "dev = 24\ntrian = 2", r"moods.toml: [data]: unknown field 'trian'"),
        ("dev = 24", "dev = 0", r"moods.toml: [data]: dev = 0; expected a whole number, 1 or more"),
        ("dev = 24", "dev = 2.5", r"moods.toml: [data]: dev = 2.5; expected a number or a file"),
        ("dev = 24", "dev = true", r"moods.toml: [data]: dev = True; expected a number or a file"),
        ("seed = 0", 'seed = "x"', r"moods.toml: [data]: seed = 'x'; expected a whole number, 0 or more"),
        ('text = "words"', "text = 3", r"moods.toml: [data]: text = 3; expected text"),
        ('up = "glad"', "up = 3", "moods.toml: labels = {"),
        ('up = "glad"', 'up = "sad"', "expected a list of at least two different words"),
        (
            'example = "{text}"',
            'example = "{pair}"',
            "moods.toml: example = '{pair}' holds {pair}, but [data] names no",
        ),
        ("[data]", "[date]", "moods.toml: unknown field 'date'"),
        ("dev = 24", "dev = 60", "moods.toml: [data]: dev = 60, but moods.csv has 60 different texts for it"),
        ("dev = 24", "dev = 2", "none of the 2 texts of D_P' is labelled 'down'; take more texts for it"),
        ('"moods.csv"', '"gone.csv"', "Missing file"),
        ('"moods.csv"', '"moods.xlsx"', "expected a file of the kind .csv or .jsonl"),
        ('text = "words"', 'text = "text"', "moods.csv: no column 'text' in its first line; found words, mood, number"),
        ('"moods.generated.jsonl"', '"no.jsonl"', "moods: no generated texts yet (no file "),
    ],
)
def test_a_faulty_file_is_told_in_a_line(make: Make, old: str, new: str, message: str) -> None:
    path = make(old, new)
    with pytest.raises(UserError) as caught:
        own.load(own.read(path))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_way_out_of_missing_generated_texts_is_the_command(make: Make) -> None:
    path = make('"moods.generated.jsonl"', '"no.jsonl"')
    with pytest.raises(UserError, match=f"make them by: paper-repro generate --benchmark {path}"):
        own.load(own.read(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"words,mood\nrise,up\nfall,donw\n", "line 3: label 'donw', expected one of down, flat, up"),
        (b"words,mood\nrise,up\n  ,down\n", "line 3: 'words' is missing, empty or not a text"),
        (b'words,mood\n"rise\nagain",up\nsteady,down,flat\n', "line 4: 3 fields, expected 2; a text that holds"),
        (b'words,mood\n"rise" x,up\n', "line 2: not CSV"),
        (b"words,mood\ncaf\xe9,up\n", "byte 14 is not UTF-8, expected UTF-8: save the file as UTF-8"),
        (b"words;mood\nrise;up\n", "no column 'words' in its first line; found words;mood"),
        (b"words,mood\n", "no examples"),
        (b"", "found nothing"),
    ],
)
def test_a_faulty_csv_is_told_with_its_line(make: Make, tmp_path: Path, content: bytes, message: str) -> None:
    path = make()
    (tmp_path / "moods.csv").write_bytes(content)
    with pytest.raises(UserError) as caught:
        pools(path)
    assert "moods.csv" in str(caught.value) and message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_names_that_would_be_mistaken_are_refused(make: Make, tmp_path: Path) -> None:
    text = make().read_text("utf-8")
    for name, message in [("mrpc.toml", "mrpc is a benchmark of the paper"), ("my file.toml", "is called by letters")]:
        (tmp_path / name).write_text(text, "utf-8")
        with pytest.raises(UserError, match=message):
            own.read(tmp_path / name)
    with pytest.raises(UserError, match="no benchmark file .*absent.toml; .*workshop.toml is one to copy"):
        own.read(tmp_path / "absent.toml")


def call(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, [*words, "--device", "cpu"], prog_name="paper-repro")
    return done.exit_code, done.output


def test_notebooks_on_the_papers_benchmarks_say_so(make: Make, tmp_path: Path) -> None:
    code, told = call(
        "run",
        "05",
        "--benchmark",
        str(make()),
        "--results-dir",
        str(tmp_path / "r"),
        "--figures-dir",
        str(tmp_path / "f"),
    )
    assert code == 2
    assert "05_noisy: it is about the paper's benchmarks; with --benchmark there are 0" in told
    assert "04_train_losses" in told


def test_bad_data_stop_the_command_before_anything_is_launched(make: Make, tmp_path: Path) -> None:
    path = make("dev = 24", "dev = 2")
    code, told = call(
        "run",
        "04",
        "--benchmark",
        str(path),
        "--results-dir",
        str(tmp_path / "r"),
        "--figures-dir",
        str(tmp_path / "f"),
    )
    assert code == 2 and "none of the 2 texts of D_P' is labelled 'down'" in told
    assert not (tmp_path / "r").exists()


# -- runs ---------------------------------------------------------------------------------------------------


def opened(path: Path, folder: Path, encoder: Path):
    places = {"results_dir": str(folder / "results"), "figures_dir": str(folder / "figures")}
    return open_workspace("mini", benchmark_file=str(path), encoder_dir=str(encoder), device="cpu", workers=1, **places)


def test_the_content_is_in_the_keys_and_the_name_in_the_folders(make: Make, tmp_path: Path) -> None:
    encoder = tiny.make_encoder(tmp_path / "encoder")
    here = opened(make(), tmp_path, encoder)
    run = tiny.spec("imp", benchmark="moods")
    again = open_workspace(**here.settings())
    assert here.key(run) == again.key(run)
    assert here.paths.figures == tmp_path / "figures" / "mini-moods" and here.paths.results.name == "mini-moods"
    (tmp_path / "moods.generated.jsonl").open("a", encoding="utf-8").write('\n{"label": "up", "text": "rise rise"}')
    assert opened(tmp_path / "moods.toml", tmp_path, encoder).key(run) != here.key(run)
    status = here.status()
    assert set(status["table"]) == {"Table 1", "Sec. 3.2"} and status["done"].sum() == 0 < status["missing"].sum()
    with pytest.raises(UserError, match="with a benchmark of your own there is moods only"):
        here.benchmark("financial")


def command(*words: str) -> str:
    """What ``paper-repro`` prints on the profile mini; it must end well."""
    done = subprocess.run(
        [sys.executable, "-m", "paper_repro", *words, "--profile", "mini"],
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def generated(path: Path) -> None:
    """Put a D_Q that a server was asked for in the place of the one that is there."""
    place = path.parent / "moods.generated.jsonl"
    place.unlink()
    with serving(path.parent / "generator") as server:
        words = ["generate", "--benchmark", str(path), "--texts", "48", "--model", "made-up", "--base-url", server.url]
        command(*words, "--key-env", "", "--examples", "4")
    labels = Counter(json.loads(line)["label"] for line in place.read_text("utf-8").splitlines())
    assert labels == dict.fromkeys(LABELS, 16)


def asked_labels(path: Path, results: Path) -> float:
    """Ask a server for the labels of the test set: every third text is said to be "down", of the others the truth.

    Returns the accuracy in per cent, by counting.
    """
    test = pools(path).pools["test"]
    said = {text: "down" if i % 3 == 0 else LABELS[test.labels[i]] for i, text in enumerate(test.texts)}
    with serving(path.parent / "server", scripted_server.__file__) as server:
        (server.folder / "answers.json").write_text(json.dumps(said), "utf-8")
        told = command(
            *["few-shot", "--benchmark", str(path), "--model", "scripted", "--base-url", server.url, "--key-env", ""],
            *["--results-dir", str(results)],
        )
        assert server.count() == server.count("answer") == 30
    right = sum(i % 3 != 0 or label == 0 for i, label in enumerate(test.labels))
    assert f"Accuracy {100 * right / 30:.2f} %" in told and "(0 answers without a label)" in told
    return 100 * right / 30


def test_a_csv_of_three_classes_goes_through_checkers_and_all_losses(make: Make, tmp_path: Path) -> None:
    """By the commands of the README, with an encoder of random weights; the test set's labels are asked for, too."""
    encoder, path, results = tiny.make_encoder(tmp_path / "encoder"), make(), tmp_path / "results"
    generated(path)
    accuracy = asked_labels(path, results)
    told = command(
        *["run", "--benchmark", str(path), "--encoder-dir", str(encoder), "--device", "cpu"],
        *["--workers", "1", "--results-dir", str(results), "--figures-dir", str(tmp_path / "figures")],
        *["-p", "few_shot", "asked", "-p", "examples", "4", "-p", "folds", "2"],
    )
    assert "Benchmark moods, 3 classes: D_P 36, D_P' 24, the test set 30; no text is repeated; D_Q 48" in told
    paths = Paths.of("mini", str(tmp_path / "results"), str(tmp_path / "figures"), "moods")
    table = pd.read_csv(paths.figures / "table1.csv")
    assert not [name for name in table.columns if name.startswith("paper")]
    first = table.iloc[0]
    assert (first["method"], first["reproduction"]) == ("GPT-3.5 few-shot", "scripted, 8 dev examples")
    assert first["mean_accuracy"] == pytest.approx(accuracy, abs=1e-3)
    table = table[1:]
    assert len(table) == 12 and set(table["benchmark"]) == {"moods"} and set(table["status"]) == {"complete"}
    assert (table["n_test"] == 30).all() and table["n_seeds"].nunique() == 1
    assert not table["method"].str.contains("Hu et al|SunGen|Oracle").any()
    checkers = pd.read_csv(paths.figures / "checkers.csv").set_index("fitted_on")
    assert checkers["n_fitted"].to_dict() == {"dev": 24, "generated": 48, "train": 36}
    assert (checkers["majority"] == 50).all()  # half of the test texts are "up"
    sizes = pd.read_csv(paths.figures / "table5.csv").set_index("split")
    assert sizes["moods_here"].to_dict() == {"train": 36, "dev": 24, "test": 30, "generated": 48}
    assert all(entry["complete"] for entry in report.read_manifest(paths.figures).values())
    page = paths.report.read_text("utf-8")
    assert "its methods on a benchmark of your own" in page and "What there is of the paper" not in page
