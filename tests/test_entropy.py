"""Conditional entropy and KL divergence: closed forms, invariants, and the bounds on errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from paper_repro.measures import entropy

LN2 = math.log(2)
P = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
Q = np.array([[0.25, 0.5, 0.25], [0.5, 0.5, 0.0]])
LOG_P, LOG_Q = entropy.exact_logs(P), entropy.exact_logs(Q)

distributions = st.tuples(st.integers(1, 20), st.integers(2, 5), st.integers(0, 2**32 - 1))


def drawn(shape: tuple[int, int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Two random distributions (texts, classes), as logs, and labels drawn from the first."""
    texts, classes, seed = shape
    rng = np.random.default_rng(seed)
    p, q = (rng.dirichlet(np.full(classes, 0.5), texts) + 1e-9 for _ in range(2))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    labels = (rng.random((texts, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return np.log(p), np.log(q), labels


# ---------------------------------------------------------------- closed forms


def test_the_entropy_of_two_known_distributions() -> None:
    """H(1/2, 1/4, 1/4) = 1.5 bits, H(1, 0, 0) = 0."""
    assert entropy.entropy_terms(LOG_P) == pytest.approx([1.5 * LN2, 0])
    assert entropy.entropy_terms(LOG_P, [1, 0]) == pytest.approx([2 * LN2, 0])
    assert entropy.entropy_terms(LOG_P, [1, 2])[1] == math.inf


def test_kl_of_two_known_distributions() -> None:
    """KL((1/4, 1/2, 1/4) || (1/2, 1/4, 1/4)) = (-1/4 + 1/2) bits; P's certain text costs KL(P||Q) one bit and is
    impossible the other way round."""
    assert entropy.kl_terms(LOG_Q, LOG_P) == pytest.approx([0.25 * LN2, math.inf])
    assert entropy.kl_terms(LOG_P, LOG_Q) == pytest.approx([0.25 * LN2, LN2])
    assert entropy.kl_terms(LOG_P, LOG_Q, [1, 0]) == pytest.approx([-LN2, LN2])


def test_seeds_stay_in_front() -> None:
    both = np.stack([LOG_P, LOG_Q])
    assert entropy.entropy_terms(both).shape == (2, 2)
    assert entropy.entropy_terms(both, [0, 0])[1] == pytest.approx([2 * LN2, LN2])


@pytest.mark.parametrize(
    "call",
    [
        lambda: entropy.entropy_terms(np.zeros(3)),
        lambda: entropy.entropy_terms(np.zeros((0, 3))),
        lambda: entropy.entropy_terms(LOG_P, [0]),
        lambda: entropy.kl_terms(LOG_P, LOG_Q[:1]),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call: object) -> None:
    with pytest.raises(ValueError):
        call()  # type: ignore[operator]


# ---------------------------------------------------------------- invariants


@given(distributions)
@settings(max_examples=60, deadline=None)
def test_full_forms_lie_where_they_must(shape: tuple[int, int, int]) -> None:
    log_p, log_q, _ = drawn(shape)
    terms = entropy.entropy_terms(log_p)
    assert (terms >= 0).all() and (terms <= math.log(shape[1]) + 1e-12).all()
    assert (entropy.kl_terms(log_p, log_q) >= 0).all()
    assert entropy.kl_terms(log_p, log_p) == pytest.approx(np.zeros(shape[0]))


@given(distributions)
@settings(max_examples=60, deadline=None)
def test_the_label_form_is_the_full_form_in_expectation(shape: tuple[int, int, int]) -> None:
    """Summed over all labels with their probabilities, exactly."""
    log_p, log_q, _ = drawn(shape)
    every = [np.full(shape[0], label) for label in range(shape[1])]
    total = sum(np.exp(log_p[:, y[0]]) * entropy.entropy_terms(log_p, y) for y in every)
    divergence = sum(np.exp(log_p[:, y[0]]) * entropy.kl_terms(log_p, log_q, y) for y in every)
    assert total == pytest.approx(entropy.entropy_terms(log_p))
    assert divergence == pytest.approx(entropy.kl_terms(log_p, log_q), abs=1e-9)


@given(distributions)
@settings(max_examples=60, deadline=None)
def test_no_model_and_no_labels_break_the_bounds(shape: tuple[int, int, int]) -> None:
    """Hellman-Raviv for what a model expects of itself, and error <= loss / ln 2 on any labels, here drawn from
    another distribution."""
    log_p, log_q, labels = drawn(shape)
    expected = 1 - np.exp(log_q.max(axis=1))
    assert (expected <= entropy.error_bound(entropy.entropy_terms(log_q)) + 1e-12).all()
    for model in (log_p, log_q):
        error, loss = model.argmax(axis=1) != labels, entropy.entropy_terms(model, labels)
        assert (error <= entropy.loss_bound(loss) + 1e-12).all()


def test_the_bounds_are_met_by_a_coin() -> None:
    assert entropy.error_bound(entropy.entropy_terms(np.log([[0.5, 0.5]]))) == pytest.approx([0.5])
    assert entropy.loss_bound(LN2) == pytest.approx(1)
