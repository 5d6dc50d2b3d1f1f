"""What ``paper-repro list`` says: the notebooks, the paper's items that they make, their parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from paper_repro.paper import published
from paper_repro.report.parameters import COMMON, declared

LINE = re.compile(r"^(\w+)\s*(?::[^=]+)?=.*?  # (.+)$", re.MULTILINE)


def lines(notebooks: Sequence[Path], *, whole: bool) -> list[str]:
    """A block for each notebook; ``whole`` explains each parameter, else only their names stand there."""
    items, told = published.items(), list[str]()
    for path in notebooks:
        made = items.loc[items["notebook"] == path.stem, "item"]
        known = declared(path)
        own = {name: parameter for name, parameter in known.items() if name not in COMMON}
        told.append(f"{path.stem}: {_title(path)}")
        told += [f"  makes {', '.join(made)}"] if len(made) else []
        if whole:
            about = dict(LINE.findall(_parameters_cell(path)))
            told += [f"  -p {name} {own[name].default!r}: {about.get(name, '')}".rstrip(": ") for name in own]
            shared = [f"--{name.removesuffix('_file').replace('_', '-')}" for name in known if name in COMMON]
            told.append(f"  options {', '.join(shared)}")
        else:
            told += [f"  parameters {', '.join(own)}"] if own else []
    return told


def _cells(path: Path) -> list[dict[str, object]]:
    return list(json.loads(path.read_text("utf-8"))["cells"])


def _title(path: Path) -> str:
    first = "".join(_cells(path)[0]["source"]).partition("\n")[0]  # type: ignore[arg-type]
    return re.sub(r"^#+ *(\d+ *· *)?", "", first)


def _parameters_cell(path: Path) -> str:
    tagged = (c for c in _cells(path) if "parameters" in c.get("metadata", {}).get("tags", []))  # type: ignore[attr-defined]
    return "".join(next(tagged, {"source": ""})["source"])  # type: ignore[arg-type]
