"""The primer's exercises: solutions of the notebook are right, typical wrong answers are told what is wrong."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import nbformat
import numpy as np
import pytest
import torch

from paper_repro.teaching.exercises import EXERCISES, check, saturation
from paper_repro.teaching.feedback import Feedback
from paper_repro.tools.paths import NOTEBOOKS

NOTEBOOK = nbformat.read(NOTEBOOKS / "00_importance_weighting.ipynb", as_version=4)
NUMBERS = list(EXERCISES)


def stub(number: int) -> str:
    """The exercise's cell as the student finds it."""
    (cell,) = [c for c in NOTEBOOK.cells if f"exercise-{number}" in c.metadata.get("tags", [])]
    return str(cell.source)


def solution(number: int) -> str:
    """The code that is folded away below the exercise."""
    for cell, below in pairwise(NOTEBOOK.cells):
        if f"exercise-{number}" in cell.metadata.get("tags", []):
            (found,) = re.findall(r"```python\n(.*?)```", below.source, flags=re.DOTALL)
            assert below.source.startswith("<details>\n<summary>Solution") and below.source.endswith("</details>")
            return str(found)
    raise AssertionError(number)


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


WRONG = {
    "weight inverted": (1, "def weight_of(p, q, label): return q[label] / p[label]", "upside down"),
    "weight capped": (1, "def weight_of(p, q, label): return min(p[label] / q[label], 1)", "capped the weight"),
    "all weights": (1, "def weight_of(p, q, label): return p / q", "Only one label was observed"),
    "right once": (1, "def weight_of(p, q, label): return 0.6 if label == 0 else 9", "weight is 2; yours is 9"),
    "a text": (1, "def weight_of(p, q, label): return 'two'", "should be a single number, not str"),
    "nan": (1, "def weight_of(p, q, label): return float('nan')", "finite number"),
    "crash": (1, "def weight_of(p, q, label): return p[7]", "stopped with IndexError"),
    "unnormalised": (2, "def estimate_and_ess(f, w): return np.mean(w * f), 1.0", "divide by the sum of the weights"),
    "ess as a share": (
        2,
        "def estimate_and_ess(f, w): return np.average(f, weights=w), np.mean(w)**2 / np.mean(w**2)",
        "divided by n as well",
    ),
    "one number": (2, "def estimate_and_ess(f, w): return np.average(f, weights=w)", "Return two numbers"),
    "a loss for each text": (
        3,
        "def imp_loss(p, quality, diversity, labels):\n"
        " i = np.arange(len(labels)); return (quality/diversity*-np.log(p))[i, labels]",
        "a loss for each text",
    ),
    "detach forgotten": (
        4,
        "def dimp_loss(logits, quality, labels):\n"
        " p = logits.softmax(1)[range(len(labels)), labels]\n return (quality / p * -p.log()).mean()",
        "not detached",
    ),
    "everything detached": (
        4,
        "def dimp_loss(logits, quality, labels):\n"
        " p = logits.detach().softmax(1)[range(len(labels)), labels]\n return (quality / p * -p.log()).mean()",
        "No gradient reaches the logits",
    ),
    "in-sample": (
        5,
        "def unseen_scores(features, labels, folds, fit):\n"
        " return fit(features, labels)(features)[np.arange(len(labels)), labels]",
        "seen by the model that scores it",
    ),
    "whole matrix": (
        5,
        "def unseen_scores(features, labels, folds, fit): return fit(features, labels)(features)",
        "pick that of each text's observed label",
    ),
}


@pytest.mark.parametrize(("number", "code", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_answers_are_told_what_is_wrong(number, code, words):
    found = told(number, code)
    assert found.state == "wrong"
    assert words in found.message


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
