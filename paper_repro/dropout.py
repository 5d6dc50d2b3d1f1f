"""Dropout from an explicit random stream, two to three times as fast on the CPU as torch's own.

torch draws its Bernoulli masks one number at a time from a global Mersenne twister; in a small encoder on one
thread that is a seventh of a training step. Here 16 random bits decide on each activation, drawn in bulk
from a generator that belongs to the run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

ATTENTION = "eager_seeded_dropout"


class SeededDropout(nn.Module):
    """Zeroes each activation with probability ``p`` (to the nearest 2^-16) and scales the others by 1/(1-p)."""

    def __init__(self, p: float, stream: np.random.SFC64) -> None:
        super().__init__()
        self.p = p
        self._stream = stream
        self._threshold = round(p * 2**16) - 2**15

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        bits = self._stream.random_raw(-(-x.numel() // 4)).view(np.int16)[: x.numel()]
        keep = torch.from_numpy(bits).view(x.shape) >= self._threshold
        return x * keep.to(x.dtype).mul_(1 / (1 - self.p))


def seed_dropout(model: PreTrainedModel, seed: int) -> None:
    """Replace every dropout of a BERT on the CPU, that of the attention probabilities included."""
    stream = np.random.SFC64(seed)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, SeededDropout(child.p, stream))
    model.set_attn_implementation(ATTENTION)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention; (batch, heads, length, width) in, (batch, length, heads, width) out."""
    scores = torch.matmul(query * (scaling or query.shape[-1] ** -0.5), key.transpose(2, 3))
    if attention_mask is not None:
        scores = scores + attention_mask
    probabilities = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    context = torch.matmul(module.dropout(probabilities), value)  # type: ignore[operator]
    return context.transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, eager_mask)
