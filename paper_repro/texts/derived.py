"""Pools that are made from others, by name, so that a run can train on them like on any pool.

=====================  ==========================================================================
``dev+train``          one after the other
``train:10%``          a share of the pool: nested (the 10 % are in the 20 %), each class in its share
``generated:300``      so many examples, nested and by class likewise
``dev:fit``            the first of two halves, each class in both: D_P' for the checker ...
``dev:select``         ... and the other half, to select the epoch
``train:noisy``        App. G: a third as it is, a third with swapped labels, a third twice
``relabelled``         inputs of D_P with the labels that the generator gave them: Q(x) = P(x)
``diversity:topics``   a set of generated texts at a level of diversity (:mod:`paper_repro.texts.diversity_sets`)
``mix:25%:A:train``    a quarter of the examples from pool A, the others from ``train`` (or ``dev``)
=====================  ==========================================================================

A mixture has equally many examples of each class, and as many as either side alone could give: its size is the same
for every share, and at 100 % it is the side itself where that has equal classes and is the smaller one.

The choice of rows depends on the labels alone (of ``relabelled`` on the texts) and is fixed; seeds of runs do not
change it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paper_repro.texts.noise import noisy
from paper_repro.tools.errors import UserError

Labels = NDArray[np.int64]
RELABELLED = "relabelled"
DIVERSITY = "diversity:"
MIXTURE = re.compile(r"mix:(?P<share>\d+)%:(?P<made>.+):(?P<real>train|dev)")


@dataclass(frozen=True)
class Derivation:
    """How a pool is made: ``rows`` (examples,) of the ``bases`` put end to end, with ``labels`` (examples,)."""

    bases: tuple[str, ...]
    rows: NDArray[np.int64]
    labels: Labels


def is_derived(name: str) -> bool:
    return ":" in name or "+" in name


def derive(name: str, labels_of: Callable[[str], Labels], classes: int) -> Derivation:
    """The rows and labels of a derived pool; ``labels_of`` gives those of a pool by name.

    Raises UserError for a name that does not follow the table above or asks for more than there is.
    """
    if name.startswith("mix:"):
        return _mixed(name, labels_of, classes)
    whole, colon, part = name.partition(":")
    bases = tuple(whole.split("+"))
    labels = np.concatenate([labels_of(base) for base in bases])
    if not colon:
        return Derivation(bases, np.arange(len(labels)), labels)
    if part == "noisy":
        rows, swapped, _ = noisy(labels, classes)
        return Derivation(bases, rows, swapped)
    order = nested_order(labels)
    if part in ("fit", "select"):
        by_class = order[np.argsort(labels[order], kind="stable")]
        chosen = np.sort(by_class[0::2] if part == "fit" else by_class[1::2])
    else:
        chosen = np.sort(order[: _amount(name, part, len(labels))])
    return Derivation(bases, chosen, labels[chosen])


def _mixed(name: str, labels_of: Callable[[str], Labels], classes: int) -> Derivation:
    match = MIXTURE.fullmatch(name)
    if match is None or int(match["share"]) > 100:
        raise UserError(f"pool {name!r}: expected a share and two pools, as in mix:25%:generated:train (or :dev)")
    bases = match["made"], match["real"]
    sides = [labels_of(base) for base in bases]
    each = min(int(np.bincount(labels, minlength=classes).min()) for labels in sides)
    if not each:
        raise UserError(f"pool {name!r}: {bases[0]} or {bases[1]} has no text of one of the {classes} classes")
    made = round(each * int(match["share"]) / 100)
    first, second = (
        np.sort(np.concatenate([order[labels[order] == label][:count] for label in range(classes)]))
        for labels, count in zip(sides, (made, each - made), strict=True)
        for order in [nested_order(labels)]
    )
    return Derivation(bases, np.r_[first, len(sides[0]) + second], np.r_[sides[0][first], sides[1][second]])


def nested_order(labels: Labels) -> NDArray[np.int64]:
    """An order of the examples in which every beginning holds each class in about its share of all.

    ``labels`` (examples,). The k-th example of a class of size n stands at (k - 1/2) / n of the way.
    """
    shuffled = np.random.default_rng(0).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(place[shuffled], kind="stable")]


def _amount(name: str, part: str, size: int) -> int:
    match = re.fullmatch(r"(\d+)(%?)", part)
    if match is None:
        raise UserError(f"pool {name!r}: expected a number, a percentage, fit, select or noisy after the colon")
    amount = int(match[1]) if not match[2] else round(size * int(match[1]) / 100)
    if not 1 <= amount <= size:
        raise UserError(f"pool {name!r} asks for {amount} examples; there are {size}")
    return amount
