"""Files of data sets and models from the Hugging Face hub at pinned revisions, or from its cache; no code of theirs.

``HF_ENDPOINT``, ``HF_HOME`` and ``HF_HUB_OFFLINE`` mean what they mean to ``huggingface_hub``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from paper_repro.tools.errors import UserError

Origin = Literal["cache", "hub"]


class NotCachedError(UserError):
    """A file is not in the cache and the hub may not be asked, or cannot be reached."""


def get_file(
    repository: str, revision: str, file: str, *, kind: str = "dataset", offline: bool = False
) -> tuple[Path, Origin]:
    """One file at a commit (40 hex digits): from the cache if it is there, else from the hub unless ``offline``.

    Raises NotCachedError when it is not in the cache and the hub may not be or cannot be asked; UserError
    when the hub refuses or sends something broken. A failed download leaves no file in the cache.
    """
    import huggingface_hub as hub  # late: only who asks the hub needs it
    from huggingface_hub import constants

    def download(*, cached: bool) -> Path:
        return Path(hub.hf_hub_download(repository, file, revision=revision, repo_type=kind, local_files_only=cached))

    try:
        return download(cached=True), "cache"
    except (OSError, ValueError):  # not there, not readable, no name of a repository: the second call tells
        pass
    place, cache = f"{repository}@{revision[:7]}, {file}", constants.HF_HUB_CACHE
    if offline or constants.HF_HUB_OFFLINE:
        raise NotCachedError(f"{place}: not in the cache {cache}, and offline.")
    try:
        return download(cached=False), "hub"
    except Exception as error:  # requests, httpx or the library's own errors, by version
        raise _download_error(place, error, constants.ENDPOINT, cache) from error


def _download_error(place: str, error: Exception, endpoint: str, cache: str) -> UserError:
    """What went wrong, by the first error in the chain that tells: status, disk, truncation, no network."""
    link: BaseException | None = error
    while link is not None:
        reason = str(link).strip().split("\n")[0]
        if status := getattr(getattr(link, "response", None), "status_code", None):
            way = "Check HF_ENDPOINT, or give the files by a folder." if status < 500 else "Try again later."
            return UserError(f"{place}: {endpoint} answers {status}, expected the file. {way}")
        if isinstance(link, OSError) and link.errno and link.filename:  # of the disk, not of the network
            way = "Free space or allow writing there, or point HF_HOME to another folder."
            return UserError(f"{place}: the cache {cache} cannot be used ({link.strerror}). {way}")
        if "Consistency check failed" in reason:
            return UserError(f"{place}: the download broke off: {reason} Nothing was kept; try again.")
        link = link.__cause__ or link.__context__
    return NotCachedError(f"{place}: not in the cache {cache}, and {endpoint} cannot be reached ({reason}).")


def refetch(path: Path) -> str:
    """The way out when a file is broken. In a cache, deleting the link alone would keep the content."""
    folder = next((parent.parent for parent in path.parents if parent.name == "snapshots"), None)
    return f"delete {folder} and fetch again" if folder else f"replace {path} by the published file"
