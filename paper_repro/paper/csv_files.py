"""Tables as files: CSV, whole or not at all, the same bytes for the same frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_whole


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as plain dicts."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def save(frame: pd.DataFrame, path: Path) -> Path:
    """Write a CSV, whole or not at all; the same frame gives the same bytes (six significant digits)."""
    rounded = frame.copy()
    for name in rounded.select_dtypes("float").columns:
        rounded[name] = rounded[name] + 0.0  # no -0
    return write(path, rounded.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())


def load(path: Path) -> pd.DataFrame:
    """A CSV written by :func:`save`. Raises UserError where it is missing or no table."""
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"no table {path}: run the notebook that makes it first") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a table ({error}); delete it and run its notebook again") from None


def write(path: Path, content: bytes) -> Path:
    """Put a file in place at once: readers see the old one or the new one. UserError where that fails."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); nothing was changed there") from None
    return path
