"""The derivations' figures show the numbers of their tables."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from paper_repro.paper.theory import figures


def test_the_bound_draws_the_means_of_the_runs() -> None:
    rows = [("mrpc", seed, epoch, 1 / epoch + seed, 0.1) for seed, epoch in product((0, 1), (1, 2))]
    frame = pd.DataFrame(rows, columns=["benchmark", "seed", "epoch", "loss", "bound"])
    figure = figures.lower_bound(frame, profile="demo")
    np.testing.assert_allclose(figure.axes[2].lines[0].get_ydata(), [1.5, 1.0])  # type: ignore[arg-type]


def distances(methods: tuple[str, ...]) -> pd.DataFrame:
    rows = [(m, c, m == c, 0.1 if m == c else 0.4, 0.05, 0.5, 3, 200) for m, c in product(methods, repeat=2)]
    ends = ["distance", "distance_low", "distance_high", "n_seeds", "n"]
    return pd.DataFrame(rows, columns=["method", "candidate", "predicted", *ends]).assign(benchmark="financial")


def test_the_predicted_limit_is_boxed() -> None:
    figure = figures.fixed_points(distances(("ce", "imp")), texts=8000)
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert [(int(box.get_x()), int(box.get_y())) for box in boxes] == [(0, 0), (1, 1)]
    assert figure.axes[0].texts[0].get_text() == "0.100\n[0.050, 0.500]"


def test_the_limit_of_a_loss_is_its_thick_line() -> None:
    frame = pd.concat([distances(("ce", "imp")).assign(texts=texts) for texts in (2000, 8000)])
    figure = figures.growing(frame, 0.05)
    for ax, own in zip(figure.axes, (0, 1), strict=True):
        widths = [
            line.get_linewidth() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_marker() != "None"
        ]
        assert np.argmax(widths) == own
