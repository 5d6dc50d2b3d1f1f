"""Sec. 3.2 as tables: every estimator of conditional entropy and KL, what it says of errors, and the claims.

M_P and M_Q are the CE models fitted on D_P ("train") and D_Q ("generated"). A model's scores of its own pool are
*in-sample* or *held-out* (cross-fitted); its scores of the other pool are always of texts that it has not seen.
All entropies and divergences are in nats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro.measures import entropy, intervals
from paper_repro.paper import published
from paper_repro.paper.csv_files import records
from paper_repro.paper.information.cells import TABLE1_FITS, Fits
from paper_repro.paper.information.input_shift import TwoSample
from paper_repro.paper.outcomes import verdict
from paper_repro.runs.spec import Checker
from paper_repro.tools.errors import UserError

Floats = NDArray[np.float64]
QUANTITIES = {"H(P)": "train", "H(Q)": "generated", "KL(Q||P)": "generated", "KL(P||Q)": "train"}
"""Each number of Sec. 3.2 with the pool that its mean is over."""
VARIANTS = {
    "a": ("in-sample", "label"),
    "b": ("in-sample", "full"),
    "c": ("held-out", "label"),
    "d": ("held-out", "full"),
}
OTHER = {"train": "generated", "generated": "train"}
NAMES = {"train": "D_P", "generated": "D_Q"}
MARGIN = 0.05
CLAIMS = {"H(Q) > H(P)": ("H(Q)", "H(P)"), "KL(Q||P) > KL(P||Q)": ("KL(Q||P)", "KL(P||Q)")}
ITEM = "Sec. 3.2"
SAME_INPUTS = "Q(x) is close to P(x)"


class Scored(Runs, Protocol):
    """What these tables need of a :class:`paper_repro.study.Workspace`."""

    def scores(self, checker: Checker, benchmark: str, pool: str, *, compute: bool = True) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Estimate:
    """One estimator of one quantity: its ``terms`` (seeds found, texts), whose mean is the estimate.

    ``exact`` (texts,) are the terms of the true P(y|x) and Q(y|x) on the same texts, where a made world knows them.
    """

    benchmark: str
    quantity: str
    variant: str
    terms: Floats
    seeds: tuple[int, ...]
    wanted: int
    exact: Floats | None = None

    @property
    def status(self) -> str:
        return _status(len(self.seeds), self.wanted)


def estimates(workspace: Scored, fits: Fits = TABLE1_FITS) -> list[Estimate]:
    """Every quantity of Sec. 3.2 by every variant and benchmark, from the scores that the store has.

    A seed counts where all scores that the estimate needs are there.
    """
    found = []
    for benchmark in workspace.profile.benchmarks:
        for quantity in QUANTITIES:
            exact = _exact(workspace, benchmark, quantity)
            for variant, (seen, form) in VARIANTS.items():
                folds = fits.folds if seen == "held-out" else 0
                seeds = fits.seeds_of(workspace.profile, folds)
                each = {seed: _terms(workspace, fits, benchmark, quantity, form, seed, folds) for seed in seeds}
                terms = {seed: values for seed, values in each.items() if values is not None}
                size = len(workspace.benchmark(benchmark).pool(QUANTITIES[quantity]))
                rows = np.array(list(terms.values())).reshape(len(terms), size)
                found.append(Estimate(benchmark, quantity, variant, rows, tuple(terms), len(seeds), exact))
    return found


def section3_2(found: Iterable[Estimate]) -> pd.DataFrame:
    """The variants beside the paper's four numbers and, in a made world, beside the exact values; in nats.

    Columns: benchmark, quantity, variant, seen, form, paper (Financial only), mean, low, high (95 % interval over
    seeds and texts), exact, gap, gap_low, gap_high (estimate minus exact, paired by text), n_seeds, n (texts), status.
    """
    printed, rows = _printed(), []
    for one in found:
        seen, form = VARIANTS[one.variant]
        names = {"benchmark": one.benchmark, "quantity": one.quantity, "variant": one.variant, "seen": seen}
        paper = printed.get((one.benchmark, one.quantity), np.nan)
        row = {**names, "form": form, "paper": paper, **_span(one.terms)}
        row["exact"] = np.nan if one.exact is None else float(one.exact.mean())
        row |= _span(np.empty((0, 0)) if one.exact is None else one.terms - one.exact, "gap", "gap_low", "gap_high")
        rows.append({**row, "n_seeds": len(one.seeds), "n": one.terms.shape[1] or None, "status": one.status})
    return pd.DataFrame(rows).astype({"n": "Int64"})


def nearest(frame: pd.DataFrame) -> pd.DataFrame:
    """How far each variant of :func:`section3_2` is from the truth: mean absolute gap by variant and quantity, with
    the number of (benchmark, quantity) pairs in which it is the nearest (``nearest_in``); empty without a truth."""
    known = frame.dropna(subset="gap").assign(size=lambda rows: rows["gap"].abs())
    table = known.pivot_table(index="variant", columns="quantity", values="size", sort=False)
    table = table.reindex(columns=[name for name in QUANTITIES if name in table.columns])
    best = known.loc[known.groupby(["benchmark", "quantity"])["size"].idxmin(), "variant"].value_counts()
    overall = known.groupby("variant")["size"].mean()
    return table.assign(all=overall, nearest_in=best.reindex(table.index, fill_value=0))


def information_claims(found: Iterable[Estimate], inputs: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """The paper's claims on P and Q, judged by :data:`paper_repro.tables.RULE` on the interval of a difference.

    ``inputs`` are the rows of :func:`input_shift` that compare D_P with D_Q. The difference of the first two claims is
    theirs, in nats, over shared seeds and each side's own texts; that of the third is 0.5 + ``margin`` minus the AUC
    of the two-sample test. Columns: claim, section, item, benchmark, variant, statistic (what the numbers are),
    paper_difference, mean, low, high, n_seeds, n (texts of both sides), status, verdict.
    """
    by_name = {(one.benchmark, one.quantity, one.variant): one for one in found}
    printed, rows = _printed(), []
    for benchmark in dict.fromkeys(name for name, _, _ in by_name):
        for claim, (more, less) in CLAIMS.items():
            for variant in VARIANTS:
                a, b = by_name[benchmark, more, variant], by_name[benchmark, less, variant]
                names = {"claim": claim, "section": "3.2", "item": ITEM, "benchmark": benchmark, "variant": variant}
                gap = printed.get((benchmark, more), np.nan) - printed.get((benchmark, less), np.nan)
                rows.append({**names, "statistic": "nats", "paper_difference": gap, **_difference(a, b)})
    for row in records(inputs):
        about: dict[str, Any] = {"claim": SAME_INPUTS, "section": "3.3", "item": ITEM, "benchmark": row["benchmark"]}
        about |= {"variant": "two-sample test", "statistic": f"{0.5 + margin:g} - AUC", "paper_difference": np.nan}
        span = {"mean": row["auc"], "low": row["high"], "high": row["low"]}
        room = {name: 0.5 + margin - value for name, value in span.items()}
        rows.append({**about, **room, "n_seeds": None, "n": row["n_p"] + row["n_q"], "status": "complete"})
    frame = pd.DataFrame(rows).astype({"n_seeds": "Int64", "n": "Int64"})
    return frame.assign(verdict=[verdict(r["low"], r["high"], r["status"]) for r in rows])


def entropy_bound(workspace: Scored, fits: Fits = TABLE1_FITS) -> pd.DataFrame:
    """Conditional entropy beside the error on the same texts: in-sample, held-out, and as the paper puts them.

    One row a benchmark, ``data`` ("D_P" under M_P, "D_Q" under M_Q), ``seen`` and ``form``. ``seen``: "in-sample",
    "held-out" (cross-fitted), "test" (M_P on the test set), "in-sample, test error" (the entropy of the one beside
    the error of the other), "exact" (the true law's entropy and the Bayes error; made world only), "paper".
    Columns further: entropy, entropy_low, entropy_high (nats), error, error_low, error_high (per cent; 95 % intervals
    over seeds and texts), expected_error (what the model itself expects, per cent), n_seeds, n, status.
    """
    rows = []
    for benchmark in workspace.profile.benchmarks:
        for pool in NAMES:
            views = {
                "in-sample": _views(workspace, fits, benchmark, pool, pool),
                "held-out": _views(workspace, fits, benchmark, pool, pool, fits.folds),
            }
            if pool == "train":
                views["test"] = _views(workspace, fits, benchmark, pool, "test")
            rows += [_bound_row(benchmark, pool, seen, form, view) for seen, view in views.items() for form in FORMS]
            if pool == "train":
                rows += _as_the_paper(rows[-2 * len(views) :])
            if (truth := workspace.benchmark(benchmark).truth_of(pool)) is not None:
                law = entropy.exact_logs(truth.p if pool == "train" else truth.q)
                rows.append(_exact_row(benchmark, pool, law))
    return pd.concat([pd.DataFrame(rows), entropy_bound_of_paper()], ignore_index=True).astype(
        {"n_seeds": "Int64", "n": "Int64"}
    )


def entropy_bound_of_paper() -> pd.DataFrame:
    """H(P) as printed in Sec. 3.2 beside the error of the CE model on large real data as printed in Table 1: rows of
    :func:`entropy_bound`, ``seen`` "paper"."""
    table = published.table("table1")
    ce = table[(table["train_source"] == "Large real world") & (table["method"] == "CE-Loss")]
    accuracy = ce.set_index("benchmark")["accuracy"]
    printed = published.table("section3_2").query("quantity == 'H(P)'")
    rows = [
        {
            "benchmark": row["benchmark"],
            "data": "D_P",
            "seen": "paper",
            "form": "not said",
            "entropy": row["value"],
            "error": 100 - accuracy[row["benchmark"]],
            "n_seeds": None,
            "n": None,
            "status": "complete",
        }
        for row in records(printed)
    ]
    return pd.DataFrame(rows)


def input_shift(tested: Mapping[tuple[str, str], TwoSample], best: Mapping[tuple[str, str], float]) -> pd.DataFrame:
    """The two-sample tests by (benchmark, comparison): benchmark, comparison, auc, low, high (95 %), best_auc (that of
    the best classifier, where the laws are known), n_p, n_q (texts)."""
    return pd.DataFrame(
        [
            {
                "benchmark": benchmark,
                "comparison": comparison,
                "auc": test.auc.mean,
                "low": test.auc.low,
                "high": test.auc.high,
                "best_auc": best.get((benchmark, comparison), np.nan),
                "n_p": len(test.log_ratio_p),
                "n_q": len(test.log_ratio_q),
            }
            for (benchmark, comparison), test in tested.items()
        ]
    )


# ---------------------------------------------------------------- helpers

FORMS = ("label", "full")
View = tuple[Floats, NDArray[np.int64], int]
"""Log-probabilities (seeds found, texts, classes), labels (texts,), and the number of seeds wanted."""


def _status(found: int, wanted: int) -> str:
    if not wanted:
        return "not run"
    return "complete" if found == wanted else f"{found} of {wanted} seeds"


def _scores(
    workspace: Scored, fits: Fits, benchmark: str, fitted_on: str, pool: str, seed: int, folds: int
) -> Floats | None:
    """(texts, classes) log-probabilities, or None where the store does not have them."""
    checker = fits.model(workspace.profile, benchmark, fitted_on, seed, folds)
    try:
        found = workspace.scores(checker, benchmark, pool, compute=False)
    except UserError:
        return None
    return found.astype(np.float64)


def _terms(
    workspace: Scored, fits: Fits, benchmark: str, quantity: str, form: str, seed: int, folds: int
) -> Floats | None:
    """(texts,) terms of one quantity for one seed."""
    pool = QUANTITIES[quantity]
    labels = workspace.benchmark(benchmark).pool(pool).labels if form == "label" else None
    own = _scores(workspace, fits, benchmark, pool, pool, seed, folds)
    if own is None:
        return None
    if quantity.startswith("H"):
        return entropy.entropy_terms(own, labels)
    other = _scores(workspace, fits, benchmark, OTHER[pool], pool, seed, 0)
    return None if other is None else entropy.kl_terms(own, other, labels)


def _exact(workspace: Scored, benchmark: str, quantity: str) -> Floats | None:
    """(texts,) full-form terms of the true laws on the quantity's texts, or None outside a made world."""
    truth = workspace.benchmark(benchmark).truth_of(QUANTITIES[quantity])
    if truth is None:
        return None
    p, q = entropy.exact_logs(truth.p), entropy.exact_logs(truth.q)
    own, other = (p, q) if QUANTITIES[quantity] == "train" else (q, p)
    return entropy.entropy_terms(own) if quantity.startswith("H") else entropy.kl_terms(own, other)


def _printed() -> dict[tuple[str, str], float]:
    """The paper's numbers by benchmark and quantity."""
    rows = records(published.table("section3_2"))
    return {(row["benchmark"], row["quantity"]): row["value"] for row in rows}


def _span(terms: Floats, *names: str) -> dict[str, float]:
    """Mean, low and high of (seeds, texts), under other ``names`` if given; nan without a seed."""
    columns = names or ("mean", "low", "high")
    if not terms.size:
        return dict.fromkeys(columns, np.nan)
    found = intervals.mean_interval(terms)
    return dict(zip(columns, (found.mean, found.low, found.high), strict=True))


def _difference(a: Estimate, b: Estimate) -> dict[str, Any]:
    shared = [seed for seed in a.seeds if seed in b.seeds]
    status = _status(len(shared), max(a.wanted, b.wanted))
    if not shared:
        return {"mean": np.nan, "low": np.nan, "high": np.nan, "n_seeds": 0, "n": None, "status": status}
    sides = [one.terms[[one.seeds.index(seed) for seed in shared]] for one in (a, b)]
    found = intervals.unpaired_interval(*sides)
    counts = {"n_seeds": len(shared), "n": sides[0].shape[1] + sides[1].shape[1]}
    return {"mean": found.mean, "low": found.low, "high": found.high, **counts, "status": status}


def _views(workspace: Scored, fits: Fits, benchmark: str, fitted_on: str, pool: str, folds: int = 0) -> View:
    seeds = fits.seeds_of(workspace.profile, folds)
    found = [_scores(workspace, fits, benchmark, fitted_on, pool, seed, folds) for seed in seeds]
    there = [scores for scores in found if scores is not None]
    made = workspace.benchmark(benchmark)
    labels = made.pool(pool).labels
    return np.array(there).reshape(len(there), len(labels), made.classes), labels, len(seeds)


def _bound_row(benchmark: str, pool: str, seen: str, form: str, view: View) -> dict[str, Any]:
    log_p, labels, wanted = view
    row: dict[str, Any] = {"benchmark": benchmark, "data": NAMES[pool], "seen": seen, "form": form}
    if len(log_p):
        row |= _span(entropy.entropy_terms(log_p, labels if form == "label" else None), *_columns("entropy"))
        row |= _span(100 * entropy.error_terms(log_p, labels), *_columns("error"))
        row["expected_error"] = 100 * float(entropy.expected_error_terms(log_p).mean())
    else:
        row |= dict.fromkeys((*_columns("entropy"), *_columns("error"), "expected_error"), np.nan)
    return {**row, "n_seeds": len(log_p), "n": len(labels), "status": _status(len(log_p), wanted)}


def _columns(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def _as_the_paper(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The in-sample entropy beside the test error: what stands in the paper is of this kind, or cannot be."""
    by_kind = {(row["seen"], row["form"]): row for row in rows}
    made = []
    for form in FORMS:
        error = {name: by_kind["test", form][name] for name in _columns("error")}
        made.append({**by_kind["in-sample", form], "seen": "in-sample, test error", "expected_error": np.nan, **error})
    return made


def _exact_row(benchmark: str, pool: str, law: Floats) -> dict[str, Any]:
    """The conditional entropy of the true law and the error of its likeliest class, means over the pool's texts."""
    least, error = float(entropy.entropy_terms(law).mean()), float(entropy.expected_error_terms(law).mean())
    names = {"benchmark": benchmark, "data": NAMES[pool], "seen": "exact", "form": "full"}
    numbers = {"entropy": least, "error": 100 * error, "expected_error": 100 * error}
    return {**names, **numbers, "n_seeds": None, "n": len(law), "status": "complete"}
