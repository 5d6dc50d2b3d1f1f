"""A training step that is recorded as a CUDA graph and replayed: the same step, without its launches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from paper_repro.method import gpu_engine, train
from paper_repro.method.gpu_engine.batches import Packed, Packer

Tensors = tuple[Tensor, ...]
Body = Callable[[Any], Tensors]


class PackedLoop(train.Loop):
    """The loop of :mod:`paper_repro.method.train`, its step recorded. Weights, losses and updates are inherited."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.rate = torch.zeros((), device=self.device)
        self.optimiser = optimiser(self.parameters, self.rate, self.recipe.weight_decay)
        self.recorded = Recorded(recorder(self.device))

    def learning_rate(self) -> Tensor:  # type: ignore[override]
        """On the device, where a recorded step reads it."""
        return self.rate

    def set_rate(self) -> None:
        """That of the coming step."""
        self.rate.fill_(super().learning_rate())

    def step(self, batch: Packed) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        done = self.step_count
        self.set_rate()
        loss, log_p, weight = self.recorded(super().step, batch)
        self.step_count = done + 1  # a replayed step does not count itself
        return loss, log_p, weight


def optimiser(parameters: Iterable[Tensor], rate: Tensor, weight_decay: float) -> torch.optim.AdamW:
    """Fused AdamW that a graph may hold, which takes its learning rate from the scalar ``rate``."""
    return torch.optim.AdamW(
        parameters, lr=rate, weight_decay=weight_decay, fused=True, capturable=rate.device.type == "cuda"
    )


@dataclass
class Recorded:
    """Calls a body on batches: for the first of a shape as it stands, from the second on by a recording.

    A step that trains cannot be tried out beforehand, so the first of each shape warms up what the recording needs.
    ``record`` None never records. Outputs are copies; the rows that a recording reads are overwritten by each call.
    """

    record: Callable[[Body, Packed], Callable[[], Tensors]] | None
    _seen: set[tuple[int, ...]] = field(default_factory=set)
    _recordings: dict[tuple[int, ...], tuple[Packed, Callable[[], Tensors]]] = field(default_factory=dict)

    def __call__(self, body: Body, batch: Packed) -> Tensors:
        if self.record is None:
            return body(batch)
        if batch.shape not in self._recordings:
            if batch.shape not in self._seen:
                self._seen.add(batch.shape)
                return body(batch)
            own = replace(batch, rows=batch.rows.clone())
            self._recordings[batch.shape] = own, self.record(body, own)
        own, replay = self._recordings[batch.shape]
        own.rows.copy_(batch.rows)
        return tuple(output.clone() for output in replay())


def recorder(device: torch.device) -> Callable[[Body, Packed], Callable[[], Tensors]] | None:
    """Records CUDA graphs that share their memory, for no two of them run at once. None where there are none."""
    if device.type != "cuda" or not gpu_engine.CHOICES.graphs:
        return None
    pool = torch.cuda.graph_pool_handle()

    def record(body: Body, batch: Packed) -> Callable[[], Tensors]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):  # on a stream of its own; recording runs nothing
            outputs = body(batch)

        def replay() -> Tensors:
            graph.replay()
            return outputs

        return replay

    return record


PACKED = train.Engine(Packer, PackedLoop)
"""What ``Recipe(fidelity="packed")`` trains with."""
