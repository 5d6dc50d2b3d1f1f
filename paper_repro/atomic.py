"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4


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
