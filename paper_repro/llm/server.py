"""Any server that speaks the OpenAI chat API, asked by the ``openai`` client: a vendor's, vLLM, Ollama, llama.cpp,
``transformers serve``.

The client's own retries are off, since tries are counted against the budget (:mod:`paper_repro.llm.asking`). The key
comes from an environment variable, goes into the ``Authorization`` header, and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from paper_repro.llm.backends import OPENAI_URL
from paper_repro.llm.exchange import Request, TryFailed, completion
from paper_repro.tools.errors import UserError

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError, AsyncOpenAI


TOP_LOGPROBS = 20  # the most that the API allows
RETRY_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")
SHORTEST_SECRET = 8  # a placeholder like "EMPTY" is no secret, and to blot it out would spoil texts


class Server:
    """A model behind an OpenAI-compatible chat endpoint.

    ``key_env`` names the environment variable with the key ("": none is sent); ``timeout`` is in seconds for a whole
    answer; ``token_limit`` is the name that the server gives to the limit (newer models of OpenAI's:
    max_completion_tokens); ``send_seed`` False leaves the seed out for servers that refuse it.
    Raises UserError for a bad URL, a missing key, and where the ``openai`` client is not installed.
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
        if token_limit not in TOKEN_LIMITS:
            raise UserError(f"token limit {token_limit!r}: expected {' or '.join(TOKEN_LIMITS)}")
        self.model, self.base_url, self.timeout = model, base_url.rstrip("/"), timeout
        self._host = _checked_host(self.base_url)
        self._token_limit, self._send_seed, self._key_env = token_limit, send_seed, key_env
        self._key = _key(key_env, self._host)
        self._client: AsyncOpenAI | None = None
        _check_client()

    @property
    def name(self) -> str:
        return f"{self.model} at {self._host}"

    @property
    def secret(self) -> str:
        """What must not stand in any record; empty where there is none."""
        return self._key if len(self._key) >= SHORTEST_SECRET else ""

    def identity(self) -> Mapping[str, Any]:
        """The model alone: a server that moves to another port or node is the same."""
        return {"backend": "server", "model": self.model}

    async def complete(self, request: Request) -> str:
        outcome = await self._outcome(request)
        if isinstance(outcome, str):
            return outcome
        # Raised out here, with nothing chained to it: the client's own exception holds what the server said, and a
        # server may say the key.
        raise outcome

    async def _outcome(self, request: Request) -> str | TryFailed | UserError:
        """The raw answer, or what went wrong."""
        import openai

        try:
            # The client's own timeout is for each piece of an answer: a server that drips would never end.
            async with asyncio.timeout(self.timeout):
                answer = await self._open().chat.completions.with_raw_response.create(**self._body(request))
            return str(answer.http_response.text)
        except (openai.APITimeoutError, TimeoutError):
            return TryFailed(f"no answer within {self.timeout:g} s", retry=True, billed=True)
        except openai.APIConnectionError as error:
            return self._lost(error)
        except openai.APIStatusError as error:
            return self._refused(error)
        except openai.OpenAIError as error:
            return UserError(self._clean(f"{self.name}: {error}"))

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _open(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        if self._client is None:
            key = self._key or "none"  # the client insists on one; see _body
            self._client = AsyncOpenAI(api_key=key, base_url=self.base_url, max_retries=0, timeout=self.timeout)
        return self._client

    def _body(self, request: Request) -> dict[str, Any]:
        from openai import Omit

        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in request.messages],
            "temperature": request.temperature,
            self._token_limit: request.max_tokens,
        }
        if request.top_p < 1:
            body["top_p"] = request.top_p
        if request.seed is not None and self._send_seed:
            body["seed"] = request.seed
        if not self._key:
            body["extra_headers"] = {"Authorization": Omit()}
        if request.choices:
            body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return body

    def _lost(self, error: APIConnectionError) -> TryFailed:
        """Not reached at all, or lost on the way: then the server may have answered, and it may be on the bill."""
        cause = type(error.__cause__).__name__
        if cause in ("ConnectError", "ConnectTimeout", "UnsupportedProtocol"):
            reason = self._clean(f"{self.base_url} cannot be reached ({error.__cause__})")
            return TryFailed(reason, retry=True, billed=False, reached=False)
        return TryFailed(f"the connection broke off ({cause})", retry=True, billed=True)

    def _refused(self, error: APIStatusError) -> str | TryFailed | UserError:
        """A status of 400 or more: TryFailed where a further try may help, else UserError with the way out."""
        status, said = error.status_code, self._clean(_said(error))
        said = said if len(said) <= 200 else f"{said[:200]}..."  # only now: a key cut in two would not be found
        if status == 400 and "content_filter" in _code(error):  # an answer of its kind: it would be the same again
            return completion("", model=self.model, finish_reason="content_filter")
        if status in RETRY_STATUSES and "insufficient_quota" not in _code(error):
            wait = retry_after(error.response.headers)
            return TryFailed(f"status {status}: {said}", retry=True, billed=False, wait=wait)
        return UserError(f"{self.name} answered with status {status}: {said}\n{self._way_out(status)}")

    def _way_out(self, status: int) -> str:
        if status in (401, 403):
            if not self._key:
                return f"No key was sent: put it into an environment variable, {self._key_env or 'named by --key-env'}"
            return f"Check the key in the environment variable {self._key_env}"
        if status == 404:
            return f"Check --model ({self.model}) and --base-url ({self.base_url}), which most often ends in /v1"
        if status == 429:
            return "The account behind the key has nothing left to spend"
        return f"Check --model ({self.model}) and whether it takes these settings; what was answered so far is kept"

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self.secret else text


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the server says (RFC 9110, 10.2.3: seconds or a date; OpenAI also: milliseconds), or None."""
    try:
        if (milliseconds := headers.get("retry-after-ms")) is not None:
            return max(float(milliseconds) / 1000, 0.0)
        if (value := headers.get("retry-after")) is None:
            return None
        if value.strip().replace(".", "", 1).isdigit():
            return float(value)
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return None


def _checked_host(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as error:
        raise UserError(f"--base-url {base_url}: {error}") from None
    if parts.username or parts.password or parts.query:  # said without the URL: it may hold a key
        raise UserError("--base-url holds a user name, a password or a query; give the key by --key-env")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"--base-url {base_url!r}: expected http(s)://host[:port]/path, like {OPENAI_URL}")
    return parts.hostname if port is None else f"{parts.hostname}:{port}"


def _key(key_env: str, host: str) -> str:
    key = os.environ.get(key_env, "").strip() if key_env else ""
    if key and (not key.isascii() or not key.isprintable()):
        raise UserError(f"the key in the environment variable {key_env} holds characters that no header can carry")
    if not key and key_env and host == urlsplit(OPENAI_URL).hostname:
        raise UserError(
            f"no key for {host}: put it into the environment variable {key_env}, or name another (--key-env)"
        )
    return key


def _check_client() -> None:
    from importlib.util import find_spec

    if find_spec("openai") is None:
        raise UserError("the openai client is not installed: pip install 'paper-repro[llm]'")


def _said(error: APIStatusError) -> str:
    """What the server said, on one line."""
    body = error.body
    told = body.get("message") or body.get("detail") or body.get("error") if isinstance(body, dict) else None
    return " ".join(str(told or error.response.text or error.response.reason_phrase).split())


def _code(error: APIStatusError) -> str:
    return f"{error.body.get('code')} {error.body.get('type')}" if isinstance(error.body, dict) else ""
