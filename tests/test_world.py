"""The miniature world: its probabilities are exact, its defaults keep the paper's assumptions, its knobs break them."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from paper_repro.texts import world, world_grammar
from paper_repro.texts.pools import POOL_NAMES, Benchmark, Pool
from paper_repro.texts.world import WorldConfig
from paper_repro.tools.errors import UserError

NAMES = ("financial", "tweet_irony", "mrpc")
LARGE = WorldConfig(generated=20_000, train=1, dev=1, test=1)
TONE_SHARES = (0.3, 0.4, 0.3)  # strong, plain, weak
# P of a concept's label at a certainty of 0.8. Two classes: odds of 4 to the power of 1.5, 1 and 0.5.
TWO_CLASSES = (8 / 9, 4 / 5, 2 / 3)


@pytest.fixture(scope="module")
def made() -> dict[str, Benchmark]:
    return world.make()


@pytest.fixture(scope="module")
def large() -> dict[str, Benchmark]:
    return world.make(LARGE)


def weights(benchmark: Benchmark, pool: str = "generated") -> np.ndarray:
    """P(y|x)/Q(y|x) of the labels that the pool has, (examples,)."""
    rows, truth = np.arange(len(benchmark.pools[pool])), benchmark.truth[pool]
    labels = benchmark.pools[pool].labels
    return np.asarray(truth.p[rows, labels] / truth.q[rows, labels])


def second(pool: Pool) -> tuple[str, ...]:
    """The texts with the cue: of a pair, the second sentence."""
    return pool.texts if pool.pairs is None else pool.pairs


def enumerate_world(grammar: world_grammar.Grammar, config: WorldConfig) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """P(x, y) and Q(x, y) of every text, summed over every way to make it; written from the process as documented."""
    joint: dict[str, tuple[np.ndarray, np.ndarray]] = defaultdict(lambda: (np.zeros(classes), np.zeros(classes)))
    classes = len(grammar.label_names)
    slots = list(grammar.fillers)
    zipf = [1 / (k + 1) for k in range(config.synonyms)]
    for concept, word, tone in itertools.product(range(config.concepts), range(config.synonyms), range(3)):
        about = grammar.concepts[concept]
        probability = zipf[word] / sum(zipf) / config.concepts * TONE_SHARES[tone]
        log_odds = math.log((classes - 1) * 0.8 / 0.2) * (1.5, 1.0, 0.5)[tone]
        is_wrong = concept < config.misjudged
        p = np.ones(classes)
        p[about.label] = math.exp(log_odds)
        q = np.ones(classes)
        q[about.mistaken if is_wrong else about.label] = math.exp(log_odds * (0.5 if is_wrong else 1.5))
        ways = [
            (t, f, *v)
            for t in grammar.tones[tone]
            for f in grammar.frames
            for v in itertools.product(*(grammar.fillers[s] for s in slots))
        ]
        for phrase, frame, *values in ways:
            text = frame.format(cue=about.words[word], tone=phrase, **dict(zip(slots, values, strict=True)))
            for total, row in zip(joint[text.lower()], (p, q), strict=True):
                total += probability / len(ways) * row / row.sum()
    return dict(joint)


@pytest.mark.parametrize("name", NAMES)
def test_truth_agrees_with_the_sum_over_every_way_to_make_a_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    grammar = world_grammar.GRAMMARS[name]
    small = replace(grammar, fillers={slot: choices[:2] for slot, choices in grammar.fillers.items()})
    monkeypatch.setattr(world, "GRAMMARS", {name: small})
    config = WorldConfig(train=1, dev=1, test=500, generated=500, concepts=3, synonyms=2, misconception=1 / 3)
    joint = enumerate_world(small, config)
    assert sum(p.sum() for p, _ in joint.values()) == pytest.approx(1)
    benchmark = world.make(config)[name]
    for pool_name in ("test", "generated"):
        pool, truth = benchmark.pools[pool_name], benchmark.truth[pool_name]
        for i, text in enumerate(second(pool)):
            key = text.lower() if pool.pairs is None else f"{pool.texts[i]}\n{text}".lower()
            p, q = joint[key]
            np.testing.assert_allclose(truth.p[i], p / p.sum(), atol=1e-12)
            np.testing.assert_allclose(truth.q[i], q / q.sum(), atol=1e-12)


def test_known_conditionals() -> None:
    truth = world.conditionals(WorldConfig(), "tweet_irony")
    right, wrong = np.arange(16) >= 5, np.arange(16) < 5
    assert np.allclose(truth.p.max(axis=2), TWO_CLASSES)
    # Q: odds to the power of 1.5 where right, 0.5 where it misjudges, and then for the other label.
    assert np.allclose(truth.q[right].max(axis=2)[:, 1], 8 / 9)
    assert np.allclose(truth.q[wrong].max(axis=2)[:, 1], 2 / 3)
    assert (truth.p.argmax(axis=2) == truth.q.argmax(axis=2)).all(axis=1).tolist() == right.tolist()
    three = world.conditionals(WorldConfig(), "financial")
    assert np.allclose(three.p[0, 1], [0.1, 0.1, 0.8])  # job cuts: good news to investors
    assert three.q[0, 1].argmax() == 0  # bad news to the generator


def test_every_pool_has_its_size_shape_and_truth(made: dict[str, Benchmark]) -> None:
    assert tuple(made) == NAMES
    assert [benchmark.classes for benchmark in made.values()] == [3, 2, 2]
    config = WorldConfig()
    for name, benchmark in made.items():
        assert tuple(benchmark.pools) == tuple(benchmark.truth) == POOL_NAMES
        for pool_name, pool in benchmark.pools.items():
            truth = benchmark.truth[pool_name]
            assert len(pool) == getattr(config, pool_name)
            assert (pool.pairs is not None) == (name == "mrpc")
            assert truth.p.shape == truth.q.shape == (len(pool), benchmark.classes)
            np.testing.assert_allclose(truth.p.sum(axis=1), 1)
            np.testing.assert_allclose(truth.q.sum(axis=1), 1)
        for pool in benchmark.pools.values():
            assert set(pool.labels.tolist()) == set(range(benchmark.classes))


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_drawn_from_the_truth(name: str, large: dict[str, Benchmark]) -> None:
    """Every (concept, tone) of the generated pool: each label's count within five binomial standard deviations."""
    labels, q = large[name].pools["generated"].labels, large[name].truth["generated"].q
    rows, group, size = np.unique(q, axis=0, return_inverse=True, return_counts=True)
    assert size.min() > 100
    for k in range(large[name].classes):
        count = np.bincount(group[labels == k], minlength=len(rows))
        deviation = np.abs(count - size * rows[:, k]) / np.sqrt(size * rows[:, k] * (1 - rows[:, k]))
        assert deviation.max() < 5


