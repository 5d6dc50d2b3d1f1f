"""Every method by its id: the paper's losses and the baselines, one record each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from paper_repro.method.baselines import BASELINES
from paper_repro.method.losses import LOSSES
from paper_repro.method.record import Method
from paper_repro.tools.errors import UserError

_METHODS: dict[str, Method] = {**LOSSES, **BASELINES}
METHODS: Mapping[str, Method] = MappingProxyType(_METHODS)
"""All methods by id, in the order of the tables."""


CLASSICAL = ("tfidf", "frozen")
WITHOUT_EPOCHS = (*CLASSICAL, "ensemble")
"""Methods that are fitted or answer at once; the first two serve as checkers."""


def method_of(name: str) -> Method:
    """The method called ``name``. UserError for an unknown one."""
    if name not in METHODS:
        raise UserError(f"method {name!r} is not known; expected one of {', '.join(METHODS)}")
    return METHODS[name]


def register(method: Method) -> Method:
    """Make a method known under its id to grids, tables, figures and runs. ValueError where the id is taken."""
    if method.id in _METHODS:
        raise ValueError(f"there is a method {method.id!r} already")
    _METHODS[method.id] = method
    return method


def options_of(name: str, given: Mapping[str, float | str]) -> dict[str, float | str]:
    """All options of a method, the given ones over the defaults. UserError for an unknown one or another type."""
    options = dict(method_of(name).options)
    for option, value in given.items():
        if option not in options:
            raise UserError(f"method {name!r} has no option {option!r}; it has: {', '.join(options) or 'none'}")
        if isinstance(value, str) != isinstance(options[option], str):
            raise UserError(f"option {option}={value!r} of {name!r}: expected something like {options[option]!r}")
    return {**options, **given}
