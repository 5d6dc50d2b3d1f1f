"""The speed benchmark runs and reports; how fast anything is, no test says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("accelerate", reason="the Trainer needs accelerate (extra 'test')")


def speed(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "benchmarks" / "speed.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One round of two steps with the tiny encoder."""
    out = tmp_path_factory.mktemp("speed")
    parts = ("ce", "weighted", "scoring", "agreement", "overhead")
    run = speed("--toy", "--texts", "64", "--rounds", "1", "--out", str(out), "--only", *parts)
    assert run.returncode == 0, run.stderr
    return out, run.stdout


def test_each_part_prints_its_rows(toy: tuple[Path, str]) -> None:
    _, printed = toy
    for title in ("CE against the authors' recipe (ce)", "CE against a tuned Trainer (ce)", "IMP, live checkers"):
        assert f"| {title}" in printed
    assert "64 texts of" in printed and "(longest" in printed


def test_rows_say_what_was_compared(toy: tuple[Path, str]) -> None:
    content = json.loads((toy[0] / "speed.json").read_text("utf-8"))
    assert {"hardware", "encoder", "torch", "transformers", "setting"} <= set(content["about"])
    assert len(content["rows"]) == 9
    assert (toy[0] / "speed.csv").read_text("utf-8").count("\n") == 10
    for row in content["rows"]:
        assert row["ratio"] is not None and row["rounds"] >= 1
        for side in ("ours", "theirs"):
            assert "fp32" in row[side] or "bf16" in row[side]


def test_both_sides_compute_the_same_loss(toy: tuple[Path, str]) -> None:
    rows = json.loads((toy[0] / "speed.json").read_text("utf-8"))["rows"]
    fp32, bf16 = (row["ratio"] for row in rows if row["part"] == "agreement")
    assert fp32 <= 1e-6
    assert bf16 <= 1e-3


def test_parts_are_listed() -> None:
    assert speed("--list").stdout.split() == ("ce news weighted pairs tiny scoring agreement overhead workers".split())