def test_same_config_same_world_and_each_pool_has_a_stream_of_its_own(made: dict[str, Benchmark]) -> None:
    again, other = world.make(WorldConfig(generated=50)), world.make(WorldConfig(seed=1))
    for name in NAMES:
        for pool in ("train", "dev", "test"):
            assert again[name].pools[pool].fingerprint == made[name].pools[pool].fingerprint
            assert other[name].pools[pool].fingerprint != made[name].pools[pool].fingerprint
    assert world.corpus() == world.corpus() != world.corpus(WorldConfig(seed=1))


def test_turning_a_knob_of_q_leaves_p_alone(made: dict[str, Benchmark]) -> None:
    config = WorldConfig(misconception=1, input_shift=0.5, narrowing=0.5, near_duplicates=0.5, support_gap=0.5)
    turned = world.make(config)
    for name in NAMES:
        for pool in ("train", "dev", "test"):
            assert turned[name].pools[pool].fingerprint == made[name].pools[pool].fingerprint
    assert world.corpus(config) == world.corpus()  # so the encoder need not be pre-trained again


@pytest.mark.parametrize("name", NAMES)
def test_defaults_keep_the_assumptions(name: str, large: dict[str, Benchmark]) -> None:
    assert world.total_variation(WorldConfig()) == 0
    assert world.missing_mass(WorldConfig(), name) == 0
    w = weights(large[name])
    assert abs(w.mean() - 1) < 4 * w.std() / math.sqrt(len(w))  # E_Q[P/Q] = 1
    assert w.max() < 6.21
    assert w.sum() ** 2 / (w**2).sum() > 0.5 * len(w)


