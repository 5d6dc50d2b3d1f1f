"""The command line: what it passes on, what it prints, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import tiny
from click.shell_completion import ShellComplete
from command import call, write

import paper_repro
from paper_repro.cli import cli
from paper_repro.paper.table1.cells import table1
from paper_repro.report import manifest, status
from paper_repro.report.parameters import distribute
from paper_repro.report.workload import workload
from paper_repro.runs import profiles
from paper_repro.runs.results import open_results
from paper_repro.tools import paths as places
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths

ROOT = Path(paper_repro.__file__).parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    path = tmp_path / "notebooks"
    path.mkdir()
    monkeypatch.setattr(places, "NOTEBOOKS", path)
    monkeypatch.setattr(places, "REFERENCE", tmp_path / "reference")
    monkeypatch.delenv("PAPER_REPRO_DATA", raising=False)
    monkeypatch.setenv("PAPER_REPRO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("PAPER_REPRO_FIGURES", str(tmp_path / "figures"))
    return path


MAKE_TABLE = """import json, os, pathlib
folder = pathlib.Path(os.environ["PAPER_REPRO_FIGURES"], "demo")
folder.mkdir(parents=True, exist_ok=True)
entry = dict(title="T", files={{}}, items=[], notebook="02_b", runs=[], wanted=4, complete={complete}, written="",
             completeness="3 of 4 runs", hardware=[], versions={{}}, commits=[])
