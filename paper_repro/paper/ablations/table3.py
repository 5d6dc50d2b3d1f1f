"""Table 3 and Figure 3: what each method costs, on the paper's set-up (App. E). The grid, tables, claims and figure.

Times differ from run to run and from machine to machine, so they are in files of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from paper_repro.measures.intervals import Interval, paired_interval
from paper_repro.paper import published
from paper_repro.paper.cells import Cell, spec
from paper_repro.paper.csv_files import records
from paper_repro.paper.outcomes import UNKNOWN
from paper_repro.paper.style import BLACK, GREEN, GREY, ORANGE, SKY, caption, panels, source, span, styled
from paper_repro.paper.titles import BENCHMARKS, short_title
from paper_repro.runs.profiles import Profile
from paper_repro.runs.results import Results
from paper_repro.runs.spec import Checker

EPOCHS, BATCH = 5, 32
PHASES = {
    "build_qc_s": "build quality checker",
    "build_dc_s": "build diversity checker",
    "precalculate_weights_s": "pre-calculate weights",
    "training_s": "training",
}
"""The phases of Table 3 with their titles."""
TIMES = (*PHASES, "total_s", "loading_and_evaluation_s")
COLOURS, HATCHES = (GREEN, ORANGE, BLACK, SKY), ("///", "...", "", "")
ABOUT = 0.1
ABOUT_RULE = (
    'A claim of "about r times" holds if the 95 % interval of the ratio lies within a tenth of r, fails if it lies '
    "outside of that, and otherwise is inconclusive."
)
CLAIMED = {"imp": 2.2, "dimp": 1.1}
"""App. E: times the running time of CE-Loss."""


def table3(profile: Profile, benchmark: str = "financial", seeds: Iterable[int] | None = None) -> list[Cell]:
    """The timed runs: quality checker, CE, IMP and DIMP, seed by seed, so that all of them see the machine's good and
    bad minutes alike. The diversity checker is the CE run; the test set is scored once."""
    cells = []
    for seed in profile.seeds if seeds is None else seeds:
        dev, generated = (spec(profile, benchmark, pool, "ce", seed) for pool in ("dev", "generated"))
        checker, ce = (
            replace(run, recipe=replace(run.recipe, epochs=EPOCHS, batch_size=BATCH, test_curve=False))
            for run in (dev, generated)
        )
        dimp = replace(ce, method="dimp", quality=Checker(checker))
        cells.append(Cell("dev", "checker", benchmark, seed, checker))
        runs = {"ce": ce, "imp": replace(dimp, method="imp", diversity=Checker(ce)), "dimp": dimp}
        cells += [Cell("generated", method, benchmark, seed, run) for method, run in runs.items()]
    return cells


def phases(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """One row per method and repetition: seconds by phase, on what hardware; what is not there has a status.

    A phase is the time of the training steps alone (nan where the method has no such phase), but scoring counts whole;
    loading of the encoder and scoring of dev and test set, of all models of the method, are the last of the times.
    """
    columns = ["method", "benchmark", "seed", *TIMES, "status", "n_train", "device", "threads", "precision"]
    rows = [_phases(results, cell) for cell in cells if cell.spec.source.pool == "generated"]
    return pd.DataFrame(rows, columns=columns)


def _phases(results: Results, cell: Cell) -> dict[str, Any]:
    run, row = cell.spec, {"method": cell.method, "benchmark": cell.benchmark, "seed": cell.seed}
    models, scoring = {"training_s": results.result(run)}, []
    for phase, checker in {"build_qc_s": run.quality, "build_dc_s": run.diversity}.items():
        if checker is not None and checker.run is not None:
            models[phase] = results.result(checker.run)
            scoring.append(results.scoring_seconds(checker, cell.benchmark, run.source.pool))
    found = {phase: result for phase, result in models.items() if result is not None}
    seconds = [second for second in scoring if second is not None]
    if len(found) < len(models) or len(seconds) < len(scoring):
        return {**row, "status": "not run"}
    times = {phase: result.seconds["train"] for phase, result in found.items()}
    times |= {"precalculate_weights_s": sum(seconds)} if seconds else {}
    hardware = sorted({str(result.environment.get("device")) for result in found.values()})
    return {
        **row,
        **times,
        "total_s": sum(times.values()),
        "loading_and_evaluation_s": sum(r.seconds["total"] - r.seconds["train"] for r in found.values()),
        "status": "complete" if len(hardware) == 1 else "its runs are from several machines",
        "n_train": len(results.benchmark(cell.benchmark).pools["generated"]),
        "device": "; ".join(hardware),
        "threads": found["training_s"].environment.get("threads"),
        "precision": run.recipe.precision,
    }


def running_times(frame: pd.DataFrame) -> pd.DataFrame:
    """Table 3, one row per method: the paper's seconds, ours as median, lowest and highest, and the ratio to CE.

    ``frame`` is that of :func:`phases`; only repetitions on the machine that has most of them count. The ratio is taken
    within each repetition: ``ratio`` is the geometric mean with its 95 % interval (:func:`ratio_interval`). ``n_runs``
    counts the repetitions that have CE's total, too; ``status`` says how many of those planned these are.
    """
    here = frame[frame["status"] == "complete"]
    device = here["device"].mode().iloc[0] if len(here) else ""
    here = here[here["device"] == device]
    table = published.table("table3").set_index("method").add_prefix("paper_")
    table["paper_ratio"] = table["paper_total_s"] / table["paper_total_s"].to_dict()["ce"]
    if not set(frame["benchmark"]) & set(BENCHMARKS):  # your own, of which the paper has no seconds
        table = table.iloc[:, :0]
    for name in TIMES:
        times = here.astype({name: float}).groupby("method")[name]
        table[name], table[f"{name}_low"], table[f"{name}_high"] = times.median(), times.min(), times.max()
    totals, empty, rows = here.pivot(index="seed", columns="method", values="total_s"), pd.Series(dtype=float), []
    for method in table.index:
        pair = [totals.get(name, empty).astype(float) for name in (method, "ce")]
        both = pd.concat(pair, axis=1, keys=["ours", "ce"]).dropna()
        ratio, planned = ratio_interval(both["ours"], both["ce"]), int((frame["method"] == method).sum())
        status = "complete" if len(both) == planned > 0 else f"{len(both)} of {planned} runs on one machine"
        row = {"ratio": ratio.mean, "ratio_low": ratio.low, "ratio_high": ratio.high, "n_runs": len(both)}
        rows.append({**row, "status": status, "device": device if len(both) else ""})
    return table.reset_index().join(pd.DataFrame(rows))


def ratio_interval(times: ArrayLike, others: ArrayLike) -> Interval:
    """Geometric mean of times / others, both (n,) and above 0, with Student's interval of the mean logarithm.

    nan bounds with fewer than two pairs, nan throughout without any.
    """
    a, b = np.log(np.asarray(times, dtype=np.float64)), np.log(np.asarray(others, dtype=np.float64))
    if len(a) < 2:
        return Interval(math.exp(a[0] - b[0]), math.nan, math.nan) if len(a) else UNKNOWN
    logs = paired_interval(a, b)
    return Interval(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high))


def timing_claims(frame: pd.DataFrame, benchmark: str = "financial") -> pd.DataFrame:
    """App. E's ratios, judged by :data:`ABOUT_RULE`; ``frame`` is that of :func:`running_times`.

    Columns: id, claim, section, item, benchmark, statistic, mean, low, high, n_seeds, status, verdict.
    """
    rows = []
    for row in records(frame[frame["method"].isin(list(CLAIMED))]):
        about, low, high = CLAIMED[row["method"]], row["ratio_low"], row["ratio_high"]
        status = "one run has no interval" if row["n_runs"] == 1 and row["status"] == "complete" else row["status"]
        claim = f"{short_title(row['method'])} takes about {about:g} times the time of CE-Loss"
        names = {"id": f"{row['method']}_time", "claim": claim, "section": "E", "item": "Table 3"}
        numbers = {"mean": row["ratio"], "low": low, "high": high, "n_seeds": row["n_runs"], "status": status}
        judged = about_verdict(low, high, about) if status == "complete" else "incomplete"
        statistic = "ratio of the total times"
        rows.append({**names, "benchmark": benchmark, "statistic": statistic, **numbers, "verdict": judged})
    return pd.DataFrame(rows)


def about_verdict(low: float, high: float, about: float) -> str:
    """:data:`ABOUT_RULE` applied to an interval."""
    floor, ceiling = about * (1 - ABOUT), about * (1 + ABOUT)
    if floor <= low and high <= ceiling:
        return "holds"
    return "fails" if high < floor or low > ceiling else "inconclusive"


def seconds(frame: pd.DataFrame) -> pd.DataFrame:
    """Table 3 for the eye: seconds by phase, the paper's above ours, one column for each method."""
    times = {**PHASES, "total_s": "total", "loading_and_evaluation_s": "loading, evaluation"}
    whose = {"paper_": "paper", "": "ours"}
    names = {f"{side}{time}": (title, text) for side, title in whose.items() for time, text in times.items()}
    names = {name: title for name, title in names.items() if name in frame}
    table = frame.set_index(frame["method"].map(short_title))[[*names]].astype(float)
    texts = table.map(lambda second: "" if pd.isna(second) else f"{second:.2f}")
    return texts.T.set_axis(pd.MultiIndex.from_tuples(names.values()))


