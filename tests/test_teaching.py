"""The primer's helpers: closed forms of importance sampling, exact weights, fixed points, knobs, pictures."""

from __future__ import annotations

import re

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_repro.measures.intervals import mean_interval
from paper_repro.method import losses
from paper_repro.teaching import experiment, knobs, sampling, texts
from paper_repro.teaching.experiment import Setting, dimp_regression, softmax_regression
from paper_repro.tools.paths import NOTEBOOKS

E = np.e
ABOVE = 0.8413447460685429  # the share of a normal distribution above one standard deviation below its mean


@pytest.fixture(scope="module")
def world():
    return texts.benchmark()


# -- one dimension ------------------------------------------------------------------------------------------


def test_the_weight_of_two_normal_distributions_is_known():
    x = np.linspace(-3, 3, 7)
    assert sampling.Question().log_weights(x) == pytest.approx(x - 0.5)
    assert sampling.Question().truth == pytest.approx(0.5)
    narrow = sampling.Question(scale=0.5)
    assert np.exp(narrow.log_weights(np.array([0.0]))) == pytest.approx(0.5 * np.exp(-0.5))


def test_estimators_by_hand():
    f, w = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.5, 1.0, 2.0, 1.5])
    assert [estimate(f, w) for estimate in sampling.ESTIMATORS.values()] == pytest.approx([0.5, 0.75, 0.6])
    both = sampling.ESTIMATORS["self-normalised"](np.stack([f, f]), np.stack([w, 10 * w]))
    assert both == pytest.approx([0.6, 0.6])


def test_bias_and_variance_are_those_of_the_formulas():
    """n Var = E[w^2 f] - 1/4 = e * ABOVE - 1/4 weighted, and E[w^2 (f - 1/2)^2] = e / 4 self-normalised."""
    frame = sampling.simulate(sampling.Question(), (100, 1000), 1500, seed=1).set_index(["n", "estimator"])
    for n in (100, 1000):
        rows = frame.loc[n]
        errors = (rows["bias_high"] - rows["bias"]) / 1.96
        # no weights: P(x > 1) under Q; self-normalised: the bias of a ratio, to first order
        expected = {"no weights": 0.15866 - 0.5, "weighted": 0, "self-normalised": (E / 2 - E * ABOVE) / n}
        for name, bias in expected.items():
            assert rows.loc[name, "bias"] == pytest.approx(bias, abs=4 * errors[name])
    assert 1000 * frame.loc[(1000, "weighted"), "sd"] ** 2 == pytest.approx(E * ABOVE - 0.25, rel=0.1)
    assert 1000 * frame.loc[(1000, "self-normalised"), "sd"] ** 2 == pytest.approx(E / 4, rel=0.1)
    assert np.allclose(frame["rmse"] ** 2, frame["bias"] ** 2 + frame["sd"] ** 2, rtol=1e-2)


def test_the_effective_sample_follows_the_shift():
    frame = sampling.effective_sizes((0, 0.5, 1), 20000).set_index("shift")
    assert frame["exact (%)"].tolist() == pytest.approx([100, 77.8801, 36.7879], abs=1e-3)
    assert frame["ESS (%)"].tolist() == pytest.approx([100, 77.9, 36.8], rel=0.1)
    assert frame["mean weight"].tolist() == pytest.approx([1, 1, 1], abs=0.05)


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=30))
@settings(max_examples=40, deadline=None)
def test_remedies_bound_the_weights(logs):
    rows = np.array([logs])
    raw, cut, bounded = (sampling.clipped(rows, kind)[0] for kind in ("none", "sqrt-n", "bounded"))
    assert raw == pytest.approx(np.exp(logs))
    assert cut == pytest.approx(np.minimum(raw, raw.mean() * len(raw) ** 0.5))
    assert bounded == pytest.approx(raw / (0.1 * raw + 0.9))


def test_the_defensive_mixture_is_right_where_the_bounded_ratio_is_not():
    found = sampling.remedies(sampling.Question(scale=0.6), 2000, 200, np.random.default_rng(0))
    assert tuple(found) == sampling.REMEDIES
    assert found["mixture"].mean() == pytest.approx(0.5, abs=0.01)
    assert mean_interval(found["bounded"]).high < 0.4


def test_the_tail_index_of_a_narrow_proposal_is_known():
    frame = sampling.compare_remedies((1, 0.5), 20, 5)
    assert frame.groupby("scale")["k_exact"].first().to_dict() == {0.5: 0.75, 1: 0}


