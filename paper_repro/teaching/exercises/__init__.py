"""The exercises of notebooks 00, 03, 04 and 07: ``check(number, function)`` tells a student right from wrong, and why.

The questions are in the notebooks, each with a solution below it.
"""

from collections.abc import Callable, Mapping

from paper_repro.teaching.exercises.checkers import calibration_of_a_checker, mean_weight_of_a_class
from paper_repro.teaching.exercises.limits import between_imp_and_dimp, texts_for_a_bound
from paper_repro.teaching.exercises.losses import dimp_detached, imp_by_hand
from paper_repro.teaching.exercises.saturation import unseen_diversity
from paper_repro.teaching.exercises.training import paired_difference, score_without_peeking
from paper_repro.teaching.exercises.weights import self_normalised_and_ess, weight_of_a_text
from paper_repro.teaching.feedback import Answer, Exercise, Feedback

EXERCISES: Mapping[int, Callable[[], Exercise]] = {
    1: weight_of_a_text,
    2: self_normalised_and_ess,
    3: imp_by_hand,
    4: dimp_detached,
    5: unseen_diversity,
    6: calibration_of_a_checker,
    7: mean_weight_of_a_class,
    8: paired_difference,
    9: score_without_peeking,
    10: between_imp_and_dimp,
    11: texts_for_a_bound,
}


def check(number: int, answer: Answer) -> Feedback:
    """Look at the answer to exercise ``number``, a function. ValueError for a number without an exercise."""
    if number not in EXERCISES:
        raise ValueError(f"there is no exercise {number}; expected 1 to {len(EXERCISES)}")
    return EXERCISES[number]().check(answer)


__all__ = ["EXERCISES", "check"]
