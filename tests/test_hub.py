"""The hub path, against a stand-in on the loopback interface, in processes that read its address fresh."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest

from paper_repro.texts import hub, original_files
from paper_repro.tools.errors import UserError

LOAD = """
import json, sys, time
from paper_repro import hub
from paper_repro.errors import UserError
time.sleep = lambda seconds: None  # between the library's five tries
found = {}
try:
    for name in sys.argv[1:]:
        pools, origin = hub.load(name)
        found[name] = [origin, {pool.name: pool.fingerprint for pool in pools.values()}]
except UserError as error:
    found["error"] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def files(real_data_dir: Path) -> dict[str, bytes]:
    pytest.importorskip("pyarrow")
    return hub_server.dataset_files(real_data_dir)


@pytest.fixture
def server(files: dict[str, bytes]) -> Iterator[hub_server.HubServer]:
    with hub_server.serving(files) as running:
        yield running


def load(home: Path, endpoint: str, *names: str, offline: bool = False) -> dict[str, object]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PAPER_"))}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment |= {"NO_PROXY": "*", "HF_HUB_ETAG_TIMEOUT": "3", "HF_HUB_OFFLINE": "1" if offline else "0"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *names], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def half_written(home: Path) -> list[str]:
    """Files that a later run could take for data: anything but locks and markers of absence."""
    cached = [path for path in home.rglob("*") if path.is_file() or path.is_symlink()]
    return [str(path) for path in cached if "snapshots" in path.parts or "blobs" in path.parts]


def test_all_three_from_the_hub_then_from_the_cache_without_a_network(
    server: hub_server.HubServer, tmp_path: Path
) -> None:
    first = load(tmp_path, server.endpoint, *original_files.NAMES)
    assert first == {name: ["hub", dict(original_files.FINGERPRINTS[name])] for name in original_files.NAMES}
    downloads = [asked for asked in server.requests if asked.startswith("GET") and "/resolve/" in asked]
    assert sorted(downloads) == sorted(f"GET {path}" for path in server.files), "each file once"
    server.close()
    second = load(tmp_path, server.endpoint, *original_files.NAMES, offline=True)
    assert second == {name: ["cache", dict(original_files.FINGERPRINTS[name])] for name in original_files.NAMES}


@pytest.mark.parametrize("offline", [True, False], ids=["HF_HUB_OFFLINE", "no network"])
def test_no_network_and_no_cache_names_three_ways_out(tmp_path: Path, offline: bool) -> None:
    with hub_server.serving({}) as gone:
        endpoint = gone.endpoint
    message = str(load(tmp_path, endpoint, "financial", offline=offline)["error"])
    assert "takala/financial_phrasebank@8d3fe0c" in message and "not in the cache" in message
    assert ("offline" if offline else "cannot be reached") in message
    assert all(way in message for way in ("paper-repro fetch", "HF_HOME", "--data-dir or PAPER_REPRO_DATA"))
    assert "\n" not in message and len(message) < 700
    assert half_written(tmp_path) == []


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("404", "answers 404, expected the file. Check HF_ENDPOINT"),
        ("500", "answers 500. Try again later"),
        ("truncated", "broke off: Consistency check failed"),
    ],
)
def test_a_failing_hub_is_told_apart_and_leaves_nothing_half_written(
    server: hub_server.HubServer, tmp_path: Path, fault: str, expected: str
) -> None:
    server.fault = fault
    message = str(load(tmp_path, server.endpoint, "tweet_irony")["error"])
    assert expected in message and "cardiffnlp/tweet_eval@b3a375b, irony/train" in message
    assert "\n" not in message
    assert half_written(tmp_path) == []
    server.fault = ""
    healed = load(tmp_path, server.endpoint, "tweet_irony")
    assert healed["tweet_irony"] == ["hub", dict(original_files.FINGERPRINTS["tweet_irony"])]


def test_revisions_are_commits() -> None:
    for repository in hub.REPOSITORIES.values():
        assert len(repository.revision) == 40 and set(repository.revision) <= set("0123456789abcdef")


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder laid out like one snapshot of a cache, from which ``hub.get_file`` is answered."""
    snapshot = tmp_path / "datasets--some--repository" / "snapshots" / ("0" * 40)

    def get_file(repository: hub.Repository, file: str, *, offline: bool = False) -> tuple[Path, str]:
        return snapshot / file, "cache"

    monkeypatch.setattr(hub, "get_file", get_file)
    return snapshot


def put(snapshot: Path, file: str, content: bytes) -> None:
    (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
    (snapshot / file).write_bytes(content)


def irony_table(size: int) -> bytes:
    pytest.importorskip("pyarrow")
    texts, labels = [f"post {i}" for i in range(size)], [i % 2 for i in range(size)]
    return hub_server.parquet_bytes({"text": texts, "label": labels})


def irony_files() -> dict[str, bytes]:
    sizes = zip(hub.REPOSITORIES["tweet_irony"].files, original_files.IRONY_LINES.values(), strict=True)
    return {file: irony_table(size) for file, size in sizes}


@pytest.mark.parametrize(
    ("name", "file", "content", "expected"),
    [
        ("financial", hub.REPOSITORIES["financial"].files[0], b"no zip", "not the zip of the PhraseBank"),
        ("tweet_irony", hub.PARTS[0], b"no parquet", "not a readable Parquet file"),
        ("tweet_irony", hub.PARTS[1], 900, "900 rows, expected 955"),
        ("tweet_irony", hub.PARTS[2], 700, "700 examples, expected 784 (Table 5)"),
        ("tweet_irony", "", b"", "the content differs from the published data"),
    ],
    ids=["zip", "parquet", "val rows", "test rows", "altered"],
)
def test_a_broken_or_altered_cache_says_what_to_delete(
    local: Path, name: str, file: str, content: bytes | int, expected: str
) -> None:
    if name == "tweet_irony":
        for path, table in irony_files().items():
            put(local, path, table)
        file = f"irony/{file}-00000-of-00001.parquet" if file else ""
    if file:
        put(local, file, irony_table(content) if isinstance(content, int) else content)
    with pytest.raises(UserError) as raised:
        hub.load(name)
    message = str(raised.value)
    assert expected in message
    assert f"delete {local.parent.parent} and fetch again" in message


def test_a_table_without_the_expected_columns(local: Path) -> None:
    for path in hub.REPOSITORIES["mrpc"].files:
        put(local, path, irony_table(3))
    with pytest.raises(UserError, match=r"no column sentence1, sentence2, idx .found text, label."):
        hub.load("mrpc")


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    """A file stands where the cache folder should be: no traceback, and the folder is named."""
    blocked = tmp_path / "home"
    blocked.write_text("not a folder")
    with hub_server.serving({}) as server:
        repository = hub.REPOSITORIES["financial"]
        server.files[hub_server.url_path(repository, repository.files[0])] = b"content"
        message = str(load(blocked, server.endpoint, "financial")["error"])
    assert f"the cache {blocked / 'hub'} cannot be used" in message
    assert blocked.read_text() == "not a folder"
