"""The methods that look a step ahead: each formula against autograd through the virtual step, and by differences.

The small problem is a network of two layers on five features in float64; then the same on the tiny BERT.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from paper_repro.model.first_token import first_token_only
from torch import Tensor, nn
from torch.func import functional_call

from paper_repro.method import train
from paper_repro.method.baselines import hu, look_ahead, meta_weight_net, ren, sungen
from paper_repro.method.baselines.look_ahead import LookAhead, Parameters
from paper_repro.method.losses import Switches
from paper_repro.method.recipe import Recipe
from paper_repro.method.registry import options_of
from paper_repro.method.train import TrainingData
from paper_repro.model import classifier
from paper_repro.model.tokens import Batcher

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


def ce(parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
    logits = torch.tanh(x @ parameters["a"] + parameters["bias"]) @ parameters["b"]
    return F.cross_entropy(logits, y, reduction="none")


def central(function: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-5) -> Tensor:
    """Derivatives of a scalar function by central differences."""
    units = torch.eye(len(at), dtype=at.dtype) * step
    return torch.stack([(function(at + unit) - function(at - unit)) / (2 * step) for unit in units]).detach()


def leaves(parameters: Parameters) -> Parameters:
    return {name: tensor.clone().requires_grad_() for name, tensor in parameters.items()}


# -- Hu et al. ------------------------------------------------------------------------------------------------


def adam_after_some_steps(parameters: Parameters, x: Tensor, y: Tensor, l2: float) -> tuple[Any, list[Tensor]]:
    """torch's own Adam with three updates behind it, L2 on all but the bias."""
    moving = leaves(parameters)
    groups = [{"params": [moving["a"], moving["b"]], "weight_decay": l2}, {"params": [moving["bias"]]}]
    adam = torch.optim.Adam(groups, lr=1e-2)
    for _ in range(3):
        adam.zero_grad()
        ce(moving, x, y).mean().backward()
        adam.step()
    return adam, [moving["a"], moving["b"], moving["bias"]]


def change_by_adam(adam: Any, moving: list[Tensor], loss: Callable[[Parameters], Tensor]) -> Parameters:
    """How a copy of the optimiser, moments included, moves a copy of the parameters on one loss."""
    twin, own = copy.deepcopy((adam, moving))
    own = [tensor for group in twin.param_groups for tensor in group["params"]]
    before = [tensor.detach().clone() for tensor in own]
    twin.zero_grad()
    loss(dict(zip(("a", "b", "bias"), own, strict=True))).backward()
    twin.step()
    return {name: t.detach() - b for name, t, b in zip(("a", "b", "bias"), own, before, strict=True)}


def our_changes(adam: Any, moving: list[Tensor], x: Tensor, y: Tensor, l2: float, chunk: int) -> Parameters:
    parameters = {n: t.detach() for n, t in zip(("a", "b", "bias"), moving, strict=True)}

    def one(p: Parameters, x: Tensor, y: Tensor) -> Tensor:
        return ce(p, x.unsqueeze(0), y.unsqueeze(0)).sum()

    found = look_ahead.gradients_by_example(one, parameters, (x, y), chunk)
    changes = {}
    for name, tensor in zip(parameters, moving, strict=True):
        gradients = found[name] + (0 if name == "bias" else l2) * parameters[name]
        state = adam.state[tensor]
        changes[name] = hu.adam_change(
            gradients, state["exp_avg"], state["exp_avg_sq"], step=4, rate=1e-2, betas=(0.9, 0.999), eps=1e-8
        )
    return changes


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_the_change_of_an_example_is_a_step_of_torchs_adam_on_it_alone(chunk: int) -> None:
    parameters, (x, y), _ = make()
    adam, moving = adam_after_some_steps(parameters, x, y, 0.01)
    ours = our_changes(adam, moving, x, y, 0.01, chunk)
    for i in range(N):
        theirs = change_by_adam(adam, moving, lambda p, i=i: ce(p, x[i : i + 1], y[i : i + 1]).sum())
        for name in theirs:
            torch.testing.assert_close(ours[name][i], theirs[name], rtol=1e-9, atol=1e-14)


