"""Measures the engine for one GPU, change by change, against the authors' recipe and a tuned Trainer.

    python benchmarks/engine.py --device cuda --write-readme   # BERT-base, the set-up of Table 3; a quarter of an hour
    python benchmarks/engine.py --quick                        # a small encoder on a CPU, about three minutes
    python benchmarks/engine.py --only authors ce processes-2  # some variants; --list names them

Every variant trains on the same texts in one process, by turns. A row's ratio is the median over the rounds of the time
of the variant that it is held against over its own; what was expected on an H100 stands beside it, and the share of the
roofline's floor. Needs torch, transformers and scipy; the Trainer needs accelerate, too (without it the authors' recipe
runs in this package's own plain loop, and rows against the tuned Trainer and live checkers are left out).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # must stand before torch is imported
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import csv
import importlib.util
import math
import platform
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import numpy as np
import speed
import speed_table
import torch
import trainer_baseline as baseline
import workloads
from speed_table import Row
from trainer_baseline import Clock
from workloads import CLASSES, Workload

from paper_repro.method import gpu_engine, scoring
from paper_repro.method.gpu_engine.batches import Packer
from paper_repro.method.recipe import Recipe
from paper_repro.model import classifier, fast_bert
from paper_repro.model.batches import Batcher
from paper_repro.model.tokens import Encoded
from paper_repro.tools.machine import processor

HERE = Path(__file__).resolve().parent
GENERATED, EPOCHS = 10_012, 5  # Table 3
TOKENS_IN_USE = 8_880  # different tokens in Financial's D_Q, dev and test, with BERT's vocabulary
TABLE1 = 168  # trainings of Table 1
HARDWARE = {"H100": (989e12, 3.35e12), "H200": (989e12, 4.8e12)}  # bf16 FLOP and bytes a second, data sheets (SXM)
BYTES = 42  # of traffic a parameter and step: weights, gradients, moments, bf16 copies
HAS_TRAINER = importlib.util.find_spec("accelerate") is not None

AUTHORS = Recipe(epochs=1, fidelity="authors")
BF16 = Recipe(epochs=EPOCHS, precision="bf16", fidelity="packed")


@dataclass(frozen=True)
class Variant:
    """One way to train; ``side`` takes the time of a run, of one epoch of it where ``whole`` does not hold. Several
    ``processes`` do so at once.

    ``needs`` names what not every machine has: "gpu", "trainer" (accelerate), or "time" (for compiling).
    """

    what: str
    side: Callable[[Workload], Clock]
    whole: bool = True
    processes: int = 1
    needs: Literal["", "gpu", "trainer", "time"] = ""

    def seconds(self, clocks: Sequence[Clock], epochs: int) -> list[Clock]:
        """Of one run of ``epochs``, in each round."""
        scale = (1 if self.whole else epochs) / self.processes
        return [Clock(scale * clock.wall, scale * clock.cpu) for clock in clocks]


# -- the sides ------------------------------------------------------------------------------------------------


def authors(work: Workload, device: str, method: str = "ce", tf32: bool = False) -> Clock:
    """One epoch as the authors train, fp32 and padded to 128; IMP and DIMP with live checkers."""
    if HAS_TRAINER:
        given: dict[str, Any] = {"method": method, "device": device, "tf32": tf32}
        return baseline.train(work.encoder_dir, work.encoded, work.labels, CLASSES, **given)
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    return speed.our_epoch(work, method, AUTHORS, device)


def tuned(work: Workload, device: str) -> Clock:
    return baseline.train(work.encoder_dir, work.encoded, work.labels, CLASSES, tuned=True, device=device)


def ours(work: Workload, device: str, recipe: Recipe, method: str = "ce", **choices: Any) -> Clock:
    """A whole run of this package but for loading and evaluation: recording and compiling are inside."""
    with mock.patch.object(gpu_engine, "CHOICES", replace(gpu_engine.CHOICES, **choices)):
        return speed.our_epoch(work, method, recipe, device)


def scored(work: Workload, device: str, batcher: type[Batcher], size: int) -> Clock:
    """log p of every text of the pool by one model, in batches of ``size`` texts."""
    model = classifier.build(work.encoder_dir, CLASSES, seed=0, device=torch.device(device))
    fast_bert.speed_up(model)
    batches = batcher(work.encoded, torch.device(device))
    spent: list[Clock] = []
    width = size * model.config.hidden_size  # a CPU counts its batches by it
    with mock.patch.multiple(scoring, SCORING_BATCH=size, SCORING_WIDTH=width), baseline.timed(spent):
        scoring.score(model, batches, "bf16")
    return spent[0]


def variants(device: str, recipe: Recipe) -> dict[str, Variant]:
    """All ways to train and to score, in the order in which one change follows another.

    Expected on an H100: 20 ms a step are launches, 4 ms remain without them, 1.9 ms is the floor.
    """
    him, us = partial(authors, device=device), partial(ours, device=device, recipe=recipe)
    one = replace(recipe, epochs=1)  # where nothing is recorded, an epoch stands for all
    fast, single = replace(one, fidelity="fast"), replace(one, precision="fp32")
    fast_single = replace(fast, precision="fp32")
    score = partial(scored, device=device)
    found = {
        "authors": Variant("the authors' recipe, fp32", him, whole=False),
        "authors-tf32": Variant("the authors' recipe, TF32", partial(him, tf32=True), whole=False, needs="gpu"),
        "authors-dimp": Variant("the authors' DIMP, fp32", partial(him, method="dimp"), whole=False, needs="trainer"),
        "authors-imp": Variant("the authors' IMP, fp32", partial(him, method="imp"), whole=False, needs="trainer"),
        "tuned": Variant("a tuned Trainer", partial(tuned, device=device), whole=False, needs="trainer"),
        "fast": Variant("length buckets, bf16", partial(us, recipe=fast), whole=False),
        "fast-fp32": Variant("length buckets, fp32", partial(us, recipe=fast_single), whole=False),
        "packed": Variant(
            "packed, bf16, not recorded", partial(us, recipe=one, graphs=False), whole=False, needs="gpu"
        ),
        "ce": Variant("packed, bf16 (the engine), CE", us),
        "packed-fp32": Variant("packed, fp32", partial(us, recipe=single, graphs=False), whole=False),
        "padded-inside": Variant("the engine, padding inside attention", partial(us, flash=False), needs="gpu"),
        "compiled": Variant("the engine, layers compiled", partial(us, compiled=True), needs="time"),
        "dimp": Variant("the engine, DIMP", partial(us, method="dimp")),
        "imp": Variant("the engine, IMP", partial(us, method="imp")),
        "score-64": Variant("scoring, padded, 64 texts a batch", partial(score, batcher=Batcher, size=64)),
        "score": Variant("scoring, packed, 1,024 texts a batch", partial(score, batcher=Packer, size=1024)),
    }
    for count in (2, 4):
        found[f"processes-{count}"] = Variant(f"{count} processes", us, processes=count)
    return found


# What is held against what: the ratio expected on an H100, and the one aimed at there.
COMPARISONS: tuple[tuple[str, str, float, float | None], ...] = (
    ("authors-tf32", "authors", 4, None),
    ("authors-dimp", "authors", 0.77, None),
    ("authors-imp", "authors", 0.62, None),
    ("tuned", "authors", 2.2, None),
    ("fast", "authors", 2.5, None),
    ("fast", "fast-fp32", 1.1, None),
    ("packed", "fast", 1, None),
    ("ce", "packed", 4.5, None),
    ("ce", "fast", 4.5, None),
    ("ce", "padded-inside", 1.1, None),
    ("ce", "authors-tf32", 2.8, None),
    ("ce", "tuned", 5, 4),
    ("ce", "authors", 11, 10),
    ("packed-fp32", "fast-fp32", 2, None),
    ("compiled", "ce", 1.3, None),
    ("dimp", "authors-dimp", 14, 13),
    ("imp", "authors-imp", 17.5, 17),
    ("processes-2", "ce", 1.05, None),
    ("processes-4", "ce", 1.1, None),
    ("score", "score-64", 5, None),
)


# -- set-up and table -----------------------------------------------------------------------------------------


def make_work(encoder_dir: Path, texts: int, seed: int = 0) -> Workload:
    """Texts of Financial's real lengths (token_lengths.csv) with tokens at random among as many as it uses."""
    with (HERE / "token_lengths.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["benchmark"] == "financial"]
    counts = np.array([int(row["texts"]) for row in rows])
    rng = np.random.default_rng(seed)
    lengths = rng.choice([int(row["tokens"]) for row in rows], size=texts, p=counts / counts.sum()).astype(np.int64)
    ids = rng.integers(5, TOKENS_IN_USE, size=(texts, int(lengths.max())))
    ids[np.arange(ids.shape[1]) >= lengths[:, None]] = 0
    every = np.resize(np.arange(1, TOKENS_IN_USE), (-(-TOKENS_IN_USE // 64), 64))
    carrier = Encoded(every, np.full(len(every), 64), np.full(len(every), 64))
    labels = rng.integers(0, CLASSES, size=texts)
    return Workload("financial lengths", encoder_dir, Encoded(ids, lengths, lengths), labels, carrier)


def make_encoder(folder: Path, layers: int, width: int) -> Path:
    """Random weights, and a tokenizer that can do no more than pad, which is all that the Trainer asks of it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece

    tokenizer = folder / "padding.json"
    folder.mkdir(parents=True)
    Tokenizer(WordPiece({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]")).save(str(tokenizer))
    return workloads.random_encoder(folder, layers, width, tokenizer, head=64)


def floor_seconds(work: Workload, epochs: int, device: str) -> float:
    """The least time of a run on this device; nan where its peaks are not known."""
    model = baseline.load(work.encoder_dir, CLASSES)
    everything, layers = (sum(p.numel() for p in part.parameters()) for part in (model, model.base_model.encoder))
    name = torch.cuda.get_device_name(device) if device != "cpu" else ""
    return least_seconds(layers, everything, int(work.encoded.lengths.sum()), work.steps, epochs, name)


def least_seconds(layers: int, everything: int, tokens: int, steps: int, epochs: int, hardware: str) -> float:
    """By arithmetic (``layers`` parameters, ``tokens`` an epoch) and the traffic of ``everything`` in each step."""
    for name, (flops, bandwidth) in HARDWARE.items():
        if name in hardware:
            return epochs * (6 * layers * tokens / flops + BYTES * everything * steps / bandwidth)
    return math.nan


def measure(bench: speed.Bench, work: Workload, chosen: Mapping[str, Variant]) -> dict[str, list[Clock]]:
    """Every variant's times in the rounds, which alternate."""
    with ExitStack() as open_:
        sides = {
            name: one.side if one.processes == 1 else open_.enter_context(speed.crew(work, one.side, one.processes, 1))
            for name, one in chosen.items()
        }
        return bench.alternate(work, sides)


def rows_of(
    chosen: Mapping[str, Variant], times: Mapping[str, list[Clock]], work: Workload, epochs: int, floor: float
) -> list[Row]:
    """A row for each comparison of two variants that were both measured; expectations and aims are an H100's."""
    rows = []
    for name, other, predicted, target in COMPARISONS:
        if name not in chosen or other not in chosen:
            continue
        ours_, theirs = ((chosen[one].what, chosen[one].seconds(times[one], epochs)) for one in (name, other))
        on_gpu = not math.isnan(floor)
        row = speed.compare(name, f"{ours_[0]}, against: {theirs[0]}", target if on_gpu else None, work, ours_, theirs)
        share = floor * 1e3 / (row.ours_ms * work.steps)
        rows.append(
            replace(
                row,
                predicted=predicted if on_gpu else math.nan,
                of_floor=math.nan if name.startswith(("authors", "score")) else share,
                ours_ms=row.ours_ms / epochs,
                theirs_ms=row.theirs_ms / epochs,
            )
        )
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", nargs="+", default=[], metavar="VARIANT")
    parser.add_argument("--list", action="store_true", help="name the variants and stop")
    parser.add_argument("--quick", action="store_true", help="an encoder of 2 layers of 128, 64 texts, 2 epochs")
    parser.add_argument("--layers", type=int, default=0, help="of the encoder (default 12, on a CPU 6)")
    parser.add_argument(
        "--width", type=int, default=0, help="of the encoder, in heads of 64 (default 768, on a CPU 384)"
    )
    parser.add_argument("--texts", type=int, default=0, help=f"texts of an epoch (default {GENERATED}, on a CPU 64)")
    parser.add_argument("--epochs", type=int, default=0, help=f"epochs of a run (default {EPOCHS}, on a CPU 1)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of engine-cpu.json and .csv, or engine-cuda")
    parser.add_argument("--write-readme", action="store_true", help="put the table into benchmarks/README.md")
    return parser.parse_args()


def choose(every: Mapping[str, Variant], only: list[str], on_gpu: bool) -> dict[str, Variant]:
    """The variants asked for, or all that this machine can measure in passable time."""
    unknown = sorted(set(only) - set(every))
    if unknown:
        raise SystemExit(f"--only {' '.join(unknown)}: expected some of {', '.join(every)}")
    has = {"": True, "gpu": on_gpu, "trainer": HAS_TRAINER, "time": on_gpu or bool(only)}
    return {name: one for name, one in every.items() if has[one.needs] and (not only or name in only)}


def main() -> None:
    given = arguments()
    on_gpu, small = given.device != "cpu", given.quick
    epochs = given.epochs or (EPOCHS if on_gpu and not small else 2 if small else 1)
    texts = given.texts or (GENERATED if on_gpu and not small else 64)
    every = variants(given.device, replace(BF16, epochs=epochs))
    if given.list:
        print("\n".join(f"{name:16} {one.what}" for name, one in every.items()))
        return
    torch.set_num_threads(1)
    chosen = choose(every, given.only, on_gpu)
    sizes = (2, 128) if small else (12, 768) if on_gpu else (6, 384)
    layers, width = given.layers or sizes[0], given.width or sizes[1]
    name = f"engine-{'cuda' if on_gpu else 'cpu'}"
    with tempfile.TemporaryDirectory() as folder:
        work = make_work(make_encoder(Path(folder) / "encoder", layers, width), texts)
        bench = speed.Bench(work.encoder_dir, work.encoder_dir, texts, given.rounds)
        floor = floor_seconds(work, epochs, given.device)
        times = measure(bench, work, chosen)
        rows = rows_of(chosen, times, work, epochs, floor)
    about = {
        "hardware": torch.cuda.get_device_name(given.device) if on_gpu else processor(),
        "encoder": f"random weights, {layers} layers of {width}",
        "python": platform.python_version(),
        **{package: _version(package) for package in ("torch", "transformers", "accelerate", "numpy")},
        "setting": f"batch 32, dropout on, {work.title}, {epochs} epochs, {given.rounds} rounds",
        "load average (before)": f"{os.getloadavg()[0]:.1f}",
        "floor of a run": f"{floor:.2f} s" if on_gpu else "not known for this hardware",
    }
    readme = HERE / "README.md" if given.write_readme else None
    table = speed_table.write(name, rows, about, given.out, readme, legend=False)
    print(f"\n{table}\n\n{in_seconds(chosen, times, epochs)}")


def in_seconds(chosen: Mapping[str, Variant], times: Mapping[str, list[Clock]], epochs: int) -> str:
    """Median seconds of a run of each variant, and minutes of as many runs as Table 1 has."""
    lines = []
    for name, one in chosen.items():
        run = statistics.median(clock.wall for clock in one.seconds(times[name], epochs))
        many = "" if name.startswith("score") else f"; {TABLE1} such runs: {TABLE1 * run / 60:.1f} min"
        lines.append(f"{name:14} {run:8.2f} s a run{many}")
    return "\n".join(lines)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
