"""The manifest of a profile's tables and figures: what each is, its files, and the runs behind it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from paper_repro.runs.results import Results
from paper_repro.runs.spec import RunSpec
from paper_repro.tools import machine
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_json

MANIFEST = "manifest.json"
VERSIONS = ("python", "torch", "transformers", "numpy", "paper_repro")
KEYS = {"title", "files", "items", "notebook", "runs", "wanted", "complete", "completeness", "written"}
Entries = dict[str, dict[str, Any]]
"""Products (tables and figures) by name."""


def enter(
    folder: Path,
    name: str,
    title: str,
    files: Iterable[Path],
    *,
    items: Iterable[str] = (),
    notebook: str = "",
    runs: Iterable[tuple[Results, RunSpec]] = (),
) -> None:
    """Put a table or figure into ``folder``/manifest.json; other entries stay as they are.

    ``files`` are its files in ``folder``; ``items`` are those of :func:`paper_repro.paper.published.items` that it
    reproduces; ``runs`` are all that it should be made from, each with the results that should hold it. The entry
    gets the files' SHA-256, the keys of the finished runs, why others are missing, where the runs were made, the time.
    """
    wanted = list(dict.fromkeys(runs))
    found = [result for results, spec in wanted if (result := results.result(spec)) is not None]
    reasons = Counter(reason for results, spec in wanted if (reason := results.failure(spec)))
    missing = "".join(f"; {count} failed: {reason}" for reason, count in reasons.items())
    here = machine.environment("cpu", 1)
    environments = [result.environment for result in found] or [here]
    entry = {
        "title": title,
        "files": {file.name: sha256(file) for file in files},
        "items": list(items),
        "notebook": notebook,
        "runs": [result.key for result in found],
        "wanted": len(wanted),
        "complete": len(found) == len(wanted),
        "completeness": "complete" if len(found) == len(wanted) else f"{len(found)} of {len(wanted)} runs{missing}",
        "hardware": _distinct(environments, "device"),
        "versions": {key: ", ".join(v) for key in VERSIONS if (v := _distinct(environments, key))},
        "commits": _distinct([here, *environments], "commit"),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with FileLock(folder / f".{MANIFEST}.lock"):
        known = read(folder) if (folder / MANIFEST).exists() else {}
        write(folder, {**known, name: entry})


def read(folder: Path) -> Entries:
    """The products of a folder. Raises UserError where there is no manifest or it cannot be read."""
    path = folder / MANIFEST
    try:
        products: Entries = json.loads(path.read_text("utf-8"))["products"]
        for name, entry in products.items():
            if lacking := sorted(KEYS - set(entry)):
                raise KeyError(f"{name} has no {', '.join(lacking)}")
        return products
    except FileNotFoundError:
        profile, dash, _ = folder.name.partition("-")
        way_out = f"run `paper-repro run --profile {profile}{' --benchmark ...' if dash else ''}` first"
        raise UserError(f"no tables and figures yet (no file {path}): {way_out}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a manifest ({error}); delete it and run the notebooks again") from None


def write(folder: Path, products: Entries) -> None:
    write_json(folder / MANIFEST, {"products": dict(sorted(products.items()))})


def changed_files(folder: Path, entry: Mapping[str, Any]) -> list[str]:
    """Those of a product's files that are gone or differ from what the manifest says."""
    files = {folder / name: digest for name, digest in entry["files"].items()}
    return [path.name for path, digest in files.items() if not path.is_file() or sha256(path) != digest]


def gaps(folder: Path, notebooks: Iterable[str]) -> list[str]:
    """What keeps the products of these notebooks from being complete, a line for each of them."""
    names, lines = set(notebooks), []
    for name, entry in read(folder).items():
        if entry["notebook"] in names and not entry["complete"]:
            lines.append(f"{entry['notebook']}: {name}: {entry['completeness']}")
        elif entry["notebook"] in names and (changed := changed_files(folder, entry)):
            lines.append(f"{entry['notebook']}: {name}: {', '.join(changed)} changed since it was made")
    return lines


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _distinct(environments: Iterable[Mapping[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(str(one[key]) for one in environments if one.get(key)))
