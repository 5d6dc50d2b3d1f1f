"""A miniature world in which the true weights are known.

TODO docstring
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from paper_repro.errors import UserError
from paper_repro.pools import POOL_NAMES, Benchmark, Pool, Truth
from paper_repro.world_text import GRAMMARS, TONES, Grammar, tokens

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TONE_SHARES = np.array([0.3, 0.4, 0.3])
TONE_STRENGTHS = np.array([1.5, 1.0, 0.5])


@dataclass(frozen=True)
class WorldConfig:
    train: int = 1500
    dev: int = 200
    test: int = 2000
    generated: int = 2000
    corpus: int = 12000
    concepts: int = 16
    synonyms: int = 5
    misconception: float = 0.3
    input_shift: float = 0.0
    narrowing: float = 0.0
    near_duplicates: float = 0.0
    support_gap: float = 0.0
    certainty: float = 0.8
    confidence: float = 1.5
    doubt: float = 0.4
    seed: int = 0


@dataclass(frozen=True)
class Inputs:
    p: Floats
    q: Floats


def misjudged(config: WorldConfig) -> int:
    return round(config.misconception * config.concepts)


def inputs(config: WorldConfig) -> Inputs:
    words = 1.0 / np.arange(1, config.synonyms + 1)
    words /= words.sum()
    p = np.full(config.concepts, 1.0 / config.concepts)
    known = np.zeros(config.concepts)
    known[min(misjudged(config), config.concepts - 1):] = 1.0
    q = (1 - config.input_shift) * p + config.input_shift * known / known.sum()
    favourite = np.zeros(config.synonyms)
    favourite[0] = 1.0
    q_words = (1 - config.narrowing) * words + config.narrowing * favourite
    return Inputs(p[:, None] * words, q[:, None] * q_words)


def _softmax(logits: Floats) -> Floats:
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def conditionals(config: WorldConfig, name: str) -> Truth:
    grammar = GRAMMARS[name]
    concepts = grammar.concepts[: config.concepts]
    classes = len(grammar.label_names)
    one = np.eye(classes)
    gap = np.log(config.certainty * (classes - 1) / (1 - config.certainty))
    right = one[[c.label for c in concepts]]
    wrong = one[[c.mistaken for c in concepts]]
    bad = np.arange(len(concepts)) < misjudged(config)
    belief = np.where(bad[:, None], config.doubt * wrong, config.confidence * right)
    p = _softmax(gap * TONE_STRENGTHS[:, None] * right[:, None, :])
    q = _softmax(gap * TONE_STRENGTHS[:, None] * belief[:, None, :])
    gone = round(config.support_gap * misjudged(config))
    q[:gone] *= 1 - right[:gone, None, :]
    q /= q.sum(-1, keepdims=True)
    return Truth(p, q)


@dataclass
class _Draw:
    concept: Ints
    word: Ints
    tone: Ints
    tone_word: Ints
    frame: Ints
    fillers: dict[str, Ints]
    label: Ints


def _generator(config: WorldConfig, name: str, use: str) -> np.random.Generator:
    return np.random.default_rng([config.seed, zlib.crc32(name.encode()), zlib.crc32(use.encode())])


def _labels(rows: Floats, rng: np.random.Generator) -> Ints:
    cut = rng.random((len(rows), 1)) * rows.sum(-1, keepdims=True)
    return np.asarray((np.cumsum(rows, -1) <= cut).sum(-1), dtype=np.int64)


def _draw(config: WorldConfig, grammar: Grammar, size: int, generated: bool, rng: np.random.Generator) -> _Draw:
    both = inputs(config)
    joint = (both.q if generated else both.p).ravel()
    cell = rng.choice(len(joint), size, p=joint)
    tone = rng.choice(len(TONES), size, p=TONE_SHARES)
    concept = cell // config.synonyms
    truth = conditionals(config, grammar.name)
    law = truth.q if generated else truth.p
    drawn = _Draw(
        concept=concept,
        word=cell % config.synonyms,
        tone=tone,
        tone_word=rng.integers(len(grammar.tones[0]), size=size),
        frame=rng.integers(len(grammar.frames), size=size),
        fillers={k: rng.integers(len(v), size=size) for k, v in grammar.fillers.items()},
        label=_labels(law[concept, tone], rng),
    )
    if generated and config.near_duplicates:
        _repeat(drawn, config.near_duplicates, grammar, rng)
    return drawn


def _repeat(drawn: _Draw, share: float, grammar: Grammar, rng: np.random.Generator) -> None:
    slots = sorted(drawn.fillers)
    for i in range(1, len(drawn.label)):
        if rng.random() >= share:
            continue
        j = int(rng.integers(i))
        for column in (drawn.concept, drawn.word, drawn.tone, drawn.tone_word, drawn.frame, drawn.label):
            column[i] = column[j]
        for values in drawn.fillers.values():
            values[i] = values[j]
        slot = slots[int(rng.integers(len(slots)))]
        drawn.fillers[slot][i] = rng.integers(len(grammar.fillers[slot]))


def _write(grammar: Grammar, d: _Draw) -> list[str]:
    out = []
    for i in range(len(d.label)):
        slots = {k: grammar.fillers[k][v[i]] for k, v in d.fillers.items()}
        cue = grammar.concepts[d.concept[i]].words[d.word[i]]
        tone = grammar.tones[d.tone[i]][d.tone_word[i]]
        text = grammar.frames[d.frame[i]].format(cue=cue, tone=tone, **slots)
        out.append("\n".join(line[:1].upper() + line[1:] for line in text.split("\n")))
    return out


def _pool(config: WorldConfig, grammar: Grammar, name: str) -> tuple[Pool, Truth]:
    rng = _generator(config, grammar.name, name)
    drawn = _draw(config, grammar, getattr(config, name), name == "generated", rng)
    written = [text.split("\n") for text in _write(grammar, drawn)]
    pairs = tuple(t[1] for t in written) if grammar.paired else None
    law = conditionals(config, grammar.name)
    rows = drawn.concept, drawn.tone
    return Pool(name, tuple(t[0] for t in written), drawn.label, pairs), Truth(law.p[rows], law.q[rows])


def make(config: WorldConfig = WorldConfig()) -> dict[str, Benchmark]:
    world = {}
    for grammar in GRAMMARS.values():
        made = {name: _pool(config, grammar, name) for name in POOL_NAMES}
        world[grammar.name] = Benchmark(
            grammar.name, grammar.title, grammar.label_names,
            {k: v[0] for k, v in made.items()}, {k: v[1] for k, v in made.items()},
        )
    return world


def corpus(config: WorldConfig = WorldConfig()) -> tuple[str, ...]:
    lines = []
    share = config.corpus // (2 * len(GRAMMARS))
    for grammar in GRAMMARS.values():
        rng = _generator(config, grammar.name, "corpus")
        sent = [s for t in _write(grammar, _draw(config, grammar, share, False, rng)) for s in t.split("\n")]
        lines += sent[:share] if not grammar.paired else sent[1::2]
        for _ in range(share):
            concept = grammar.concepts[int(rng.integers(config.concepts))]
            some = [concept.words[int(i)] for i in rng.permutation(config.synonyms)[:4]]
            g = grammar.glosses[int(rng.integers(len(grammar.glosses)))]
            t = g.format(words=" , ".join(some[:-1]) + " and " + some[-1])
            lines.append(t[:1].upper() + t[1:])
    order = _generator(config, "", "order").permutation(len(lines))
    return tuple(lines[i] for i in order)


def vocabulary(config: WorldConfig = WorldConfig()) -> tuple[str, ...]:
    words: set[str] = {"and", ","}
    for g in GRAMMARS.values():
        for c in g.concepts[: config.concepts]:
            words.update(c.words[: config.synonyms])
        for t in (*g.glosses, *g.frames, *(x for v in g.tones for x in v), *(x for v in g.fillers.values() for x in v)):
            import re
            words.update(tokens(re.sub(r"\{.*?\}", " ", t)))
    return tuple(sorted(words))
