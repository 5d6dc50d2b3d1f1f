"""Exercises 6 and 7 (notebook 03): the calibration error of a checker; what a class's weights average to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_repro.measures import accuracy
from paper_repro.teaching.feedback import Answer, Exercise, Floats, Malformed, numbers

Ints = NDArray[np.int64]

# ---------------------------------------------------------------- 6: answer(confidence, correct, bins) -> the error


def over_bins(combine: Callable[[Floats, Floats], Any]) -> Answer:
    """An answer from the bins' shares of the texts and their signed gaps, confidence minus accuracy."""

    def answer(confidence: Floats, correct: Floats, bins: Ints) -> Any:
        inside = [bins == number for number in np.unique(bins)]
        gaps = [confidence[rows].mean() - correct[rows].mean() for rows in inside]
        return combine(np.array([rows.mean() for rows in inside]), np.array(gaps))

    return answer


CALIBRATION_MISTAKES: dict[str, Answer] = {
    "Without the absolute value, overconfident and underconfident bins cancel out.": over_bins(lambda s, g: s @ g),
    "This is the gap over all texts at once. In it, overconfident and underconfident bins cancel out: take the gap of "
    "each bin first.": over_bins(lambda s, g: abs(s @ g)),
    "You gave every bin the same weight; a bin counts by its share of the texts.": over_bins(
        lambda s, g: np.abs(g).mean()
    ),
    "This is the sum over the bins; each gap counts by its bin's share of the texts.": over_bins(
        lambda s, g: np.abs(g).sum()
    ),
    "You squared the gaps; the expected calibration error takes their absolute values.": over_bins(
        lambda s, g: s @ g**2
    ),
    "This is the largest gap of any bin (the maximum calibration error); asked for is the average.": over_bins(
        lambda s, g: np.abs(g).max()
    ),
    "You compared each text's confidence with its own 0 or 1. A single text has no accuracy: take the means of a bin "
    "first.": lambda confidence, correct, bins: np.abs(confidence - correct).mean(),
}


def calibration_of_a_checker() -> Exercise:
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.34, 1, size=40)
    by_hand = np.array([0.95, 0.95, 0.95, 0.55]), np.array([1.0, 0.0, 1.0, 1.0])
    random = confidence, (rng.random(40) < confidence**0.5).astype(np.float64)
    return Exercise(
        number=6,
        parts=("calibration error",),
        cases=[(sure, right, (10 * sure).astype(np.int64)) for sure, right in (by_hand, random)],
        right=lambda confidence, correct, bins: accuracy.calibration_error(confidence, correct),
        mistakes=CALIBRATION_MISTAKES,
        observe=lambda answer, case: (numbers(answer(*case), (), "The error"),),
        example="For confidences 0.95, 0.95, 0.95 and 0.55, of which only the second text is wrong,",
        lesson=lambda: (
            "In the first case both bins are off, one too confident, one not confident enough. "
            "A weight P'/Q takes P' at its word, so an error of confidence is an error of the weight."
        ),
    )


# ---------------------------------------------------------------- 7: answer(quality, q) -> a number for each class

CLASS_MISTAKES: dict[str, Answer] = {
    "This is the mean of P'/Q over all texts, as if each text carried each label equally often. A text has label c "
    "with probability Q(c|x): weight the ratios by it.": lambda quality, q: (quality / q).mean(axis=0),
    "Upside down: the class's share under P' goes above, that under Q below.": lambda quality, q: (
        q.mean(axis=0) / quality.mean(axis=0)
    ),
    "This is the weight that a class has in all, divided by all texts. Divide by the share of the texts that carry its "
    "label.": lambda quality, q: quality.mean(axis=0),
    "The mean weight of all texts is 1; that of a class need not be.": lambda quality, q: np.ones(quality.shape[1]),
}


def mean_weight_of_a_class() -> Exercise:
    rng = np.random.default_rng(4)
    by_hand = np.array([[0.5, 0.5], [0.3, 0.7]]), np.array([[0.8, 0.2], [0.2, 0.8]])
    return Exercise(
        number=7,
        parts=("mean weights",),
        cases=[by_hand, tuple(rng.dirichlet(np.ones(3), size=6) for _ in range(2))],
        right=lambda quality, q: quality.mean(axis=0) / q.mean(axis=0),
        mistakes=CLASS_MISTAKES,
        observe=_by_class,
        example="For two texts with P' = [0.5, 0.5] and [0.3, 0.7], Q = [0.8, 0.2] and [0.2, 0.8]",
        lesson=lambda: (
            "The weights of a class average to its frequency under P' over its frequency under Q. A generator that is "
            "asked for equally many texts of each class has its labels pulled back to the frequencies of D_P' by the "
            "weights alone, even where each single label is right."
        ),
    )


def _by_class(answer: Answer, case: tuple[Any, ...]) -> tuple[Floats, ...]:
    found = answer(*case)
    if np.ndim(found) == 0 and isinstance(found, int | float | np.number):
        raise Malformed("You returned one number; asked for is one for each class.")
    return (numbers(found, (case[0].shape[1],), "The answer"),)
