"""Tables of the paper beside ours, as long data frames that become CSV files; figures are drawn from these.

Numbers are per cent. A cell whose runs are missing or failed says so in ``status`` and is never passed off as
complete; the paper's rows that this project cannot fill yet stand in their place, empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro import generation, published, statistics
from paper_repro.atomic import write_whole
from paper_repro.errors import UserError
from paper_repro.runs import HISTORY_FIELDS, RunResult, RunSpec

if TYPE_CHECKING:
    from paper_repro.experiments import Cell
    from paper_repro.pools import Benchmark
    from paper_repro.profiles import Profile

BENCHMARK_TITLES = {"financial": "Financial", "tweet_irony": "Tweet Irony", "mrpc": "MRPC"}
FEW_SHOT = ("Small real world", "GPT-3.5 few-shot")
NOT_BUILT_YET = ("Hu et al.'s",)
OTHER_DATA = "the paper's numbers belong to other data: only the ordering of the methods can be compared"
RULE = (
    "A claim holds if the paired 95 % interval of the difference lies above zero, fails if it lies below, "
    "and otherwise cannot be told at this number of seeds and test examples."
)
Key = tuple[str, str, str]
"""train_source, method, benchmark."""


class Runs(Protocol):
    """What the tables need of a :class:`paper_repro.workspace.Workspace`."""

    @property
    def profile(self) -> Profile: ...
    def benchmark(self, name: str) -> Benchmark: ...
    def result(self, spec: RunSpec) -> RunResult | None: ...
    def failure(self, spec: RunSpec) -> str | None: ...
    def key(self, spec: RunSpec) -> str: ...


@dataclass(frozen=True)
class Outcome:
    """What the seeds of one cell of the table predicted on the test set.

    ``predictions`` (seeds found, examples) are classes, in the order of ``seeds``; ``labels`` (examples,).
    """

    seeds: tuple[int, ...]
    wanted: int
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    classes: int
    status: str
    fixed: bool = False
    """One set of predictions without a seed: the generator's own labels."""

    @property
    def correct(self) -> NDArray[np.bool_]:
        return np.asarray(self.predictions == self.labels)

    @property
    def best(self) -> int:
        """Row of the most accurate run, the first of equals: what the paper's tables show (App. F)."""
        return int(self.correct.mean(axis=1).argmax())


# ---------------------------------------------------------------- the tables


def table1(workspace: Runs, cells: Iterable[Cell]) -> pd.DataFrame:
    """Table 1 with the paper's numbers beside ours: one row per train_source, method and benchmark.

    Columns: train_source, method, reproduction (what ours is where it is not the same thing), benchmark,
    paper_accuracy, paper_macro_f1 (best of four seeds), best_accuracy, best_macro_f1 (ours, best of n),
    mean_accuracy, accuracy_low, accuracy_high (95 % interval over seeds and test examples), mean_macro_f1,
    n_seeds, n_test, status ("complete", "2 of 4 seeds", "failed: ...", "not built yet", "number not known").
    """
    outcomes, printed = outcomes_of(workspace, cells), _printed()
    rows = []
    for source, method in _row_order(outcomes):
        for benchmark in workspace.profile.benchmarks:
            key = (source, method, benchmark)
            paper, outcome = printed.get(key, (np.nan, np.nan)), outcomes.get(key)
            rows.append(
                {
                    "train_source": source,
                    "method": method,
                    "reproduction": _reproduction(workspace, source, method),
                    "benchmark": benchmark,
                    "paper_accuracy": paper[0],
                    "paper_macro_f1": paper[1],
                    **_measures(outcome),
                    "status": outcome.status if outcome else _empty_status(source, method),
                }
            )
    return pd.DataFrame(rows)


def differences(workspace: Runs, cells: Iterable[Cell]) -> pd.DataFrame:
    """Every method minus CE-Loss within its train_source and benchmark, in points of accuracy.

    Columns: train_source, method, benchmark, baseline, then those of :func:`_comparison`: mean, low, high
    (paired over shared seeds and examples), n_seeds, n_test, p_mcnemar, p_permutation, status.
    """
    outcomes = outcomes_of(workspace, cells)
    baselines = {(s, b): m for s, m, b in outcomes if m.startswith("CE-Loss")}
    rows = []
    for source, method, benchmark in outcomes:
        baseline = baselines.get((source, benchmark))
        if baseline not in (None, method) and (source, method) != FEW_SHOT:
            pair = outcomes[source, method, benchmark], outcomes[source, str(baseline), benchmark]
            names = {"train_source": source, "method": method, "benchmark": benchmark, "baseline": baseline}
            rows.append({**names, **_comparison(*pair)})
    columns = ["train_source", "method", "benchmark", "baseline", *_comparison(None, None)]
    return pd.DataFrame(rows, columns=columns)


