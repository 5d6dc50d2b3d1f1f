"""A budget that is never passed: what a try may cost at most is set aside before it is sent.

Requests count every try that is sent, also one that the server turns away. Tokens and money count what the server
says it used; for a try whose end is not known (under way, a dropped connection, a kill) they count the worst case:
every byte of the prompt a token, and ``max_tokens`` written. Only a server that answers with more than ``max_tokens``
can pass the limit, by that excess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import click

from paper_repro.llm.client import Request
from paper_repro.tools.errors import UserError


class Usage(NamedTuple):
    """What was, or may have been, used."""

    requests: int = 0
    prompt: int = 0
    answers: int = 0

    def plus(self, other: Usage, times: int = 1) -> Usage:
        return Usage(*(mine + times * its for mine, its in zip(self, other, strict=True)))

    @classmethod
    def worst_case(cls, request: Request) -> Usage:
        """One try at most. No tokenizer makes more tokens of a text than it has bytes; a chat template adds some."""
        return cls(1, request.bytes + 16 * len(request.messages) + 128, request.max_tokens)


@dataclass(frozen=True)
class Terms:
    """How to ask: limits on requests, tokens (prompts and answers together) and money (None: no limit), prices of a
    million tokens, how many requests at once, tries of each, and the first pause between these in seconds.

    Raises UserError for terms under which nothing can be asked, and for a limit in money without prices.
    """

    max_requests: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    price_input: float = 0.0
    price_output: float = 0.0
    concurrency: int = 8
    tries: int = 8
    first_pause: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            may_be_0 = name in ("price_input", "price_output", "first_pause")
            if value is not None and not (0 < value < math.inf or (may_be_0 and value == 0)):
                expected = "0 or more" if may_be_0 else "more than 0"
                raise UserError(f"--{name.replace('_', '-')} {value:g}: nothing can be asked; expected {expected}")
        if self.max_cost is not None and not self.price_input + self.price_output:
            raise UserError(f"--max-cost {self.max_cost:g} needs --price-input and --price-output, per million tokens")

    def cost(self, usage: Usage) -> float:
        return (usage.prompt * self.price_input + usage.answers * self.price_output) / 1e6

    def passed_by(self, usage: Usage) -> str:
        """The limit that ``usage`` in all would pass, in words; empty where it passes none."""
        for limit, amount, unit in (
            (self.max_requests, usage.requests, "requests"),
            (self.max_tokens, usage.prompt + usage.answers, "tokens"),
            (self.max_cost, self.cost(usage), "in money"),
        ):
            if limit is not None and amount > limit:
                return f"the budget of {limit:g} {unit}"
        return ""

    def announce(self, usage: Usage, remark: str) -> None:
        """Say what will be asked, what it may cost, and where the budget is too small for it."""
        click.echo(f"Estimate: {self.describe(usage)}; {remark}")
        if limit := self.passed_by(usage):
            click.echo(f"{limit.capitalize()} ends before that")

    def describe(self, usage: Usage) -> str:
        """``usage`` for people, in money too where there are prices."""
        money = f", {self.cost(usage):.4g} in money" if self.price_input + self.price_output else ""
        return f"{usage.requests:,} requests, {usage.prompt:,} tokens of prompts, {usage.answers:,} of answers{money}"
