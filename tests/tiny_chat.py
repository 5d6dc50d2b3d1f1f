"""A causal language model of a few thousand random weights that speaks in sentences: each is one token.

Its tokenizer is byte-level BPE without merges (any prompt can be read) with whole sentences added, and its last
layer is made so that it nearly always says one of those.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from chat_server import sentence
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
SENTENCES = 120


def sayings(pairs: bool) -> list[str]:
    draw = random.Random(0)
    plain = list(dict.fromkeys(sentence(draw) for _ in range(2 * SENTENCES)))[:SENTENCES]
    if not pairs:
        return [f"{text}\n\n" for text in plain]
    return [
        f"sentence1: {text} — sentence2: {draw.choice(plain)} — label: {number % 2}\n"
        for number, text in enumerate(plain)
    ]


def make(folder: Path, *, pairs: bool = False, seed: int = 0) -> Path:
    """Write model, tokenizer and chat template into ``folder``."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<end>", "<system>", "<user>", "<assistant>"]
    vocabulary = {token: i for i, token in enumerate([*special, *alphabet])}
    core = Tokenizer(models.BPE(vocabulary, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>", pad_token="<end>")
    tokenizer.add_tokens(sayings(pairs))
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(str(folder))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8192,
        eos_token_id=0,
        pad_token_id=0,
        bos_token_id=None,
        initializer_range=0.5,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        with torch.no_grad():
            model.lm_head.weight[: len(vocabulary)] = 0  # the logits of sentences are spread around this
            model.lm_head.weight[len(vocabulary) :] *= 3
    model.generation_config.do_sample = True
    model.generation_config.temperature = 1.0
    model.save_pretrained(str(folder))
    return folder
