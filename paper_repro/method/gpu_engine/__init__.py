"""The engine for one GPU, experimental: ``Recipe(fidelity="packed")``, for BERT with its own head.

It has never run on a GPU: on the CPU it gives the losses, weights and gradients of the padded fp32 recipe.

A run of the paper (BERT-base, 10,012 texts of 28 tokens, batch 32, 5 epochs) is 1,565 steps of 0.47 ms arithmetic and
1.4 ms of memory traffic in the optimiser, at an H100's peak: 2.9 s. Eagerly, some 2,000 kernels a step take 20 ms to
launch. So what counts here is launches first, the optimiser's traffic second, arithmetic last. Each choice has one
switch in :class:`Choices`, with what it should gain and what came; ``benchmarks/engine.py`` turns them one by one.

A pass through the package: ``batches`` (texts end to end), ``attention`` (each text sees itself only), ``bert`` (the
classifier), ``loop`` (a step that is recorded).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choices:
    """What the engine does on a GPU. Expected gains are factors on a whole run, one change after the other."""

    # No padding at all: 28 tokens a text where the authors compute 128. Arithmetic / 4.6, but the step stays bound by
    # its launches: expected 1.0 alone (and 4.6 for whoever is bound by arithmetic). On a GPU not measured.
    # False: padding inside attention only, written out. That serves fp32 and the CPU in any case.
    flash: bool = True
    # The whole step, optimiser included, recorded as one CUDA graph for each number of tokens (in steps of 128: five
    # or six graphs): no launches, 20 ms -> 4 ms. Expected 4 to 5. On a GPU not measured.
    graphs: bool = True
    # torch.compile on one layer, whose code all layers and all runs share: a third of the kernels. Expected 1.3 within
    # a graph, for about a minute of compiling in each process. On a GPU not measured, so off; on a CPU 0.78.
    compiled: bool = False
    # Multiple of the tokens of a batch: fewer graphs to record against more filler; on average 64 tokens of 960 are
    # filler, 1.07 in arithmetic, 1.02 in time. 1 (on a CPU): no filler.
    quantum: int = 128


CHOICES = Choices()
