"""Derived pools: which rows and labels they hold is known from the rule, before any code ran."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from paper_repro.runs.spec import Source
from paper_repro.texts.derived import derive, nested_order
from paper_repro.texts.noise import PARTS, noisy
from paper_repro.texts.pools import Benchmark, Pool, Truth
from paper_repro.tools.errors import UserError

LABELS = st.lists(st.integers(0, 2), min_size=6, max_size=80).map(lambda v: np.array(v, dtype=np.int64))


@given(labels=LABELS, first=st.integers(1, 6), second=st.integers(1, 6))
def test_parts_are_nested_and_hold_each_class_in_its_share(labels: np.ndarray, first: int, second: int) -> None:
    small, large = sorted((first, second))
    parts = [derive(f"train:{n}", lambda _: labels, 3) for n in (small, large)]
    assert set(parts[0].rows) <= set(parts[1].rows)
    assert len(parts[1].rows) == large
    assert (np.diff(parts[1].rows) > 0).all()
    for n in range(1, len(labels) + 1):
        beginning = labels[nested_order(labels)[:n]]
        for label in range(3):
            share = (labels == label).mean()
            assert abs((beginning == label).sum() - n * share) <= 1.5


def test_share_of_a_pool_is_rounded() -> None:
    labels = np.zeros(33, dtype=np.int64)
    assert len(derive("train:10%", lambda _: labels, 2).rows) == 3
    assert len(derive("train:100%", lambda _: labels, 2).rows) == 33


@given(labels=LABELS)
def test_halves_part_the_pool_with_each_class_in_both(labels: np.ndarray) -> None:
    fit, select = (derive(f"dev:{half}", lambda _: labels, 3).rows for half in ("fit", "select"))
    assert sorted([*fit, *select]) == list(range(len(labels)))
    for label in range(3):
        assert abs((labels[fit] == label).sum() - (labels[select] == label).sum()) <= 1


@given(labels=LABELS, seed=st.integers(0, 5))
def test_noisy_set_is_a_third_original_a_third_swapped_a_third_twice(labels: np.ndarray, seed: int) -> None:
    rows, changed, parts = noisy(labels, 3, seed)
    held = {name: parts == index for index, name in enumerate(PARTS)}
    n = len(labels)
    assert [int(held[name].sum()) for name in PARTS] == [-(-n // 3), (n + 1) // 3, 2 * (n // 3)]
    assert (changed[held["swapped"]] != labels[rows[held["swapped"]]]).all()
    assert (changed[~held["swapped"]] == labels[rows[~held["swapped"]]]).all()
    assert set(np.unique(rows[held["duplicated"]], return_counts=True)[1]) <= {2}
    assert set(rows) == set(range(n))


def test_a_swapped_label_is_uniform_over_the_others() -> None:
    labels = np.zeros(30_000, dtype=np.int64)
    _, changed, parts = noisy(labels, 3)
    share = (changed[parts == 1] == 1).mean()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(10_000)


BAD = {
    "pool|source|noisy set|labels": "train: train:half train:0 train:200% train:7 elsewhere:2 dev+x relabelled "
    "dev:noisy",
    "expected a share and two pools": "mix:50:dev:train mix:101%:dev:train mix:50%:dev mix:",
}


@pytest.mark.parametrize(("name", "message"), [(name, m) for m, names in BAD.items() for name in names.split()])
def test_bad_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        made().pool(name)


def made() -> Benchmark:
    texts = {"dev": ("a", "b"), "train": ("c", "d", "e")}
    pools = {k: Pool(k, v, np.arange(len(v)) % 2) for k, v in texts.items()}
    truth = {k: Truth(np.full((len(v), 2), 0.5), np.eye(2)[np.arange(len(v)) % 2]) for k, v in texts.items()}
    return Benchmark("financial", "Financial", ("n", "p"), pools, truth)


def test_a_derived_pool_carries_texts_labels_and_truth_along() -> None:
    benchmark = made()
    both = benchmark.pool("dev+train")
    assert both.texts == ("a", "b", "c", "d", "e")
    assert both.labels.tolist() == [0, 1, 0, 1, 0]
    truth = benchmark.truth_of("dev+train")
    assert truth is not None and truth.q.argmax(axis=1).tolist() == [0, 1, 0, 1, 0]
    assert benchmark.pool("train") is benchmark.pools["train"]
    assert set(benchmark.pools) == {"dev", "train"}


def test_pairs_stay_pairs() -> None:
    pool = Pool("train", ("a", "b", "c"), np.array([0, 1, 0]), ("x", "y", "z"))
    noisy_pool = Benchmark("mrpc", "MRPC", ("n", "p"), {"train": pool}).pool("train:noisy")
    assert noisy_pool.pairs is not None
    assert {(a, b) for a, b in zip(noisy_pool.texts, noisy_pool.pairs, strict=True)} == {
        ("a", "x"),
        ("b", "y"),
        ("c", "z"),
    }


def test_the_generators_labels_of_real_inputs_are_found_by_the_hash_of_the_text() -> None:
    pool = Pool("train", ("a", "b", "a", "c"), np.array([0, 1, 0, 1]), ("x", "y", "x", "z"))
    key = {pair: hashlib.sha256(" ||| ".join(pair).encode()).hexdigest()[:16] for pair in (*pool.inputs, ("q", "q"))}
    listed = (("c", "z"), ("a", "x"), ("a", "x"))
    benchmark = Benchmark(
        "b", "B", ("n", "p"), {"train": pool}, labelled=tuple((key[pair], i % 2) for i, pair in enumerate(listed))
    )
    relabelled = benchmark.pool("relabelled")
    assert relabelled.inputs == listed and relabelled.labels.tolist() == [0, 1, 0]
    assert benchmark.pool("train+relabelled").labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert len(benchmark.pool("relabelled:2")) == 2
    other = replace(benchmark, labelled=((key[("q", "q")], 0), (key[("b", "y")], 0)))
    with pytest.raises(UserError, match="1 of 2 labelled inputs are not in this D_P"):
        other.pool("relabelled")


def test_runs_train_on_derived_pools(inputs: dict[str, str], tmp_path: Path) -> None:
    study = tiny.study(inputs, tmp_path)
    spec = replace(tiny.spec("dimp"), source=Source("train:noisy"), selection="dev:select")
    data = study.training_data(replace(spec, quality=None, method="ce"))
    rows, labels, _ = noisy(study.benchmark("financial").pool("train").labels, data.classes)
    assert data.train_labels.tolist() == labels.tolist()
    assert len(data.train) == len(rows)
    assert len(data.dev_labels) < len(study.benchmark("financial").pool("dev"))
    keys = {study.key(s) for s in (spec, replace(spec, source=Source("train")), replace(spec, selection="dev"))}
    assert len(keys) == 3


# ---------------------------------------------------------------- mixtures


@given(made=LABELS, real=LABELS, share=st.integers(0, 100))
def test_a_mixture_has_its_share_and_equal_classes(made: np.ndarray, real: np.ndarray, share: int) -> None:
    made, real = (np.concatenate([labels, [0, 1, 2]]) for labels in (made, real))
    sides = {"diversity:x": made, "train": real}
    each = min(int(np.bincount(labels).min()) for labels in sides.values())
    found = derive(f"mix:{share}%:diversity:x:train", sides.__getitem__, 3)
    assert found.bases == ("diversity:x", "train")
    assert np.bincount(found.labels).tolist() == [each] * 3, "the same size and balance whatever the share"
    assert (np.concatenate([made, real])[found.rows] == found.labels).all()
    assert len(set(found.rows)) == len(found.rows)
    assert (found.rows < len(made)).sum() == 3 * round(each * share / 100)


def test_a_mixture_of_generated_texts_only_is_their_pool() -> None:
    made, real = np.tile([0, 1], 5), np.tile([1, 0, 1], 9)
    found = derive("mix:100%:generated:train", {"generated": made, "train": real}.__getitem__, 2)
    assert found.rows.tolist() == list(range(10))


def test_a_mixture_needs_every_class_on_both_sides() -> None:
    with pytest.raises(UserError, match="no text of one of the 3 classes"):
        derive("mix:50%:generated:train", lambda _: np.array([0, 1]), 3)
