"""The checkers: folds, temperatures, and scores that come from the model that they should come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from paper_repro.method.checkers import fitted_temperature, with_temperature
from paper_repro.model.classifier import KEPT
from paper_repro.runs.plan import fold_models
from paper_repro.runs.spec import CALIBRATION_FOLDS, Checker, RunSpec
from paper_repro.study import Study
from paper_repro.texts.folds import fold_of
from paper_repro.texts.pools import Truth
from paper_repro.tools.errors import UserError

EMBEDDING = "bert.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def study(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Study:
    return tiny.study(inputs, tmp_path_factory.mktemp("checkers"))


# -- folds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folds", [2, 3, 5, 24])
def test_folds_are_even_and_stratified(folds: int) -> None:
    labels = np.repeat([0, 1, 2], [60, 40, 20])
    fold = fold_of(labels, folds)
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for label in range(3):
        counts = np.bincount(fold[labels == label], minlength=folds)
        assert counts.max() - counts.min() <= 1


def test_folds_are_the_same_every_time_and_not_in_file_order() -> None:
    labels = np.arange(100) % 2
    first = fold_of(labels, 4)
    np.random.rand()  # noqa: NPY002 - other code that draws from the global stream
    np.testing.assert_array_equal(first, fold_of(labels, 4))
    assert not np.array_equal(first[labels == 0], np.arange(50) % 4)


@pytest.mark.parametrize("folds", [-1, 0, 1, 11])
def test_impossible_folds(folds: int) -> None:
    with pytest.raises(ValueError, match=f"folds={folds}: expected 2 to 10, the number of examples"):
        fold_of(np.zeros(10, dtype=np.int64), folds)


# -- temperature ----------------------------------------------------------------------------------------------


def calibrated() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """log p of 2 x 100 texts whose labels occur exactly as often as p says."""
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    labels = np.concatenate([np.repeat([0, 1, 2], np.rint(100 * row).astype(int)) for row in rows])
    return np.log(np.repeat(rows, 100, axis=0)).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_the_temperature_that_was_put_in_comes_out(temperature: float) -> None:
    """Multiplying the logits of a calibrated model by T is undone by a fitted temperature of T."""
    log_p, labels = calibrated()
    assert fitted_temperature(log_p * temperature, labels) == pytest.approx(temperature, rel=1e-3)
    undone = with_temperature(log_p * temperature, temperature)
    np.testing.assert_allclose(undone, log_p, atol=1e-5)


def test_temperature_of_a_model_that_is_always_wrong_or_right_stays_in_bounds() -> None:
    log_p = np.log(np.tile([[0.9, 0.1]], (20, 1))).astype(np.float32)
    assert 1 / 20 <= fitted_temperature(log_p, np.zeros(20, dtype=np.int64)) < 0.1  # flat from there on
    assert fitted_temperature(log_p, np.ones(20, dtype=np.int64)) == pytest.approx(20, rel=0.01)


def test_with_temperature_is_a_softmax_again() -> None:
    log_p, _ = calibrated()
    scaled = with_temperature(log_p - 40, 2.0)  # logits and log-probabilities alike
    np.testing.assert_allclose(np.exp(scaled).sum(axis=1), 1, atol=1e-6)
    root = np.sqrt([0.7, 0.2, 0.1])
    np.testing.assert_allclose(np.exp(scaled[0]), root / root.sum(), atol=1e-6)


# -- scores ---------------------------------------------------------------------------------------------------


def reference_scores(study: Study, run: RunSpec, pool: str) -> np.ndarray[Any, Any]:
    """log p(y|x) by transformers alone: the saved weights in the encoder's network, texts padded to the longest."""
    directory = str(study.inputs.encoder.directory)
    benchmark = study.benchmark(run.benchmark)
    state = load_file(study.store.checkpoint(study.key(run)))
    config = BertConfig.from_pretrained(directory, num_labels=benchmark.classes)
    model = BertForSequenceClassification.from_pretrained(directory, config=config).eval()
    table = model.bert.embeddings.word_embeddings.weight.data.clone()
    table[state.pop(KEPT)] = state[EMBEDDING]
    model.load_state_dict({**state, EMBEDDING: table})
    tokens = AutoTokenizer.from_pretrained(directory)(
        list(benchmark.pools[pool].texts), truncation=True, max_length=32, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        return torch.log_softmax(model(**tokens).logits, dim=-1).numpy()


def test_scores_are_those_of_the_saved_model(study: Study) -> None:
    run = tiny.spec("ce", "dev")
    for pool in ("generated", "dev"):
        scores = tiny.scores(study, Checker(run), "financial", pool)
        assert scores.dtype == np.float32 and scores.shape == (tiny.SIZES[pool], 3)
        np.testing.assert_allclose(scores, reference_scores(study, run, pool), rtol=1e-4, atol=1e-5)
    result = study.result(run)
    assert result is not None  # the checker's own run is a finished run like any other
    np.testing.assert_allclose(np.exp(scores), result.dev_probabilities, rtol=1e-4, atol=1e-6)


def test_cross_fitted_scores_come_from_the_model_that_did_not_see_the_example(study: Study) -> None:
    run, folds = tiny.spec("ce", "generated"), 3
    scores = tiny.scores(study, Checker(run, folds=folds), "financial", "generated")
    pool = study.benchmark("financial").pools["generated"]
    models = fold_models(run, folds)
    by_model = [reference_scores(study, model, "generated") for model in models]
    trained_on = [set(study.inputs.source_rows("financial", model.source).tolist()) for model in models]
    assert sum(len(pool) - len(rows) for rows in trained_on) == len(pool)
    for row in range(len(pool)):
        (unseen,) = [k for k in range(folds) if row not in trained_on[k]]
        np.testing.assert_allclose(scores[row], by_model[unseen][row], rtol=1e-4, atol=1e-5)
        assert not np.allclose(scores[row], by_model[(unseen + 1) % folds][row], rtol=1e-4, atol=1e-5)
    for model, rows in zip(models, trained_on, strict=True):
        data = study.training_data(model)
        assert len(data.train) == len(rows)
        np.testing.assert_array_equal(data.train_labels, pool.labels[sorted(rows)])
        result = study.result(model)
        assert result is not None
        assert study.train_log_p(model) is not None


def test_cross_fitted_scores_exist_for_the_own_pool_only(study: Study) -> None:
    with pytest.raises(UserError, match=r"only for the pool that the checker is fitted on \(generated\), not for dev"):
        tiny.scores(study, Checker(tiny.spec("ce", "generated"), folds=3), "financial", "dev")


def test_fitted_temperature_rescales_by_held_out_folds(study: Study) -> None:
    run = tiny.spec("ce", "dev")
    plain = tiny.scores(study, Checker(run), "financial", "generated")
    scaled = tiny.scores(study, Checker(run, temperature="fitted"), "financial", "generated")
    held_out = tiny.scores(study, Checker(run, folds=CALIBRATION_FOLDS), "financial", "dev")
    temperature = fitted_temperature(held_out, study.benchmark("financial").pools["dev"].labels)
    np.testing.assert_allclose(scaled, with_temperature(plain, temperature), rtol=1e-5, atol=1e-6)
    assert not np.allclose(scaled, plain)


@pytest.mark.parametrize("checker", ["in-sample", "cross-fitted"])
def test_the_engine_sees_the_scores_of_the_observed_labels(study: Study, checker: str) -> None:
    spec = tiny.spec("imp")
    if checker == "cross-fitted":
        assert spec.diversity is not None
        spec = replace(spec, diversity=replace(spec.diversity, folds=3))
    study.run([spec], progress=False)
    assert study.failure(spec) is None
    pool = study.benchmark("financial").pools["generated"]
    data = study.training_data(spec)
    for found, source in ((data.log_quality, spec.quality), (data.log_diversity, spec.diversity)):
        assert source is not None and found is not None
        scores = tiny.scores(study, source, "financial", "generated")
        np.testing.assert_array_equal(found, scores[np.arange(len(pool)), pool.labels])
    result = study.result(spec)
    assert result is not None and data.log_quality is not None and data.log_diversity is not None
    mean = float(np.exp(data.log_quality.astype(float) - data.log_diversity).mean())
    assert result.selected.weight_mean == pytest.approx(mean, rel=1e-5)


def test_exact_scores_of_a_made_world(inputs: dict[str, str], tmp_path: Path) -> None:
    made = tiny.study(inputs, tmp_path)
    benchmark = made.benchmark("financial")
    rng = np.random.default_rng(0)
    p, q = (rng.dirichlet([1, 1, 1], tiny.SIZES["generated"]) for _ in range(2))
    made.inputs._benchmarks["financial"] = replace(benchmark, truth={"generated": Truth(p, q)})
    for exact, truth in (("p", p), ("q", q)):
        scores = made.scores(Checker(exact=exact), "financial", "generated")
        assert scores.dtype == np.float32
        np.testing.assert_allclose(np.exp(scores), truth, rtol=1e-6)
    oracle = tiny.spec("imp", quality=Checker(exact="p"), diversity=Checker(exact="q"))
    made.run([oracle], progress=False)
    result = made.result(oracle)
    labels = benchmark.pools["generated"].labels
    rows = np.arange(len(labels))
    assert result is not None
    assert result.selected.weight_max == pytest.approx(float((p / q)[rows, labels].max()), rel=1e-4)
    with pytest.raises(UserError, match="exact scores exist only in the miniature world, not for financial dev"):
        made.scores(Checker(exact="p"), "financial", "dev")


def test_a_checker_is_trained_or_exact_but_not_both() -> None:
    for arguments in ({}, {"run": tiny.spec("ce"), "exact": "p"}):
        with pytest.raises(ValueError, match="either a trained run or exact, not both"):
            Checker(**arguments)


def test_a_score_that_was_never_computed_is_named(study: Study) -> None:
    checker = Checker(tiny.spec("ce", "dev", seed=77))
    with pytest.raises(UserError, match="no scores of financial generated by its checker: they were never computed"):
        study.scores(checker, "financial", "generated")


def test_a_checker_of_another_benchmark_is_refused(study: Study) -> None:
    with pytest.raises(UserError, match="a checker of tweet_irony cannot score financial; give one fitted on"):
        tiny.scores(study, Checker(tiny.spec("ce", "dev", benchmark="tweet_irony")), "financial", "generated")