def claims(workspace: Runs, cells: Iterable[Cell]) -> pd.DataFrame:
    """What the paper claims on Table 1, with the paper's difference, ours, and the verdict of :data:`RULE`.

    Columns: those of :func:`paper_repro.published.claims` with one benchmark a row, paper_difference (points,
    best run minus best run), those of :func:`_comparison`, verdict. Where the two sides train on different
    data, runs of the same seed number are paired.
    """
    outcomes, paper, unknown = outcomes_of(workspace, cells), _printed(), (np.nan, np.nan)
    rows: list[dict[str, Any]] = []
    for claim in records(published.claims()):
        named = claim.pop("benchmarks")
        for benchmark in workspace.profile.benchmarks:
            ours = (claim["train_source"], claim["method"], benchmark)
            theirs = (claim["versus_source"], claim["versus_method"], benchmark)
            unheard_of = ours not in paper and ours not in outcomes  # the oracle, outside its world
            if unheard_of or (named and benchmark not in named.split(";")):
                continue
            compared = _comparison(outcomes.get(ours), outcomes.get(theirs))
            gap = paper.get(ours, unknown)[0] - paper.get(theirs, unknown)[0]
            rows.append(
                {
                    **claim,
                    "benchmark": benchmark,
                    "paper_difference": gap,
                    **compared,
                    "verdict": verdict(compared["low"], compared["high"], compared["status"]),
                }
            )
    return pd.DataFrame(rows)


def runs(workspace: Runs, cells: Iterable[Cell]) -> pd.DataFrame:
    """One row per run and epoch: what Figure 1 is drawn from. A run that is missing or failed has one row.

    Columns: profile, encoder, train_source, method, benchmark, seed, status ("complete", "missing",
    "failed: ..."), the fields of :class:`paper_repro.runs.EpochRecord` but the seconds (fractions, not per
    cent), selected (the epoch with the best dev accuracy), n_test, key. Nothing in it depends on the machine's
    speed, so the same runs give the same file; :func:`timings` has the seconds.
    """
    rows: list[dict[str, Any]] = []
    history_fields = [name for name in HISTORY_FIELDS if name != "seconds"]
    for cell in cells:
        names = _names(workspace, cell)
        if (result := workspace.result(cell.spec)) is None:
            reason = workspace.failure(cell.spec)
            rows.append({**names, "status": f"failed: {reason}" if reason else "missing"})
            continue
        for record in result.history:
            rows.append(
                {
                    **names,
                    "status": "complete",
                    **{name: getattr(record, name) for name in history_fields},
                    "selected": record.epoch == result.selected_epoch,
                    "n_test": len(result.test_labels),
                }
            )
    start = ["profile", "encoder", "train_source", "method", "benchmark", "seed", "status"]
    frame = pd.DataFrame(rows, columns=[*start, *history_fields, "selected", "n_test", "key"])
    return frame.astype({"epoch": "Int64", "n_test": "Int64", "selected": "boolean"})


def timings(workspace: Runs, cells: Iterable[Cell]) -> pd.DataFrame:
    """One row per finished run: wall-clock seconds by phase, device, versions and memory as its store has them.

    A checker that several cells share is counted in its own cell only.
    """
    rows = []
    for cell in cells:
        if (result := workspace.result(cell.spec)) is not None:
            seconds = {f"seconds_{phase}": spent for phase, spent in result.seconds.items()}
            rows.append({**_names(workspace, cell), **seconds, **dict(result.environment)})
    return pd.DataFrame(rows)


def verdict(low: float, high: float, status: str) -> str:
    """:data:`RULE` applied to an interval; an incomplete comparison has no verdict."""
    if status != "complete":
        return "not complete"
    return "holds" if low > 0 else "fails" if high < 0 else "cannot be told"


# ---------------------------------------------------------------- for the eye


