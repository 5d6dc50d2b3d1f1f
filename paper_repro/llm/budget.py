"""A budget that is never passed: what a try may cost at most is set aside before it is sent.

Requests count every try that is sent, also one that the server turns away. Tokens and money count what the server
says it used; for a try whose end is not known (a dropped connection, a kill) they count the worst case: every byte
of the prompt a token, and ``max_tokens`` written. A server that answers with more than ``max_tokens`` can
pass the limit by that excess, and only by that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from paper_repro.llm.exchange import Request
from paper_repro.tools.errors import UserError

MILLION = 1_000_000


class BudgetSpent(UserError):
    """The next request might pass the budget. What was answered is kept."""


@dataclass(frozen=True)
class Usage:
    """What was, or may have been, used."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Usage)))

    @classmethod
    def worst_case(cls, request: Request) -> Usage:
        """One try of ``request``, at most."""
        return cls(1, request.prompt_tokens_at_most, request.max_tokens)


@dataclass(frozen=True)
class Prices:
    """Money per million tokens, in whatever currency the user thinks in."""

    input: float = 0.0
    output: float = 0.0

    def __post_init__(self) -> None:
        for name in ("input", "output"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UserError(f"price of {name} tokens: {value}; expected a number, 0 or greater, per million tokens")

    def cost(self, usage: Usage) -> float:
        return (usage.prompt_tokens * self.input + usage.completion_tokens * self.output) / MILLION


@dataclass(frozen=True)
class Limits:
    """At most so many requests, tokens (prompts and answers together) and so much money; None: no limit."""

    requests: int | None = None
    tokens: int | None = None
    cost: float | None = None

    def check(self, prices: Prices) -> None:
        """Raises UserError for a limit under which nothing can be asked, and for money without prices."""
        for name, option in (("requests", "--max-requests"), ("tokens", "--max-tokens"), ("cost", "--max-cost")):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"{option} {value:g}: nothing can be asked; give more than 0, or leave it out")
        if self.cost is not None and prices == Prices():
            raise UserError(
                f"--max-cost {self.cost:g} needs prices; give --price-input and --price-output, per million tokens"
            )


class Budget:
    """Limits, what was spent, and what is set aside for tries under way."""

    def __init__(self, limits: Limits = Limits(), prices: Prices = Prices(), spent: Usage = Usage()) -> None:
        limits.check(prices)
        self.limits, self.prices, self.spent = limits, prices, spent
        self._set_aside: dict[int, Usage] = {}

    @property
    def under_way(self) -> int:
        return len(self._set_aside)

    @property
    def cost(self) -> float:
        return self.prices.cost(self.spent)

    def lacking(self, usage: Usage) -> str:
        """Why ``usage`` does not fit beside what is spent and set aside; empty where it does."""
        total = sum(self._set_aside.values(), self.spent + usage)
        asked = {"requests": total.requests, "tokens": total.tokens, "cost": self.prices.cost(total)}
        for name, amount in asked.items():
            limit = getattr(self.limits, name)
            if limit is not None and amount > limit:
                return f"the budget of {limit:g} {'in money' if name == 'cost' else name} could be passed"
        return ""

    def set_aside(self, ticket: int, usage: Usage) -> None:
        self._set_aside[ticket] = usage

    def settle(self, ticket: int, usage: Usage) -> None:
        """The try has ended: count what it used in place of what was set aside."""
        del self._set_aside[ticket]
        self.spent += usage

    def describe(self) -> str:
        """What was spent, for people."""
        text = f"{self.spent.requests:,} requests, {self.spent.tokens:,} tokens"
        return text + (f", {self.cost:.4g} in money" if self.prices != Prices() else "")
