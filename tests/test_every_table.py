"""Every table and every picture of made-up runs: what is missing is told, and what is drawn is what the table holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import fake_runs
import numpy as np
import pandas as pd
import pytest
from fake_runs import FakeResults, Name
from matplotlib.figure import Figure

from paper_repro.paper.ablations.figure2 import figure2, figure2_claims, figure2_lines
from paper_repro.paper.ablations.sizes import generated_sizes, real_sizes, sizes, sizes_lines
from paper_repro.paper.ablations.switches import switches, switches_dots
from paper_repro.paper.ablations.table2 import table2, table2_claims
from paper_repro.paper.ablations.variants import by_variant
from paper_repro.paper.beside_paper import beside_paper, differences
from paper_repro.paper.cells import Cell
from paper_repro.paper.diversity import cells as sets
from paper_repro.paper.diversity import figures as diversity_figures
from paper_repro.paper.diversity import tables as diversity
from paper_repro.paper.diversity.claims import diversity_claims
from paper_repro.paper.diversity.measures import AGENT
from paper_repro.paper.information import figures as information_figures
from paper_repro.paper.information.cells import Fits, section3_2
from paper_repro.paper.information.estimates import estimates, information_claims
from paper_repro.paper.information.estimates import section3_2 as estimated
from paper_repro.paper.more_baselines import figures as baseline_figures
from paper_repro.paper.more_baselines import tables as baselines
from paper_repro.paper.more_baselines.cells import best_on_dev, extended
from paper_repro.paper.noisy import figures as noisy_figures
from paper_repro.paper.noisy import tables as noisy
from paper_repro.paper.noisy.cells import table4
from paper_repro.paper.noisy.claims import noisy_claims
from paper_repro.paper.noisy.scores import measured
from paper_repro.paper.outcomes import outcomes_of
from paper_repro.paper.search.cells import search
from paper_repro.paper.search.figures import search as search_picture
from paper_repro.paper.search.tables import search_rules, search_settings
from paper_repro.paper.table1 import figures as table1_figures
from paper_repro.paper.table1.cells import table1
from paper_repro.paper.table1.claims import claims
from paper_repro.paper.table_dots import table_dots
from paper_repro.paper.theory import fixed_points
from paper_repro.paper.theory.cells import limits
from paper_repro.paper.why import figures as why_figures
from paper_repro.paper.why import tables as why
from paper_repro.paper.why.cells import input_shift_runs
from paper_repro.runs.profiles import Profile

Cells = list[Cell]
Table = Callable[[Any, Cells], pd.DataFrame]
KEYS = ["train_source", "variant", "method", "axis", "benchmark", "id", "baseline", "other", "checker", "part"]
KEYS += ["weighting", "score", "epoch", "set", "real", "quantity", "predictor", "candidate", "fitted_on", "rule"]
"""The columns that say which row it is, as far as a table has them."""
OWN_KEYS = {"search": ["setting"], "diversity_mixed": ["share"], "baseline_differences": ["rival"]}


def both_sizes(profile: Profile) -> Cells:
    return [*real_sizes(profile), *generated_sizes(profile)]


def of_sizes(results: Any, cells: Cells) -> pd.DataFrame:
    of_dev = {cell: cell.train_source.startswith("dev") for cell in cells}
    return sizes(results, *([cell for cell in cells if of_dev[cell] == dev] for dev in (True, False)))


def of_sets(results: Any, cells: Cells) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Accuracies, and correlations with made-up measures and shifts."""
    accuracy = diversity.accuracies(outcomes_of(results, cells), results.profile)
    about = accuracy.drop_duplicates(["benchmark", "set"])[["benchmark", "set", "level"]]
    shift, values = about.assign(auc=1 / about["level"]), about.assign(measure=AGENT, mean=about["level"])
    return accuracy, diversity.correlations(accuracy, values, shift)


def of_inputs(found: Any) -> pd.DataFrame:
    row = {"benchmark": "financial", "comparison": "generated", "auc": 0.5, "low": 0.48, "high": 0.52}
    return information_claims(found, pd.DataFrame([{**row, "n_p": 400, "n_q": 500}]))


