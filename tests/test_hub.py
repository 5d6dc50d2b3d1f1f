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

from paper_repro.texts import benchmarks, description, hub
from paper_repro.texts.description import NAMES
from paper_repro.tools.errors import UserError

LOAD = """
import json, sys, time
from paper_repro.texts import benchmarks
from paper_repro.tools.errors import UserError
time.sleep = lambda seconds: None  # between the library's five tries
found = {}
try:
    for name in sys.argv[1:]:
        opened = benchmarks.load(name, generated=False)
        found[name] = [opened.origin, {name: pool.fingerprint for name, pool in opened.pools.items()}]
except UserError as error:
    found["error"] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def files(real_data_dir: Path) -> dict[str, bytes]:
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
    def expected(where: str) -> dict[str, object]:
        commits = ("takala/financial_phrasebank@8d3fe0c", "nyu-mll/glue@bcdcba7", "cardiffnlp/tweet_eval@b3a375b")
        return {
            name: [f"Hugging Face {where} ({commit})", description.read(name).published]
            for name, commit in zip(NAMES, commits, strict=True)
        }

    assert load(tmp_path, server.endpoint, *NAMES) == expected("hub")
    downloads = [asked for asked in server.requests if asked.startswith("GET") and "/resolve/" in asked]
    assert sorted(downloads) == sorted(f"GET {path}" for path in server.files), "each file once, and nothing else"
    server.close()
    assert load(tmp_path, server.endpoint, *NAMES, offline=True) == expected("cache")


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
        ("500", "answers 500, expected the file. Try again later"),
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
    assert healed["tweet_irony"][1] == description.read("tweet_irony").published  # type: ignore[index]


ALTERED = hub_server.parquet_bytes({"text": [f"post {i}" for i in range(2862)], "label": [i % 2 for i in range(2862)]})


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("financial", b"no zip", r"FinancialPhraseBank-v1.0.zip::.*: cannot be read \(File is not a zip file\)"),
        ("tweet_irony", ALTERED, "the content differs from the published data"),
    ],
    ids=["zip", "altered"],
)
def test_a_broken_or_altered_cache_says_what_to_delete(
    name: str, content: bytes, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder laid out like one snapshot of a cache, in which every file has the same content."""
    snapshot = tmp_path / "datasets--some--repository" / "snapshots" / ("0" * 40)

    def get_file(repository: str, revision: str, file: str, *, offline: bool = False) -> tuple[Path, str]:
        return snapshot / file, "cache"

    monkeypatch.setattr(hub, "get_file", get_file)
    monkeypatch.delenv("PAPER_REPRO_DATA", raising=False)
    for file in hub_server.published(name):
        (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / file).write_bytes(content)
    with pytest.raises(UserError, match=expected) as raised:
        benchmarks.load(name)
    assert f"delete {snapshot.parent.parent} and fetch again" in str(raised.value)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    """A file stands where the cache folder should be: no traceback, and the folder is named."""
    blocked = tmp_path / "home"
    blocked.write_text("not a folder")
    with hub_server.serving({}) as server:
        server.files = dict.fromkeys(hub_server.published("financial").values(), b"content")
        message = str(load(blocked, server.endpoint, "financial")["error"])
    assert f"the cache {blocked / 'hub'} cannot be used" in message
    assert blocked.read_text() == "not a folder"
