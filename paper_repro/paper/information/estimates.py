"""Sec. 3.2 as tables: every estimator of conditional entropy and KL divergence, and the claims on them.

M_P and M_Q are the CE models fitted on D_P ("train") and D_Q ("generated"). A model's scores of its own pool are
*in-sample* or *held-out* (cross-fitted); its scores of the other pool are always of texts that it has not seen.
All entropies and divergences are in nats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro.measures import entropy, intervals
from paper_repro.paper import published
from paper_repro.paper.cells import Cell
from paper_repro.paper.csv_files import records
from paper_repro.paper.information.cells import FITTED_ON, TABLE1_FITS, Fits
from paper_repro.paper.outcomes import UNKNOWN, judged, seeds_status, verdict
from paper_repro.paper.run_table import runs
from paper_repro.paper.views import interval_text, titled, wide
from paper_repro.runs.results import Results
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
MARGIN = 0.05
"""How far above 0.5 the AUC of the two-sample test may lie if Q(x) counts as close to P(x)."""
CLAIMS = {
    "entropy": ("H(Q) > H(P)", "H(Q)", "H(P)"),
    "divergence": ("KL(Q||P) > KL(P||Q)", "KL(Q||P)", "KL(P||Q)"),
}
"""Sec. 3.2 by id: the claim, the larger quantity, the smaller one."""


@dataclass(frozen=True)
class Estimate:
    """One estimator of one quantity: by seed its ``terms`` (texts,), whose mean is the estimate.

    ``exact`` (texts,) are the terms of the true P(y|x) and Q(y|x) on the same texts, in the miniature world.
    """

    benchmark: str
    quantity: str
    variant: str
    terms: Mapping[int, Floats]
    planned: int
    exact: Floats | None = None


def estimates(results: Results, fits: Fits = TABLE1_FITS) -> list[Estimate]:
    """Every quantity of Sec. 3.2 by every variant and benchmark, from the scores that the store has.

    A seed counts where all scores that the estimate needs are there. Raises UserError where no estimate has a seed.
    """
    found = [
        _estimate(results, fits, benchmark, quantity, variant)
        for benchmark in results.profile.benchmarks
        for quantity in QUANTITIES
        for variant in VARIANTS
    ]
    if not any(one.terms for one in found):
        raise UserError("no seed has the scores of both models; run the notebook with train = True")
    return found


def _estimate(results: Results, fits: Fits, benchmark: str, quantity: str, variant: str) -> Estimate:
    (seen, form), pool, made = VARIANTS[variant], QUANTITIES[quantity], results.benchmark(benchmark)
    labels = made.pool(pool).labels if form == "label" else None
    folds = fits.folds if seen == "held-out" else 0
    (rival,) = (other for other in FITTED_ON if other != pool)
    own = scores_of(results, fits, benchmark, pool, pool, folds)
    other = own if quantity.startswith("H") else scores_of(results, fits, benchmark, rival, pool)
    terms = {seed: _terms(quantity, own[seed], other[seed], labels) for seed in own if seed in other}
    exact = None
    if (truth := made.truth_of(pool)) is not None:
        p, q = entropy.exact_logs(truth.p), entropy.exact_logs(truth.q)
        exact = _terms(quantity, *((p, q) if pool == "train" else (q, p)), None)
    return Estimate(benchmark, quantity, variant, terms, len(fits.seeds_of(results.profile, folds)), exact)


def _terms(quantity: str, own: Floats, other: Floats, labels: NDArray[np.int64] | None) -> Floats:
    """(texts,) terms of an entropy of ``own``, or of its divergence from ``other``."""
    return entropy.entropy_terms(own, labels) if quantity.startswith("H") else entropy.kl_terms(own, other, labels)


def scores_of(
    results: Results, fits: Fits, benchmark: str, fitted_on: str, pool: str, folds: int = 0
) -> dict[int, Floats]:
    """log p(y|x) of a pool under the model fitted on another or the same pool, (texts, classes), for each seed whose
    scores the store has; ``folds`` > 0 for held-out ones."""
    found = {}
    for seed in fits.seeds_of(results.profile, folds):
        with suppress(UserError):  # not computed
            checker = fits.model(results.profile, benchmark, fitted_on, seed, folds)
            found[seed] = results.scores(checker, benchmark, pool).astype(np.float64)
    return found


# ---------------------------------------------------------------- tables


def section3_2(found: Iterable[Estimate]) -> pd.DataFrame:
    """The variants beside the paper's four numbers and, in the miniature world, beside the exact values; in nats.

    Columns: benchmark, quantity, variant, seen, form, paper (Financial only), mean, low, high (95 % interval over
    seeds and texts), exact, gap, gap_low, gap_high (estimate minus exact, paired by text), n_seeds, n (texts), status.
    """
    printed, rows = _printed(), []
    for one in found:
        terms = np.array([*one.terms.values()])
        gaps = {"exact": np.nan, "gap": np.nan, "gap_low": np.nan, "gap_high": np.nan}
        if one.exact is not None:
            differences = np.array([values - one.exact for values in one.terms.values()])
            gaps = {"exact": float(one.exact.mean()), **span(differences, "gap", "gap_low", "gap_high")}
        rows.append(
            {
                "benchmark": one.benchmark,
                "quantity": one.quantity,
                "variant": one.variant,
                **dict(zip(("seen", "form"), VARIANTS[one.variant], strict=True)),
                "paper": printed.get((one.benchmark, one.quantity), np.nan),
                **span(terms, "mean", "low", "high"),
                **gaps,
                "n_seeds": len(one.terms),
                "n": terms.shape[-1],
                "status": status_of(len(one.terms), one.planned),
            }
        )
    return pd.DataFrame(rows)


def span(terms: Floats, *names: str) -> dict[str, float]:
    """Mean, low and high of (seeds, texts), under these ``names``; nan without a seed."""
    interval = intervals.mean_interval(terms) if terms.size else UNKNOWN
    return dict(zip(names, (interval.mean, interval.low, interval.high), strict=True))


def status_of(found: int, planned: int) -> str:
    return seeds_status(found, planned) if planned else "not run"


def variants(frame: pd.DataFrame) -> pd.DataFrame:
    """:func:`section3_2` for the eye: one row for each quantity, one column for each variant."""
    rows = ["benchmark", "quantity"]
    shown = wide(
        frame, rows, "variant", lambda r: interval_text(r["mean"], r["low"], r["high"], 3, signed=False) or r["status"]
    )
    known = titled(frame).groupby(rows, sort=False)[["exact", "paper"]].first()
    return shown.join(known.dropna(axis=1, how="all").round(4).astype(object).fillna(""))


def nearest(frame: pd.DataFrame, to: str = "exact") -> pd.DataFrame:
    """How far each variant of :func:`section3_2` is from the truth, or from the "paper": mean absolute gap by variant
    and quantity, over all of them, and the number of (benchmark, quantity) pairs in which it is the nearest. Empty
    where these are not known."""
    known = frame.assign(size=(frame["mean"] - frame[to]).abs()).dropna(subset="size")
    table = known.pivot_table(index="variant", columns="quantity", values="size", sort=False)
    best = known.loc[known.groupby(["benchmark", "quantity"])["size"].idxmin(), "variant"].value_counts()
    overall = known.groupby("variant")["size"].mean()
    return table.assign(all=overall, nearest_in=best.reindex(table.index, fill_value=0))


def training_loss(results: Results, cells: Iterable[Cell]) -> pd.DataFrame:
    """Training loss of both models by epoch: benchmark, fitted_on, seed, epoch, training_loss (nats), kept."""
    names = {"train_source": "fitted_on", "train_loss": "training_loss", "selected": "kept"}
    frame = runs(results, [cell for cell in cells if cell.method == "ce"]).rename(columns=names)
    return frame[["benchmark", "fitted_on", "seed", "epoch", "training_loss", "kept"]]


def last_epoch(results: Results, fits: Fits) -> pd.DataFrame:
    """The in-sample rows of :func:`section3_2` with the epoch of best dev accuracy and with the last one, for
    the seeds of ``fits``; one more column, select ("dev" or "last")."""
    parts = []
    for select in ("dev", "last"):
        frame = section3_2(estimates(results, replace(fits, select=select)))
        parts.append(frame[frame["seen"] == "in-sample"].assign(select=select))
    return pd.concat(parts, ignore_index=True)


def information_claims(found: Iterable[Estimate], inputs: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """The paper's claims on P and Q, judged by :data:`paper_repro.paper.outcomes.RULE` on a difference.

    That of the first two claims is in nats, over shared seeds and each side's own texts. The third says that Q(x) is
    close to P(x): ``inputs`` is the frame of :func:`paper_repro.paper.information.input_shift.aucs`, and the
    difference is 0.5 + ``margin`` minus the AUC of D_P against the benchmark's own D_Q. Columns: id, claim, section,
    benchmark, statistic (what the numbers are), variant, paper_difference, those of
    :func:`paper_repro.paper.outcomes.judged`, n (texts of both sides), item.
    """
    by_name = {(one.benchmark, one.quantity, one.variant): one for one in found}
    printed, rows = _printed(), list[dict[str, Any]]()
    for benchmark in dict.fromkeys(name for name, _, _ in by_name):
        for name, (claim, more, less) in CLAIMS.items():
            gap = printed.get((benchmark, more), np.nan) - printed.get((benchmark, less), np.nan)
            about = {"id": name, "claim": claim, "section": "3.2", "benchmark": benchmark, "statistic": "nats"}
            for variant in VARIANTS:
                difference = _difference(by_name[benchmark, more, variant], by_name[benchmark, less, variant])
                rows.append({**about, "variant": variant, "paper_difference": gap, **difference})
    for row in records(inputs[inputs["comparison"] == "generated"].drop_duplicates("benchmark")):
        mean, high, low = (0.5 + margin - row[end] for end in ("auc", "low", "high"))
        about = {"id": "same_inputs", "claim": "Q(x) is close to P(x)", "section": "3.3", "benchmark": row["benchmark"]}
        about |= {"statistic": f"{0.5 + margin:g} - AUC", "variant": "two-sample test"}
        numbers = {"mean": mean, "low": low, "high": high, "n": row["n_p"] + row["n_q"], "status": "complete"}
        rows.append({**about, **numbers, "verdict": verdict(low, high)})
    return pd.DataFrame(rows).assign(item="Sec. 3.2").astype({"n_seeds": "Int64", "n": "Int64"})


def _difference(a: Estimate, b: Estimate) -> dict[str, Any]:
    shared = [seed for seed in a.terms if seed in b.terms]
    sides = [np.array([one.terms[seed] for seed in shared]) for one in (a, b)]
    interval = intervals.unpaired_interval(*sides) if shared else UNKNOWN
    return {**judged(interval, len(shared), max(a.planned, b.planned)), "n": sum(side.shape[-1] for side in sides)}


def _printed() -> dict[tuple[str, str], float]:
    """The paper's numbers by benchmark and quantity."""
    return {(r["benchmark"], r["quantity"]): r["value"] for r in records(published.table("section3_2"))}
