"""The engine: against a plain loop written here, against its own slow twin, and bit for bit against itself."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from tiny import losses
from torch import Tensor
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from paper_repro.measures.weights import diagnose
from paper_repro.method import scoring
from paper_repro.method import train as engine
from paper_repro.method.checkers import score_pool
from paper_repro.method.losses import LOSSES as METHODS
from paper_repro.method.losses import Switches
from paper_repro.method.recipe import Recipe
from paper_repro.method.train import TrainingData, train
from paper_repro.model import classifier
from paper_repro.tools.errors import TrainingError, UserError

EMBEDDING = "bert.embeddings.word_embeddings.weight"

ROOT = Path(__file__).resolve().parents[1]
AUTHORS = Recipe(learning_rate=1e-3, epochs=3, batch_size=16, max_length=32, fidelity="authors")
FAST = replace(AUTHORS, fidelity="fast")
pytestmark = pytest.mark.usefixtures("one_thread")


# -- the plain loop -------------------------------------------------------------------------------------------


def plain_loop(
    encoder: Path, data: TrainingData, method: str, recipe: Recipe, seed: int, pairs: bool
) -> tuple[list[float], list[float], BertForSequenceClassification]:
    """The authors' recipe with transformers and torch alone: the loss of each step, the gradient norms, the model.

    No dropout; batches in the order of one permutation an epoch; AdamW, clipping, linear decay without warm-up.
    """
    made = tiny.make_benchmark("mrpc" if pairs else "financial").pools["generated"]
    texts = [list(made.texts)] + ([list(made.pairs)] if made.pairs else [])
    tokens = AutoTokenizer.from_pretrained(str(encoder))(
        *texts, truncation=True, max_length=recipe.max_length, padding="max_length", return_tensors="pt"
    )
    config = BertConfig.from_pretrained(str(encoder), num_labels=data.classes)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForSequenceClassification.from_pretrained(str(encoder), config=config, attn_implementation="eager")
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.0)
    batches = -(-len(made) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / (recipe.epochs * batches))
    labels = torch.from_numpy(made.labels)
    order, values, norms = torch.Generator().manual_seed(seed), [], []
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(made), generator=order).split(recipe.batch_size):
            logits = model(**{name: tensor[rows] for name, tensor in tokens.items()}).logits
            per_example = F.cross_entropy(logits, labels[rows], reduction="none")
            loss = (weight_of(method, logits, labels[rows], data, rows) * per_example).mean()
            optimiser.zero_grad()
            loss.backward()
            norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)))
            optimiser.step()
            schedule.step()
            values.append(float(loss.detach()))
    return values, norms, model.eval()


def weight_of(method: str, logits: Tensor, labels: Tensor, data: TrainingData, rows: Tensor) -> Tensor:
    p = torch.softmax(logits.detach(), dim=1)[torch.arange(len(rows)), labels]
    assert data.log_quality is not None and data.log_diversity is not None
    quality, diversity = (torch.from_numpy(np.exp(s))[rows] for s in (data.log_quality, data.log_diversity))
    return tiny.paper_weight(method, p, quality, diversity)


@pytest.mark.parametrize("with_pairs", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_authors_recipe_is_the_plain_loop(
    encoder: Path, data: TrainingData, pairs: TrainingData, method: str, with_pairs: bool
) -> None:
    """Nine updates of batches of 20, 20 and 8: losses and weights follow the hand-written trajectory."""
    used = pairs if with_pairs else data
    recipe = replace(AUTHORS, batch_size=20, max_length=48 if with_pairs else 32, clip_norm=0.5)
    trained = train(used, encoder, method, recipe, 3, dropout=0.0, keep_state=True)
    values, norms, model = plain_loop(encoder, used, method, recipe, 3, with_pairs)
    assert any(norm > 0.5 for norm in norms)  # the clipping was at work
    np.testing.assert_allclose(losses(trained), np.reshape(values, (3, 3)).mean(axis=1), rtol=1e-5)
    if trained.selected_epoch == recipe.epochs:
        assert trained.state is not None
        for name, tensor in model.state_dict().items():
            if "key.bias" in name:  # softmax ignores it: its gradient is rounding noise, which Adam blows up
                continue
            torch.testing.assert_close(trained.state[name], tensor, rtol=1e-3, atol=1e-5)


# -- fast and authors -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def more_data(encoder: Path) -> TrainingData:
    return tiny.training_data(encoder, sizes={"train": 9, "dev": 60, "test": 90, "generated": 240})


@pytest.mark.parametrize("method", METHODS)
def test_bf16_starts_as_fp32_does(more_data: TrainingData, method: str, tmp_path: Path) -> None:
    """1e-3 relative over the first steps at dropout 0, in a network whose activations are of a trained one's size."""
    encoder = tiny.make_encoder(tmp_path / "encoder", spread=0.05)
    data, recipe = more_data, replace(FAST, batch_size=240, epochs=3, learning_rate=1e-4)
    single = train(data, encoder, method, recipe, 0, dropout=0.0)
    half = train(data, encoder, method, replace(recipe, precision="bf16"), 0, dropout=0.0)
    np.testing.assert_allclose(losses(half), losses(single), rtol=1e-3)
    assert losses(half) != losses(single)
    assert all(tensor.dtype == np.float32 for tensor in (half.dev_probabilities, half.train_log_p))


