"""Labelled sets of texts: the paper's D_P (train), D_P' (dev), test set and D_Q (generated)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from paper_repro.texts.derived import DIVERSITY, RELABELLED, Derivation, derive, is_derived
from paper_repro.tools.errors import UserError

POOL_NAMES = ("train", "dev", "test", "generated")
SYMBOLS = {"train": "D_P", "dev": "D_P'", "test": "the test set", "generated": "D_Q"}


@dataclass(frozen=True)
class Pool:
    """An ordered, labelled set of texts (or of sentence pairs).

    ``texts`` and ``pairs`` have one entry per example (``pairs`` is None for single texts);
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

    @property
    def inputs(self) -> tuple[tuple[str, ...], ...]:
        """Each example without its label: (text,), or (text, second text) of a pair."""
        return tuple(zip(self.texts, *([] if self.pairs is None else [self.pairs]), strict=True))

    @property
    def repeated(self) -> int:
        """Examples whose text (or pair) occurs earlier in the pool; their labels may differ."""
        return len(self) - len(set(self.inputs))

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
    """A classification task with all its pools.

    ``few_shot`` are the generator's own labels of the test set, ``labelled`` those of some training inputs: pairs of
    the input's hash (:func:`input_hash`) and a class index. ``origin`` says where the data come from. ``repeated``
    texts were left out because they stood in the files before, ``contradicting`` of them with another label, and
    ``leaked`` texts of D_Q because they stand in the test set. ``sets`` gives a set of generated texts at a level of
    diversity by its name (:mod:`paper_repro.texts.diversity_sets`).
    """

    name: str
    title: str
    label_names: tuple[str, ...]
    pools: Mapping[str, Pool]
    truth: Mapping[str, Truth] = field(default_factory=dict)
    few_shot: FewShot | None = None
    labelled: tuple[tuple[str, int], ...] = ()
    origin: str = ""
    repeated: int = 0
    contradicting: int = 0
    leaked: int = 0
    sets: Callable[[str], tuple[Pool, Truth | None]] | None = None
    _made: dict[str, tuple[Pool, Truth | None]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def classes(self) -> int:
        return len(self.label_names)

    def pool(self, name: str) -> Pool:
        """A pool by name, one of ``pools`` or made from them (:mod:`paper_repro.texts.derived`).

        Raises UserError for an unknown name.
        """
        return self._derived(name)[0] if name == RELABELLED or is_derived(name) else self._own(name)

    def truth_of(self, name: str) -> Truth | None:
        """P(y|x) and Q(y|x) for each text of a pool, or None where they are not known."""
        return self._derived(name)[1] if name == RELABELLED or is_derived(name) else self.truth.get(name)

    def _own(self, name: str) -> Pool:
        if (name == RELABELLED and self.labelled) or is_derived(name):
            return self.pool(name)
        if name not in self.pools:
            known = (*self.pools, RELABELLED) if self.labelled else tuple(self.pools)
            raise UserError(f"source {name!r} is not known; expected one of {', '.join(known)}")
        return self.pools[name]

    def _derived(self, name: str) -> tuple[Pool, Truth | None]:
        if name.startswith(DIVERSITY):
            if self.sets is None:
                raise UserError(f"{self.name}: there are no sets at several levels of diversity, so no {name!r}")
            return self.sets(name.removeprefix(DIVERSITY))
        if name not in self._made:
            made = (
                self._relabelled() if name == RELABELLED else derive(name, lambda b: self._own(b).labels, self.classes)
            )
            bases = [self._own(base) for base in made.bases]
            pairs = None if bases[0].pairs is None else sum((base.pairs or () for base in bases), ())
            labels = np.concatenate([base.labels for base in bases])
            joined = Pool(name, sum((base.texts for base in bases), ()), labels, pairs).subset(made.rows)
            self._made[name] = replace(joined, labels=made.labels), self._derived_truth(made)
        return self._made[name]

    def _derived_truth(self, made: Derivation) -> Truth | None:
        known = [truth for base in made.bases if (truth := self.truth_of(base)) is not None]
        if len(known) < len(made.bases):
            return None
        p, q = np.concatenate([t.p for t in known]), np.concatenate([t.q for t in known])
        return Truth(p[made.rows], q[made.rows])

    def _relabelled(self) -> Derivation:
        if not self.labelled:
            raise UserError(
                f"{self.name}: no generator's labels of real inputs are known, so there is no {RELABELLED!r}"
            )
        rows_of: dict[str, list[int]] = {}
        for row, example in enumerate(self.pools["train"].inputs):
            rows_of.setdefault(input_hash(example), []).append(row)
        if missing := sum(key not in rows_of for key, _ in self.labelled):
            raise UserError(
                f"{self.name}, pool {RELABELLED!r}: {missing} of {len(self.labelled)} labelled inputs are not in this "
                "D_P, so these are not the published training texts; use another pool, or the published data"
            )
        # A repeated input stands as often in the list as in D_P: the rows take turns.
        rows = [rows_of[key].pop(0) if len(rows_of[key]) > 1 else rows_of[key][0] for key, _ in self.labelled]
        return Derivation(("train",), np.array(rows), np.array([label for _, label in self.labelled], dtype=np.int64))


def input_hash(example: Sequence[str]) -> str:
    """16 hex digits of the SHA-256 of an input; the texts of a pair are joined by " ||| "."""
    return hashlib.sha256(" ||| ".join(example).encode()).hexdigest()[:16]
