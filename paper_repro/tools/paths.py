"""The one module that knows where things lie."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from paper_repro.tools.files import write_json

PACKAGE = Path(__file__).resolve().parents[1]
BUNDLED = PACKAGE / "assets"


def project_root() -> Path:
    """The checkout that holds this package, or the working directory for an installed package."""
    checkout = PACKAGE.parent
    return checkout if (checkout / "pyproject.toml").exists() else Path.cwd()


OWNER = "benchmark.json"
"""In the folders of your own benchmark: which description they belong to, and what its data are."""
NOTEBOOKS = project_root() / "notebooks"
REFERENCE = project_root() / "figures" / "reference"


@dataclass(frozen=True)
class Paths:
    """Every place that a profile reads or writes. Your own ``benchmark`` has places beside the profile's.

    ``folder`` is the name of the profile's folder under the results and the figures.
    """

    profile: str
    results_root: Path
    figures_root: Path
    folder: str
    benchmark: str = ""

    @classmethod
    def of(cls, profile: str, results_dir: str = "", figures_dir: str = "", description: Path | None = None) -> Paths:
        """Explicit folders first, then ``PAPER_REPRO_RESULTS`` / ``PAPER_REPRO_FIGURES``, then the project's.

        Of two descriptions with one name, the second one to run has folders with a number: ``mini-my``, ``mini-my-2``.
        """
        results = results_dir or os.environ.get("PAPER_REPRO_RESULTS") or project_root() / "results"
        figures = figures_dir or os.environ.get("PAPER_REPRO_FIGURES") or project_root() / "figures"
        roots = Path(results).resolve(), Path(figures).resolve()
        if description is None:
            return cls(profile, *roots, profile)
        return cls(profile, *roots, _free(f"{profile}-{description.stem}", description, roots), description.stem)

    @property
    def results(self) -> Path:
        """Runs, checkpoints, scores and failures."""
        return self.results_root / self.folder

    @property
    def cache(self) -> Path:
        """Encoders that a run pre-trains or cuts to their first layers; shared by all profiles, keyed by content."""
        return self.results_root / "cache"

    @property
    def written(self) -> Path:
        """Where executed notebooks, how they ended, and the report go: the results, or the folder of the figures where
        results may only be read."""
        return self.results if _writable(self.results) else self.figures

    @property
    def notebooks(self) -> Path:
        """Executed notebooks."""
        return self.written / "notebooks"

    @property
    def figures(self) -> Path:
        """Tables and figures of the runs made here: a CSV and a picture each, and the manifest."""
        return self.figures_root / self.folder

    @property
    def reference(self) -> Path:
        """The shipped ones that they are compared with. Only ``make reference`` writes there."""
        return REFERENCE / self.folder

    def asked(self, what: str, benchmark: str) -> Path:
        """What a language model was asked about a benchmark, and what came of it: "few_shot" or "diversity"."""
        return self.results / what / benchmark

    @property
    def archive(self) -> Path:
        """The shipped runs of the profile (:mod:`paper_repro.runs.archive`)."""
        return self.reference / "runs"

    @property
    def site(self) -> Path:
        """The website made of the executed notebooks, the report and ``docs/``."""
        return self.written / "site"

    @property
    def report(self) -> Path:
        return self.written / "report.html"

    def claim(self, folder: Path, description: Path, data: Iterable[str] = ()) -> None:
        """Note in ``folder`` whose it is; ``data`` are lines on what the description's files hold."""
        write_json(folder / OWNER, {"description": str(description), "data": list(data)})


def _writable(folder: Path) -> bool:
    """Whether files can be put there, or the folder can be made. By its mode also for root, who is asked for none."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return bool(there.stat().st_mode & 0o222) and os.access(there, os.W_OK)


def owner(folder: Path) -> dict[str, Any]:
    """What :meth:`Paths.claim` noted in a folder; empty where it noted nothing."""
    with suppress(OSError, ValueError):
        return dict(json.loads((folder / OWNER).read_text("utf-8")))
    return {}


def _free(name: str, description: Path, roots: Iterable[Path]) -> str:
    """``name``, with a number where a folder of this name belongs to another description that is still there."""
    for folder in (name if number == 1 else f"{name}-{number}" for number in count(1)):
        owners = {owner(root / folder).get("description", "") for root in roots} - {"", str(description)}
        if not any(Path(other).exists() for other in owners):
            return folder
    raise AssertionError
