"""A miniature world in which the true weights are known: three benchmarks, P and Q, and every probability exact.

**The process.** A text x is made from a concept, a word for it, a tone and fillers
(:mod:`paper_repro.texts.world_grammar`)::

    concept ~ P(c)   word ~ P(w|c)   tone ~ P(t)   fillers, sentence frame: uniform       together P(x)
    label ~ P(y|c, t) = softmax(strength(t) * evidence * onehot(label of c))

The generator Q writes by the same rules with its own Q(c), Q(w|c) and Q(y|c, t). Concept and tone can be read off every
text, so P(y|x) = P(y|c, t) and Q(y|x) = Q(y|c, t) are exact, and so are the weights P(y|x)/Q(y|x) of Eq. 4.

**Why the defaults are what they are.** Sec. 3 and 4 of the paper need four things:

1. *Q(x) = P(x), and P << Q.* With ``input_shift``, ``narrowing`` and ``support_gap`` at 0 the texts of Q have the
   distribution of those of P, and Q gives every label a positive probability, so that E_Q[P/Q] = 1.
2. *Q(y|x) is wrong in a way that more of its data cannot mend.* Q misjudges whole concepts (``misconception``):
   cross-entropy on D_Q converges to Q. What weights can win back is the accuracy on these concepts, about
   0.3 * (0.78 - 0.2) = 18 points.
3. *Q is less sure where it is wrong than where it is right*: evidence times ``doubt`` (0.5) against ``confidence``
   (1.5), where people have 1. DIMP converges to a distribution proportional to sqrt(Q P'), which follows a right P'
   against a wrong Q only where P' has the greater log-odds. The weights stay moderate: P/Q is at most 6.2, and the
   effective sample size above half of n.
4. *P' knows something that Q does not.* The quality checker sees about twelve dev texts for each concept, a fifth of
   them labelled against the rule, and hardly any for its rarer words, which the encoder has met beside the others in
   unlabelled text. Neither P' nor Q alone is enough, and the true weights beat both.

Labels are noisy (``certainty``: the Bayes classifier errs on 22 %), since where labels follow from x every weighting
has the same minimiser, and an over-parameterised model forgets its weights (Byrd & Lipton 2019).

**How to break it.** ``input_shift`` moves Q's texts away from the misjudged concepts: the weights stay right, but at 1
there are no texts left for them to act on. ``support_gap`` takes from Q, on that share of the misjudged concepts, every
text with the right label: the missing mass is lost to any weight, and E_Q[P/Q] = 1 - :func:`missing_mass`.
``narrowing`` makes Q prefer the commonest word of each concept; ``near_duplicates`` makes its texts repeat each other,
so that only the effective sample shrinks. ``doubt`` > 1 makes Q surer of its errors than people are of the truth: then
the limit of DIMP decides as Q does even with P' = P, while that of IMP, P' itself, does not.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paper_repro.texts.pools import POOL_NAMES, Benchmark, Pool, Truth, input_hash
from paper_repro.texts.world_grammar import GRAMMARS, TONES, Grammar, tokens
from paper_repro.tools.errors import UserError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TONE_SHARES = np.array([0.3, 0.4, 0.3])
TONE_STRENGTHS = np.array([1.5, 1.0, 0.5])
"""P(t), and the factor on the evidence, of a strong, a plain and a weak tone: P(y|x) varies within a concept."""

CONCEPTS, SYNONYMS = 16, 5
LIMITS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys((*POOL_NAMES, "corpus"), (1, np.inf)),
    "concepts": (2, CONCEPTS),
    "synonyms": (1, SYNONYMS),
    "seed": (0, np.inf),
    **dict.fromkeys(("misconception", "input_shift", "narrowing", "near_duplicates", "support_gap"), (0, 1)),
    # Of three classes the label must be the likeliest, and no label certain: P(y|x) > 0 keeps KL(Q||P) finite.
    "certainty": (0.5, 0.99),
    "confidence": (0, 10),
    "doubt": (0, 10),
}


@dataclass(frozen=True)
class WorldConfig:
    """The sizes and knobs of a world; the module's docstring argues for the defaults.

    ``train``, ``dev``, ``test``, ``generated`` count examples per benchmark, ``corpus`` unlabelled texts in all;
    ``concepts`` and ``synonyms`` (words a concept) can be lowered for a tiny world. ``certainty`` is the probability
    of a concept's label in a plain tone under P; ``confidence`` and ``doubt`` multiply Q's evidence where it judges
    rightly and where it does not. The shares are in [0, 1]: ``misconception`` of the concepts that Q misjudges,
    ``input_shift`` of Q's texts moved to the others, ``narrowing`` of Q's words replaced by the commonest,
    ``near_duplicates`` of its texts that repeat an earlier one but for a filler, ``support_gap`` of the misjudged
    concepts for which Q never gives the right label. Raises UserError for values out of range.
    """

    train: int = 1500
    dev: int = 200
    test: int = 2000
    generated: int = 2000
    corpus: int = 12000
    concepts: int = CONCEPTS
    synonyms: int = SYNONYMS
    misconception: float = 0.3
    input_shift: float = 0.0
    narrowing: float = 0.0
    near_duplicates: float = 0.0
    support_gap: float = 0.0
    certainty: float = 0.8
    confidence: float = 1.5
    doubt: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            if not low <= (value := getattr(self, name)) <= high:
                limits = f"{low} to {high}" if np.isfinite(high) else f"{low} or more"
                raise UserError(f"miniature world: {name} is {value}; expected {limits}")

    @property
    def misjudged(self) -> int:
        """How many concepts Q misjudges: the first ones of each benchmark."""
        return round(self.misconception * self.concepts)


@dataclass(frozen=True)
class Inputs:
    """The distributions of (concept, word) under P and Q, (concepts, synonyms) each; tone and fillers have the same."""

    p: Floats
    q: Floats


def inputs(config: WorldConfig) -> Inputs:
    """What texts are about, under P and under Q; the same for all benchmarks."""
    words = 1.0 / np.arange(1, config.synonyms + 1)  # Zipf: the rarer words hardly occur among 200 dev texts
    words /= words.sum()
    p = np.full(config.concepts, 1.0 / config.concepts)
    # Q drifts to what it judges rightly (to the last concept, where it misjudges all).
    known = np.arange(config.concepts) >= min(config.misjudged, config.concepts - 1)
    q = (1 - config.input_shift) * p + config.input_shift * known / known.sum()
    commonest = np.arange(config.synonyms) == 0
    q_words = (1 - config.narrowing) * words + config.narrowing * commonest
    return Inputs(p[:, None] * words, q[:, None] * q_words)


def total_variation(config: WorldConfig) -> float:
    """The distance between P(x) and Q(x) in [0, 1], exact: no two (concept, word) share a text."""
    law = inputs(config)
    return float(np.abs(law.p - law.q).sum() / 2)


def conditionals(config: WorldConfig, name: str) -> Truth:
    """P(y|c, t) and Q(y|c, t) of benchmark ``name``, (concepts, tones, classes) each."""
    grammar = GRAMMARS[name]
    concepts = grammar.concepts[: config.concepts]
    classes = len(grammar.label_names)
    right = np.eye(classes)[[concept.label for concept in concepts]]
    wrong = np.eye(classes)[[concept.mistaken for concept in concepts]]
    misjudges = np.arange(config.concepts) < config.misjudged
    belief = np.where(misjudges[:, None], config.doubt * wrong, config.confidence * right)
    # The log-odds at which a plain tone gives the label a probability of ``certainty``.
    evidence = np.log(config.certainty * (classes - 1) / (1 - config.certainty)) * TONE_STRENGTHS[:, None]
    p, q = _softmax(evidence * right[:, None]), _softmax(evidence * belief[:, None])
    gap = round(config.support_gap * config.misjudged)
    q[:gap] *= 1 - right[:gap, None]
    return Truth(p, q / q.sum(axis=-1, keepdims=True))


def missing_mass(config: WorldConfig, name: str) -> float:
    """The P-probability of all (x, y) that Q never makes; E_Q[P(x, y)/Q(x, y)] is 1 minus this."""
    law, labels = inputs(config), conditionals(config, name)
    reached = np.einsum("cw,t,cty->cwty", law.q, TONE_SHARES, labels.q) > 0
    return float(np.einsum("cw,t,cty->cwty", law.p, TONE_SHARES, labels.p)[~reached].sum())


def make(config: WorldConfig = WorldConfig()) -> dict[str, Benchmark]:
    """The three benchmarks by name, each with train, dev and test drawn from P, generated from Q, and the truth."""
    return {name: _benchmark(config, grammar) for name, grammar in GRAMMARS.items()}


def repeated(config: WorldConfig, name: str, times: int, size: int) -> tuple[Pool, Truth]:
    """About ``size`` texts of benchmark ``name``'s D_Q, equally many of each class, each source ``times`` times.

    Copies have one filler redrawn, as ``near_duplicates`` has it, but here the sources are copied evenly: that knob
    lets some be copied far more often than others, and one class outgrow the rest. Raises UserError where D_Q lacks a
    class.
    """
    grammar = GRAMMARS[name]
    drawn = _draw(config, grammar, config.generated, True, _stream(config, name, "generated"))
    counts = np.bincount(drawn.label, minlength=len(grammar.label_names))
    if not (each := min(size // len(counts), counts.min())):
        raise UserError(f"miniature world, {name}: {len(drawn.label)} texts of D_Q hold no text of one of its classes")
    sources = [np.flatnonzero(drawn.label == label)[: -(-each // times)] for label in range(len(counts))]
    rows = np.concatenate([np.resize(own, each) for own in sources])
    copies = np.concatenate([np.arange(each) >= len(own) for own in sources])
    columns = ("concept", "word", "tone", "tone_word", "frame", "label")
    taken = _Draw(
        **{column: getattr(drawn, column)[rows] for column in columns},
        fillers={slot: values[rows] for slot, values in drawn.fillers.items()},
    )
    rng, slots = _stream(config, name, "repeated"), sorted(grammar.fillers)
    for i in np.flatnonzero(copies):
        slot = slots[rng.integers(len(slots))]
        taken.fillers[slot][i] = rng.integers(len(grammar.fillers[slot]))
    return _as_pool("generated", config, grammar, taken)


def corpus(config: WorldConfig = WorldConfig()) -> tuple[str, ...]:
    """Unlabelled text to pre-train on: half of it drawn from P(x), half lists words of one concept.

    The two sentences of a pair are one text, with a line break between them.

    It shares no random stream with the pools: a text of the test set occurs in it by chance only.
    """
    lines: list[str] = []
    share = -(-config.corpus // (2 * len(GRAMMARS)))
    for grammar in GRAMMARS.values():
        rng = _stream(config, grammar.name, "corpus")
        lines += _write(grammar, _draw(config, grammar, share, False, rng))
        lines += [_gloss(grammar, config, rng) for _ in range(share)]
    order = _stream(config, "", "corpus").permutation(len(lines))
    return tuple(lines[i] for i in order[: config.corpus])


def vocabulary(config: WorldConfig = WorldConfig()) -> tuple[str, ...]:
    """Every token that the world's texts can have, lower case, sorted."""
    found = {"and", ","}
    for grammar in GRAMMARS.values():
        concepts = grammar.concepts[: config.concepts]
        found.update(word for concept in concepts for word in concept.words[: config.synonyms])
        phrases = [*grammar.glosses, *grammar.frames]
        phrases += [phrase for choices in (*grammar.tones, *grammar.fillers.values()) for phrase in choices]
        found.update(token for phrase in phrases for token in tokens(re.sub(r"{\w+}", " ", phrase)))
    return tuple(sorted(found))


