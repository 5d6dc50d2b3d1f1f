"""The answers of a journal once more: nobody is asked, nothing is spent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paper_repro.llm.exchange import Request
from paper_repro.llm.journal import records
from paper_repro.tools.errors import UserError


class Recorded:
    """A backend that stands for whoever was asked when the journal was written, and knows no more.

    Several answers to one request come in the order in which they were recorded. Raises UserError where there is no
    journal, and for a request that is not in it.
    """

    def __init__(self, journal: Path) -> None:
        self._journal, self._identity = journal, {}
        self._answers: defaultdict[str, list[str]] = defaultdict(list)
        digests = {}
        for record in records(journal):
            if record.get("kind") == "journal":
                self._identity = record["identity"]
            elif record.get("kind") == "try":
                digests[record["id"]] = record["digest"]
            elif record.get("kind") == "answer":
                self._answers[digests[record["id"]]].append(record["raw"])
        if not self._answers:
            raise UserError(f"no recorded answers in {journal}; expected a journal of an earlier generation")

    @property
    def name(self) -> str:
        return f"recorded answers of {self._identity.get('model', 'a model')}"

    @property
    def secret(self) -> str:
        return ""

    def identity(self) -> Mapping[str, Any]:
        return dict(self._identity)

    async def complete(self, request: Request) -> str:
        if answers := self._answers[request.digest(self._identity)]:
            return answers.pop(0)
        raise UserError(
            f"{self._journal} holds no answer to this request: it was recorded with other settings, or broke off"
        )

    async def close(self) -> None:
        pass
