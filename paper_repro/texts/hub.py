"""The benchmarks and weights from the Hugging Face hub, at pinned revisions, or from its local cache.

The PhraseBank repository holds a loading script, which current versions of ``datasets`` refuse: its zip is
read instead. TweetEval and GLUE are stored as Parquet and read with pyarrow; ``datasets`` is not needed. No
remote code is run. What comes out equals the pools of :mod:`paper_repro.texts.original_files`, and is checked by the
same hashes.

``HF_ENDPOINT``, ``HF_HOME`` and ``HF_HUB_OFFLINE`` mean what they mean to ``huggingface_hub``.
"""

from __future__ import annotations

import errno
import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from paper_repro.texts import original_files
from paper_repro.texts.original_files import Row
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError

RepoType = Literal["dataset", "model"]
Origin = Literal["cache", "hub"]


@dataclass(frozen=True)
class Repository:
    """A hub repository at one commit: ``revision`` is its 40 hex digits, ``files`` what is read of it."""

    repo_id: str
    revision: str
    files: tuple[str, ...]
    repo_type: RepoType = "dataset"

    def __str__(self) -> str:
        return f"{self.repo_id}@{self.revision[:7]}"


PARTS = ("train", "validation", "test")
ZIP_MEMBER = "FinancialPhraseBank-v1.0/Sentences_50Agree.txt"

REPOSITORIES: Mapping[str, Repository] = {
    "financial": Repository(
        "takala/financial_phrasebank",
        "8d3fe0c36d5feec6b3cc5e455b0fcb4820fb9964",
        ("data/FinancialPhraseBank-v1.0.zip",),
    ),
    "tweet_irony": Repository(
        "cardiffnlp/tweet_eval",
        "b3a375baf0f409c77e6bc7aa35102b7b3534f8be",
        tuple(f"irony/{part}-00000-of-00001.parquet" for part in PARTS),
    ),
    "mrpc": Repository(
        "nyu-mll/glue",
        "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
        tuple(f"mrpc/{part}-00000-of-00001.parquet" for part in PARTS),
    ),
}
"""Where the benchmarks come from, by name."""


class NotCachedError(UserError):
    """A file is not in the cache and the hub may not be asked."""


def load(name: str, *, offline: bool = False) -> tuple[dict[str, Pool], Origin]:
    """The pools "train", "dev" and "test" of a benchmark, and whether the hub had to be asked for any file.

    ``offline`` looks into the cache only. Raises UserError when a file cannot be had, is broken, or is not
    the published data.
    """
    repository = REPOSITORIES[name]
    try:
        found = [get_file(repository, file, offline=offline) for file in repository.files]
    except NotCachedError as error:
        layout = ", ".join(original_files.FILES[name])
        raise UserError(
            f"{name}: {error} Ways out: connect and run 'paper-repro fetch' (HF_HUB_OFFLINE unset); copy a "
            f"filled cache and point HF_HOME to it; or give the original files ({layout}) by --data-dir or "
            "PAPER_REPRO_DATA."
        ) from error
    paths = [path for path, _ in found]
    pools = _READERS[name](paths)
    original_files.verify(name, pools, origin=f"the hub repository {repository}", remedy=refetch(paths[0]))
    return pools, "hub" if any(origin == "hub" for _, origin in found) else "cache"


def get_file(repository: Repository, file: str, *, offline: bool = False) -> tuple[Path, Origin]:
    """One file of a repository: from the cache if it is there, else from the hub unless offline.

    Raises NotCachedError when it is not in the cache and the hub may not be or cannot be asked; UserError
    when the hub refuses or sends something broken. A failed download leaves no file in the cache.
    """
    hub = _huggingface_hub()
    request: dict[str, Any] = {
        "repo_id": repository.repo_id,
        "filename": file,
        "revision": repository.revision,
        "repo_type": repository.repo_type,
    }
    try:
        return Path(hub.hf_hub_download(**request, local_files_only=True)), "cache"
    except OSError:  # not there (LocalEntryNotFoundError), or not readable: the second call tells
        pass
    if offline or hub.constants.HF_HUB_OFFLINE:
        raise NotCachedError(f"{repository}, {file}: not in the cache {hub.constants.HF_HUB_CACHE}, and offline.")
    try:
        return Path(hub.hf_hub_download(**request)), "hub"
    except Exception as error:  # requests, httpx or the library's own errors, by version
        raise _download_error(repository, file, error, hub) from error


