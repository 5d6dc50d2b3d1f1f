"""Batches without padding: the texts of a random batch lie end to end, and offsets say where each begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_repro.method import gpu_engine
from paper_repro.method.gpu_engine import bert
from paper_repro.method.gpu_engine.attention import Layout, Spans
from paper_repro.model.batches import Batcher
from paper_repro.model.tokens import Encoded
from paper_repro.tools.errors import UserError


@dataclass(frozen=True)
class Packed:
    """The examples ``rows`` (texts,) of a pool, ``total`` tokens in all.

    They are filled up to a multiple of the pool's quantum by filler sequences none of which is longer than
    ``longest``; nothing is computed from filler, and nothing attends to it. ``pool`` holds the pool's tokens.
    """

    rows: Tensor
    total: int
    longest: int
    pool: Tokens

    @property
    def tokens(self) -> int:
        return -(-self.total // self.pool.quantum) * self.pool.quantum

    @property
    def shape(self) -> tuple[int, ...]:
        """What decides on the kernels that a step launches: two batches of the same shape can share a recording."""
        return len(self.rows), self.tokens, self._fillers, self.longest

    @property
    def _fillers(self) -> int:
        return -(-(self.tokens - self.total) // self.longest)

    def logits(self, model: Any, call: Callable[..., Any] | None = None) -> Tensor:
        """(texts, classes) of a BERT classifier, of which only the parameters are used."""
        if call is not None:
            raise UserError('this method looks into the steps of padded batches; give it a recipe with fidelity "fast"')
        return bert.logits(model, self.layout())

    def layout(self) -> Layout:
        """Computed on the device from ``rows`` alone, so that a recorded step needs no other input."""
        device, pool, texts = self.rows.device, self.pool, len(self.rows)
        ends = pool.lengths[self.rows].cumsum(0)
        filler = torch.arange(1, self._fillers + 1, device=device) * self.longest
        ends = torch.cat([ends, (ends[-1] + filler).clamp(max=self.tokens)])
        starts = torch.cat([ends.new_zeros(1), ends[:-1]])
        place = torch.arange(self.tokens, device=device)
        owner = torch.searchsorted(ends, place, right=True)
        real = owner < texts
        owner = owner.clamp(max=texts - 1)
        position = (place - starts[owner]) * real
        row = self.rows[owner]
        asking = torch.arange(texts + self._fillers, device=device).clamp(max=texts)
        return Layout(
            input_ids=pool.ids[row, position] * real,
            token_type_ids=((position >= pool.second[row]) & real).long(),
            position_ids=position,
            first=starts[:texts],
            texts=Spans(_closed(starts, self.tokens), self.longest),
            queries=Spans(_closed(asking, texts), 1),
        )


@dataclass(frozen=True)
class Tokens:
    """A pool's ``ids`` (examples, longest), ``lengths`` and the place of the second sentence (examples,), on the
    device; a batch's tokens come in multiples of ``quantum``."""

    ids: Tensor
    lengths: Tensor
    second: Tensor
    quantum: int


def _closed(starts: Tensor, end: int) -> Tensor:
    """Starts of all sequences and the end of the last, int32 as the attention kernels want them."""
    return torch.nn.functional.pad(starts, (0, 1), value=end).int()


class Packer(Batcher):
    """Cuts packed batches. On a GPU their tokens come in multiples of ``CHOICES.quantum``, elsewhere as they are."""

    def __init__(
        self, encoded: Encoded, device: torch.device, *, pad_to: int = 0, kept: NDArray[np.int64] | None = None
    ) -> None:
        super().__init__(encoded, device, pad_to=pad_to, kept=kept)
        quantum = gpu_engine.CHOICES.quantum if device.type == "cuda" else 1
        self.tokens = Tokens(self._ids, self._lengths, self._first, quantum)

    def batch(self, rows: NDArray[np.int64]) -> Packed:  # type: ignore[override]
        return self._packed(rows, torch.from_numpy(rows).to(self.device, non_blocking=True))

    def shuffled(  # type: ignore[override]
        self, batch_size: int, generator: torch.Generator, *, mixed: bool = False
    ) -> Iterator[Packed]:
        """One epoch of random batches, as the authors draw them. Their rows go to the device once an epoch."""
        order = torch.randperm(len(self.lengths), generator=generator)
        there = order.to(self.device, non_blocking=True)
        for start in range(0, len(order), batch_size):
            cut = slice(start, start + batch_size)
            yield self._packed(order[cut].numpy(), there[cut])

    def _packed(self, rows: NDArray[np.int64], there: Tensor) -> Packed:
        lengths = self.lengths[rows]
        # One bound for the whole pool where steps are recorded, else that of the batch.
        quantum = self.tokens.quantum
        longest = int(lengths.max()) if quantum == 1 else max(int(self.lengths.max()), quantum)
        return Packed(there, int(lengths.sum()), longest, self.tokens)
