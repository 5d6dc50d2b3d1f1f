"""The speed benchmarks run and report; how fast anything is, no test says."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import architectures
import numpy as np
import pytest
import tiny
import torch

from paper_repro.model.batches import Batcher

ROOT = Path(__file__).resolve().parents[1]
TRAINERS = {"authors-dimp", "authors-imp", "tuned"}
HAS_ACCELERATE = importlib.util.find_spec("accelerate") is not None
trainer = pytest.mark.skipif(not HAS_ACCELERATE, reason="the Trainer needs accelerate (extra 'test')")


def speed(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "benchmarks" / "speed.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One round of two steps with the tiny encoder."""
    out = tmp_path_factory.mktemp("speed")
    parts = ("ce", "weighted", "scoring", "agreement", "overhead")
    run = speed("--toy", "--texts", "64", "--rounds", "1", "--out", str(out), "--only", *parts)
    assert run.returncode == 0, run.stderr
    return out


@trainer
def test_every_part_has_its_rows(toy: Path) -> None:
    content = json.loads((toy / "speed.json").read_text("utf-8"))
    assert len(content["rows"]) == 9
    assert (toy / "speed.csv").read_text("utf-8").count("\n") == 10
    for row in content["rows"]:
        assert row["ratio"] is not None


@trainer
def test_both_sides_compute_the_same_loss(toy: Path) -> None:
    rows = json.loads((toy / "speed.json").read_text("utf-8"))["rows"]
    fp32, bf16 = (row["ratio"] for row in rows if row["part"] == "agreement")
    assert fp32 <= 1e-6
    assert bf16 <= 1e-3


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a script as a module; what it sets in the environment is taken back."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in ("OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    return importlib.import_module


@trainer
@pytest.mark.parametrize("name", ["bert", "mpnet"])
def test_the_trainers_side_reads_any_encoder(scripts: Callable[[str], Any], tmp_path: Path, name: str) -> None:
    """Padded for the Trainer, the texts give the logits of our own batches; MPNet has no token types and pads by 1."""
    baseline, cpu = scripts("trainer_baseline"), torch.device("cpu")
    folder = architectures.make(tmp_path, name, positions=140)
    data = tiny.training_data(folder)
    model = baseline.load(folder, data.classes).eval()
    items = baseline.Texts(data.train, data.train_labels, model, baseline.PADDED_LENGTH).items[:8]
    batch = {key: torch.stack([item[key] for item in items]) for key in items[0] if key != "labels"}
    with torch.no_grad():
        theirs, ours = model(**batch).logits, Batcher(data.train, cpu).batch(np.arange(8)).logits(model)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5)
    assert baseline.train(folder, data.train, data.train_labels, data.classes, method="imp", tuned=True).wall > 0


# -- the engine -----------------------------------------------------------------------------------------------

BARE = """
import runpy, sys
for name in ("datasets", "papermill", "seaborn", "matplotlib", "pandas", "sklearn", "click", "accelerate"):
    sys.modules[name] = None  # not installed
script, *sys.argv[1:] = sys.argv[1:]
sys.path.insert(0, script.rpartition("/")[0])
runpy.run_path(script, run_name="__main__")
"""


def test_the_engine_is_measured_with_torch_transformers_and_scipy_alone(tmp_path: Path) -> None:
    """One round of one step; without accelerate the authors' recipe is our own loop, and the Trainer is left out."""
    script, out = str(ROOT / "benchmarks" / "engine.py"), str(tmp_path)
    sizes = ["--layers", "1", "--width", "64", "--texts", "32", "--epochs", "1", "--rounds", "1"]
    only = ["--only", "authors", "tuned", "fast", "ce", "score-64", "score"]
    command = [sys.executable, "-c", BARE, script, "--device", "cpu", "--out", out, *sizes, *only]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "engine-cpu.json").read_text("utf-8"))
    assert [row["part"] for row in content["rows"]] == ["fast", "ce", "ce", "score"]
    assert all(row["ratio"] > 0 and row["target"] == "" and row["predicted"] is None for row in content["rows"])
    assert "| packed, bf16 (the engine), CE, against: length buckets, bf16 (ce) |" in done.stdout


@pytest.fixture
def engine(scripts: Callable[[str], Any]) -> Any:
    return scripts("engine")


def test_the_floor_is_the_rooflines(engine: Any) -> None:
    """BERT-base, 10,012 texts of 28 tokens, 5 epochs on an H100: 0.72 s of arithmetic and 2.15 s of traffic."""
    encoder = 12 * (4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768)
    everything = encoder + (30522 + 512 + 2) * 768 + 2 * 768 + 768 * 768 + 768 + 3 * 768 + 3
    assert engine.least_seconds(encoder, everything, 28 * 10_012, 313, 5, "NVIDIA H100 80GB HBM3") == pytest.approx(
        0.723 + 2.148, abs=0.002
    )


def test_every_comparison_is_between_variants(engine: Any) -> None:
    every = engine.variants("cpu", engine.BF16)
    assert {name for held in engine.COMPARISONS for name in held[:2]} == set(every)
    assert "compiled" not in engine.choose(every, [], on_gpu=False)
    assert set(engine.choose(every, [], on_gpu=True)) == set(every) - (set() if HAS_ACCELERATE else TRAINERS)