def test_what_is_out_of_reach_is_missing_from_the_mean_weight():
    frame = sampling.out_of_reach((np.inf, 2), 500, 400)
    assert frame["exact"].tolist() == pytest.approx([1, ABOVE])
    assert frame["weighted, limit"].tolist() == pytest.approx([0.5, ABOVE - 0.5])
    assert frame["mean weight"].tolist() == pytest.approx(frame["exact"].tolist(), abs=0.02)
    assert frame["weighted"].tolist() == pytest.approx(frame["weighted, limit"].tolist(), abs=0.02)
    assert sampling.Question(reach=2).draw(1000, np.random.default_rng(0)).max() <= 2


# -- texts --------------------------------------------------------------------------------------------------


def test_weights_turn_the_labels_of_q_into_those_of_p(world):
    rows = texts.some_texts(world)
    frame, truth, labels = (
        texts.both_distributions(world, rows),
        world.truth["generated"],
        world.pools["generated"].labels,
    )
    assert frame["Q * weight"].to_numpy() == pytest.approx(truth.p[rows].ravel())
    seen = frame[frame[""] == "observed"].index.get_level_values("label")
    assert seen.tolist() == [world.label_names[labels[row]] for row in rows]
    assert len(set(rows)) == 4
    assert [truth.p[row].argmax() == truth.q[row].argmax() for row in rows] == [True, True, False, False]
    assert [truth.q[row].argmax() == labels[row] for row in rows] == [True, False, True, False]


def test_weighting_finds_how_often_people_agree_with_q(world):
    frame = texts.agreement_with_people(world)
    truth = world.truth["generated"]
    exact = 100 * truth.p[np.arange(len(truth.p)), truth.q.argmax(axis=1)].mean()
    assert frame.loc["exact", "%"] == pytest.approx(exact)
    assert frame.loc["labels of Q taken as they are", "low"] > exact
    for name in ("weighted by P/Q", "weighted, self-normalised"):
        half = frame.loc[name, "high"] - frame.loc[name, "%"]
        assert abs(frame.loc[name, "%"] - exact) < 2 * half


def test_terms_by_hand():
    """Two texts: p = e^-1 and e^-2, so that -log p is 1 and 2."""
    frame = texts.by_hand([E**-1, E**-2], [0.5, 0.3], [0.25, 0.6])
    assert frame["ce term"].tolist() == pytest.approx([1, 2])
    assert frame["quality_only term"].tolist() == pytest.approx([0.5, 0.6])
    assert frame["imp weight"].tolist() == pytest.approx([2, 0.5])
    assert frame["imp term"].tolist() == pytest.approx([2, 1])
    assert frame["dimp term"].tolist() == pytest.approx([0.5 * E, 0.6 * E**2])


# -- the experiment -----------------------------------------------------------------------------------------


def test_a_weight_of_two_is_the_text_twice():
    rng = np.random.default_rng(0)
    x, y = rng.random((30, 4)), rng.integers(3, size=30)
    weighted = softmax_regression(x, y, 3, 1.0 + (np.arange(30) < 10))
    doubled = softmax_regression(np.r_[x, x[:10]], np.r_[y, y[:10]], 3)
    assert weighted(x) == pytest.approx(doubled(x), abs=1e-3)


def test_dimp_ends_at_the_root_of_q_times_p_prime():
    """One text 1,000 times, labelled by Q = (0.2, 0.6, 0.2): the penalty counts for nothing."""
    quality, y = np.array([0.6, 0.1, 0.3]), np.repeat([0, 1, 2], [200, 600, 200])
    found = dimp_regression(np.zeros((1000, 1)), y, 3, quality[y])(np.zeros((1, 1)))
    root = np.sqrt([0.2 * 0.6, 0.6 * 0.1, 0.2 * 0.3])
    assert found[0] == pytest.approx(root / root.sum(), abs=1e-3)


def test_dimp_ends_where_the_gradient_of_the_papers_loss_is_that_of_the_penalty():
    rng = np.random.default_rng(0)
    x, y, quality = rng.random((60, 4)), rng.integers(3, size=60), rng.random(60)
    model = dimp_regression(x, y, 3, quality)
    intercepts = np.log(model(np.zeros((1, 4))))
    table = np.log(model(np.eye(4))) - intercepts  # up to a constant for each row, which the penalty centres
    logits = torch.from_numpy(np.log(model(x))).requires_grad_()
    loss = 60 * losses.weighted_loss("dimp", logits, torch.from_numpy(y), torch.from_numpy(quality))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert x.T @ gradient.numpy() == pytest.approx(table.mean(axis=1, keepdims=True) - table, abs=0.02)


def test_classes_that_were_never_seen_are_possible():
    x, y = np.eye(4), np.array([0, 2, 0, 2])
    two, one = softmax_regression(x, y, 3)(x), softmax_regression(x[:2], y[[0, 0]], 3)(x)
    assert (two[:, 1] > 0).all() and (two[:, 1] < 1e-5).all()
    assert one.argmax(axis=1).tolist() == [0, 0, 0, 0]
    assert np.isfinite(np.log(one)).all()


