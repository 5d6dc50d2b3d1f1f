"""What goes wrong outside of the code: a full disk, a file edited by hand, two starts at once, a writer killed.

Dead workers, a killed parent, SIGTERM and Ctrl-C: test_execution.py; clusters: test_cluster.py. After each of
them the same start again gives an undisturbed run's bits and repeats nothing that was finished.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from disturbed import LONG, PATIENCE, assert_complete, finished, go, grid, start

from paper_repro.runs.spec import RunSpec


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


def test_a_result_edited_by_hand(inputs: dict[str, str], reference: dict[RunSpec, str], undisturbed: Path) -> None:
    """It is computed again, alone, and its remains are kept aside. Other damage: test_store."""
    made = tiny.study(inputs, undisturbed)
    victim = made.store.root / "runs" / made.key(tiny.spec("dimp", recipe=LONG))
    others = {path: now for path, now in finished(made).items() if path.parent != victim}
    path = victim / "result.json"
    meta = json.loads(path.read_text("utf-8"))
    meta["history"][0]["test_accuracy"] = 0.999
    path.write_text(json.dumps(meta), "utf-8")
    made.run(grid(), progress=False)
    assert {path: now for path, now in finished(made).items() if path in others} == others and len(others) == 6
    assert [path.name for path in (made.store.root / "damaged").glob("*/*")] == [victim.name]
    assert_complete(made, reference)


@pytest.fixture
def undisturbed(inputs: dict[str, str], reference_store: Path, tmp_path: Path) -> Path:
    """A copy of the results of the grid."""
    import shutil

    return Path(shutil.copytree(reference_store, tmp_path / "results"))
