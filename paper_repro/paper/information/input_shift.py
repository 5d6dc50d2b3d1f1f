"""Do the inputs of D_Q look like those of D_P? The assumption Q(x) = P(x) of Sec. 3.3, on which Eq. 5 rests.

A classifier two-sample test (Lopez-Paz & Oquab 2017): a classifier is asked which of two sets a text comes from.
If the sets have one law, nobody can tell, and its AUC on texts that it has not seen is 0.5. Where it can tell, its
odds estimate the ratio of the two laws, r(x) = P(x)/Q(x): the factor that importance weighting would need besides
P(y|x)/Q(y|x). The classifier here sees words and pairs of neighbouring words, nothing else: an AUC of 0.5 says
that *it* finds no difference, not that there is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from paper_repro.measures.intervals import Interval
from paper_repro.measures.ranks import placements
from paper_repro.measures.weights import diagnose
from paper_repro.texts.generated import whole_texts
from paper_repro.texts.pools import Benchmark

Floats = NDArray[np.float64]
PENALTIES = (0.1, 1.0, 10.0)
"""Inverse strengths of the classifier's penalty; the one of the best held-out log-likelihood is taken."""
SAME = "D_P against D_Q"
HALVES = "D_P against D_P, two halves"
UNSEEN = "D_P against D_P' and the test set"
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)


@dataclass(frozen=True)
class TwoSample:
    """``auc`` with its interval; log r(x) = log P(x)/Q(x) of the texts of P (n,) and of Q (m,), in nats, each by a
    classifier that did not see the text."""

    auc: Interval
    log_ratio_p: Floats
    log_ratio_q: Floats


