"""A small grid of runs, processes that work on it, and what must hold after they were disturbed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import tiny

from paper_repro.runs.plan import plan
from paper_repro.runs.spec import RunSpec
from paper_repro.study import Study
from paper_repro.tools.progress import Progress

ROOT = Path(__file__).resolve().parents[1]
LONG = replace(tiny.RECIPE, epochs=12)  # long enough to be killed in the middle
PATIENCE = 240.0  # seconds; on a quiet machine nothing here waits longer than ten


def grid() -> list[RunSpec]:
    """Checkers, their scores and what needs them: two kinds of task, three levels deep."""
    return [tiny.spec(method, recipe=LONG) for method in ("imp", "ce", "dimp")]


def everything() -> list[RunSpec]:
    return [*grid(), tiny.spec("ce", "dev", recipe=LONG)]


def assert_complete(made: Study, reference: dict[RunSpec, str]) -> None:
    """Every run is there with the bits of an undisturbed one, and nothing is left to do."""
    assert {spec: tiny.result_fingerprint(made, spec) for spec in reference} == reference
    assert all(made.failure(spec) is None for spec in reference)
    assert plan(made, grid()) == []


def finished(made: Study) -> dict[Path, tuple[int, int]]:
    """Which files the finished runs are; a run that is computed again has others."""
    files = (made.store.root / "runs").glob("[0-9a-f]*/*")
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


@contextmanager
def done_once(made: Study) -> Iterator[None]:
    """Some runs are finished before this block, and none of them is computed again in it."""
    before = finished(made)
    assert before
    yield
    assert {path: now for path, now in finished(made).items() if path in before} == before


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE:.0f} s in vain for {what}")


# -- the grid in a process of its own ---------------------------------------------------------------------------

GRID = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
import json, tiny, disturbed
from pathlib import Path
from paper_repro.tools.errors import UserError
if __name__ == "__main__":
    made = tiny.study(json.loads(sys.argv[2]), Path(sys.argv[3]), **json.loads(sys.argv[4]))
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        disturbed.run_and_tell(made)
    except UserError as error:
        sys.exit(str(error))
"""


def run_and_tell(made: Study) -> None:
    """Run the grid and print what became of each task, one line each."""

    class Telling(Progress):
        def update(self, label: str, outcome: dict[str, Any]) -> None:
            print(outcome["key"], outcome["status"], outcome["note"], flush=True)

    tasks = plan(made, grid())
    made.execute(tasks, Telling(len(tasks)))


def start(
    inputs: dict[str, str], results: Path, script: Path, largest_file: int = 0, **settings: Any
) -> subprocess.Popen[str]:
    """A process that will run the grid; no file that it or its workers write may be larger than ``largest_file``."""
    script.write_text(GRID, "utf-8")
    words = [sys.executable, str(script), str(ROOT), json.dumps(inputs), str(results), json.dumps(settings)]
    with tiny.largest_file(largest_file) if largest_file else nullcontext():
        return subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [child for child in psutil.Process(process.pid).children(recursive=True) if child.is_running()]
