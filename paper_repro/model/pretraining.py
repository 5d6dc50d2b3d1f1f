"""A tiny BERT, pre-trained on the miniature world's unlabelled text as part of the run.

What the paper takes from BERT-base is that texts which mean the same lie close together before a single label has been
seen: only so can a quality checker learn from 200 of them. Here this is learnt by masked-language modelling on
:func:`paper_repro.texts.world.corpus` in well under a minute on one thread, with transformers' own ``BertForMaskedLM``.

Two things differ from BERT's pre-training. Next-sentence prediction, which makes ``[CLS]`` look at the whole text, is
replaced by something simpler to the same end: at ``[CLS]`` the model predicts a word of the text drawn at random, the
rarer the likelier, since rare words tell what a text is about. And since no objective trains the pooler, it starts as
an orthogonal map, which passes ``[CLS]`` on without loss.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from paper_repro.model.encoder import Encoder, fingerprint
from paper_repro.texts import world
from paper_repro.tools.errors import TrainingError
from paper_repro.tools.files import make_whole

if TYPE_CHECKING:
    from transformers import BertForMaskedLM

NAME = "tiny-world"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
UNKNOWN, CLS, SEP, MASK = 1, 2, 3, 4
REVISION = 1
"""Part of the cache's key: raise it when the code below changes what comes out."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PretrainingConfig:
    """The encoder's shape and how it is pre-trained.

    ``steps`` of ``batch_size`` sentence pairs with ``learning_rate`` (AdamW, linear warm-up over a thirtieth of the
    steps, linear decay); ``masked`` is the share of words to predict: more than BERT's 15 %, since the texts are short.
    """

    hidden: int = 64
    layers: int = 2
    heads: int = 2
    intermediate: int = 128
    steps: int = 3000
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    masked: float = 0.25
    seed: int = 0


def ensure(
    cache: Path, config: world.WorldConfig | None = None, settings: PretrainingConfig = PretrainingConfig()
) -> Encoder:
    """The tiny encoder of a world: from ``cache``, or pre-trained on one thread and put there.

    Its folder ``cache/encoders/tiny-world-<key>`` is in Hugging Face layout (config.json, model.safetensors, vocab.txt,
    tokenizer.json, tokenizer_config.json); the key covers text, vocabulary and settings. It appears whole or not at
    all, and of several processes that ask for it one does the work. Raises TrainingError on a non-finite loss.
    """
    config = config or world.WorldConfig()
    texts, words = world.corpus(config), world.vocabulary(config)
    content = json.dumps([REVISION, torch.__version__, asdict(settings), texts, words])
    key = hashlib.sha256(content.encode()).hexdigest()
    folder = cache / "encoders" / f"{NAME}-{key[:16]}"
    make_whole(folder, lambda partial: _pretrain(partial, texts, words, settings))
    return Encoder(NAME, folder, fingerprint(folder), "pre-trained by this package")


def _pretrain(folder: Path, texts: tuple[str, ...], words: tuple[str, ...], settings: PretrainingConfig) -> None:
    from transformers import BertTokenizerFast  # late: it takes seconds, and whoever finds the encoder needs none of it

    vocabulary = [*SPECIAL, *words]
    tokenizer = BertTokenizerFast(vocab={word: i for i, word in enumerate(vocabulary)}, do_lower_case=True)
    sentences = tokenizer([s for text in texts for s in text.split("\n")], add_special_tokens=False)["input_ids"]
    ends = np.cumsum([text.count("\n") + 1 for text in texts])
    rows = [sentences[end - text.count("\n") - 1 : end] for end, text in zip(ends, texts, strict=True)]
    longest = max(len(sentence) for sentence in sentences)
    with _one_thread_seeded(settings.seed):
        model = _model(len(vocabulary), 2 * longest + 3, settings)
        _train(model, rows, settings)
        tensors = _tensors(model, settings)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(folder)
    model.config.save_pretrained(folder)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _model(words: int, positions: int, settings: PretrainingConfig) -> BertForMaskedLM:
    from transformers import BertConfig, BertForMaskedLM

    shape = BertConfig(
        vocab_size=words,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.intermediate,
        max_position_embeddings=max(64, positions),
        architectures=["BertForMaskedLM"],
        attn_implementation="eager",
    )
    return BertForMaskedLM(shape)