def title(profile: Profile) -> str:
    """Heading of Table 1 for a profile; the miniature world's says what its paper columns are not."""
    heading = f"Table 1, the paper beside this reproduction ({profile.title}); accuracy / macro-F1 in per cent"
    return f"{heading}; {OTHER_DATA}" if profile.kind == "miniature" else heading


def side_by_side(frame: pd.DataFrame) -> pd.DataFrame:
    """Table 1 as the paper lays it out, as text: one row per method, "paper", "best", "mean" per benchmark.

    ``frame`` is that of :func:`table1`. What is not complete is marked in the mean's column.
    """
    order = list(dict.fromkeys(zip(frame["train_source"], frame["method"], strict=True)))
    columns: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for row in records(frame):
        heading, at = BENCHMARK_TITLES[row["benchmark"]], (row["train_source"], row["method"])
        texts = {
            "paper": _pair(row["paper_accuracy"], row["paper_macro_f1"]),
            "best": _pair(row["best_accuracy"], row["best_macro_f1"]),
            "mean [95 %]": _mean_text(row),
        }
        for column, text in texts.items():
            columns.setdefault((heading, column), {})[at] = text
    table = pd.DataFrame(columns, index=pd.MultiIndex.from_tuples(order))
    return table.rename_axis(index=["training data", "method"])


def _pair(accuracy: float, macro_f1: float) -> str:
    return "" if pd.isna(accuracy) else f"{accuracy:.2f} / {macro_f1:.2f}"


def _mean_text(row: Mapping[str, Any]) -> str:
    if pd.isna(row["mean_accuracy"]):
        return str(row["status"])
    mark = "" if row["status"] == "complete" else f" ({row['status']})"
    return f"{row['mean_accuracy']:.2f} [{row['accuracy_low']:.1f}, {row['accuracy_high']:.1f}]{mark}"


# ---------------------------------------------------------------- from runs to rows


def outcomes_of(workspace: Runs, cells: Iterable[Cell]) -> dict[Key, Outcome]:
    """Predictions of every cell of the table, and the generator's own labels in its few-shot row."""
    groups: dict[Key, list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.train_source, cell.method, cell.benchmark), []).append(cell)
    outcomes = {}
    for name in dict.fromkeys(benchmark for _, _, benchmark in groups):
        benchmark = workspace.benchmark(name)
        if (guess := generation.own_labels(benchmark)) is not None:
            labels = benchmark.pools["test"].labels
            key = (*FEW_SHOT, name)
            outcomes[key] = Outcome((0,), 1, labels, guess[None], benchmark.classes, "complete", fixed=True)
    return {**outcomes, **{key: _outcome(workspace, group) for key, group in groups.items()}}


def _outcome(workspace: Runs, group: list[Cell]) -> Outcome:
    found = [(cell.seed, r) for cell in group if (r := workspace.result(cell.spec)) is not None]
    reasons = [reason for cell in group if (reason := workspace.failure(cell.spec))]
    status = "complete" if len(found) == len(group) else f"{len(found)} of {len(group)} seeds"
    if status != "complete" and reasons:
        status = f"failed: {reasons[0]} ({status})"
    benchmark = workspace.benchmark(group[0].benchmark)
    labels = benchmark.pools["test"].labels
    guesses = [statistics.predicted_classes(result.test_probabilities) for _, result in found]
    predictions = np.array(guesses, dtype=np.int64).reshape(len(found), len(labels))
    seeds = tuple(seed for seed, _ in found)
    return Outcome(seeds, len(group), labels, predictions, benchmark.classes, status)


def _measures(outcome: Outcome | None) -> dict[str, Any]:
    """Our columns of Table 1; empty without a run."""
    names = "best_accuracy best_macro_f1 mean_accuracy accuracy_low accuracy_high mean_macro_f1 n_seeds n_test".split()
    if outcome is None or not outcome.seeds:
        return {**dict.fromkeys(names, np.nan), "n_seeds": None if outcome is None else 0}
    scores = [statistics.macro_f1(outcome.labels, p, outcome.classes) for p in outcome.predictions]
    interval = statistics.mean_interval(outcome.correct).scaled(100)
    best = 100 * float(outcome.correct[outcome.best].mean()), 100 * scores[outcome.best]
    counts = len(outcome.seeds), len(outcome.labels)
    numbers = (*best, interval.mean, interval.low, interval.high, 100 * float(np.mean(scores)), *counts)
    return dict(zip(names, numbers, strict=True))