@styled
def figure3(frame: pd.DataFrame, *, encoder: str = "", miniature: bool = False) -> Figure:
    """Figure 3 with Table 3's phases: total seconds of each method, the paper's and ours, and the ratio to CE.

    ``frame`` is that of :func:`running_times`; our bars are medians, the whisker goes from the shortest to the longest
    total.
    """
    titles = {"paper_": "the paper: BERT-base, a V100", "": f"here: {encoder}"}
    titles = {whose: title for whose, title in titles.items() if f"{whose}total_s" in frame}
    figure, axes = panels(len(titles), 3.7 * len(titles), 3.2)
    for ax, (whose, title) in zip(axes, titles.items(), strict=True):
        _bars(ax, frame, whose)
        ax.set_title(title)
    axes[0].set_ylabel("seconds")
    handles, _ = axes[0].get_legend_handles_labels()
    figure.legend(handles, list(PHASES.values()), loc="outside upper center", ncols=4, handlelength=1.4, fontsize=7.5)
    device = next((name for name in frame["device"].dropna() if name), "no machine")
    text = f"Median of n = {span(frame['n_runs'])} repetitions on {device}; whisker: shortest and longest total. "
    text += "Only the ratios can be compared." if miniature else "Hardware and encoders differ: compare ratios."
    caption(figure, text + source("table3.csv"))
    return figure


def _bars(ax: Axes, frame: pd.DataFrame, whose: str) -> None:
    """Stacked phases of each method, with the total's ratio to CE above: ``whose`` is "paper_" or "" (ours)."""
    bars = frame.set_index(frame["method"].map(short_title))
    style: dict[str, Any] = {"stacked": True, "rot": 0, "legend": False, "xlabel": ""}
    style |= {"color": COLOURS, "edgecolor": "white", "linewidth": 0.4, "width": 0.6}
    bars[[f"{whose}{phase}" for phase in PHASES]].plot.bar(ax=ax, **style)
    for container, hatch in zip(ax.containers, HATCHES, strict=True):
        for bar in container:
            bar.set_hatch(hatch)
    for place, row in enumerate(records(frame)):
        top = row[f"{whose}total_s"]
        if not whose:
            ax.plot([place, place], [row["total_s_low"], row["total_s_high"]], color=GREY, linewidth=1.2)
            top = max(top, row["total_s_high"])
        if top == top:
            ax.annotate(f"x {row[f'{whose}ratio']:.2f}", (place, top), (0, 3), textcoords="offset points", ha="center")
    ax.grid(axis="x", visible=False)
    ax.margins(y=0.14)