def _train(model: BertForMaskedLM, rows: list[list[list[int]]], settings: PretrainingConfig) -> None:
    rng = np.random.default_rng(settings.seed)
    counts = np.bincount([t for row in rows for sentence in row for t in sentence], minlength=model.config.vocab_size)
    rarity = 1.0 / np.maximum(counts, 1)
    model.eval()  # without dropout: one pass over a large corpus leaves nothing to overfit, and it is faster
    parameters = list(model.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    warm_up = max(1, settings.steps // 30)
    for step, (ids, types) in zip(range(settings.steps), _batches(rows, settings.batch_size, rng), strict=False):
        masked, where, targets = mask(ids, rarity, settings.masked, rng)
        hidden = model.bert(
            input_ids=torch.from_numpy(masked),
            attention_mask=torch.from_numpy((ids > 0).astype(np.int64)),
            token_type_ids=torch.from_numpy(types),
        ).last_hidden_state
        chosen = hidden[torch.from_numpy(where[0]), torch.from_numpy(where[1])]
        loss = F.cross_entropy(model.cls(chosen), torch.from_numpy(targets))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        rate = min((step + 1) / warm_up, (settings.steps - step) / settings.steps)
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * rate
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    if not torch.isfinite(loss):
        raise TrainingError(f"pre-training: loss is {loss.item()} after {settings.steps} steps; lower learning_rate")


def _batches(rows: list[list[list[int]]], size: int, rng: np.random.Generator) -> Iterator[tuple[Ints, Ints]]:
    """Endless batches of ``[CLS] a [SEP] b [SEP]``: token ids and types, (size, length).

    Texts of two sentences are such pairs; the others are paired at random. Pairs of similar length share a batch, so
    that little is padding (id 0).
    """
    single = [row[0] for row in rows if len(row) == 1]
    double = [(row[0], row[1]) for row in rows if len(row) == 2]
    while True:
        order = rng.permutation(len(single))
        pairs = double + [(single[a], single[b]) for a, b in zip(order[::2], order[1::2], strict=False)]
        pairs = [pairs[i] for i in rng.permutation(len(pairs))]
        pairs.sort(key=lambda pair: len(pair[0]) + len(pair[1]))
        groups = [pairs[i : i + size] for i in range(0, len(pairs), size)]
        for group in rng.permutation(len(groups)):
            yield _pack(groups[group])


def _pack(pairs: list[tuple[list[int], list[int]]]) -> tuple[Ints, Ints]:
    width = max(len(a) + len(b) for a, b in pairs) + 3
    ids = np.zeros((len(pairs), width), dtype=np.int64)
    types = np.zeros_like(ids)
    for i, (a, b) in enumerate(pairs):
        row = [CLS, *a, SEP, *b, SEP]
        ids[i, : len(row)] = row
        types[i, len(a) + 2 : len(row)] = 1
    return ids, types


def mask(
    ids: Ints, rarity: NDArray[np.float64], share: float, rng: np.random.Generator
) -> tuple[Ints, tuple[NDArray[np.intp], NDArray[np.intp]], Ints]:
    """What the model sees, where it predicts, and what is right there.

    Of the words in ``ids`` (rows, length) a ``share`` is to be predicted: eight tenths of it become [MASK], one tenth
    a random word, one tenth stays (BERT). At [CLS] a word of the row is to be predicted, drawn in proportion to
    ``rarity`` (vocabulary,). Returns the ids to show (rows, length), the (row, column) indices of the predictions,
    and their targets (predictions,).
    """
    is_word = ids > MASK
    chosen = is_word & (rng.random(ids.shape) < share)
    fate = rng.random(ids.shape)
    shown = np.where(chosen & (fate < 0.8), MASK, ids)
    shown = np.where(chosen & (fate >= 0.9), rng.integers(len(SPECIAL), len(rarity), ids.shape), shown)
    wanted = ids.copy()
    # The first of independent exponential clocks, each with its word's rate, is a draw in proportion to the rates.
    waits = np.where(is_word, rng.exponential(size=ids.shape) / rarity[ids], np.inf)
    wanted[:, 0] = ids[np.arange(len(ids)), waits.argmin(axis=1)]
    chosen[:, 0] = True
    where = np.nonzero(chosen)
    return shown, (where[0], where[1]), wanted[where]


def _tensors(model: BertForMaskedLM, settings: PretrainingConfig) -> dict[str, Tensor]:
    """The weights to save: those of the model (the tied output layer once), and a pooler."""
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    tensors = {name: value.detach().contiguous() for name, value in model.state_dict().items() if name not in tied}
    pooler = torch.nn.init.orthogonal_(torch.empty(settings.hidden, settings.hidden))
    return {
        **tensors,
        "bert.pooler.dense.weight": pooler,
        "bert.pooler.dense.bias": torch.zeros(settings.hidden),
    }


@contextmanager
def _one_thread_seeded(seed: int) -> Iterator[None]:
    """One thread (sums in another order are other numbers) and a seeded generator; both are given back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
