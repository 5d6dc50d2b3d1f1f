"""Labelled sets of texts: the paper's D_P (train), D_P' (dev), test set and D_Q (generated)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

POOL_NAMES = ("train", "dev", "test", "generated")


@dataclass(frozen=True)
class Pool:
    """An ordered, labelled set of texts (or of sentence pairs).

    ``texts`` and ``pairs`` have one entry an example (``pairs`` is None for single texts);
    ``labels`` is an int64 array (examples,) of class indices.
    """

    name: str
    texts: tuple[str, ...]
    labels: NDArray[np.int64]
    pairs: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels) or (self.pairs is not None and len(self.pairs) != len(self.texts)):
            raise ValueError(f"pool {self.name!r}: texts, pairs and labels differ in length")

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the texts and labels in their order; the name does not count."""
        content = [list(self.texts), list(self.pairs) if self.pairs else None, self.labels.tolist()]
        return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()

    def subset(self, indices: Sequence[int] | NDArray[np.int64], name: str | None = None) -> Pool:
        """The examples at ``indices``, in that order."""
        rows = [int(i) for i in indices]
        pairs = None if self.pairs is None else tuple(self.pairs[i] for i in rows)
        return Pool(name or self.name, tuple(self.texts[i] for i in rows), self.labels[rows], pairs)


@dataclass(frozen=True)
class Truth:
    """What only a made world knows: P(y|x) and Q(y|x) for each text of a pool, (examples, classes) float64."""

    p: NDArray[np.float64]
    q: NDArray[np.float64]


@dataclass(frozen=True)
class Benchmark:
    """One of the three classification tasks with all its pools."""

    name: str
    title: str
    label_names: tuple[str, ...]
    pools: Mapping[str, Pool]
    truth: Mapping[str, Truth] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        return len(self.label_names)
