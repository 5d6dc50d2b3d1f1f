"""The methods that look a step ahead: each formula against autograd through the virtual step, and by differences.

SunGen's on a network of two layers on five features in float64, the others on the tiny BERT, in float64 too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from paper_repro.method import train
from paper_repro.method.baselines import hu, look_ahead, meta_weight_net, ren, sungen
from paper_repro.method.baselines.look_ahead import LookAhead, Parameters
from paper_repro.method.losses import Switches
from paper_repro.method.recipe import Recipe
from paper_repro.method.registry import method_of, options_of
from paper_repro.method.train import TrainingData
from paper_repro.model import classifier
from paper_repro.model.batches import Batcher
from paper_repro.model.fast_bert import speed_up

RECIPE = Recipe(learning_rate=1e-2, epochs=2, batch_size=8, max_length=32)
CPU = torch.device("cpu")
N, FEATURES, CLASSES = 6, 5, 3


def make(seed: int = 0) -> tuple[Parameters, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Parameters, training examples and dev examples of the small problem."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    parameters = {"a": normal(FEATURES, 4), "bias": normal(4), "b": normal(4, CLASSES)}
    sets = [(normal(n, FEATURES), torch.randint(CLASSES, (n,), generator=draw)) for n in (N, 9)]
    return parameters, sets[0], sets[1]


def logits_of(parameters: Parameters, x: Tensor) -> Tensor:
    return torch.tanh(x @ parameters["a"] + parameters["bias"]) @ parameters["b"]


def ce(parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits_of(parameters, x), y, reduction="none")


def central(function: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-5) -> Tensor:
    """Derivatives of a scalar function by central differences."""
    units = torch.eye(len(at), dtype=at.dtype) * step
    return torch.stack([(function(at + unit) - function(at - unit)) / (2 * step) for unit in units]).detach()


def leaves(parameters: Parameters) -> Parameters:
    return {name: tensor.clone().requires_grad_() for name, tensor in parameters.items()}


def ahead_by_autograd(loss: Tensor, theta: Parameters, rate: float) -> Parameters:
    """theta - rate * grad loss, with the graph kept."""
    step = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
    return {name: t - rate * s for (name, t), s in zip(theta.items(), step, strict=True)}


# -- Hu et al. ------------------------------------------------------------------------------------------------


def test_phi_decays_follows_the_meta_gradient_and_stays_positive() -> None:
    phi, meta = torch.tensor([1.0, 1.0, 2.0]), torch.tensor([0.5, -0.5, 0.1])
    np.testing.assert_allclose(hu.renewed(phi, meta, 5.0), [1e-5, 0.7, 0.3], rtol=1e-6)
    np.testing.assert_allclose(hu.normalised(torch.tensor([0.0, np.log(3.0)]), "softmax"), [0.25, 0.75], rtol=1e-6)
    np.testing.assert_allclose(hu.normalised(torch.tensor([-1.0, 1.0, 3.0]), "linear"), [0, 0.25, 0.75], rtol=1e-6)
    np.testing.assert_allclose(hu.normalised(torch.tensor([0.0, -1.0]), "linear"), [0.5, 0.5])


# -- Ren et al. -----------------------------------------------------------------------------------------------


def ren_by_autograd(losses: Callable[[Parameters], Tensor], dev: Callable[[Parameters], Tensor], at: Parameters) -> Any:
    """Algorithm 1 of the paper as it is written: epsilon = 0, a virtual step with a graph, its derivative."""
    theta = leaves(at)
    values = losses(theta)
    epsilon = torch.zeros_like(values, requires_grad=True)
    (found,) = torch.autograd.grad(dev(ahead_by_autograd((epsilon * values).sum(), theta, 0.1)), epsilon)
    positive = (-found).clamp(min=0)
    return positive / positive.sum()


def test_without_any_use_all_of_rens_weights_are_zero() -> None:
    np.testing.assert_array_equal(ren.shares(torch.tensor([-1.0, 0.0, -3.0])), np.zeros(3))
    np.testing.assert_allclose(ren.shares(torch.tensor([-1.0, 1e-30, 3e-30])), [0, 0.25, 0.75], rtol=1e-6)


# -- Meta-Weight-Net ------------------------------------------------------------------------------------------


def net_by_autograd(
    losses: Callable[[Parameters], Tensor],
    dev: Callable[[Parameters], Tensor],
    at: Parameters,
    net: nn.Module,
    rate: float,
) -> list[Tensor]:
    """The gradient of the dev loss with respect to V through a virtual step that keeps its graph."""
    theta = leaves(at)
    values = losses(theta)
    mean = (net(values.detach().unsqueeze(1)).squeeze(1) * values).mean()
    return list(torch.autograd.grad(dev(ahead_by_autograd(mean, theta, rate)), list(net.parameters())))


# -- SunGen ---------------------------------------------------------------------------------------------------


def test_reverse_cross_entropy_is_about_ten_times_the_error() -> None:
    """-sum_k p_k ln q_k with ln q = z - ln(e^10 + K - 1), z = 10 on the label: 10 (1 - p_y) + ln(1 + (K-1)/e^10)."""
    logits, labels = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)).double(), torch.arange(7) % 3
    p = logits.softmax(dim=1)[torch.arange(7), labels]
    expected = 10 * (1 - p) + np.log1p(2 * np.exp(-10))
    torch.testing.assert_close(sungen.reverse_cross_entropy(logits, labels), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("held_out", [0, 2])
def test_sungens_hypergradient_is_the_one_through_the_look_ahead(held_out: int) -> None:
    """L_outer(w - rate * grad sum s_i l_i / S), S held fixed, by autograd and by differences in theta."""
    parameters, train_set, (outer_x, outer_y) = make(5)
    inner = torch.ones(N, dtype=torch.float64)
    inner[:held_out] = 0
    theta = torch.randn(N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    total = (theta.sigmoid() * inner).sum()
    rate = 1e-7  # G is taken at the inner solution itself: what is left out is of the order of the rate

    def outer(p: Parameters) -> Tensor:
        return sungen.reverse_cross_entropy(logits_of(p, outer_x), outer_y).sum() / 4

    def after(theta: Tensor) -> Tensor:
        leaf = leaves(parameters)
        return outer(ahead_by_autograd((theta.sigmoid() * inner * ce(leaf, *train_set)).sum() / total, leaf, rate))

    direction = torch.func.grad(outer)(parameters)
    products = look_ahead.alignments(lambda p: ce(p, *train_set), parameters, direction)[1]
    found = sungen.hypergradient(products, theta, inner, rate)
    leaf = theta.clone().requires_grad_()
    (exact,) = torch.autograd.grad(after(leaf), leaf)
    torch.testing.assert_close(found / rate, exact / rate, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found / rate, central(after, theta, step=1e-2) / rate, rtol=1e-3, atol=1e-5)
    assert (found[:held_out] == 0).all() and (found[held_out:] != 0).all()


# -- the same on BERT -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_encoder(tmp_path_factory.mktemp("encoder"), spread=0.5)


@pytest.fixture(scope="module")
def data(encoder: Path) -> TrainingData:
    return tiny.training_data(encoder)


def step_of(
    module: Any, method: str, encoder: Path, data: TrainingData, *, dropout: float = 0.0, **options: Any
) -> LookAhead:
    model = classifier.build(encoder, data.classes, seed=0, device=CPU, dropout=dropout)
    speed_up(model)
    batches = [Batcher(pool, CPU) for pool in (data.train, data.dev)]
    arguments = (model.double().train(), *batches, data, method_of(method), RECIPE, Switches(), 0, CPU)
    made: LookAhead = module.Step(*arguments, **options_of(method, options))
    return made


def bert_losses(step: LookAhead, batcher: Batcher, labels: Any, rows: Any) -> Callable[[Parameters], Tensor]:
    """CE of each example through transformers alone, with the mask as the tokenizer gives it."""
    batch = batcher.batch(np.asarray(rows))
    inputs = {name: getattr(batch, name) for name in ("input_ids", "attention_mask", "token_type_ids")}

    def losses(parameters: Parameters) -> Tensor:
        logits = functional_call(step.model, parameters, (), inputs).logits
        return F.cross_entropy(logits, torch.from_numpy(labels)[batch.rows], reduction="none")

    return losses


def drawn_dev(step: LookAhead, data: TrainingData) -> Callable[[Parameters], Tensor]:
    """The mean CE on the dev batch that the step's first draw gives."""
    drawn = np.random.default_rng([0, len(data.dev)]).choice(len(data.dev), 8, replace=False)
    losses = bert_losses(step, step.dev_batches, data.dev_labels, drawn)
    return lambda p: losses(p).mean()