def test_weight_decay_keeps_the_whole_vocabulary(encoder: Path, data: TrainingData) -> None:
    """Weight decay moves rows that no text touches, so they may not be left out."""
    assert train(data, encoder, "ce", replace(FAST, epochs=1, weight_decay=0.1), 0).kept is None


# -- determinism ----------------------------------------------------------------------------------------------


def test_the_same_spec_gives_the_same_bits(encoder: Path, data: TrainingData) -> None:
    recipes = (FAST, AUTHORS, replace(FAST, precision="bf16"))
    prints = []
    for _ in range(2):
        prints.append([tiny.fingerprint(train(data, encoder, "dimp", r, 5, keep_state=True)) for r in recipes])
        torch.rand(17), np.random.rand(3)  # noqa: NPY002 - other code that draws from the global streams
    assert prints[0] == prints[1] and len(set(prints[0])) == 3


@pytest.mark.parametrize("recipe", [FAST, AUTHORS], ids=["fast", "authors"])
def test_global_random_states_are_left_alone(encoder: Path, data: TrainingData, recipe: Recipe) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    train(data, encoder, "dimp", recipe, 0, keep_state=True)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()


# -- what comes out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_history_and_diagnostics(encoder: Path, data: TrainingData, method: str) -> None:
    trained = train(data, encoder, method, FAST, 0, dropout=0.0)
    assert [row.epoch for row in trained.history] == [1, 2, 3]
    assert trained.train_log_p.shape == (3, len(data.train)) and (trained.train_log_p <= 0).all()
    assert data.log_quality is not None and data.log_diversity is not None
    for row, log_p in zip(trained.history, trained.train_log_p, strict=True):
        weight = tiny.paper_weight(method, np.exp(log_p), np.exp(data.log_quality), np.exp(data.log_diversity))
        expected = diagnose(weight)
        assert row.weight_mean == pytest.approx(expected.mean, rel=1e-4)
        assert row.weight_ess == pytest.approx(expected.ess, rel=1e-4)
        assert row.weight_max == pytest.approx(expected.max, rel=1e-4)
        # 48 examples in three equal batches: the mean of the batches' losses is that of the examples.
        assert row.train_loss == pytest.approx(float(np.mean(weight * -log_p)), rel=1e-4)
    best = trained.history[trained.selected_epoch - 1]
    for probabilities, labels, accuracy in (
        (trained.dev_probabilities, data.dev_labels, best.dev_accuracy),
        (trained.test_probabilities, data.test_labels, best.test_accuracy),
    ):
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        assert accuracy == pytest.approx(float((probabilities.argmax(axis=1) == labels).mean()))


