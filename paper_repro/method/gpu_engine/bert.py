"""BERT's classifier on packed batches: the numbers of ``BertForSequenceClassification``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification
from transformers.activations import ACT2FN

from paper_repro.method import gpu_engine
from paper_repro.method.gpu_engine.attention import Layout, Spans, attention
from paper_repro.tools.errors import UserError

Weights = Mapping[str, Tensor]
"""Parameters by their names in transformers."""


def logits(model: Any, given: Layout) -> Tensor:
    """(texts, classes), in training mode or not as the model is.

    Only the model's parameters are used. Dropout masks come from torch's generator. Raises UserError for another
    architecture or head.
    """
    if not isinstance(model, BertForSequenceClassification):
        raise UserError('fidelity "packed" is for BERT with its own head; give the recipe fidelity "fast"')
    weights = dict(model.named_parameters())
    config, table = model.config, "bert.embeddings."
    drop = config.hidden_dropout_prob if model.training else 0.0
    hidden = (
        F.embedding(given.input_ids, weights[f"{table}word_embeddings.weight"])
        + F.embedding(given.token_type_ids, weights[f"{table}token_type_embeddings.weight"])
        + F.embedding(given.position_ids, weights[f"{table}position_embeddings.weight"])
    )
    hidden = F.dropout(_normed(weights, f"{table}LayerNorm", hidden, config.layer_norm_eps), drop)
    step = _compiled_layer() if gpu_engine.CHOICES.compiled else _layer
    for i in range(config.num_hidden_layers):
        prefix = f"bert.encoder.layer.{i}."
        own = {name[len(prefix) :]: tensor for name, tensor in weights.items() if name.startswith(prefix)}
        if i < config.num_hidden_layers - 1:
            hidden = step(own, config, hidden, hidden, given.texts, given.texts, model.training)
        else:  # the pooler reads the first token of each text, and nothing else
            first = hidden.index_select(0, given.first)
            hidden = step(own, config, first, hidden, given.queries, given.texts, model.training)
    pooled = torch.tanh(_linear(weights, "bert.pooler.dense", hidden))
    last = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
    return _linear(weights, "classifier", F.dropout(pooled, last if model.training else 0.0))


def _layer(
    own: Weights, config: BertConfig, asking: Tensor, asked: Tensor, queries: Spans, texts: Spans, training: bool
) -> Tensor:
    """One encoder layer for the tokens ``asking``, which attend to ``asked``; both (tokens, width)."""
    drop = config.hidden_dropout_prob if training else 0.0
    query, key, value = (
        _linear(own, f"attention.self.{name}", x).view(
            -1, config.num_attention_heads, x.shape[-1] // config.num_attention_heads
        )
        for name, x in (("query", asking), ("key", asked), ("value", asked))
    )
    within = config.attention_probs_dropout_prob if training else 0.0
    context = attention(query, key, value, queries, texts, within).reshape(asking.shape)
    context = F.dropout(_linear(own, "attention.output.dense", context), drop)
    attended = _normed(own, "attention.output.LayerNorm", context + asking, config.layer_norm_eps)
    inner = ACT2FN[config.hidden_act](_linear(own, "intermediate.dense", attended))
    outer = F.dropout(_linear(own, "output.dense", inner), drop)
    return _normed(own, "output.LayerNorm", outer + attended, config.layer_norm_eps)


@lru_cache(maxsize=1)
def _compiled_layer() -> Any:
    """Compiled once for all layers and runs, for any number of tokens: they differ in the values of tensors only."""
    return torch.compile(_layer, dynamic=True)


def _linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _normed(weights: Weights, name: str, x: Tensor, epsilon: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], epsilon)
