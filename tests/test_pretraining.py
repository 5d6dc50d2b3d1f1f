"""Pre-training of the tiny encoder, on tiny worlds and few steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM, BertForSequenceClassification

from paper_repro.model import encoder, pretraining
from paper_repro.model.encoder import Encoder
from paper_repro.model.pretraining import PretrainingConfig
from paper_repro.model.tokens import encode
from paper_repro.texts import world
from paper_repro.texts.world import WorldConfig

WORLD = WorldConfig(train=5, dev=5, test=5, generated=5, corpus=300, concepts=2, synonyms=3, misconception=0.5)
SHORT = PretrainingConfig(hidden=16, heads=2, intermediate=32, layers=1, steps=4, batch_size=8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return pretraining.ensure(tmp_path_factory.mktemp("cache"), WORLD, SHORT)


def test_a_whole_encoder_in_hugging_face_layout(made: Encoder) -> None:
    encoder.check(made.directory)
    assert {"config.json", "model.safetensors", "vocab.txt", "tokenizer.json"} <= {
        path.name for path in made.directory.iterdir()
    }
    _, report = BertForSequenceClassification.from_pretrained(made.directory, output_loading_info=True)
    assert set(report["missing_keys"]) == {"classifier.weight", "classifier.bias"}  # the pooler is there
    _, report = BertForMaskedLM.from_pretrained(made.directory, output_loading_info=True)
    assert not report["missing_keys"]


def test_the_tokenizer_knows_every_word_as_one_token(made: Encoder) -> None:
    vocabulary = (made.directory / "vocab.txt").read_text(encoding="utf-8").split("\n")
    for benchmark in world.make(WORLD).values():
        for pool in benchmark.pools.values():
            encoded = encode(pool, made.directory, max_length=64)
            assert pretraining.UNKNOWN not in encoded.ids
            for i, text in enumerate(pool.texts):
                words = ["[CLS]", *world.tokens(text), "[SEP]"]
                if pool.pairs is not None:
                    words += [*world.tokens(pool.pairs[i]), "[SEP]"]
                assert [vocabulary[t] for t in encoded.ids[i, : encoded.lengths[i]]] == words


def test_the_same_world_gives_the_same_weights(made: Encoder, tmp_path: Path) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    again = pretraining.ensure(tmp_path, WORLD, SHORT)
    assert again.fingerprint == made.fingerprint
    assert torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), state)


def test_it_is_pretrained_once(made: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining, "_pretrain", lambda *_: pytest.fail("pre-trained again"))
    assert pretraining.ensure(made.directory.parents[1], WORLD, SHORT) == made


def test_another_world_or_setting_is_another_encoder(made: Encoder, tmp_path: Path) -> None:
    other_text = pretraining.ensure(tmp_path, WorldConfig(**{**vars(WORLD), "seed": 1}), SHORT)
    other_steps = pretraining.ensure(tmp_path, WORLD, PretrainingConfig(**{**vars(SHORT), "steps": 3}))
    assert len({e.directory.name for e in (made, other_text, other_steps)}) == 3
    assert len({e.fingerprint for e in (made, other_text, other_steps)}) == 3


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(pretraining, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        pretraining.ensure(tmp_path, WORLD, SHORT)
    assert [path.suffix for path in (tmp_path / "encoders").iterdir()] in ([], [".lock"])


def test_masking_hides_words_only_and_asks_for_one_at_cls() -> None:
    rng = np.random.default_rng(0)
    ids = np.zeros((400, 12), dtype=np.int64)
    ids[:, :11] = rng.integers(5, 50, (400, 11))
    ids[:, 0], ids[:, 5], ids[:, 10] = pretraining.CLS, pretraining.SEP, pretraining.SEP
    rarity = np.where(np.arange(50) < 20, 1.0, 1e-9)
    shown, (rows, columns), targets = pretraining.mask(ids, rarity, 0.25, rng)
    assert (shown[ids <= pretraining.MASK] == ids[ids <= pretraining.MASK]).all()
    at_cls = columns == 0
    assert at_cls.sum() == 400
    assert (targets[~at_cls] == ids[rows, columns][~at_cls]).all()
    assert all(t in ids[r, 1:] and t > pretraining.MASK for r, t in zip(rows[at_cls], targets[at_cls], strict=True))
    assert (targets[at_cls] < 20).mean() > 0.9  # the rare ones, where a row has any
    assert set(columns.tolist()) == {0, 1, 2, 3, 4, 6, 7, 8, 9}
    # Of 3,200 words a quarter (standard deviation 24); eight tenths of those are [MASK].
    assert abs((~at_cls).sum() - 800) < 120
    assert abs((shown == pretraining.MASK).sum() / (~at_cls).sum() - 0.8) < 0.08


def test_it_learns_the_language(tmp_path: Path) -> None:
    """Between object and place there is always the word "in", and the model comes to know it."""
    settings = PretrainingConfig(hidden=32, intermediate=32, layers=1, steps=300, learning_rate=1e-2)
    made = pretraining.ensure(tmp_path, WorldConfig(corpus=600, concepts=2, synonyms=2), settings)
    model = BertForMaskedLM.from_pretrained(made.directory).eval()
    vocabulary = (made.directory / "vocab.txt").read_text(encoding="utf-8").split("\n")
    text = "[CLS] nordvik announced new layoffs [MASK] oslo this week . [SEP]".split()
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[vocabulary.index(word) for word in text]])).logits
    assert vocabulary[int(logits[0, text.index("[MASK]")].argmax())] == "in"
