"""What a method costs, counted: forward-backward passes of one example for each training example and epoch.

A forward pass is one third of a forward-backward, a forward-mode derivative (jvp) as much as one. Checkers, which are
trained and asked once, are not counted, nor is the arithmetic on parameters, which for Hu et al. is considerable.

===============  ====================================================================================
method           passes
===============  ====================================================================================
the engine's     1, and 1/3 more for a weight from a second forward pass
distil           1
filter           1 for each example kept, confident likewise
rho              1/3 + share
ren              3: training, the dev batch, the products
meta_weight_net  4: the look-ahead, the dev batch, the products, training
hu               2 + dev/group: the example alone, training, the dev set (or dev_batch) for every group
sungen           1 + iterations * (2 + outer_share) / epochs: inner training, products, outer loss
===============  ====================================================================================
"""

from __future__ import annotations

from paper_repro.method.losses import DYNAMIC
from paper_repro.method.registry import CLASSICAL, METHODS, options_of
from paper_repro.runs.spec import RunSpec

FORWARD = 1 / 3


def passes(spec: RunSpec, dev_size: int, kept: float = 1.0) -> float:
    """Forward-backward passes for each training example in each epoch.

    ``dev_size`` is the number of dev examples, ``kept`` the share of the examples that a filter keeps. The ratio to
    CE is the number itself. Raises ValueError for a method that trains no network.
    """
    if spec.method not in METHODS or spec.method in (*CLASSICAL, "ensemble"):
        raise ValueError(f"method {spec.method!r} has no passes to count")
    options = options_of(spec.method, dict(spec.options))
    number = {name: float(value) for name, value in options.items() if not isinstance(value, str)}
    match spec.method:
        case "filter" | "confident":
            return kept
        case "rho":
            return FORWARD + number["share"]
        case "ren":
            return 2 + _dev_batch(spec, dev_size)
        case "meta_weight_net":
            return 3 + _dev_batch(spec, dev_size)
        case "hu":
            group = min(number["group"] or spec.recipe.batch_size, spec.recipe.batch_size)
            return 2 + min(number["dev_batch"] or dev_size, dev_size) / group
        case "sungen":
            return 1 + number["iterations"] * (2 + number["outer_share"]) / spec.recipe.epochs
        case _:
            second = spec.switches.weight_forward == "eval" and spec.method in DYNAMIC
            return 1 + FORWARD * second


def _dev_batch(spec: RunSpec, dev_size: int) -> float:
    """Dev examples in a batch of the training batch's size, by training example."""
    return min(dev_size / spec.recipe.batch_size, 1.0)
