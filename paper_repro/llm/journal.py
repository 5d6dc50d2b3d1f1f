"""The record of everything that was asked and answered: append-only JSON lines, whole after any crash.

A line of ``responses.jsonl`` is on disk before its consequence: a try before it is sent, an answer before it is read::

    {"kind": "journal", "format": 2, "model": "..."}                                                  first
    {"kind": "try", "digest": "...", "request": {...}, "reserved": [1, prompt, answer]}
    {"kind": "answer", "try": 7, "seconds": 1.2, "raw": "<body of the chat completion>"}
    {"kind": "failure", "try": 7, "reason": "...", "billed": false}

Tries are numbered from 0. One without an end was under way when its process died, and counts its worst case. A line
cut off at the end is taken away when the journal is opened again; other damage is told, and nothing is touched.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from paper_repro.llm.budget import Usage
from paper_repro.llm.client import Failed, Request, Response, Unreadable, read_completion
from paper_repro.tools.errors import UserError

JOURNAL = "responses.jsonl"


@contextmanager
def opened(folder: Path, model: str, clean: Callable[[str], str] = str) -> Iterator[Journal]:
    """The journal in ``folder``, held by this process; ``clean`` takes the key out of what is written.

    Raises UserError where another process holds it, where it holds answers of another model, and for damage.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{JOURNAL}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(f"{folder / JOURNAL}: another process is asking for it; wait for it, or stop it") from None
    try:
        known = list(records(folder / JOURNAL, mend=True))
        with (folder / JOURNAL).open("ab", buffering=0) as file:
            yield Journal(file, model, clean, known)
    finally:
        lock.release()


class Journal:
    """What one model was asked; ``spent`` counts all tries so far."""

    def __init__(self, file: FileIO, model: str, clean: Callable[[str], str], known: list[dict[str, Any]]) -> None:
        self.model, self.spent, self.answers = model, Usage(), dict[str, str]()
        self._file, self._clean, self._tries = file, clean, list[tuple[str, Usage]]()  # digest; (at most) used
        for record in known:
            self._apply(record)
        if not known:
            self._write({"kind": "journal", "format": 2, "model": model})

    def get(self, request: Request) -> Response | None:
        """The answer to ``request``, or None."""
        raw = self.answers.get(request.digest(self.model))
        return None if raw is None else read_completion(raw)

    def begin(self, request: Request) -> int:
        """Set aside what a try may cost at most, before it is sent; the number of this try."""
        record = {"kind": "try", "digest": request.digest(self.model), "request": asdict(request)}
        self._write({**record, "reserved": Usage.worst_case(request)})
        return len(self._tries) - 1

    def answer(self, number: int, raw: str, seconds: float) -> bool:
        """Keep a raw answer, then read it; whether it can be read."""
        self._write({"kind": "answer", "try": number, "seconds": round(seconds, 3), "raw": self._clean(raw)})
        return self._tries[number][0] in self.answers

    def fail(self, number: int, failure: Failed) -> None:
        """Note that a try brought no answer."""
        reason = self._clean(failure.reason)
        self._write({"kind": "failure", "try": number, "reason": reason, "billed": failure.billed})

    def _apply(self, record: Mapping[str, Any]) -> None:
        kind = record["kind"]
        if kind == "journal" and record["model"] != self.model:
            told = f"{self._file.name} holds answers of {record['model']}, not of {self.model}"
            raise UserError(f"{told}: give another folder, or the same model")
        if kind == "try":
            self._tries.append((record["digest"], Usage()))
            self._settle(len(self._tries) - 1, Usage(*record["reserved"]))
        elif kind == "failure" and not record["billed"]:
            self._settle(record["try"], Usage(requests=1))
        elif kind == "answer":
            with suppress(Unreadable):  # then it counts its worst case
                tokens = read_completion(record["raw"]).tokens
                self.answers[self._tries[record["try"]][0]] = record["raw"]
                if tokens is not None:
                    self._settle(record["try"], Usage(1, *tokens))

    def _settle(self, number: int, used: Usage) -> None:
        digest, before = self._tries[number]
        self._tries[number] = digest, used
        self.spent = self.spent.plus(before, -1).plus(used)

    def _write(self, record: Mapping[str, Any]) -> None:
        line, start = json.dumps(record).encode() + b"\n", self._file.tell()
        if self._file.write(line) != len(line):  # a full disk lets through the beginning of a line
            os.truncate(self._file.name, start)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._file.name))
        os.fsync(self._file.fileno())
        self._apply(record)


def records(path: Path, *, mend: bool = False) -> Iterator[dict[str, Any]]:
    """The records of a journal in their order; none where there is no file. ``mend`` cuts off a half-written end.

    Raises UserError for damage that no crash explains.
    """
    content = path.read_bytes() if path.exists() else b""
    *lines, torn = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if number == 1 and (record["kind"], record["format"]) != ("journal", 2):
                raise ValueError
        except (ValueError, TypeError, KeyError):
            raise UserError(f"{path}, line {number}: damaged; put back a copy, or move it away to begin anew") from None
        yield record
    if torn and mend:
        os.truncate(path, len(content) - len(torn))