TABLES: Mapping[str, tuple[Callable[[Profile], Cells], Table]] = {
    "table1": (table1, beside_paper),
    "differences": (table1, differences),
    "claims": (table1, claims),
    "table2": (table2, lambda r, c: beside_paper(r, c, "table2")),
    "table2_claims": (table2, table2_claims),
    "figure2": (figure2, lambda r, c: by_variant(r, c, "100")),
    "figure2_claims": (figure2, figure2_claims),
    "sizes": (both_sizes, of_sizes),
    "switches": (switches, lambda r, c: by_variant(r, c, "default")),
    "table1_extended": (extended, lambda r, c: baselines.table1_extended(r, best_on_dev(r, c))),
    "baseline_differences": (extended, lambda r, c: baselines.baseline_differences(r, best_on_dev(r, c))),
    "baseline_claims": (
        extended,
        lambda r, c: baselines.baseline_claims(baselines.baseline_differences(r, best_on_dev(r, c))),
    ),
    "twins": (extended, lambda r, c: baselines.predicted_twins(r, best_on_dev(r, c))),
    "table4": (table4, lambda r, c: beside_paper(r, c, "table4")),
    "noisy_scores": (table4, lambda r, c: noisy.noisy_scores(measured(r, c))),
    "noisy_detection": (table4, lambda r, c: noisy.noisy_detection(measured(r, c))),
    "noisy_log_weights": (table4, lambda r, c: noisy.noisy_log_weights(measured(r, c))),
    "noisy_claims": (table4, lambda r, c: noisy_claims(r, c, measured(r, c))),
    "search": (search, lambda r, c: search_settings(outcomes_of(r, c), r.profile)),
    "search_rules": (search, lambda r, c: search_rules(outcomes_of(r, c), r.profile)),
    "section3_2": (section3_2, lambda r, c: estimated(estimates(r, Fits(cross_fit_seeds=3)))),
    "information_claims": (section3_2, lambda r, c: of_inputs(estimates(r, Fits(cross_fit_seeds=3)))),
    "limits": (limits, lambda r, c: fixed_points.summary(fixed_points.distances(r, c))),
    "distances": (limits, fixed_points.distances),
    "diversity_accuracy": (sets.diversity, lambda r, c: of_sets(r, c)[0]),
    "diversity_correlations": (sets.diversity, lambda r, c: of_sets(r, c)[1]),
    "diversity_claims": (
        sets.diversity,
        lambda r, c: diversity_claims(outcomes_of(r, c), of_sets(r, c)[1], r.profile),
    ),
    "diversity_weights": (sets.diversity, diversity.weights),
    "diversity_mixed": (sets.mixtures, lambda r, c: diversity.mixed(r, outcomes_of(r, c))),
    "why_corrections": (table1, why.corrections),
    "why_likeness": (table1, why.gain_by_likeness),
    "why_inputs": (input_shift_runs, why.by_inputs),
    "why_claims": (input_shift_runs, why.input_shift_claims),
}


@cache
def made(name: str, missing: frozenset[Name] = frozenset()) -> pd.DataFrame:
    """One of the tables, its rows under their keys; three seeds are planned."""
    profile = fake_runs.profile("miniature" if TABLES[name][0] is limits else "real", seeds=3)
    grid, table = TABLES[name]
    cells = grid(profile)
    frame = table(FakeResults(profile, [*table1(profile), *cells], 60, missing=missing), cells)
    frame = frame.set_index([key for key in [*KEYS, *OWN_KEYS.get(name, ())] if key in frame])
    assert frame.index.is_unique
    return frame


@cache
def runs_of(name: str) -> list[Name]:
    cells = TABLES[name][0](fake_runs.profile(seeds=3))
    return [(c.train_source, c.method, c.benchmark, c.seed) for c in cells]


def first_seed(name: str) -> list[Name]:
    """The runs of the first seed of a table."""
    return [run for run in runs_of(name) if run[3] == 0]


def lost_runs(name: str) -> list[Name]:
    """Of its first seed the first runs of a checker, of CE and of IMP."""
    first = {run[1]: run for run in reversed(first_seed(name)) if run[1] in ("checker", "ce", "imp")}
    return list(first.values())


