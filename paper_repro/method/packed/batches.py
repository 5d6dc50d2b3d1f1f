"""Batches without padding: the texts of a random batch lie end to end, and offsets say where each begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paper_repro.method import packed
from paper_repro.model.tokens import Batcher, Encoded
from paper_repro.method.packed.attention import Spans

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Layout:
    """A batch of each of R runs, all on the device: ids, types and positions (R, tokens), in which the texts lie one
    behind the other and filler behind them; ``first`` (R * texts,) is where each text begins, counted over all runs.

    ``texts`` has the spans of every text and filler, ``queries`` those of the texts' first tokens alone.
    """

    input_ids: Tensor
    token_type_ids: Tensor
    position_ids: Tensor
    first: Tensor
    texts: Spans
    queries: Spans


@dataclass(frozen=True)
class Packed:
    """The examples ``rows`` (R * texts,) of a pool, the same number for each of R runs.

    ``totals`` counts the tokens of each run's texts. Every run is filled up to ``tokens`` by filler sequences none of
    which is longer than ``longest``; nothing is computed from filler, and nothing attends to it.
    """

    rows: Tensor
    totals: tuple[int, ...]
    longest: int
    pool: Packer

    @property
    def tokens(self) -> int:
        return -(-max(self.totals) // self.pool.quantum) * self.pool.quantum

    @property
    def shape(self) -> tuple[int, ...]:
        """What decides on the kernels that a step launches: two batches of the same shape can share a recording."""
        return len(self.totals), len(self.rows), self.tokens, self._fillers, self.longest

    @property
    def _fillers(self) -> int:
        return -(-(self.tokens - min(self.totals)) // self.longest)

    def logits(self, model: Callable[..., Any]) -> Tensor:
        """(texts, classes) of a classifier of transformers, of which only the parameters are used."""
        from paper_repro.method.packed import bert

        return bert.logits(model, self)

    def part(self, run: int) -> Packed:
        """The batch of one of the runs."""
        return Packed(self.rows.view(len(self.totals), -1)[run], self.totals[run : run + 1], self.longest, self.pool)

    def layout(self) -> Layout:
        """Computed on the device from ``rows`` alone, so that a recorded step needs no other input."""
        runs, device, pool = len(self.totals), self.rows.device, self.pool
        rows = self.rows.view(runs, -1)
        texts = rows.shape[1]
        ends = pool.text_lengths[rows].cumsum(1)
        filler = torch.arange(1, self._fillers + 1, device=device) * self.longest
        ends = torch.cat([ends, (ends[:, -1:] + filler).clamp(max=self.tokens)], 1)
        starts = torch.cat([ends.new_zeros(runs, 1), ends[:, :-1]], 1)
        place = torch.arange(self.tokens, device=device).repeat(runs, 1)
        owner = torch.searchsorted(ends, place, right=True)
        real = owner < texts
        owner = owner.clamp(max=texts - 1)
        position = (place - starts.gather(1, owner)) * real
        row = rows.gather(1, owner)
        each = torch.arange(runs, device=device).unsqueeze(1)
        first = starts[:, :texts] + each * self.tokens
        asking = torch.arange(texts + self._fillers, device=device).clamp(max=texts) + each * texts
        return Layout(
            input_ids=pool.ids[row, position] * real,
            token_type_ids=((position >= pool.second[row]) & real).long(),
            position_ids=position,
            first=first.flatten(),
            texts=Spans(_closed(starts + each * self.tokens, runs * self.tokens), self.longest),
            queries=Spans(_closed(asking, runs * texts), 1),
        )


def _closed(starts: Tensor, end: int) -> Tensor:
    """Starts of all sequences and the end of the last, int32 as the attention kernels want them."""
    return torch.nn.functional.pad(starts.flatten(), (0, 1), value=end).int()


def joined(batches: Sequence[Packed]) -> Packed:
    """One batch of several runs from a batch of each, all from the same pool."""
    return Packed(
        torch.cat([batch.rows for batch in batches]),
        tuple(total for batch in batches for total in batch.totals),
        max(batch.longest for batch in batches),
        batches[0].pool,
    )


class Packer(Batcher):
    """Cuts packed batches. On a GPU their tokens come in multiples of ``CHOICES.quantum``, elsewhere as they are."""

    def __init__(
        self, encoded: Encoded, device: torch.device, *, pad_to: int = 0, kept: NDArray[np.int64] | None = None
    ) -> None:
        super().__init__(encoded, device, pad_to=pad_to, kept=kept)
        self.ids, self.text_lengths, self.second = self._ids, self._lengths, self._first
        self.quantum = packed.CHOICES.quantum if device.type == "cuda" else 1

    def batch(self, rows: NDArray[np.int64]) -> Packed:  # type: ignore[override]
        return self._packed(rows, torch.from_numpy(rows).to(self.device, non_blocking=True))

    def shuffled(self, batch_size: int, generator: torch.Generator) -> Iterator[Packed]:  # type: ignore[override]
        """One epoch of random batches, as the authors draw them. Their rows go to the device once an epoch."""
        order = torch.randperm(len(self.lengths), generator=generator)
        there = order.to(self.device, non_blocking=True)
        for start in range(0, len(order), batch_size):
            cut = slice(start, start + batch_size)
            yield self._packed(order[cut].numpy(), there[cut])

    def _packed(self, rows: NDArray[np.int64], there: Tensor) -> Packed:
        lengths = self.lengths[rows]
        # One bound for the whole pool where steps are recorded, else that of the batch.
        longest = int(lengths.max()) if self.quantum == 1 else max(int(self.lengths.max()), self.quantum)
        return Packed(there, (int(lengths.sum()),), longest, self)
