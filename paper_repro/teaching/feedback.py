"""How an exercise is checked: the answer is called on cases, compared with the right one and with typical wrong ones.

A typical wrong answer is a function like the student's; whoever returns the same numbers is told what went wrong.
"""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Answer = Callable[..., Any]
HEADS = {"open": "not answered yet", "right": "right", "wrong": "not right yet"}


class Malformed(Exception):
    """An answer that cannot be compared; the message tells the student why."""


class Unanswered(Exception):
    """The stub as it stands in the notebook: it returns nothing."""


@dataclass(frozen=True)
class Feedback:
    """What the student is told. ``state`` is "open", "right" or "wrong"."""

    exercise: int
    state: Literal["open", "right", "wrong"]
    message: str

    def __repr__(self) -> str:
        text = f"Exercise {self.exercise}: {HEADS[self.state]}. {self.message}".rstrip()
        return "\n".join(textwrap.fill(line, 110) for line in text.splitlines())


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer, as a function, and what to say to whoever gives it."""

    explanation: str
    answer: Answer


@dataclass(frozen=True)
class Exercise:
    """A question with its cases, its right answer and the typical wrong ones.

    ``observe`` calls an answer on a case and returns its ``parts``, named arrays to be compared; it raises
    :class:`Unanswered` or :class:`Malformed`. ``example`` says in words what the first case is. ``lesson`` is told
    with "right".
    """

    number: int
    parts: tuple[str, ...]
    cases: Sequence[tuple[Any, ...]]
    right: Answer
    mistakes: tuple[Mistake, ...]
    observe: Callable[[Answer, tuple[Any, ...]], tuple[Floats, ...]]
    example: str
    lesson: Callable[[], str]
    tolerance: float = 1e-6

    def observed(self, answer: Answer) -> list[tuple[Floats, ...]]:
        """The parts for each case, (parts,) arrays a case; each call gets copies of its arguments."""
        return [self.observe(answer, copy.deepcopy(case)) for case in self.cases]

    def check(self, answer: Answer) -> Feedback:
        """Right, wrong with a reason, or not answered yet; nothing that the answer does gets out of here."""
        try:
            found = self.observed(answer)
        except (Unanswered, NotImplementedError):
            return Feedback(self.number, "open", "")
        except Malformed as problem:
            return Feedback(self.number, "wrong", str(problem))
        except Exception as error:  # a student's function may raise anything
            return Feedback(self.number, "wrong", f"Your function stopped with {type(error).__name__}: {error}")
        wanted = self.observed(self.right)
        for index, part in enumerate(self.parts):
            if not self._same(found, wanted, index):
                return Feedback(self.number, "wrong", self._explain(found, wanted, index, part))
        return Feedback(self.number, "right", self.lesson())

    def _explain(self, found: list[tuple[Floats, ...]], wanted: list[tuple[Floats, ...]], index: int, part: str) -> str:
        for mistake in self.mistakes:
            theirs = self.observed(mistake.answer)
            if self._same(found, theirs, index) and not self._same(theirs, wanted, index):
                return mistake.explanation
        ours, yours = wanted[0][index], found[0][index]
        return f"{self.example} the {part} is {_short(ours)}; yours is {_short(yours)}."

    def _same(self, a: list[tuple[Floats, ...]], b: list[tuple[Floats, ...]], index: int) -> bool:
        return all(
            x[index].shape == y[index].shape and np.allclose(x[index], y[index], rtol=self.tolerance, atol=1e-9)
            for x, y in zip(a, b, strict=True)
        )


def numbers(value: Any, shape: tuple[int, ...], what: str) -> Floats:
    """``value`` as an array of ``shape``; Unanswered for None and ..., Malformed for anything else that is none."""
    if value is None or value is Ellipsis:
        raise Unanswered
    try:
        array = np.asarray(value.detach().numpy() if hasattr(value, "detach") else value, dtype=np.float64)
    except (TypeError, ValueError):
        raise Malformed(f"{what} should be {_shape(shape)}, not {type(value).__name__}.") from None
    if array.shape != shape:
        raise Malformed(f"{what} should be {_shape(shape)}; yours is {_shape(array.shape)}.")
    if not np.isfinite(array).all():
        raise Malformed(f"{what} holds a value that is no finite number.")
    return array


def _shape(shape: tuple[int, ...]) -> str:
    return "a single number" if shape == () else f"an array of shape {shape}"


def _short(values: Floats) -> str:
    if values.ndim == 0:
        return f"{float(values):.4g}"
    shown = ", ".join(f"{value:.4g}" for value in np.ravel(values)[:4])
    return f"[{shown}{', ...' if values.size > 4 else ''}]"
