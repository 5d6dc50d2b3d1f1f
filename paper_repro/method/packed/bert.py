"""BERT's classifier on packed batches, of one run or of several runs at once.

Several runs are one model whose every parameter has a first axis more, as :func:`torch.func.stack_module_state` makes
them: the same number of kernels, each of them larger. It is written out, not mapped by vmap, which has no rule for the
attention kernel. Numbers are those of ``BertForSequenceClassification``; the last layer computes the first token only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification
from transformers.activations import ACT2FN

from paper_repro.method import packed
from paper_repro.tools.errors import UserError
from paper_repro.method.packed.attention import Spans, attention

if TYPE_CHECKING:
    from paper_repro.method.packed.batches import Packed

Weights = Mapping[str, Tensor]
"""Parameters by their names in transformers, each with the runs as first axis."""


def logits(model: Callable[..., Any], batch: Packed) -> Tensor:
    """(texts, classes) of one run's model, in training mode or not as the model is."""
    if not isinstance(model, BertForSequenceClassification):
        raise UserError('this method looks into the steps of padded batches; give it a recipe with fidelity "fast"')
    weights = {name: tensor.unsqueeze(0) for name, tensor in model.named_parameters()}
    return stacked_logits(weights, model.config, batch, training=model.training)[0]


def stacked_logits(weights: Weights, config: BertConfig, batch: Packed, *, training: bool) -> Tensor:
    """(runs, texts, classes). Dropout masks differ between runs; all come from torch's one generator."""
    given = batch.layout()
    runs = len(given.input_ids)
    drop = config.hidden_dropout_prob if training else 0.0
    table = "bert.embeddings."
    hidden = (
        _embedded(weights[f"{table}word_embeddings.weight"], given.input_ids)
        + _embedded(weights[f"{table}token_type_embeddings.weight"], given.token_type_ids)
        + _embedded(weights[f"{table}position_embeddings.weight"], given.position_ids)
    )
    hidden = F.dropout(_normed(weights, f"{table}LayerNorm", hidden, config.layer_norm_eps), drop)
    step = _compiled_layer() if packed.CHOICES.compiled else _layer
    for i in range(config.num_hidden_layers):
        prefix = f"bert.encoder.layer.{i}."
        own = {name[len(prefix) :]: tensor for name, tensor in weights.items() if name.startswith(prefix)}
        if i < config.num_hidden_layers - 1:
            hidden = step(own, config, hidden, hidden, given.texts, given.texts, training)
        else:  # the pooler reads the first token of each text, and nothing else
            first = hidden.flatten(0, 1).index_select(0, given.first).view(runs, -1, hidden.shape[-1])
            hidden = step(own, config, first, hidden, given.queries, given.texts, training)
    pooled = torch.tanh(_linear(weights, "bert.pooler.dense", hidden))
    last = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
    return _linear(weights, "classifier", F.dropout(pooled, last if training else 0.0))


def _layer(
    own: Weights, config: BertConfig, asking: Tensor, asked: Tensor, queries: Spans, texts: Spans, training: bool
) -> Tensor:
    """One encoder layer for the tokens ``asking``, which attend to ``asked``; both (runs, tokens, width)."""
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


def _embedded(table: Tensor, ids: Tensor) -> Tensor:
    """Rows of each run's table, (runs, tokens, width)."""
    runs, size, _ = table.shape
    shift = torch.arange(runs, device=ids.device).unsqueeze(1) * size
    return F.embedding(ids + shift if runs > 1 else ids, table.flatten(0, 1))


def _linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if len(weight) == 1:  # the bias is then added inside the multiplication
        return F.linear(x, weight.squeeze(0), bias.squeeze(0))
    return torch.baddbmm(bias.unsqueeze(1), x, weight.mT)


def _normed(weights: Weights, name: str, x: Tensor, epsilon: float) -> Tensor:
    scale, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if len(scale) == 1:
        return F.layer_norm(x, x.shape[-1:], scale.squeeze(0), shift.squeeze(0), epsilon)
    return F.layer_norm(x, x.shape[-1:], eps=epsilon) * scale.unsqueeze(1) + shift.unsqueeze(1)
