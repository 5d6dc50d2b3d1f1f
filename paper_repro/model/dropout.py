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
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

ATTENTION = "eager_seeded_dropout"


class SeededDropout(nn.Module):
    """Zeroes each activation with probability ``p`` (to the nearest 2^-16) and scales the others by 1/(1-p)."""

    def __init__(self, p: float, stream: np.random.SFC64) -> None:
        super().__init__()
        self.p = p
        self._stream = stream
        self._threshold = round(p * 2**16) - 2**15
        scale = torch.tensor(1 / (1 - p))
        self._scale = np.float32(scale)
        self._scale_bits = np.int16(scale.bfloat16().view(torch.int16))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        keep = self._stream.random_raw(-(-x.numel() // 4)).view(np.int16)[: x.numel()] >= self._threshold
        # The mask, 0 or 1/(1-p), is made in numpy, where bf16 is 16 bits without arithmetic: five times as fast.
        if x.dtype == torch.bfloat16:
            mask = torch.from_numpy(np.multiply(keep, self._scale_bits, dtype=np.int16)).view(torch.bfloat16)
        else:
            mask = torch.from_numpy(np.multiply(keep, self._scale, dtype=np.float32)).to(x.dtype)
        return x * mask.view(x.shape)


# Architectures whose attention goes through transformers' interface and has a module ``dropout``.
INTERFACE = ("bert", "distilbert", "electra", "roberta", "xlm-roberta")


def seed_dropout(model: Any, seed: int) -> None:
    """Replace the dropout modules of a classifier on the CPU, for :data:`INTERFACE` that of the attention
    probabilities included; what other architectures draw by torch's functions stays torch's."""
    stream = np.random.SFC64(seed)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, SeededDropout(child.p, stream))
    if model.config.model_type in INTERFACE:
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