@dataclass
class _Draw:
    """Everything that a set of texts is made from, an index array (examples,) each; ``fillers`` by slot."""

    concept: Ints
    word: Ints
    tone: Ints
    tone_word: Ints
    frame: Ints
    label: Ints
    fillers: dict[str, Ints]


def _benchmark(config: WorldConfig, grammar: Grammar) -> Benchmark:
    pools: dict[str, Pool] = {}
    truths: dict[str, Truth] = {}
    for name in POOL_NAMES:
        rng = _stream(config, grammar.name, name)
        drawn = _draw(config, grammar, getattr(config, name), name == "generated", rng)
        pools[name], truths[name] = _as_pool(name, config, grammar, drawn)
    return Benchmark(
        grammar.name,
        grammar.title,
        grammar.label_names,
        pools,
        truths,
        labelled=_labelled(config, grammar.name, pools["train"], truths["train"]),
        origin="made by this package",
    )


def _labelled(config: WorldConfig, name: str, train: Pool, truth: Truth) -> tuple[tuple[str, int], ...]:
    """The labels that Q gives to the inputs of D_P, in the form of :attr:`Benchmark.labelled`."""
    drawn = _drawn_labels(truth.q, _stream(config, name, "labelled"))
    return tuple(zip(map(input_hash, train.inputs), drawn.tolist(), strict=True))


