"""A BERT of a few thousand random weights and pools of a few dozen texts: what the core's tests train on.

:func:`workspace` opens the profile ``mini`` on data and an encoder of the test's own (``data_dir`` with JSON lines,
``encoder_dir``), so that worker processes open the very same thing without anything being patched.
"""

from __future__ import annotations

import hashlib
import json
import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from paper_repro.method.recipe import Recipe
from paper_repro.method.train import Trained, TrainingData
from paper_repro.model.tokens import encode
from paper_repro.runs.spec import Checker, RunSpec, Source
from paper_repro.study import Study, open_study
from paper_repro.texts.pools import POOL_NAMES, Benchmark, Pool

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CUES = (["gain", "rise", "profit"], ["flat", "same", "steady"], ["loss", "fall", "drop"])
FILLERS = ["the", "share", "price", "of", "firm", "bank", "was", "in", "may", "june", "again", "today", "we", "see"]
UNUSED = [f"word{i}" for i in range(40)]  # rows of the embedding table that no text of the pools touches
WORDS = [*SPECIAL, *(w for cue in CUES for w in cue), *FILLERS, "##s", "##ing", *UNUSED]

SIZES = {"train": 60, "dev": 24, "test": 30, "generated": 48}
BENCHMARKS = {
    "financial": ("negative", "neutral", "positive"),
    "tweet_irony": ("non-irony", "irony"),
    "mrpc": ("0", "1"),
}
RECIPE = Recipe(learning_rate=3e-3, epochs=2, batch_size=16, max_length=32)


def make_encoder(folder: Path, *, layers: int = 1, seed: int = 0, dropout: float = 0.1, spread: float = 0.2) -> Path:
    """Write an encoder with random weights into ``folder``: hidden 32, 2 heads, 64 positions."""
    folder.mkdir(parents=True, exist_ok=True)
    BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}).save_pretrained(str(folder))
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=spread,  # BERT's own 0.02 leaves so narrow a network with next to no gradient
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(str(folder))
    return folder


def make_pool(name: str, size: int, classes: int, *, seed: int = 0, pairs: bool = False) -> Pool:
    """Texts of 3 to 20 words; the class shows in the cue words of four texts of five."""
    rng = np.random.default_rng([seed, size, classes])
    labels = rng.permutation(np.arange(size) % classes).astype(np.int64)

    def text(label: int) -> str:
        shown = label if rng.random() < 0.8 else int(rng.integers(classes))
        words = [str(word) for word in rng.choice(FILLERS, int(rng.integers(2, 20)))]
        words.insert(int(rng.integers(len(words) + 1)), str(rng.choice(CUES[shown])))
        return " ".join(words)

    texts = tuple(text(int(label)) for label in labels)
    return Pool(name, texts, labels, tuple(text(int(label)) for label in labels) if pairs else None)


def pool(
    texts: Sequence[str], labels: Sequence[int] = (), pairs: Sequence[str] | None = None, name: str = "dev"
) -> Pool:
    """A pool of these texts; without ``labels`` all are of class 0."""
    classes = np.array(labels or [0] * len(texts), dtype=np.int64)
    return Pool(name, tuple(texts), classes, None if pairs is None else tuple(pairs))


def make_benchmark(name: str = "financial", sizes: Mapping[str, int] = SIZES) -> Benchmark:
    """All four pools of a benchmark; those of ``mrpc`` hold sentence pairs."""
    labels = BENCHMARKS[name]
    pools = {
        pool: make_pool(pool, sizes[pool], len(labels), seed=i, pairs=name == "mrpc")
        for i, pool in enumerate(POOL_NAMES)
    }
    return Benchmark(name, name, labels, pools)


