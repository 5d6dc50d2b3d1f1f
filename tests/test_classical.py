"""Checkers without fine-tuning: problems whose answer is known, and parity of the embeddings with a plain loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from transformers import BertModel

from paper_repro.method import classical, train
from paper_repro.method.registry import CLASSICAL
from paper_repro.model.tokens import encode
from paper_repro.runs.spec import Checker
from paper_repro.texts.pools import Pool


def no_vectors(pool: Pool) -> np.ndarray:
    raise AssertionError("TF-IDF needs no encoder")


def words(n: int, shown: tuple[int, ...] = (0, 1)) -> Pool:
    """Texts whose first word names the class."""
    rng, labels = np.random.default_rng(0), np.resize(np.array(shown, dtype=np.int64), n)
    noise = [" ".join(rng.choice(["some", "other", "word", "here"], 3)) for _ in range(n)]
    return Pool("dev", tuple(f"class{y} {text}" for y, text in zip(labels, noise, strict=True)), labels)


def test_tfidf_learns_a_word_that_names_the_class() -> None:
    data = words(40)
    (scores,) = classical.fit_and_score("tfidf", data, [words(10)], 2, no_vectors)
    assert scores.argmax(axis=1).tolist() == words(10).labels.tolist()
    assert np.exp(scores).sum(axis=1) == pytest.approx(np.ones(10), abs=1e-5)


def test_a_class_without_examples_keeps_a_small_probability() -> None:
    (scores,) = classical.fit_and_score("tfidf", words(40, (0, 2)), [words(4, (0, 2))], 3, no_vectors)
    assert np.exp(scores[:, 1]) == pytest.approx(classical.LOWEST, rel=1e-3)
    assert scores.argmax(axis=1).tolist() == [0, 2, 0, 2]


def test_pairs_are_told_apart_by_whether_their_halves_agree() -> None:
    nouns = [f"noun{i}" for i in range(60)]
    labels = np.arange(60) % 2
    pairs = tuple(noun if y else "nothing" for noun, y in zip(nouns, labels, strict=True))
    data = Pool("dev", tuple(nouns), labels.astype(np.int64), pairs)
    (scores,) = classical.fit_and_score("tfidf", data, [data], 2, no_vectors)
    assert (scores.argmax(axis=1) == labels).mean() == 1


def test_frozen_vectors_that_part_the_classes_are_enough() -> None:
    data = words(30)

    def vectors(pool: Pool) -> np.ndarray:
        return np.array([[float(text[5]), 1.0] for text in pool.texts], dtype=np.float32)

    pools = (data, words(8), words(12))
    trained = train.without_epochs(classical.fit_and_score("frozen", data, pools, 2, vectors), pools, 2, 0.0)
    assert (trained.history[0].dev_accuracy, trained.history[0].test_accuracy) == (1, 1)
    assert trained.train_log_p.shape == (1, 30)
    assert trained.history[0].train_loss == pytest.approx(-float(trained.train_log_p.mean()))


@pytest.mark.parametrize(("method", "message"), [("forest", "method 'forest'"), ("tfidf", "of one class")])
def test_refusals(method: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classical.fit_and_score(method, words(6, (1,)), [words(2)], 2, no_vectors)


def test_a_class_with_one_example_is_fitted_without_cross_validation() -> None:
    data = words(12, (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1))
    (scores,) = classical.fit_and_score("tfidf", data, [data], 2, no_vectors)
    assert np.isfinite(scores).all()


def test_embeddings_are_the_mean_over_each_texts_own_tokens(tmp_path: Path) -> None:
    folder = tiny.make_encoder(tmp_path / "encoder")
    pool = tiny.make_pool("dev", 7, 2)
    encoded = encode(pool, folder, 32)
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    with torch.inference_mode():
        alone = [
            model(input_ids=torch.tensor(encoded.ids[i : i + 1, : encoded.lengths[i]])).last_hidden_state[0].mean(0)
            for i in range(len(pool))
        ]
    found = classical.mean_embeddings(encoded, folder, "cpu")
    assert found == pytest.approx(torch.stack(alone).numpy(), abs=1e-5)


@pytest.mark.parametrize("method", CLASSICAL)
def test_a_classical_checker_takes_the_place_of_the_network(
    inputs: dict[str, str], tmp_path: Path, method: str
) -> None:
    study = tiny.study(inputs, tmp_path)
    spec = tiny.spec("dimp")
    assert spec.quality is not None and spec.quality.run is not None
    checker = Checker(replace(spec.quality.run, method=method))
    changed = replace(spec, quality=checker)
    study.run([changed], progress=False)
    assert study.failure(changed) is None
    assert study.result(changed) is not None
    scores = tiny.scores(study, checker, spec.benchmark, spec.source.pool)
    assert np.exp(scores).sum(axis=1) == pytest.approx(np.ones(len(scores)), abs=1e-5)
    unseen = tiny.scores(study, replace(checker, folds=3), spec.benchmark, "dev")
    assert (unseen != tiny.scores(study, checker, spec.benchmark, "dev")).any()
