"""BERT's forward pass without what a classifier does not need: an optional fast path, the same logits.

The last layer computes the first token only (keys and values still for every token), because the pooler reads
nothing else, and transformers' wrappers around each layer are left out. A training step on the CPU is 1.15 times as
fast for six layers and 1.4 times for two (benchmarks/README.md). Every other architecture, and BERT with another
head, goes the usual way.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers import BertForSequenceClassification
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.bert.modeling_bert import BertAttention, eager_attention_forward


class FastBert(BertForSequenceClassification):
    """``BertForSequenceClassification`` with the same parameters and a shorter way through them."""

    def forward(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Any:
        """``.logits`` (batch, classes); ids and the mask of 0 and 1 (None: no padding) are (batch, length)."""
        hidden = self.bert.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        mask = None if attention_mask is None else attention_mask[:, None, None].bool()
        if mask is not None and self.config._attn_implementation != "sdpa":  # the others add their mask to the scores
            mask = torch.where(mask, hidden.new_zeros(()), torch.finfo(hidden.dtype).min)
        for layer in self.bert.encoder.layer:
            attended = layer.attention(hidden, mask)[0]
            hidden = layer.output(layer.intermediate(attended), attended)
        return SimpleNamespace(logits=self.classifier(self.dropout(self.bert.pooler(hidden))))


class FirstTokenAttention(BertAttention):
    """``BertAttention`` for the first token alone: (batch, length, width) in, (batch, 1, width) out."""

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: Any) -> tuple[Tensor, None]:
        own, first = self.self, hidden_states[:, :1]
        heads = (len(hidden_states), -1, own.num_attention_heads, own.attention_head_size)
        query, key, value = (
            project(x).view(heads).transpose(1, 2)
            for project, x in ((own.query, first), (own.key, hidden_states), (own.value, hidden_states))
        )
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(own.config._attn_implementation, eager_attention_forward)
        context, _weights = attend(
            own,
            query,
            key,
            value,
            None if attention_mask is None else attention_mask[:, :, :1],
            dropout=own.dropout.p if self.training else 0.0,
            scaling=own.scaling,
        )
        return self.output(context.flatten(2), first), None


def speed_up(model: Any) -> None:
    """Give a BERT with its own head the shorter way; parameters and their names stay as they are."""
    if type(model) is BertForSequenceClassification:
        model.__class__ = FastBert
        model.bert.encoder.layer[-1].attention.__class__ = FirstTokenAttention
