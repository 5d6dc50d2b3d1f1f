"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` beside ``path`` and rename it; an error (a full disk, say) leaves nothing behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened by name, not by mkstemp, whose files only their owner may read: a store may be shared.
    partial = path.with_name(f".{path.name[:12]}-{uuid4().hex}")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as JSON for people and programs, whole or not at all."""
    write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill, which then takes the place of ``folder``; an error leaves nothing behind."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield partial
        os.chmod(partial, 0o755)  # a temporary folder is its owner's alone; a store or a cache may be shared
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def make_whole(folder: Path, fill: Callable[[Path], None]) -> Path:
    """``folder`` as ``fill`` writes it, made once: of several processes that ask for it one does the work."""
    if folder.is_dir():  # nothing is written then, not even a lock: the place may be one that can only be read
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            for left in folder.parent.glob(f".{folder.name}.*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            with whole_folder(folder) as partial:
                fill(partial)
    return folder
