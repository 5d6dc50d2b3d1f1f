"""What goes to a language model and what comes back, in the terms of the OpenAI chat API.

Every backend hands over the raw body of a chat completion
(https://platform.openai.com/docs/api-reference/chat/object), so that one reader, :func:`read_completion`, serves
servers, local models and recordings alike, today's answers and those of a journal.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from paper_repro.tools.errors import UserError

Message = Mapping[str, str]

# What a chat template may put around a message and around all of them, in tokens: generous, since a budget
# that is never passed must not be too low here. (Some templates add a system message of their own.)
TOKENS_AROUND_A_MESSAGE, TOKENS_AROUND_ALL = 16, 128


@dataclass(frozen=True)
class Request:
    """One question: the conversation so far (``role`` and ``content``) and how to sample the answer.

    With ``choices`` the answer is to be one of these texts, and the log-probability of each is asked for where
    the backend can give it.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    choices: tuple[str, ...] = ()

    def digest(self, identity: Mapping[str, Any]) -> str:
        """SHA-256 (hex) of everything that decides about the answer: the request and who is asked."""
        content = {**asdict(self), "messages": [dict(message) for message in self.messages], "asked": dict(identity)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def prompt_bytes(self) -> int:
        return sum(len(message["content"].encode("utf-8", "replace")) for message in self.messages)

    @property
    def prompt_tokens_at_most(self) -> int:
        """No tokenizer in use makes more tokens of a text than it has bytes in UTF-8."""
        return self.prompt_bytes + TOKENS_AROUND_A_MESSAGE * len(self.messages) + TOKENS_AROUND_ALL

    @property
    def prompt_tokens_about(self) -> int:
        """For an estimate: English has about four bytes a token."""
        return self.prompt_bytes // 4 + 4 * len(self.messages)


def at_least(settings: object, **lowest: int) -> None:
    """UserError for the first field of ``settings`` that is below its lowest value."""
    for name, low in lowest.items():
        if (value := getattr(settings, name)) < low:
            raise UserError(f"{name} {value}: expected {low} or more")


def a_temperature(value: float) -> None:
    """UserError for what no chat API takes as one."""
    if not 0 <= value <= 2:
        raise UserError(f"temperature {value:g}: expected 0 to 2")


@dataclass(frozen=True)
class Response:
    """An answer as read. Tokens are None where the server did not count them.

    ``choice_logprobs`` has one log-probability for each of the request's choices (-inf for one that is not
    among the likeliest), or is None where the backend gives none.
    """

    text: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    choice_logprobs: tuple[float, ...] | None = None


class TryFailed(Exception):
    """One try that brought no answer. The message never holds a key.

    ``retry``: whether another try may help; ``billed``: whether the server may have worked for us (then the try
    stays in the budget at its worst case); ``wait``: seconds that the server asked us to wait; ``reached``:
    whether a server was there at all.
    """

    def __init__(
        self, reason: str, *, retry: bool, billed: bool, wait: float | None = None, reached: bool = True
    ) -> None:
        super().__init__(reason)
        self.reason, self.retry, self.billed, self.wait, self.reached = reason, retry, billed, wait, reached


class Unreadable(ValueError):
    """A body that is no chat completion: cut off, not JSON, or something else."""


class Backend(Protocol):
    """Whoever can be asked."""

    @property
    def name(self) -> str:
        """For people: which model, where."""

    @property
    def secret(self) -> str:
        """The key, to be blotted out of every record; empty where there is none."""

    def identity(self) -> Mapping[str, Any]:
        """Plain values that decide about answers and enter the journal's keys: the model, never the key."""

    async def complete(self, request: Request) -> str:
        """The raw body of the chat completion. Raises TryFailed, and UserError for what no further try mends."""

    async def close(self) -> None:
        """Give back connections."""


def read_completion(raw: str, request: Request) -> Response:
    """The answer in the body of a chat completion. Raises Unreadable."""
    try:
        body = json.loads(raw)
        choice = body["choices"][0]
        message = choice["message"]
        text = _text(message.get("content"))
        finish = str(choice.get("finish_reason") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"not a chat completion ({type(error).__name__}: {str(error)[:80]})") from None
    usage = body.get("usage") if isinstance(body.get("usage"), dict) else {}
    return Response(
        # A lone surrogate ("\ud83d") is valid in JSON and in no file.
        text.encode("utf-8", "replace").decode("utf-8"),
        finish,
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        _choice_logprobs(choice, request.choices) if request.choices else None,
    )


def _text(content: Any) -> str:
    if content is None:  # a refusal of the server's own, or nothing but reasoning
        return ""
    if isinstance(content, list):  # content parts
        return "".join(part.get("text") or "" for part in content)
    if not isinstance(content, str):
        raise TypeError(f"content is {type(content).__name__}")
    return content


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _choice_logprobs(choice: Mapping[str, Any], choices: Sequence[str]) -> tuple[float, ...] | None:
    """log p of each choice: as a local model gives it, else from the likeliest first tokens of the answer.

    A first token counts for the one choice that begins with it ("neg" for "negative"); one that could begin several
    counts for none. None where the answer holds no log-probabilities.
    """
    given = choice.get("choice_logprobs")
    if isinstance(given, list) and len(given) == len(choices):
        return tuple(float(value) for value in given)
    try:
        top = choice["logprobs"]["content"][0]["top_logprobs"]
        likeliest = [(str(entry["token"]), float(entry["logprob"])) for entry in top]
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    mass = [0.0] * len(choices)
    for token, logprob in likeliest:
        start = token.strip().casefold()
        fitting = [i for i, text in enumerate(choices) if start and text.casefold().startswith(start)]
        if len(fitting) == 1:
            mass[fitting[0]] += math.exp(logprob)
    return tuple(math.log(share) if share > 0 else -math.inf for share in mass) if any(mass) else None


def completion(
    text: str,
    *,
    model: str,
    finish_reason: str,
    prompt_tokens: int = 0,
    completion_tokens: int = 0,
    choice_logprobs: Sequence[float] | None = None,
) -> str:
    """The body of a chat completion, for backends that are no servers."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": finish_reason,
    }
    if choice_logprobs is not None:
        choice["choice_logprobs"] = list(choice_logprobs)
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return json.dumps({"object": "chat.completion", "model": model, "choices": [choice], "usage": usage})
