"""Figures from made-up tables: what is drawn is what the table holds, and equal tables give equal files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_runs
import matplotlib
import numpy as np
import pandas as pd
import pytest
from fake_runs import words
from matplotlib.colors import to_hex

from paper_repro.method.registry import METHODS
from paper_repro.paper import style
from paper_repro.paper.beside_paper import beside_paper, differences
from paper_repro.paper.run_table import runs as runs_of
from paper_repro.paper.table1 import figures
from paper_repro.paper.table_dots import table_dots
from paper_repro.paper.titles import method_title, short_title
from paper_repro.tools.errors import UserError

IMP = ("generated", "imp", "mrpc")


def fake(kind: str = "real", **changes: Any) -> fake_runs.FakeResults:
    return fake_runs.FakeResults(fake_runs.profile(kind), examples=60, **changes)


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    results = fake()
    return runs_of(results, results.cells)


@pytest.fixture(scope="module")
def part() -> fake_runs.FakeResults:
    return fake("miniature", missing=frozenset({(*IMP, 3)}))


def test_figure_1_draws_mean_and_range_of_the_seeds(runs: pd.DataFrame) -> None:
    ax = figures.figure1(runs).axes[2]
    ours = runs[runs["train_source"].eq("generated") & runs["method"].eq("imp") & runs["benchmark"].eq("mrpc")]
    by_epoch = 100 * ours.pivot(index="epoch", columns="seed", values="test_accuracy")
    colour = METHODS["imp"].colour
    (line,) = (line for line in ax.lines if to_hex(line.get_color()) == to_hex(colour) and len(line.get_xdata()))
    assert line.get_xydata() == pytest.approx(np.c_[range(1, 6), by_epoch.mean(axis=1)])
    (band,) = (band for band in ax.collections if to_hex(band.get_facecolor()[0]) == to_hex(colour))
    heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((by_epoch.min(axis=None), by_epoch.max(axis=None)))


def test_methods_can_be_told_apart_without_colour() -> None:
    okabe_ito = {"#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"}
    methods = [method for method in METHODS.values() if "generated" in method.table1]
    assert {to_hex(method.colour) for method in methods} <= okabe_ito
    assert len({method.line for method in methods}) == len({method.marker for method in methods}) == len(methods)


def test_dots_show_paper_mean_interval_and_gaps(part: fake_runs.FakeResults) -> None:
    table = beside_paper(part, part.cells)
    figure = table_dots(table, "table1.csv", part.profile)
    assert "Hu et al.'s (not run)" in words(figure)
    ax, here = figure.axes[2], table[table["benchmark"] == "mrpc"]
    points = [
        *(line.get_xdata() for line in ax.lines),
        *(s.vertices[:, 0] for c in ax.collections for s in c.get_paths()),
    ]
    drawn = {round(float(x), 6) for each in points for x in each}
    for column in ("paper_accuracy", "mean_accuracy", "best_accuracy", "accuracy_low", "accuracy_high"):
        assert {round(value, 6) for value in here[column].dropna()} <= drawn
    (hollow,) = (
        line.get_xdata() for line in ax.lines if line.get_markerfacecolor() == "white" and line.get_marker() == "o"
    )
    assert hollow == pytest.approx(here[here["status"] == "3 of 4 seeds"]["mean_accuracy"])


def test_dots_stand_beside_their_names_also_where_panels_have_different_rows(part: fake_runs.FakeResults) -> None:
    def uneven(frame: pd.DataFrame) -> pd.DataFrame:
        gone = {("financial", "focal"), ("tweet_irony", "imp"), ("mrpc", "dimp"), ("mrpc", "focal")}
        kept = np.array([at not in gone for at in zip(frame["benchmark"], frame["method"], strict=True)])
        return frame[kept & frame["train_source"].eq("generated")].dropna(subset=["n_seeds"])

    table, gaps = uneven(beside_paper(part, part.cells)), uneven(differences(part, part.cells))
    for figure, frame, value, title in (
        (table_dots(table, "table1.csv", part.profile), table, "mean_accuracy", method_title),
        (figures.differences(gaps), gaps, "mean", lambda method: f"{short_title(method)}, generated"),
    ):
        names = {label.get_text(): label.get_position()[1] for label in figure.axes[0].get_yticklabels()}
        for ax, benchmark in zip(figure.axes, ("financial", "tweet_irony", "mrpc"), strict=True):
            rows = frame[frame["benchmark"].eq(benchmark)]
            points = np.vstack([line.get_xydata() for line in ax.lines if line.get_marker() == "o"])
            expected = zip(rows[value], rows["method"].map(title).map(names), strict=True)
            assert np.array(sorted(map(tuple, points))) == pytest.approx(np.array(sorted(expected)))


def test_differences_are_coloured_by_their_verdicts(part: fake_runs.FakeResults) -> None:
    frame = differences(part, part.cells)
    ax, here = figures.differences(frame).axes[2], frame[frame["benchmark"] == "mrpc"]
    for verdict, colour in (("holds", style.BLUE), ("fails", style.VERMILION), ("inconclusive", style.GREY)):
        drawn = {x for line in ax.lines if line.get_color() == colour for x in line.get_xdata()}
        assert set(here[here["verdict"] == verdict]["mean"]) <= drawn
    assert "INCOMPLETE: 1 of 30 rows" in words(figures.differences(frame))


def test_weights_are_means_over_the_seeds(runs: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    frame = runs.assign(weight_mean=rng.random(len(runs)), weight_ess=rng.random(len(runs)))
    ax = figures.weights_in_training(frame).axes[3]
    ours = frame[
        frame["train_source"].eq("generated") & frame["method"].eq("dimp") & frame["benchmark"].eq("financial")
    ]
    expected = 100 * ours.groupby("epoch")["weight_ess"].mean()
    colour = METHODS["dimp"].colour
    (line,) = (line for line in ax.lines if to_hex(line.get_color()) == to_hex(colour) and len(line.get_xdata()))
    assert line.get_ydata() == pytest.approx(expected.to_numpy(dtype=float))


def test_a_notebooks_own_style_changes_nothing(runs: pd.DataFrame, tmp_path: Path) -> None:
    """Equal tables give equal bytes, without dates; 200 dots an inch."""
    plain = style.save(figures.figure1(runs), tmp_path / "plain")
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "axes.facecolor": "black"}):
        styled = style.save(figures.figure1(runs), tmp_path / "styled")
    assert [path.suffix for path in plain] == [".png", ".svg"]
    assert [path.read_bytes() for path in plain] == [path.read_bytes() for path in styled]
    assert "<dc:date>" not in plain[1].read_text()
    assert int.from_bytes(plain[0].read_bytes()[16:20], "big") == 1480  # 7.4 inches
    assert figures.figure1(runs)._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_an_unwritable_place_is_named(runs: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="figure1.png: cannot be written"):
        style.save(figures.figure1(runs), tmp_path / "file" / "figure1")