@pytest.mark.parametrize("name", NAMES)
def test_q_misleads_and_the_ensemble_of_q_and_p_does_not(name: str) -> None:
    def accuracy(decisions: np.ndarray, p: np.ndarray) -> float:
        right = np.take_along_axis(p, decisions[..., None], axis=2)[..., 0]
        return float((right.mean(axis=0) * TONE_SHARES).sum())

    truth = world.conditionals(WorldConfig(), name)
    bayes, fitted = accuracy(truth.p.argmax(axis=2), truth.p), accuracy(truth.q.argmax(axis=2), truth.p)
    assert bayes == pytest.approx(0.3 * 8 / 9 + 0.4 * 0.8 + 0.3 * 2 / 3 if name != "financial" else 0.7713, abs=1e-4)
    assert fitted < bayes - 0.17
    # What DIMP converges to decides as P does, as long as Q is less sure of its errors than people of the truth.
    assert accuracy((truth.p * truth.q).argmax(axis=2), truth.p) == bayes
    stubborn = world.conditionals(WorldConfig(doubt=1.2), name)
    assert accuracy((stubborn.p * stubborn.q).argmax(axis=2), stubborn.p) == pytest.approx(fitted)


def test_misconception_is_the_share_of_concepts_on_which_p_and_q_decide_differently() -> None:
    for share, expected in ((0, 0), (0.25, 4), (0.3, 5), (1, 16)):
        for name in NAMES:
            truth = world.conditionals(WorldConfig(misconception=share), name)
            assert (truth.p.argmax(axis=2) != truth.q.argmax(axis=2))[:, 1].sum() == expected


def test_input_shift_moves_q_away_from_the_misjudged_concepts() -> None:
    # The five misjudged concepts of 16 lose the share s of their texts to the others: distance s * 5/16.
    for shift in (0.25, 0.5, 1.0):
        assert world.total_variation(WorldConfig(input_shift=shift)) == pytest.approx(shift * 5 / 16)
    gone = world.make(WorldConfig(input_shift=1))["mrpc"].truth["generated"]
    assert (gone.p.argmax(axis=1) == gone.q.argmax(axis=1)).all()
    assert world.missing_mass(WorldConfig(input_shift=1), "mrpc") == pytest.approx(5 / 16)
    half = world.make(replace(LARGE, input_shift=0.5))["mrpc"].truth["generated"]
    share = (half.p.argmax(axis=1) != half.q.argmax(axis=1)).mean()
    assert abs(share - 5 / 32) < 5 * math.sqrt(5 / 32 * 27 / 32 / 20_000)


def test_narrowing_makes_q_prefer_the_commonest_word() -> None:
    # By Zipf's law that word has 60/137 of a concept's texts under P.
    assert world.total_variation(WorldConfig(narrowing=0.5)) == pytest.approx(0.5 * 77 / 137)
    pool = world.make(WorldConfig(narrowing=1))["financial"].pools["generated"]
    first = {concept.words[0] for concept in world_grammar.FINANCIAL.concepts}
    cues = {word for concept in world_grammar.FINANCIAL.concepts for word in concept.words}
    assert all(set(world_grammar.tokens(text)) & cues <= first for text in pool.texts)


@pytest.fixture(scope="module")
def gap() -> tuple[WorldConfig, dict[str, Benchmark]]:
    config = replace(LARGE, generated=5_000, support_gap=1)
    return config, world.make(config)


@pytest.mark.parametrize("name", NAMES)
def test_support_gap_takes_the_right_label_from_misjudged_concepts(
    name: str, gap: tuple[WorldConfig, dict[str, Benchmark]]
) -> None:
    config, benchmark = gap[0], gap[1][name]
    missing = world.missing_mass(config, name)
    if name != "financial":
        assert missing == pytest.approx(5 / 16 * sum(s * p for s, p in zip(TONE_SHARES, TWO_CLASSES, strict=True)))
    truth, w = benchmark.truth["generated"], weights(benchmark)
    assert (truth.q == 0).any() and np.isfinite(w).all()  # what Q never makes cannot be weighted
    assert abs(w.mean() - (1 - missing)) < 4 * w.std() / math.sqrt(len(w))
    real = benchmark.truth["generated"].p / np.where(truth.q > 0, truth.q, np.nan)
    assert np.isnan(real).any(axis=1).mean() == pytest.approx(5 / 16, abs=4 * math.sqrt(5 / 16 * 11 / 16 / 5_000))
    assert 0 < world.missing_mass(replace(config, support_gap=0.4), name) < missing


