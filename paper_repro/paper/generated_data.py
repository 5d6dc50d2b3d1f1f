"""Table 5, and how long the texts are: the sets of each benchmark beside one another, before any training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_repro.paper import published, style
from paper_repro.paper.titles import benchmark_title, in_order
from paper_repro.texts.generated import length_table
from paper_repro.texts.pools import Benchmark

BINS = 20
"""Bars of a histogram of lengths, about."""
LOOKS: Mapping[str, dict[str, Any]] = {
    "train": {"label": "$D_P$ (train)", "color": style.BLUE},
    "dev": {"label": "$D_{P'}$ (dev)", "color": style.BLACK, "linestyle": ":"},
    "generated": {"label": "$D_Q$ (generated)", "color": style.ORANGE, "fill": True, "zorder": 0.9},  # below the lines
}
"""The pools whose lengths are compared."""


def table5(benchmarks: Mapping[str, Benchmark]) -> pd.DataFrame:
    """Table 5: one row per split, with columns <benchmark>_paper (not for your own benchmark) and <benchmark>_here."""
    paper = published.table("table5").set_index("split")
    columns = {}
    for name, benchmark in benchmarks.items():
        if name in paper:
            columns[f"{name}_paper"] = paper[name]
        columns[f"{name}_here"] = pd.Series({split: len(benchmark.pools[split]) for split in paper.index})
    return pd.DataFrame(columns, index=paper.index).reset_index()


def lengths(benchmarks: Mapping[str, Benchmark]) -> pd.DataFrame:
    """How many texts have how many words: columns benchmark, pool, words, texts, share (of the pool)."""
    frames = {(name, pool): length_table(b.pools[pool]) for name, b in benchmarks.items() for pool in LOOKS}
    return pd.concat(frames, names=["benchmark", "pool"]).droplevel(-1).reset_index()


@style.styled
def lengths_figure(table: pd.DataFrame, profile: str) -> Figure:
    """The lengths of generated texts (filled) and real ones (lines), one panel for each benchmark.

    ``table`` is that of :func:`lengths`. The longest 0.5 % of a benchmark's texts are counted in its last bar.
    """
    names = in_order(table["benchmark"])
    figure, axes = style.panels(1, 4.6, 0.8 + 1.7 * len(names), rows=len(names))
    for ax, name in zip(axes, names, strict=True):
        rows = table[table["benchmark"] == name]
        edges, longest = _edges(rows)
        for pool, look in LOOKS.items():
            here = rows[rows["pool"] == pool]
            heights, _ = np.histogram(here["words"].clip(upper=longest), edges, weights=100 * here["share"])
            ax.stairs(heights, edges, **look)
        ax.set(title=benchmark_title(name), ylabel="texts (%)")
        ax.locator_params("x", integer=True)
    axes[-1].set_xlabel("words in a text")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(LOOKS))
    style.caption(figure, f"The last bar holds all longer texts.{style.source('lengths.csv', profile)}")
    return figure


def _edges(rows: pd.DataFrame) -> tuple[NDArray[np.float64], int]:
    """Edges of the bars for a benchmark's lengths, and the length from which on texts are put into the last one."""
    words = np.repeat(rows["words"].to_numpy(), rows["texts"].to_numpy())
    shortest, longest = int(words.min()), int(np.quantile(words, 0.995))
    width = max(1, round((longest - shortest) / BINS))
    return np.arange(shortest - width, longest + 2 * width, width, dtype=np.float64) - 0.5, longest
