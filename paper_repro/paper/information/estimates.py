"""Sec. 3.2 as tables: every estimator of conditional entropy and KL divergence, and the claims on them.

M_P and M_Q are the CE models fitted on D_P ("train") and D_Q ("generated"). A model's scores of its own pool are
*in-sample* or *held-out* (cross-fitted); its scores of the other pool are always of texts that it has not seen.
All entropies and divergences are in nats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro.measures import entropy, intervals
from paper_repro.paper import published
from paper_repro.paper.cells import Cell, checker
from paper_repro.paper.csv_files import records
from paper_repro.paper.information.cells import FITTED_ON, Fits
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


def estimates(results: Results, fits: Fits) -> list[Estimate]:
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
    seeds = fits.seeds_of(results.profile, folds)

    def scores(fitted_on: str, folds: int = 0) -> dict[int, Floats]:
        found = {}
        for seed in seeds:
            with suppress(UserError):  # not computed
                model = checker(results.profile, benchmark, fitted_on, seed, folds)
                found[seed] = results.scores(model, benchmark, pool).astype(np.float64)
        return found

    def terms(own: Floats, other: Floats, labels: NDArray[np.int64] | None) -> Floats:
        """(texts,) terms of an entropy of ``own``, or of its divergence from ``other``."""
        return entropy.entropy_terms(own, labels) if is_entropy else entropy.kl_terms(own, other, labels)

    is_entropy, (rival,) = quantity.startswith("H"), (other for other in FITTED_ON if other != pool)
    own = scores(pool, folds)
    other = own if is_entropy else scores(rival)
    by_seed = {seed: terms(own[seed], other[seed], labels) for seed in own if seed in other}
    exact = None
    if (truth := made.truth_of(pool)) is not None:
        p, q = entropy.exact_logs(truth.p), entropy.exact_logs(truth.q)
        exact = terms(*((p, q) if pool == "train" else (q, p)), None)
    return Estimate(benchmark, quantity, variant, by_seed, len(seeds), exact)


def section3_2(found: Iterable[Estimate]) -> pd.DataFrame:
    """The variants beside the paper's four numbers (Financial only) and, in the miniature world, the exact values.

    In nats, with 95 % intervals over seeds and texts; a gap is estimate minus exact, paired by text.
    """
    printed, rows = _printed(), []
    for one in found:
        terms, (seen, form) = np.array([*one.terms.values()]), VARIANTS[one.variant]
        names = {"benchmark": one.benchmark, "quantity": one.quantity, "variant": one.variant, "seen": seen}
        row = {**names, "form": form, "paper": printed.get((one.benchmark, one.quantity), np.nan)}
        row |= dict(zip(("mean", "low", "high"), _span(terms), strict=True))
        gaps = terms - one.exact if one.exact is not None and terms.size else np.empty(0)
        row |= {"exact": np.nan if one.exact is None else float(one.exact.mean())}
        row |= dict(zip(("gap", "gap_low", "gap_high"), _span(gaps), strict=True))
        status = seeds_status(len(one.terms), one.planned) if one.planned else "not run"
        rows.append({**row, "n_seeds": len(one.terms), "n": terms.shape[-1], "status": status})
    return pd.DataFrame(rows)


def _span(terms: Floats) -> tuple[float, float, float]:
    """Mean, low and high of (seeds, texts); nan without a seed."""
    interval = intervals.mean_interval(terms) if terms.size else UNKNOWN
    return interval.mean, interval.low, interval.high


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


def information_claims(found: Iterable[Estimate], inputs: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """The paper's claims on P and Q, judged by :data:`paper_repro.paper.outcomes.RULE` on a difference.

    That of the first two claims is in nats, over shared seeds and each side's own texts. The third says that Q(x) is
    close to P(x): the difference is 0.5 + ``margin`` minus the AUC of D_P against the benchmark's own D_Q, from
    ``inputs``, the frame of :func:`paper_repro.paper.information.input_shift.run_tests`.
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


def printed_point() -> pd.DataFrame:
    """H(P) as printed in Sec. 3.2 beside the error of the CE model on large real data as printed in Table 1."""
    table = published.table("table1").query("train_source == 'train' and method == 'ce'")
    printed = published.table("section3_2").query("quantity == 'H(P)'").rename(columns={"value": "entropy"})
    both = printed.merge(table, on="benchmark")
    return both.assign(error=100 - both["accuracy"])[["benchmark", "entropy", "error"]]