def write_benchmark(benchmark: Benchmark, data_dir: Path) -> None:
    """Write the pools as the JSON lines that :mod:`paper_repro.texts.benchmarks` documents."""
    folder = data_dir / benchmark.name
    folder.mkdir(parents=True, exist_ok=True)
    for pool_name, pool in benchmark.pools.items():
        lines = []
        for i, text in enumerate(pool.texts):
            label = benchmark.label_names[pool.labels[i]]
            texts = {"text": text} if pool.pairs is None else {"sentence1": text, "sentence2": pool.pairs[i]}
            lines.append(json.dumps({**texts, "label": label}))
        (folder / f"{pool_name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def make_inputs(folder: Path, *, sizes: Mapping[str, int] = SIZES, layers: int = 1) -> dict[str, str]:
    """``data_dir`` and ``encoder_dir`` for :func:`paper_repro.study.open_study`, made under ``folder``."""
    for name in BENCHMARKS:
        write_benchmark(make_benchmark(name, sizes), folder / "data")
    make_encoder(folder / "encoder", layers=layers)
    return {"data_dir": str(folder / "data"), "encoder_dir": str(folder / "encoder")}


def study(inputs: Mapping[str, str], results: Path, workers: int = 1, scheduler: str = "") -> Study:
    """The profile ``mini`` on tiny inputs, with its results and figures under ``results``."""
    return open_study(
        "mini",
        **inputs,
        device="cpu",
        workers=0 if scheduler else workers,
        scheduler=scheduler,
        results_dir=str(results),
        figures_dir=str(results / "figures"),
    )


def spec(
    method: str = "ce", pool: str = "generated", *, benchmark: str = "financial", seed: int = 0, **changes: Any
) -> RunSpec:
    """A run of one of the tables with the tiny recipe, with its checkers; ``changes`` are further fields."""
    recipe = changes.pop("recipe", RECIPE)

    def ce(source: str) -> RunSpec:
        return RunSpec(benchmark, Source(source), "ce", seed, recipe, "minilm-l6")

    quality = Checker(ce("dev")) if method in ("imp", "dimp", "quality_only") else None
    diversity = Checker(ce(pool)) if method == "imp" else None
    fields = {"quality": quality, "diversity": diversity, **changes}
    return RunSpec(benchmark, Source(pool), method, seed, recipe, "minilm-l6", **fields)


def training_data(
    encoder: Path, *, pairs: bool = False, max_length: int = 32, sizes: Mapping[str, int] = SIZES
) -> TrainingData:
    """The generated pool with made-up scores of both checkers, ready for :func:`paper_repro.method.train.train`."""
    made = make_benchmark("mrpc" if pairs else "financial", sizes)
    encoded = {name: encode(pool, encoder, max_length) for name, pool in made.pools.items()}
    rng = np.random.default_rng(0)
    size = len(made.pools["generated"])
    return TrainingData(
        encoded["generated"],
        made.pools["generated"].labels,
        encoded["dev"],
        made.pools["dev"].labels,
        encoded["test"],
        made.pools["test"].labels,
        made.classes,
        log_quality=np.log(rng.uniform(0.05, 1, size)).astype(np.float32),
        log_diversity=np.log(rng.uniform(0.05, 1, size)).astype(np.float32),
    )


def paper_weight(method: str, p: Any, quality: Any, diversity: Any) -> Any:
    """The paper's weights in plain probabilities of the observed label, arrays or tensors (examples,)."""
    return {
        "ce": 1 + 0 * p,
        "focal": 1 - p,
        "imp": quality / diversity,
        "dimp": quality / p,
        "quality_only": quality,
    }[method]


def scores(made: Study, checker: Checker, benchmark: str, pool: str) -> np.ndarray[Any, Any]:
    """A checker's scores, computed where they are missing."""
    made.collect([(checker, benchmark, pool)], progress=False)
    return made.scores(checker, benchmark, pool)


def losses(trained: Trained) -> list[float]:
    """The mean training loss of each epoch."""
    return [row.train_loss for row in trained.history]


def fingerprint(trained: Trained) -> str:
    """A hash of every number that training yields but the seconds: equal for equal bits only."""
    arrays = (trained.train_log_p, trained.dev_probabilities, trained.test_probabilities)
    tensors = {name: tensor.contiguous().numpy() for name, tensor in sorted((trained.state or {}).items())}
    return _hashed([*arrays, *tensors.values()], trained.history, trained.selected_epoch, list(tensors))


def result_fingerprint(made: Study, run: RunSpec) -> str:
    """As :func:`fingerprint`, of a stored run: everything but seconds and environment. Fails where there is none."""
    result, log_p = made.result(run), made.train_log_p(run)
    assert result is not None and log_p is not None, made.failure(run)
    arrays = (log_p, result.dev_probabilities, result.test_probabilities, result.test_labels)
    return _hashed(arrays, result.history, result.selected_epoch, result.key, result.spec)


def _hashed(arrays: Sequence[np.ndarray[Any, Any]], history: Sequence[Any], *more: Any) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    rows = [{name: value for name, value in vars(row).items() if name != "seconds"} for row in history]
    digest.update(repr((rows, *more)).encode())
    return digest.hexdigest()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """In this block no file may grow beyond ``size`` bytes: writing more is an OSError, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
