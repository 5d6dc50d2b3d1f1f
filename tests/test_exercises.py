"""The exercises: the notebooks' solutions are right, typical wrong answers are told what is wrong."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import nbformat
import numpy as np
import pytest
import torch

from paper_repro.method.record import Method
from paper_repro.paper.theory import fixed_points
from paper_repro.teaching.exercises import EXERCISES, check, saturation
from paper_repro.teaching.feedback import Feedback
from paper_repro.tools.paths import NOTEBOOKS

CELLS = {
    name: nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
    for name in ("00_importance_weighting", "03_checkers", "04_train_losses", "07_theory")
}
NUMBERS = list(EXERCISES)


def with_solution(number: int) -> tuple[str, str]:
    """The exercise's cell as the student finds it, and the cell below it."""
    (found,) = (
        (cell.source, below.source)
        for cells in CELLS.values()
        for cell, below in pairwise(cells)
        if f"exercise-{number}" in cell.metadata.get("tags", [])
    )
    return found


def stub(number: int) -> str:
    return with_solution(number)[0]


def solution(number: int) -> str:
    """The code that is folded away below the exercise."""
    below = with_solution(number)[1]
    assert below.startswith("<details>\n<summary>Solution") and below.endswith("</details>")
    (found,) = re.findall(r"```python\n(.*?)```", below, flags=re.DOTALL)
    return str(found)


def told(number: int, code: str) -> Feedback:
    """What the cell's last line says once ``code`` stands in the place of the stub."""
    room: dict[str, Any] = {"np": np, "torch": torch, "check": check}
    exec(code, room)
    return eval(stub(number).splitlines()[-1], room)


@pytest.mark.parametrize("number", NUMBERS)
def test_an_untouched_exercise_is_not_answered_yet(number):
    found = told(number, stub(number))
    assert (found.exercise, found.state) == (number, "open")


@pytest.mark.parametrize("number", NUMBERS)
def test_the_solution_in_the_notebook_is_right(number):
    found = told(number, solution(number))
    assert found.state == "right", found


@pytest.mark.parametrize("number", NUMBERS)
def test_every_known_mistake_is_told_by_its_own_explanation(number):
    made = EXERCISES[number]()
    for explanation, mistake in made.mistakes.items():
        assert made.check(mistake) == Feedback(number, "wrong", explanation)


# None of them is a registered mistake.
WRONG = {
    "all weights": (1, "def weight_of(p, q, label): return p / q", "Only one label was observed"),
    "right once": (1, "def weight_of(p, q, label): return 0.6 if label == 0 else 9", "weight is 2; yours is 9"),
    "a text": (1, "def weight_of(p, q, label): return 'two'", "should be a single number, not str"),
    "nan": (1, "def weight_of(p, q, label): return float('nan')", "finite number"),
    "crash": (1, "def weight_of(p, q, label): return p[7]", "stopped with IndexError"),
    "one number": (2, "def estimate_and_ess(f, w): return np.average(f, weights=w)", "Return two numbers"),
    "a loss for each text": (
        3,
        "def imp_loss(p, quality, diversity, labels):\n"
        " i = np.arange(len(labels)); return (quality/diversity*-np.log(p))[i, labels]",
        "a loss for each text",
    ),
    "everything detached": (
        4,
        "def dimp_loss(logits, quality, labels):\n"
        " p = logits.detach().softmax(1)[range(len(labels)), labels]\n return (quality / p * -p.log()).mean()",
        "No gradient reaches the logits",
    ),
    "whole matrix": (
        5,
        "def unseen_scores(features, labels, folds, fit): return fit(features, labels)(features)",
        "pick that of each text's observed label",
    ),
    "all classes at once": (7, "def class_weights(quality, q): return (quality / q).mean()", "one for each class"),
    "rounded": (
        11,
        "def texts_needed(p, q, model, epsilon, delta):\n"
        " z = p / q * -np.log(model); mean = (q * z).sum(1).mean()\n"
        " return np.ceil((q * (z - mean)**2).sum(1).mean() / epsilon**2 / delta)",
        "the number of texts is",
    ),
}


