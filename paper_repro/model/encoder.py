"""A pre-trained encoder on disk: checked, fingerprinted, and cut to its first layers where that is asked for.

An encoder is a directory in Hugging Face layout: ``config.json``, the weights in safetensors (one file, or shards with
``model.safetensors.index.json``) and ``tokenizer.json``. Weights in pickle (``pytorch_model.bin``) are never read.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from paper_repro.tools.errors import UserError
from paper_repro.tools.files import make_whole

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZER = ("special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
LAYER = re.compile(r"(?:^|\.)(?:encoder\.layer|transformer\.layer|layers)\.(\d+)\.")
"""The number of the layer in a tensor's name: BERT and its kin, DistilBERT, ModernBERT."""
LAYER_COUNTS = ("num_hidden_layers", "n_layers")


@dataclass(frozen=True)
class Encoder:
    """A pre-trained encoder on disk.

    ``fingerprint`` is the SHA-256 (hex) over its configuration, weights and tokenizer files; it does not
    depend on where they lie. ``origin`` is the place that they came from, in words.
    """

    name: str
    directory: Path
    fingerprint: str
    origin: str = field(default="", compare=False)

    @property
    def here(self) -> bool:
        """Whether its files are at hand; of shipped runs only the fingerprint is."""
        return self.directory.is_dir()


def from_directory(name: str, directory: Path, origin: str = "", *, sha256: str | None = None) -> Encoder:
    """The encoder in ``directory``, checked for form and, if ``sha256`` is given, for its weights.

    Raises UserError for files that are missing, broken or not the expected ones.
    """
    check(directory)
    if sha256 is not None and (found := digest(directory / WEIGHTS)) != sha256:
        raise UserError(
            f"{directory / WEIGHTS}: SHA-256 {found[:12]}..., expected {sha256[:12]}... for {name}: the file is "
            "damaged or altered. Delete it and get it again, or give --encoder-dir."
        )
    return Encoder(name, directory, fingerprint(directory), origin)


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files of an encoder: the one, or its shards in order. UserError for a broken index."""
    if (directory / WEIGHTS).is_file() or not (directory / INDEX).is_file():
        return [directory / WEIGHTS]
    try:
        shards = sorted(set(json.loads((directory / INDEX).read_text("utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{directory / INDEX}: not an index of weights ({error}). Get the file again.") from error
    return [directory / str(shard) for shard in shards]


def fingerprint(directory: Path) -> str:
    """SHA-256 (hex) over the names and contents of all files that can change what the encoder computes."""
    names = {"config.json", *TOKENIZER, *(path.name for path in weight_files(directory))}
    if (directory / INDEX).exists() and not (directory / WEIGHTS).exists():
        names.add(INDEX)
    parts = [f"{name} {digest(directory / name)}\n" for name in sorted(names) if (directory / name).exists()]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def digest(path: Path) -> str:
    """SHA-256 (hex) of a file, computed once a process for each (path, size, time of change)."""
    status = path.stat()
    key = (str(path.resolve()), status.st_size, status.st_mtime_ns)
    if key not in _DIGESTS:
        with path.open("rb") as file:
            _DIGESTS[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _DIGESTS[key]


_DIGESTS: dict[tuple[str, int, int], str] = {}


def check(directory: Path) -> None:
    """Raise UserError unless the directory holds a readable configuration, a tokenizer and whole weights."""
    layout = f"config.json, {WEIGHTS} (or shards with {INDEX}) and tokenizer.json"
    if not directory.is_dir():
        raise UserError(f"Encoder directory {directory} does not exist, expected a folder with {layout}.")
    weights = weight_files(directory)
    if not weights[0].exists() and (directory / "pytorch_model.bin").exists():
        raise UserError(
            f"{directory}: only pytorch_model.bin, a pickle, which is never read here; expected {WEIGHTS}. "
            "Load the model where you trust it and save it with save_pretrained(..., "
            "safe_serialization=True)."
        )
    for path in (directory / "config.json", *weights, directory / "tokenizer.json"):
        if not path.is_file():
            raise UserError(f"Encoder directory {directory}: {path.name} is missing, expected {layout}.")
    config_of(directory)
    for path in weights:
        try:
            with safe_open(path, framework="numpy"):  # compares the file's length with what its header promises
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: damaged or cut short ({error}). Get it again.") from error


def config_of(directory: Path) -> dict[str, Any]:
    """The content of ``config.json``. UserError where there is none, or no JSON object."""
    path = directory / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not JSON ({error}). Put the published file there.") from error
    return content


def first_layers(encoder: Encoder, layers: int, cache: Path) -> Encoder:
    """The encoder without its upper layers; embeddings, pooler and vocabulary are those of the whole.

    Its folder is ``cache/encoders/<name>-<layers>-layers-<key>``, made once. Raises UserError unless the encoder has
    more layers than that.
    """
    available = _layers_in(config_of(encoder.directory))
    if layers >= available:
        raise UserError(
            f"Encoder {encoder.name}:{layers}: {encoder.name} has {available} layers, expected a number below that."
        )
    folder = cache / "encoders" / f"{encoder.name}-{layers}-layers-{encoder.fingerprint[:16]}"
    make_whole(folder, lambda partial: _write_first_layers(encoder.directory, layers, partial))
    return from_directory(f"{encoder.name}:{layers}", folder, f"the first {layers} layers of {encoder.origin}")


def _write_first_layers(whole: Path, layers: int, folder: Path) -> None:
    from safetensors.torch import save_file  # late: it brings torch

    for name in TOKENIZER:
        if (whole / name).exists():
            shutil.copyfile(whole / name, folder / name)
    config = config_of(whole)
    cut: dict[str, Any] = {name: layers for name in LAYER_COUNTS if name in config}
    for name, entry in config.items():
        if isinstance(entry, list) and len(entry) == _layers_in(config):  # ModernBERT lists the kind of each layer
            cut[name] = entry[:layers]
    (folder / "config.json").write_text(json.dumps({**config, **cut}, indent=2) + "\n", "utf-8")
    kept: dict[str, Any] = {}
    for path in weight_files(whole):
        with safe_open(path, framework="pt") as file:
            kept |= {name: file.get_tensor(name) for name in file.keys() if _layer(name) < layers}  # noqa: SIM118
    save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})


def _layers_in(config: dict[str, Any]) -> int:
    return next((int(config[name]) for name in LAYER_COUNTS if name in config), 0)


def _layer(tensor: str) -> int:
    """Which layer a tensor belongs to, from 0; -1 for those of the embeddings and what stands above the layers."""
    found = LAYER.search(tensor)
    return int(found[1]) if found else -1