@pytest.mark.parametrize(("group", "chunk"), [(3, 2), (0, 8)])
def test_a_step_of_hu_on_bert_renews_phi_as_brute_force_does(
    encoder: Path, data: TrainingData, group: int, chunk: int
) -> None:
    """Every delta by a deep copy of model and optimiser, every derivative of the dev loss by differences."""
    step = step_of(hu, "hu", encoder, data, group=group, chunk=chunk, w_decay=2.0)
    assert isinstance(step, hu.Step)
    step.phi = torch.linspace(0.5, 2, len(data.train), dtype=torch.float64)
    first, second = step.batches.batch(np.arange(8)), step.batches.batch(np.arange(4, 12))
    np.testing.assert_allclose(step.step(first)[2], np.ones(8))  # Adam has no moments yet
    expected, theta, changes = step.phi.clone(), step.parameters_by_name(), []
    for row in range(4, 12):
        model, adam = copy.deepcopy((step.model, step.optimiser))
        for part in adam.param_groups:
            part["lr"] = step.learning_rate()
        bert_losses(step, step.batches, data.train_labels, [row])(dict(model.named_parameters())).sum().backward()
        adam.step()
        changes.append({name: t.detach() - theta[name] for name, t in model.named_parameters()})
    dev = bert_losses(step, step.dev_batches, data.dev_labels, range(len(data.dev)))
    size = group or 8
    for start in range(0, 8, size):
        part = range(start, min(start + size, 8))

        def dev_loss(phi: Tensor, part: range = part) -> Tensor:
            moves = list(zip(phi, part, strict=True))
            return dev({n: t + sum(p * changes[i][n] for p, i in moves) for n, t in theta.items()}).mean()

        rows = [4 + i for i in part]
        with torch.no_grad():
            meta = central(dev_loss, step.phi[rows], step=1e-3)
        expected[rows] = (step.phi[rows] / 2 - meta).clamp(min=1e-5)
        assert meta.abs().max() > 1e-3
    _, _, weight = step.step(second)
    np.testing.assert_allclose(step.phi, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(weight, 8 * expected[4:12].softmax(dim=0), rtol=1e-4)


def test_rens_weights_on_bert(encoder: Path, data: TrainingData) -> None:
    step, rows = step_of(ren, "ren", encoder, data), np.arange(8)
    batch = step.batches.batch(rows)
    found = step.weight(batch, step.labels[batch.rows], torch.zeros(8)) / 8
    losses = bert_losses(step, step.batches, data.train_labels, rows)
    exact = ren_by_autograd(losses, drawn_dev(step, data), step.parameters_by_name())
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-6)
    assert (found == 0).any() and (found > 0).any()


