"""Any server that speaks the OpenAI chat API, asked by the ``openai`` client: one request, one raw answer.

A vendor's, vLLM, Ollama, llama.cpp, ``transformers serve``. The client's own retries are off, because every try counts
against the budget before it is sent (:mod:`paper_repro.llm.ask`). The key comes from an environment variable, goes into
the ``Authorization`` header and nowhere else.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from paper_repro.tools.errors import UserError

OPENAI_URL = "https://api.openai.com/v1"
URL = re.compile(r"https?://(?P<host>(\[[\da-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?)(/[^?#@\s]*)?")
SHORTEST_SECRET = 8  # a placeholder like "EMPTY" is no secret, and blotting it out would spoil texts


@dataclass(frozen=True)
class Request:
    """One question: the conversation so far (``role`` and ``content``) and how to sample the answer."""

    messages: tuple[Mapping[str, str], ...]
    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0

    def digest(self, model: str) -> str:
        """SHA-256 (hex) of everything that decides about the answer."""
        return hashlib.sha256(json.dumps([model, asdict(self)], sort_keys=True).encode()).hexdigest()

    @property
    def bytes(self) -> int:
        return sum(len(message["content"].encode("utf-8", "replace")) for message in self.messages)


@dataclass(frozen=True)
class Response:
    """An answer as read; ``tokens`` of prompt and answer are None where the server did not count them."""

    text: str
    finish_reason: str
    tokens: tuple[int, int] | None


@dataclass(eq=False)
class Failed(Exception):
    """One try without an answer; ``reason`` never holds a key.

    ``retry``: whether another try may help; ``billed``: whether the server may have worked for it; ``status``: that of
    HTTP (0: none came back); ``wait``: seconds that the server asks for.
    """

    reason: str
    retry: bool = False
    billed: bool = False
    status: int = 0
    wait: float = 0.0


class Client:
    """A model behind a chat endpoint.

    ``key_env`` names the environment variable with the key ("": none is sent); ``timeout`` is in seconds for a whole
    answer; ``token_limit`` is the server's name of the limit; ``send_seed`` False is for servers that refuse seeds.
    Raises UserError for a bad URL or key.
    """

    def __init__(
        self,
        model: str,
        base_url: str = OPENAI_URL,
        *,
        key_env: str = "OPENAI_API_KEY",
        timeout: float = 120.0,
        token_limit: str = "max_tokens",
        send_seed: bool = True,
    ) -> None:
        if not model:
            raise UserError("no model given: name one that the server has (--model)")
        if (url := URL.fullmatch(base_url)) is None:  # not shown: it may hold a key
            expected = f"expected http(s)://host[:port]/path, like {OPENAI_URL}; no user name, password or query"
            raise UserError(f"--base-url: {expected} (the key goes by --key-env)")
        self.model, self.base_url, self.timeout = model, base_url.rstrip("/"), timeout
        self.name, self._token_limit, self._send_seed = f"{model} at {url['host']}", token_limit, send_seed
        self._key = os.environ.get(key_env, "").strip() if key_env else ""
        if not self._key.isascii() or not f"{self._key} ".isprintable():
            raise UserError(f"the key in the environment variable {key_env} holds characters that no header can carry")
        key = f"the key (variable {key_env!r}; {'it was sent' if self._key else 'none was sent'})"
        self.hint = f"Does the server run? Check --model, --base-url (most end in /v1) and {key}"

    def clean(self, text: str) -> str:
        """The text without the key, which a server may echo in an error as in an answer."""
        return text.replace(self._key, "[key]") if len(self._key) >= SHORTEST_SECRET else text

    def one_line(self, text: str) -> str:
        """What a server said, for a message. Cleaned before it is cut: half a key would not be found."""
        return " ".join("".join(c if c.isprintable() else " " for c in self.clean(text)).split())[:200]

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Connections belong to one event loop: to be entered in the one that asks."""
        try:
            from openai import AsyncOpenAI
        except ImportError:
            raise UserError("the openai client is not installed: pip install 'paper-repro[llm]'") from None
        if not self._key and self.base_url == OPENAI_URL:
            raise UserError(f"no key for {OPENAI_URL}: put it into the environment variable that --key-env names")
        key = self._key or "none"  # the client insists on one; see _body
        async with AsyncOpenAI(
            api_key=key, base_url=self.base_url, max_retries=0, timeout=self.timeout
        ) as self._openai:
            yield

    async def complete(self, request: Request) -> str:
        """The raw body of the answer. Raises Failed."""
        import openai

        try:
            async with asyncio.timeout(self.timeout):  # the client's own is for each piece of an answer
                answer = await self._openai.chat.completions.with_raw_response.create(**self._body(request))
            return str(answer.http_response.text)
        except (openai.OpenAIError, TimeoutError) as error:
            failure = self._failure(error)
        if isinstance(failure, Failed):  # raised out here, with nothing chained to it that may hold the key
            raise failure
        return failure

    def _body(self, request: Request) -> dict[str, Any]:
        from openai import Omit

        body: dict[str, Any] = {"model": self.model, "messages": [dict(message) for message in request.messages]}
        body |= {"temperature": request.temperature, self._token_limit: request.max_tokens}
        if request.top_p < 1:
            body["top_p"] = request.top_p
        if self._send_seed:
            body["seed"] = request.seed
        return body if self._key else body | {"extra_headers": {"Authorization": Omit()}}

    def _failure(self, error: Any) -> str | Failed:
        status, cause = getattr(error, "status_code", 0), type(error.__cause__).__name__
        if not status:  # none came back
            unsent, late = cause in ("ConnectError", "ConnectTimeout"), "Timeout" in type(error).__name__
            lost = f"no answer within {self.timeout:g} s (--timeout)" if late else f"the connection broke off ({cause})"
            return Failed("cannot be reached" if unsent else lost, retry=True, billed=not unsent)
        code = f"{error.code} {error.type}"
        if status == 400 and "content_filter" in code:  # an answer of its kind: it would be the same again
            return json.dumps({"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]})
        retry = (status in (408, 409, 425, 429) or status >= 500) and "insufficient_quota" not in code
        after = error.response.headers.get("retry-after", "")
        wait = float(after) if re.fullmatch(r"\d{1,9}(\.\d+)?", after) else 0.0
        return Failed(f"status {status}: {self.one_line(error.response.text)}", retry, status=status, wait=wait)


class Unreadable(ValueError):
    """A body that is no chat completion: cut off, not JSON, or something else."""


def read_completion(raw: str) -> Response:
    """The answer in the body of a chat completion (platform.openai.com/docs/api-reference/chat/object).

    Raises Unreadable.
    """
    try:
        body = json.loads(raw)
        choice = body["choices"][0]
        content = choice["message"].get("content")
        if isinstance(content, list):  # content parts
            content = "".join(part.get("text") or "" for part in content)
        text = re.sub("[\ud800-\udfff]", "\ufffd", content or "")  # half a character is valid in JSON and in no file
        usage = body["usage"] if isinstance(body.get("usage"), dict) else {}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise Unreadable("no chat completion") from None
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    known = [count for count in counts if type(count) is int and count >= 0]
    tokens = (known[0], known[1]) if len(known) == 2 else None
    return Response(text, str(choice.get("finish_reason") or ""), tokens)
