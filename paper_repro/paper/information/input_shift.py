"""Do the inputs of D_Q look like those of D_P? The assumption Q(x) = P(x) of Sec. 3.3, on which Eq. 5 rests.

A classifier two-sample test (Lopez-Paz & Oquab 2017): a classifier is asked which of two sets a text comes from.
If the sets have the same distribution, no classifier can tell, and its AUC on texts that it has not seen is 0.5. The
classifier here sees words and pairs of neighbouring words, nothing else: an AUC of 0.5 says that *it* finds no
difference, not that there is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import norm
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from paper_repro.measures.intervals import Interval
from paper_repro.measures.ranks import placements
from paper_repro.runs.results import Results
from paper_repro.texts import world
from paper_repro.texts.generated import whole_texts
from paper_repro.texts.pools import Benchmark

PENALTIES = (0.1, 1.0, 10.0)
"""Inverse strengths of the classifier's penalty; the one with the best held-out log-likelihood is taken."""


def compared(benchmark: Benchmark, seed: int = 0) -> dict[str, tuple[list[str], list[str]]]:
    """The pairs of text sets to compare: "generated" (D_P against D_Q), the control "halves" (D_P cut in two at random,
    where only chance can be found), and "unseen" (D_P against D_P' and the test set: alike if the split was random)."""
    real = whole_texts(benchmark.pool("train"))
    first, second = np.array_split(np.random.default_rng(seed).permutation(len(real)), [len(real) // 2])
    return {
        "generated": (real, whole_texts(benchmark.pool("generated"))),
        "halves": ([real[i] for i in first], [real[i] for i in second]),
        "unseen": (real, whole_texts(benchmark.pool("dev+test"))),
    }


def run_tests(results: Results, knobs: Sequence[float] = (), seed: int = 0) -> pd.DataFrame:
    """Every comparison on every benchmark, a row each: the AUC with its 95 % interval, and the numbers of texts.

    In the miniature world, whose inputs are alike by construction, D_P is also compared with the D_Q of worlds with
    input_shift at each of ``knobs``, and ``best_auc``, that of the best classifier, is known.
    """
    set_knobs = {**results.profile.world, **results.inputs.world}
    config = world.WorldConfig(**set_knobs) if results.profile.kind == "miniature" else None
    usual = config.input_shift if config else 0.0
    turned = {knob: world.make(replace(config, input_shift=knob)) for knob in knobs} if config else {}
    rows = []
    for name in results.profile.benchmarks:
        pairs = {(what, usual): pair for what, pair in compared(results.benchmark(name), seed).items()}
        pairs |= {("generated", knob): compared(made[name], seed)["generated"] for knob, made in turned.items()}
        for (what, knob), (p, q) in pairs.items():
            auc, best = two_sample(p, q, seed=seed), math.nan
            if config:
                known = world.inputs(replace(config, input_shift=knob))
                best = best_auc(known.p, known.q) if what == "generated" else 0.5
            rows.append((name, what, knob, auc.mean, auc.low, auc.high, best, len(p), len(q)))
    columns = ["benchmark", "comparison", "input_shift", "auc", "low", "high", "best_auc", "n_p", "n_q"]
    return pd.DataFrame(rows, columns=columns)


def two_sample(p: Sequence[str], q: Sequence[str], *, folds: int = 5, seed: int = 0) -> Interval:
    """The AUC of a cross-validated classifier that tells two sets of texts apart: TF-IDF, logistic regression.

    It is the mean of the folds' (scores of different classifiers are not mixed). Raises ValueError for a set of fewer
    than 2 x ``folds`` texts.
    """
    if min(len(p), len(q)) < 2 * folds:
        raise ValueError(f"{len(p)} and {len(q)} texts: expected at least {2 * folds} of each")
    texts, from_p = np.array([*p, *q], dtype=object), np.arange(len(p) + len(q)) < len(p)
    parts = []
    for seen, unseen in StratifiedKFold(folds, shuffle=True, random_state=seed).split(texts, from_p):
        log_odds = np.asarray(classifier(seed).fit(texts[seen], from_p[seen]).decision_function(texts[unseen]))
        parts.append((log_odds[from_p[unseen]], log_odds[~from_p[unseen]]))
    return mean_auc(parts)


def classifier(seed: int) -> Any:
    """Tells texts of P (True) from those of Q by TF-IDF of words and word pairs; its penalty is chosen inside."""
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    inner = StratifiedKFold(3, shuffle=True, random_state=seed)
    choice = GridSearchCV(LogisticRegression(max_iter=1000), {"C": PENALTIES}, scoring="neg_log_loss", cv=inner)
    return make_pipeline(words, choice)


def mean_auc(parts: Sequence[tuple[ArrayLike, ArrayLike]], *, level: float = 0.95) -> Interval:
    """The mean AUC over the folds of a cross-validation (or of a single part), with its interval.

    Each part holds the scores of the positive and of the negative texts; the variance of its AUC is that of DeLong et
    al. (1988). The folds' classifiers share most of their texts, so K folds tell less than K independent tests: the
    variance of the mean is s2 (1/K + 1/(K - 1)), as Nadeau & Bengio (2003) propose. On 42 pairs of sets with one
    distribution (miniature world, 1,500 and 2,000 texts) that interval held 0.5 40 times, the one for independent
    folds 36 times. Raises ValueError for a part with fewer than two of either.
    """
    areas, variances = [], []
    for positive, negative in parts:
        sides = np.asarray(positive, dtype=np.float64), np.asarray(negative, dtype=np.float64)
        if min(map(len, sides)) < 2:
            raise ValueError(f"{len(sides[0])} and {len(sides[1])} scores: expected at least two of each")
        above, below = placements(*sides)
        areas.append(float(above.mean()))
        variances.append(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))
    folds, area = len(areas), float(np.mean(areas))
    variance = float(np.mean(variances)) * (1 / folds + (1 / (folds - 1) if folds > 1 else 0))
    reach = norm.ppf((1 + level) / 2) * math.sqrt(variance)
    return Interval(area, max(0.0, area - reach), min(1.0, area + reach))


def best_auc(p: ArrayLike, q: ArrayLike) -> float:
    """The AUC of the best classifier between two known distributions over the same outcomes, each (outcomes,) and of
    sum 1. It orders the outcomes by p/q (Neyman and Pearson)."""
    a, b = np.asarray(p, dtype=np.float64).ravel(), np.asarray(q, dtype=np.float64).ravel()
    order = np.arctan2(a, b).round(12)  # grows with p/q, which may be infinite
    from_p = np.repeat([True, False], len(order))
    return float(roc_auc_score(from_p, np.r_[order, order], sample_weight=np.r_[a, b]))


def telling_terms(p: Sequence[str], q: Sequence[str], top: int = 8, *, least: int = 5) -> pd.DataFrame:
    """The words that tell the two sets apart best, ``top`` at each end; those in fewer than ``least`` texts are left
    out.

    Shares are in per cent of the texts; log_odds_ratio is above 0 for words that are more frequent in P, z that ratio
    over its standard error (half a text is added to every count; Haldane 1956).
    """
    counter = CountVectorizer(binary=True, min_df=least)
    present = counter.fit_transform([*p, *q])
    in_p, in_q = (np.asarray(rows.sum(axis=0)).ravel() for rows in (present[: len(p)], present[len(p) :]))
    counts = np.stack([in_p, len(p) - in_p, in_q, len(q) - in_q]) + 0.5
    log_odds = np.log(counts[0] / counts[1]) - np.log(counts[2] / counts[3])
    frame = pd.DataFrame(
        {
            "more_in": np.where(log_odds > 0, "P", "Q"),
            "term": counter.get_feature_names_out(),
            "share_p": 100 * in_p / len(p),
            "share_q": 100 * in_q / len(q),
            "log_odds_ratio": log_odds,
            "z": log_odds / np.sqrt((1 / counts).sum(axis=0)),
        }
    ).sort_values(["z", "term"], ascending=[False, True], kind="stable")
    return pd.concat([frame.head(top), frame.tail(top).iloc[::-1]]).drop_duplicates(ignore_index=True)
