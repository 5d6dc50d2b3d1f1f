"""The losses against the authors' definitions, written out here a second time, and against their fixed points."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor

from paper_repro.method.losses import LOSSES as METHODS
from paper_repro.method.losses import Switches, observed_log_probability, weighted_loss, weights

BATCH, CLASSES = 24, 3
DOUBLE = torch.float64


def a_batch(seed: int = 0, scale: float = 2.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits (24, 3), labels, and scores of both checkers in (0.02, 1)."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(BATCH, CLASSES, dtype=DOUBLE, generator=generator)
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    quality = 0.02 + 0.98 * torch.rand(BATCH, dtype=DOUBLE, generator=generator)
    diversity = 0.02 + 0.98 * torch.rand(BATCH, dtype=DOUBLE, generator=generator)
    return logits, labels, quality, diversity


def gradient(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    leaf = logits.clone().requires_grad_()
    loss(leaf).backward()
    assert leaf.grad is not None
    return leaf.grad


def reference(
    method: str,
    logits: Tensor,
    labels: Tensor,
    quality: Tensor,
    diversity: Tensor,
    *,
    gamma: float = 1.0,
    detach: bool = True,
    clip: str = "none",
    alpha: float = 0.1,
    normalise: str = "none",
) -> Tensor:
    """The authors' training step in plain probabilities: per-example cross entropy, times a detached weight, mean over
    the batch; and the switches."""
    p = torch.softmax(logits, dim=1)[torch.arange(len(labels)), labels]
    weight = tiny.paper_weight(method, p, quality, diversity) ** gamma
    if clip == "bounded" and method in ("imp", "dimp"):
        weight = quality / (alpha * quality + (1 - alpha) * (diversity if method == "imp" else p))
    if clip == "sqrt-n":
        limit = weight.mean() * len(labels) ** 0.5
        weight = torch.where(weight > limit, limit, weight)
    if normalise == "batch":
        weight = weight / weight.mean()
    return ((weight.detach() if detach else weight) * F.cross_entropy(logits, labels, reduction="none")).mean()


SWITCHES: list[dict[str, Any]] = [
    *({"gamma": gamma} for gamma in (0.5, 2.0)),
    *(
        {"clip": clip, "detach": detach, "normalise": normalise, "alpha": 0.25}
        for clip, detach, normalise in product(("none", "sqrt-n", "bounded"), (True, False), ("none", "batch"))
    ),
]


@pytest.mark.parametrize("switches", [{}, *SWITCHES], ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_loss_and_gradient_are_the_authors_under_all_switches(method: str, switches: dict[str, Any]) -> None:
    logits, *others = a_batch(5)
    ours, theirs = (partial(loss, method, **switches) for loss in (weighted_loss, reference))
    torch.testing.assert_close(ours(logits, *others), theirs(logits, *others), rtol=1e-10, atol=1e-12)
    grads = [gradient(lambda x, loss=loss: loss(x, *others), logits) for loss in (ours, theirs)]
    torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-12)


# -- switches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("method", ["imp", "dimp"])
def test_bounded_weight_never_exceeds_its_bound(method: str, alpha: float) -> None:
    log_p = torch.tensor([-80.0, -1e-9, -3.0, -60.0], dtype=DOUBLE)
    log_quality = torch.tensor([0.0, -70.0, -0.1, -1e-12], dtype=DOUBLE)
    log_diversity = torch.tensor([-70.0, 0.0, -2.0, -1e-12], dtype=DOUBLE)
    bounded = weights(method, log_p, log_quality, log_diversity, Switches(clip="bounded", alpha=alpha))
    assert float(bounded.max()) <= 1 / alpha * (1 + 1e-12)
    assert float(bounded[0]) == pytest.approx(1 / alpha)  # reached where the denominator vanishes


def test_sqrt_n_truncates_at_mean_times_root_n() -> None:
    """By hand: weights 1 x 8 and 92; mean 100/9, n = 9, so the limit is 3 x 100/9 = 33.3."""
    ratio = torch.tensor([1.0] * 8 + [92.0], dtype=DOUBLE)
    diversity = torch.full((9,), 1 / 100, dtype=DOUBLE)
    weight = weights(
        "imp", torch.zeros(9, dtype=DOUBLE), (ratio * diversity).log(), diversity.log(), Switches(clip="sqrt-n")
    )
    np.testing.assert_allclose(weight.numpy(), [1.0] * 8 + [100 / 3], rtol=1e-12)


# -- stability ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_bf16_logits_equal_float64_on_the_same_numbers(method: str) -> None:
    logits, labels, quality, diversity = a_batch(8, scale=6.0)
    half = logits.to(torch.bfloat16)
    found = weighted_loss(method, half, labels, quality.float(), diversity.float())
    expected = reference(method, half.double(), labels, quality.float().double(), diversity.float().double())
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(expected), rel=2e-6)
    exact = gradient(lambda x: reference(method, x, labels, quality, diversity), half.double())
    grad = gradient(lambda x: weighted_loss(method, x, labels, quality, diversity), half)
    assert grad.dtype == torch.bfloat16
    # bf16 keeps 8 bits of a number.
    np.testing.assert_allclose(grad.double().numpy(), exact.numpy(), rtol=2**-7, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, DOUBLE])
@pytest.mark.parametrize("method", METHODS)
def test_probabilities_of_1e_30(method: str, dtype: torch.dtype) -> None:
    """p, P' and Q of 1e-30 in turn: finite, and equal to float64 in closed form (ln 1e-30 = -69.0776)."""
    far = 69.0  # exact in bf16, too
    logits = torch.tensor([[0.0, far], [far, 0.0], [0.0, 0.0], [0.0, 0.0]], dtype=dtype)
    labels = torch.tensor([0, 0, 0, 1])
    quality = torch.tensor([0.5, 0.5, 1e-30, 0.5], dtype=torch.float32)
    diversity = torch.tensor([0.5, 0.5, 0.5, 1e-30], dtype=torch.float32)
    p = np.array([1 / (1 + math.exp(far)), 1 / (1 + math.exp(-far)), 0.5, 0.5])
    minus_log_p = np.array([math.log1p(math.exp(-far)) + far, math.log1p(math.exp(-far)), math.log(2), math.log(2)])
    p_quality, q = quality.double().numpy(), diversity.double().numpy()
    weight = tiny.paper_weight(method, p, p_quality, q)
    log_p = observed_log_probability(logits, labels)
    found = weights(method, log_p, quality.to(log_p.dtype).log(), diversity.to(log_p.dtype).log())
    assert torch.isfinite(found).all()
    # float32 holds 1 - p only to 1.2e-7, and log 1e-30 to 4e-6, which the exponential makes relative.
    tolerance = {"rtol": 1e-12, "atol": 1e-29} if dtype == DOUBLE else {"rtol": 2e-5, "atol": 2e-7}
    np.testing.assert_allclose(found.double().numpy(), weight, **tolerance)
    loss = weighted_loss(method, logits, labels, quality, diversity)
    assert float(loss) == pytest.approx(float(np.mean(weight * minus_log_p)), rel=2e-5)
    assert torch.isfinite(gradient(lambda x: weighted_loss(method, x, labels, quality, diversity), logits)).all()
    unheld = gradient(lambda x: weighted_loss(method, x, labels, quality, diversity, detach=False), logits)
    assert torch.isfinite(unheld).all()


