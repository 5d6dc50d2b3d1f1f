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

import pandas as pd

from paper_repro.texts import description


class HubServer:
    """Serves ``files`` (URL path -> bytes); ``fault`` is "", "404", "500" or "truncated", ``requests`` what was asked
    for."""

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

        def do_GET(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            commit = self.path.split("/resolve/")[1].split("/")[0] if "/resolve/" in self.path else "0" * 40
            status, body, headers = 200, hub.files.get(self.path, b""), {"X-Repo-Commit": commit}
            if hub.fault == "500":
                status, body, headers = 500, b"", {}
            elif self.path not in hub.files or hub.fault == "404":
                status, body, headers = 404, b"", {**headers, "X-Error-Code": "EntryNotFound"}
            else:
                headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()}"'
            with_body = self.command == "GET"
            if with_body and hub.fault == "truncated":
                body = body[: len(body) // 2]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        do_HEAD = do_GET

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


def parquet_bytes(columns: Mapping[str, Any]) -> bytes:
    return pd.DataFrame(columns).to_parquet(index=False)


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
    """Rows backwards: the order must come from idx."""
    dev = {tuple(map(int, line.split())) for line in (folder / "dev_ids.tsv").read_text().splitlines()}
    tables = []
    for file in ("train", "test"):
        path = folder / f"msr_paraphrase_{file}.txt"
        rows = pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE, encoding="utf-8-sig", keep_default_na=False)
        in_dev = [pair in dev for pair in zip(rows["#1 ID"], rows["#2 ID"], strict=True)]
        names = {"#1 String": "sentence1", "#2 String": "sentence2", "Quality": "label"}
        table = rows.rename(columns=names)[[*names.values()]].assign(idx=range(len(rows)))[::-1]
        mask = pd.Series(in_dev, index=rows.index)[::-1]
        tables += [table[~mask], table[mask]] if file == "train" else [table]
    return [parquet_bytes(table) for table in tables]
