"""The two-sample test of Q(x) = P(x): closed forms of the AUC, sets of one law and of two, the ratio, the words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from paper_repro import figures, tables
from paper_repro.paper.information import input_shift
from paper_repro.texts import generated, world

WORDS = np.array("red blue green one two three four five six seven".split())


def sentences(size: int, seed: int, first: float = 0.5) -> list[str]:
    """Texts of four words; the first is "red" with probability ``first``, else "blue"; the others say nothing."""
    rng = np.random.default_rng(seed)
    colour = np.where(rng.random(size) < first, "red", "blue")
    rest = rng.choice(WORDS[2:], (size, 3))
    return [" ".join([c, *words]) for c, words in zip(colour, rest, strict=True)]


# ---------------------------------------------------------------- AUC


def test_the_auc_of_known_scores() -> None:
    assert input_shift.mean_auc([([3, 4], [1, 2])]).mean == 1
    assert input_shift.mean_auc([([1, 4], [2, 3])]).mean == 0.5
    assert input_shift.mean_auc([([1, 1], [1, 1])]).mean == 0.5
    assert input_shift.mean_auc([([2, 3], [1, 2])]).mean == 0.875  # three pairs won, one tied


@given(st.lists(st.integers(0, 5), min_size=2, max_size=20), st.lists(st.integers(0, 5), min_size=2, max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_auc_is_that_of_scikit_learn_and_turns_round(a: list[int], b: list[int]) -> None:
    found, turned = input_shift.mean_auc([(a, b)]), input_shift.mean_auc([(b, a)])
    assert found.mean == pytest.approx(roc_auc_score([1] * len(a) + [0] * len(b), a + b))
    assert found.mean + turned.mean == pytest.approx(1)
    assert 0 <= found.low <= found.mean <= found.high <= 1


def test_delongs_variance_by_hand() -> None:
    """Placements of the positives (1, 1/2), of the negatives (1, 1/2): variance 1/8 / 2 + 1/8 / 2 = 1/8."""
    scores = ([4, 2], [1, 3])
    one = input_shift.mean_auc([scores], level=0.5)
    assert one.mean == 0.75
    assert one.high - one.mean == pytest.approx(min(0.25, 0.67449 * math.sqrt(1 / 8)), abs=1e-5)
    two = input_shift.mean_auc([scores, scores], level=0.1)
    assert two.high - two.mean == pytest.approx(0.12566 * math.sqrt(1 / 8 * (1 / 2 + 1)), abs=1e-5)


def test_single_scores_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least two"):
        input_shift.mean_auc([([1], [2, 3])])


def test_the_best_auc_between_known_laws() -> None:
    assert input_shift.best_auc([0.5, 0.5], [0.5, 0.5]) == 0.5
    assert input_shift.best_auc([1, 0], [0, 1]) == 1
    assert input_shift.best_auc([0.8, 0.2], [0.2, 0.8]) == pytest.approx(0.8 * 0.8 + 0.5 * (0.16 + 0.16))
    assert input_shift.best_auc([0.5, 0.5, 0], [0, 0.5, 0.5]) == pytest.approx(0.5 + 0.25 + 0.125)  # infinite, 1, 0


# ---------------------------------------------------------------- the test


def test_sets_of_one_law_cannot_be_told_apart() -> None:
    """The interval holds 0.5 in seven of eight cases or more (95 % expected; see mean_auc)."""
    held = [input_shift.two_sample(sentences(100, 2 * i), sentences(120, 2 * i + 1)).auc for i in range(8)]
    assert sum(interval.low <= 0.5 <= interval.high for interval in held) >= 7
    assert np.mean([interval.mean for interval in held]) == pytest.approx(0.5, abs=0.03)


def test_sets_of_two_laws_are_found_with_their_auc_and_ratio() -> None:
    p, q = sentences(600, 0, first=0.8), sentences(900, 1, first=0.2)
    found = input_shift.two_sample(p, q)
    assert found.auc.low > 0.5
    assert found.auc.mean == pytest.approx(input_shift.best_auc([0.8, 0.2], [0.2, 0.8]), abs=0.05)
    assert found.log_ratio_p.shape == (600,) and found.log_ratio_q.shape == (900,)
    red = np.array(["red" in text for text in q])
    assert np.median(found.log_ratio_q[red]) == pytest.approx(math.log(4), abs=0.4)
    assert np.median(found.log_ratio_q[~red]) == pytest.approx(-math.log(4), abs=0.4)
    summary = input_shift.ratio_summary(found.log_ratio_q)
    assert summary["mean"] == pytest.approx(1, abs=0.15)  # E_Q[P/Q] = 1
    assert summary["ess"] == pytest.approx(100 / (0.2 * 4**2 + 0.8 / 4**2), abs=8)


def test_the_same_texts_and_seed_give_the_same_answer() -> None:
    one, two = (input_shift.two_sample(sentences(60, 0), sentences(60, 1), seed=3) for _ in range(2))
    assert one.auc == two.auc and (one.log_ratio_q == two.log_ratio_q).all()


def test_too_few_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 10 of each"):
        input_shift.two_sample(sentences(9, 0), sentences(50, 1))


def test_a_ratio_of_one_keeps_every_text() -> None:
    summary = input_shift.ratio_summary(np.zeros(50))
    assert (summary["mean"], summary["q50"], summary["max"], summary["ess"]) == (1, 1, 1, pytest.approx(100))


def test_the_worlds_knob_is_seen() -> None:
    """At input_shift = 1 no text of Q is about what Q misjudges; nothing is trained for this."""
    config = world.WorldConfig(input_shift=1, train=700, generated=700, test=100, dev=50)
    benchmark, law = world.make(config)["financial"], world.inputs(config)
    pairs = input_shift.comparisons(benchmark)
    assert [len(side) for side in pairs[input_shift.SAME]] == [700, 700]
    assert [len(side) for side in pairs[input_shift.HALVES]] == [350, 350]
    assert [len(side) for side in pairs[input_shift.UNSEEN]] == [700, 150]
    assert sorted(pairs[input_shift.HALVES][0] + pairs[input_shift.HALVES][1]) == sorted(
        generated.whole_texts(benchmark.pools["train"])
    )
    moved, same = (input_shift.two_sample(*pairs[name]).auc for name in (input_shift.SAME, input_shift.HALVES))
    assert moved.low > 0.55 and same.low <= 0.5 <= same.high
    assert moved.mean == pytest.approx(input_shift.best_auc(law.p, law.q), abs=0.06)


# ---------------------------------------------------------------- words, table, picture


def test_telling_terms_are_those_that_differ() -> None:
    p, q = sentences(400, 0, first=0.9), sentences(200, 1, first=0.1)
    frame = input_shift.telling_terms(p, q, top=1)
    assert frame[["more_in", "term"]].to_numpy().tolist() == [["P", "red"], ["Q", "blue"]]
    red = frame.iloc[0]
    a, b = sum("red" in text for text in p), sum("red" in text for text in q)
    assert (red["share_p"], red["share_q"]) == pytest.approx((100 * a / 400, 100 * b / 200))
    cells = np.array([a, 400 - a, b, 200 - b]) + 0.5
    assert red["log_odds_ratio"] == pytest.approx(math.log(cells[0] * cells[3] / (cells[1] * cells[2])))
    assert red["z"] == pytest.approx(red["log_odds_ratio"] / math.sqrt((1 / cells).sum()))


def test_the_table_and_its_picture() -> None:
    p, q = sentences(80, 0), sentences(80, 1, first=0.05)
    tested = {
        ("financial", input_shift.SAME): input_shift.two_sample(p, q),
        ("mrpc", input_shift.SAME): input_shift.two_sample(p, p),
    }
    frame = tables.input_shift(tested, {("financial", input_shift.SAME): 0.7})
    assert frame["best_auc"].tolist() == [0.7, pytest.approx(float("nan"), nan_ok=True)]
    assert (frame["n_p"] == 80).all() and (frame["low"] < frame["auc"]).all()
    ax = figures.input_shift(frame, "demo", margin=0.1)
    drawn = [float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() == "o"]  # type: ignore[index,arg-type]
    assert drawn == frame["auc"].tolist()
    caption = ax.figure.get_supxlabel()  # type: ignore[union-attr]
    assert "0.5 ± 0.1" in caption and "input_shift.csv" in caption.replace("\n", " ")
