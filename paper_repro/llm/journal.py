"""The record of everything that was asked and answered: append-only, compressed, whole after any crash.

``responses.jsonl.gz`` holds one JSON object a line, each in a gzip member of its own (RFC 1952, 2.2: members may
follow one another, so that ``zcat`` reads the file). A record is written out before its consequence: a try before it
is sent, an answer before it is read. The kinds::

    {"kind": "journal", "format": 1, "identity": {...}}                                      first
    {"kind": "try", "id": 7, "digest": "...", "index": 0, "request": {...}, "reserved": [1, prompt, completion]}
    {"kind": "answer", "id": 7, "seconds": 1.2, "raw": "<body of the chat completion>"}
    {"kind": "failure", "id": 7, "reason": "...", "billed": false}

A try without an end was under way when its process died. A record cut off at the end of the file is taken
away when the journal is opened again; damage before the end is told and nothing is touched.
"""

from __future__ import annotations

import errno
import gzip
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from paper_repro.llm.budget import Usage
from paper_repro.llm.exchange import Backend, Request, Response, Unreadable, read_completion
from paper_repro.tools.errors import UserError

JOURNAL = "responses.jsonl.gz"
FORMAT = 1
MAGIC = b"\x1f\x8b\x08"
CHUNK = 1 << 14  # of the file at a time: what stands behind a record is not unpacked with it


@dataclass
class _Try:
    key: tuple[str, int]
    reserved: Usage
    used: Usage | None = None  # None: its end is not known


class Journal:
    """What one backend was asked, held by one process: to be used as a context manager.

    Raises UserError where another process holds it, where it holds answers of another model, and for damage.
    """

    def __init__(self, path: Path, backend: Backend) -> None:
        self.path, self._secret = path, backend.secret
        self.identity: dict[str, Any] = json.loads(json.dumps(dict(backend.identity())))  # as it will be read back
        self._lock = FileLock(path.with_name(path.name + ".lock"), timeout=0)
        self._tries: dict[int, _Try] = {}
        self._requests: dict[int, Request] = {}
        self._answers: dict[tuple[str, int], Response] = {}
        self._file: FileIO | None = None

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise UserError(f"{self.path}: another process is asking for it; wait for it, or stop it") from None
        try:
            self._read()
            self._file = self.path.open("ab", buffering=0)
            if not self._file.tell():
                self._append({"kind": "journal", "format": FORMAT, "identity": self.identity})
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._lock.release()

    # -- what is known -------------------------------------------------------------------------------------

    @property
    def spent(self) -> Usage:
        """Of all tries so far; one whose end is not known counts its worst case."""
        return sum((entry.used or entry.reserved for entry in self._tries.values()), Usage())

    @property
    def answered(self) -> int:
        return len(self._answers)

    def get(self, request: Request, index: int = 0) -> Response | None:
        """The answer to the ``index``-th asking of ``request``, or None."""
        return self._answers.get((request.digest(self.identity), index))

    # -- what happens --------------------------------------------------------------------------------------

    def begin(self, request: Request, index: int, reserved: Usage) -> int:
        """Note that ``request`` is about to be sent; the number of this try."""
        number = len(self._tries)
        key = (request.digest(self.identity), index)
        record = {"kind": "try", "id": number, "digest": key[0], "index": index}
        self._append({**record, "request": asdict(request), "reserved": list(astuple(reserved))})
        self._tries[number], self._requests[number] = _Try(key, reserved), request
        return number

    def answer(self, number: int, raw: str, seconds: float) -> tuple[Response, Usage]:
        """Keep a raw answer, then read it. Raises Unreadable (the try then counts its worst case)."""
        self._append({"kind": "answer", "id": number, "seconds": round(seconds, 3), "raw": raw})
        return self._take(number, self._clean(raw))

    def fail(self, number: int, reason: str, *, billed: bool) -> Usage:
        """Note that a try brought no answer; what it used."""
        self._append({"kind": "failure", "id": number, "reason": reason, "billed": billed})
        return self._drop(number, billed)

    # -- the file ------------------------------------------------------------------------------------------

    def _take(self, number: int, raw: str) -> tuple[Response, Usage]:
        entry, request = self._tries[number], self._requests.pop(number)
        response = read_completion(raw, request)
        prompt, written = response.prompt_tokens, response.completion_tokens
        entry.used = entry.reserved if prompt is None or written is None else Usage(1, prompt, written)
        self._answers[entry.key] = response
        return response, entry.used

    def _drop(self, number: int, billed: bool) -> Usage:
        entry = self._tries[number]
        self._requests.pop(number, None)
        entry.used = entry.reserved if billed else Usage(requests=1)
        return entry.used

    def _append(self, record: Mapping[str, Any]) -> None:
        assert self._file is not None, "the journal is not open"
        line = self._clean(json.dumps(record, ensure_ascii=False)) + "\n"
        member = gzip.compress(line.encode("utf-8", "replace"), mtime=0)  # a fixed time: equal records, equal bytes
        start = self.path.stat().st_size
        if self._file.write(member) != len(member):
            os.truncate(self.path, start)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        os.fsync(self._file.fileno())

    def _clean(self, text: str) -> str:
        """Without the key: a server may echo it, in an error as in an answer."""
        return text.replace(self._secret, "[key]") if self._secret else text

    def _read(self) -> None:
        for number, record in enumerate(records(self.path, mend=True)):
            try:
                self._apply(record, first=number == 0)
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{self.path}, record {number + 1}: not one of this package's ({error})") from None

    def _apply(self, record: Mapping[str, Any], *, first: bool) -> None:
        kind = record["kind"]
        if first:
            self._check_header(record)
        elif kind == "try":
            request = Request(**{**record["request"], **_tuples(record["request"])})
            number = record["id"]
            self._tries[number] = _Try((record["digest"], record["index"]), Usage(*record["reserved"]))
            self._requests[number] = request
        elif kind == "answer":
            try:
                self._take(record["id"], record["raw"])
            except Unreadable:
                self._drop(record["id"], billed=True)
        elif kind == "failure":
            self._drop(record["id"], record["billed"])

    def _check_header(self, record: Mapping[str, Any]) -> None:
        if record["kind"] != "journal" or record["format"] != FORMAT:
            raise ValueError(f"it begins with {record['kind']!r}, format {record.get('format')}")
        if record["identity"] != self.identity:
            raise UserError(
                f"{self.path} holds answers of {_words(record['identity'])}, not of {_words(self.identity)}: "
                "give another folder, or the same model and settings"
            )


