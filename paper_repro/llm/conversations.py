"""What a language model is asked for D_Q: the prompts of Table 6 as conversations, each fixed by its number and a seed.

A conversation has a label (none where one prompt asks for all of them), a length drawn from the benchmark's
distribution, and examples of the label drawn from D_P'. Its first turn is the whole prompt; each further turn, up to
``depth``, puts the model's own answer and "Can you provide something more diverse than the previously generated
data?" behind what was said before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from paper_repro.llm.exchange import Message, Request, Response, a_temperature, at_least
from paper_repro.llm.validation import Asked
from paper_repro.texts import prompts
from paper_repro.texts.generated import word_counts
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError

# Of one answer, per text asked for. A pair of MRPC takes about 70 tokens; the longest text that Table 6 asks for 75.
TOKENS_PER_TEXT = {"single": 256, "pair": 160}


@dataclass(frozen=True)
class Settings:
    """What a user chooses about the conversations.

    ``examples`` of D_P' in each prompt; ``depth`` turns a conversation; ``count`` texts where the prompt names a number
    (MRPC's); ``answer_tokens`` at most in one answer (0: as many as the texts asked for may need).
    Raises UserError for values out of range.
    """

    seed: int = 0
    examples: int = 8
    depth: int = 1
    count: int = 10
    temperature: float = 1.0
    top_p: float = 1.0
    answer_tokens: int = 0

    def __post_init__(self) -> None:
        at_least(self, seed=0, examples=1, depth=1, count=1, answer_tokens=0)
        a_temperature(self.temperature)
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p {self.top_p:g}: expected more than 0, at most 1")


@dataclass(frozen=True)
class Turn:
    """One answer of a conversation, with what it answers."""

    label: int | None
    conversation: int
    turn: int
    asked: Asked
    response: Response


@dataclass(frozen=True)
class Conversation:
    """One conversation before anything is answered."""

    label: int | None
    number: int
    asked: Asked
    opening: tuple[Message, ...]


class Conversations:
    """All conversations about one task: ``conversations.of(label, number)``."""

    def __init__(self, task: str | Path, dev: Pool, settings: Settings) -> None:
        self.form = prompts.template(task)
        self._task, self._dev, self.settings = task, dev, settings
        self.mean_words = float(word_counts(dev).mean())

    @property
    def labels(self) -> tuple[int | None, ...]:
        """The labels that are asked for one by one; (None,) where each request asks for all."""
        return tuple(range(len(self.form.labels))) if self.form.one_label else (None,)

    @property
    def texts_per_answer(self) -> int:
        return self.settings.count if "num_of_examples" in self.form.system + self.form.user else 1

    @property
    def texts_per_conversation(self) -> int:
        return self.texts_per_answer * self.settings.depth

    @property
    def answer_tokens(self) -> int:
        kind = "pair" if self.form.paired else "single"
        return self.settings.answer_tokens or TOKENS_PER_TEXT[kind] * self.texts_per_answer

    def of(self, label: int | None, number: int) -> Conversation:
        """The ``number``-th conversation about ``label``. Raises UserError where D_P' has too few examples."""
        seed = self._seed(label, number)
        examples = prompts.draw_examples(self._dev, label, self.settings.examples, seed)
        words = None
        if self.form.length is not None:
            words = int(prompts.draw_lengths(self._task, self.mean_words, 1, seed)[0])
        messages = prompts.prompt(self._task, label, examples, words, count=self.settings.count)
        return Conversation(label, number, Asked(label, words, examples), tuple(messages))

    async def hold(
        self, conversation: Conversation, ask: Callable[[Request], Awaitable[Response]], heard: Callable[[Turn], None]
    ) -> None:
        """Ask turn after turn; ``heard`` gets each answer. A model that answers nothing is not asked on."""
        messages = list(conversation.opening)
        for turn in range(self.settings.depth):
            response = await ask(self.request(conversation, tuple(messages), turn))
            heard(Turn(conversation.label, conversation.number, turn, conversation.asked, response))
            if not response.text.strip():
                return
            messages.append({"role": "assistant", "content": response.text})
            messages.append({"role": "user", "content": self.form.again})

    def request(self, conversation: Conversation, messages: tuple[Message, ...], turn: int) -> Request:
        return Request(
            messages,
            max_tokens=self.answer_tokens,
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            seed=self._seed(conversation.label, conversation.number, turn),
        )

    def openings(self, n: int) -> Iterator[Request]:
        """The first ``n`` requests, label after label: for an estimate."""
        for i in range(n):
            conversation = self.of(self.labels[i % len(self.labels)], i // len(self.labels))
            yield self.request(conversation, conversation.opening, 0)

    def _seed(self, *parts: object) -> int:
        """A seed of its own for everything that is drawn; below 2^31, which every server takes."""
        text = " ".join(map(str, (self.settings.seed, *parts)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
