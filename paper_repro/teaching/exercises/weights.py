"""Exercises 1 and 2: the weight of a labelled text; the self-normalised estimate and its effective sample size."""

from __future__ import annotations

from typing import Any

import numpy as np

from paper_repro.measures.weights import effective_sample_size as ess
from paper_repro.teaching.feedback import Answer, Exercise, Floats, Malformed, numbers, two_numbers

# ---------------------------------------------------------------- 1: answer(p, q, label) -> P(y|x)/Q(y|x)

FAVOURITE = "You took the most likely label of {}; the weight belongs to the label that was observed with the text."
WEIGHT_MISTAKES = {
    "Your weight is Q/P, upside down: a label that Q gives too often would count even more.": lambda p, q, y: (
        q[y] / p[y]
    ),
    FAVOURITE.format("P"): lambda p, q, y: p[p.argmax()] / q[p.argmax()],
    FAVOURITE.format("Q"): lambda p, q, y: p[q.argmax()] / q[q.argmax()],
    "You returned P(y|x); divide it by Q(y|x).": lambda p, q, y: p[y],
    "You capped the weight at 1. A label that Q gives too rarely must count more than 1, or the mean of the weights "
    "falls below 1.": lambda p, q, y: min(p[y] / q[y], 1),
}


def weight_of_a_text() -> Exercise:
    return Exercise(
        number=1,
        parts=("weight",),
        cases=[
            (np.array([0.3, 0.6, 0.1]), np.array([0.5, 0.3, 0.2]), 0),
            (np.array([0.3, 0.6, 0.1]), np.array([0.5, 0.3, 0.2]), 1),  # above 1
            (np.array([0.1, 0.1, 0.8]), np.array([0.6, 0.2, 0.2]), 1),
            (np.array([0.7, 0.3]), np.array([0.2, 0.8]), 1),
        ],
        right=lambda p, q, y: p[y] / q[y],
        mistakes=WEIGHT_MISTAKES,
        observe=_one_weight,
        example="For P = [0.3, 0.6, 0.1], Q = [0.5, 0.3, 0.2] and label 0",
        lesson=lambda: "A weight asks one thing only: how much more often would the world give this label than Q does?",
    )


def _one_weight(answer: Answer, case: tuple[Any, ...]) -> tuple[Floats, ...]:
    found = answer(*case)
    if np.shape(found) == np.shape(case[0]):
        raise Malformed("You returned a weight for every label. Only one label was observed: pick its weight.")
    return (numbers(found, (), "The weight"),)


# ---------------------------------------------------------------- 2: answer(values, weights) -> (estimate, ESS)


def estimate(f: Floats, w: Floats) -> float:
    return float((w * f).sum() / w.sum())


ESTIMATE_MISTAKES = {
    "The estimate divides by n. Self-normalised means: divide by the sum of the weights.": lambda f, w: (w * f).mean(),
    "The estimate is not divided by anything yet.": lambda f, w: (w * f).sum(),
    "The estimate forgets the weights.": lambda f, w: f.mean(),
}
ESS_MISTAKES = {
    "For the ESS you divided by n as well: a share. Asked for is a number of draws.": lambda w: ess(w) / len(w),
    "Your ESS has n where sum w belongs: right only if weights average to 1.": lambda w: len(w) ** 2 / (w**2).sum(),
    "1 / sum w^2 is the ESS only of weights that sum to 1: normalise them first.": lambda w: 1 / (w**2).sum(),
    "In the ESS the sum is squared too: (sum w)^2 / sum w^2.": lambda w: w.sum() / (w**2).sum(),
    "n draws are worth n only if all weights are equal.": len,
}


def self_normalised_and_ess() -> Exercise:
    def both(mean: Answer, size: Answer) -> Answer:
        return lambda f, w: (mean(f, w), size(w))

    mistakes = {words: both(wrong, ess) for words, wrong in ESTIMATE_MISTAKES.items()}
    mistakes |= {f"The estimate is right. {words}": both(estimate, wrong) for words, wrong in ESS_MISTAKES.items()}
    rng = np.random.default_rng(0)
    return Exercise(
        number=2,
        parts=("estimate", "ESS"),
        cases=[
            (np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.5, 1.0, 2.0, 1.5])),
            *((rng.random(n), rng.exponential(size=n)) for n in (7, 30)),
        ],
        right=both(estimate, ess),
        mistakes=mistakes,
        observe=two_numbers("estimate", "ESS"),
        example="For values [0, 1, 1, 0] and weights [0.5, 1, 2, 1.5]",
        lesson=lambda: "Multiply all weights by 10 and neither number moves: that is what self-normalised means.",
    )
