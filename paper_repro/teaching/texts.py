"""The same on text: x stays, its label was drawn from Q(y|x) where the world would have drawn it from P(y|x)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from paper_repro.method import losses
from paper_repro.paper.theory import closed_forms, fixed_points
from paper_repro.teaching.sampling import Floats, mean_interval
from paper_repro.texts import world
from paper_repro.texts.pools import Benchmark, Truth

BENCHMARK = "financial"
CONFIG = world.WorldConfig(train=1, dev=800, test=1000, generated=1000, corpus=1, synonyms=2)
"""The primer's world: that of the profile ``demo`` with two words a concept instead of five, so that a bag of words
can learn from two hundred texts what an encoder would know from its pre-training."""

METHODS = ("ce", "quality_only", "imp", "dimp")
WEIGHTS = {"ce": "1", "quality_only": "P'", "imp": "P'/Q", "dimp": "P'/p"}
STEPS = (0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 60)


@lru_cache(maxsize=4)
def benchmark(config: world.WorldConfig = CONFIG) -> Benchmark:
    """The primer's benchmark with its four pools and their exact P(y|x) and Q(y|x)."""
    return world.make(config)[BENCHMARK]


def observed(law: Floats, labels: NDArray[np.int64]) -> Floats:
    """Of (texts, classes) the probability of each text's own label, (texts,)."""
    return law[np.arange(len(labels)), labels]


def some_texts(made: Benchmark, pool: str = "generated", each: int = 2) -> list[int]:
    """Rows of ``pool``: the first ``each`` on which P and Q prefer one label, and as many on which they do not.

    Every second one carries a label that Q does not find likeliest, so that the weights differ.
    """
    law, labels = _truth(made, pool), made.pools[pool].labels
    agree = law.p.argmax(axis=1) == law.q.argmax(axis=1)
    usual = law.q.argmax(axis=1) == labels
    rows: list[int] = []
    for judged in (agree, ~agree):
        for turn in range(each):
            chosen = judged & (usual if turn % 2 == 0 else ~usual)
            rows.append(next(int(row) for row in np.flatnonzero(chosen) if row not in rows))
    return rows


def laws(made: Benchmark, rows: Sequence[int], pool: str = "generated") -> pd.DataFrame:
    """For each text and each label: P(y|x), Q(y|x), the weight P/Q, and which label was observed."""
    law, found = _truth(made, pool), made.pools[pool]
    lines = []
    for row in rows:
        for label, name in enumerate(made.label_names):
            p, q = float(law.p[row, label]), float(law.q[row, label])
            seen = "observed" if label == found.labels[row] else ""
            numbers = {"P(y|x)": p, "Q(y|x)": q, "weight P/Q": p / q, "Q * weight": q * (p / q)}
            lines.append({"text": found.texts[row], "label": name, **numbers, "": seen})
    return pd.DataFrame(lines).set_index(["text", "label"])


def agreement_with_people(made: Benchmark) -> pd.DataFrame:
    """How often would people give the label that Q finds likeliest? Asked of texts that Q has labelled.

    One row an estimate, each with its 95 % interval over the texts (for the ratio by the delta method), and the
    exact answer for these very texts.
    """
    law, labels = _truth(made, "generated"), made.pools["generated"].labels
    guess = law.q.argmax(axis=1)
    hits, weights = (guess == labels).astype(float), observed(law.p, labels) / observed(law.q, labels)
    ratio = float((weights * hits).sum() / weights.sum())
    lines = {
        "labels of Q taken as they are": hits,
        "weighted by P/Q": weights * hits,
        "weighted, self-normalised": ratio + weights * (hits - ratio) / weights.mean(),
        "exact": observed(law.p, guess),
    }
    rows = []
    for name, values in lines.items():
        found = mean_interval(values).scaled(100)
        low, high = (np.nan, np.nan) if name == "exact" else (found.low, found.high)
        rows.append({"estimate": name, "%": found.mean, "low": low, "high": high, "n": len(hits)})
    return pd.DataFrame(rows).set_index("estimate")


# ---------------------------------------------------------------- the losses, by hand and to their end


def by_hand(p: Sequence[float], quality: Sequence[float], diversity: Sequence[float]) -> pd.DataFrame:
    """The weighted loss of a handful of texts, term by term, all numbers those of the observed labels.

    Columns: p, P', Q, -log p, and for each method its weight and its term ``weight * -log p``.
    """
    log_p = torch.tensor(p, dtype=torch.float64).log()
    log_quality, log_diversity = (torch.tensor(s, dtype=torch.float64).log() for s in (quality, diversity))
    columns = {"p": p, "P'": quality, "Q": diversity, "-log p": (-log_p).numpy()}
    for method in METHODS:
        weight = losses.weights(method, log_p, log_quality, log_diversity)
        columns[f"{method} weight"] = weight.numpy()
        columns[f"{method} term"] = (weight * -log_p).numpy()
    return pd.DataFrame(columns)


def descend(p_quality: Floats, q: Floats, *, steps: Iterable[int] = STEPS, rate: float = 1.0) -> pd.DataFrame:
    """The model's p after each of ``steps`` of gradient descent on the expected loss of one text, from equal logits.

    ``p_quality`` P'(y|x) and ``q`` Q(y|x), (classes,) each. Columns: step, method, label (index), p, limit, which is
    the closed form of :func:`paper_repro.paper.theory.closed_forms.limit`. Nothing is drawn: the loss is sum_y Q(y) weight(y) (-log p(y)).
    """
    rows = []
    for method in METHODS:
        ends = closed_forms.limit(method, q[None], p_quality[None])[0]
        for step in steps:
            here = fixed_points.descend(method, q[None], p_quality[None], steps=step, rate=rate)[0]
            about = {"step": step, "method": method}
            rows += [{**about, "label": y, "p": float(here[y]), "limit": float(ends[y])} for y in range(len(q))]
    return pd.DataFrame(rows)


def _truth(made: Benchmark, pool: str) -> Truth:
    found = made.truth_of(pool)
    assert found is not None, "only a miniature world knows P(y|x) and Q(y|x)"
    return found
