"""Exercises 1 and 2: the weight of a labelled text; the self-normalised estimate and its effective sample size."""

from __future__ import annotations

from typing import Any

import numpy as np

from paper_repro.measures.weights import effective_sample_size as ess
from paper_repro.teaching.feedback import Answer, Exercise, Floats, Malformed, Mistake, Unanswered, numbers

# ---------------------------------------------------------------- 1: answer(p, q, label) -> P(y|x)/Q(y|x)

FAVOURITE = "You took the likeliest label of {}; the weight belongs to the label that stands beside the text."
WEIGHT_MISTAKES = (
    Mistake(
        "Your weight is Q/P, upside down: a label that Q gives too often would count even more.",
        lambda p, q, y: q[y] / p[y],
    ),
    Mistake(FAVOURITE.format("P"), lambda p, q, y: p[p.argmax()] / q[p.argmax()]),
    Mistake(FAVOURITE.format("Q"), lambda p, q, y: p[q.argmax()] / q[q.argmax()]),
    Mistake(FAVOURITE.format("each"), lambda p, q, y: p.max() / q.max()),
    Mistake("You returned P(y|x); Q(y|x) is still to be divided out.", lambda p, q, y: p[y]),
    Mistake("You returned 1/Q(y|x); P(y|x) is missing.", lambda p, q, y: 1 / q[y]),
    Mistake("A difference says how far P and Q are apart; a weight is a ratio.", lambda p, q, y: p[y] - q[y]),
    Mistake("You returned the logarithm of the weight; take exp of it.", lambda p, q, y: np.log(p[y] / q[y])),
)


def weight_of_a_text() -> Exercise:
    return Exercise(
        number=1,
        parts=("weight",),
        cases=[
            (np.array([0.3, 0.6, 0.1]), np.array([0.5, 0.3, 0.2]), 0),
            (np.array([0.1, 0.1, 0.8]), np.array([0.6, 0.2, 0.2]), 1),
            (np.array([0.7, 0.3]), np.array([0.2, 0.8]), 1),
        ],
        right=lambda p, q, y: p[y] / q[y],
        mistakes=WEIGHT_MISTAKES,
        observe=_one_weight,
        example="For P = [0.3, 0.6, 0.1], Q = [0.5, 0.3, 0.2] and label 0",
        lesson=lambda: "A weight asks one thing only: how much oftener would the world give this label than Q does?",
    )


def _one_weight(answer: Answer, case: tuple[Any, ...]) -> tuple[Floats, ...]:
    found = answer(*case)
    if np.shape(found) == np.shape(case[0]):
        raise Malformed("You returned a weight for every label. Only one label was observed: pick its weight.")
    return (numbers(found, (), "The weight"),)


# ---------------------------------------------------------------- 2: answer(values, weights) -> (estimate, ESS)


def estimate(f: Floats, w: Floats) -> float:
    return float((w * f).sum() / w.sum())


ESTIMATE_MISTAKES = (
    Mistake(
        "The estimate divides by n. Self-normalised means: divide by the sum of the weights.",
        lambda f, w: ((w * f).mean(), ess(w)),
    ),
    Mistake("The estimate is not divided by anything yet.", lambda f, w: ((w * f).sum(), ess(w))),
    Mistake("The estimate forgets the weights.", lambda f, w: (f.mean(), ess(w))),
    Mistake(
        "The weights are divided by the largest of them, not by their sum.",
        lambda f, w: ((w * f).sum() / w.max(), ess(w)),
    ),
)
ESS_MISTAKES = (
    Mistake(
        "The estimate is right. For the ESS you divided by n as well: that is a share of the sample, in (0, 1]. "
        "Asked for is the number of equally weighted draws.",
        lambda f, w: (estimate(f, w), w.sum() ** 2 / (len(w) * (w**2).sum())),
    ),
    Mistake(
        "The estimate is right. Your ESS has n where sum w belongs: n^2 / sum w^2 holds only for weights that "
        "average to 1.",
        lambda f, w: (estimate(f, w), len(w) ** 2 / (w**2).sum()),
    ),
    Mistake(
        "The estimate is right. 1 / sum w^2 is the ESS only of weights that sum to 1: normalise them first.",
        lambda f, w: (estimate(f, w), 1 / (w**2).sum()),
    ),
    Mistake(
        "The estimate is right. Your ESS is upside down.",
        lambda f, w: (estimate(f, w), (w**2).sum() / w.sum() ** 2),
    ),
    Mistake(
        "The estimate is right. In the ESS the sum is squared too: (sum w)^2 / sum w^2.",
        lambda f, w: (estimate(f, w), w.sum() / (w**2).sum()),
    ),
    Mistake(
        "The estimate is right. n draws are worth n only if all weights are equal.",
        lambda f, w: (estimate(f, w), len(w)),
    ),
)


def self_normalised_and_ess() -> Exercise:
    rng = np.random.default_rng(0)
    return Exercise(
        number=2,
        parts=("estimate", "ESS"),
        cases=[
            (np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.5, 1.0, 2.0, 1.5])),
            *((rng.random(n), rng.exponential(size=n)) for n in (7, 30)),
        ],
        right=lambda f, w: (estimate(f, w), ess(w)),
        mistakes=ESTIMATE_MISTAKES + ESS_MISTAKES,
        observe=_estimate_and_ess,
        example="For values [0, 1, 1, 0] and weights [0.5, 1, 2, 1.5]",
        lesson=lambda: "Multiply all weights by 10 and neither number moves: that is what self-normalised means.",
    )


def _estimate_and_ess(answer: Answer, case: tuple[Any, ...]) -> tuple[Floats, ...]:
    found = answer(*case)
    if found is None or found is Ellipsis:
        raise Unanswered
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise Malformed("Return two numbers, the estimate and the ESS: return estimate, ess")
    return numbers(found[0], (), "The estimate"), numbers(found[1], (), "The ESS")
