"""Attention among sequences that lie end to end, each of which sees itself only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from paper_repro.method import gpu_engine


@dataclass(frozen=True)
class Spans:
    """Sequences end to end: ``offsets`` (sequences + 1,) int32, the starts and the end; none exceeds ``longest``."""

    offsets: Tensor
    longest: int


@dataclass(frozen=True)
class Layout:
    """A packed batch on the device: ids, types and positions (tokens,), in which the texts lie one behind the other
    and filler behind them; ``first`` (texts,) is where each text begins. ``texts`` has the spans of every text and
    filler, ``queries`` those of the texts' first tokens alone."""

    input_ids: Tensor
    token_type_ids: Tensor
    position_ids: Tensor
    first: Tensor
    texts: Spans
    queries: Spans


def attention(query: Tensor, key: Tensor, value: Tensor, asking: Spans, asked: Spans, dropout: float) -> Tensor:
    """Scaled dot-product attention of sequence i of ``query`` to sequence i of ``key`` and ``value``.

    All are (tokens, heads, width), as is what comes out; tokens of queries and keys may differ in number.
    """
    if gpu_engine.CHOICES.flash and query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        # What torch.nn.attention.varlen calls, which has no dropout; this has, and its derivative is torch's own.
        return torch.ops.aten._flash_attention_forward(
            query, key, value, asking.offsets, asked.offsets, asking.longest, asked.longest, dropout, False, False
        )[0]
    return _padded(query, key, value, asking, asked, dropout)


def _padded(query: Tensor, key: Tensor, value: Tensor, asking: Spans, asked: Spans, dropout: float) -> Tensor:
    """The same with padding inside: gathered to (sequences, heads, longest, width), attended, and put back.

    Written out: torch's own on the CPU takes two to four times as long under bf16.
    """
    there, seen = _gathering(asked, len(key))
    places, _ = _gathering(asking, len(query))
    scores = query[places].transpose(1, 2) @ key[there].permute(0, 2, 3, 1) * query.shape[-1] ** -0.5
    scores = scores.masked_fill(~seen[:, None, None], torch.finfo(scores.dtype).min)
    probabilities = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    context = F.dropout(probabilities, dropout) @ value[there].transpose(1, 2)
    at = torch.arange(len(query), device=query.device)
    sequence = torch.searchsorted(asking.offsets[1:].long(), at, right=True)
    return context.transpose(1, 2)[sequence, at - asking.offsets[sequence]]


def _gathering(spans: Spans, tokens: int) -> tuple[Tensor, Tensor]:
    """Which token stands at each place of the padded sequences, and whether it is theirs, (sequences, longest) both.

    An empty sequence borrows a token, so that its softmax, which nobody looks at, stays finite.
    """
    starts, lengths = spans.offsets[:-1].long(), spans.offsets.diff()
    place = torch.arange(spans.longest, device=starts.device)
    index = (starts.unsqueeze(1) + place).clamp(max=tokens - 1)
    return index, place < lengths.clamp(min=1).unsqueeze(1)
