"""How diverse a set of texts is: words or vectors in, one number out.

Most of these numbers change with the number of texts, so only samples of one size can be compared. Vectors are the
texts' embeddings, (texts, width); they are scaled to length 1 first, so that dot products are cosines.
"""

from __future__ import annotations

import gzip
import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

Floats = NDArray[np.float64]


def ngrams(text: str, n: int) -> list[str]:
    """The runs of ``n`` words, lower-cased and without punctuation, in their order."""
    words = re.findall(r"\w+", text.lower())
    return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]


def distinct(texts: Sequence[str], n: int) -> float:
    """Different n-grams per n-gram (distinct-n; Li et al. 2016), in [0, 1]; 0 where no text has ``n`` words."""
    grams = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(grams)) / max(len(grams), 1)


def self_repetition(texts: Sequence[str], n: int = 4) -> float:
    """How much the texts repeat each other (Salkar et al. 2022): the mean over the texts of ln(1 + N), where N counts
    how often the different n-grams of a text occur in the other texts. 0 where no n-gram is shared; no upper limit."""
    grams = [Counter(ngrams(text, n)) for text in texts]
    total = sum(grams, Counter[str]())
    return float(np.mean([math.log1p(sum(total[gram] - own[gram] for gram in own)) for own in grams]))


def compression_ratio(texts: Sequence[str]) -> float:
    """Bytes of the texts, one in each line, per byte after gzip (Shaib et al. 2024): more for texts alike."""
    raw = "\n".join(texts).encode()
    return len(raw) / len(gzip.compress(raw, mtime=0))


def mean_distance(vectors: ArrayLike) -> float:
    """Mean cosine distance 1 - cos of two different texts, in [0, 2]; 0 where all are alike, 1 where all are at right
    angles. ValueError for fewer than two vectors."""
    unit = _unit(vectors)
    count = len(unit)
    if count < 2:
        raise ValueError(f"{count} vectors: expected at least two")
    return float(1 - (np.square(unit.sum(axis=0)).sum() - count) / (count * (count - 1)))


def vendi(vectors: ArrayLike) -> float:
    """The Vendi score with the cosine kernel K (Friedman & Dieng 2023): exp of the entropy of the eigenvalues of K/n,
    the effective number of different texts, from 1 (all alike) to n (all at right angles)."""
    unit = _unit(vectors)
    # K/n and this smaller matrix have the same eigenvalues but for zeros.
    smaller = unit.T @ unit if unit.shape[1] < len(unit) else unit @ unit.T
    values = np.linalg.eigvalsh(smaller / len(unit)).clip(min=0)
    return float(np.exp(entr(values / values.sum()).sum()))


def inertia(vectors: ArrayLike, clusters: int = 10, seed: int = 0) -> float:
    """Mean squared distance of a text to the nearest of ``clusters`` centres, by k-means (Du & Black 2019): 0 where
    the texts form no more groups of equal texts than there are clusters."""
    from sklearn.cluster import KMeans  # late: whoever counts words gets by without it

    unit = _unit(vectors)
    different = len(np.unique(unit.round(6), axis=0))
    if different <= clusters:
        return 0.0
    return float(KMeans(clusters, n_init=4, random_state=seed).fit(unit).inertia_ / len(unit))


def cluster_score(sizes: Sequence[int]) -> float:
    """C/S of one draw of the LLM cluster-agent (Chen et al., arXiv 2410.15226): the valid clusters over the texts in
    them, from ``sizes``, their numbers of texts. 1/k where k texts are one cluster, 1 where each stands alone.
    ValueError without a cluster."""
    if not sizes:
        raise ValueError("no valid cluster: such a draw does not count")
    return len(sizes) / sum(sizes)


def _unit(vectors: ArrayLike) -> Floats:
    rows = np.asarray(vectors, dtype=np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
