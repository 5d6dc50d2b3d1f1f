"""What goes wrong outside of the code: a full disk, a file edited by hand, two starts at once, a writer killed.

Dead workers, a killed parent, SIGTERM and Ctrl-C: test_execution.py; clusters: test_cluster.py. After each of
them the same start again gives an undisturbed run's bits and repeats nothing that was finished.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from disturbed import LONG, PATIENCE, ROOT, assert_complete, done_once, finished, go, grid, start

from paper_repro.runs.spec import RunSpec
from paper_repro.runs.store import DAY, Store
from paper_repro.study import Study


def test_a_disk_that_fills_while_results_are_written(
    inputs: dict[str, str], reference: dict[RunSpec, str], tmp_path: Path
) -> None:
    """Runs fit, checkpoints do not: what needs none is done, the rest fails, and nothing is half-written."""
    made = tiny.study(inputs, tmp_path / "results")
    process = start(inputs, tmp_path / "results", tmp_path / "grid.py", largest_file=12_000, workers=2)
    go(process)
    said, trouble = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, trouble
    states = [line.split(" ", 2)[1] for line in said.splitlines() if line != "ready"]
    assert states == ["failed"] * 6  # both checkers, and all that needs them
    assert "File too large" in str(made.failure(tiny.spec("ce", recipe=LONG)))
    assert [path for path in made.store.root.rglob(".*") if not path.name.endswith(".lock")] == []
    assert finished(made) == {}
    made.run(grid(), progress=False)
    assert_complete(made, reference)


def test_a_disk_that_fills_after_the_checkers(
    inputs: dict[str, str], reference: dict[RunSpec, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No space for the arrays of a result: its temporary folder goes, and what was finished stays."""
    made = tiny.study(inputs, tmp_path)
    made.run([tiny.spec("ce", recipe=LONG)], progress=False)
    real = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "arrays.npz":
            real(path, content[: len(content) // 2])
            raise OSError(28, "No space left on device", str(path))
        return real(path, content)

    with done_once(made):
        with monkeypatch.context() as patched:
            patched.setattr(Path, "write_bytes", full)
            made.run(grid(), progress=False)
        assert "No space left" in str(made.failure(tiny.spec("ce", "dev", recipe=LONG)))
        assert list(made.store.root.glob("runs/.*")) == []
        made.run(grid(), progress=False)
    assert_complete(made, reference)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def raise_the_accuracy(path: Path) -> None:
    meta = json.loads(path.read_text("utf-8"))
    meta["history"][0]["test_accuracy"] = 0.999
    path.write_text(json.dumps(meta), "utf-8")


@pytest.mark.parametrize(
    ("file", "harm"),
    [("arrays.npz", cut), ("result.json", cut), ("result.json", raise_the_accuracy), ("result.json", Path.unlink)],
)
def test_a_result_cut_short_or_edited_by_hand(
    inputs: dict[str, str], reference: dict[RunSpec, str], undisturbed: Path, file: str, harm: Callable[[Path], None]
) -> None:
    """It is computed again, alone, and its remains are kept aside."""
    made = tiny.study(inputs, undisturbed)
    victim = made.store.root / "runs" / made.key(tiny.spec("dimp", recipe=LONG))
    others = {path: now for path, now in finished(made).items() if path.parent != victim}
    harm(victim / file)
    made.run(grid(), progress=False)
    assert {path: now for path, now in finished(made).items() if path in others} == others and len(others) == 6
    assert [path.name for path in (made.store.root / "damaged").glob("*/*")] == [victim.name]
    assert_complete(made, reference)


@pytest.fixture
def undisturbed(inputs: dict[str, str], reference_store: Path, tmp_path: Path) -> Path:
    """A copy of the results of the grid."""
    import shutil

    return Path(shutil.copytree(reference_store, tmp_path / "results"))


RUN = """
import sys
from pathlib import Path
from paper_repro import cli
from paper_repro.tools import paths
if __name__ == "__main__":
    paths.NOTEBOOKS = Path(sys.argv.pop(1))
    cli.main()
"""
NOTEBOOK = """
import json, sys
sys.path[:0] = [{root!r} + "/tests"]
import disturbed, tiny
from pathlib import Path
made = tiny.study(json.loads({inputs!r}), Path({results!r}))
disturbed.run_and_tell(made)
"""


def test_two_starts_of_the_command_on_one_store(
    inputs: dict[str, str], reference: dict[RunSpec, str], tmp_path: Path
) -> None:
    """Each run is computed by one of them, and both end well."""
    import nbformat

    results, notebooks = tmp_path / "results", tmp_path / "notebooks"
    source = NOTEBOOK.format(root=str(ROOT), inputs=json.dumps(inputs), results=str(results))
    notebooks.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), notebooks / "01_grid.ipynb")
    (tmp_path / "run.py").write_text(RUN, "utf-8")
    words = [sys.executable, str(tmp_path / "run.py"), str(notebooks), "run", "--profile", "mini"]
    words += ["--results-dir", str(results), "--figures-dir", str(tmp_path / "figures")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment) for _ in "ab"]
    said = [process.communicate(timeout=PATIENCE)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    made = tiny.study(inputs, results)
    assert_complete(made, reference)
    assert len(finished(made)) == 2 * 4 and not (made.store.root / "damaged").exists()
    assert sorted(path.name for path in (results / "mini" / "notebooks").iterdir()) == ["01_grid.html", "01_grid.ipynb"]


# -- what a killed writer leaves ------------------------------------------------------------------------------------


def leave(store: Store, folder: str, key: str, age: float = 0.0) -> Path:
    path = store.root / folder / f".{key[:12]}-rest"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half of it")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_leftovers_of_the_dead_are_swept_those_of_the_living_are_not(tmp_path: Path) -> None:
    store, dead, alive = Store(tmp_path), "d" * 64, "a" * 64
    with store.lock(dead):
        pass
    with store.lock(alive):
        gone = [leave(store, folder, dead) for folder in ("runs", "checkpoints", "scores")]
        kept = [leave(store, folder, alive, age=2 * DAY) for folder in ("runs", "checkpoints", "scores")]
        young, old = leave(store, "failures", dead), leave(store, "failures", alive, age=2 * DAY)
        store.sweep()
        assert not any(path.exists() for path in [*gone, old]) and all(path.exists() for path in [*kept, young])
    store.sweep()
    assert not any(path.exists() for path in kept)


def test_a_start_sweeps(inputs: dict[str, str], tmp_path: Path) -> None:
    made: Study = tiny.study(inputs, tmp_path)
    key = made.key(tiny.spec("ce"))
    with made.store.lock(key):
        half = leave(made.store, "runs", key)
    made.run([tiny.spec("ce")], progress=False)
    assert not half.exists() and made.result(tiny.spec("ce")) is not None
