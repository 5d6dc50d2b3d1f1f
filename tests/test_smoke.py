"""All notebooks from end to end, by papermill, on a world that is as small as it can be: the profile ``smoke``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from paper_repro.model import pretraining
from paper_repro.paper import published
from paper_repro.report import manifest, notebooks, status
from paper_repro.report.parameters import declared
from paper_repro.tools.paths import Paths, project_root

# Whichever test comes first waits for all of them: minutes on two free cores, more on busy ones.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

NAMES = [path.stem for path in notebooks.available()]
# The smallest values of what notebooks repeat; each goes to the notebooks that have it.
SMALLEST = {
    "simulations": 50,
    "repetitions": 2,
    "resamples": 50,
    "candidates": 20,
    "limit_seeds": 1,
    "cross_fit_seeds": 1,
    "timed_runs": 1,
    "folds": 2,
}
TROUBLE = re.compile(r"\w*Warning\b|Traceback|\bnan\b|LOAD REPORT")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that knows the world's words and hardly more: it is pre-trained for a few steps."""
    settings = pretraining.PretrainingConfig(steps=20)
    return pretraining.ensure(tmp_path_factory.mktemp("cache"), settings=settings).directory


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    folder = tmp_path_factory.mktemp("smoke")
    return Paths.of("smoke", str(folder / "results"), str(folder / "figures"))


def execute(words: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    here = {**os.environ, "PYTHONPATH": str(project_root())}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=cwd, env=here, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def run(encoder: Path, paths: Paths) -> subprocess.CompletedProcess[str]:
    """What ``paper-repro run --profile smoke`` said."""
    folders = {"results": paths.results_root, "figures": paths.figures_root, "encoder": encoder}
    words = ["paper_repro", "run", "--profile", "smoke", "--workers", "2"]
    words += [word for name, folder in folders.items() for word in (f"--{name}-dir", str(folder))]
    words += [word for name, n in SMALLEST.items() for word in ("-p", name, str(n))]
    return execute(words, project_root())


def test_the_command_line_runs_all_of_them_and_everything_is_complete(
    run: subprocess.CompletedProcess[str], paths: Paths
) -> None:
    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    assert {name: outcome.status for name, outcome in status.read(paths).items()} == dict.fromkeys(NAMES, "done")
    products = manifest.read(paths.figures)
    assert manifest.gaps(paths.figures, NAMES) == []
    assert {entry["notebook"] for entry in products.values()} == set(NAMES)
    files = {path.name for path in paths.figures.iterdir() if not path.name.startswith(".")}
    assert files == {"manifest.json"}.union(*(entry["files"] for entry in products.values()))
    assert paths.report.exists()


def test_every_item_of_the_paper_that_is_no_code_is_made_by_its_notebook(
    run: subprocess.CompletedProcess[str], paths: Paths
) -> None:
    items = published.items()
    expected = {row.item: row.notebook for row in items[items["module"] == ""].itertuples()}
    made = {item: entry["notebook"] for entry in manifest.read(paths.figures).values() for item in entry["items"]}
    assert {item: made.get(item) for item in expected} == expected


@pytest.mark.parametrize("name", NAMES)
def test_no_output_holds_an_error_a_warning_or_a_number_that_is_none(
    name: str, run: subprocess.CompletedProcess[str], paths: Paths
) -> None:
    cells = nbformat.read(paths.notebooks / f"{name}.ipynb", as_version=4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    assert outputs
    assert [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"] == []
    data = [(kind, text) for output in outputs for kind, text in output.get("data", {}).items()]
    said = [text for kind, text in data if kind.startswith("text/")] + [o.get("text", "") for o in outputs]
    found = {match for text in said for match in TROUBLE.findall(text)}
    assert not found


def test_plain_papermill_from_another_folder_does_the_same(
    run: subprocess.CompletedProcess[str], encoder: Path, paths: Paths, tmp_path: Path
) -> None:
    """Nothing is trained again, and the tables are the same bytes."""
    name = "04_train_losses"
    folders = {"results_dir": paths.results_root, "figures_dir": tmp_path / "figures", "encoder_dir": encoder}
    given = {"profile": "smoke", "workers": 1, **folders, **SMALLEST}
    parameters = [(key, str(value)) for key, value in given.items() if key in declared(notebooks.find(name))]
    words = ["papermill", str(notebooks.find(name)), "out.ipynb", "--no-progress-bar", "--kernel", "python3"]
    done = execute([*words, *(word for pair in parameters for word in ("-p", *pair))], tmp_path)
    assert done.returncode == 0, done.stderr
    theirs, ours = (manifest.read(folder / "smoke") for folder in (tmp_path / "figures", paths.figures_root))
    assert theirs and {key: entry["files"] for key, entry in theirs.items()} == {
        key: entry["files"] for key, entry in ours.items() if entry["notebook"] == name
    }
