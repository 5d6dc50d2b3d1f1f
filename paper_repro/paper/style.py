"""What all pictures share: colours, sizes, captions, and files whose bytes are equal where the data are.

Colours are Okabe and Ito's (told apart with any colour vision); lines differ in their dashes as well, so that
they survive a grey print. Everything is sized for the width of a text column.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import matplotlib
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from paper_repro.method.registry import METHODS
from paper_repro.paper.csv_files import write
from paper_repro.paper.titles import benchmark_title, in_order, short_title

BLACK, GREY = "#000000", "#767676"
ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
CLASS_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)

COUNTS = ListedColormap(matplotlib.colormaps["Blues"](np.linspace(0.3, 1, 256)))
STYLE: dict[Any, Any] = {
    **{name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"},
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
    "lines.markersize": 3.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
P = ParamSpec("P")
R = TypeVar("R")


class Picture(Figure):
    """A figure that notebooks show as a cell's last value; pyplot's list of open figures does not hold it."""

    def _repr_png_(self) -> bytes:
        return _rendered(self, "png", dpi=120, metadata={"Software": None})


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw with :data:`STYLE`, whatever style the notebook has set."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return inside


def panels(count: int, width: float, height: float, rows: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with ``rows`` rows of ``count`` panels, and the panels row by row."""
    figure = Picture(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.04))
    return figure, list(np.ravel(figure.subplots(rows, count, **options)))


def benchmark_panels(
    frame: pd.DataFrame, width: float, height: float, **options: Any
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """A figure with a titled panel for each benchmark in ``frame``, and each panel with its rows."""
    names = in_order(frame["benchmark"])
    figure, axes = panels(max(len(names), 1), width, height, **options)
    for ax, name in zip(axes, names, strict=False):
        ax.set_title(benchmark_title(name))
    return figure, [(ax, frame[frame["benchmark"] == name]) for ax, name in zip(axes, names, strict=False)]


def interval_dots(ax: Axes, frame: pd.DataFrame, value: str = "mean", *, colour: str = BLUE, marker: str = "o") -> None:
    """Dots at ``frame[value]`` with a bar from "low" to "high", at the heights in "place".

    Rows whose status is not "complete" are hollow; rows without a value are left out.
    """
    for complete, face in ((True, colour), (False, "white")):
        rows = frame[(frame["status"] == "complete").eq(complete) & frame[value].notna()]
        errors = np.maximum([rows[value] - rows["low"], rows["high"] - rows[value]], 0)
        style: dict[str, Any] = {"color": colour, "markerfacecolor": face, "markersize": 4.5, "elinewidth": 1.5}
        ax.errorbar(rows[value], rows["place"], xerr=errors, fmt=marker, **style)


def row_labels(ax: Axes, names: Sequence[str]) -> None:
    """Names at the heights 0, 1, ... from the top."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)


def whole_epochs(ax: Axes) -> None:
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=2))


def method_lines(ax: Axes, rows: pd.DataFrame, value: str, **options: Any) -> None:
    """A line for each method over the epochs, with ``options`` of seaborn's lineplot: the mean over the seeds.

    ``rows`` are those of :func:`paper_repro.paper.run_table.runs`, of one benchmark; what is not complete is left out.
    """
    rows = rows[(rows["status"] == "complete") & rows[value].notna()].astype({"epoch": float, value: float})
    looks = {row: method_look(row) for row in rows["method"].unique()}
    look = {
        "palette": {row: look["color"] for row, look in looks.items()},
        "markers": {row: look["marker"] for row, look in looks.items()},
        "dashes": {row: _dashes(look["linestyle"]) for row, look in looks.items()},
        "err_kws": {"alpha": 0.14, "linewidth": 0},
    }
    if len(rows):
        seaborn.lineplot(rows, x="epoch", y=value, hue="method", style="method", ax=ax, legend=False, **look, **options)
    ax.set_ylabel("")
    whole_epochs(ax)


def method_legend(figure: Figure, rows: Iterable[str]) -> None:
    handles = [Line2D([], [], label=short_title(row), **method_look(row)) for row in dict.fromkeys(rows)]
    figure.legend(handles=handles, loc="outside upper center", ncols=max(len(handles), 1), handlelength=3.2)


def method_look(row: str) -> dict[str, Any]:
    """Colour, marker and line of a method, from its record; other rows are grey."""
    if row not in METHODS:
        return {"color": GREY, "marker": "X", "linestyle": ":"}
    return {"color": METHODS[row].colour, "marker": METHODS[row].marker, "linestyle": METHODS[row].line}


def _dashes(line: Any) -> Any:
    """Seaborn's dashes for a line style of matplotlib."""
    return {"-": "", "--": (4, 2), ":": (1, 1), "-.": (6, 1, 1, 1)}[line] if isinstance(line, str) else line[1]


def caption(figure: Figure, text: str) -> None:
    """Small print below a figure: numbers of runs and texts, and the source. Panels without a point say so."""
    for ax in figure.axes:
        if ax.axison and not np.isfinite(ax.dataLim.get_points()).all():
            ax.text(0.5, 0.5, "no runs yet", transform=ax.transAxes, ha="center", va="center", color=GREY)
    lines = textwrap.fill(text, round(figure.get_figwidth() * 18))
    figure.supxlabel(lines, x=0.01, ha="left", fontsize=7, color=GREY)


def source(files: str, profile: str = "") -> str:
    """The files that a figure was drawn from, for its caption."""
    return f" Source: {files}{f', profile {profile}' if profile else ''}."


def incomplete(frame: pd.DataFrame, what: str = "rows lack runs") -> str:
    """For a caption: how many rows of a table are not complete, or "" where all are."""
    lost = int((frame["status"] != "complete").sum())
    return f" INCOMPLETE: {lost} of {len(frame)} {what}." if lost else ""


def span(counts: pd.Series[Any]) -> str:
    """Counts of seeds or texts for a caption: "4", or "2-4" where they differ."""
    found = sorted({int(count) for count in counts.dropna()})
    return "0" if not found else f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,}-{found[-1]:,}"


def plain_numbers(ax: Axes, which: str) -> None:
    """0.1, 1, 10 on a logarithmic axis instead of powers."""
    axes: list[Axis] = [ax.xaxis] if which == "x" else [ax.xaxis, ax.yaxis]
    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def save(figure: Figure | Axes, path: Path, *, dpi: int = 200) -> Sequence[Path]:
    """Write ``path`` + .png (``dpi``) and .svg, each whole or not at all; equal figures give equal bytes.

    ``path`` has no suffix. Raises UserError where the folder cannot be written to.
    """
    whole = cast(Figure, figure.figure) if isinstance(figure, Axes) else figure
    png = _rendered(whole, "png", dpi=dpi, metadata={"Software": None})
    svg = _rendered(whole, "svg", metadata={"Date": None, "Creator": None})
    return [write(path.with_name(path.name + end), body) for end, body in ((".png", png), (".svg", svg))]


def _rendered(figure: Figure, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "paper_repro", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=form, **options)
    return buffer.getvalue()
