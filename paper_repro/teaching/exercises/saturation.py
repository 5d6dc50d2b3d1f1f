"""Exercise 5: a diversity checker that has seen the texts that it scores, one that has not, and the test of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_repro.measures.intervals import Interval, mean_interval
from paper_repro.teaching import texts
from paper_repro.teaching.experiment import Classifier, bag_of_words, softmax_regression
from paper_repro.teaching.feedback import Answer, Exercise, Floats, Malformed, numbers
from paper_repro.teaching.texts import observed
from paper_repro.texts.folds import fold_of

Ints = NDArray[np.int64]
TEXTS, FOLDS, WORLDS = 1000, 5, 8
CHECKED = 200
"""Texts that an answer is compared on: enough to distinguish the answers, and quick."""


@dataclass(frozen=True)
class Seen:
    """D_Q of the exercise: features (texts, words and pairs of words), labels and folds, P and Q of the labels."""

    features: Any
    labels: Ints
    folds: Ints
    p: Floats
    q: Floats


@lru_cache(maxsize=WORLDS)
def seen(world: int = 0) -> Seen:
    """Generated texts with so many features that a model can memorise much of them."""
    made = texts.benchmark(replace(texts.CONFIG, generated=TEXTS, dev=1, test=1, seed=world))
    pool, truth = made.pools["generated"], texts.truth_of(made)
    features = bag_of_words(longest=2).fit_transform(pool.texts)
    own = (observed(side, pool.labels) for side in (truth.p, truth.q))
    return Seen(features, pool.labels, fold_of(pool.labels, FOLDS), *own)


def fit(features: Any, labels: Ints) -> Classifier:
    """A softmax regression; call the result on features to get probabilities (texts, classes)."""
    return softmax_regression(features, labels, 3, inverse_penalty=0.3)


def fold_by_fold(score: Callable[[Any, Ints, NDArray[np.bool_], Any], Floats]) -> Answer:
    """An answer that scores one fold at a time; ``score`` gets the mask of the fold."""

    def answer(features: Any, labels: Ints, folds: Ints, fit: Any) -> Floats:
        scores = np.empty(len(labels))
        for fold in np.unique(folds):
            scores[folds == fold] = score(features, labels, folds == fold, fit)
        return scores

    return answer


def in_sample(features: Any, labels: Ints, folds: Ints, fit: Any) -> Floats:
    return observed(fit(features, labels)(features), labels)


cross_fitted = fold_by_fold(lambda x, y, held, fit: observed(fit(x[~held], y[~held])(x[held]), y[held]))
"""Q(y_i|x_i) of each observed label, (texts,), by a model that was fitted on the other folds."""

SCORE_MISTAKES: dict[str, Answer] = {
    "Every text was seen by the model that scores it: fit on the texts of the other folds only.": in_sample,
    "Fitted on the same fold that it scores, the other way round: fit where folds != k, score where folds == k.": (
        fold_by_fold(lambda x, y, held, fit: observed(fit(x[held], y[held])(x[held]), y[held]))
    ),
    "You took the probability of the most likely label; asked for is that of the observed one.": fold_by_fold(
        lambda x, y, held, fit: fit(x[~held], y[~held])(x[held]).max(axis=1)
    ),
}


@lru_cache(maxsize=1)
def unseen_diversity() -> Exercise:
    data, few = seen(), np.arange(CHECKED)
    return Exercise(
        number=5,
        parts=("list of scores",),
        cases=[(data.features[few], data.labels[few], data.folds[few], fit)],
        right=cross_fitted,
        mistakes=SCORE_MISTAKES,
        observe=_scores,
        example=f"For the check's {CHECKED} texts",
        lesson=saturation_lesson,
        tolerance=1e-3,
    )


def _scores(answer: Answer, case: tuple[Any, ...]) -> tuple[Floats, ...]:
    found = answer(*case)
    if np.ndim(found) == 2 and len(found) == len(case[1]):
        raise Malformed("You returned the probabilities of all classes; pick that of each text's observed label.")
    return (numbers(found, case[1].shape, "The answer"),)


@lru_cache(maxsize=1)
def mean_weights() -> dict[str, Interval]:
    """Mean of P/Q over D_Q with its 95 % interval over the worlds: Q in-sample, cross-fitted, and the true Q."""
    means = []
    for data in map(seen, range(WORLDS)):
        case = (data.features, data.labels, data.folds, fit)
        means.append([(data.p / scores).mean() for scores in (in_sample(*case), cross_fitted(*case), data.q)])
    names = ("Q fitted on all texts", "Q cross-fitted", "the true Q")
    return {name: mean_interval(column) for name, column in zip(names, np.transpose(means), strict=True)}


def saturation_lesson() -> str:
    """The test E_Q[P'/Q] = 1 on the three kinds of scores, read from their intervals."""
    lines = [
        f"The test: with a right Q the mean of P'/Q over D_Q is 1, whatever P' is. Here with P' = P, {TEXTS:,} texts "
        f"from each of n = {WORLDS} worlds:"
    ]
    for name, found in mean_weights().items():
        where = "below 1" if found.high < 1 else "above 1" if found.low > 1 else "1 lies in the interval"
        lines.append(f"- {name}: {found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]: {where}")
    lines.append(
        "Below 1, Q gives the observed labels too much probability: it has memorised them (at worst Q = 1, and IMP is "
        '"w/o diversity checker"). Above 1, it gives them too little: the other texts have not taught it enough. '
        "A mean of 1 does not prove that Q is right; a mean that differs from 1 beyond chance proves that it is wrong."
    )
    return "\n".join(lines)