@pytest.mark.parametrize(("number", "code", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_answers_are_told_what_is_wrong(number, code, words):
    found = told(number, code)
    assert found.state == "wrong"
    assert words in found.message


RIGHT = {
    "a list": (2, "def estimate_and_ess(f, w): return [np.average(f, weights=w), w.sum()**2 / (w**2).sum()]"),
    "an array": (2, "def estimate_and_ess(f, w): return np.array([(w @ f) / w.sum(), w.sum()**2 / (w @ w)])"),
    "a tensor": (
        2,
        "def estimate_and_ess(f, w):\n"
        " f, w = torch.tensor(f), torch.tensor(w)\n return torch.stack([(w @ f) / w.sum(), w.sum()**2 / (w @ w)])",
    ),
    "one weight as an array": (1, "def weight_of(p, q, label): return np.asarray(p / q)[label]"),
    "in another way": (7, "def class_weights(quality, q): return list(quality.sum(0) / q.sum(0))"),
    "by moments": (
        11,
        "def texts_needed(p, q, model, epsilon, delta):\n"
        " z = p / q * -np.log(model); n = len(q)\n"
        " return ((q * z**2).sum() / n - ((q * z).sum() / n)**2) / epsilon**2 / delta",
    ),
}


@pytest.mark.parametrize(("number", "code"), RIGHT.values(), ids=RIGHT.keys())
def test_right_answers_of_another_form_are_right(number, code):
    assert told(number, code).state == "right", told(number, code)


def test_the_right_limit_is_where_gradient_descent_ends():
    """The loss between IMP and DIMP as a method of its own, followed by the package's descent."""
    exercise = EXERCISES[10]()
    for q, quality, a in exercise.cases:

        def weight(log_p, log_quality, log_diversity, switches, a=a):
            return torch.exp(log_quality - a * log_p - (1 - a) * log_diversity)

        method = Method("between", "between", quality=True, diversity=True, dynamic=True, weight=weight)
        reached = fixed_points.descend(method, q[None], quality[None])[0]
        assert reached == pytest.approx(exercise.right(q, quality, a), abs=1e-4)


def test_the_mean_weights_of_classes_are_those_of_drawn_labels():
    (quality, q), _ = EXERCISES[7]().cases
    rng, n = np.random.default_rng(0), 200_000
    rows = rng.integers(len(q), size=n)
    labels = (rng.random(n) > q[rows, 0]).astype(int)
    weights = quality[rows, labels] / q[rows, labels]
    means = [weights[labels == label].mean() for label in (0, 1)]
    assert EXERCISES[7]().right(quality, q) == pytest.approx(means, rel=0.02)
    assert EXERCISES[7]().right(quality, q) == pytest.approx([0.8, 1.2])  # 0.4 / 0.5 and 0.6 / 0.5


def test_the_bound_of_two_labels_is_known():
    """P = p = 1/2, Q = (0.8, 0.2): terms ln 2 times 0.625 and 2.5, mean ln 2, variance ln(2)^2 (1.5625 - 1)."""
    (case, _) = EXERCISES[11]().cases
    assert EXERCISES[11]().right(*case) == pytest.approx(0.5625 * np.log(2) ** 2 / (0.1**2 * 0.05))


def test_an_answer_cannot_spoil_the_cases():
    def spoiling(p, q, label):
        weight = p[label] / q[label]
        p[:], q[:] = 0, 0
        return weight

    assert check(1, spoiling).state == "right"
    assert check(1, lambda p, q, label: p[label] / q[label]).state == "right"


def test_the_gradient_without_detach_is_larger_by_the_known_factor():
    """1 - ln 0.3 = 2.204; with detach it is -P'/p (1 - p) / 2 = -0.467 for P' = 0.4, p = 0.3, a batch of two."""
    message = told(4, solution(4)).message
    assert "-0.467 with detach and -1.029 without" in message
    assert "2.204 times as large, which is 1 - ln 0.3 = 2.204" in message


def test_a_checker_that_has_seen_its_texts_fails_the_test_and_the_true_one_passes():
    means = saturation.mean_weights()
    assert means["Q fitted on all texts"].high < 1
    true = means["the true Q"]
    assert abs(true.mean - 1) < 2 * (true.high - true.mean), "E_Q[P/Q] = 1"
    data = saturation.seen()
    seen, unseen = (f(data.features, data.labels, data.folds, saturation.fit).mean() for f in (
        saturation.in_sample, saturation.cross_fitted))  # fmt: skip
    assert seen > data.q.mean() > unseen
