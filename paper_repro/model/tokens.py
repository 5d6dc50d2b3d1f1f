"""Texts to token ids, once: tokenised pools are cached by content, batches are cut from them."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_whole

FORMAT = 2  # of the cached tokens: to be raised with any change to what :func:`encode` makes


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


def encode(pool: Pool, encoder_dir: Path, max_length: int, cache: Path | None = None) -> Encoded:
    """Tokenise ``pool`` with the encoder's own tokenizer, truncated to ``max_length`` tokens (fewer where the encoder
    has fewer positions), or take it from ``cache`` (keyed by the content of texts and tokenizer).

    Raises UserError where there is no tokenizer, or one with more tokens than the encoder has embeddings.
    """
    tokenizer_file = encoder_dir / "tokenizer.json"
    if not tokenizer_file.is_file():
        raise UserError(
            f"{tokenizer_file}: no such file. The encoder needs a fast tokenizer; save it with "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...)."
        )
    limits = limits_of(encoder_dir)
    length = min(max_length, limits.positions or max_length)
    settings = f"{pool.fingerprint} {length} {limits.pad} {FORMAT} {version('tokenizers')}"
    content = tokenizer_file.read_bytes() + settings.encode()
    name = hashlib.sha256(content).hexdigest()
    cached = None if cache is None else cache / "tokens" / f"{name}.npz"
    if cached is not None and (found := _read(cached, limits.pad)) is not None:
        return found
    tokenizer = _tokenizer(tokenizer_file, length)
    if tokenizer.get_vocab_size() > limits.vocabulary:
        raise UserError(
            f"{tokenizer_file}: {tokenizer.get_vocab_size()} tokens, but the encoder has embeddings for "
            f"{limits.vocabulary} (vocab_size in config.json). Tokenizer and weights are not of one model."
        )
    made = _encode(pool, tokenizer, limits.pad)
    if cached is not None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, ids=made.ids.astype(np.int32), lengths=made.lengths, first=made.first)
        write_whole(cached, buffer.getvalue())
    return made


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
    """The limits in the folder's ``config.json``. Raises UserError where it cannot be read."""
    path = encoder_dir / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
        pad, positions = config.get("pad_token_id"), config.get("max_position_embeddings")
        pad = (1 if config.get("model_type") in COUNT_FROM_PADDING else 0) if pad is None else int(pad)
        if positions is not None and config.get("model_type") in COUNT_FROM_PADDING:
            positions = int(positions) - pad - 1
        return Limits(pad, int(config["vocab_size"]), positions)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: no usable configuration of an encoder ({type(error).__name__}: {error})") from error


def _encode(pool: Pool, tokenizer: Tokenizer, pad: int) -> Encoded:
    inputs = list(pool.texts) if pool.pairs is None else list(zip(pool.texts, pool.pairs, strict=True))
    rows = tokenizer.encode_batch(inputs)
    lengths = np.array([len(row.ids) for row in rows], dtype=np.int64)
    ids = np.full((len(rows), int(lengths.max(initial=1))), pad, dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : lengths[i]] = row.ids
    first = np.array([len(row.ids) - sum(row.type_ids) for row in rows], dtype=np.int64)
    return Encoded(ids, lengths, first, pad)


def _read(cached: Path, pad: int) -> Encoded | None:
    """The cached tokens, or None where there are none or they cannot be read and must be made again."""
    try:
        with np.load(cached, allow_pickle=False) as arrays:
            return Encoded(**{name: arrays[name].astype(np.int64) for name in ("ids", "lengths", "first")}, pad=pad)
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None


@lru_cache(maxsize=4)
def _tokenizer(file: Path, max_length: int) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer
