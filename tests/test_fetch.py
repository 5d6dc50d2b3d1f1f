"""``fetch``: everything of a profile once, verified; then without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import call

from paper_repro.model import pretraining
from paper_repro.model.encoder import Encoder
from paper_repro.runs import fetch
from paper_repro.tools.errors import UserError


def test_a_profile_from_directories(real_data_dir: Path, minilm_dir: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    fetch.fetch("mini", data_dir=real_data_dir, encoder_dir=minilm_dir, cache=tmp_path, echo=lines.append)
    assert len(lines) == 5 and "all 4 items verified" in lines[-1] and "same directories" in lines[-1]
    assert f"financial: directory {real_data_dir}; train 3392, dev 242, test 1212, generated" in lines[0]
    assert "8 repeated texts kept" in lines[0] and "repeated" not in lines[2]
    assert lines[3].startswith(f"minilm-l6: directory {minilm_dir}")
    assert list(tmp_path.iterdir()) == [], "nothing needs to be written"


@pytest.mark.usefixtures("real_data_dir")
def test_the_first_item_that_fails_stops(tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(UserError, match="no folder"):
        fetch.fetch("mini", data_dir=tmp_path, encoder_dir=None, cache=tmp_path, echo=lines.append)
    assert lines == []


def test_the_miniature_world_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command, which hands on the profile and the cache's place."""

    def ensure(cache: Path) -> Encoder:
        return Encoder("tiny-world", cache, "0" * 64, "pre-trained by this package")

    monkeypatch.setattr(pretraining, "ensure", ensure)
    done = call("fetch", "--profile", "demo", "--results-dir", tmp_path)
    lines = done.output.splitlines()
    assert done.exit_code == 0 and ["made by this package" in line for line in lines[:3]] == [True] * 3
    assert f"pre-trained by this package; {tmp_path / 'cache'}" in lines[3]
    assert "No network is needed from here on" in lines[-1]