def _comparison(ours: Outcome | None, theirs: Outcome | None) -> dict[str, Any]:
    """Ours minus theirs on the seeds that both have; the generator's labels meet every seed.

    ``p_mcnemar`` compares the two best runs, as the paper's tables do (which favours whoever drew more seeds);
    ``p_permutation`` swaps the methods per test example, over all shared seeds.
    """
    empty = dict.fromkeys(("mean", "low", "high", "n_seeds", "n_test", "p_mcnemar", "p_permutation"), np.nan)
    if ours is None or theirs is None:
        return {**empty, "status": "not run"}
    a, b = ours.correct, theirs.correct
    wanted, shared = ours.wanted, ours.seeds
    if theirs.fixed:
        b = np.repeat(b, len(a), axis=0)
    else:
        shared = tuple(seed for seed in ours.seeds if seed in theirs.seeds)
        wanted = max(ours.wanted, theirs.wanted)
        a, b = a[[ours.seeds.index(s) for s in shared]], b[[theirs.seeds.index(s) for s in shared]]
    status = "complete" if len(shared) == wanted else f"{len(shared)} of {wanted} seeds"
    if not shared:
        return {**empty, "n_seeds": 0, "status": status}
    interval = statistics.paired_interval(a, b).scaled(100)
    return {
        "mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n_seeds": len(shared),
        "n_test": a.shape[1],
        "p_mcnemar": statistics.mcnemar(ours.correct[ours.best], theirs.correct[theirs.best]),
        "p_permutation": statistics.paired_permutation(a, b),
        "status": status,
    }


def _printed() -> dict[Key, tuple[float, float]]:
    """Accuracy and macro-F1 of the paper's Table 1, per cent."""
    rows = records(published.table("table1"))
    return {(r["train_source"], r["method"], r["benchmark"]): (r["accuracy"], r["macro_f1"]) for r in rows}


def _row_order(outcomes: Mapping[Key, Outcome]) -> list[tuple[str, str]]:
    """The paper's rows in the paper's order, then in each block what only the camera-ready or we have."""
    printed = published.table("table1")
    rows = list(zip(printed["train_source"], printed["method"], strict=True))
    rows += [*published.NUMBERS_NOT_KNOWN, *((source, method) for source, method, _ in outcomes)]
    blocks = list(dict.fromkeys(source for source, _ in rows))
    return sorted(dict.fromkeys(rows), key=lambda row: blocks.index(row[0]))


def _reproduction(workspace: Runs, source: str, method: str) -> str:
    if (source, method) != FEW_SHOT:
        return ""
    if workspace.profile.kind == "miniature":
        return "the generator's own answer, argmax Q(y|x)"
    return generation.FEW_SHOT_GENERATOR


def _empty_status(source: str, method: str) -> str:
    """Why a row has no runs at all."""
    if (source, method) in published.NUMBERS_NOT_KNOWN:
        return "number not known"
    if (source, method) == FEW_SHOT:
        return "no predictions for this test set"
    return "not built yet" if method in NOT_BUILT_YET else "not run"


def _names(workspace: Runs, cell: Cell) -> dict[str, Any]:
    return {
        "profile": workspace.profile.name,
        "encoder": cell.spec.encoder,
        "train_source": cell.train_source,
        "method": cell.method,
        "benchmark": cell.benchmark,
        "seed": cell.seed,
        "key": workspace.key(cell.spec),
    }


# ---------------------------------------------------------------- files


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as plain dicts."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def save(frame: pd.DataFrame, path: Path) -> Path:
    """Write a CSV, whole or not at all; the same frame gives the same bytes (six significant digits)."""
    rounded = frame.copy()
    for name in rounded.select_dtypes("float").columns:
        rounded[name] = rounded[name] + 0.0  # no -0
    return write(path, rounded.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())


def load(path: Path) -> pd.DataFrame:
    """A CSV written by :func:`save`. Raises UserError where it is missing or no table."""
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"no table {path}: run the notebook that makes it first") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a table ({error}); delete it and run its notebook again") from None


def write(path: Path, content: bytes) -> Path:
    """Put a file in place at once: readers see the old one or the new one. UserError where that fails."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); nothing was changed there") from None
    return path
