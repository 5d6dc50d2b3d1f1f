"""Any encoder: six architectures train by one loop; a folder that does not fill its architecture is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import architectures
import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification

from paper_repro.method.baselines import BASELINES
from paper_repro.method.recipe import Recipe
from paper_repro.method.train import TrainingData, train
from paper_repro.model import classifier, encoder
from paper_repro.model.tokens import encode
from paper_repro.tools.errors import UserError

CPU = torch.device("cpu")
RECIPE = Recipe(learning_rate=1e-3, epochs=2, batch_size=64, max_length=48)  # one batch holds all texts
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module", params=architectures.ARCHITECTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return architectures.make(tmp_path_factory.mktemp("encoder") / request.param, request.param)


@pytest.mark.parametrize("head", ["own", "mean"])
@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
def test_fast_and_authors_agree(folder: Path, pairs: bool, head: str) -> None:
    """The same losses at dropout 0 in fp32, however batches are padded and whatever embeddings are left out."""
    data, recipe = tiny.training_data(folder, pairs=pairs, max_length=48), replace(RECIPE, head=head)
    fast, authors = (
        train(data, folder, "dimp", replace(recipe, fidelity=fidelity), 3, dropout=0.0)
        for fidelity in ("fast", "authors")
    )
    np.testing.assert_allclose(tiny.losses(fast), tiny.losses(authors), rtol=1e-6)
    np.testing.assert_allclose(fast.test_probabilities, authors.test_probabilities, atol=2e-6)
    assert tiny.losses(fast)[1] != tiny.losses(fast)[0]


def test_training_with_dropout_is_the_same_bits_again(folder: Path) -> None:
    data = tiny.training_data(folder)
    prints = {tiny.fingerprint(train(data, folder, "imp", replace(RECIPE, precision="bf16"), 3)) for _ in range(2)}
    assert len(prints) == 1


def test_a_checkpoint_gives_back_the_model(folder: Path, tmp_path: Path) -> None:
    data = tiny.training_data(folder)
    trained = train(data, folder, "ce", RECIPE, 0, keep_state=True)
    assert trained.state is not None
    classifier.save_checkpoint(trained.state, tmp_path / "checkpoint", trained.kept)
    again = train(data, folder, "ce", replace(RECIPE, learning_rate=1e-30, epochs=1), 7, start=tmp_path / "checkpoint")
    np.testing.assert_allclose(again.dev_probabilities, trained.dev_probabilities, atol=1e-6)


@pytest.mark.parametrize("method", ["ren", "meta_weight_net", "hu", "sungen"])
def test_methods_that_differentiate_through_a_step(folder: Path, method: str) -> None:
    """They run with every architecture: gradients by example, forward-mode derivatives and functional calls."""
    from functools import partial

    data = tiny.training_data(folder, sizes={"train": 9, "dev": 9, "test": 9, "generated": 12})
    record = BASELINES[method]
    options = dict(record.options) | ({"iterations": 1} if method == "sungen" else {})
    step = partial(record.implementation.Step, **options)
    trained = train(data, folder, method, replace(RECIPE, batch_size=6, epochs=1), 0, loop=step)
    assert np.isfinite(trained.train_log_p).all()


# -- folders of all kinds -------------------------------------------------------------------------------------


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return architectures.make(tmp_path / "bert", "bert")


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return dict(classifier.build(folder, 3, seed=5, device=CPU).state_dict())


def test_shards_and_half_precision_load(bert: Path, tmp_path: Path) -> None:
    sharded = architectures.make(tmp_path / "sharded", "bert", max_shard_size="20KB")
    assert len(encoder.weight_files(sharded)) > 1
    encoder.check(sharded)
    for name, tensor in weights_of(bert).items():
        torch.testing.assert_close(weights_of(sharded)[name], tensor, rtol=0, atol=0)
    half = Path(shutil.copytree(bert, tmp_path / "half"))
    save_file({name: t.bfloat16() for name, t in load_file(bert / encoder.WEIGHTS).items()}, half / encoder.WEIGHTS)
    for name, tensor in weights_of(half).items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, weights_of(bert)[name], rtol=2**-7, atol=1e-6)


def test_a_folder_that_does_not_fill_its_architecture_names_the_tensors(bert: Path) -> None:
    tensors = load_file(bert / encoder.WEIGHTS)
    del tensors["encoder.layer.1.attention.self.query.weight"]
    save_file(tensors, bert / encoder.WEIGHTS)
    with pytest.raises(UserError, match=r"encoder\.layer\.1\.attention\.self\.query\.weight") as caught:
        classifier.build(bert, 3, seed=0, device=CPU)
    assert len(str(caught.value).splitlines()) == 2


def test_the_weights_of_another_architecture_are_refused(bert: Path, tmp_path: Path) -> None:
    """What MPNet calls its attention, BERT does not have."""
    mpnet = architectures.make(tmp_path / "mpnet", "mpnet")
    shutil.copyfile(mpnet / encoder.WEIGHTS, bert / encoder.WEIGHTS)
    with pytest.raises(UserError, match="do not fill"):
        classifier.build(bert, 3, seed=0, device=CPU)


@pytest.mark.parametrize("classes", [3, 5])
def test_the_head_of_a_fine_tuned_classifier_is_not_taken_over(bert: Path, tmp_path: Path, classes: int) -> None:
    """Not even where its number of classes fits; the rest of it is."""
    fresh = weights_of(bert)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        config = BertConfig.from_pretrained(bert, num_labels=classes)
        BertForSequenceClassification.from_pretrained(bert, config=config).save_pretrained(tmp_path / "tuned")
    shutil.copyfile(bert / "tokenizer.json", tmp_path / "tuned" / "tokenizer.json")
    tuned = weights_of(tmp_path / "tuned")
    for name, tensor in fresh.items():
        torch.testing.assert_close(tuned[name], tensor, rtol=0, atol=0)


def test_texts_are_cut_to_the_encoders_positions(tmp_path: Path) -> None:
    for name, tokens in (("bert", 16), ("roberta", 14)):  # RoBERTa counts positions from the id of padding on
        short = architectures.make(tmp_path / name, name, positions=16)
        data: TrainingData = tiny.training_data(short)
        assert data.train.lengths.max() == tokens
        train(data, short, "ce", replace(RECIPE, epochs=1), 0)


def test_more_tokens_than_embeddings(bert: Path) -> None:
    config = json.loads((bert / "config.json").read_text("utf-8"))
    (bert / "config.json").write_text(json.dumps({**config, "vocab_size": 20}), "utf-8")
    with pytest.raises(UserError, match="embeddings for 20"):
        encode(tiny.make_pool("pool", 3, 2), bert, 16)
