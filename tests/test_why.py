"""What goes with the gain: identities of the parts, and cases whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import fake_runs
import numpy as np
import pandas as pd
import pytest

from paper_repro.paper.outcomes import comparison, outcomes_of
from paper_repro.paper.why import tables
from paper_repro.paper.why.cells import REAL_INPUTS, input_shift_runs
from paper_repro.texts import world
from paper_repro.texts.pools import Benchmark, Pool
from paper_repro.texts.world import WorldConfig

SMALL = WorldConfig(train=300, dev=20, test=60, generated=300, corpus=10)


def test_the_two_parts_of_a_gain_add_up_to_it() -> None:
    results = fake_runs.FakeResults(fake_runs.profile())
    parts = tables.corrections(results, results.cells)
    outcomes = outcomes_of(results, results.cells)
    for (name, method), rows in parts.groupby(["benchmark", "method"]):
        gain = comparison(outcomes["generated", method, name], outcomes["generated", "ce", name])["mean"]
        assert rows["mean"].sum() == pytest.approx(gain)
        assert rows["share"].sum() == pytest.approx(100)
        assert (rows["corrected"] - rows["broken"]).tolist() == pytest.approx(rows["mean"].tolist())


def test_ranks_over_all_runs_and_within_benchmarks() -> None:
    """Between benchmarks the gain rises with the covariate, within each it falls."""
    runs = pd.DataFrame(
        {
            "benchmark": np.repeat(["a", "b", "c"], 4),
            "method": "imp",
            "gain": np.repeat([0.0, 10.0, 20.0], 4) - np.tile(np.arange(4.0), 3),
            "checker_minus_ce": np.repeat([0.0, 10.0, 20.0], 4) + np.tile(np.arange(4.0), 3),
            "disagreement": 1.0 + np.arange(12),
            "ess": 1.0 + np.arange(12),
        }
    )
    row = tables.goes_with(runs).set_index("covariate").loc["checker_minus_ce"]
    assert row["within"] == pytest.approx(-1.0) and row["rho"] > 0.7 and row["n"] == 12


def test_equal_gains_on_both_inputs_make_no_difference_of_gains() -> None:
    profile = fake_runs.profile()
    cells = input_shift_runs(profile)
    same = [replace(cell, train_source=REAL_INPUTS) if ":" in cell.train_source else cell for cell in cells]
    results = fake_runs.FakeResults(profile, cells=same)  # the same predictions for both pools
    results._names = {cell.spec: (REAL_INPUTS, cell.method, cell.benchmark, cell.seed) for cell in cells}
    claims = tables.input_shift_claims(results, cells)
    assert len(claims) == 6 and (claims["mean"] == 0).all() and set(claims["verdict"]) == {"inconclusive"}


def test_the_world_s_generator_labels_real_inputs_by_q() -> None:
    made = world.make(WorldConfig(train=4000, dev=20, test=20, generated=20, corpus=10))["financial"]
    pool, truth = made.pool(REAL_INPUTS), made.truth_of(REAL_INPUTS)
    assert truth is not None and sorted(pool.inputs) == sorted(made.pool("train").inputs)
    chance = truth.q[np.arange(len(pool)), pool.labels]
    expected, spread = (truth.q**2).sum(axis=1), np.sqrt((truth.q**3).sum(axis=1) - (truth.q**2).sum(axis=1) ** 2)
    assert abs(chance.sum() - expected.sum()) < 4 * np.sqrt((spread**2).sum())


def test_labels_that_are_not_the_benchmark_s_are_found() -> None:
    made = world.make(SMALL)["tweet_irony"]
    wrong = tables._is_wrong(made)
    given = dict(zip(made.pool("train").inputs, made.pool("train").labels, strict=True))
    pool = made.pool(REAL_INPUTS)
    assert wrong.tolist() == [given[text] != label for text, label in zip(pool.inputs, pool.labels, strict=True)]
    assert 0 < wrong.mean() < 1


def test_test_texts_that_stand_in_d_q_look_like_it() -> None:
    """Half of the test set is made of the generated texts' words, the other half of the real ones'."""
    real, generated = ([f"{word} {i % 7} filler" for i in range(60)] for word in ("harbour", "meadow"))
    labels = np.zeros(60, dtype=np.int64)
    pools = {"train": Pool("train", tuple(real), labels), "generated": Pool("generated", tuple(generated), labels)}
    pools["test"] = Pool("test", (*generated[:20], *real[:20]), labels[:40])
    ratio = tables.likeness(Benchmark("mine", "Mine", ("a", "b"), pools))
    assert ratio[:20].max() < 0 < ratio[20:].min()
