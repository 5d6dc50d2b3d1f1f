"""A chat server on the loopback interface that answers as told and fails by a schedule: a process of its own.

``python tests/chat_server.py FOLDER [--faults 0.3] [--key KEY] ...`` writes its port to ``FOLDER/port`` and every
request to ``FOLDER/log.jsonl``: what it did with it (an answer or the name of a fault), and its body, whose seed tells
requests apart. What a request gets depends on the server's seed, on the body and on how often it came, so that a
schedule repeats itself whatever the order of the requests. After ``most`` times it is answered.
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

OPTIONS: dict[str, Any] = {
    "faults": 0.0,  # probability of a fault, at each of the first ``most`` times
    "only": "429,500,503,hang,drop,half",
    "most": 2,
    "spared": 0,  # requests before the first fault
    "seed": 0,
    "delay": 0.0,
    "hang": 30.0,
    "key": "",
    "model": "",  # that it has; "": any
    "silent": 0,  # 1: every answer is empty
}
PAGE = b"<!DOCTYPE html><html><head><title>Please log in</title></head></html>"
WORDS = [
    "the baker,our team,a small firm,the old bank,my neighbour,this airline,the harbour,a young farmer".split(","),
    "sold,opened,closed,praised,lost,found,moved,built,missed,painted".split(","),
    "the new bridge,a red bicycle,the last ferry,its own shop,the quiet garden,a long contract".split(","),
    "in the morning,on a rainy day,at the end of the year,for the third time,after all these weeks".split(","),
]


def sentence(draw: random.Random) -> str:
    return " ".join(map(draw.choice, WORDS)).capitalize() + f", {draw.randint(2, 999)} people said."


def written(messages: list[dict[str, str]], seed: int) -> str:
    """What a willing model answers: pairs where pairs are asked for, else one text; now and then something else."""
    draw = random.Random(f"{seed} {json.dumps(messages)}")
    if count := re.search(r"Generate (\d+) data points like", messages[0]["content"]):
        labels = ["maybe" if draw.random() < 0.1 else str(draw.randint(0, 1)) for _ in range(int(count[1]))]
        return "\n".join(f"sentence1: {sentence(draw)} — sentence2: {sentence(draw)} — label: {y}" for y in labels)
    kind = draw.random()
    if kind < 0.1:
        return "I'm sorry, but I can't help with that." if kind < 0.05 else ""
    if kind < 0.2:
        return f"1. {sentence(draw)}\n2. {sentence(draw)}"
    return f'"{sentence(draw)}"' if kind < 0.4 else sentence(draw)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options: argparse.Namespace
    body: dict[str, Any]
    under_way = 0
    lock = threading.Lock()
    seen: ClassVar[Counter[str]] = Counter()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        self.body, digest = json.loads(raw), hashlib.sha256(raw).hexdigest()
        with self.lock:
            Handler.under_way += 1
            self.seen[digest] += 1
            fault = self.fault(digest, self.seen[digest])
        try:
            self.respond(fault)
        finally:
            with self.lock:
                Handler.under_way -= 1

    def fault(self, digest: str, time_of_it: int) -> str:
        draw = random.Random(f"{self.options.seed} {digest} {time_of_it}")
        fails = time_of_it <= self.options.most and draw.random() < self.options.faults
        return draw.choice(self.options.only.split(",")) if fails and self.seen.total() > self.options.spared else ""

    def respond(self, fault: str) -> None:
        given = self.headers.get("Authorization", "")
        if not self.path.endswith("/v1/chat/completions"):
            return self.send(200, PAGE, "page")
        if self.options.key and given != f"Bearer {self.options.key}":
            return self.send(401, {"error": {"message": f"Incorrect API key provided: {given}"}}, "401")
        if self.options.model and self.body["model"] != self.options.model:
            return self.send(404, {"error": {"message": f"no model {self.body['model']}"}}, "unknown")
        time.sleep(self.options.delay)
        if fault in ("429", "500", "503"):
            headers = {"Retry-After": "0.05"} if fault == "429" else {}
            return self.send(int(fault), {"error": {"message": f"{'x' * 150} key was {given}"}}, fault, headers)
        answer = json.dumps(self.answer(self.body)).encode()
        if fault == "half":
            return self.send(200, answer[: len(answer) // 2], fault)
        if not fault:
            return self.send(200, answer, "answer")
        self.note(fault)
        self.close_connection = True
        if fault == "hang":
            time.sleep(self.options.hang)
        else:  # "drop"
            self.start(200, len(answer), {})
            self.wfile.write(answer[: len(answer) // 2])
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        text = "" if self.options.silent else written(request["messages"], request.get("seed", 0))
        limit = request.get("max_tokens") or request["max_completion_tokens"]
        prompt = sum(len(message["content"]) for message in request["messages"]) // 4
        usage = {"prompt_tokens": prompt, "completion_tokens": min(len(text) // 4 + 1, limit)}
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
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
            log.write(json.dumps({"what": what, "at_once": Handler.under_way, "body": self.body}) + "\n")


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
        # The server may be writing its last line.
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

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


def main(handler: type[Handler] = Handler) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name, value in OPTIONS.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    Handler.options = parser.parse_args()
    server = _Server(("127.0.0.1", 0), handler)
    partial = Handler.options.folder / ".port"
    partial.write_text(str(server.server_port))
    os.replace(partial, Handler.options.folder / "port")
    server.serve_forever()


if __name__ == "__main__":
    main()
