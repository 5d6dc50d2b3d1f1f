"""What the speed benchmark trains on: bundled texts, and the encoders of the profiles ``mini`` and ``base``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils import logging

from paper_repro.model import locate
from paper_repro.model.batches import kept_tokens
from paper_repro.model.encoder import from_directory
from paper_repro.model.tokens import Encoded, Limits, encode
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths

BATCH = 32
CLASSES = 3
MAX_LENGTH = 128
ENCODERS = {"minilm-l6": (6, 384, 32), "mpnet-base": (12, 768, 64)}
"""Layers, width, and width of a head."""
BERT = Limits(pad=0, vocabulary=30522, positions=512)  # both sides pay for the embedding's size: it stays that of BERT


@dataclass(frozen=True)
class Workload:
    """Tokenised texts of a D_Q and what trains on them; ``vocabulary`` carries the tokens of the whole D_Q."""

    name: str
    encoder_dir: Path
    encoded: Encoded
    labels: NDArray[np.int64]
    vocabulary: Encoded

    def first(self, n: int) -> Workload:
        return replace(self, encoded=self.encoded.subset(np.arange(min(n, len(self.labels)))), labels=self.labels[:n])

    @property
    def steps(self) -> int:
        return -(-len(self.labels) // BATCH)

    @property
    def title(self) -> str:
        lengths = self.encoded.lengths
        return f"{self.name}: {len(lengths)} texts of {lengths.mean():.1f} tokens (longest {lengths.max()})"


def make(name: str, encoder_dir: Path, texts: int) -> Workload:
    """``texts`` examples drawn from a bundled D_Q; "short" mixes tweets and financial news three to one."""
    from paper_repro.texts.benchmarks import bundled

    pool = _short() if name == "short" else bundled(name)
    whole = encode(pool, encoder_dir, MAX_LENGTH)
    rows = np.random.default_rng(0).permutation(len(pool))[:texts]
    return Workload(name, encoder_dir, whole.subset(rows), pool.labels[rows], _carrier(whole))


def _short() -> Pool:
    from paper_repro.texts.benchmarks import bundled

    tweets, news = bundled("tweet_irony"), bundled("financial")
    third = len(tweets) // 3
    return Pool("short", tweets.texts + news.texts[:third], np.concatenate([tweets.labels, news.labels[:third]]))


def _carrier(whole: Encoded) -> Encoded:
    """A few rows that hold every token of ``whole``: as test set they give the trimmed embedding its real size."""
    tokens = kept_tokens(whole)
    assert tokens is not None
    width = min(64, len(tokens))
    ids = np.resize(tokens, (-(-len(tokens) // width), width))
    lengths = np.full(len(ids), width)
    return Encoded(ids, lengths, lengths, whole.pad)


def find_encoder(name: str, given: str, scratch: Path, *, random: bool) -> tuple[Path, str]:
    """The folder of the encoder ``name``, one of :data:`ENCODERS`, and in words what it is: ``given`` if that is a
    folder, else the real weights where they are at hand, else a BERT of that size with random weights."""
    layers, width, head = ENCODERS[name]
    if given:
        return from_directory(name, Path(given)).directory, f"weights in {Path(given).name}"
    if not random:
        try:
            return locate.resolve(name, cache=Paths.of("demo").cache, offline=True).directory, name
        except UserError as error:
            print(f"{error}\nGoing on with random weights of the same size.", file=sys.stderr)
    folder = random_encoder(scratch / name, layers, width, head=head)
    return folder, f"random weights of a BERT of {layers} layers of {width}"


def random_encoder(
    folder: Path, layers: int, width: int, tokenizer: Path | None = None, limits: Limits = BERT, *, head: int = 32
) -> Path:
    """A BERT of that size with random weights and heads ``head`` wide. A ``tokenizer`` (the file, with its ``limits``)
    that is not given is fitted."""
    from transformers import BertConfig, BertModel

    logging.disable_progress_bar()
    torch.manual_seed(0)
    size: dict[str, Any] = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": width // head}
    vocabulary: dict[str, Any] = {"vocab_size": limits.vocabulary, "pad_token_id": limits.pad}
    BertModel(BertConfig(num_hidden_layers=layers, **size, **vocabulary)).save_pretrained(folder)
    if tokenizer is None:
        _fit_tokenizer(folder / "tokenizer.json")
    else:
        (folder / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    return folder


def _fit_tokenizer(file: Path) -> None:
    from tokenizers import BertWordPieceTokenizer
    from tokenizers.processors import BertProcessing

    from paper_repro.texts.benchmarks import bundled

    tokenizer = BertWordPieceTokenizer()
    texts = [text for name in ("financial", "tweet_irony", "mrpc") for text in bundled(name).texts]
    tokenizer.train_from_iterator(texts, vocab_size=BERT.vocabulary, show_progress=False)
    separator, start = ((mark, tokenizer.token_to_id(mark)) for mark in ("[SEP]", "[CLS]"))
    tokenizer._tokenizer.post_processor = BertProcessing(separator, start)
    tokenizer.save(str(file))
