"""Results of the engine as they were recorded: whoever changes one of them raises ``runs.keys.ENGINE``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny

from paper_repro.method.train import train
from paper_repro.runs.keys import ENGINE

RECORDED = {
    1: {
        "imp": ((1.896111, 1.599854), (0.248909, 0.259249, 0.196657, 0.293778)),
        "dimp": ((5.440409, 2.234974), (0.410442, 0.382059, 0.320121, 0.424891)),
    }
}
"""By ENGINE and method: the training loss of each epoch, and P(y = 0|x) of the first four test texts."""


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("method", ["imp", "dimp"])
def test_two_tiny_runs_are_as_recorded(method: str, tmp_path: Path) -> None:
    """With dropout, bucketed batches and fp32. Other processors round differently, by far less than a change shows."""
    encoder = tiny.make_encoder(tmp_path / "encoder", layers=2)
    trained = train(tiny.training_data(encoder), encoder, method, tiny.RECIPE, 3)
    found = (tiny.losses(trained), trained.test_probabilities[:4, 0])
    for values, recorded in zip(found, RECORDED[ENGINE][method], strict=True):
        np.testing.assert_allclose(values, recorded, rtol=1e-3)