def _as_pool(name: str, config: WorldConfig, grammar: Grammar, drawn: _Draw) -> tuple[Pool, Truth]:
    labels = conditionals(config, grammar.name)
    written = [text.split("\n") for text in _write(grammar, drawn)]
    pairs = tuple(text[1] for text in written) if grammar.paired else None
    pool = Pool(name, tuple(text[0] for text in written), drawn.label, pairs)
    return pool, Truth(labels.p[drawn.concept, drawn.tone], labels.q[drawn.concept, drawn.tone])


def _draw(config: WorldConfig, grammar: Grammar, size: int, generated: bool, rng: np.random.Generator) -> _Draw:
    """Draw ``size`` labelled texts from P, or from Q if ``generated``."""
    law, labels = inputs(config), conditionals(config, grammar.name)
    about = (law.q if generated else law.p).ravel()
    concept, word = np.divmod(rng.choice(len(about), size, p=about), config.synonyms)
    tone = rng.choice(len(TONES), size, p=TONE_SHARES)
    label = _drawn_labels((labels.q if generated else labels.p)[concept, tone], rng)
    drawn = _Draw(
        concept=concept,
        word=word,
        tone=tone,
        tone_word=rng.integers(len(grammar.tones[0]), size=size),
        frame=rng.integers(len(grammar.frames), size=size),
        label=label.astype(np.int64),
        fillers={slot: rng.integers(len(choices), size=size) for slot, choices in grammar.fillers.items()},
    )
    if generated and config.near_duplicates > 0:
        _repeat(config.near_duplicates, drawn, grammar, rng)
    return drawn


