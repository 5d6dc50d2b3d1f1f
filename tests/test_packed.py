"""The engine for one GPU, on the CPU: against transformers' own padded model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from tiny import losses
from torch import Tensor

from paper_repro.method import gpu_engine, scoring
from paper_repro.method.gpu_engine import loop
from paper_repro.method.gpu_engine.attention import Spans, attention
from paper_repro.method.gpu_engine.batches import Packed, Packer
from paper_repro.method.gpu_engine.loop import PACKED as ENGINE
from paper_repro.method.losses import LOSSES as METHODS
from paper_repro.method.recipe import Recipe
from paper_repro.method.train import Trained, TrainingData
from paper_repro.method.train import train as train_by
from paper_repro.model.batches import Batcher
from paper_repro.model.classifier import build
from paper_repro.model.tokens import Encoded
from paper_repro.tools.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
AUTHORS = Recipe(learning_rate=1e-3, epochs=3, batch_size=16, max_length=32, fidelity="authors")
PACKED = replace(AUTHORS, fidelity="packed")
pytestmark = pytest.mark.usefixtures("one_thread")


def train(data: TrainingData, encoder: Path, method: str, recipe: Recipe, seed: int, **options: Any) -> Trained:
    """By the engine that the recipe asks for."""
    engine = ENGINE if recipe.fidelity == "packed" else None
    return train_by(data, encoder, method, recipe, seed, engine=engine, **options)


ROWS = np.array([5, 40, 3, 17, 8, 22, 30])


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_encoder(tmp_path_factory.mktemp("encoder"), layers=2)


def filled(pool: Packer, quantum: int, rows: np.ndarray[Any, Any] = ROWS) -> Packed:
    """A batch of ``pool`` whose tokens are filled up to a multiple of ``quantum``."""
    pool.tokens = replace(pool.tokens, quantum=quantum)
    return pool.batch(rows)


# -- attention ------------------------------------------------------------------------------------------------


def one_by_one(query: Tensor, key: Tensor, value: Tensor, asking: list[int], asked: list[int]) -> Tensor:
    """Attention of each sequence by itself, from softmax(q k^T / sqrt(d)) v."""
    parts = []
    for q, k, v in zip(query.split(asking), key.split(asked), value.split(asked), strict=True):
        scores = torch.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
        parts.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), v))
    return torch.cat(parts)


def spans(lengths: list[int]) -> Spans:
    offsets = torch.tensor([0, *np.cumsum(lengths).tolist()], dtype=torch.int32)
    return Spans(offsets, max(lengths))


@pytest.mark.parametrize("asking", [[5, 1, 7, 2], [1, 1, 1, 1], [1, 1, 1, 0], [3, 0, 2, 4]])
def test_attention_is_that_of_each_sequence_alone(asking: list[int]) -> None:
    asked = [5, 1, 7, 2]
    torch.manual_seed(0)
    query, key, value = (torch.randn(n, 3, 8, requires_grad=True) for n in (sum(asking), 15, 15))
    found = attention(query, key, value, spans(asking), spans(asked), 0.0)
    expected = one_by_one(query, key, value, asking, asked)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    towards = torch.randn_like(found)
    ours, theirs = (torch.autograd.grad((x * towards).sum(), (query, key, value)) for x in (found, expected))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_an_empty_sequence_harms_nobody() -> None:
    """Filler may be empty; its softmax over nothing must reach neither a value nor a gradient."""
    torch.manual_seed(0)
    inputs = [torch.randn(6, 2, 4, requires_grad=True) for _ in range(3)]
    whole, cut = ([4, 2], [4, 0, 2, 0])
    found = [attention(*inputs, spans(lengths), spans(lengths), 0.0) for lengths in (whole, cut)]
    torch.testing.assert_close(found[1], found[0])
    for gradient in torch.autograd.grad(found[1].sum(), inputs):
        assert torch.isfinite(gradient).all()


# -- the model ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantum", [1, 16, 256])
@pytest.mark.parametrize("with_pairs", [False, True])
def test_logits_and_gradients_are_those_of_the_padded_model(
    encoder: Path, data: TrainingData, pairs: TrainingData, with_pairs: bool, quantum: int
) -> None:
    """fp32, dropout 0, every parameter; ``quantum`` 256 is mostly filler."""
    used = pairs if with_pairs else data
    model = build(encoder, used.classes, seed=0, device=CPU, dropout=0.0).train()
    padded = Batcher(used.train, CPU, pad_to=48).batch(ROWS)
    theirs = model(padded.input_ids, padded.attention_mask, padded.token_type_ids).logits
    ours = scoring.forward(model, filled(Packer(used.train, CPU), quantum), "fp32")
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    labels = torch.from_numpy(used.train_labels[ROWS])
    parameters = list(model.parameters())
    first, second = (torch.autograd.grad(F.cross_entropy(found, labels), parameters) for found in (ours, theirs))
    for (name, _), a, b in zip(model.named_parameters(), first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)
    assert any(gradient.abs().max() > 1e-3 for gradient in first)


# -- training -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_pairs", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_packed_training_is_the_authors(
    encoder: Path, data: TrainingData, pairs: TrainingData, method: str, with_pairs: bool
) -> None:
    """The very batches, dropout 0, fp32: losses, weights, history and predictions of nine updates."""
    used = pairs if with_pairs else data
    recipe = replace(AUTHORS, max_length=48 if with_pairs else 32, clip_norm=0.5)
    theirs = train(used, encoder, method, recipe, 3, dropout=0.0)
    ours = train(used, encoder, method, replace(recipe, fidelity="packed"), 3, dropout=0.0)
    np.testing.assert_allclose(losses(ours), losses(theirs), rtol=1e-5)
    np.testing.assert_allclose(ours.train_log_p, theirs.train_log_p, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.test_probabilities, theirs.test_probabilities, rtol=1e-3, atol=1e-5)
    for a, b in zip(ours.history, theirs.history, strict=True):
        assert a.weight_mean == pytest.approx(b.weight_mean, rel=1e-4)
        assert (a.dev_accuracy, a.test_accuracy) == (b.dev_accuracy, b.test_accuracy)
    assert ours.selected_epoch == theirs.selected_epoch


def test_what_looks_into_padded_batches_is_refused(encoder: Path, data: TrainingData) -> None:
    from paper_repro.method.baselines import ren, rho

    with pytest.raises(UserError, match='recipe with fidelity "fast"'):
        train(data, encoder, "ren", PACKED, 0, loop=ren.Step)
    step = partial(rho.Step, share=0.5, select_in="eval")  # which asks for one batch after the other, packed or not
    ours, theirs = (losses(train(data, encoder, "rho", r, 0, loop=step, dropout=0.0)) for r in (PACKED, AUTHORS))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


# -- recorded steps -------------------------------------------------------------------------------------------


class Recorder:
    """Stands for a CUDA graph: it remembers the batch's tensor, and replays by going through the body again."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.replays = 0

    def __call__(self, body: Callable[[Packed], Any], batch: Packed) -> Callable[[], Any]:
        self.shapes.append(batch.shape)

        def replay() -> Any:
            self.replays += 1
            return body(batch)

        return replay


