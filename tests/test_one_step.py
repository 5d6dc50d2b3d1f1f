"""Eq. 7 by brute force: what one step gains is what a step really made gains."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from scipy.sparse import csr_matrix
from scipy.special import log_softmax

from paper_repro.paper.theory import one_step

RNG = np.random.default_rng(0)


def test_the_gain_is_that_of_a_step_really_made() -> None:
    candidates, target = csr_matrix(RNG.random((6, 5))), csr_matrix(RNG.random((9, 5)))
    labels, truth, table = RNG.integers(3, size=6), RNG.integers(3, size=9), RNG.normal(size=(5, 3))

    def fit(weights: np.ndarray) -> float:
        return float(log_softmax(target @ weights, axis=1)[np.arange(9), truth].mean())

    found = one_step.gains(table, candidates, labels, target, truth, 0.7)
    for i in range(6):
        p = np.exp(log_softmax(candidates[[i]] @ table, axis=1))
        stepped = table - 0.7 * candidates[[i]].T @ (p - np.eye(3)[labels[[i]]])
        assert found[i] == pytest.approx(fit(stepped) - fit(table))


def test_sgd_on_all_texts_at_once_is_one_gradient_step() -> None:
    texts, labels, table = csr_matrix(RNG.random((4, 5))), np.array([0, 1, 1, 2]), RNG.normal(size=(5, 3))
    gap = np.exp(log_softmax(texts @ table, axis=1)) - np.eye(3)[labels]
    moved = one_step.sgd(table, texts, labels, 1, np.random.default_rng(0))
    np.testing.assert_allclose(moved, table - one_step.RATE * texts.T @ gap / 4)


def test_agreement_of_known_orders() -> None:
    values = np.arange(50.0)
    same, other = one_step.agreement(values, values**3), one_step.agreement(values, -values)
    assert same == pytest.approx({"spearman": 1, "low": 1, "high": 1, "better": 0})
    assert (other["spearman"], other["better"]) == pytest.approx((-1, 49 / 50))


@pytest.mark.parametrize("name", ["financial", "mrpc"])
def test_the_table_names_every_criterion_step_and_target(name: str) -> None:
    benchmark = tiny.make_benchmark(name)
    even = {"BERT P'": np.log(np.full(len(benchmark.pools["generated"]), 0.5))}
    frame = one_step.compare(benchmark, even, epochs=1, candidates=20)
    assert len(frame) == 2 * 2 * 5 and (frame["n"] == 20).all() and set(frame["criterion"]) == set(one_step.CRITERIA)
    assert set(frame["step"]) == set(one_step.STEPS) and set(frame["target"]) == set(one_step.TARGETS)
    assert frame["spearman"].between(-1, 1).all() and (frame["low"] <= frame["high"]).all()
    by_criterion = frame.set_index(["criterion", "step", "target"])["spearman"]
    np.testing.assert_allclose(by_criterion["BERT P'/p"], by_criterion["1/p"])  # P' is the same for all texts
