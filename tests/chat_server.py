"""A chat server on the loopback interface that answers as told and fails by a schedule: a process of its own.

``python tests/chat_server.py FOLDER [--faults 0.3] [--seed 0] [--key KEY] [--delay 0.01]`` writes its port to
``FOLDER/port`` and every request to ``FOLDER/log.jsonl``: what it did with it (an answer or the name of a fault), and
its body, whose seed tells requests apart. What a request gets depends on the server's seed, on the body and on how
often it came, so that a schedule repeats itself whatever the order of the requests. After ``most`` times it is
answered.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

FAULTS = ("429", "500", "503", "hang", "drop", "half")
SUBJECTS = "the baker,our team,a small firm,the old bank,my neighbour,this airline,the harbour,a young farmer".split(
    ","
)
VERBS = "sold,opened,closed,praised,lost,found,moved,built,missed,painted".split(",")
OBJECTS = "the new bridge,a red bicycle,the last ferry,its own shop,the quiet garden,a long contract".split(",")
TIMES = "in the morning,on a rainy day,at the end of the year,for the third time,after all these weeks".split(",")


def sentence(draw: random.Random) -> str:
    parts = [draw.choice(words) for words in (SUBJECTS, VERBS, OBJECTS, TIMES)]
    return " ".join(parts).capitalize() + f", {draw.randint(2, 999)} people said."


def written(messages: list[dict[str, str]], seed: int) -> str:
    """What a willing model answers: pairs where pairs are asked for, else one text; now and then something else."""
    draw = random.Random(f"{seed} {json.dumps(messages)}")
    prompt = messages[0]["content"]
    if "data points like" in prompt:
        count = int(re.search(r"Generate (\d+)", prompt)[1])  # type: ignore[index]
        lines = []
        for _ in range(count):
            label = "maybe" if draw.random() < 0.1 else str(draw.randint(0, 1))
            lines.append(f"sentence1: {sentence(draw)} — sentence2: {sentence(draw)} — label: {label}")
        return "\n".join(lines)
    kind = draw.random()
    if kind < 0.05:
        return "I'm sorry, but I can't help with that."
    if kind < 0.1:
        return ""
    if kind < 0.2:
        return f"1. {sentence(draw)}\n2. {sentence(draw)}"
    return f'"{sentence(draw)}"' if kind < 0.4 else sentence(draw)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options: argparse.Namespace
    body: dict[str, Any]
    under_way: ClassVar[set[int]] = set()
    lock = threading.Lock()
    seen: ClassVar[Counter[str]] = Counter()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        with self.lock:
            self.under_way.add(id(self))
        try:
            self.respond()
        finally:
            with self.lock:
                self.under_way.discard(id(self))

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        digest = hashlib.sha256(body).hexdigest()
        self.body = json.loads(body)
        with self.lock:
            self.seen[digest] += 1
            time_of_it = self.seen[digest]
        fault = self.fault(digest, time_of_it)
        given = self.headers.get("Authorization", "")
        if self.options.key and given != f"Bearer {self.options.key}":
            return self.send(401, {"error": {"message": f"Incorrect API key provided: {given}"}}, "401")
        request = self.body
        if self.options.model and request["model"] != self.options.model:
            return self.send(404, {"error": {"message": f"no model {request['model']}"}}, "404")
        time.sleep(self.options.delay)
        if fault in ("429", "500", "503"):
            headers = {"Retry-After": "0.05"} if fault == "429" else {}
            return self.send(int(fault), {"error": {"message": f"{'x' * 150} key was {given}"}}, fault, headers)
        if fault == "hang":
            self.note(fault)
            time.sleep(self.options.hang)
            self.close_connection = True
            return None
        answer = json.dumps(self.answer(request)).encode()
        if fault == "half":
            return self.send(200, answer[: len(answer) // 2], fault)
        if fault == "drop":
            self.note(fault)
            self.start(200, len(answer), {})
            self.wfile.write(answer[: len(answer) // 2])
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return None
        return self.send(200, answer, "answer")

    def fault(self, digest: str, time_of_it: int) -> str:
        draw = random.Random(f"{self.options.seed} {digest} {time_of_it}")
        names = self.options.only.split(",") if self.options.only else FAULTS
        fails = time_of_it <= self.options.most and draw.random() < self.options.faults
        return draw.choice(names) if fails else ""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        text = "" if self.options.silent else written(request["messages"], request.get("seed", 0))
        prompt = sum(len(message["content"]) for message in request["messages"]) // 4
        limit = request.get("max_tokens") or request["max_completion_tokens"]
        usage = {"prompt_tokens": prompt, "completion_tokens": min(len(text) // 4 + 1, limit)}
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return {"object": "chat.completion", "model": request["model"], "choices": [choice], "usage": usage}

    def send(self, status: int, body: Any, what: str, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.note(what)  # before it is sent: what a client has must stand in the log
        self.start(status, len(content), headers or {})
        self.wfile.write(content)

    def start(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def note(self, what: str) -> None:
        with self.lock, (self.options.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps({"what": what, "at_once": len(self.under_way), "body": self.body}) + "\n")


@dataclass
class ChatServer:
    """The running process, as a test sees it."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def log(self) -> list[dict[str, Any]]:
        path = self.folder / "log.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def most_at_once(self) -> int:
        return max(entry["at_once"] for entry in self.log)

    def count(self, what: str = "") -> int:
        return sum(not what or entry["what"] == what for entry in self.log)


@contextmanager
def serving(folder: Path, script: str = __file__, **options: Any) -> Iterator[ChatServer]:
    """The server with its options (``faults=0.3``) while the block runs; ``script`` may answer otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    process = subprocess.Popen([sys.executable, script, str(folder), *words])
    try:
        port, end = folder / "port", time.monotonic() + 20
        while not port.exists():
            assert process.poll() is None and time.monotonic() < end, "the server did not start"
            time.sleep(0.02)
        yield ChatServer(folder, int(port.read_text()))
    finally:
        process.kill()
        process.wait()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name, kind, value in (
        ("faults", float, 0.0),  # probability of a fault, at each of the first ``most`` times
        ("only", str, ""),  # these faults alone
        ("most", int, 2),
        ("seed", int, 0),
        ("delay", float, 0.0),
        ("hang", float, 30.0),
        ("key", str, ""),
        ("model", str, ""),
        ("silent", int, 0),  # 1: every answer is empty
    ):
        parser.add_argument(f"--{name}", type=kind, default=value)
    Handler.options = parser.parse_args()
    server = _Server(("127.0.0.1", 0), Handler)
    partial = Handler.options.folder / ".port"
    partial.write_text(str(server.server_port))
    os.replace(partial, Handler.options.folder / "port")
    server.serve_forever()


if __name__ == "__main__":
    main()
