"""The two-sample test of Q(x) = P(x): closed forms of the AUC, sets of one and of two distributions, words."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from paper_repro.paper.information import figures
from paper_repro.paper.information.input_shift import best_auc, compared, mean_auc, telling_terms, two_sample
from paper_repro.texts import generated, world

WORDS = np.array("red blue green one two three four five six seven".split())


def sentences(size: int, seed: int, first: float = 0.5) -> list[str]:
    """Texts of four words; the first is "red" with probability ``first``, else "blue"; the others say nothing."""
    rng = np.random.default_rng(seed)
    colour = np.where(rng.random(size) < first, "red", "blue")
    rest = rng.choice(WORDS[2:], (size, 3))
    return [" ".join([c, *words]) for c, words in zip(colour, rest, strict=True)]


# ---------------------------------------------------------------- AUC


def test_delongs_variance_by_hand() -> None:
    """Placements of the positives (1, 1/2), of the negatives (1, 1/2): variance 1/8 / 2 + 1/8 / 2 = 1/8."""
    scores = ([4, 2], [1, 3])
    one = mean_auc([scores], level=0.5)
    assert one.mean == 0.75
    assert one.high - one.mean == pytest.approx(min(0.25, 0.67449 * math.sqrt(1 / 8)), abs=1e-5)
    two = mean_auc([scores, scores], level=0.1)
    assert two.high - two.mean == pytest.approx(0.12566 * math.sqrt(1 / 8 * (1 / 2 + 1)), abs=1e-5)
    with pytest.raises(ValueError, match="at least two"):
        mean_auc([([1], [2, 3])])


@pytest.mark.parametrize(
    ("p", "q", "area"),
    [
        ([0.5, 0.5], [0.5, 0.5], 0.5),
        ([1, 0], [0, 1], 1),
        ([0.8, 0.2], [0.2, 0.8], 0.8 * 0.8 + 0.5 * (0.16 + 0.16)),
        ([0.5, 0.5, 0], [0, 0.5, 0.5], 0.5 + 0.25 + 0.125),  # ratios infinite, 1, 0
    ],
)
def test_the_best_auc_between_known_distributions(p: list[float], q: list[float], area: float) -> None:
    assert best_auc(p, q) == pytest.approx(area)


# ---------------------------------------------------------------- the test


def test_sets_of_one_distribution_cannot_be_told_apart() -> None:
    """The interval holds 0.5 in seven of eight cases or more (95 % expected; see mean_auc)."""
    held = [two_sample(sentences(100, 2 * i), sentences(120, 2 * i + 1)) for i in range(8)]
    assert sum(interval.low <= 0.5 <= interval.high for interval in held) >= 7
    assert np.mean([interval.mean for interval in held]) == pytest.approx(0.5, abs=0.03)


def test_sets_of_two_distributions_are_found_with_their_auc() -> None:
    p, q = sentences(600, 0, first=0.8), sentences(900, 1, first=0.2)
    auc = two_sample(p, q)
    assert auc == two_sample(p, q) and auc.low > 0.5
    assert auc.mean == pytest.approx(best_auc([0.8, 0.2], [0.2, 0.8]), abs=0.05)
    with pytest.raises(ValueError, match="at least 10 of each"):
        two_sample(p[:9], q)


def test_the_worlds_knob_is_seen() -> None:
    """At input_shift = 1 no text of Q is about what Q misjudges; nothing is trained for this."""
    config = world.WorldConfig(input_shift=1, train=700, generated=700, test=100, dev=50)
    benchmark, inputs = world.make(config)["financial"], world.inputs(config)
    pairs = compared(benchmark)
    sizes = {name: [len(side) for side in sides] for name, sides in pairs.items()}
    assert sizes == {"generated": [700, 700], "halves": [350, 350], "unseen": [700, 150]}
    assert sorted([*pairs["halves"][0], *pairs["halves"][1]]) == sorted(generated.whole_texts(benchmark.pools["train"]))
    moved, same = (two_sample(*pairs[name]) for name in ("generated", "halves"))
    assert moved.low > 0.55 and same.low <= 0.5 <= same.high
    assert moved.mean == pytest.approx(best_auc(inputs.p, inputs.q), abs=0.06)


# ---------------------------------------------------------------- words, table, picture


def test_telling_terms_are_those_that_differ() -> None:
    p, q = sentences(400, 0, first=0.9), sentences(200, 1, first=0.1)
    frame = telling_terms(p, q, top=1)
    assert frame[["more_in", "term"]].to_numpy().tolist() == [["P", "red"], ["Q", "blue"]]
    red = frame.iloc[0]
    a, b = sum("red" in text for text in p), sum("red" in text for text in q)
    assert (red["share_p"], red["share_q"]) == pytest.approx((100 * a / 400, 100 * b / 200))
    cells = np.array([a, 400 - a, b, 200 - b]) + 0.5
    assert red["log_odds_ratio"] == pytest.approx(math.log(cells[0] * cells[3] / (cells[1] * cells[2])))
    assert red["z"] == pytest.approx(red["log_odds_ratio"] / math.sqrt((1 / cells).sum()))


def test_the_picture_has_a_dot_for_each_test() -> None:
    rows = [("mrpc", 0.0, 0.5), ("mrpc", 0.5, 0.8), ("financial", 0.0, 0.8)]
    frame = pd.DataFrame(rows, columns=["benchmark", "input_shift", "auc"]).assign(comparison="generated", best_auc=0.7)
    frame = frame.assign(low=frame["auc"] - 0.1, high=frame["auc"] + 0.1, n_p=80, n_q=80)
    figure = figures.auc_dots(frame, "demo", margin=0.1)
    assert [ax.get_title() for ax in figure.axes] == ["Financial", "MRPC"]
    lines = [np.asarray(line.get_xydata()) for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert sorted(map(tuple, np.concatenate(lines))) == [(0.5, 0), (0.8, 1)]
