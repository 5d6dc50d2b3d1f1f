"""What a training run is: the specification that names it, the task for a worker, and the result that comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paper_repro.method.losses import Switches
from paper_repro.method.recipe import EpochRecord, Recipe

CALIBRATION_FOLDS = 5
"""Folds of a checker's own pool on which its temperature is fitted."""


@dataclass(frozen=True)
class Source:
    """The examples that a run trains on: a pool, or the pool without one of ``folds`` folds (cross-fitting)."""

    pool: str
    folds: int = 0
    held_out: int | None = None


@dataclass(frozen=True)
class Checker:
    """Where a checker's scores come from: a trained model, or the miniature world's exact probabilities.

    ``run`` is the CE run whose selected model scores the texts. ``folds`` > 1 scores each example of the run's
    own pool by a model that did not see it. ``temperature`` "fitted" rescales the logits by the temperature
    that fits held-out folds of the checker's own pool best (Guo et al. 2017). ``exact`` "p" or "q" takes the
    world's P(y|x) or Q(y|x) and needs no run.
    """

    run: RunSpec | None = None
    folds: int = 0
    temperature: Literal["none", "fitted"] = "none"
    exact: Literal["p", "q"] | None = None

    def __post_init__(self) -> None:
        if (self.run is None) == (self.exact is None):
            raise ValueError("a checker is either a trained run or exact, not both")


@dataclass(frozen=True)
class RunSpec:
    """All that the user chose about one training run; with the content of data and encoder it makes the key.

    ``selection`` is the pool by whose accuracy the epoch is selected; the paper takes D_P' itself. ``start`` is a run
    whose selected weights training starts from, in place of the encoder's; ``options`` are those of a baseline
    (:class:`paper_repro.method.record.Method`) that differ from its defaults, by name.
    """

    benchmark: str
    source: Source
    method: str
    seed: int
    recipe: Recipe
    encoder: str
    switches: Switches = Switches()
    quality: Checker | None = None
    diversity: Checker | None = None
    selection: str = "dev"
    start: RunSpec | None = None
    options: tuple[tuple[str, float | str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A plain, JSON-ready dict; :func:`spec_from_dict` is its inverse."""
        return asdict(self)


def spec_from_dict(data: Mapping[str, Any]) -> RunSpec:
    """Rebuild a specification from :meth:`RunSpec.to_dict`. Unknown fields raise TypeError."""

    def checker(entry: Mapping[str, Any] | None) -> Checker | None:
        if entry is None:
            return None
        run = None if entry["run"] is None else spec_from_dict(entry["run"])
        return Checker(**{**entry, "run": run})

    return RunSpec(
        **{
            **data,
            "source": Source(**data["source"]),
            "recipe": Recipe(**data["recipe"]),
            "switches": Switches(**data["switches"]),
            "quality": checker(data["quality"]),
            "diversity": checker(data["diversity"]),
            "start": spec_from_dict(data["start"]) if data["start"] else None,
            "options": tuple((name, value) for name, value in data["options"]),
        }
    )


@dataclass(frozen=True)
class Task:
    """One unit of work for a worker: plain data only, so that it travels to any process."""

    key: str
    kind: Literal["run", "score"]
    label: str
    spec: dict[str, Any]  # of the run, or of the checker's run
    needs: tuple[str, ...] = ()
    keep_checkpoint: bool = False
    folds: int = 0
    temperature: str = "none"
    pool: str = ""


@dataclass(frozen=True)
class RunResult:
    """What a finished run leaves behind.

    ``selected_epoch`` (1-based) has the best dev accuracy, the first of equals; ``test_probabilities`` and
    ``dev_probabilities`` (examples, classes) come from it. ``seconds`` holds wall time by phase
    ("load", "train", "evaluate", "total"); ``environment`` the device, versions, threads and peak memory (bytes).
    """

    key: str
    spec: RunSpec
    history: tuple[EpochRecord, ...]
    selected_epoch: int
    test_labels: NDArray[np.int64]
    test_probabilities: NDArray[np.float32]
    dev_probabilities: NDArray[np.float32]
    seconds: Mapping[str, float]
    environment: Mapping[str, Any]

    @property
    def selected(self) -> EpochRecord:
        return self.history[self.selected_epoch - 1]

    @property
    def test_accuracy(self) -> float:
        return self.selected.test_accuracy

    @property
    def test_macro_f1(self) -> float:
        return self.selected.test_macro_f1