@given(st.floats(0, 5), st.floats(0.1, 5), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_sharpness_and_noise_keep_probabilities(noise, sharpness, seed):
    rng = np.random.default_rng(seed)
    quality = rng.dirichlet(np.ones(3), size=6) + 1e-3
    quality /= quality.sum(axis=1, keepdims=True)
    found = experiment.disturbed(quality, Setting(sharpness=sharpness, noise=noise), rng)
    assert found.sum(axis=1) == pytest.approx(np.ones(6))
    calm = experiment.disturbed(quality, Setting(sharpness=sharpness), rng)
    assert (calm.argmax(axis=1) == quality.argmax(axis=1)).all()
    assert experiment.disturbed(quality, Setting(), rng) == pytest.approx(quality)


def test_knobs_move_what_they_should_and_nothing_else():
    rest = experiment.run(Setting()).accuracy
    sharp = experiment.run(Setting(sharpness=4)).accuracy
    noisy = experiment.run(Setting(noise=3)).accuracy
    wrong = experiment.run(Setting(misconception=0.6)).accuracy
    for method in ("ce", "imp_true", "best"):
        assert rest[method] == sharp[method] == noisy[method], "P' has no part in these"
    assert sharp["checker"] == rest["checker"], "a power keeps every most likely class"
    assert noisy["checker"] < rest["checker"] - 0.1
    assert wrong["checker"] == rest["checker"], "P is the same world"
    assert wrong["ce"] < rest["ce"] - 0.1
    assert wrong["imp_true"] > wrong["ce"] + 0.2, "true weights repair what Q misjudges"
    assert tuple(rest) == tuple(experiment.METHODS)


RUNS = pd.DataFrame(
    [
        {"knob": "noise", "value": v, "repetition": r, "method": m, "accuracy": a, "ess": 40.0, "mean_weight": 1.0}
        for v, table in {
            0.0: {"ce": (50, 52), "imp": (60, 62.2), "dimp": (70, 69), "checker": (58, 64)},
            1.0: {"ce": (50, 52), "imp": (40, 42.2), "dimp": (70, 69), "checker": (30, 32)},
        }.items()
        for m, accuracies in {**table, "imp_true": (70, 70), "best": (75, 77)}.items()
        for r, a in enumerate(accuracies)
    ]
)


def test_intervals_are_over_worlds_and_differences_paired():
    found = experiment.summary(RUNS).set_index(["value", "method"]).loc[(0.0, "ce")]
    assert found["accuracy"] == 51
    assert found["high"] - 51 == pytest.approx(12.7062)  # Student's t with one degree of freedom
    gap = experiment.against(RUNS).set_index(["value", "method", "versus"]).loc[(0.0, "imp", "ce")]
    assert gap["difference"] == pytest.approx(10.1)
    assert gap["high"] - gap["difference"] == pytest.approx(12.7062 * 0.1)


def test_sentences_follow_the_intervals():
    titles = experiment.METHODS
    assert experiment.in_words(experiment.against(RUNS), "noise")[:2] == [
        f"{titles['imp']} against {titles['ce']}: above at 0; below at 1",
        f"{titles['imp']} against {titles['checker']}: above at 1; inconclusive at 0",
    ]


# -- knobs and pictures -------------------------------------------------------------------------------------


def test_turning_a_knob_trains_anew_and_redraws():
    knob = knobs.Knob("noise", RUNS, "demo")
    first, words = bytes(knob.picture.value), knob.numbers.value
    assert first.startswith(b"\x89PNG")
    assert f"DIMP {100 * experiment.run(Setting()).accuracy['dimp']:.1f} %" in words
    knob.value.value = 2.0
    assert bytes(knob.picture.value) != first and knob.numbers.value != words
    second = knob.numbers.value
    knob.world.value = 1
    assert knob.numbers.value != second, "another world"


# -- what each notebook says of itself ----------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_that_a_notebook_names_exist_what_it_needs_comes_before_and_the_next_one_is_next(path):
    cells = nbformat.read(path, as_version=4).cells
    names = [other.stem for other in sorted(NOTEBOOKS.glob("*.ipynb"))]
    named = re.findall(r"`(\d\d_\w+)`", "\n".join(cell.source for cell in cells))
    assert set(named) <= set(names)
    needed = re.findall(r"`(\d\d_\w+)`", cells[0].source.split("**You need** ")[1].split("\n")[0])
    assert all(name < path.stem for name in needed)
    following = re.findall(r"`(\d\d_\w+)`", cells[-1].source.split("**Next:** ")[1])
    assert following[:1] == names[names.index(path.stem) + 1 :][:1]