def _repeat(share: float, drawn: _Draw, grammar: Grammar, rng: np.random.Generator) -> None:
    """Replace about a ``share`` of the texts by a copy of an earlier one, label included, with one filler redrawn.

    The fillers are uniform and tell nothing of the label, so each copy is distributed as its model: as Q.
    """
    slots = sorted(grammar.fillers)
    columns = (drawn.concept, drawn.word, drawn.tone, drawn.tone_word, drawn.frame, drawn.label)
    for i in range(1, len(drawn.label)):
        if rng.random() < share:
            model, slot = rng.integers(i), slots[rng.integers(len(slots))]
            for column in (*columns, *drawn.fillers.values()):
                column[i] = column[model]
            drawn.fillers[slot][i] = rng.integers(len(grammar.fillers[slot]))


def _write(grammar: Grammar, drawn: _Draw) -> list[str]:
    """The texts; of a pair, both sentences with a line break between them."""
    texts = []
    for i in range(len(drawn.label)):
        text = grammar.frames[drawn.frame[i]].format(
            cue=grammar.concepts[drawn.concept[i]].words[drawn.word[i]],
            tone=grammar.tones[drawn.tone[i]][drawn.tone_word[i]],
            **{slot: grammar.fillers[slot][values[i]] for slot, values in drawn.fillers.items()},
        )
        texts.append("\n".join(_capital(line) for line in text.split("\n")))
    return texts


def _gloss(grammar: Grammar, config: WorldConfig, rng: np.random.Generator) -> str:
    """A sentence that lists up to four words of one concept: where the encoder learns that they belong together."""
    words = grammar.concepts[rng.integers(config.concepts)].words[: config.synonyms]
    chosen = [words[i] for i in rng.permutation(len(words))[:4]]
    listed = " and ".join(part for part in (" , ".join(chosen[:-1]), chosen[-1]) if part)
    return _capital(grammar.glosses[rng.integers(len(grammar.glosses))].format(words=listed))


def _drawn_labels(probabilities: NDArray[np.float64], rng: np.random.Generator) -> Ints:
    """A label for each row of (examples, classes), by the inverse distribution function. One of probability 0 has an
    interval of length 0, and is never drawn."""
    steps = probabilities.cumsum(axis=1)
    drawn: Ints = (rng.random((len(steps), 1)) * steps[:, -1:] >= steps).sum(axis=1)
    return drawn


def _stream(config: WorldConfig, *purpose: str) -> np.random.Generator:
    """An independent random stream for each purpose, so that one size can change and the other pools stay."""
    return np.random.default_rng([config.seed, *(zlib.crc32(part.encode()) for part in purpose)])


def _softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