def same(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Which values are equal, to rounding."""
    close = {name: np.isclose(a[name].astype(float), b[name].astype(float), equal_nan=True) for name in numbers(a)}
    return (a.eq(b) | (a.isna() & b.isna())).assign(**close)


def numbers(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame if pd.api.types.is_numeric_dtype(frame[name]) and frame[name].dtype != bool]


@pytest.mark.parametrize("name", TABLES)
def test_a_missing_run_is_told_wherever_it_counts(name: str) -> None:
    """A value is as in the whole table, or as it is without the run's seed, and then the row says so."""
    whole, without, counts = made(name), made(name, frozenset(first_seed(name))), 0
    assert not whole["status"].str.contains(r"\d of \d").any(), "a row is complete when it has the seeds that it plans"
    for run in lost_runs(name):
        part = made(name, frozenset({run}))
        assert part.index.equals(whole.index)
        untouched, reduced = same(part, whole), same(part, without)
        if name != "search_rules":  # which chooses among all runs
            values = [column for column in part if column not in ("statistic", "status")]
            assert (untouched | reduced)[values].all(axis=None), run
        touched = part[~untouched.all(axis=1)]
        verdicts = touched.filter(regex="verdict$").astype(object).fillna("")
        assert verdicts.isin(["incomplete", ""]).all(axis=None), run
        assert (touched["status"].ne("complete") | verdicts.eq("incomplete").any(axis=1)).all(), run
        counts += len(touched)
    assert counts


@pytest.mark.parametrize("name", [name for name, (grid, _) in TABLES.items() if grid is not section3_2])
def test_without_a_run_there_is_no_number(name: str) -> None:
    """Nothing of what a run changes is left, and nothing is judged."""
    whole, without = made(name), made(name, frozenset(first_seed(name)))
    nothing = made(name, frozenset(runs_of(name)))
    assert set(nothing.index) <= set(whole.index)
    nothing = nothing.reindex(index=whole.index, columns=whole.columns)
    changed = ~same(whole, without)
    for column in numbers(whole):
        left = nothing.loc[changed[column], column].astype(float)
        assert (left.isna() | (left.eq(0) & column.startswith("n_"))).all(), column
    verdicts = nothing.filter(regex="verdict$").astype(object).fillna("")
    assert verdicts.isin(["incomplete", ""]).all(axis=None)
    assert nothing["status"].ne("complete").all()


# ---------------------------------------------------------------- pictures


class Picture(NamedTuple):
    """A picture of a table: which of its rows and columns are drawn, and how it shows that a row is not complete."""

    table: str
    draw: Callable[[pd.DataFrame], Figure]
    columns: tuple[str, ...] = ("mean_accuracy",)
    rows: str = "benchmark != ''"
    shows: tuple[str, ...] = ("INCOMPLETE",)


GAPS, HOLLOW = ("mean",), ("hollow dots",)
PICTURES = {
    "table_dots": Picture("table1", lambda f: table_dots(f, "", fake_runs.profile()), shows=HOLLOW),
    "differences": Picture("differences", table1_figures.differences, GAPS, shows=("INCOMPLETE", *HOLLOW)),
    "figure2": Picture("figure2", figure2_lines),
    "sizes": Picture("sizes", sizes_lines, ("mean_accuracy", "vs_ce_mean")),
    "switches": Picture("switches", switches_dots, ("vs_default_mean", "vs_ce_mean"), shows=("INCOMPLETE", *HOLLOW)),
    "baselines": Picture("baseline_differences", baseline_figures.differences, GAPS, shows=HOLLOW),
    "noisy_bars": Picture(
        "noisy_scores",
        lambda f: noisy_figures.noisy_bars(f, "financial"),
        GAPS,
        "benchmark == 'financial' and weighting == 'imp'",
    ),
    "noisy_epochs": Picture(
        "noisy_scores",
        lambda f: noisy_figures.noisy_epochs(f, "weight"),
        GAPS,
        "weighting == 'dimp' and score == 'weight'",
    ),
    "search": Picture("search", lambda f: search_picture(f, made("search_rules").reset_index())),
    "search_rules": Picture(
        "search_rules",
        lambda f: search_picture(made("search").reset_index(), f),
        ("accuracy",),
        "rule in ('fixed', 'dev', 'best_run')",
        shows=(),  # the settings beside them do
    ),
    "section3_2": Picture(
        "section3_2", lambda f: information_figures.estimate_dots(f, ""), GAPS, shows=("INCOMPLETE", *HOLLOW)
    ),
    "diversity": Picture("diversity_accuracy", diversity_figures.accuracy),
    "diversity_shift": Picture(
        "diversity_accuracy",
        lambda f: diversity_figures.against_shift(f, f.drop_duplicates(["benchmark", "set"]).assign(auc=0.5)),
        rows="method == 'ce'",
    ),
    "mixtures": Picture("diversity_mixed", diversity_figures.mixtures),
    "why_likeness": Picture("why_likeness", why_figures.likeness, GAPS),
    "why_inputs": Picture("why_inputs", why_figures.by_inputs, shows=HOLLOW),
}


def drawn(figure: Figure) -> tuple[np.ndarray[Any, Any], int]:
    """All places of lines and dots and all heights of bars; how many dots are hollow."""
    lines = [line for ax in figure.axes for line in ax.lines]
    bars = [bar.get_height() for ax in figure.axes for bar in ax.patches]  # type: ignore[attr-defined]
    hollow = [line for line in lines if line.get_marker() != "None" and line.get_markerfacecolor() == "white"]
    places = [np.asarray(line.get_xydata(), dtype=float).ravel() for line in lines]
    return np.concatenate([bars, *places]), sum(len(line.get_xdata()) for line in hollow)  # type: ignore[arg-type]


@pytest.mark.parametrize("lost", ["no", "some", "all"])
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_draws_its_table_and_shows_what_is_missing(name: str, lost: str) -> None:
    table, draw, columns, rows, shows = PICTURES[name]
    if table == "section3_2" and lost == "all":
        pytest.skip("without a run there is no such table")
    missing = {"no": [], "some": lost_runs(table), "all": runs_of(table)}[lost]
    frame = made(table, frozenset(missing)).reset_index()
    figure, chosen = draw(frame), frame.query(rows)
    numbers_drawn, hollow = drawn(figure)
    values = chosen[list(columns)].to_numpy(dtype=float)
    assert np.isclose(values[~np.isnan(values)][:, None], numbers_drawn).any(axis=1).all()
    incomplete = chosen["status"].ne("complete").to_numpy()
    assert ("INCOMPLETE" in fake_runs.words(figure)) == (incomplete.any() and "INCOMPLETE" in shows)
    if "hollow dots" in shows:
        assert hollow == (~np.isnan(values[incomplete])).sum()
