"""Which methods there are, and which module trains each.

The paper's losses are trained by the engine as it is. A baseline has a module of its own, whose code enters the
keys of its runs and of no others; most of them bring a training step (:class:`paper_repro.method.train.Loop`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from paper_repro.method import losses
from paper_repro.tools.errors import UserError

CLASSICAL = ("tfidf", "frozen")
LOOK_AHEAD = ("baselines/look_ahead",)


@dataclass(frozen=True)
class Baseline:
    """A method that the engine does not know: its module, the scores that it needs, and its options' defaults.

    ``parts`` are further modules whose code it runs. ``cross_fitted`` asks for diversity scores of models that did
    not see the example. Options are numbers or words by name; a specification names only those that differ.
    """

    module: str
    parts: tuple[str, ...] = ()
    quality: bool = False
    diversity: bool = False
    cross_fitted: bool = False
    options: Mapping[str, float | str] = field(default_factory=dict)


BASELINES: Mapping[str, Baseline] = {
    **dict.fromkeys(CLASSICAL, Baseline("classical")),
    "ensemble": Baseline("baselines/ensemble", quality=True, diversity=True, options={"gamma": 1.0}),
    "distil": Baseline("baselines/distillation", quality=True),
    "filter": Baseline("baselines/filtering", quality=True, options={"tau": 0.5}),
    "rho": Baseline("baselines/rho", quality=True, options={"share": 0.1}),
    "confident": Baseline("baselines/confident", diversity=True, cross_fitted=True),
    "ren": Baseline("baselines/ren", LOOK_AHEAD),
    "meta_weight_net": Baseline("baselines/meta_weight_net", LOOK_AHEAD),
    "hu": Baseline(
        "baselines/hu",
        LOOK_AHEAD,
        options={"w_init": 1.0, "w_decay": 5.0, "norm": "softmax", "group": 8, "dev_batch": 0, "chunk": 8, "l2": 0.01},
    ),
    "sungen": Baseline(
        "baselines/sungen",
        LOOK_AHEAD,
        options={"iterations": 10, "outer": "held_out", "outer_share": 0.2, "rate": 0.25, "clip": 3.0},
    ),
}
METHODS = (*losses.METHODS, *BASELINES)


def own_module(method: str) -> tuple[str, ...]:
    """The modules of a method that the engine does not train, if it has any."""
    return (BASELINES[method].module, *BASELINES[method].parts) if method in BASELINES else ()


def needs_quality(method: str) -> bool:
    return method in losses.NEEDS_QUALITY or (method in BASELINES and BASELINES[method].quality)


def needs_diversity(method: str) -> bool:
    return method in losses.NEEDS_DIVERSITY or (method in BASELINES and BASELINES[method].diversity)


def needs_cross_fitting(method: str) -> bool:
    return method in BASELINES and BASELINES[method].cross_fitted


def options_of(method: str, given: Mapping[str, float | str]) -> dict[str, float | str]:
    """All options of a method, the given ones over the defaults. UserError for an unknown one or another type."""
    known = dict(BASELINES[method].options) if method in BASELINES else {}
    for name, value in given.items():
        if name not in known:
            raise UserError(f"method {method!r} has no option {name!r}; it has: {', '.join(known) or 'none'}")
        if isinstance(value, str) != isinstance(known[name], str):
            raise UserError(f"option {name}={value!r} of {method!r}: expected something like {known[name]!r}")
    return {**known, **given}


def module_of(method: str) -> Any:
    """A baseline's module, imported; None for the engine's own methods."""
    return import_module("paper_repro." + BASELINES[method].module.replace("/", ".")) if method in BASELINES else None
