"""A benchmark of your own goes through the commands: checks before a run, keys and folders, a whole run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import scripted_server
import tiny
from chat_server import serving
from command import call
from moods import LABELS, Make

from paper_repro.report import manifest
from paper_repro.runs.inputs import Inputs, open_inputs
from paper_repro.runs.keys import run_key
from paper_repro.texts import benchmarks
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths

ROOT = Path(__file__).resolve().parents[1]


def refused(*words: str) -> str:
    """What the command says; it must refuse what it was asked for."""
    done = call(*words, "--device", "cpu")
    assert done.exit_code == 2
    return done.output


def folders(folder: Path) -> list[str]:
    return ["--results-dir", str(folder / "results"), "--figures-dir", str(folder / "figures")]


def test_notebooks_on_the_papers_benchmarks_say_so(make: Make, tmp_path: Path) -> None:
    told = refused("run", "07", "--benchmark", str(make()), *folders(tmp_path))
    assert "07_theory: it is about the paper's benchmarks; with --benchmark there are 01_generate, 02" in told
    assert all(name in told for name in ("04_train_losses", "05_noisy", "06_ablations", "08_baselines"))


def test_bad_data_stop_the_command_before_anything_is_launched(make: Make, tmp_path: Path) -> None:
    path = make("dev = 24", "dev = 60")
    told = refused("run", "04", "--benchmark", str(path), *folders(tmp_path))
    assert "dev = 60, but there are 60 different texts for it" in told
    assert not (tmp_path / "results").exists()


def test_the_content_is_in_the_keys_and_the_name_in_the_folders(make: Make, tmp_path: Path) -> None:
    encoder = str(tiny.make_encoder(tmp_path / "encoder"))

    def opened() -> Inputs:
        return open_inputs(
            "mini", benchmark_file=str(tmp_path / "moods.toml"), encoder_dir=encoder, figures_dir=str(tmp_path)
        )

    make()
    run, here = tiny.spec("imp", benchmark="moods"), opened()
    assert run_key(opened(), run) == run_key(here, run)
    assert here.paths.figures == tmp_path / "mini-moods" and here.paths.results.name == "mini-moods"
    (tmp_path / "moods.generated.jsonl").open("a", encoding="utf-8").write('\n{"label": "up", "text": "rise rise"}')
    assert run_key(opened(), run) != run_key(here, run)
    with pytest.raises(UserError, match="'financial' is not known"):
        here.benchmark("financial")


def test_two_descriptions_of_one_name_have_folders_of_their_own(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "my.toml", tmp_path / "b" / "my.toml"

    def places(description: Path) -> Paths:
        return Paths.of("mini", str(tmp_path / "results"), str(tmp_path / "figures"), description)

    for path in (first, second):
        path.parent.mkdir()
        path.touch()
    assert places(first) == places(second)  # none of them has written anything
    places(first).claim(places(first).figures, first)
    places(second).claim(places(second).results, second)
    assert [places(path).figures.name for path in (first, second, first)] == ["mini-my", "mini-my-2", "mini-my"]
    assert {places(path).benchmark for path in (first, second)} == {"my"}
    first.unlink()  # as where a project moved: its folder is free again
    (tmp_path / "c").mkdir()
    assert places(tmp_path / "c" / "my.toml").figures.name == "mini-my"


def command(*words: str) -> str:
    """What ``paper-repro`` prints on the profile smoke; it must end well."""
    done = subprocess.run(
        [sys.executable, "-m", "paper_repro", *words, "--profile", "smoke"],
        capture_output=True,
        text=True,
        timeout=1700,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ask_for_texts(path: Path) -> None:
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
    test = benchmarks.load(path).pools["test"]
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


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_csv_of_three_classes_goes_through_all_notebooks_that_take_it(make: Make, tmp_path: Path) -> None:
    """By the commands of the README, with an encoder of random weights; the test set's labels are asked for, too."""
    encoder, path, results = tiny.make_encoder(tmp_path / "encoder"), make(), tmp_path / "results"
    ask_for_texts(path)
    accuracy = asked_labels(path, results)
    told = command(
        *["run", "01", "02", "03", "04", "05", "08", "--benchmark", str(path), "--encoder-dir", str(encoder)],
        *["--device", "cpu", "--workers", "1", *folders(tmp_path)],
        *["-p", "few_shot", "asked", "-p", "examples", "4", "-p", "folds", "2"],
    )
    assert "Benchmark moods, 3 classes: D_P 36, D_P' 24, the test set 30, D_Q 48" in told
    paths = Paths.of("smoke", str(results), str(tmp_path / "figures"), path)
    products = manifest.read(paths.figures)
    assert {"table4", "figure4_moods", "table1_extended", "baselines_cost"} <= set(products)
    assert all(entry["complete"] for entry in products.values())
    tables = {name: pd.read_csv(paths.figures / f"{name}.csv") for name in ("table1", "table4", "table1_extended")}
    for table in tables.values():
        assert set(table["benchmark"]) == {"moods"} and not any("paper" in column for column in table)
        assert not table["method"].isin(["hu", "sungen_camera_ready", "oracle"]).any()
    first, rest = tables["table1"].iloc[0], tables["table1"][1:]
    assert (first["method"], first["reproduction"]) == ("few_shot", "scripted, 8 dev examples")
    assert first["mean_accuracy"] == pytest.approx(accuracy, abs=1e-3)
    assert len(rest) == 12 and set(rest["status"]) == {"complete"}
    assert (rest["n_test"] == 30).all() and rest["n_seeds"].nunique() == 1
    assert {"ce_dq_dp", "hu_cheap", "ren"} <= set(tables["table1_extended"]["method"])
    checkers = pd.read_csv(paths.figures / "checkers.csv").set_index("fitted_on")
    assert checkers["n_fitted"].to_dict() == {"dev": 24, "generated": 48, "train": 36}
    assert (checkers["majority"] == 50).all()  # half of the test texts are "up"
    sizes = pd.read_csv(paths.figures / "table5.csv").set_index("split")
    assert sizes["moods_here"].to_dict() == {"train": 36, "dev": 24, "test": 30, "generated": 48}
    page = paths.report.read_text("utf-8")
    assert "its methods on a benchmark of your own" in page and "What there is of the paper" not in page
