"""Exercises 10 and 11 (notebook 07): where a loss between IMP and DIMP ends; how many texts Chebyshev asks for."""

from __future__ import annotations

import numpy as np

from paper_repro.paper.theory.closed_forms import normalised
from paper_repro.teaching.feedback import Answer, Exercise, Floats, numbers

# ---------------------------------------------------------------- 10: w = P'/(p^a Q^(1-a)); answer(q, quality, a) -> p

LIMIT_MISTAKES: dict[str, Answer] = {
    "The proportions are right; divide by their sum, so that p is a distribution.": lambda q, quality, a: (
        (q**a * quality) ** (1 / (1 + a))
    ),
    "This is IMP's end for every a: you took the p in the weight for Q. It is the model's own, unknown p, so it "
    "belongs on the left-hand side.": lambda q, quality, a: quality,
    "This is DIMP's end for every a. With a below 1, only a part of the weight's denominator moves with the model.": (
        lambda q, quality, a: normalised(np.sqrt(q * quality))
    ),
    "You mixed the ends of IMP and DIMP. The mixture is in the weight; solve the equation for p with it.": (
        lambda q, quality, a: (1 - a) * quality + a * normalised(np.sqrt(q * quality))
    ),
    "Nearly: p^(1+a) is proportional to this. Take the root.": lambda q, quality, a: normalised(q**a * quality),
    "a and 1 - a are swapped: a is the exponent of p in the weight.": lambda q, quality, a: normalised(
        (q ** (1 - a) * quality) ** (1 / (2 - a))
    ),
}


def between_imp_and_dimp() -> Exercise:
    q, quality = np.array([0.64, 0.32, 0.04]), np.array([0.25, 0.25, 0.5])
    rng = np.random.default_rng(7)
    random = [(*rng.dirichlet(np.ones(3), size=2), a) for a in (0.25, 0.8)]
    return Exercise(
        number=10,
        parts=("distribution",),
        cases=[(q, quality, 0.5), *random, (q, quality, 0.0), (q, quality, 1.0)],
        right=lambda q, quality, a: normalised((q**a * quality) ** (1 / (1 + a))),
        mistakes=LIMIT_MISTAKES,
        observe=lambda answer, case: (numbers(answer(*case), case[0].shape, "The answer"),),
        example="For Q = [0.64, 0.32, 0.04], P' = [0.25, 0.25, 0.5] and a = 0.5",
        lesson=lambda: (
            "With a = 0 this is IMP, which ends at P', with a = 1 it is DIMP, which ends at sqrt(Q P'). The exponent "
            "of Q is a/(1+a): the more of the denominator moves with the model, the closer training stays to the "
            "generator, but never closer than half-way on the logarithmic scale."
        ),
    )


# ---------------------------------------------------------------- 11: answer(p, q, model, epsilon, delta) -> N


def moments(p: Floats, q: Floats, model: Floats) -> tuple[float, float]:
    """Mean and variance of w (-log model) under Q, w = p/q; all (texts, classes), every text equally likely."""
    terms = p / q * -np.log(model)
    mean = (q * terms).sum(axis=1).mean()
    return float(mean), float((q * (terms - mean) ** 2).sum(axis=1).mean())


def _within_texts(p: Floats, q: Floats, model: Floats) -> float:
    terms = p / q * -np.log(model)
    return float((q * (terms - (q * terms).sum(axis=1, keepdims=True)) ** 2).sum(axis=1).mean())


SIZE_MISTAKES: dict[str, Answer] = {
    "epsilon is squared in Chebyshev's inequality.": lambda p, q, model, epsilon, delta: (
        moments(p, q, model)[1] / (epsilon * delta)
    ),
    "delta is missing: the smaller the probability of a miss may be, the more texts it takes.": (
        lambda p, q, model, epsilon, delta: moments(p, q, model)[1] / epsilon**2
    ),
    "You divided by 1 - delta. The inequality bounds the probability of a miss, which is delta.": (
        lambda p, q, model, epsilon, delta: moments(p, q, model)[1] / (epsilon**2 * (1 - delta))
    ),
    "You took the standard deviation; the inequality has the variance.": lambda p, q, model, epsilon, delta: (
        moments(p, q, model)[1] ** 0.5 / (epsilon**2 * delta)
    ),
    "This is the second moment of the terms: subtract the square of their mean.": lambda p, q, model, epsilon, delta: (
        (moments(p, q, model)[1] + moments(p, q, model)[0] ** 2) / (epsilon**2 * delta)
    ),
    "You took the variance within each text only. The texts are drawn, too, and their means differ.": (
        lambda p, q, model, epsilon, delta: _within_texts(p, q, model) / (epsilon**2 * delta)
    ),
    "This is the variance of CE-Loss: the weights are missing.": lambda p, q, model, epsilon, delta: (
        moments(q, q, model)[1] / (epsilon**2 * delta)
    ),
    "This is the variance of -log p under P. The labels are drawn from Q, and the terms carry weights.": (
        lambda p, q, model, epsilon, delta: moments(p, p, model)[1] / (epsilon**2 * delta)
    ),
}


def texts_for_a_bound() -> Exercise:
    rng = np.random.default_rng(8)
    by_hand = np.array([[0.5, 0.5]]), np.array([[0.8, 0.2]]), np.array([[0.5, 0.5]]), 0.1, 0.05
    return Exercise(
        number=11,
        parts=("number of texts",),
        cases=[by_hand, (*(rng.dirichlet(np.full(3, 2.0), size=4) for _ in range(3)), 0.2, 0.1)],
        right=lambda p, q, model, epsilon, delta: moments(p, q, model)[1] / (epsilon**2 * delta),
        mistakes=SIZE_MISTAKES,
        observe=lambda answer, case: (numbers(answer(*case), (), "The answer"),),
        example="For one text with P = [0.5, 0.5], Q = [0.8, 0.2], p = [0.5, 0.5], epsilon 0.1 and delta 0.05",
        lesson=lambda: (
            "Chebyshev's inequality knows nothing but the variance, so it asks for a lot: at delta = 0.05 for "
            "20 Var/epsilon^2 texts, where the normal distribution would ask for 1.96^2 = 3.84 Var/epsilon^2. And the "
            "variance is that of the weighted terms: labels that Q rarely gives and P often does are what it costs."
        ),
    )
