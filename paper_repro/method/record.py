"""What a method is: one record with its names, its looks, what it needs, and its weight or its training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Limit = Callable[[NDArray[np.float64], NDArray[np.float64], float], NDArray[np.float64]]
"""From Q(y|x) and P'(y|x), (examples, classes), and gamma to what p(y|x) converges to, up to its normalisation."""


@dataclass(frozen=True)
class Method:
    """One way to train (or to answer without training). Every grid, table, figure and key reads it from here.

    Names and looks: ``id`` stands in rows and keys, ``title`` is the row of a table, ``short`` the legend of a
    figure; ``formula`` is the weight in symbols, ``about`` one sentence. ``group`` says whose information it uses
    (see :mod:`paper_repro.paper.more_baselines.cells`), ``table1`` on which training pools Table 1 of the paper has it.

    Needs: ``quality`` and ``diversity`` are the checkers' scores, ``cross_fitted`` diversity scores of models that
    did not see the example. ``options`` are its settings with their defaults, numbers or words.

    ``reweights`` marks a module that weights or selects examples, so that one may ask how unevenly it does.

    How it trains: ``weight(log_p, log_quality, log_diversity, switches)`` gives the weight of each example of a
    batch from log-probabilities of its label, all (batch,); ``dynamic`` weights depend on the model and change in
    every step. A method whose weights are no such formula names a ``module`` with ``Step`` (a training step),
    ``prepare`` (a change of the training data) or ``combined`` (no training at all); it is imported when it is used.

    ``limit`` is the distribution that the model converges to, where theory knows it (derived in notebook 00).
    """

    id: str
    title: str
    short: str = ""
    formula: str = ""
    about: str = ""
    group: str = ""
    colour: str = "#777777"
    marker: str = "o"
    line: Any = "-"  # as matplotlib takes it
    table1: tuple[str, ...] = ()
    quality: bool = False
    diversity: bool = False
    cross_fitted: bool = False
    dynamic: bool = False
    reweights: bool = False
    weight: Callable[..., Tensor] | None = None
    module: str = ""
    options: Mapping[str, float | str] = field(default_factory=dict)
    limit: Limit | None = None

    def __post_init__(self) -> None:
        if (self.weight is None) == (not self.module):
            raise ValueError(f"method {self.id!r}: give a weight, or a module with a step of its own")
        object.__setattr__(self, "short", self.short or self.title)
        if self.weight is not None and (self.quality or self.diversity or self.dynamic):
            object.__setattr__(self, "reweights", True)

    @property
    def implementation(self) -> Any:
        """The module of a method that is no weight; None for a weight."""
        return import_module(self.module) if self.module else None
