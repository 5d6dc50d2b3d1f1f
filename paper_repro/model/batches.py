"""Batches of tokenised texts, cut on the device where the model computes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_repro.model.tokens import Encoded

BUCKET = 4  # texts whose lengths fall into the same run of this many tokens are shuffled among each other


@dataclass(frozen=True)
class Batch:
    """Model inputs, each (batch, length), and the rows of the pool that they stand for."""

    rows: Tensor
    input_ids: Tensor
    attention_mask: Tensor | None
    token_type_ids: Tensor

    def logits(self, model: Any, call: Callable[..., Any] | None = None) -> Tensor:
        """Logits (batch, classes) of a classifier; ``call`` takes the place of its own forward pass."""
        inputs = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        if getattr(model.config, "type_vocab_size", 0) > 1 and _takes_token_types(type(model.base_model)):
            inputs["token_type_ids"] = self.token_type_ids
        output: Tensor = (call or model)(**inputs).logits
        return output

    def part(self, rows: slice) -> Batch:
        mask = None if self.attention_mask is None else self.attention_mask[rows]
        return Batch(self.rows[rows], self.input_ids[rows], mask, self.token_type_ids[rows])


def _takes_token_types(architecture: Any) -> bool:
    return "token_type_ids" in inspect.signature(architecture.forward).parameters


class Batcher:
    """Cuts batches from a tokenised pool that lies on ``device``; ``pad_to`` > 0 pads all of them to that length.

    ``kept`` (ascending token ids) renumbers the tokens for an embedding table that holds only those rows.
    """

    def __init__(
        self, encoded: Encoded, device: torch.device, *, pad_to: int = 0, kept: NDArray[np.int64] | None = None
    ) -> None:
        ids = encoded.ids
        if pad_to > ids.shape[1]:
            ids = np.pad(ids, ((0, 0), (0, pad_to - ids.shape[1])), constant_values=encoded.pad)
        if kept is not None:
            ids = np.searchsorted(kept, ids)
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

    def shuffled(self, batch_size: int, generator: torch.Generator, *, mixed: bool = False) -> Iterator[Batch]:
        """One epoch in random order. Padded to a fixed length, or ``mixed``, batches are drawn uniformly as the
        authors did; otherwise texts of similar length share a batch, and the order of the batches is random."""
        n = len(self.lengths)
        by_length = self.pad_to == 0 and not mixed
        order = torch.randperm(n, generator=generator).numpy()
        if by_length:
            order = order[np.argsort((self.lengths[order] - 1) // BUCKET, kind="stable")]
        groups = [order[i : i + batch_size] for i in range(0, n, batch_size)]
        if by_length:
            groups = [groups[i] for i in torch.randperm(len(groups), generator=generator).tolist()]
        for rows in groups:
            yield self.batch(rows)

    def by_length(self, batch_size: int) -> Iterator[Batch]:
        """Every example once, shortest first: the least padding for scoring."""
        order = np.argsort(self.lengths, kind="stable")
        for i in range(0, len(order), batch_size):
            yield self.batch(order[i : i + batch_size])


def kept_tokens(*pools: Encoded) -> NDArray[np.int64] | None:
    """The token ids that occur in ``pools``, ascending, with all ids up to that of padding, which so keeps its number
    (RoBERTa and MPNet count positions by it). None, for all, where padding is one of the last tokens (ModernBERT)."""
    pad = pools[0].pad
    if pad > 99:
        return None
    return np.unique(np.concatenate([np.arange(pad + 1), *(np.unique(pool.ids) for pool in pools)]))