def test_near_duplicates_repeat_texts_and_keep_their_law(large: dict[str, Benchmark]) -> None:
    all_one = world.make(WorldConfig(near_duplicates=1))["financial"].pools["generated"]
    cues = {word for concept in world_grammar.FINANCIAL.concepts for word in concept.words}
    assert len({frozenset(set(world_grammar.tokens(text)) & cues) for text in all_one.texts}) == 1
    assert len(set(all_one.labels.tolist())) == 1
    assert len(set(all_one.texts)) > 100
    half = world.make(replace(LARGE, near_duplicates=0.5))["tweet_irony"]
    # A text and its copies vary as one: the mean weight keeps its expectation of 1, with a wider spread.
    w = weights(half)
    assert abs(w.mean() - 1) < 5 * w.std() / math.sqrt(len(w) / 10)
    assert len(set(half.pools["generated"].texts)) < len(set(large["tweet_irony"].pools["generated"].texts))


@pytest.mark.parametrize("name", NAMES)
def test_test_texts_occur_elsewhere_by_chance_only(name: str, made: dict[str, Benchmark]) -> None:
    grammar, law = world_grammar.GRAMMARS[name], world.inputs(WorldConfig())
    ways = 3 * len(grammar.frames) * math.prod(len(choices) for choices in grammar.fillers.values())
    same = float((law.p * law.q).sum()) * sum(s**2 for s in TONE_SHARES) / ways  # P(two texts are equal)
    pools = made[name].pools
    test = [*zip(pools["test"].texts, second(pools["test"]), strict=True)]
    for other in ("train", "dev", "generated"):
        seen = defaultdict(int)
        for key in zip(pools[other].texts, second(pools[other]), strict=True):
            seen[key] += 1
        expected = same * len(test) * len(pools[other])
        assert sum(seen[key] for key in test) <= expected + 5 * math.sqrt(expected) + 3
    drawn = WorldConfig().corpus / 6  # a sixth of the corpus is text of this benchmark
    corpus = set(world.corpus())
    expected = same * len(test) * drawn
    written = {text if pools["test"].pairs is None else "\n".join(pair) for pair in test for text in pair[:1]}
    assert len(written & corpus) <= expected + 5 * math.sqrt(expected) + 3


def test_vocabulary_is_what_the_texts_use(made: dict[str, Benchmark]) -> None:
    used = {token for text in world.corpus() for token in world_grammar.tokens(text)}
    for benchmark in made.values():
        for pool in benchmark.pools.values():
            used.update(token for text in (*pool.texts, *second(pool)) for token in world_grammar.tokens(text))
    assert used == set(world.vocabulary())


def test_cues_and_tones_can_be_read_off() -> None:
    cues = [w for g in world_grammar.GRAMMARS.values() for c in g.concepts for w in c.words]
    assert len(set(cues)) == len(cues) == 3 * 16 * 5
    for grammar in world_grammar.GRAMMARS.values():
        others = [*grammar.frames, *grammar.glosses, *(p for ps in grammar.tones for p in ps)]
        others += [p for ps in grammar.fillers.values() for p in ps]
        assert not {t for phrase in others for t in world_grammar.tokens(phrase)} & set(cues)
        assert all(c.label != c.mistaken for c in grammar.concepts)
        labels = np.bincount([c.label for c in grammar.concepts])
        assert labels.max() - labels.min() <= 2  # nearly balanced


@pytest.mark.parametrize(
    ("knob", "value", "limits"),
    [("misconception", 1.5, "0 to 1"), ("concepts", 17, "2 to 16"), ("test", 0, "1 or more"), ("narrowing", -1, "0")],
)
def test_knobs_out_of_range_are_refused(knob: str, value: float, limits: str) -> None:
    with pytest.raises(UserError, match=f"{knob} is {value}; expected {limits}"):
        WorldConfig(**{knob: value})
