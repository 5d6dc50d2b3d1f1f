"""The derivations' figures show the numbers of their tables, with counts, intervals and source below them."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from paper_repro import figures
from paper_repro.paper.theory import closed_forms
from paper_repro.texts.world import WorldConfig


def words(figure: Figure) -> str:
    figure.draw_without_rendering()
    found = figure.findobj(Text)
    return " ".join(" | ".join(text.get_text() for text in found if isinstance(text, Text)).split())


@pytest.fixture(scope="module")
def convergence() -> Figure:
    rows = [
        row
        for name in ("financial", "mrpc")
        for row in closed_forms.convergence(WorldConfig(), name, (100, 1000), resamples=50)
    ]
    frame = pd.DataFrame(rows).query("loss == 'IMP'")
    errors = pd.DataFrame({"case": ["a", "a"], "size": [10, 100], "error": [0.3, 0.1], "slope": -0.5, "resamples": 7})
    return figures.theory_convergence(frame, errors, "Source: convergence.csv.")


def test_convergence_has_counts_and_epsilon(convergence: Figure) -> None:
    text = words(convergence)
    for part in (
        "Financial",
        "MRPC",
        "ε = 0.1",
        "50 data sets",
        "median over 7",
        "95 % Wilson",
        "Source: convergence.csv",
    ):
        assert part in text


def test_equal_tables_give_equal_files(convergence: Figure, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in figures.save(convergence, tmp_path / "a")]
    assert first == [path.read_bytes() for path in figures.save(convergence, tmp_path / "b")]


def test_bound_draws_the_runs_means() -> None:
    rows = [("mrpc", seed, epoch, 1 / epoch + seed, 0.1) for seed, epoch in product((0, 1), (1, 2))]
    figure = figures.theory_bound(
        pd.DataFrame(rows, columns=["benchmark", "seed", "epoch", "loss", "bound"]), "Source: x."
    )
    right = figure.axes[2]
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1.5, 1.0])  # type: ignore[arg-type]
    assert "n = 2 seeds" in words(figure) and "Source: x." in words(figure)


def test_the_predicted_limit_is_boxed() -> None:
    rows = [
        (loss, c, loss == c, 0.1 if loss == c else 0.4, 0.05, 0.5, 3, 200) for loss, c in product(("Q", "P'"), repeat=2)
    ]
    columns = ["loss", "candidate", "predicted", "mean", "low", "high", "n_seeds", "n"]
    figure = figures.theory_fixed_points(pd.DataFrame(rows, columns=columns), "Source: y.")
    boxes = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert [(round(b.get_x() + 0.48), round(b.get_y() + 0.46)) for b in boxes] == [(0, 0), (1, 1)]
    assert "0.100 [0.050, 0.500]" in words(figure) and "n = 3 seeds and 200 test texts" in words(figure)


def test_one_step_shows_each_criterion_with_its_interval() -> None:
    cases = product(("financial", "mrpc"), (1, 10), ("whole", "1/32"), ("P' / p", "P' alone"))
    rows = [(*case, 0.2, 0.1, 0.3, 40) for case in cases]
    columns = ["benchmark", "epochs", "step", "criterion", "spearman", "low", "high", "n"]
    text = words(figures.theory_one_step(pd.DataFrame(rows, columns=columns), "Source: z."))
    for part in (
        "θ after 1 epoch, whole step",
        "θ after 10 epochs, 1/32 step",
        "P' alone",
        "n = 40",
        "95 %",
        "Source: z.",
    ):
        assert part in text
