"""Labelled sets of texts: the paper's D_P (train), D_P' (dev), test set and D_Q (generated)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from paper_repro.texts.derived import Derivation, derive, is_derived
from paper_repro.tools.errors import UserError

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
class FewShot:
    """The classes that a language model gave to a test set, (texts,) int64, -1 for none; ``generator`` says which."""

    labels: NDArray[np.int64]
    generator: str


@dataclass(frozen=True)
class Benchmark:
    """A classification task with all its pools. ``few_shot`` labels stand for the bundled ones where they are given."""

    name: str
    title: str
    label_names: tuple[str, ...]
    pools: Mapping[str, Pool]
    truth: Mapping[str, Truth] = field(default_factory=dict)
    few_shot: FewShot | None = None
    _made: dict[str, tuple[Pool, Truth | None]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def classes(self) -> int:
        return len(self.label_names)

    def pool(self, name: str) -> Pool:
        """A pool by name, one of ``pools`` or made from them (:mod:`paper_repro.texts.derived`).

        Raises UserError for an unknown name.
        """
        return self._derived(name)[0] if is_derived(name) else self._own(name)

    def truth_of(self, name: str) -> Truth | None:
        """P(y|x) and Q(y|x) for each text of a pool, or None where they are not known."""
        return self._derived(name)[1] if is_derived(name) else self.truth.get(name)

    def _own(self, name: str) -> Pool:
        if name not in self.pools:
            raise UserError(f"source {name!r} is not known; expected one of {', '.join(self.pools)}")
        return self.pools[name]

    def _derived(self, name: str) -> tuple[Pool, Truth | None]:
        if name not in self._made:
            made = derive(name, lambda base: self._own(base).labels, self.classes)
            bases = [self._own(base) for base in made.bases]
            pairs = None if bases[0].pairs is None else sum((base.pairs or () for base in bases), ())
            joined = Pool(
                name, sum((b.texts for b in bases), ()), np.concatenate([b.labels for b in bases]), pairs
            ).subset(made.rows)
            self._made[name] = replace(joined, labels=made.labels), self._derived_truth(made)
        return self._made[name]

    def _derived_truth(self, made: Derivation) -> Truth | None:
        known = [self.truth[base] for base in made.bases if base in self.truth]
        if len(known) < len(made.bases):
            return None
        p, q = np.concatenate([t.p for t in known]), np.concatenate([t.q for t in known])
        return Truth(p[made.rows], q[made.rows])
