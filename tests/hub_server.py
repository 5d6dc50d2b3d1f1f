"""A stand-in for the Hugging Face hub on the loopback interface: what ``hf_hub_download`` asks, and faults.

Files are served at ``/datasets/<repo>/resolve/<revision>/<file>`` (models without the first part), as the hub
does: HEAD and GET with ETag, X-Repo-Commit and Content-Length; redirects and Xet are left out.
"""

from __future__ import annotations

import csv
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from paper_repro.texts import description

FAULTS = ("", "404", "500", "truncated")


class HubServer:
    """Serves ``files`` (URL path -> bytes); ``fault`` is one of FAULTS, ``requests`` what was asked for."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.fault = ""
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[HubServer]:
    server = HubServer(files)
    try:
        yield server
    finally:
        server.close()


def url_path(repository: str, revision: str, file: str, kind: str = "dataset") -> str:
    """Where the hub serves a file of a repository."""
    prefix = "/datasets" if kind == "dataset" else ""
    return f"{prefix}/{repository}/resolve/{revision}/{file}"


def published(name: str) -> dict[str, str]:
    """Where the hub serves the files of a bundled benchmark, by their names."""
    on_hub = description.read(name).hub
    assert on_hub is not None
    files = dict.fromkeys(
        str(source).partition("::")[0] for source in (on_hub.train or on_hub.file, on_hub.dev, on_hub.test)
    )
    return {file: url_path(on_hub.repository, on_hub.revision, file) for file in files}


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            body = hub.files.get(self.path)
            if hub.fault == "500":
                self._send(500, b"", {})
            elif body is None or hub.fault == "404":
                self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self._commit()})
            else:
                headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": self._commit()}
                cut = with_body and hub.fault == "truncated"
                self._send(200, body[: len(body) // 2] if cut else body, headers, with_body=with_body)

        def _commit(self) -> str:
            return self.path.split("/resolve/")[1].split("/")[0] if "/resolve/" in self.path else "0" * 40

        def _send(self, status: int, body: bytes, headers: Mapping[str, str], *, with_body: bool = True) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    return Handler


def dataset_files(real_data_dir: Path) -> dict[str, bytes]:
    """What the hub holds of the benchmarks, made from the original files without the package's parsers."""
    contents = {
        "financial": [_phrasebank_zip(real_data_dir / "financial" / "Sentences_50Agree.txt")],
        "tweet_irony": [_irony(real_data_dir / "tweet_irony", part) for part in ("train", "val", "test")],
        "mrpc": _mrpc(real_data_dir / "mrpc"),
    }
    return {
        place: content
        for name, found in contents.items()
        for place, content in zip(published(name).values(), found, strict=True)
    }


def parquet_bytes(columns: Mapping[str, list[Any]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pa.table(dict(columns)), buffer)
    return buffer.getvalue()


def _phrasebank_zip(path: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        # The real zip was packed on a Mac: a resource fork has the same ending as the file itself.
        archive.writestr("__MACOSX/FinancialPhraseBank-v1.0/._Sentences_50Agree.txt", b"\x00\x05\x16\x07")
        archive.writestr("FinancialPhraseBank-v1.0/Sentences_AllAgree.txt", b"A sentence .@neutral\r\n")
        archive.writestr("FinancialPhraseBank-v1.0/Sentences_50Agree.txt", path.read_bytes())
    return buffer.getvalue()


def _irony(folder: Path, part: str) -> bytes:
    with (folder / f"{part}_text.txt").open(encoding="utf-8", newline="\n") as texts:
        text = [line.strip() for line in texts]
    label = [int(line) for line in (folder / f"{part}_labels.txt").read_text().split()]
    return parquet_bytes({"text": text, "label": label})


def _mrpc(folder: Path) -> list[bytes]:
    dev_ids = {tuple(line.split()) for line in (folder / "dev_ids.tsv").read_text().splitlines()}
    tables: dict[str, list[dict[str, Any]]] = {"train": [], "validation": [], "test": []}
    for file in ("train", "test"):
        with (folder / f"msr_paraphrase_{file}.txt").open(encoding="utf-8-sig", newline="") as lines:
            for idx, row in enumerate(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)):
                part = "validation" if file == "train" and (row["#1 ID"], row["#2 ID"]) in dev_ids else file
                tables[part].append({**row, "idx": idx})
    # Rows backwards: the order must come from idx.
    return [
        parquet_bytes(
            {
                "sentence1": [row["#1 String"] for row in reversed(rows)],
                "sentence2": [row["#2 String"] for row in reversed(rows)],
                "label": [int(row["Quality"]) for row in reversed(rows)],
                "idx": [row["idx"] for row in reversed(rows)],
            }
        )
        for rows in tables.values()
    ]
