"""Texts to token ids, from which batches are cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from paper_repro.model.encoder import config_of
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError


@dataclass(frozen=True)
class Encoded:
    """A tokenised pool. ``ids`` (examples, longest) int64, the token ``pad`` behind each text; ``lengths`` (examples,)
    counts tokens; from token ``first[i]`` on, text i is its second sentence (= ``lengths[i]`` for single texts)."""

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    first: NDArray[np.int64]
    pad: int = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def subset(self, rows: NDArray[np.int64]) -> Encoded:
        return Encoded(self.ids[rows], self.lengths[rows], self.first[rows], self.pad)


def encode(pool: Pool, encoder_dir: Path, max_length: int) -> Encoded:
    """Tokenise ``pool`` with the encoder's own tokenizer, truncated to ``max_length`` tokens (fewer where the encoder
    has fewer positions).

    Raises UserError where there is no tokenizer, or one with more tokens than the encoder has embeddings.
    """
    file = encoder_dir / "tokenizer.json"
    if not file.is_file():
        raise UserError(
            f"{file}: no such file. The encoder needs a fast tokenizer; save it with "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...)."
        )
    limits = limits_of(encoder_dir)
    tokenizer = _tokenizer(file, min(max_length, limits.positions or max_length))
    if tokenizer.get_vocab_size() > limits.vocabulary:
        raise UserError(
            f"{file}: {tokenizer.get_vocab_size()} tokens, but the encoder has embeddings for {limits.vocabulary} "
            "(vocab_size in config.json). Tokenizer and weights are not of one model."
        )
    inputs = list(pool.texts) if pool.pairs is None else list(zip(pool.texts, pool.pairs, strict=True))
    rows = tokenizer.encode_batch(inputs)
    lengths = np.array([len(row.ids) for row in rows], dtype=np.int64)
    ids = np.full((len(rows), int(lengths.max(initial=1))), limits.pad, dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : lengths[i]] = row.ids
    first = np.array([len(row.ids) - sum(row.type_ids) for row in rows], dtype=np.int64)
    return Encoded(ids, lengths, first, limits.pad)


@lru_cache(maxsize=4)
def _tokenizer(file: Path, max_length: int) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


@dataclass(frozen=True)
class Limits:
    """What an encoder's configuration says of its input: the id of padding, the number of embeddings, and of
    positions (None: no limit)."""

    pad: int
    vocabulary: int
    positions: int | None


# They count positions from the id of padding on.
COUNT_FROM_PADDING = ("camembert", "mpnet", "roberta", "xlm-roberta")


def limits_of(encoder_dir: Path) -> Limits:
    """The limits in the folder's ``config.json``. Raises UserError where it does not hold them."""
    config = config_of(encoder_dir)
    counts_from_padding = config.get("model_type") in COUNT_FROM_PADDING
    try:
        pad, positions = config.get("pad_token_id"), config.get("max_position_embeddings")
        pad = int(counts_from_padding) if pad is None else int(pad)
        if positions is not None and counts_from_padding:
            positions = int(positions) - pad - 1
        return Limits(pad, int(config["vocab_size"]), positions)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{encoder_dir / 'config.json'}: not that of an encoder ({error!r})") from error
