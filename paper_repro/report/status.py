"""How the notebooks of a profile ended, and what their tables and figures lack."""

from __future__ import annotations

import json
import os
import platform
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import psutil
from filelock import FileLock

from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_json
from paper_repro.tools.paths import Paths
from paper_repro.tools.progress import duration

NAME = "notebooks.json"


@dataclass
class Outcome:
    """One execution of a notebook: ``status`` is "running", "done", "failed" or "stopped".

    ``process`` on ``host`` is who executes it; ``seconds`` is wall time.
    """

    notebook: str
    started: str
    process: int
    host: str
    status: str = "running"
    seconds: float = 0.0
    error: str = ""

    def __str__(self) -> str:
        if self.status == "running":
            return f"running since {self.started}"
        reason = self.error.partition("\n")[0].removeprefix(f"{self.notebook}: ")
        return f"{self.status} after {duration(self.seconds)}" + (f": {reason}" if reason else "")


def read(paths: Paths) -> dict[str, Outcome]:
    """The last execution of each notebook. One whose process was killed is told as stopped."""
    outcomes = dict[str, Outcome]()
    for path in dict.fromkeys((paths.results / NAME, paths.written / NAME)):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            outcomes |= {name: Outcome(notebook=name, **entry) for name, entry in content.items()}
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: cannot be read ({error}); remove it, nothing else is lost") from error
    for outcome in outcomes.values():
        here = outcome.host == platform.node()
        if outcome.status == "running" and here and not psutil.pid_exists(outcome.process):
            outcome.status = "stopped"
    return outcomes


@contextmanager
def recorded(paths: Paths, notebook: str) -> Iterator[Outcome]:
    """Keep what comes of a notebook: running while inside, then done; failed by a UserError, which ends here."""
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    outcome = Outcome(notebook, started, process=os.getpid(), host=platform.node())
    _enter(paths, outcome)
    outcome.status, outcome.error = "stopped", f"{notebook}: stopped before its end"
    try:
        yield outcome
        outcome.status, outcome.error = "done", ""
    except UserError as error:
        outcome.status, outcome.error = "failed", str(error)
    finally:
        outcome.seconds = round(time.monotonic() - clock, 1)
        _enter(paths, outcome)


def _enter(paths: Paths, outcome: Outcome) -> None:
    """Other notebooks' entries, perhaps of another process, stay as they are."""
    paths.written.mkdir(parents=True, exist_ok=True)
    with FileLock(paths.written / f".{NAME}.lock"):
        entries = {name: asdict(other) for name, other in sorted({**read(paths), outcome.notebook: outcome}.items())}
        for entry in entries.values():
            del entry["notebook"]
        write_json(paths.written / NAME, entries)


def lines(paths: Paths, notebooks: list[str]) -> list[str]:
    """What there is of a profile and what is missing, for a person. Nothing is loaded but what was recorded."""
    outcomes = read(paths)
    told = [f"{name}: {outcomes.get(name, 'not run yet')}" for name in notebooks]
    if outcomes:
        told += _runs(paths)
    if (paths.figures / "manifest.json").exists():
        from paper_repro.report import manifest  # late: it brings torch

        incomplete = manifest.gaps(paths.figures, notebooks)
        told += [f"{len(manifest.read(paths.figures))} tables and figures in {paths.figures}"]
        told += ["Not complete:", *(f"- {line}" for line in incomplete)] if incomplete else []
    else:
        told.append(f"No tables and figures yet: paper-repro run --profile {paths.profile}")
    if (paths.reference / "manifest.json").exists():
        told.append(f"The shipped reference: {paths.reference}")
    return told


def _runs(paths: Paths) -> list[str]:
    from paper_repro.runs.results import NOTHING_LEFT  # late: they bring torch
    from paper_repro.runs.store import Store

    store = Store(paths.results)
    failures = [entry for entry in store.failures() if entry.get("kind") != NOTHING_LEFT]
    reasons = Counter(str(entry["reason"]).splitlines()[0] for entry in failures)
    told = [f"{sum(1 for _ in store.finished())} finished trainings in {paths.results}"]
    return told + [f"- {count} failed: {reason}" for reason, count in reasons.items()]