def comparisons(benchmark: Benchmark, seed: int = 0) -> dict[str, tuple[list[str], list[str]]]:
    """The pairs of text sets to compare, by name: D_P against D_Q, the control (D_P cut in two at random, where
    nothing can be found but by chance), and D_P against the other real texts (of one law if the split was random)."""
    real = np.array(whole_texts(benchmark.pool("train")), dtype=object)
    order = np.random.default_rng(seed).permutation(len(real))
    first, second = order[: len(real) // 2], order[len(real) // 2 :]
    return {
        SAME: (list(real), whole_texts(benchmark.pool("generated"))),
        HALVES: (list(real[first]), list(real[second])),
        UNSEEN: (list(real), whole_texts(benchmark.pool("dev+test"))),
    }


def two_sample(p: Sequence[str], q: Sequence[str], *, folds: int = 5, seed: int = 0) -> TwoSample:
    """Compare two sets of texts by a cross-validated classifier: TF-IDF of words, logistic regression.

    The AUC is the mean of the folds' (scores of different classifiers are not mixed). Raises ValueError for a set
    of fewer than 2 x ``folds`` texts.
    """
    if min(len(p), len(q)) < 2 * folds:
        raise ValueError(f"{len(p)} and {len(q)} texts: expected at least {2 * folds} of each")
    texts = np.array([*p, *q], dtype=object)
    from_p = np.arange(len(texts)) < len(p)
    log_ratio, parts = np.empty(len(texts)), []
    for seen, unseen in StratifiedKFold(folds, shuffle=True, random_state=seed).split(texts, from_p):
        model = _classifier(seed).fit(texts[seen], from_p[seen])
        log_odds = np.asarray(model.decision_function(texts[unseen]))
        log_ratio[unseen] = log_odds - np.log(from_p[seen].sum() / (~from_p[seen]).sum())
        parts.append((log_odds[from_p[unseen]], log_odds[~from_p[unseen]]))
    return TwoSample(mean_auc(parts), log_ratio[from_p], log_ratio[~from_p])


def _classifier(seed: int) -> Any:
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    inner = StratifiedKFold(3, shuffle=True, random_state=seed)
    choice = GridSearchCV(LogisticRegression(max_iter=1000), {"C": PENALTIES}, scoring="neg_log_loss", cv=inner)
    return make_pipeline(words, choice)


def mean_auc(parts: Sequence[tuple[ArrayLike, ArrayLike]], *, level: float = 0.95) -> Interval:
    """The mean AUC over the folds of a cross-validation (or of a single part), with its interval.

    Each part holds scores of the positive and of the negative texts: its AUC is the share of pairs in which the
    positive one has the higher score, equal scores counting half; its variance is that of DeLong et al. (1988). The
    folds' classifiers share most of their texts, so that K folds tell less than K independent tests: the variance of
    the mean is s2 (1/K + 1/(K - 1)) as Nadeau & Bengio (2003) propose. On 42 pairs of sets of one law (miniature
    world, 1,500 and 2,000 texts) that interval held 0.5 40 times, the one for independent folds 36 times.
    Raises ValueError for a part with fewer than two of either.
    """
    areas, variances = [], []
    for positive, negative in parts:
        a, b = np.asarray(positive, dtype=np.float64), np.asarray(negative, dtype=np.float64)
        if min(len(a), len(b)) < 2:
            raise ValueError(f"{len(a)} and {len(b)} scores: expected at least two of each")
        above, below = placements(a, b)
        areas.append(float(above.mean()))
        variances.append(above.var(ddof=1) / len(a) + below.var(ddof=1) / len(b))
    folds, area = len(areas), float(np.mean(areas))
    variance = float(np.mean(variances)) * (1 / folds + (1 / (folds - 1) if folds > 1 else 0))
    reach = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(variance)
    return Interval(area, max(0.0, area - reach), min(1.0, area + reach))


def best_auc(p: ArrayLike, q: ArrayLike) -> float:
    """The AUC of the best classifier between two known laws over the same outcomes, each (outcomes,) and of sum 1.

    It orders the outcomes by p/q (Neyman and Pearson).
    """
    a, b = np.asarray(p, dtype=np.float64).ravel(), np.asarray(q, dtype=np.float64).ravel()
    place = np.arctan2(a, b).round(12)  # grows with p/q, which may be infinite
    higher = (place[:, None] > place) + 0.5 * (place[:, None] == place)
    return float(a @ higher @ b)


def ratio_summary(log_ratio_q: ArrayLike) -> dict[str, float]:
    """How far r(x) = P(x)/Q(x) is from 1 on the texts of D_Q: mean (1 for a right r), quantiles, and what weighting
    by r would leave: ``ess`` (per cent of the texts) and ``khat``."""
    ratio = np.exp(np.asarray(log_ratio_q, dtype=np.float64))
    found = diagnose(ratio)
    spread = {f"q{100 * at:02.0f}": float(np.quantile(ratio, at)) for at in QUANTILES}
    return {"mean": found.mean, **spread, "max": found.max, "ess": 100 * found.ess, "khat": found.khat}


def telling_terms(p: Sequence[str], q: Sequence[str], top: int = 8, *, least: int = 5) -> pd.DataFrame:
    """The words that tell the two sets apart best, ``top`` at each end.

    Columns: more_in ("P" or "Q"), term, share_p, share_q (per cent of the texts that have it), log_odds_ratio (above
    0: commoner in P) and z, that ratio over its standard error (half a text is added to every count; Haldane 1956).
    Words in fewer than ``least`` texts are left out.
    """
    counter = CountVectorizer(binary=True, min_df=least)
    present = counter.fit_transform([*p, *q])
    in_p, in_q = (np.asarray(rows.sum(axis=0)).ravel() for rows in (present[: len(p)], present[len(p) :]))
    cells = np.stack([in_p, len(p) - in_p, in_q, len(q) - in_q]) + 0.5
    log_odds = np.log(cells[0] / cells[1]) - np.log(cells[2] / cells[3])
    frame = pd.DataFrame(
        {
            "term": counter.get_feature_names_out(),
            "share_p": 100 * in_p / len(p),
            "share_q": 100 * in_q / len(q),
            "log_odds_ratio": log_odds,
            "z": log_odds / np.sqrt((1 / cells).sum(axis=0)),
        }
    ).sort_values(["z", "term"], ascending=[False, True], kind="stable")
    ends = {"P": frame.head(top), "Q": frame.tail(top).iloc[::-1]}
    return pd.concat(ends, names=["more_in", "row"]).reset_index("more_in").reset_index(drop=True)
