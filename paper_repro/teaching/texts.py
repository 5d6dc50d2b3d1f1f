"""The same on text: x stays; its label was drawn from Q(y|x) where the world would have drawn it from P(y|x)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from paper_repro.measures.intervals import mean_interval
from paper_repro.method import losses
from paper_repro.paper.theory import closed_forms, fixed_points
from paper_repro.texts import world
from paper_repro.texts.pools import Benchmark, Truth

Floats = NDArray[np.float64]
BENCHMARK = "financial"
CONFIG = world.WorldConfig(train=1, dev=800, test=1000, generated=1000, corpus=1, synonyms=2)
"""The primer's world: that of the profile ``demo`` with two words for each concept instead of five, so that a bag of
words can learn from two hundred texts what an encoder would know from its pre-training."""

METHODS = ("ce", "quality_only", "imp", "dimp")
STEPS = (0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 60)


@lru_cache(maxsize=4)
def benchmark(config: world.WorldConfig = CONFIG) -> Benchmark:
    """The primer's benchmark with its four pools and their exact P(y|x) and Q(y|x)."""
    return world.make(config)[BENCHMARK]


def truth_of(made: Benchmark, pool: str = "generated") -> Truth:
    """The exact P(y|x) and Q(y|x) of a pool, (texts, classes) each."""
    truth = made.truth_of(pool)
    assert truth is not None, "only a miniature world knows P(y|x) and Q(y|x)"
    return truth


def observed(probabilities: Floats, labels: NDArray[np.int64]) -> Floats:
    """Of (texts, classes) the probability of each text's own label, (texts,)."""
    return probabilities[np.arange(len(labels)), labels]


def some_texts(made: Benchmark) -> list[int]:
    """Rows of four texts of D_Q: two on which P and Q prefer the same label and two on which they do not.

    The second of each two carries a label that is not the most likely under Q, so that the weights differ.
    """
    truth, favourite = truth_of(made), truth_of(made).q.argmax(axis=1)
    agree, usual = truth.p.argmax(axis=1) == favourite, favourite == made.pools["generated"].labels
    return [int((a & b).argmax()) for a in (agree, ~agree) for b in (usual, ~usual)]


def both_distributions(made: Benchmark, rows: Sequence[int]) -> pd.DataFrame:
    """For each text of D_Q and each label: P(y|x), Q(y|x), the weight P/Q, and which label was observed."""
    truth, pool = truth_of(made), made.pools["generated"]
    index = pd.MultiIndex.from_product([[pool.texts[row] for row in rows], made.label_names], names=["text", "label"])
    p, q = truth.p[rows].ravel(), truth.q[rows].ravel()
    seen = np.eye(made.classes, dtype=bool)[pool.labels[rows]].ravel()
    columns = {"P(y|x)": p, "Q(y|x)": q, "weight P/Q": p / q, "Q * weight": q * (p / q)}
    return pd.DataFrame({**columns, "": np.where(seen, "observed", "")}, index)


def agreement_with_people(made: Benchmark) -> pd.DataFrame:
    """How often would people give the label that Q finds most likely? Asked of texts that Q has labelled.

    One row per estimate, each with its 95 % interval over the texts (for the ratio by the delta method), and the
    exact answer for these texts.
    """
    truth, labels = truth_of(made), made.pools["generated"].labels
    guess = truth.q.argmax(axis=1)
    hits, w = (guess == labels).astype(float), observed(truth.p, labels) / observed(truth.q, labels)
    ratio = float((w * hits).sum() / w.sum())
    estimates = {
        "labels of Q taken as they are": hits,
        "weighted by P/Q": w * hits,
        "weighted, self-normalised": ratio + w * (hits - ratio) / w.mean(),
    }
    found = {name: mean_interval(100 * values) for name, values in estimates.items()}
    rows = {name: (one.mean, one.low, one.high) for name, one in found.items()}
    rows["exact"] = (100 * float(observed(truth.p, guess).mean()), np.nan, np.nan)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["%", "low", "high"]).assign(n=len(hits))


# ---------------------------------------------------------------- the losses, by hand and to their end


def by_hand(p: Sequence[float], quality: Sequence[float], diversity: Sequence[float]) -> pd.DataFrame:
    """The weighted loss of a handful of texts, term by term, all numbers those of the observed labels.

    Columns: p, P', Q, -log p, and for each method its weight and its term ``weight * -log p``.
    """
    log_p, *scores = torch.tensor(np.array([p, quality, diversity])).log()
    columns = {"p": p, "P'": quality, "Q": diversity, "-log p": (-log_p).numpy()}
    for method in METHODS:
        weight = losses.weights(method, log_p, scores[0], scores[1])
        columns |= {f"{method} weight": weight.numpy(), f"{method} term": (weight * -log_p).numpy()}
    return pd.DataFrame(columns)


def descend(p_quality: Floats, q: Floats, *, steps: Iterable[int] = STEPS, rate: float = 1.0) -> pd.DataFrame:
    """The model's p after each of ``steps`` of gradient descent on the expected loss of one text, from equal logits.

    ``p_quality`` P'(y|x) and ``q`` Q(y|x), (classes,) each. Columns: step, method, label (index), p, limit (the closed
    form, :func:`paper_repro.paper.theory.closed_forms.limit`). Nothing is drawn: the loss is sum_y Q(y) w(y) -log p(y).
    """
    rows = []
    for method in METHODS:
        limit = closed_forms.limit(method, q[None], p_quality[None])[0]
        for step in steps:
            here = fixed_points.descend(method, q[None], p_quality[None], steps=step, rate=rate)[0]
            rows += [(step, method, y, float(here[y]), float(limit[y])) for y in range(len(q))]
    return pd.DataFrame(rows, columns=["step", "method", "label", "p", "limit"])
