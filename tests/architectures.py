"""Tiny encoders of several architectures with random weights, each with a word-level tokenizer of the tests' words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tiny import CUES, FILLERS, UNUSED
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    RobertaConfig,
    RobertaModel,
)

WIDE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
WORDS = [*(word for cue in CUES for word in cue), *FILLERS, *UNUSED]
# What each architecture calls its special tokens, in the order of their ids.
BERT_LIKE = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA_LIKE = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
ARCHITECTURES: dict[str, tuple[Any, Any, dict[str, Any], tuple[str, ...]]] = {
    "bert": (BertModel, BertConfig, WIDE, BERT_LIKE),
    "roberta": (RobertaModel, RobertaConfig, {**WIDE, "type_vocab_size": 1, "pad_token_id": 1}, ROBERTA_LIKE),
    "distilbert": (
        DistilBertModel,
        DistilBertConfig,
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
        BERT_LIKE,
    ),
    "electra": (ElectraModel, ElectraConfig, {**WIDE, "embedding_size": 16}, BERT_LIKE),
    "mpnet": (MPNetModel, MPNetConfig, {**WIDE, "pad_token_id": 1}, ROBERTA_LIKE),
    "modernbert": (
        ModernBertModel,
        ModernBertConfig,
        {**WIDE, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3},
        BERT_LIKE,
    ),
}


def make(folder: Path, name: str, *, seed: int = 0, positions: int = 66, **shards: Any) -> Path:
    """Write a tiny encoder of the architecture into ``folder``; ``shards`` go to ``save_pretrained``."""
    architecture, configuration, shape, special = ARCHITECTURES[name]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: i for i, word in enumerate([*special, *WORDS])}
    unknown = "[UNK]" if special is BERT_LIKE else "<unk>"
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    first, last = ("[CLS]", "[SEP]") if special is BERT_LIKE else ("<s>", "</s>")
    second = 1 if special is BERT_LIKE else 0
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:{second} {last}:{second}",
        special_tokens=[(first, vocabulary[first]), (last, vocabulary[last])],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = configuration(
        vocab_size=len(vocabulary), max_position_embeddings=positions, initializer_range=0.2, **shape
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        architecture(config).save_pretrained(str(folder), **shards)
    return folder
