"""How an exercise is checked: the answer is called on cases and compared with the right one and typical wrong ones.

A typical wrong answer is a function like the student's; whoever returns the same numbers is told what went wrong.
"""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable, Mapping, Sequence
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
class Exercise:
    """A question with its cases, its right answer and the typical wrong ones, by what to say to whoever gives them.

    ``observe`` calls an answer on a case and returns its ``parts``, named arrays to be compared; it raises
    :class:`Unanswered` or :class:`Malformed`. ``example`` says in words what the first case is. ``lesson`` is told
    with "right".
    """

    number: int
    parts: tuple[str, ...]
    cases: Sequence[tuple[Any, ...]]
    right: Answer
    mistakes: Mapping[str, Answer]
    observe: Callable[[Answer, tuple[Any, ...]], tuple[Floats, ...]]
    example: str
    lesson: Callable[[], str]
    tolerance: float = 1e-6

    def observed(self, answer: Answer) -> list[tuple[Floats, ...]]:
        """The parts for each case; each call gets copies of its arguments, so that no answer can spoil them."""
        return [self.observe(answer, copy.deepcopy(case)) for case in self.cases]

    def check(self, answer: Answer) -> Feedback:
        """Right, wrong with a reason, or not answered yet; no exception of the answer gets out of here."""
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
        for explanation, mistake in self.mistakes.items():
            theirs = self.observed(mistake)
            if self._same(found, theirs, index) and not self._same(theirs, wanted, index):
                return explanation
        different = next(i for i, pair in enumerate(zip(found, wanted, strict=True)) if not self._equal(*pair, index))
        ours, yours = wanted[different][index], found[different][index]
        where = self.example if different == 0 else f"On another example (number {different + 1} of the check)"
        return f"{where} the {part} is {_short(ours)}; yours is {_short(yours)}."

    def _same(self, a: list[tuple[Floats, ...]], b: list[tuple[Floats, ...]], index: int) -> bool:
        return all(self._equal(x, y, index) for x, y in zip(a, b, strict=True))

    def _equal(self, a: tuple[Floats, ...], b: tuple[Floats, ...], index: int) -> bool:
        return bool(np.allclose(a[index], b[index], rtol=self.tolerance, atol=1e-9))


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
        raise Malformed(f"{what} holds a value that is not a finite number.")
    return array


def two_numbers(first: str, second: str) -> Callable[[Answer, tuple[Any, ...]], tuple[Floats, ...]]:
    """``observe`` of an exercise whose answer is two numbers: a tuple, a list or an array of two."""

    def observe(answer: Answer, case: tuple[Any, ...]) -> tuple[Floats, ...]:
        found = answer(*case)
        if found is None or found is Ellipsis:
            raise Unanswered
        pair = tuple(found) if np.iterable(found) else ()
        if len(pair) != 2:
            raise Malformed(f"Return two numbers, the {first} and the {second}: return a, b")
        return numbers(pair[0], (), f"The {first}"), numbers(pair[1], (), f"The {second}")

    return observe


def _shape(shape: tuple[int, ...]) -> str:
    return "a single number" if shape == () else f"an array of shape {shape}"


def _short(values: Floats) -> str:
    shown = ", ".join(f"{value:.4g}" for value in np.ravel(values)[:4])
    return shown if values.ndim == 0 else f"[{shown}{', ...' if values.size > 4 else ''}]"
