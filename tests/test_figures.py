"""Figures from made-up tables: what is drawn is what the table holds, and equal tables give equal files."""

from __future__ import annotations

from pathlib import Path

import fake_runs
import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from paper_repro import figures, tables
from paper_repro.tools.errors import UserError

IMP = ("GPT-3.5 generated", "IMP-Loss (Ours)", "mrpc")


def workspace(kind: str = "real", **changes: object) -> fake_runs.FakeWorkspace:
    return fake_runs.FakeWorkspace(fake_runs.profile(kind), examples=60, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    space = workspace()
    return tables.runs(space, space.cells)


@pytest.fixture(scope="module")
def table1() -> pd.DataFrame:
    space = workspace("miniature", missing=frozenset({(*IMP, 3)}))
    return tables.beside_paper(space, space.cells)


@pytest.fixture
def weights() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    true = np.exp(rng.normal(0, 1, 300))
    label = np.where(np.arange(300) < 100, "irony", "non-irony")
    return pd.DataFrame({"weight": true, "true_weight": true, "estimated_weight": true**2, "label": label})


def words(figure: Figure) -> str:
    """All text of a figure, its legends included."""
    figure.draw_without_rendering()
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " | ".join(artist.get_text() for artist in found)  # type: ignore[attr-defined]


def test_figure_1_draws_mean_and_range_of_the_seeds(runs: pd.DataFrame) -> None:
    figure = figures.figure1(runs)
    assert [ax.get_title() for ax in figure.axes] == ["Financial", "Tweet Irony", "MRPC"]
    ours = runs[(runs["train_source"] == IMP[0]) & (runs["method"] == IMP[1]) & (runs["benchmark"] == "mrpc")]
    by_epoch = 100 * ours.pivot(index="epoch", columns="seed", values="test_accuracy")
    line = next(line for line in figure.axes[2].lines if line.get_label() == IMP[1])
    assert line.get_xydata() == pytest.approx(np.c_[range(1, 6), by_epoch.mean(axis=1)])  # type: ignore[comparison-overlap]
    path = figure.axes[2].collections[list(figures.CURVES).index(IMP[1])].get_paths()[0]
    heights = np.asarray(path.vertices)[:, 1]
    extremes = (by_epoch.to_numpy().min(), by_epoch.to_numpy().max())
    assert (heights.min(), heights.max()) == pytest.approx(extremes)


def test_figure_1_names_n_source_and_what_is_missing(runs: pd.DataFrame) -> None:
    text = words(figures.figure1(runs))
    assert "n = 4 seeds" in text and "MRPC 60" in text and "profile mini" in text and "INCOMPLETE" not in text
    for method in ("CE-Loss", "Focal-Loss", "IMP-Loss", "DIMP-Loss"):
        assert method in text
    space = workspace(missing=frozenset({(*IMP, 3)}))
    text = words(figures.figure1(tables.runs(space, space.cells))).replace("\n", " ")
    assert "n = 3-4 seeds" in text and "INCOMPLETE: 1 of 48 runs" in text


def test_figure_1_of_nothing_is_empty_and_says_so() -> None:
    space = workspace()
    space.missing = frozenset((c.train_source, c.method, c.benchmark, c.seed) for c in space.cells)
    text = words(figures.figure1(tables.runs(space, space.cells))).replace("\n", " ")
    assert "n = 0 seeds" in text and "INCOMPLETE: 48 of 48 runs" in text


def test_lines_can_be_told_apart_without_colour() -> None:
    okabe_ito = {"#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"}
    styles = figures.CURVES.values()
    assert {to_hex(style["color"]) for style in styles} <= okabe_ito
    assert len({str(style["linestyle"]) for style in styles}) == len({style["marker"] for style in styles}) == 4


def test_dots_show_paper_mean_interval_and_gaps(table1: pd.DataFrame) -> None:
    figure = figures.table1_dots(table1, miniature=True)
    text = words(figure)
    assert tables.OTHER_DATA[1:40] in text and "Hu et al.'s (not run)" in text
    assert "SunGen (number not known)" in text and "Oracle (true weights)" in text
    assert "paper's numbers belong" not in words(figures.table1_dots(table1))
    drawn = {round(float(x), 6) for line in figure.axes[2].lines for x in np.atleast_1d(line.get_xdata()) if x == x}
    here = table1[table1["benchmark"] == "mrpc"]
    for column in ("paper_accuracy", "mean_accuracy", "best_accuracy", "accuracy_low", "accuracy_high"):
        assert {round(value, 6) for value in here[column].dropna()} <= drawn
    hollow = [
        line for line in figure.axes[2].lines if line.get_marker() == "o" and line.get_markerfacecolor() == "white"
    ]
    assert len(hollow) == 1, "the row with three of four seeds"


def test_histogram_counts_every_text(weights: pd.DataFrame) -> None:
    weights.loc[0, "weight"] = 0.0
    ax = figures.weights_histogram(weights)
    text = words(ax.figure)  # type: ignore[arg-type]
    assert "irony (n = 100)" in text and "non-irony (n = 200)" in text
    assert f"mean weight {weights['weight'].mean():.2f}" in text
    tops = [np.asarray(patch.get_path().vertices)[:, 1].max() for patch in ax.patches]  # type: ignore[attr-defined]
    assert min(tops) > 0
    figures.weights_histogram(weights.assign(weight=0.0))  # every weight 0: nothing to scale by


def test_estimated_against_true_prints_spearman(weights: pd.DataFrame) -> None:
    ax = figures.estimated_against_true(weights)
    assert ax.get_title(loc="left") == "Spearman 1.00, n = 300 texts"  # squares keep the order
    assert int(sum(ax.collections[0].get_array())) == 300  # type: ignore[arg-type]


def test_reliability_shows_n_per_bin() -> None:
    frame = pd.DataFrame({"confidence": [0.55] * 10 + [0.95] * 30, "correct": [True, False] * 5 + [True] * 30})
    text = words(figures.reliability(frame).figure)  # type: ignore[arg-type]
    assert "n = 10" in text and "30" in text and "calibration error 0.050, n = 40" in text


def test_given_axes_are_drawn_on(runs: pd.DataFrame, weights: pd.DataFrame, table1: pd.DataFrame) -> None:
    axes = Figure().subplots(5)
    assert figures.curves(runs, "mrpc", ax=axes[0]) is axes[0]
    assert figures.dots(table1, "mrpc", ax=axes[1]) is axes[1]
    assert figures.weights_histogram(weights, ax=axes[2]) is axes[2]
    assert figures.estimated_against_true(weights, ax=axes[3]) is axes[3]
    hits = pd.DataFrame({"confidence": [0.9], "correct": [True]})
    assert figures.reliability(hits, ax=axes[4]) is axes[4]
    assert all(ax.has_data() for ax in axes)


def test_a_notebooks_own_style_changes_nothing(runs: pd.DataFrame, tmp_path: Path) -> None:
    plain = figures.save(figures.figure1(runs), tmp_path / "plain")
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "axes.facecolor": "black"}):
        styled = figures.save(figures.figure1(runs), tmp_path / "styled")
    assert [p.read_bytes() for p in plain] == [p.read_bytes() for p in styled]


def test_equal_tables_give_equal_bytes_without_dates(runs: pd.DataFrame, table1: pd.DataFrame, tmp_path: Path) -> None:
    for make in (lambda: figures.figure1(runs), lambda: figures.table1_dots(table1)):
        first, second = (figures.save(make(), tmp_path / name) for name in ("a", "b"))
        assert [path.suffix for path in first] == [".png", ".svg"]
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
        svg = first[1].read_text()
        assert "<dc:date>" not in svg and "matplotlib.org" not in svg.split("<metadata>")[-1].split("</metadata>")[0]


def test_png_has_200_dots_an_inch(runs: pd.DataFrame, tmp_path: Path) -> None:
    png, _ = figures.save(figures.figure1(runs), tmp_path / "figure1")
    assert int.from_bytes(png.read_bytes()[16:20], "big") == 1480  # 7.4 inches


def test_notebooks_show_a_figure_without_pyplot(runs: pd.DataFrame) -> None:
    assert figures.figure1(runs)._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_an_unwritable_place_is_named(runs: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="figure1.png: cannot be written"):
        figures.save(figures.figure1(runs), tmp_path / "file" / "figure1")