def test_the_meta_gradient_of_hu_is_the_derivative_of_the_dev_loss() -> None:
    """Against autograd through theta'(phi), and against differences of the dev loss in each phi."""
    parameters, (x, y), (dev_x, dev_y) = make(1)
    adam, moving = adam_after_some_steps(parameters, x, y, 0.01)
    changes = our_changes(adam, moving, x, y, 0.01, 8)
    theta = {n: t.detach() for n, t in zip(("a", "b", "bias"), moving, strict=True)}
    phi = torch.rand(N, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def dev_loss(phi: Tensor) -> Tensor:
        ahead = {name: t + sum(phi[i] * changes[name][i] for i in range(N)) for name, t in theta.items()}
        return ce(ahead, dev_x, dev_y).mean()

    direction = look_ahead.gradient(lambda p: ce(p, dev_x, dev_y).mean(), hu.moved(theta, changes, phi))
    found = hu.products(changes, direction)
    leaf = phi.clone().requires_grad_()
    (exact,) = torch.autograd.grad(dev_loss(leaf), leaf)
    torch.testing.assert_close(found, exact, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(found, central(dev_loss, phi), rtol=1e-4, atol=1e-9)
    assert found.abs().min() > 1e-5  # none of them vanishes


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
    step = torch.autograd.grad((epsilon * values).sum(), list(theta.values()), create_graph=True)
    ahead = {name: t - 0.1 * s for (name, t), s in zip(theta.items(), step, strict=True)}
    (found,) = torch.autograd.grad(dev(ahead), epsilon)
    positive = (-found).clamp(min=0)
    return positive / positive.sum()


def test_rens_weights_are_those_of_the_written_algorithm() -> None:
    parameters, (x, y), (dev_x, dev_y) = make(3)
    direction = look_ahead.gradient(lambda p: ce(p, dev_x, dev_y).mean(), parameters)
    values, use = look_ahead.alignments(lambda p: ce(p, x, y), parameters, direction)
    found = ren.shares(use)
    exact = ren_by_autograd(lambda p: ce(p, x, y), lambda p: ce(p, dev_x, dev_y).mean(), parameters)
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(values, ce(parameters, x, y))
    assert (found == 0).any() and (found > 0).any() and float(found.sum()) == pytest.approx(1)


def test_without_any_use_all_of_rens_weights_are_zero() -> None:
    np.testing.assert_array_equal(ren.shares(torch.tensor([-1.0, 0.0, -3.0])), np.zeros(3))
    np.testing.assert_allclose(ren.shares(torch.tensor([-1.0, 1e-30, 3e-30])), [0, 0.25, 0.75], rtol=1e-6)


# -- Meta-Weight-Net ------------------------------------------------------------------------------------------


def net_gradient_by_autograd(
    losses: Callable[[Parameters], Tensor],
    dev: Callable[[Parameters], Tensor],
    at: Parameters,
    net: nn.Module,
    rate: Any,
) -> list[Tensor]:
    """The gradient of the dev loss with respect to V through a virtual step that keeps its graph."""
    theta = leaves(at)
    values = losses(theta)
    mean = (net(values.detach().unsqueeze(1)).squeeze(1) * values).mean()
    step = torch.autograd.grad(mean, list(theta.values()), create_graph=True)
    ahead = {name: t - rate * s for (name, t), s in zip(theta.items(), step, strict=True)}
    return list(torch.autograd.grad(dev(ahead), list(net.parameters())))


def test_the_gradient_of_the_weight_net_is_the_one_through_the_virtual_step() -> None:
    parameters, (x, y), (dev_x, dev_y) = make(4)
    net, rate = meta_weight_net.weight_net(0).double(), 0.3
    assert [tuple(p.shape) for p in net.parameters()] == [(100, 1), (100,), (1, 100), (1,)]

    def dev(p: Parameters) -> Tensor:
        return ce(p, dev_x, dev_y).mean()

    ahead = meta_weight_net.look_ahead(lambda p: ce(p, x, y), net, parameters, rate)
    values, products = look_ahead.alignments(lambda p: ce(p, x, y), parameters, look_ahead.gradient(dev, ahead))
    meta_weight_net.surrogate(net, values, products, rate).backward()
    exact = net_gradient_by_autograd(lambda p: ce(p, x, y), dev, parameters, net, rate)
    for tensor, expected in zip(net.parameters(), exact, strict=True):
        assert tensor.grad is not None
        torch.testing.assert_close(tensor.grad, expected, rtol=1e-9, atol=1e-14)
    assert max(float(e.abs().max()) for e in exact) > 1e-4


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
    parameters, (x, y), (outer_x, outer_y) = make(5)
    inner = torch.ones(N, dtype=torch.float64)
    inner[:held_out] = 0
    theta = torch.randn(N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    total = (theta.sigmoid() * inner).sum()

    def outer(p: Parameters) -> Tensor:
        logits = torch.tanh(outer_x @ p["a"] + p["bias"]) @ p["b"]
        return sungen.reverse_cross_entropy(logits, outer_y).sum() / 4

    def ahead(theta: Tensor, rate: float) -> Tensor:
        leaf = leaves(parameters)
        mean = (theta.sigmoid() * inner * ce(leaf, x, y)).sum() / total
        step = torch.autograd.grad(mean, list(leaf.values()), create_graph=True)
        return outer({name: t - rate * s for (name, t), s in zip(leaf.items(), step, strict=True)})

    products = look_ahead.alignments(lambda p: ce(p, x, y), parameters, look_ahead.gradient(outer, parameters))[1]
    rate = 1e-7  # G is taken at the inner solution itself: what is left out is of the order of the rate
    found = sungen.hypergradient(products, theta, inner, rate)
    leaf = theta.clone().requires_grad_()
    (exact,) = torch.autograd.grad(ahead(leaf, rate), leaf)
    torch.testing.assert_close(found / rate, exact / rate, rtol=1e-5, atol=1e-7)
    assert (found[:held_out] == 0).all() and (found[held_out:] != 0).all()
    steep = central(lambda theta: ahead(theta, rate), theta, step=1e-2) / rate
    torch.testing.assert_close(found / rate, steep, rtol=1e-3, atol=1e-5)


def test_a_swapped_label_loses_weight_and_a_right_one_gains() -> None:
    """Two classes at x = +1 and -1, logits (x, -x), one label in five swapped: by symmetry all right labels have one
    hypergradient and all swapped ones another, e^2 times as large and of the other sign."""
    x = torch.tensor([1.0, -1.0] * 5, dtype=torch.float64)
    right = torch.tensor([False] * 2 + [True] * 8)
    y = torch.where(right, x < 0, x > 0).long()
    at = {"w": torch.ones(1, dtype=torch.float64)}

    def logits(p: Parameters) -> Tensor:
        return torch.stack([p["w"] * x, -p["w"] * x], dim=1)

    outer = look_ahead.gradient(lambda p: sungen.reverse_cross_entropy(logits(p), y).sum(), at)
    products = look_ahead.alignments(lambda p: F.cross_entropy(logits(p), y, reduction="none"), at, outer)[1]
    found = sungen.hypergradient(products, torch.zeros(10).double(), torch.ones(10).double(), 1e-3)
    assert (found[right] < 0).all() and (found[~right] > 0).all()  # Adam goes against it
    torch.testing.assert_close(found[~right], -np.exp(2) * found[right][:2])


# -- the same on BERT -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_encoder(tmp_path_factory.mktemp("encoder"), spread=0.5)


def step_of(
    module: Any,
    method: str,
    encoder: Path,
    data: TrainingData,
    *,
    dropout: float = 0.0,
    double: bool = True,
    **options: Any,
) -> LookAhead:
    model = classifier.build(encoder, data.classes, seed=0, device=CPU, dropout=dropout)
    first_token_only(model)
    if double:
        model.double()
    batches = [Batcher(pool, CPU) for pool in (data.train, data.dev)]
    arguments = (model.train(), *batches, data, method, RECIPE, Switches(), 0, CPU)
    made: LookAhead = module.Step(*arguments, **options_of(method, options))
    return made


def bert_losses(step: LookAhead, batcher: Batcher, labels: Any, rows: Any) -> Callable[[Parameters], Tensor]:
    """CE of each example through transformers alone, with the mask as the tokenizer gives it."""
    batch = batcher.batch(np.asarray(rows))

    def losses(parameters: Parameters) -> Tensor:
        inputs = {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            "token_type_ids": batch.token_type_ids,
        }
        logits = functional_call(step.model, parameters, (), inputs).logits
        return F.cross_entropy(logits, torch.from_numpy(labels)[batch.rows], reduction="none")

    return losses


@pytest.mark.parametrize(("group", "chunk"), [(3, 2), (0, 8)])
def test_a_step_of_hu_on_bert_renews_phi_as_brute_force_does(
    encoder: Path, data: TrainingData, group: int, chunk: int
) -> None:
    """Every delta by a deep copy of model and optimiser, every derivative of the dev loss by differences."""
    step = step_of(hu, "hu", encoder, data, group=group, chunk=chunk, w_decay=2.0)
    assert isinstance(step, hu.Step)
    step.phi = torch.linspace(0.5, 2, len(data.train), dtype=torch.float64)
    first, second = step.batches.batch(np.arange(8)), step.batches.batch(np.arange(4, 12))
    _, _, weight = step.step(first)
    np.testing.assert_allclose(weight, np.ones(8))  # Adam has no moments yet
    phi, expected = step.phi.clone(), step.phi.clone()
    names = [name for name, _ in step.model.named_parameters()]
    theta = step.parameters_by_name()
    changes = []
    for row in range(4, 12):
        model, adam = copy.deepcopy((step.model, step.optimiser))
        own = bert_losses(step, step.batches, data.train_labels, [row])
        adam.param_groups[0]["lr"] = adam.param_groups[1]["lr"] = step.learning_rate()
        own(dict(model.named_parameters())).sum().backward()
        adam.step()
        changes.append({name: t.detach() - theta[name] for name, t in model.named_parameters()})
    dev = bert_losses(step, step.dev_batches, data.dev_labels, range(len(data.dev)))
    size = group or 8
    for start in range(0, 8, size):
        part = range(start, min(start + size, 8))

        def dev_loss(phi: Tensor, part: range = part) -> Tensor:
            ahead = {n: theta[n] + sum(p * changes[i][n] for p, i in zip(phi, part, strict=True)) for n in names}
            return dev(ahead).mean()

        rows = [4 + i for i in part]
        with torch.no_grad():
            meta = central(dev_loss, phi[rows], step=1e-3)
        expected[rows] = (phi[rows] / 2 - meta).clamp(min=1e-5)
        assert meta.abs().max() > 1e-3
    _, _, weight = step.step(second)
    np.testing.assert_allclose(step.phi, expected, rtol=1e-4, atol=1e-5)
    shares = expected[4:12].exp() / expected[4:12].exp().sum()
    np.testing.assert_allclose(weight, 8 * shares, rtol=1e-4)


def test_rens_weights_on_bert(encoder: Path, data: TrainingData) -> None:
    step = step_of(ren, "ren", encoder, data)
    rows = np.arange(8)
    batch = step.batches.batch(rows)
    drawn = np.random.default_rng([0, len(data.dev)]).choice(len(data.dev), 8, replace=False)
    found = step.weight(batch, step.labels[batch.rows], torch.zeros(8)) / 8
    exact = ren_by_autograd(
        bert_losses(step, step.batches, data.train_labels, rows),
        lambda p: bert_losses(step, step.dev_batches, data.dev_labels, drawn)(p).mean(),
        step.parameters_by_name(),
    )
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-6)


def test_the_weight_nets_step_on_bert_with_dropout(encoder: Path, data: TrainingData) -> None:
    """The products are taken in the very pass of the look-ahead, dropout and all."""
    step = step_of(meta_weight_net, "meta_weight_net", encoder, data, dropout=0.3)
    assert isinstance(step, meta_weight_net.Step)
    step.net.double()
    seen: list[list[Tensor]] = []
    net = copy.deepcopy(step.net)
    step.net_optimiser.register_step_pre_hook(
        lambda *_: seen.append([p.grad.clone() for p in step.net.parameters() if p.grad is not None])
    )
    batch = step.batches.batch(np.arange(8))
    drawn = np.random.default_rng([0, len(data.dev)]).choice(len(data.dev), 8, replace=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        step.weight(batch, step.labels[batch.rows], torch.zeros(8, dtype=torch.float64))
        after = torch.rand(1)
        torch.manual_seed(5)
        exact = net_gradient_by_autograd(
            bert_losses(step, step.batches, data.train_labels, np.arange(8)),
            lambda p: bert_losses(step, step.dev_batches, data.dev_labels, drawn)(p).mean(),
            step.parameters_by_name(),
            net,
            step.learning_rate(),
        )
        assert torch.equal(after, torch.rand(1))  # and the stream of dropout goes on behind both passes
    for found, expected in zip(seen[0], exact, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-9)


def test_sungens_products_are_those_of_every_training_example(encoder: Path, data: TrainingData) -> None:
    step = step_of(sungen, "sungen", encoder, data, double=False, outer="held_out", outer_share=0.25)
    assert isinstance(step, sungen.Step)
    theta = torch.zeros(len(data.train))
    found = step._products(theta)
    assert len(step.outer) == 12 and float(step.inner.sum()) == 36
    at = leaves(step.parameters_by_name())
    logits = step.logits(at, step.batches.batch(step.outer))
    p = logits.softmax(dim=1)[torch.arange(12), step.labels[torch.from_numpy(step.outer)]]
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
    fast = classifier.build(encoder, 3, seed=0, device=CPU, dropout=0.3)
    first_token_only(fast)
    train.seed_dropout(fast, 0)
    plain = classifier.build(encoder, 3, seed=0, device=CPU, dropout=0.3)
    look_ahead.torch_dropout(fast)
    ours, theirs = ({n: m.p for n, m in model.named_modules() if hasattr(m, "p")} for model in (fast, plain))
    assert ours == theirs and set(ours.values()) == {0.3}
    batch = Batcher(data.train, CPU).batch(np.arange(8))
    logits = [train.forward(model.eval(), batch, "fp32") for model in (fast, plain)]
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-5)


def test_what_a_bf16_step_finds_is_close_to_fp32(encoder: Path, data: TrainingData) -> None:
    found = []
    for precision in ("fp32", "bf16"):
        step = step_of(ren, "ren", encoder, data, double=False)
        step.recipe = replace(RECIPE, precision=precision)  # type: ignore[arg-type]
        batch = step.batches.batch(np.arange(8))
        found.append(step.weight(batch, step.labels[batch.rows], torch.zeros(8)))
    np.testing.assert_allclose(found[1], found[0], atol=0.1 * float(found[0].max()))
