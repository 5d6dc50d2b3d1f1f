"""Tokenising, and cutting batches: nothing lost, nothing twice, padding where it belongs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from transformers import AutoTokenizer

from paper_repro.model.batches import BUCKET, Batch, Batcher, kept_tokens
from paper_repro.model.tokens import Encoded, encode
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pools() -> dict[str, Pool]:
    odd = ("Gains THE Share-price; café, of the bank!", "profit", "unheard of", "shares rising 3.5 % in may", "x" * 300)
    return {
        "single": tiny.make_pool("single", 37, 3),
        "pair": tiny.make_pool("pair", 37, 2, pairs=True),
        "odd": Pool("odd", odd, np.zeros(len(odd), dtype=np.int64)),
    }


# -- tokens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_length", [32, 12, 6])
@pytest.mark.parametrize("name", ["single", "pair", "odd"])
def test_the_same_tokens_as_transformers(encoder: Path, pools: dict[str, Pool], name: str, max_length: int) -> None:
    """Ids, token types and masks of whole batches equal those of the encoder's own tokenizer, truncation included."""
    pool = pools[name]
    encoded = encode(pool, encoder, max_length)
    texts = [list(pool.texts)] if pool.pairs is None else [list(pool.texts), list(pool.pairs)]
    expected = AutoTokenizer.from_pretrained(str(encoder))(
        *texts, truncation=True, max_length=max_length, padding=True, return_tensors="pt"
    )
    batch = Batcher(encoded, CPU).batch(np.arange(len(pool)))
    assert torch.equal(batch.input_ids, expected["input_ids"])
    assert torch.equal(batch.token_type_ids, expected["token_type_ids"])
    mask = torch.ones_like(batch.input_ids) if batch.attention_mask is None else batch.attention_mask
    assert torch.equal(mask, expected["attention_mask"])
    assert int(encoded.lengths.max()) <= max_length
    if name != "odd":
        assert (encoded.lengths == max_length).any() == (max_length < 32 or name == "pair")


def test_an_encoder_without_a_fast_tokenizer(tmp_path: Path, pools: dict[str, Pool]) -> None:
    with pytest.raises(UserError, match=r"tokenizer.json: no such file\. .*save_pretrained"):
        encode(pools["single"], tmp_path, 16)


# -- batches ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pad_to", [0, 32])
@pytest.mark.parametrize("batch_size", [1, 8, 37, 64])
def test_an_epoch_holds_every_row_once(encoder: Path, pools: dict[str, Pool], batch_size: int, pad_to: int) -> None:
    encoded = encode(pools["pair"], encoder, 32)
    batcher = Batcher(encoded, CPU, pad_to=pad_to)
    for batches in (
        list(batcher.shuffled(batch_size, torch.Generator().manual_seed(3))),
        list(batcher.by_length(batch_size)),
    ):
        rows = torch.cat([batch.rows for batch in batches])
        assert sorted(rows.tolist()) == list(range(37))
        assert len(batches) == -(-37 // batch_size)
        assert sorted(len(batch.rows) for batch in batches)[1:] == [batch_size] * (len(batches) - 1)
        for batch in batches:
            check_padding(batch, encoded, pad_to)


def check_padding(batch: Batch, encoded: Encoded, pad_to: int) -> None:
    lengths = encoded.lengths[batch.rows.numpy()]
    width = pad_to or lengths.max()
    assert batch.input_ids.shape == batch.token_type_ids.shape == (len(lengths), width)
    if batch.attention_mask is None:
        assert (lengths == width).all()
    else:
        assert batch.attention_mask.sum(dim=1).tolist() == lengths.tolist()
    for i, row in enumerate(batch.rows.tolist()):
        n, first = encoded.lengths[row], encoded.first[row]
        assert batch.input_ids[i, :n].tolist() == encoded.ids[row, :n].tolist()
        assert not batch.input_ids[i, n:].any() and not batch.token_type_ids[i, n:].any()
        assert not batch.token_type_ids[i, :first].any() and batch.token_type_ids[i, first:n].all()


def test_order_depends_on_the_generator_alone(encoder: Path, pools: dict[str, Pool]) -> None:
    batcher = Batcher(encode(pools["single"], encoder, 32), CPU)

    def epoch(generator: torch.Generator) -> list[int]:
        return [row for batch in batcher.shuffled(8, generator) for row in batch.rows.tolist()]

    one, two = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    first = epoch(one)
    assert first == epoch(two)
    assert epoch(one) != first  # the next epoch
    assert epoch(torch.Generator().manual_seed(6)) != first


def test_batches_of_similar_length(encoder: Path, pools: dict[str, Pool]) -> None:
    """Sorted by runs of four tokens, no batch starts in a later run than the one before it ends in."""
    encoded = encode(pools["single"], encoder, 32)
    spans = []
    for batch in Batcher(encoded, CPU).shuffled(8, torch.Generator().manual_seed(0)):
        run = (encoded.lengths[batch.rows.numpy()] - 1) // BUCKET
        spans.append((run.min(), run.max()))
    assert all(before[1] <= after[0] for before, after in zip(sorted(spans), sorted(spans)[1:], strict=False))
    by_length = [encoded.lengths[batch.rows.numpy()] for batch in Batcher(encoded, CPU).by_length(8)]
    assert (np.diff(np.concatenate(by_length)) >= 0).all()


# -- the trimmed vocabulary -----------------------------------------------------------------------------------


def test_kept_tokens_and_their_new_numbers(encoder: Path, pools: dict[str, Pool]) -> None:
    single, pair = (encode(pools[name], encoder, 32) for name in ("single", "pair"))
    kept = kept_tokens(single, pair)
    used = {int(i) for pool in (single, pair) for i in np.unique(pool.ids)} | {0}
    assert kept.tolist() == sorted(used)
    assert len(kept) < len(tiny.WORDS) - len(tiny.UNUSED) + 1
    for pad_to in (0, 32):
        trimmed = Batcher(single, CPU, pad_to=pad_to, kept=kept).batch(np.arange(37))
        whole = Batcher(single, CPU, pad_to=pad_to).batch(np.arange(37))
        assert torch.equal(torch.from_numpy(kept)[trimmed.input_ids], whole.input_ids)
        assert int(trimmed.input_ids.max()) < len(kept)
