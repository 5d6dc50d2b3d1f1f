"""What an entropy says of errors: conditional entropy beside the error on the same texts, with the two bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from paper_repro.measures import entropy
from paper_repro.paper import published
from paper_repro.paper.csv_files import records
from paper_repro.paper.information.cells import TABLE1_FITS, Fits
from paper_repro.paper.information.estimates import scores_of, span, status_of
from paper_repro.runs.results import Results

NAMES = {"train": "D_P", "generated": "D_Q"}
ENTROPY, ERROR = (tuple(f"{name}{end}" for end in ("", "_low", "_high")) for name in ("entropy", "error"))


def entropy_bound(results: Results, fits: Fits = TABLE1_FITS) -> pd.DataFrame:
    """Conditional entropy beside the error on the same texts: in-sample, held-out, and as the paper puts them.

    One row per benchmark, ``data`` ("D_P" under M_P, "D_Q" under M_Q), ``seen`` and ``form``. ``seen``: "in-sample",
    "held-out" (cross-fitted), "test" (M_P on the test set), "mixed" (the in-sample entropy beside the test error),
    "exact" (the true entropy and the Bayes error; miniature world only), "paper" (:func:`printed_point`).
    Columns further: entropy, entropy_low, entropy_high (nats), error, error_low, error_high (per cent; 95 % intervals
    over seeds and texts), expected_error (what the model itself expects, per cent), n_seeds, n, status, region
    ("impossible" in the label form, "overconfident": only for a model that is more confident than right, "allowed").
    """
    rows = []
    for benchmark in results.profile.benchmarks:
        for pool, data in NAMES.items():
            views = {"in-sample": (pool, 0), "held-out": (pool, fits.folds)}
            views |= {"test": ("test", 0)} if pool == "train" else {}
            points = {}
            for form in ("label", "full"):
                for seen, (scored, folds) in views.items():
                    points[seen, form] = _point(results, fits, benchmark, pool, scored, folds, form)
                if pool == "train":
                    error = {name: points["test", form][name] for name in ERROR}
                    points["mixed", form] = {**points["in-sample", form], **error, "expected_error": np.nan}
            if (truth := results.benchmark(benchmark).truth_of(pool)) is not None:
                points["exact", "full"] = _exact(truth.p if pool == "train" else truth.q)
            names = {"benchmark": benchmark, "data": data}
            rows += [{**names, "seen": seen, "form": form, **point} for (seen, form), point in points.items()]
    printed = [row for row in records(printed_point()) if row["benchmark"] in results.profile.benchmarks]
    frame = pd.DataFrame([*rows, *printed]).astype({"n_seeds": "Int64", "n": "Int64"})
    limits = [100 * bound(frame["entropy"]) for bound in (entropy.loss_bound, entropy.error_bound)]
    region = np.select([frame["error"] > limit for limit in limits], ["impossible", "overconfident"], "allowed")
    return frame.assign(region=np.where(frame["entropy"].isna(), "", region))


def printed_point() -> pd.DataFrame:
    """H(P) as printed in Sec. 3.2 beside the error of the CE model on large real data as printed in Table 1."""
    table = published.table("table1").query("train_source == 'train' and method == 'ce'")
    printed = published.table("section3_2").query("quantity == 'H(P)'").rename(columns={"value": "entropy"})
    both = printed.merge(table, on="benchmark").assign(data="D_P", seen="paper", form="", status="complete")
    both["error"] = 100 - both["accuracy"]
    return both[["benchmark", "data", "seen", "form", "entropy", "error", "status"]]


def _point(
    results: Results, fits: Fits, benchmark: str, fitted_on: str, pool: str, folds: int, form: str
) -> dict[str, Any]:
    """Entropy and error of one model on one pool."""
    log_p = np.array([*scores_of(results, fits, benchmark, fitted_on, pool, folds).values()])
    labels = results.benchmark(benchmark).pool(pool).labels
    status = status_of(len(log_p), len(fits.seeds_of(results.profile, folds)))
    numbers = dict.fromkeys((*ENTROPY, *ERROR, "expected_error"), np.nan)
    if len(log_p):
        terms = entropy.entropy_terms(log_p, labels if form == "label" else None)
        error = span(entropy.error_terms(log_p, labels), *ERROR)
        numbers = {**span(terms, *ENTROPY), **{name: 100 * share for name, share in error.items()}}
        numbers["expected_error"] = 100 * float(entropy.expected_error_terms(log_p).mean())
    return {**numbers, "n_seeds": len(log_p), "n": len(labels), "status": status}


def _exact(probabilities: Any) -> dict[str, Any]:
    """The true conditional entropy, and the error of the most likely class, means over the pool's texts."""
    logs = entropy.exact_logs(probabilities)
    error = 100 * float(entropy.expected_error_terms(logs).mean())
    numbers = {"entropy": float(entropy.entropy_terms(logs).mean()), "error": error, "expected_error": error}
    return {**numbers, "n": len(logs), "status": "complete"}