@pytest.mark.parametrize("method", ["imp", "dimp", "quality_only"])
def test_a_quality_score_of_zero_is_a_weight_of_zero(method: str) -> None:
    logits, labels, quality, diversity = a_batch(9)
    quality[5] = 0
    found = gradient(lambda x: weighted_loss(method, x, labels, quality, diversity), logits)
    assert torch.isfinite(found).all()
    assert (found[5] == 0).all() and (found[4] != 0).all()


def test_focal_gradient_where_p_is_one() -> None:
    """-ln p (1 - p)^0.5 is flat at p = 1; float32 reaches it at a logit gap of 17."""
    logits = torch.tensor([[40.0, 0.0], [0.0, 0.0]])
    found = gradient(lambda x: weighted_loss("focal", x, torch.tensor([0, 1]), detach=False, gamma=0.5), logits)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("method", ["imp", "dimp", "quality_only"])
def test_normalising_a_batch_without_weight(method: str) -> None:
    logits, labels, quality, diversity = a_batch(10)
    loss = weighted_loss(method, logits, labels, torch.zeros_like(quality), diversity, normalise="batch")
    assert float(loss) == 0


# -- what a person gets wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "cross_entropy"}, "method 'cross_entropy' is not one of ce, focal, imp, dimp, quality_only"),
        ({"method": "imp", "diversity": None}, "method 'imp' needs the diversity checker's scores"),
        ({"method": "dimp", "quality": None}, "method 'dimp' needs the quality checker's scores"),
        ({"method": "imp", "temperature": 2}, "unknown switch temperature"),
        ({"method": "imp", "clip": "hard"}, "clip='hard'"),
        ({"method": "imp", "gamma": math.nan}, "gamma=nan"),
        ({"method": "imp", "alpha": 1.0}, "alpha=1.0"),
        ({"method": "imp", "quality": torch.tensor([0.5])}, "quality has shape (1,), expected (24,)"),
    ],
)
def test_errors_by_message(changes: dict[str, Any], message: str) -> None:
    logits, labels, quality, diversity = a_batch()
    call = {"logits": logits, "labels": labels, "quality": quality, "diversity": diversity, **changes}
    with pytest.raises(ValueError) as caught:
        weighted_loss(**call)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("score", "value"), [("diversity", 0), *product(["quality", "diversity"], [-0.5, 1.5, math.nan, math.inf])]
)
def test_scores_that_are_no_probabilities(score: str, value: float) -> None:
    logits, labels, quality, diversity = a_batch()
    scores = {"quality": quality, "diversity": diversity}
    scores[score][3] = value
    with pytest.raises(ValueError, match=f"{score} scores span .* expected probabilities in .*floored above 0"):
        weighted_loss("imp", logits, labels, **scores)
