"""Measures the speed of training and scoring against Hugging Face's Trainer, on this machine.

    python benchmarks/speed.py                 # everything; about 45 minutes on a free core
    python benchmarks/speed.py --quick         # smaller, about ten minutes
    python benchmarks/speed.py --only ce tiny  # some parts; --list names them
    python benchmarks/speed.py --encoder mpnet-base --only ce    # an encoder of BERT-base's size

Both sides do the same work in the same process on one thread, by turns; a row's ratio is the median over the
rounds of (their time / our time). benchmarks/README.md says how, and keeps the results (--write-readme).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # must stand before torch is imported
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import platform
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import speed_table
import torch
import trainer_baseline as baseline
import workloads
from speed_table import Row
from trainer_baseline import Clock, timed
from workloads import BATCH, CLASSES, Workload

from paper_repro.method import train
from paper_repro.method.gpu_engine.loop import PACKED
from paper_repro.method.losses import observed_log_probability
from paper_repro.method.recipe import Recipe
from paper_repro.method.scoring import SCORING_WIDTH, forward, score
from paper_repro.model import classifier, fast_bert
from paper_repro.model.batches import Batcher, kept_tokens
from paper_repro.model.tokens import limits_of
from paper_repro.tools.machine import processor

HERE = Path(__file__).resolve().parent
TABLE3 = {"generated": 10_012, "dev": 242, "epochs": 5}  # the paper's timing set-up, on Financial
OURS = (
    "this package, bf16 autocast, length buckets, eager attention, seeded dropout, fused AdamW, embedding rows in use"
)
OURS_SCORES = OURS + "; scores looked up"
OURS_SCORING = "this package, bf16 autocast, shortest first, batches of {}, eager attention"
TARGETS = {  # ratios aimed at: CE against the authors' recipe, CE against a tuned Trainer, and so on
    "minilm-l6": {"ce": 10, "tuned": 1.1, "dimp": 13, "imp": 16, "pairs": 5.5, "tiny": 6, "scoring": 10},
    "mpnet-base": {"ce": 8, "tuned": 1.05},
}

BF16 = Recipe(epochs=1, precision="bf16")

Side = Callable[[Workload], Clock]


@dataclass(frozen=True)
class Bench:
    """What the parts share: encoders (the one that was chosen, and 2 layers of 128), size, number of rounds and the
    ratios aimed at."""

    encoder_dir: Path
    tiny_dir: Path
    texts: int
    rounds: int
    targets: Mapping[str, float] = field(default_factory=dict)

    def workload(self, name: str, encoder_dir: Path | None = None) -> Workload:
        return workloads.make(name, encoder_dir or self.encoder_dir, self.texts)

    def alternate(self, work: Workload, sides: Mapping[str, Side]) -> dict[str, list[Clock]]:
        """A short warm-up, then every side once a round; each round runs in the other direction."""
        print(f"  {work.title}", flush=True)
        for side in sides.values():
            side(work.first(2 * BATCH))
        times: dict[str, list[Clock]] = {name: [] for name in sides}
        for number in range(self.rounds):
            for name in list(sides)[:: -1 if number % 2 else 1]:
                times[name].append(sides[name](work))
            spent = ", ".join(f"{name} {clocks[-1].wall:.2f} s" for name, clocks in times.items())
            print(f"  round {number + 1}: {spent}", flush=True)
        return times


# -- the two sides --------------------------------------------------------------------------------------------


def our_epoch(work: Workload, method: str = "ce", recipe: Recipe = BF16, device: str = "cpu") -> Clock:
    """The epochs of :func:`paper_repro.method.train.train`; as for the Trainer, loading and evaluation do not count."""
    spent: list[Clock] = []
    epoch = train.Loop.epoch

    def timed_epoch(loop: train.Loop) -> train.Outcome:
        with timed(spent):
            return epoch(loop)

    engine = PACKED if recipe.fidelity == "packed" else None
    with mock.patch.object(train.Loop, "epoch", timed_epoch):
        train.train(training_data(work), work.encoder_dir, method, recipe, seed=0, device=device, engine=engine)
    return total(spent)


def total(clocks: Sequence[Clock]) -> Clock:
    return Clock(sum(clock.wall for clock in clocks), sum(clock.cpu for clock in clocks))


def training_data(work: Workload) -> train.TrainingData:
    """With made-up scores of both checkers; as dev set one text, as test set what gives the vocabulary its size."""
    scores = -np.random.default_rng(0).random(len(work.labels), dtype=np.float32)
    one, zero = work.vocabulary.subset(np.arange(1)), np.zeros(1, dtype=np.int64)
    nothing = np.zeros(len(work.vocabulary), dtype=np.int64)
    return train.TrainingData(
        work.encoded, work.labels, one, zero, work.vocabulary, nothing, CLASSES, scores, scores[::-1].copy()
    )


def our_scoring(work: Workload) -> Clock:
    model = classifier.build(work.encoder_dir, CLASSES, seed=0, device=torch.device("cpu"))
    fast_bert.speed_up(model)
    batches = Batcher(work.encoded, torch.device("cpu"))
    spent: list[Clock] = []
    with timed(spent):
        score(model, batches, "bf16")
    return spent[0]


def trainer_epoch(work: Workload, method: str = "ce", tuned: bool = False) -> Clock:
    return baseline.train(work.encoder_dir, work.encoded, work.labels, CLASSES, method=method, tuned=tuned)


def padded_scoring(work: Workload) -> Clock:
    return baseline.score(work.encoder_dir, work.encoded, CLASSES)


# -- the parts ------------------------------------------------------------------------------------------------


def compare(
    part: str,
    what: str,
    least: float | None,
    work: Workload,
    ours: tuple[str, list[Clock]],
    theirs: tuple[str, list[Clock]],
) -> Row:
    """The row of two timed sides; ``least`` is the ratio aimed at, None where a row only informs."""
    wall = [b.wall / a.wall for a, b in zip(ours[1], theirs[1], strict=True)]
    cpu = [b.cpu / a.cpu for a, b in zip(ours[1], theirs[1], strict=True)]
    ratio = statistics.median(wall)
    ours_ms, theirs_ms = (1e3 * statistics.median(c.wall for c in side[1]) / work.steps for side in (ours, theirs))
    return Row(
        part,
        what,
        target="" if least is None else f">= {least:g}",
        ratio=ratio,
        lowest=min(wall),
        highest=max(wall),
        cpu_ratio=statistics.median(cpu),
        rounds=len(wall),
        ours_ms=ours_ms,
        theirs_ms=theirs_ms,
        met=None if least is None else ratio >= least,
        work=work.title,
        ours=ours[0],
        theirs=theirs[0],
    )


def ce(bench: Bench) -> list[Row]:
    return _ce(bench.workload("short"), bench, "ce", bench.targets.get("ce"), bench.targets.get("tuned"))


def news(bench: Bench) -> list[Row]:
    """The same on longer single texts, for information."""
    return _ce(bench.workload("financial"), bench, "news", None, None)


def _ce(work: Workload, bench: Bench, part: str, authors: float | None, tuned: float | None) -> list[Row]:
    sides: dict[str, Side] = {"ours": our_epoch, "authors": trainer_epoch, "tuned": partial(trainer_epoch, tuned=True)}
    times = bench.alternate(work, sides)
    ours = (OURS, times["ours"])
    return [
        compare(part, "CE against the authors' recipe", authors, work, ours, (baseline.AUTHORS, times["authors"])),
        compare(part, "CE against a tuned Trainer", tuned, work, ours, (baseline.TUNED, times["tuned"])),
    ]


def weighted(bench: Bench) -> list[Row]:
    work = bench.workload("short")
    rows = []
    for method in ("dimp", "imp"):
        sides: dict[str, Side] = {
            "ours": partial(our_epoch, method=method),
            "authors": partial(trainer_epoch, method=method),
        }
        times = bench.alternate(work, sides)
        theirs = (baseline.AUTHORS_LIVE, times["authors"])
        what, least = f"{method.upper()}, live checkers", bench.targets.get(method)
        rows.append(compare("weighted", what, least, work, (OURS_SCORES, times["ours"]), theirs))
    return rows


def pairs(bench: Bench) -> list[Row]:
    work = bench.workload("mrpc")
    times = bench.alternate(work, {"ours": our_epoch, "authors": trainer_epoch})
    ours, theirs = (OURS, times["ours"]), (baseline.AUTHORS, times["authors"])
    return [compare("pairs", "CE, pairs", bench.targets.get("pairs"), work, ours, theirs)]


def tiny(bench: Bench) -> list[Row]:
    work = bench.workload("short", bench.tiny_dir)
    times = bench.alternate(work, {"ours": our_epoch, "authors": trainer_epoch})
    theirs = (baseline.AUTHORS, times["authors"])
    return [compare("tiny", "CE, 2 layers of 128", bench.targets.get("tiny"), work, (OURS, times["ours"]), theirs)]


def scoring(bench: Bench) -> list[Row]:
    work = bench.workload("short")
    times = bench.alternate(work, {"ours": our_scoring, "authors": padded_scoring})
    theirs = (baseline.PADDED_SCORING, times["authors"])
    texts = SCORING_WIDTH // classifier.config_of(work.encoder_dir).hidden_size
    ours = (OURS_SCORING.format(texts), times["ours"])
    return [compare("scoring", "scoring with a checker", bench.targets.get("scoring"), work, ours, theirs)]


def agreement(bench: Bench) -> list[Row]:
    """Loss of the same batches at dropout 0: ours (as trained) against the padded fp32 model of transformers."""
    work = bench.workload("short")
    print(f"  {work.title}", flush=True)
    cpu = torch.device("cpu")
    kept = kept_tokens(work.encoded)
    ours = classifier.build(work.encoder_dir, CLASSES, seed=0, device=cpu, kept=kept, dropout=0.0).train()
    fast_bert.speed_up(ours)
    off: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    theirs = baseline.load(work.encoder_dir, CLASSES, **off).train()
    theirs.classifier.load_state_dict(ours.classifier.state_dict())
    ids, padded = Batcher(work.encoded, cpu, kept=kept), Batcher(work.encoded, cpu, pad_to=baseline.PADDED_LENGTH)
    groups = np.array_split(np.random.default_rng(0).permutation(len(work.labels)), work.steps)
    errors: dict[str, list[float]] = {"fp32": [], "bf16": []}
    with torch.no_grad():
        for rows in groups[:20]:
            labels = torch.from_numpy(work.labels[rows])
            reference = -observed_log_probability(forward(theirs, padded.batch(rows), "fp32"), labels).mean()
            for precision, found in errors.items():
                loss = -observed_log_probability(forward(ours, ids.batch(rows), precision), labels).mean()
                found.append(abs(float(loss / reference) - 1))
    return [
        Row(
            "agreement",
            f"largest relative difference of a batch's loss, {precision}, dropout 0",
            target=f"<= {most:g}",
            ratio=max(found),
            lowest=min(found),
            highest=max(found),
            rounds=len(found),
            met=max(found) <= most,
            work=work.title,
            ours=OURS if precision == "bf16" else OURS.replace("bf16 autocast", "fp32"),
            theirs="the model of transformers, fp32, SDPA, padded to 128, the same batches",
        )
        for (precision, found), most in zip(errors.items(), (1e-6, 1e-3), strict=True)
    ]


def overhead(bench: Bench) -> list[Row]:
    """What DIMP and IMP add to CE at the sizes of Table 3, from measured times for one example."""
    work = bench.workload("financial")
    sides: dict[str, Side] = {m: partial(our_epoch, method=m) for m in ("ce", "dimp", "imp")}
    times = bench.alternate(work, {**sides, "score": our_scoring})
    n, dev, epochs = TABLE3["generated"], TABLE3["dev"], TABLE3["epochs"]
    cost: dict[str, dict[str, list[float]]] = {"dimp": {}, "imp": {}}
    for clock in ("wall", "cpu"):
        ce_, dimp, imp, score = (
            np.array([getattr(t, clock) for t in times[name]]) / len(work.labels) for name in (*sides, "score")
        )
        run, checker = epochs * n * ce_, epochs * dev * ce_
        cost["dimp"][clock] = list((epochs * n * dimp + checker + n * score) / run - 1)
        cost["imp"][clock] = list((epochs * n * imp + checker + run + 2 * n * score) / run)
    computed = f"computed for {n} generated, {dev} dev texts, {epochs} epochs from the times of one example"
    return [
        Row(
            "overhead",
            what,
            target=f"<= {most:g}",
            ratio=statistics.median(cost[method]["wall"]),
            lowest=min(cost[method]["wall"]),
            highest=max(cost[method]["wall"]),
            cpu_ratio=statistics.median(cost[method]["cpu"]),
            rounds=bench.rounds,
            met=statistics.median(cost[method]["wall"]) <= most,
            work=f"{work.title}; {computed}",
            ours=OURS_SCORES,
            theirs=OURS,
        )
        for method, what, most in (("dimp", "DIMP's extra over CE", 0.08), ("imp", "IMP's cost, in runs of CE", 2.1))
    ]


# -- processes and threads ------------------------------------------------------------------------------------


def workers(bench: Bench) -> list[Row]:
    """Two processes of one thread against one of two threads; each job is one epoch of CE, two jobs in all."""
    work = bench.workload("short")
    with crew(work, our_epoch, 2, 1) as two, crew(work, our_epoch, 1, 2) as one:
        times = bench.alternate(work, {"two": partial(two, jobs=1), "one": partial(one, jobs=2)})
    theirs = ("one process of two threads, " + OURS, times["one"])
    ours = ("two processes of one thread, " + OURS, times["two"])
    return [compare("workers", "two one-thread workers", 1.25, work, ours, theirs)]


@contextmanager
def crew(work: Workload, side: Side, processes: int, threads: int) -> Iterator[Callable[..., Clock]]:
    """Idle processes that each do ``jobs`` times what ``side`` does, all at once, whenever they are called.

    Their time is that of the slowest, by its own clock: as elsewhere, loading does not count.
    """
    members = [_start(work, side, threads) for _ in range(processes)]

    def go(given: Workload, jobs: int = 1) -> Clock:
        for _, pipe in members:
            pipe.send((len(given.labels), jobs))
        clocks = [pipe.recv() for _, pipe in members]
        return Clock(max(clock.wall for clock in clocks), sum(clock.cpu for clock in clocks))

    try:
        yield go
    finally:
        for process, pipe in members:
            pipe.close()
            process.join(10)


def _start(work: Workload, side: Side, threads: int) -> tuple[Any, Connection]:
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(work, side, threads, theirs), daemon=True)
    with mock.patch.dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads)):
        process.start()
    theirs.close()
    return process, ours


def _serve(work: Workload, side: Side, threads: int, pipe: Connection) -> None:
    torch.set_num_threads(threads)
    while True:
        try:
            texts, jobs = pipe.recv()
        except EOFError:
            return
        pipe.send(total([side(work.first(texts)) for _ in range(jobs)]))


# -- command line ---------------------------------------------------------------------------


PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    part.__name__: part for part in (ce, news, weighted, pairs, tiny, scoring, agreement, overhead, workers)
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART")
    parser.add_argument("--list", action="store_true", help="name the parts and stop")
    parser.add_argument("--quick", action="store_true", help="256 texts and 3 rounds")
    parser.add_argument("--texts", type=int, default=0, help="texts an epoch (default 672: 21 steps)")
    parser.add_argument("--rounds", type=int, default=0, help="rounds (default 5)")
    parser.add_argument("--encoder", choices=list(workloads.ENCODERS), default="minilm-l6")
    parser.add_argument("--encoder-dir", default="", help="its folder (default: the cache, or the installed package)")
    parser.add_argument("--random", action="store_true", help="random weights of its size")
    parser.add_argument("--toy", action="store_true", help="the tiny encoder everywhere, to try the script out")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of speed.json and .csv, or speed-mpnet-base")
    parser.add_argument("--write-readme", action="store_true", help="put the table into benchmarks/README.md")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    if given.list:
        print("\n".join(PARTS))
        return
    torch.set_num_threads(1)
    texts, rounds = given.texts or (256 if given.quick else 672), given.rounds or (3 if given.quick else 5)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        random = given.random or given.toy
        encoder, title = workloads.find_encoder(given.encoder, given.encoder_dir, scratch, random=random)
        tokenizer = encoder / "tokenizer.json", limits_of(encoder)
        small = workloads.random_encoder(scratch / "tiny", 2, 128, *tokenizer)
        if given.toy:
            encoder, title = small, "toy: 2 layers of 128"
        bench = Bench(encoder, small, texts, rounds, TARGETS[given.encoder])
        about = {
            "hardware": processor(),
            "encoder": title,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "transformers", "accelerate", "numpy")},
            "setting": f"batch {BATCH}, dropout on, one thread, {texts} texts, {rounds} rounds",
            "load average (before)": f"{os.getloadavg()[0]:.1f}",
        }
        for part in given.only:
            print(part, flush=True)
            rows += PARTS[part](bench)
            # What is done stays, should a later part be interrupted.
            name = "speed" if given.encoder == "minilm-l6" else f"speed-{given.encoder}"
            table = speed_table.write(name, rows, about, given.out, HERE / "README.md" if given.write_readme else None)
    print(f"\n{table}")


if __name__ == "__main__":
    main()
