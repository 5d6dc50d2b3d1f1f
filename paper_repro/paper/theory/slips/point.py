"""One point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Point:
    """What is printed, what a computation finds, and what follows for a reader.

    ``kind``: a "slip" contradicts the paper's own or public numbers, an "open point" is a step that needs a
    condition or a choice that is not named. ``borne_out``: whether the computation shows what ``found`` says.
    """

    subject: str
    kind: Literal["slip", "open point"]
    where: str
    printed: str
    found: str
    follows: str
    borne_out: bool
