"""D_Q from a language model: ask, read, judge, until there are enough texts of each label.

Conversations are asked for in rounds: as many as would do if every answer held what it was asked for, then as many
as are lacking still, and so on. A round is judged when all its answers are there, in the order of its conversations,
so that which conversations are asked for, and D_Q itself, follow from the seed and the answers alone, not from the
order in which these arrive, nor from where a run was stopped and taken up again.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from paper_repro.llm.asking import Asker, run
from paper_repro.llm.budget import BudgetSpent, Prices, Usage
from paper_repro.llm.conversations import Conversations, Turn
from paper_repro.llm.parsing import Found, parse
from paper_repro.llm.validation import CUT_OFF, SURPLUS, Asked, Judge
from paper_repro.texts.pools import Pool

PATIENCE = 3  # conversations are asked for up to so many times as often as would do, then the yield is too low
SAMPLED = 30  # requests that the estimate looks at
TOKENS_PER_WORD = 1.5


Place = tuple[int | None, int, int, int]
"""Where a text comes from: label asked for, conversation, turn, number in the answer."""


@dataclass(frozen=True)
class Text:
    """One text of an answer that enters D_Q, with its class."""

    found: Found
    label: int
    words_asked: int | None
    place: Place


@dataclass(frozen=True)
class Dropped:
    """What did not enter D_Q, and why (:data:`paper_repro.llm.validation.REASONS`)."""

    reason: str
    text: str
    place: Place


@dataclass
class Generated:
    """What came of it. ``stopped`` says why there are fewer texts than asked for (empty: there are not)."""

    texts: list[Text] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    answers: int = 0
    stopped: str = ""

    def pool(self, paired: bool) -> Pool:
        pairs = tuple(text.found.pair for text in self.texts) if paired else None
        labels = np.array([text.label for text in self.texts], dtype=np.int64)
        return Pool("generated", tuple(text.found.text for text in self.texts), labels, pairs)

    @property
    def reasons(self) -> Counter[str]:
        return Counter(entry.reason for entry in self.dropped)


@dataclass(frozen=True)
class Estimate:
    """What ``texts`` will take if every answer holds what it was asked for; tokens are guesses from words and bytes."""

    usage: Usage
    cost: float

    def describe(self, prices: Prices) -> str:
        money = f", {self.cost:.4g} in money" if prices != Prices() else ""
        return (
            f"{self.usage.requests:,} requests, about {self.usage.prompt_tokens:,} tokens of prompts and "
            f"{self.usage.completion_tokens:,} of answers{money}"
        )


def estimate(conversations: Conversations, texts: int, prices: Prices) -> Estimate:
    """Before anything is asked. At most :data:`PATIENCE` times as much is asked for if texts have to be dropped."""
    depth, each = conversations.settings.depth, conversations.texts_per_answer
    count = sum(math.ceil(quota / conversations.texts_per_conversation) for quota in quotas(conversations, texts))
    sample = list(conversations.openings(min(count, SAMPLED)))
    opening = sum(request.prompt_tokens_about for request in sample) / len(sample)
    answer = min(conversations.mean_words * TOKENS_PER_WORD * each, conversations.answer_tokens)
    # Each turn sends all turns before it again.
    prompts = depth * opening + depth * (depth - 1) / 2 * (answer + 16)
    usage = Usage(count * depth, round(count * prompts), round(count * depth * answer))
    return Estimate(usage, prices.cost(usage))


def quotas(conversations: Conversations, texts: int) -> list[int]:
    """How many texts of each label asked for: equal shares, the first labels one more where it does not go up."""
    n = len(conversations.labels)
    return [texts // n + (i < texts % n) for i in range(n)]


def generate(conversations: Conversations, dev: Pool, texts: int, asker: Asker) -> Generated:
    """Ask until there are ``texts`` texts, the budget is spent, or the yield is too low; judge every answer.

    Raises UserError where the model cannot be asked; what was answered by then is in the journal.
    """
    return run(lambda: _Generation(conversations, dev, texts, asker).all(), asker.backend.close)


class _Generation:
    def __init__(self, conversations: Conversations, dev: Pool, texts: int, asker: Asker) -> None:
        self.conversations, self.asker = conversations, asker
        self.judge = Judge(conversations.form, dev)
        self.wanted = dict(zip(conversations.labels, quotas(conversations, texts), strict=True))
        self.most = {label: PATIENCE * self._enough_for(quota) for label, quota in self.wanted.items()}
        self.begun: Counter[int | None] = Counter()
        self.made = Generated()

    async def all(self) -> Generated:
        while not self.made.stopped and (chosen := self._next_round()):
            turns = await self._ask(chosen)
            for turn in sorted(turns, key=lambda turn: (turn.conversation, str(turn.label), turn.turn)):
                self._take(turn)
        if not self.made.stopped and any(self.wanted.values()):
            self.made.stopped = f"too few texts were usable in {self.made.answers:,} answers"
        return self.made

    def _enough_for(self, texts: int) -> int:
        return math.ceil(texts / self.conversations.texts_per_conversation)

    def _next_round(self) -> list[tuple[int | None, int]]:
        """Label and number of the conversations that would do if each held what it is asked for."""
        chosen = []
        for label, lacking in self.wanted.items():
            count = min(self._enough_for(lacking), self.most[label] - self.begun[label])
            chosen += [(label, self.begun[label] + i) for i in range(count)]
            self.begun[label] += count
        # By number, so that a run that is stopped early has texts of all labels.
        return sorted(chosen, key=lambda place: (place[1], str(place[0])))

    async def _ask(self, chosen: Sequence[tuple[int | None, int]]) -> list[Turn]:
        turns: list[Turn] = []
        self.asker.expect(len(chosen) * self.conversations.settings.depth)
        places = iter(chosen)

        async def hold_some() -> None:
            for label, number in places:
                conversation = self.conversations.of(label, number)
                try:
                    await self.conversations.hold(conversation, self.asker.ask, turns.append)
                except BudgetSpent as spent:
                    self.made.stopped = str(spent)
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.asker.concurrency, len(chosen))):
                group.create_task(hold_some())
        return turns

    def _take(self, turn: Turn) -> None:
        self.made.answers += 1
        place = (turn.label, turn.conversation, turn.turn)
        parsed = parse(turn.response.text, self.conversations.form)
        if not parsed.found:
            self.made.dropped.append(Dropped(parsed.reason, turn.response.text, (*place, 0)))
        for row, found in enumerate(parsed.found):
            last = row == len(parsed.found) - 1
            cut_off = last and turn.response.finish_reason == "length"
            self._judge(found, turn.asked, (*place, row), cut_off=cut_off)

    def _judge(self, found: Found, asked: Asked, place: Place, *, cut_off: bool) -> None:
        reason = CUT_OFF if cut_off else ""
        if not reason and not self.wanted[asked.label]:
            reason = SURPLUS
        reason = reason or self.judge.reason(found, asked)
        if reason:
            self.made.dropped.append(Dropped(reason, found.whole, place))
            return
        label = self.judge.label(found, asked)
        assert label is not None
        self.wanted[asked.label] -= 1
        self.made.texts.append(Text(found, label, asked.words, place))


def summary(made: Generated, asked: int) -> dict[str, Any]:
    """The yield in numbers: answers, texts found, accepted, dropped by reason, lengths against what was asked for."""
    got = np.array([len(text.found.whole.split()) for text in made.texts], dtype=float)
    wanted = np.array([text.words_asked or np.nan for text in made.texts], dtype=float)
    named = ~np.isnan(wanted)
    several = named.sum() > 1 and np.std(wanted[named]) > 0 and np.std(got[named]) > 0
    return {
        "texts asked for": asked,
        "texts": len(made.texts),
        "answers": made.answers,
        "texts per answer": len(made.texts) / max(made.answers, 1),
        "dropped": len(made.dropped),
        **{f"dropped: {reason}": count for reason, count in sorted(made.reasons.items())},
        "words asked for, mean": float(wanted[named].mean()) if named.any() else None,
        "words, mean": float(got.mean()) if len(got) else None,
        "words: correlation with those asked for": (
            float(np.corrcoef(wanted[named], got[named])[0, 1]) if several else None
        ),
    }
