"""What a training run is: the specification that names it and the result that comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paper_repro.method.losses import Switches


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one training run (App. F; defaults of the authors' released code).

    ``learning_rate`` decays linearly to zero; ``max_length`` counts tokens, special ones included;
    ``precision`` is "fp32" or "bf16" (autocast, fp32 master weights); ``fidelity`` "authors" pads every
    batch to ``max_length`` as the authors did, "fast" batches texts of similar length, "packed" lays the texts
    of random batches end to end, for GPUs (:mod:`paper_repro.method.packed`). Without ``test_curve`` the test set is
    scored once, by the selected epoch's model. ``select`` is the epoch that counts: the one with the best
    accuracy on the selection pool ("dev"), or the "last".
    """

    learning_rate: float = 6e-5
    epochs: int = 5
    batch_size: int = 32
    max_length: int = 128
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    precision: Literal["fp32", "bf16"] = "fp32"
    fidelity: Literal["fast", "authors", "packed"] = "fast"
    test_curve: bool = True
    select: Literal["dev", "last"] = "dev"

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(f"precision={self.precision!r}: expected 'fp32' or 'bf16'")
        if self.fidelity not in ("fast", "authors", "packed"):
            raise ValueError(f"fidelity={self.fidelity!r}: expected 'fast', 'authors' or 'packed'")
        if self.select not in ("dev", "last"):
            raise ValueError(f"select={self.select!r}: expected 'dev' or 'last'")
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs={self.epochs}, batch_size={self.batch_size}: expected 1 or more")


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
    (:data:`paper_repro.method.registry.BASELINES`) that differ from its defaults, by name.
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
            # older records have neither
            "start": spec_from_dict(data["start"]) if data.get("start") else None,
            "options": tuple((name, value) for name, value in data.get("options", ())),
        }
    )


@dataclass(frozen=True)
class EpochRecord:
    """One row of a run's history. Accuracy and macro-F1 are fractions in [0, 1]; ``seconds`` is wall time.

    Test measures are nan for an epoch whose test scores the recipe did without.
    """

    epoch: int
    train_loss: float
    dev_accuracy: float
    dev_macro_f1: float
    test_accuracy: float
    test_macro_f1: float
    weight_mean: float
    weight_ess: float
    weight_max: float
    weight_khat: float
    seconds: float


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


HISTORY_FIELDS = tuple(f.name for f in fields(EpochRecord))
