"""The manifest of a profile's tables and figures: what each is, its files, and the runs behind it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paper_repro.paper.csv_files import write
from paper_repro.runs.results import Results
from paper_repro.runs.spec import RunSpec
from paper_repro.tools import machine
from paper_repro.tools.errors import UserError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Product:
    """A table or figure: its files, what of the paper it is, and the runs that it came from.

    ``files`` are names inside the profile's figures folder; ``items`` those of
    :func:`paper_repro.paper.published.items`; ``runs`` the keys of the finished runs, out of ``wanted``.
    """

    name: str
    title: str
    files: tuple[str, ...]
    items: tuple[str, ...] = ()
    notebook: str = ""
    runs: tuple[str, ...] = ()
    wanted: int = 0
    hardware: tuple[str, ...] = ()
    machine: Mapping[str, str] = field(default_factory=dict)
    commits: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return len(self.runs) == self.wanted


def product(
    study: Results,
    name: str,
    title: str,
    files: Iterable[str | Path],
    *,
    items: Iterable[str] = (),
    notebook: str = "",
    specs: Iterable[RunSpec] = (),
) -> Product:
    """A product with the runs that its numbers came from (``specs``: all that it should have)."""
    wanted = list(dict.fromkeys(specs))
    results = [result for spec in wanted if (result := study.result(spec)) is not None]
    here = machine.environment("cpu", 1)
    seen = [result.environment for result in results] or [here]
    named = ("python", "torch", "transformers", "numpy", "paper_repro")
    return Product(
        name=name,
        title=title,
        files=tuple(Path(file).name for file in files),
        items=tuple(items),
        notebook=notebook,
        runs=tuple(result.key for result in results),
        wanted=len(wanted),
        hardware=_distinct(entry.get("device") for entry in seen),
        machine={key: ", ".join(v) for key in named if (v := _distinct(e.get(key) for e in seen))},
        commits=_distinct([here.get("commit"), *(entry.get("commit") for entry in seen)]),
    )


def together(parts: Iterable[Product]) -> list[Product]:
    """One product of the runs of several workspaces, from its parts of one name; none from none."""
    made = list(parts)
    runs = tuple(key for part in made for key in part.runs)
    return [replace(made[0], runs=runs, wanted=sum(part.wanted for part in made))] if made else []


def write_manifest(figures_dir: Path, items: Iterable[Product]) -> Path:
    """Put products into ``figures_dir``/manifest.json; those of other notebooks stay as they are.

    Each gets the SHA-256 of its files, its completeness and the time. Raises UserError for a missing file.
    """
    entries = {item.name: _entry(figures_dir, item) for item in items}
    with _locked(figures_dir):
        path = figures_dir / MANIFEST
        known = read_manifest(figures_dir) if path.exists() else {}
        content = {"products": dict(sorted({**known, **entries}.items()))}
        return write(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def read_manifest(figures_dir: Path) -> dict[str, dict[str, Any]]:
    """Products by name. Raises UserError where there is no manifest or it cannot be read."""
    path = figures_dir / MANIFEST
    try:
        products = json.loads(path.read_text("utf-8"))["products"]
        for name, entry in products.items():
            if lacking := sorted(ENTRY - set(entry)):
                raise KeyError(f"{name} has no {', '.join(lacking)}")
        return {name: {"name": name, **entry} for name, entry in products.items()}
    except FileNotFoundError:
        profile, dash, _ = figures_dir.name.partition("-")
        way_out = f"run `paper-repro run --profile {profile}{' --benchmark ...' if dash else ''}` first"
        raise UserError(f"no tables and figures yet (no file {path}): {way_out}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a manifest ({error}); delete it and run the notebooks again") from None


def _entry(figures_dir: Path, item: Product) -> dict[str, Any]:
    digests = {}
    for name in item.files:
        if not (figures_dir / name).is_file():
            raise UserError(f"{item.name}: no file {figures_dir / name}; save it before the manifest")
        digests[name] = sha256(figures_dir / name)
    whole = "complete" if item.complete else f"{len(item.runs)} of {item.wanted} runs"
    entry = {**asdict(item), "files": digests, "complete": item.complete, "completeness": whole}
    del entry["name"]
    return {**entry, "written": datetime.now(UTC).isoformat(timespec="seconds")}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _distinct(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value) for value in values if value))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change the folder's manifest (where the system has flock)."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


ENTRY = {f.name for f in fields(Product)} - {"name"} | {"complete", "completeness", "written"}
