"""docs/trainer.md, executed on a tiny encoder: the loss that the Trainer takes is IMP's, and DIMP's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from paper_repro.tools.paths import project_root

BLOCKS = re.findall(r"```python\n(.*?)```", (project_root() / "docs" / "trainer.md").read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def ran(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page's code leaves behind, with tiny data and a tiny encoder in the place of the real ones."""
    folder = tmp_path_factory.mktemp("trainer")
    settings = {**inputs, "results_dir": str(folder / "results"), "device": "cpu", "workers": 1}
    given = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    code = "\n".join(BLOCKS)
    for ours, theirs in (
        ('data_dir="path/to/benchmarks"', given),
        ("google-bert/bert-base-uncased", str(Path(inputs["encoder_dir"]))),
        ('"trained", num_train_epochs=5', f"{str(folder / 'trained')!r}, use_cpu=True, max_steps=2"),
    ):
        assert code.count(ours) == 1, ours
        code = code.replace(ours, theirs)
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    return namespace


def test_the_page_trains(ran: dict[str, Any]) -> None:
    assert ran["trainer"].state.global_step == 2
    assert np.isfinite(ran["trainer"].state.log_history[-1]["train_loss"])


@pytest.mark.parametrize("name", ["imp", "dimp"])
def test_the_trainer_s_loss_is_the_mean_of_the_weighted_cross_entropies(ran: dict[str, Any], name: str) -> None:
    trainer, scores, size = ran["trainer"], ran["scores"], 8
    trainer.compute_loss_func = ran[f"{name}_loss"]
    batch = trainer.data_collator(ran["rows"][:size])
    model = trainer.model.eval()
    with torch.no_grad():
        loss = trainer.compute_loss(model, dict(batch)).item()
        logits = model(**{key: value for key, value in batch.items() if key != "labels"}).logits.double().numpy()
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    log_p = log_p[np.arange(size), scores.train_labels[:size]]
    below = scores.log_diversity[:size] if name == "imp" else log_p
    assert loss == pytest.approx(float(np.mean(np.exp(scores.log_quality[:size] - below) * -log_p)), rel=1e-5)