@pytest.mark.parametrize(
    ("dev_accuracies", "selected"), [((0.5, 0.7, 0.7, 0.6), 2), ((0.4, 0.4, 0.4, 0.4), 1), ((0.1, 0.2, 0.3, 0.9), 4)]
)
def test_selection_takes_the_first_best_dev_epoch(
    encoder: Path, data: TrainingData, dev_accuracies: tuple[float, ...], selected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dev accuracies are dictated; predictions and weights must be those of the epoch that they select."""
    scored: list[np.ndarray[Any, Any]] = []
    real_score = engine.score

    def accuracy(labels: np.ndarray[Any, Any], _: Any) -> float:
        return dev_accuracies[(len(scored) - 1) // 2] if labels is data.dev_labels else 0.5  # two scores an epoch

    def score(*arguments: Any) -> np.ndarray[Any, Any]:
        scored.append(np.exp(real_score(*arguments)))
        return np.log(scored[-1])

    monkeypatch.setattr(scoring, "accuracy", accuracy)
    monkeypatch.setattr(engine, "score", score)
    trained = train(data, encoder, "ce", replace(FAST, epochs=4), 0, keep_state=True)
    assert trained.selected_epoch == selected
    assert len(scored) == 8
    np.testing.assert_allclose(trained.dev_probabilities, scored[2 * selected - 2], rtol=1e-6)
    np.testing.assert_allclose(trained.test_probabilities, scored[2 * selected - 1], rtol=1e-6)
    assert trained.state is not None
    model = classifier.build(encoder, data.classes, seed=0, device=torch.device("cpu"), kept=trained.kept)
    model.load_state_dict(trained.state)
    batcher = engine.Batcher(data.dev, torch.device("cpu"), kept=trained.kept)
    np.testing.assert_allclose(np.exp(real_score(model, batcher, "fp32")), scored[2 * selected - 2], rtol=1e-6)


def test_without_a_test_curve_only_the_curve_is_missing(encoder: Path, data: TrainingData) -> None:
    recipe = replace(FAST, epochs=6, learning_rate=1e-2)
    whole, part = (train(data, encoder, "ce", replace(recipe, test_curve=c), 0, keep_state=True) for c in (True, False))
    assert part.selected_epoch == whole.selected_epoch
    for name in ("train_log_p", "dev_probabilities", "test_probabilities"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name))
    assert whole.state is not None and part.state is not None
    assert all(torch.equal(part.state[name], tensor) for name, tensor in whole.state.items())
    for row, full in zip(part.history, whole.history, strict=True):
        scored = row.epoch == part.selected_epoch
        assert row.dev_accuracy == full.dev_accuracy and row.train_loss == full.train_loss
        assert [np.isnan(row.test_accuracy), np.isnan(row.test_macro_f1)] == [not scored] * 2
        assert not scored or (row.test_accuracy, row.test_macro_f1) == (full.test_accuracy, full.test_macro_f1)
    assert any(np.isnan(row.test_accuracy) for row in part.history)  # else this test shows nothing


def test_a_checkpoint_of_the_whole_vocabulary_gives_back_the_scores(
    encoder: Path, data: TrainingData, tmp_path: Path
) -> None:
    trained = train(data, encoder, "ce", AUTHORS, 0, keep_state=True)
    assert trained.state is not None and trained.kept is None
    classifier.save_checkpoint(trained.state, tmp_path / "checkpoint", None)
    scores = score_pool(tmp_path / "checkpoint", encoder, data.classes, data.dev, AUTHORS, "cpu")
    np.testing.assert_allclose(np.exp(scores), trained.dev_probabilities, rtol=1e-5, atol=1e-7)


def test_weights_of_an_eval_forward(encoder: Path, data: TrainingData) -> None:
    """``weight_forward="eval"`` takes p without dropout: with dropout on it differs, at dropout 0 it does not."""
    eval_forward = Switches(weight_forward="eval")
    plain = [losses(train(data, encoder, "dimp", FAST, 0, dropout=d))[0] for d in (0.0, 0.3)]
    evaluated = [losses(train(data, encoder, "dimp", FAST, 0, dropout=d, switches=eval_forward))[0] for d in (0.0, 0.3)]
    assert plain[0] == pytest.approx(evaluated[0], rel=1e-6)
    assert plain[1] != pytest.approx(evaluated[1], rel=1e-3)
    first = train(data, encoder, "dimp", replace(FAST, epochs=1, batch_size=64), 0, dropout=0.3, switches=eval_forward)
    undropped = train(data, encoder, "dimp", replace(FAST, epochs=1, batch_size=64), 0, dropout=0.0)
    assert first.history[0].weight_mean == pytest.approx(undropped.history[0].weight_mean, rel=1e-5)


# -- failures -------------------------------------------------------------------------------------------------


def test_a_loss_that_goes_astray_names_its_step(encoder: Path, data: TrainingData) -> None:
    """A first update of size 1e30 leaves nothing to compute the second loss with."""
    with pytest.raises(TrainingError) as caught:
        train(data, encoder, "ce", replace(FAST, learning_rate=1e30), 0)
    assert str(caught.value).startswith("loss is nan at step 2 of 9 (method 'ce', learning rate 1e+30)")


def test_a_weight_that_is_infinite_names_its_step(encoder: Path, data: TrainingData) -> None:
    log_diversity = np.zeros(len(data.train), dtype=np.float32)
    log_diversity[11] = -np.inf
    position = torch.randperm(48, generator=torch.Generator().manual_seed(0)).tolist().index(11)
    with pytest.raises(TrainingError, match=f"loss is inf at step {position // 16 + 1} of 9 .*clip='sqrt-n'"):
        train(replace(data, log_diversity=log_diversity), encoder, "imp", AUTHORS, 0)


def test_a_model_that_breaks_in_its_last_step(encoder: Path, data: TrainingData) -> None:
    with pytest.raises(TrainingError):
        train(data, encoder, "ce", replace(FAST, learning_rate=1e38, epochs=1, batch_size=64), 0)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda folder: (folder / "config.json").write_text("{"), "no usable config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "the weights cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"0" * 64), "the weights cannot be loaded"),
    ],
)
def test_a_broken_encoder_is_named(data: TrainingData, broken: Any, message: str, tmp_path: Path) -> None:
    folder = tiny.make_encoder(tmp_path / "broken")
    broken(folder)
    with pytest.raises(UserError, match=f"broken: {message}"):
        train(data, folder, "ce", FAST, 0)
