"""The one module that knows where things lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
BUNDLED = PACKAGE / "assets"


def project_root() -> Path:
    """The checkout that holds this package, or the working directory for an installed package."""
    checkout = PACKAGE.parent
    return checkout if (checkout / "pyproject.toml").exists() else Path.cwd()


NOTEBOOKS = project_root() / "notebooks"
REFERENCE = project_root() / "figures" / "reference"


@dataclass(frozen=True)
class Paths:
    """Every place that a profile reads or writes. A ``benchmark`` of one's own has places beside the profile's."""

    profile: str
    results_root: Path
    figures_root: Path
    benchmark: str = ""

    @classmethod
    def of(cls, profile: str, results_dir: str = "", figures_dir: str = "", benchmark: str = "") -> Paths:
        """Explicit folders first, then ``PAPER_REPRO_RESULTS`` / ``PAPER_REPRO_FIGURES``, then the project's."""
        results = results_dir or os.environ.get("PAPER_REPRO_RESULTS") or project_root() / "results"
        figures = figures_dir or os.environ.get("PAPER_REPRO_FIGURES") or project_root() / "figures"
        return cls(profile, Path(results).resolve(), Path(figures).resolve(), benchmark)

    @property
    def folder(self) -> str:
        """The name of the profile's folder under the results and the figures."""
        return f"{self.profile}-{self.benchmark}" if self.benchmark else self.profile

    @property
    def results(self) -> Path:
        return self.results_root / self.folder

    @property
    def store(self) -> Path:
        """Runs, checkpoints, scores and failures."""
        return self.results

    @property
    def cache(self) -> Path:
        """Tokenised texts and the encoders that a run pre-trains; shared by all profiles, keyed by content."""
        return self.results_root / "cache"

    @property
    def notebooks(self) -> Path:
        """Executed notebooks and their HTML."""
        return self.results / "notebooks"

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
        return self.results / "site"

    @property
    def report(self) -> Path:
        return self.results / "report.html"