def _tuples(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(request[name]) for name in ("messages", "choices")}


def _words(identity: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in identity.items())


def records(path: Path, *, mend: bool = False) -> Iterator[dict[str, Any]]:
    """The records of a journal in their order; none where there is no file. ``mend`` cuts off a half-written end.

    Raises UserError for damage that no crash explains.
    """
    content = path.read_bytes() if path.exists() else b""
    offset = 0
    while offset < len(content):
        try:
            line, end = _member(content, offset)
            record = json.loads(line)
        except (zlib.error, EOFError, ValueError):
            if _goes_on(content, offset):
                raise UserError(
                    f"{path}: damaged at byte {offset}; put back a copy, or move it away to begin anew"
                ) from None
            if mend:
                os.truncate(path, offset)
            return
        yield record
        offset = end


def _member(content: bytes, offset: int) -> tuple[bytes, int]:
    """The gzip member that begins at ``offset``, unpacked, and where it ends. Raises zlib.error, EOFError."""
    unpacker, parts = zlib.decompressobj(wbits=31), []
    for start in range(offset, len(content), CHUNK):
        end = min(start + CHUNK, len(content))
        parts.append(unpacker.decompress(content[start:end]))
        if unpacker.eof:
            return b"".join(parts), end - len(unpacker.unused_data)
    raise EOFError("cut off")


def _goes_on(content: bytes, offset: int) -> bool:
    """Whether a whole record stands somewhere after the one at ``offset`` that cannot be read."""
    start = content.find(MAGIC, offset + 1)
    while start >= 0:
        try:
            _member(content, start)
            return True
        except (zlib.error, EOFError):
            start = content.find(MAGIC, start + 1)
    return False
