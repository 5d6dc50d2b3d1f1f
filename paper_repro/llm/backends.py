"""Backends by name, for the command line and the notebooks."""

from __future__ import annotations

from pathlib import Path

from paper_repro.llm.exchange import Backend
from paper_repro.tools.errors import UserError

OPENAI_URL = "https://api.openai.com/v1"
NAMES = ("server", "local", "replay")


def open_backend(
    name: str,
    *,
    model: str = "",
    base_url: str = OPENAI_URL,
    key_env: str = "OPENAI_API_KEY",
    timeout: float = 120.0,
    token_limit: str = "max_tokens",
    send_seed: bool = True,
    revision: str = "",
    device: str = "auto",
    batch: int = 8,
    journal: Path | None = None,
) -> Backend:
    """ "server" (see :class:`~paper_repro.llm.server.Server`), "local" (:class:`~paper_repro.llm.local.Local`) or
    "replay" of a journal (:class:`~paper_repro.llm.recorded.Recorded`); each takes the arguments that concern it.

    Raises UserError for any other name, and as the backends do.
    """
    if name == "server":
        from paper_repro.llm.server import Server

        return Server(model, base_url, key_env=key_env, timeout=timeout, token_limit=token_limit, send_seed=send_seed)
    if name == "local":
        from paper_repro.llm.local import Local

        return Local(model, revision=revision, device=device, batch=batch)
    if name == "replay":
        from paper_repro.llm.recorded import Recorded

        if journal is None:
            raise UserError("backend 'replay': name the journal to be replayed")
        return Recorded(journal)
    raise UserError(f"backend {name!r} is not known; expected one of {', '.join(NAMES)}")