def record_all(monkeypatch: pytest.MonkeyPatch, quantum: int) -> Recorder:
    """Steps are recorded as on a GPU, and batches filled up as there."""
    recorder, made = Recorder(), Packer.__init__
    monkeypatch.setattr(loop, "recorder", lambda _: recorder)

    def quantised(self: Packer, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        self.tokens = replace(self.tokens, quantum=quantum)

    monkeypatch.setattr(Packer, "__init__", quantised)
    return recorder


def test_a_recorded_step_is_the_step(encoder: Path, data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten epochs of four batches, the last of each smaller: few shapes, each recorded at its second sight."""
    recipe = replace(PACKED, epochs=10, batch_size=14)
    plain = train(data, encoder, "dimp", recipe, 0, dropout=0.0)
    recorder = record_all(monkeypatch, 64)
    recorded = train(data, encoder, "dimp", recipe, 0, dropout=0.0)
    assert len(recorder.shapes) == len(set(recorder.shapes)) and len({shape[0] for shape in recorder.shapes}) == 2
    assert 40 - 2 * 8 < recorder.replays < 40
    np.testing.assert_allclose(losses(recorded), losses(plain), rtol=1e-5)
    np.testing.assert_allclose(recorded.train_log_p, plain.train_log_p, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(recorded.test_probabilities, plain.test_probabilities, rtol=1e-3, atol=1e-4)


def test_a_recording_sees_the_rows_of_each_call() -> None:
    """The second batch of a shape is the first to be recorded, and what comes out is nobody else's to overwrite."""
    even = Encoded(np.ones((6, 4), dtype=np.int64), np.full(6, 4), np.full(6, 4))
    recorder, pool = Recorder(), Packer(even, CPU)
    recorded = loop.Recorded(recorder)
    out = torch.zeros(2, dtype=torch.long)  # a graph writes its outputs to the same memory each time
    found = [
        recorded(lambda batch: (out.copy_(batch.rows * 10),), pool.batch(np.array(rows)))[0]
        for rows in ([0, 1], [2, 3], [4, 5])
    ]
    assert recorder.replays == 2
    assert [values.tolist() for values in found[1:]] == [[20, 30], [40, 50]]


# -- on a GPU -------------------------------------------------------------------------------------------------

gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]


@pytest.mark.parametrize("dropout", [pytest.param(d, marks=gpu) for d in (0.0, 0.1)])
def test_the_kernel_is_the_padded_attention(dropout: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """bf16 at dropout 0; with dropout the mean over many draws."""
    torch.manual_seed(0)
    lengths, draws = [5, 31, 1, 17], 400 if dropout else 1
    inputs = [torch.randn(54, 4, 64, device="cuda", dtype=torch.bfloat16) for _ in range(3)]
    where = Spans(spans(lengths).offsets.cuda(), 31)
    found = torch.stack([attention(*inputs, where, where, dropout).float() for _ in range(draws)]).mean(0)
    monkeypatch.setattr(gpu_engine, "CHOICES", gpu_engine.Choices(flash=False))
    expected = attention(*(x.float() for x in inputs), where, where, 0.0)
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.1 if dropout else 0.02)


@pytest.mark.parametrize("precision", [pytest.param(p, marks=gpu) for p in ("fp32", "bf16")])
def test_graphs_give_the_losses_of_plain_steps(
    data: TrainingData, precision: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Against fp32 on the CPU at dropout 0."""
    encoder = tiny.make_encoder(tmp_path / "encoder", layers=2, spread=0.05)
    recipe = replace(PACKED, epochs=8, learning_rate=1e-4)
    reference = losses(train(data, encoder, "dimp", recipe, 1, dropout=0.0))
    for graphs in (False, True):
        monkeypatch.setattr(gpu_engine, "CHOICES", gpu_engine.Choices(graphs=graphs))
        run = train(data, encoder, "dimp", replace(recipe, precision=precision), 1, dropout=0.0, device="cuda")
        np.testing.assert_allclose(losses(run), reference, rtol=1e-4 if precision == "fp32" else 5e-3)