(folder / "manifest.json").write_text(json.dumps(dict(products=dict(table1=entry))))"""


@pytest.mark.parametrize("words", [["run", "--help"], ["--version"], ["status"]])
def test_what_needs_nothing_heavy_imports_nothing_heavy(words, tmp_path):
    """On a checkout where nothing was run yet."""
    code = (
        f"import sys; from paper_repro.cli import cli; cli({words}, standalone_mode=False);"
        "heavy = {'torch', 'transformers', 'pandas', 'numpy', 'papermill', 'nbconvert'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    nowhere = {"PAPER_REPRO_RESULTS": str(tmp_path / "results"), "PAPER_REPRO_FIGURES": str(tmp_path / "figures")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **nowhere}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_each_notebook_gets_the_parameters_that_it_has_and_that_were_given(tmp_path):
    first = write(tmp_path, "01_a", 'profile = "demo"\nworkers = 0\ndata_dir = ""')
    second = write(tmp_path, "02_b", 'profile = "demo"\ndevice = "auto"\nshots = 8')
    common = {"profile": "mini", "data_dir": "/d", "device": "cpu", "workers": 2, "results_dir": ""}
    assert distribute([first, second], common, [("shots", "4")]) == {
        "01_a": {"profile": "mini", "workers": 2, "data_dir": "/d"},
        "02_b": {"profile": "mini", "device": "cpu", "shots": 4},
    }
    not_given = {"profile": "demo", "workers": 0, "device": "auto", "data_dir": ""}
    assert distribute([first], not_given, []) == {"01_a": {"profile": "demo"}}


def test_an_extra_parameter_must_exist_somewhere_and_be_no_option(tmp_path):
    path = write(tmp_path, "01_a", 'profile = "demo"\nshots = 8')
    with pytest.raises(UserError, match="-p shot: no chosen notebook has this parameter\nThey have: 01_a: shots"):
        distribute([path], {}, [("shot", "4")])
    with pytest.raises(UserError, match="-p data_dir: use --data-dir instead"):
        distribute([path], {}, [("data_dir", "x")])


def test_all_notebooks_run_in_order_and_the_report_comes_last(folder, tmp_path):
    write(folder, "02_b", 'profile = "mini"', "assert profile == 'demo'", MAKE_TABLE.format(complete=True))
    write(folder, "01_a", "seed = 1", "assert seed == 3")
    result = call("run", "-p", "seed", "3")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    started = [line for line in result.stdout.splitlines() if line.endswith(": started")]
    assert started == ["01_a: started", "02_b: started"]
    assert result.stdout.splitlines()[-1] == f"Report: {tmp_path / 'results' / 'demo' / 'report.html'}"


def test_failures_and_gaps_end_in_exit_code_1_after_all_notebooks_had_their_turn(folder):
    write(folder, "01_a", "x = 1", "raise ValueError('broken')")
    write(folder, "02_b", "x = 1", MAKE_TABLE.format(complete=False))
    result = call("run")
    assert result.exit_code == 1
    gaps = ["01_a: cell 2 failed: ValueError: broken", "02_b: table1: 3 of 4 runs"]
    assert result.stderr == f"paper-repro: not complete:\n- {gaps[0]}\n- {gaps[1]}\n"
    assert result.stdout.splitlines()[-1].startswith("Report: /")
    told = call("status").stdout
    assert "ValueError: broken" in told and gaps[1] in told


def test_notebooks_run_side_by_side_where_that_is_asked_for(folder, tmp_path):
    """Each waits for the other, and then one of them fails."""
    meet = (
        "import pathlib, time\n"
        "pathlib.Path({folder!r}, {mine!r}).touch()\n"
        "deadline = time.monotonic() + 60\n"
        "while not pathlib.Path({folder!r}, {other!r}).exists():\n"
        "    assert time.monotonic() < deadline, 'nobody else came'\n"
        "    time.sleep(0.05)"
    )
    write(folder, "01_a", "x = 1", meet.format(folder=str(tmp_path), mine="a", other="b"), "raise ValueError('broken')")
    write(folder, "02_b", "x = 1", meet.format(folder=str(tmp_path), mine="b", other="a"))
    result = call("run", "--at-once", "2")
    assert result.stderr == "paper-repro: not complete:\n- 01_a: cell 3 failed: ValueError: broken\n"
    assert {name: one.status for name, one in status.read(Paths.of("demo")).items()} == {
        "01_a": "failed",
        "02_b": "done",
    }


def test_results_that_may_only_be_read_are_left_as_they_are(folder, tmp_path):
    """Tables of results of somebody else: what is made goes beside the figures."""
    results, figures = tmp_path / "results", tmp_path / "figures"
    write(folder, "02_b", "x = 1", MAKE_TABLE.format(complete=True))
    assert call("run").exit_code == 0
    paths = [results, *results.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    before = {path: path.stat().st_mtime_ns for path in paths}
    try:
        told, again, made = call("status"), call("run"), call("report")
        assert [result.exit_code for result in (told, again, made)] == [0, 0, 0], again.output
        assert {path: path.stat().st_mtime_ns for path in [results, *results.rglob("*")]} == before
    finally:
        for path in paths:
            path.chmod(path.stat().st_mode | 0o700)
    assert "02_b: done after" in told.output
    assert made.output.splitlines()[-1] == f"Report: {figures / 'demo' / 'report.html'}"
    assert (figures / "demo" / "notebooks" / "02_b.ipynb").exists()


def test_a_notebook_without_tables_needs_no_report(folder):
    write(folder, "00_primer", "x = 1", "x")
    result = call("run", "0")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "Report: none yet, no table or figure has been made"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--profile", "dmeo"], "profile 'dmeo' is not known; choose one of: demo, mini,"),
        (["run", "07"], "notebook '07' is not known; there are: 01_a"),
        (["run", "-p", "seed", "one"], "01_a: parameter 'seed' must be int, found 'one'"),
        (["run", "-p", "sede", "1"], "-p sede: no chosen notebook has this parameter"),
        (["run", "--device", "gpu"], "--device 'gpu' is not known; expected auto, cpu, cuda or cuda:0"),
        (["run", "--data-dir", "nowhere"], "--data-dir: nowhere is not a folder"),
        *[
            ([command, "--profile", "x"], "profile 'x' is not known")
            for command in ("report", "fetch", "status", "plan")
        ],
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


def test_the_list_names_what_each_notebook_takes_and_one_notebook_is_explained(folder):
    write(folder, "04_train_losses", 'profile = "demo"\nshots: int = 8  # how many examples it sees')
    write(folder, "05_noisy", 'profile = "demo"')
    told = call("list").stdout
    assert "04_train_losses" in told and "05_noisy" in told and "Table 1" in told and "shots" in told
    assert "how many examples it sees" not in told
    told = call("list", "4").stdout
    assert "-p shots 8: how many examples it sees" in told and "05_noisy" not in told


@pytest.mark.parametrize(
    ("words", "typed", "offered"),
    [
        (["run", "--profile"], "m", {"mini"}),
        (["generate", "--profile"], "pa", {"paper"}),
        (["run"], "0", {"04_train_losses", "07_theory"}),
        (["list"], "the", {"07_theory"}),
        ([], "doc", {"doctor"}),
    ],
)
def test_the_shell_completes_commands_profiles_and_notebooks(folder, words, typed, offered):
    for name in ("04_train_losses", "07_theory"):
        write(folder, name, "x = 1")
    found = ShellComplete(cli, {}, "paper-repro", "_PAPER_REPRO_COMPLETE").get_completions(words, typed)
    assert {item.value for item in found} == offered


def test_the_doctor_says_what_is_missing_and_what_to_do(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data = tmp_path / "data"
    tiny.write_benchmark(tiny.make_benchmark(), data)
    encoder = tiny.make_encoder(tmp_path / "encoder")
    result = call("doctor", "--profile", "mini", "--data-dir", str(data), "--encoder-dir", str(encoder))
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    states = {line.split()[1]: line.split()[0] for line in lines[1:] if "->" not in line}
    assert states["financial"] == states["weights"] == "ok" and states["mrpc"] == "missing"
    after = lines[next(i for i, line in enumerate(lines) if line.split()[1] == "mrpc") + 1]
    assert "->" in after and "fetch --profile mini" in after
    assert not (tmp_path / "results").exists()


def test_debug_lets_the_traceback_through(folder):
    for words in (["--debug", "run", "--profile", "x"], ["run", "--debug", "--profile", "x"]):
        assert isinstance(call(*words).exception, UserError)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ZeroDivisionError("division by zero"), "unexpected failure, ZeroDivisionError: division by zero"),
        (OSError(28, "No space left on device", "results/x"), "No space left on device: results/x; make room"),
    ],
)
def test_an_unforeseen_failure_is_one_line(folder, monkeypatch, error, told):
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("paper_repro.cli._paths", fail)
    result = call("report")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"paper-repro: {told}") and len(result.stderr.splitlines()) == 1


def test_the_plan_counts_each_training_once_without_data_or_weights(folder, tmp_path):
    results = open_results(profile="paper", results_dir=str(tmp_path / "results"), offline=True)
    cells = table1(results.profile)
    some, different = [cell for cell in cells if cell.method == "imp"], len({cell.spec for cell in cells})
    rows = workload(results, {"imp": some, "whole": cells, "again": cells}).set_index("table")
    # IMP on two sources: itself and its diversity checker; both sources share the quality checker
    imp = 5 * len(results.profile.seeds) * len(results.profile.benchmarks)
    assert rows.loc["imp", ["runs", "new", "left"]].tolist() == [imp] * 3
    assert rows.loc["whole", ["runs", "new", "left"]].tolist() == [different, different - imp, different - imp]
    assert rows.loc["again", ["runs", "new", "left"]].tolist() == [different, 0, 0]
    assert rows.loc["all", ["runs", "left", "not measured"]].tolist() == [different] * 3


def test_the_plan_of_your_own_benchmark_has_its_tables_only(tmp_path):
    own = ROOT / "paper_repro" / "assets" / "examples" / "workshop.toml"
    told = call("plan", "--profile", "mini", "--benchmark", str(own), "--results-dir", str(tmp_path))
    assert told.exit_code == 0, told.stderr
    tables = [line.split()[0] for line in told.stdout.splitlines()]
    assert {"table1", "table2", "table4", "switches"} < set(tables) and "search" not in tables
    with_all = call("plan", "--profile", "mini", "--results-dir", str(tmp_path)).stdout
    assert "search" in with_all and with_all != told.stdout


def test_the_plan_takes_the_median_of_what_like_runs_took():
    cells = [cell for cell in table1(profiles.load("demo")) if cell.train_source == "generated" and cell.method == "ce"]
    first, *others = [cell.spec for cell in cells if cell.benchmark == "mrpc"]
    finished = [{"spec": first.to_dict(), "seconds": {"total": seconds}} for seconds in (10, 30, 500)]
    kinds = dict(zip(others, ("TrainingError", "NothingLeft"), strict=False))  # to try again, and nothing to do
    failures = [{"spec": spec.to_dict(), "kind": kind} for spec, kind in kinds.items()]
    store = SimpleNamespace(finished=lambda: finished, has=lambda run: run == first, failures=lambda: failures)
    results = SimpleNamespace(store=store, key=lambda run: run)
    row = workload(results, {"ce": cells}).iloc[0]
    assert row["left"] == len(cells) - 2
    assert row["minutes"] == pytest.approx((len(others) - 1) * 30 / 60)
    assert row["not measured"] == len(cells) - 1 - len(others), "of the other benchmarks none is finished"


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
        "import pathlib, sys; from paper_repro import cli; from paper_repro.tools import paths;"
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
    assert not paths.notebooks.exists() and not (paths.figures / manifest.MANIFEST).exists()
    assert status.read(paths)["01_a"].status == "stopped"


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