def _download_error(repository: Repository, file: str, error: Exception, hub: Any) -> UserError:
    """What went wrong, by the first error in the chain that tells: status, disk, truncation, no network."""
    place = f"{repository}, {file}"
    endpoint = hub.constants.ENDPOINT
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    for link in chain:
        status = getattr(getattr(link, "response", None), "status_code", None)
        if status in (401, 403, 404):
            return UserError(
                f"{place}: {endpoint} answers {status}, expected the file. Check HF_ENDPOINT, or give the "
                "files by a directory (--data-dir, --encoder-dir)."
            )
        if status is not None and status >= 400:
            return UserError(f"{place}: {endpoint} answers {status}. Try again later; what is complete is kept.")
        if isinstance(link, OSError) and link.errno in _CACHE_TROUBLE:
            return UserError(
                f"{place}: the cache {hub.constants.HF_HUB_CACHE} cannot be used ({link.strerror}). Free "
                "space or allow writing there, or point HF_HOME to another folder."
            )
        if "Consistency check failed" in str(link):
            return UserError(
                f"{place}: the download from {endpoint} broke off: {_first_line(link)} Nothing was kept; try again."
            )
    return NotCachedError(
        f"{place}: not in the cache {hub.constants.HF_HUB_CACHE}, and {endpoint} cannot be reached "
        f"({type(chain[-1]).__name__}: {_first_line(chain[-1])})."
    )


_CACHE_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


def refetch(path: Path) -> str:
    """The way out when a file is broken. In a cache, deleting the link alone would keep the content."""
    folder = next((parent.parent for parent in path.parents if parent.name == "snapshots"), None)
    return f"delete {folder} and fetch again" if folder else f"replace {path} by the published file"


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0].strip() if lines else ""


def _huggingface_hub() -> Any:
    try:
        import huggingface_hub  # imported late: only who asks the hub needs it
        import huggingface_hub.constants
    except ImportError as error:
        raise UserError(
            "The package huggingface_hub is not installed, and no directory was given. Install it, or give "
            "--data-dir and --encoder-dir."
        ) from error
    return huggingface_hub


def _financial(paths: list[Path]) -> dict[str, Pool]:
    (path,) = paths
    origin = f"{path}, {ZIP_MEMBER}"
    try:
        with zipfile.ZipFile(io.BytesIO(original_files.read_bytes(path))) as archive:
            raw = archive.read(ZIP_MEMBER)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise UserError(
            f"{path}: not the zip of the PhraseBank with {ZIP_MEMBER} in it ({error}): {refetch(path)}."
        ) from error
    return original_files.financial_pools(raw, origin)


def _tweet_irony(paths: list[Path]) -> dict[str, Pool]:
    train, val, test = ([Row(row["text"], row["label"]) for row in _parquet(path, ("text", "label"))] for path in paths)
    expected, found = original_files.IRONY_LINES["val"], len(val)
    if found != expected:
        raise UserError(f"{paths[1]}: {found} rows, expected {expected}: {refetch(paths[1])}.")
    return original_files.irony_pools({"train": train, "val": val, "test": test})


def _mrpc(paths: list[Path]) -> dict[str, Pool]:
    # ``idx`` is the row of the released file, whose order our pools keep.
    columns = ("sentence1", "sentence2", "label", "idx")
    train, dev, test = (
        [
            Row(row["sentence1"], row["label"], row["sentence2"])
            for row in sorted(_parquet(path, columns), key=lambda row: row["idx"])
        ]
        for path in paths
    )
    return original_files.mrpc_pools(train, dev, test)


def _parquet(path: Path, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(
            f"{path}: reading Parquet needs the package pyarrow. Install it, or give --data-dir."
        ) from error
    try:
        table = parquet.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({_first_line(error)}): {refetch(path)}.") from error
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise UserError(
            f"{path}: no column {', '.join(missing)} (found {', '.join(table.column_names)}): {refetch(path)}."
        )
    rows: list[dict[str, Any]] = table.select(list(columns)).to_pylist()
    return rows


_READERS: Mapping[str, Callable[[list[Path]], dict[str, Pool]]] = {
    "financial": _financial,
    "tweet_irony": _tweet_irony,
    "mrpc": _mrpc,
}
