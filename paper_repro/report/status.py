"""What came of the notebooks: how each one ended, and what the manifest of tables and figures still lacks."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_whole
from paper_repro.tools.paths import Paths

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


def read(paths: Paths) -> dict[str, Outcome]:
    """The last execution of each notebook. One whose process was killed is told as stopped."""
    path = paths.results / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = {name: Outcome(notebook=name, **entry) for name, entry in content.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove it, nothing else is lost") from error
    for outcome in found.values():
        here = outcome.host == platform.node()
        if outcome.status == "running" and here and not psutil.pid_exists(outcome.process):
            outcome.status = "stopped"
    return found


def begin(paths: Paths, notebook: str) -> Outcome:
    """Enter a notebook as running."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    outcome = Outcome(notebook, started, process=os.getpid(), host=platform.node())
    _enter(paths, outcome)
    return outcome


def finish(paths: Paths, outcome: Outcome, status: str, error: str, since: float) -> None:
    """Enter how a notebook ended; ``since`` is the time.monotonic() of its start."""
    outcome.status, outcome.error = status, error
    outcome.seconds = round(time.monotonic() - since, 1)
    _enter(paths, outcome)


def _enter(paths: Paths, outcome: Outcome) -> None:
    """Other notebooks' entries, perhaps of another process, stay as they are."""
    paths.results.mkdir(parents=True, exist_ok=True)
    with FileLock(paths.results / f".{NAME}.lock"):
        entries = {name: asdict(other) for name, other in read(paths).items()}
        entries[outcome.notebook] = asdict(outcome)
        for entry in entries.values():
            entry.pop("notebook")
        write_whole(paths.results / NAME, (json.dumps(dict(sorted(entries.items())), indent=1) + "\n").encode())


def gaps(
    figures: Path,
    products: Mapping[str, Mapping[str, Any]],
    notebooks: Mapping[str, Outcome],
    declared: Mapping[str, Sequence[str]],
    on_demand: Collection[str] = (),
) -> list[str]:
    """What keeps the work of ``notebooks`` from being complete, a line for each product.

    ``products`` is the manifest of the folder ``figures`` (report.read_manifest); ``declared`` names the
    products that each notebook says it makes. A product must be there, written since its notebook started,
    whole (every run that it needs), and its files must be those that the manifest has hashed. Those ``on_demand``,
    which a notebook makes only when it is asked to, may be older.
    """
    missing = []
    for name, outcome in notebooks.items():
        owned = [key for key, entry in products.items() if Path(str(entry["notebook"])).stem == name]
        for product in dict.fromkeys([*declared.get(name, ()), *owned]):
            since = "" if product in on_demand else outcome.started
            fault = _fault(figures, products.get(product), since)
            if fault:
                missing.append(f"{name}: {product}: {fault}")
    return missing


def _fault(figures: Path, entry: Mapping[str, Any] | None, since: str) -> str:
    if entry is None:
        return "not in the manifest"
    # ISO times in UTC with whole seconds, on both sides: text order is time order.
    if entry["written"] < since:
        return "left from an earlier run"
    if not entry["complete"]:
        return str(entry["completeness"])
    changed = [name for name, digest in entry["files"].items() if _sha256(figures / name) != digest]
    return f"{', '.join(changed)} differs from what the manifest says" if changed else ""


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
