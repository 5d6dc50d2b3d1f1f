"""The three classification tasks with all their pools: the paper's D_P (train), D_P' (dev), test set and D_Q.

Real data come from a data directory (original public files), else the Hugging Face cache, else the hub; the
miniature world makes its own. D_Q of the real benchmarks is the one that this package ships.

A data directory is laid out as :mod:`paper_repro.texts.original_files` tells. To run everything on another version of these
three, with splits of your own say, put JSON lines in place of a benchmark's files (a *fourth* benchmark is one file:
:mod:`paper_repro.texts.own`)::

    financial/train.jsonl       D_P    {"text": "...", "label": "positive"}
    financial/dev.jsonl         D_P'   (for mrpc {"sentence1": "...", "sentence2": "...", "label": "1"})
    financial/test.jsonl
    financial/generated.jsonl   D_Q

All four are UTF-8, one object a line, further keys are ignored. Labels are the benchmark's label names, or
those of a file ``labels.json`` beside them: a list of names whose order is the class index. Your pools are
checked for form, not against the published hashes, and the benchmark's title says that they are yours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from paper_repro.texts import hub, original_files
from paper_repro.texts.original_files import LABEL_NAMES
from paper_repro.texts.pools import POOL_NAMES, Benchmark, Pool
from paper_repro.texts.tabular import Columns, read_rows
from paper_repro.tools.errors import UserError

if TYPE_CHECKING:
    from paper_repro.texts.world import WorldConfig

NAMES = original_files.NAMES

TITLES: Mapping[str, str] = {
    "financial": "Financial PhraseBank",
    "tweet_irony": "Tweet Irony",
    "mrpc": "MRPC",
}


def load(
    name: str,
    *,
    kind: Literal["real", "miniature"],
    data_dir: Path | None = None,
    offline: bool = False,
    world: WorldConfig | None = None,
) -> Benchmark:
    """One benchmark with the pools "train", "dev", "test" and "generated" (Table 5).

    Real data are looked for in ``data_dir`` (or ``PAPER_REPRO_DATA``), and only there when it is given;
    else in the Hugging Face cache; else, unless ``offline``, on the hub. Of the miniature world (``world``
    turns its knobs) the truth is known for each pool. Raises UserError for an unknown name or kind and for data
    that are missing, broken or altered.
    """
    return load_with_origin(name, kind=kind, data_dir=data_dir, offline=offline, world=world)[0]


def load_with_origin(
    name: str, *, kind: str, data_dir: Path | None = None, offline: bool = False, world: WorldConfig | None = None
) -> tuple[Benchmark, str]:
    """As :func:`load`, with the place that the data came from, in words."""
    if name not in NAMES:
        raise UserError(f"Unknown benchmark {name!r}, expected one of {', '.join(NAMES)}.")
    if kind == "miniature":
        from paper_repro.texts.world import WorldConfig, make

        return make(world or WorldConfig())[name], "made by this package"
    if kind != "real":
        raise UserError(f"Unknown kind of benchmark {kind!r}, expected 'real' or 'miniature'.")
    folder = data_directory(data_dir)
    if folder is not None and (folder / name / "train.jsonl").exists():
        return _own(name, folder / name), f"your own data in {folder / name}"
    if folder is not None:
        pools, origin = original_files.load(name, folder), f"directory {folder}"
    else:
        pools, where = hub.load(name, offline=offline)
        origin = f"Hugging Face {where} ({hub.REPOSITORIES[name]})"
    return Benchmark(name, TITLES[name], LABEL_NAMES[name], {**pools, "generated": _bundled(name)}), origin


def data_directory(data_dir: Path | None) -> Path | None:
    """``data_dir`` if given, else ``PAPER_REPRO_DATA``, else None (the hub's cache and the hub)."""
    if data_dir is not None:
        return data_dir.expanduser()
    from_environment = os.environ.get("PAPER_REPRO_DATA", "")
    return Path(from_environment).expanduser() if from_environment else None


def _bundled(name: str) -> Pool:
    from paper_repro.texts import generated

    bundled: Callable[[str], Pool] = generated.bundled
    return bundled(name)


def _own(name: str, folder: Path) -> Benchmark:
    labels = _own_labels(name, folder / "labels.json")
    columns = Columns("sentence1", "label", "sentence2") if name == "mrpc" else Columns()
    rows = {pool: read_rows(folder / f"{pool}.jsonl", columns, labels) for pool in POOL_NAMES}
    pools = {pool: original_files.make_pool(pool, found) for pool, found in rows.items()}
    return Benchmark(name, f"{TITLES[name]} (your own data)", labels, pools)


def _own_labels(name: str, path: Path) -> tuple[str, ...]:
    if not path.exists():
        return LABEL_NAMES[name]
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8 or not JSON
        raise UserError(f"{path}: not JSON ({error}), expected a list of label names.") from error
    if not (isinstance(labels, list) and len(set(map(str, labels))) == len(labels) >= 2):
        raise UserError(f"{path}: expected a JSON list of two or more different label names.")
    return tuple(str(label) for label in labels)