def test_the_weight_nets_step_on_bert_with_dropout(encoder: Path, data: TrainingData) -> None:
    """The products are taken in the very pass of the look-ahead, dropout and all, at the look-ahead's own rate."""
    step = step_of(meta_weight_net, "meta_weight_net", encoder, data, dropout=0.3, look_ahead_rate=0.2)
    assert isinstance(step, meta_weight_net.Step)
    step.net.double()
    seen: list[list[Tensor]] = []
    assert [tuple(p.shape) for p in step.net.parameters()] == [(100, 1), (100,), (1, 100), (1,)]
    net, batch = copy.deepcopy(step.net), step.batches.batch(np.arange(8))
    step.net_optimiser.register_step_pre_hook(
        lambda *_: seen.append([p.grad.clone() for p in step.net.parameters() if p.grad is not None])
    )
    losses = bert_losses(step, step.batches, data.train_labels, np.arange(8))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        step.weight(batch, step.labels[batch.rows], torch.zeros(8, dtype=torch.float64))
        after = torch.rand(1)
        torch.manual_seed(5)
        exact = net_by_autograd(losses, drawn_dev(step, data), step.parameters_by_name(), net, 0.2)
        assert torch.equal(after, torch.rand(1))  # and the stream of dropout goes on behind both passes
    for found, expected in zip(seen[0], exact, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-9)


def test_sungens_products_are_those_of_every_training_example(encoder: Path, data: TrainingData) -> None:
    step = step_of(sungen, "sungen", encoder, data, outer="held_out", outer_share=0.25)
    assert isinstance(step, sungen.Step)
    step.model.float()
    found = step._products(torch.zeros(len(data.train)))
    assert len(step.outer) == 12 and float(step.inner.sum()) == 36
    at = leaves(step.parameters_by_name())
    p = step.logits(at, step.batches.batch(step.outer)).softmax(dim=1)
    p = p[torch.arange(12), step.labels[torch.from_numpy(step.outer)]]
    outer = torch.autograd.grad((10 * (1 - p)).sum() / RECIPE.batch_size, list(at.values()))
    for row in (0, 17, 47):
        own = bert_losses(step, step.batches, data.train_labels, [row])(at)
        gradients = torch.autograd.grad(own.sum(), list(at.values()))
        expected = sum(float((a * b).sum()) for a, b in zip(outer, gradients, strict=True))
        assert float(found[row]) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_the_upper_nine_tenths_are_the_outer_examples_of_the_subset(encoder: Path, data: TrainingData) -> None:
    step = step_of(sungen, "sungen", encoder, data, outer="subset", outer_share=0.5)
    assert isinstance(step, sungen.Step)
    theta = torch.arange(48.0)  # the five smallest of 48 are below the int(0.9 * 48) = 43 largest
    assert sorted(step._outer_rows(theta)) == [row for row in step.outer if row >= 5]
    assert len(step._outer_rows(torch.zeros(48))) == 24
    assert float(step.inner.sum()) == 48


def test_torchs_dropout_keeps_every_probability(encoder: Path, data: TrainingData) -> None:
    fast, plain = (classifier.build(encoder, 3, seed=0, device=CPU, dropout=0.3) for _ in range(2))
    train.seed_dropout(fast, 0)
    look_ahead.torch_dropout(fast)
    ours, theirs = ({n: m.p for n, m in model.named_modules() if hasattr(m, "p")} for model in (fast, plain))
    assert ours == theirs and set(ours.values()) == {0.3}
    batch = Batcher(data.train, CPU).batch(np.arange(8))
    logits = [train.forward(model.eval(), batch, "fp32") for model in (fast, plain)]
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-5)
