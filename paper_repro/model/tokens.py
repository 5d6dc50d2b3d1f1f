"""Texts to token ids, once: tokenised pools are cached by content, batches are cut from them."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_repro.tools.files import write_whole
from paper_repro.tools.errors import UserError
from paper_repro.texts.pools import Pool

FORMAT = 1  # of the cached tokens: to be raised with any change to what :func:`encode` makes
BUCKET = 4  # texts whose lengths fall into the same run of this many tokens are shuffled among each other


@dataclass(frozen=True)
class Encoded:
    """A tokenised pool. ``ids`` (examples, longest) int64, zero behind each text; ``lengths`` (examples,) counts
    tokens; from token ``first[i]`` on, text i is its second sentence (= ``lengths[i]`` for single texts)."""

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    first: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    def subset(self, rows: NDArray[np.int64]) -> Encoded:
        return Encoded(self.ids[rows], self.lengths[rows], self.first[rows])


@dataclass(frozen=True)
class Batch:
    """Model inputs, each (batch, length), and the rows of the pool that they stand for."""

    rows: Tensor
    input_ids: Tensor
    attention_mask: Tensor | None
    token_type_ids: Tensor


def encode(pool: Pool, encoder_dir: Path, max_length: int, cache: Path | None = None) -> Encoded:
    """Tokenise ``pool`` with the encoder's own tokenizer, truncated to ``max_length`` tokens, or take it from
    ``cache`` (keyed by the content of texts and tokenizer). Raises UserError where there is no tokenizer."""
    tokenizer_file = encoder_dir / "tokenizer.json"
    if not tokenizer_file.is_file():
        raise UserError(
            f"{tokenizer_file}: no such file. The encoder needs a fast tokenizer; save it with "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...)."
        )
    settings = f"{pool.fingerprint} {max_length} {FORMAT} {version('tokenizers')}"
    content = tokenizer_file.read_bytes() + settings.encode()
    name = hashlib.sha256(content).hexdigest()
    return _encode(pool, tokenizer_file, max_length, None if cache is None else cache / "tokens" / f"{name}.npz")


def _encode(pool: Pool, tokenizer_file: Path, max_length: int, cached: Path | None) -> Encoded:
    if cached is not None and (found := _read(cached)) is not None:
        return found
    tokenizer = _tokenizer(tokenizer_file, max_length)
    inputs = list(pool.texts) if pool.pairs is None else list(zip(pool.texts, pool.pairs, strict=True))
    rows = tokenizer.encode_batch(inputs)
    lengths = np.array([len(row.ids) for row in rows], dtype=np.int64)
    ids = np.zeros((len(rows), int(lengths.max(initial=1))), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : lengths[i]] = row.ids
    first = np.array([len(row.ids) - sum(row.type_ids) for row in rows], dtype=np.int64)
    if cached is not None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, ids=ids.astype(np.int32), lengths=lengths, first=first)
        write_whole(cached, buffer.getvalue())
    return Encoded(ids, lengths, first)


def _read(cached: Path) -> Encoded | None:
    """The cached tokens, or None where there are none or they cannot be read and must be made again."""
    try:
        with np.load(cached, allow_pickle=False) as arrays:
            return Encoded(**{name: arrays[name].astype(np.int64) for name in ("ids", "lengths", "first")})
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None


@lru_cache(maxsize=4)
def _tokenizer(file: Path, max_length: int):  # type: ignore[no-untyped-def]
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


class Batcher:
    """Cuts batches from a tokenised pool that lies on ``device``; ``pad_to`` > 0 pads all of them to that length.

    ``kept`` (ascending token ids) renumbers the tokens for an embedding table that holds only those rows.
    """

    def __init__(
        self, encoded: Encoded, device: torch.device, *, pad_to: int = 0, kept: NDArray[np.int64] | None = None
    ) -> None:
        ids = encoded.ids if kept is None else np.searchsorted(kept, encoded.ids)
        if pad_to > ids.shape[1]:
            ids = np.pad(ids, ((0, 0), (0, pad_to - ids.shape[1])))  # id 0 is padding, kept or not
        self.device = device
        self.lengths = encoded.lengths
        self.pad_to = pad_to
        self._ids = torch.from_numpy(np.ascontiguousarray(ids)).to(device)
        self._lengths = torch.from_numpy(encoded.lengths).to(device)
        self._first = torch.from_numpy(encoded.first).to(device)
        self._positions = torch.arange(ids.shape[1], device=device)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """The examples at ``rows``, padded to the longest of them."""
        lengths = self.lengths[rows]
        width = self.pad_to or int(lengths.max())
        index = torch.from_numpy(rows).to(self._ids.device, non_blocking=True)
        positions = self._positions[:width]
        # Without padding there is nothing to mask, and the model then skips the mask altogether.
        padded = self.pad_to > 0 or int(lengths.min()) < width
        mask = (positions < self._lengths[index].unsqueeze(1)).long() if padded else None
        types = (positions >= self._first[index].unsqueeze(1)).long()
        if mask is not None:
            types = types * mask
        return Batch(index, self._ids[index, :width], mask, types)

    def shuffled(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """One epoch in random order. Padded to a fixed length, batches are drawn uniformly as the authors did;
        otherwise texts of similar length share a batch, and the order of the batches is random."""
        n = len(self.lengths)
        order = torch.randperm(n, generator=generator).numpy()
        if self.pad_to == 0:
            order = order[np.argsort((self.lengths[order] - 1) // BUCKET, kind="stable")]
        groups = [order[i : i + batch_size] for i in range(0, n, batch_size)]
        if self.pad_to == 0:
            groups = [groups[i] for i in torch.randperm(len(groups), generator=generator).tolist()]
        for rows in groups:
            yield self.batch(rows)

    def by_length(self, batch_size: int) -> Iterator[Batch]:
        """Every example once, shortest first: the least padding for scoring."""
        order = np.argsort(self.lengths, kind="stable")
        for i in range(0, len(order), batch_size):
            yield self.batch(order[i : i + batch_size])


def kept_tokens(*pools: Encoded) -> NDArray[np.int64]:
    """The token ids that occur in ``pools``, ascending, with padding (id 0)."""
    return np.unique(np.concatenate([np.zeros(1, dtype=np.int64), *(np.unique(p.ids) for p in pools)]))
