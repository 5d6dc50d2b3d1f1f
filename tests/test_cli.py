"""The command line: what it passes on, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import nbformat
import psutil
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_notebook

import paper_repro
from paper_repro.cli import cli, distribute
from paper_repro.report import status
from paper_repro.tools import paths as places
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths

ROOT = Path(paper_repro.__file__).parents[1]


def write(folder: Path, name: str, parameters: str, *cells: str) -> Path:
    made = [new_code_cell(parameters, metadata={"tags": ["parameters"]}), *map(new_code_cell, cells)]
    notebook = new_notebook(cells=made)
    notebook.metadata.language_info = {"name": "python"}
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    path = tmp_path / "notebooks"
    path.mkdir()
    monkeypatch.setattr(places, "NOTEBOOKS", path)
    monkeypatch.delenv("PAPER_REPRO_DATA", raising=False)
    monkeypatch.setenv("PAPER_REPRO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("PAPER_REPRO_FIGURES", str(tmp_path / "figures"))
    return path


@pytest.fixture
def report(monkeypatch):
    """Stands in for the report: it only says where it would be, and reads the manifest as it stands."""
    module = types.ModuleType("paper_repro.report")
    module.build = lambda paths: paths.report  # type: ignore[attr-defined]
    module.read_manifest = _products  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "paper_repro.report", module)
    monkeypatch.setattr(paper_repro, "report", module, raising=False)


def _products(figures: Path):
    try:
        return json.loads((figures / "manifest.json").read_text(encoding="utf-8"))["products"]
    except FileNotFoundError:
        raise UserError("no tables and figures yet") from None


MAKE_TABLE = """import datetime, json, os, pathlib
folder = pathlib.Path(os.environ["PAPER_REPRO_FIGURES"], "demo")
folder.mkdir(parents=True, exist_ok=True)
now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
entry = dict(notebook="02_b", files={{}}, written=now, complete={complete}, completeness="3 of 4 runs")
(folder / "manifest.json").write_text(json.dumps(dict(products=dict(table1=entry))))"""


def call(*words: str):
    return CliRunner().invoke(cli, list(words), prog_name="paper-repro")


def test_help_and_version_need_nothing_heavy():
    code = (
        "import sys; from paper_repro.cli import cli; cli(['run', '--help'], standalone_mode=False);"
        "heavy = {'torch', 'transformers', 'pandas', 'numpy', 'papermill', 'nbconvert'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert call("--version").output == f"paper-repro, version {paper_repro.__version__}\n"


def test_each_notebook_gets_the_common_parameters_that_it_has(tmp_path):
    first = write(tmp_path, "01_a", 'profile = "demo"\nworkers = 0\ndata_dir = ""')
    second = write(tmp_path, "02_b", 'profile = "demo"\ndevice = "auto"\nshots = 8')
    common = {"profile": "mini", "data_dir": "/d", "device": "cpu", "workers": 2, "results_dir": ""}
    assert distribute([first, second], common, [("shots", "4")]) == {
        "01_a": {"profile": "mini", "workers": 2, "data_dir": "/d"},
        "02_b": {"profile": "mini", "device": "cpu", "shots": 4},
    }


def test_what_was_not_given_is_left_to_the_notebook(tmp_path):
    path = write(tmp_path, "01_a", 'profile = "demo"\nworkers = 1\ndevice = "cpu"\ndata_dir = "x"')
    common = {"profile": "demo", "workers": 0, "device": "auto", "data_dir": ""}
    assert distribute([path], common, []) == {"01_a": {"profile": "demo"}}


def test_an_extra_parameter_must_exist_somewhere_and_be_no_option(tmp_path):
    path = write(tmp_path, "01_a", 'profile = "demo"\nshots = 8')
    with pytest.raises(UserError, match="-p shot: no chosen notebook has this parameter\nThey have: 01_a: shots"):
        distribute([path], {}, [("shot", "4")])
    with pytest.raises(UserError, match="-p data_dir: use --data-dir instead"):
        distribute([path], {}, [("data_dir", "x")])


def test_all_notebooks_run_in_order_and_the_report_comes_last(folder, report, tmp_path):
    write(folder, "02_b", 'profile = "mini"', "assert profile == 'demo'", MAKE_TABLE.format(complete=True))
    write(folder, "01_a", "seed = 1", "assert seed == 3")
    result = call("run", "-p", "seed", "3")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    started = [line for line in result.stdout.splitlines() if line.endswith(": started")]
    assert started == ["01_a: started", "02_b: started"]
    assert result.stdout.splitlines()[-1] == f"Report: {tmp_path / 'results' / 'demo' / 'report.html'}"


def test_a_failing_notebook_ends_in_exit_code_1_after_the_others(folder, report):
    write(folder, "01_a", "x = 1", "raise ValueError('broken')")
    write(folder, "02_b", "x = 1", MAKE_TABLE.format(complete=True))
    result = call("run")
    assert result.exit_code == 1
    assert "02_b: finished" in result.stdout
    assert result.stderr == "paper-repro: not complete:\n- 01_a: cell 2 failed: ValueError: broken\n"
    assert result.stdout.splitlines()[-1].startswith("Report: /")


def test_a_table_with_gaps_ends_in_exit_code_1(folder, report):
    write(folder, "02_b", "x = 1", MAKE_TABLE.format(complete=False))
    result = call("run")
    assert result.exit_code == 1
    assert result.stderr == "paper-repro: not complete:\n- 02_b: table1: 3 of 4 runs\n"
    assert "02_b: finished" in result.stdout


def test_a_declared_table_that_was_never_made_ends_in_exit_code_1(folder, report):
    path = write(folder, "02_b", "x = 1", "x")
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["paper_repro"] = {"products": ["table1"]}
    nbformat.write(notebook, path)
    result = call("run")
    assert result.exit_code == 1
    assert result.stderr == "paper-repro: not complete:\n- no tables and figures yet\n"
    assert "Report: none yet" in result.stdout


def test_a_notebook_without_tables_needs_no_report(folder, report):
    write(folder, "00_primer", "x = 1", "x")
    result = call("run", "00")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "Report: none yet, no table or figure has been made"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--profile", "dmeo"], "profile 'dmeo' is not known; choose one of: demo, mini, paper"),
        (["run", "07"], "notebook '07' is not known; there are: 01_a"),
        (["run", "-p", "seed", "one"], "01_a: parameter 'seed' must be int, found 'one'"),
        (["run", "-p", "sede", "1"], "-p sede: no chosen notebook has this parameter"),
        (["run", "--device", "gpu"], "--device 'gpu' is not known; expected auto, cpu, cuda or cuda:0"),
        (["run", "--data-dir", "nowhere"], "--data-dir: nowhere is not a folder"),
        (["report", "--profile", "x"], "profile 'x' is not known"),
        (["fetch", "--profile", "x"], "profile 'x' is not known"),
        (["status", "--profile", "x"], "profile 'x' is not known"),
    ],
)
def test_bad_input_is_one_or_two_lines_exit_code_2_and_nothing_written(folder, tmp_path, words, message):
    write(folder, "01_a", 'profile = "demo"\nseed = 1', "raise SystemExit('launched')")
    result = call(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"paper-repro: {message}")
    assert len(result.stderr.splitlines()) <= 2
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["notebooks"]


def test_debug_lets_the_traceback_through(folder):
    write(folder, "01_a", "seed = 1")
    for words in (["--debug", "run", "--profile", "x"], ["run", "--debug", "--profile", "x"]):
        assert isinstance(call(*words).exception, UserError)


def test_an_unforeseen_failure_is_one_line(folder, monkeypatch):
    write(folder, "01_a", "seed = 1")
    monkeypatch.setattr("paper_repro.cli._paths", lambda _: 1 / 0)
    result = call("report")
    assert result.exit_code == 1
    assert (
        result.stderr == "paper-repro: unexpected failure, ZeroDivisionError: division by zero (--debug shows where)\n"
    )


def test_a_full_disk_is_told(folder, monkeypatch):
    def full(_: object) -> None:
        raise OSError(28, "No space left on device", "results/x")

    monkeypatch.setattr("paper_repro.cli._paths", full)
    result = call("report")
    assert result.exit_code == 1
    assert result.stderr == (
        "paper-repro: No space left on device: results/x; make room or choose another --results-dir\n"
    )


def test_fetch_passes_profile_and_folders_on(monkeypatch, tmp_path, folder):
    seen = {}
    module = types.ModuleType("paper_repro.runs.fetch")
    module.fetch = lambda profile, **rest: seen.update(rest, profile=profile)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "paper_repro.runs.fetch", module)
    assert call("fetch", "--profile", "mini", "--data-dir", str(tmp_path)).exit_code == 0
    seen.pop("echo")
    assert seen == {
        "profile": "mini",
        "data_dir": tmp_path,
        "encoder_dir": None,
        "cache": tmp_path / "results" / "cache",
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_says_how_to_go_on_and_leaves_no_kernel(folder, tmp_path, number):
    pids = tmp_path / "pids"
    busy = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(120)'])\n"
        f"open({str(pids) + '.new'!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(pids) + '.new'!r}, {str(pids)!r})\n"
        "time.sleep(120)"
    )
    write(folder, "01_a", "x = 1", busy)
    launch = (
        "import pathlib, sys; from paper_repro import cli, paths;"
        f"paths.NOTEBOOKS = pathlib.Path({str(folder)!r}); sys.argv = ['paper-repro', 'run']; cli.main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", launch], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not pids.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert told == "paper-repro: stopped; what was finished is kept: the same command goes on from there\n"
    kernel, child = map(int, pids.read_text(encoding="utf-8").split())
    _, alive = psutil.wait_procs([psutil.Process(p) for p in (kernel, child) if _lives(p)], timeout=10)
    assert not alive
    paths = Paths.of("demo")
    assert list(paths.notebooks.iterdir()) == []
    assert status.read(paths)["01_a"].status == "stopped"


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
