"""The seeded dropout: the right rate and scale, its own stream, and the same network as transformers' attention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from torch import nn

from paper_repro.model.batches import Batcher
from paper_repro.model.classifier import build
from paper_repro.model.dropout import ATTENTION, SeededDropout, seed_dropout
from paper_repro.model.fast_bert import speed_up
from paper_repro.model.tokens import encode

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_encoder(tmp_path_factory.mktemp("encoder"), layers=2)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_rate_and_scale(p: float) -> None:
    layer = SeededDropout(p, np.random.SFC64(0)).train()
    out = layer(torch.ones(1000, 401))  # 401,000 is no multiple of four
    assert set(out.unique().tolist()) == {0.0, torch.tensor(1 / (1 - p)).item()}
    # Six standard errors of a Bernoulli share.
    assert float((out == 0).float().mean()) == pytest.approx(p, abs=6 * (p * (1 - p) / out.numel()) ** 0.5)
    assert float(out.mean()) == pytest.approx(1, abs=0.03)


def test_the_gradient_passes_where_the_activation_did() -> None:
    x = torch.ones(50, requires_grad=True)
    out = SeededDropout(0.3, np.random.SFC64(2)).train()(x)
    out.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, out.detach())


def test_the_stream_is_the_seeds_alone() -> None:
    x = torch.ones(64)
    masks = []
    for _ in range(2):
        torch.rand(5)  # noise on torch's global stream
        layer = SeededDropout(0.5, np.random.SFC64(7)).train()
        before = torch.get_rng_state()
        masks.append(torch.stack([layer(x), layer(x)]))
        assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0][0], masks[0][1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_mask_of_other_dtypes_is_that_of_float32(dtype: torch.dtype) -> None:
    masks = [SeededDropout(0.1, np.random.SFC64(3)).train()(torch.ones(999, dtype=d)) for d in (torch.float32, dtype)]
    assert masks[1].dtype == dtype and torch.equal(masks[0] == 0, masks[1] == 0)
    kept = masks[1][masks[1] != 0].unique().double()
    np.testing.assert_allclose(kept.numpy(), [1 / 0.9], rtol=2**-8 if dtype == torch.bfloat16 else 2**-10)


def test_every_dropout_of_a_bert_is_replaced(encoder: Path) -> None:
    model = build(encoder, 3, seed=0, device=CPU)
    count = sum(isinstance(module, nn.Dropout) for module in model.modules())
    seed_dropout(model, 1)
    seeded = [module for module in model.modules() if isinstance(module, SeededDropout)]
    assert not any(isinstance(module, nn.Dropout) for module in model.modules())
    assert len(seeded) == count == 1 + 2 * 3 + 1  # embeddings, three in each layer, the head
    assert len({id(module._stream) for module in seeded}) == 1
    assert model.config._attn_implementation == ATTENTION


def test_the_last_layer_needs_its_first_token_only_by_a_gpus_attention_too(encoder: Path) -> None:
    """Logits and gradients stay; those by the attention that a CPU takes are compared in test_training."""
    pool = encode(tiny.make_pool("pool", 12, 2, pairs=True), encoder, 48)
    results = []
    for first_only in (False, True):
        model = build(encoder, 2, seed=0, device=CPU, dropout=0.0).train()
        if first_only:
            speed_up(model)
        model.set_attn_implementation("sdpa")
        loss = nn.functional.cross_entropy(Batcher(pool, CPU).batch(np.arange(12)).logits(model), torch.arange(12) % 2)
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in model.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
