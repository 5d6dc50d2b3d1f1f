"""The three real benchmarks, read from the files that their publishers released (App. G.1 and Table 5).

A data directory is laid out as the publishers named their files::

    financial/Sentences_50Agree.txt                 ISO-8859-1, "sentence@label" a line, parted by the last @
    tweet_irony/{train,val,test}_{text,labels}.txt  UTF-8, line i of the labels belongs to line i of the texts
    mrpc/msr_paraphrase_{train,test}.txt            UTF-8, tab-separated, header; a quote is just a character
    mrpc/dev_ids.tsv                                the pairs of string ids that GLUE took out as its dev set

The paper's random splits are lost. The splits used here are fixed by line numbers in ``assets/splits/*.json``
of this package, which state their rule; MRPC's dev set is GLUE's. Sizes are those of Table 5. Every pool is
compared with a content hash, so that altered data cannot pass as the benchmark. Duplicated texts are a fact
of these data sets: they are counted (:func:`duplicates`) and kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import BUNDLED

NAMES = ("financial", "tweet_irony", "mrpc")

LABEL_NAMES: Mapping[str, tuple[str, ...]] = {
    "financial": ("negative", "neutral", "positive"),
    "tweet_irony": ("non-irony", "irony"),
    "mrpc": ("0", "1"),
}

SIZES: Mapping[str, Mapping[str, int]] = {
    "financial": {"train": 3392, "dev": 242, "test": 1212},
    "tweet_irony": {"train": 2862, "dev": 200, "test": 784},
    "mrpc": {"train": 3668, "dev": 408, "test": 1725},
}
"""Examples by benchmark and pool (Table 5)."""

FINGERPRINTS: Mapping[str, Mapping[str, str]] = {
    "financial": {
        "train": "44b8f587b50d1adc57eadaee312bbdd554111d3be4002d310fb93a044c551562",
        "dev": "307c93ed7ede18bb2a1c68fb71ca80642456a8026415543d80b30c0a47842793",
        "test": "951d444e98d117e325acf0bc1ee2ee838cfb3994c3cc12d06e70934640cc3b79",
    },
    "tweet_irony": {
        "train": "7302f06e5f6ac58ba4fb3efdbd0e9b8f5328d2456bcf0025e1e2a3248804b40c",
        "dev": "7694567d471d77923197e5f7335f6a53ab41912fa1c5301af0c672ddf54474fc",
        "test": "89682ed6ab37a1284dfd539f7254bb58e32f104fbf3f5304341644b91b8d2af8",
    },
    "mrpc": {
        "train": "d130507dd5fb35955e970c50886ae0a5b291bdeaab2a4b08aad3861a2a509d89",
        "dev": "ef1db60304146f55ed35687ad60fc6352fb3057b85c5239852bbfe8bdc8e0704",
        "test": "8a56baa77e5fd7a4048ac64332defebbe3c34d9c7d8371812ad8960cb8b11a11",
    },
}
"""``Pool.fingerprint`` by benchmark and pool, of the released files under the splits of this package."""

FILES: Mapping[str, tuple[str, ...]] = {
    "financial": ("financial/Sentences_50Agree.txt",),
    "tweet_irony": tuple(
        f"tweet_irony/{part}_{kind}.txt" for part in ("train", "val", "test") for kind in ("text", "labels")
    ),
    "mrpc": ("mrpc/msr_paraphrase_train.txt", "mrpc/msr_paraphrase_test.txt", "mrpc/dev_ids.tsv"),
}
"""Files of a data directory that each benchmark needs."""

SENTENCES = 4846
"""Sentences of Sentences_50Agree.txt (the paper's 4,840 is a slip: its own splits sum to 4,846)."""

IRONY_LINES: Mapping[str, int] = {"train": 2862, "val": 955, "test": 784}
MRPC_LINES: Mapping[str, int] = {"train": 4076, "test": 1725}
MRPC_HEADER = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")

REPLACE = "put the file as published in its place, or leave the data directory out to fetch the data from the hub"


class Row(NamedTuple):
    """One example as released: its text, its label as a class index, and the second sentence of a pair."""

    text: str
    label: int
    pair: str | None = None


def load(name: str, data_dir: Path) -> dict[str, Pool]:
    """The pools "train", "dev" and "test" of a benchmark from the original files in ``data_dir``.

    Raises UserError when the directory or a file is missing, unreadable, cut short, in another encoding,
    has an unknown label or an empty text, or when a pool is not the published one.
    """
    if not data_dir.is_dir():
        found = "is not a directory" if data_dir.exists() else "does not exist"
        raise UserError(
            f"Data directory {data_dir} {found}. Give the folder that holds {', '.join(NAMES)} "
            "(--data-dir or PAPER_REPRO_DATA), or leave it out to fetch the data from the hub."
        )
    pools = _READERS[name](data_dir)
    verify(name, pools, origin=str(data_dir / name), remedy=REPLACE)
    return pools


def verify(name: str, pools: Mapping[str, Pool], *, origin: str, remedy: str) -> None:
    """Compare sizes (Table 5) and content hashes; raises UserError that says which pool differs and how."""
    for pool in pools.values():
        size = SIZES[name][pool.name]
        if len(pool) != size:
            raise UserError(
                f"{name}, pool {pool.name}, from {origin}: {len(pool)} examples, expected {size} (Table 5): {remedy}."
            )
    for pool in pools.values():
        expected = FINGERPRINTS[name][pool.name]
        if pool.fingerprint != expected:
            raise UserError(
                f"{name}, pool {pool.name}, from {origin}: the content differs from the published data "
                f"(SHA-256 {pool.fingerprint[:12]}..., expected {expected[:12]}...): {remedy}."
            )


def duplicates(pool: Pool) -> int:
    """Examples whose text (or pair of texts) stood in the pool before; their labels may differ."""
    keys = pool.texts if pool.pairs is None else tuple(zip(pool.texts, pool.pairs, strict=True))
    return len(keys) - len(set(keys))


# Financial PhraseBank


def financial_pools(raw: bytes, origin: str) -> dict[str, Pool]:
    """The pools of Financial PhraseBank from the bytes of Sentences_50Agree.txt; errors name ``origin``."""
    lines = _lines(_latin1(raw, origin))
    _expect_lines(len(lines), SENTENCES, origin)
    rows = [_financial_row(line, origin, number) for number, line in lines]
    splits = read_splits("financial")
    return {part: make_pool(part, [rows[i] for i in splits[part]]) for part in ("train", "dev", "test")}


def _financial_row(line: str, origin: str, number: int) -> Row:
    sentence, at, label = line.rpartition("@")
    if not at:
        raise UserError(
            f"{origin}, line {number}: no '@' between sentence and label, expected 'sentence@label': {REPLACE}."
        )
    names = LABEL_NAMES["financial"]
    return Row(_text(sentence, origin, number), _label(label.strip(), names, origin, number))


def _read_financial(data_dir: Path) -> dict[str, Pool]:
    path = data_dir / "financial" / "Sentences_50Agree.txt"
    return financial_pools(read_bytes(path), str(path))


# Tweet Irony


def irony_pools(rows: Mapping[str, Sequence[Row]]) -> dict[str, Pool]:
    """The pools of Tweet Irony from the released parts "train", "val" and "test"; dev is a subset of val."""
    dev = read_splits("tweet_irony")["dev"]
    return {
        "train": make_pool("train", rows["train"]),
        "dev": make_pool("dev", [rows["val"][i] for i in dev]),
        "test": make_pool("test", rows["test"]),
    }


def _read_irony(data_dir: Path) -> dict[str, Pool]:
    return irony_pools({part: _irony_part(data_dir / "tweet_irony", part) for part in IRONY_LINES})


def _irony_part(folder: Path, part: str) -> list[Row]:
    texts_path, labels_path = folder / f"{part}_text.txt", folder / f"{part}_labels.txt"
    texts = _lines(_utf8(read_bytes(texts_path), str(texts_path)))
    labels = _lines(_utf8(read_bytes(labels_path), str(labels_path)))
    _expect_lines(len(texts), IRONY_LINES[part], str(texts_path))
    _expect_lines(len(labels), IRONY_LINES[part], str(labels_path))
    return [
        Row(_text(text, str(texts_path), number), _label(label.strip(), ("0", "1"), str(labels_path), number))
        for (number, text), (_, label) in zip(texts, labels, strict=True)
    ]


# MRPC


def mrpc_pools(train: Sequence[Row], dev: Sequence[Row], test: Sequence[Row]) -> dict[str, Pool]:
    """The pools of MRPC; ``train`` and ``dev`` in the order of the released training file."""
    return {"train": make_pool("train", train), "dev": make_pool("dev", dev), "test": make_pool("test", test)}


def _read_mrpc(data_dir: Path) -> dict[str, Pool]:
    folder = data_dir / "mrpc"
    dev_ids = _dev_ids(folder / "dev_ids.tsv")
    released = _mrpc_file(folder / "msr_paraphrase_train.txt", MRPC_LINES["train"])
    missing = dev_ids - {ids for ids, _ in released}
    if missing:
        raise UserError(
            f"{folder / 'dev_ids.tsv'}: {len(missing)} of {len(dev_ids)} pairs of ids (such as "
            f"{' '.join(min(missing))}) are not in msr_paraphrase_train.txt: {REPLACE}."
        )
    train = [row for ids, row in released if ids not in dev_ids]
    dev = [row for ids, row in released if ids in dev_ids]
    test = [row for _, row in _mrpc_file(folder / "msr_paraphrase_test.txt", MRPC_LINES["test"])]
    return mrpc_pools(train, dev, test)


def _dev_ids(path: Path) -> set[tuple[str, str]]:
    lines = _lines(_utf8(read_bytes(path), str(path)))
    _expect_lines(len(lines), SIZES["mrpc"]["dev"], str(path))
    ids = set()
    for number, line in lines:
        fields = line.strip().split("\t")
        if len(fields) != 2:
            raise UserError(f"{path}, line {number}: {len(fields)} fields, expected 2 ids with a tab: {REPLACE}.")
        ids.add((fields[0], fields[1]))
    return ids


def _mrpc_file(path: Path, expected: int) -> list[tuple[tuple[str, str], Row]]:
    origin = str(path)
    # Split by hand: the sentences hold unbalanced quotes, on which a CSV reader swallows whole lines.
    lines = _lines(_utf8(read_bytes(path), origin))
    if not lines or tuple(lines[0][1].rstrip("\r").split("\t")) != MRPC_HEADER:
        raise UserError(f"{origin}, line 1: expected the header {' | '.join(MRPC_HEADER)}: {REPLACE}.")
    _expect_lines(len(lines) - 1, expected, origin)
    rows = []
    for number, line in lines[1:]:
        fields = line.rstrip("\r").split("\t")
        if len(fields) != len(MRPC_HEADER):
            raise UserError(
                f"{origin}, line {number}: {len(fields)} tab-separated fields, expected {len(MRPC_HEADER)}: {REPLACE}."
            )
        label = _label(fields[0], LABEL_NAMES["mrpc"], origin, number)
        first, second = (_text(field, origin, number) for field in fields[3:])
        rows.append(((fields[1], fields[2]), Row(first, label, second)))
    return rows


_READERS: Mapping[str, Callable[[Path], dict[str, Pool]]] = {
    "financial": _read_financial,
    "tweet_irony": _read_irony,
    "mrpc": _read_mrpc,
}


# Shared pieces


def make_pool(name: str, rows: Sequence[Row]) -> Pool:
    """A pool of rows in their order; a pool of pairs if the rows are pairs."""
    pairs = tuple(row.pair for row in rows if row.pair is not None)
    labels = np.array([row.label for row in rows], dtype=np.int64)
    return Pool(name, tuple(row.text for row in rows), labels, pairs or None)


def read_splits(name: str) -> dict[str, list[int]]:
    """0-based line numbers by pool, from the split file that this package ships."""
    content = json.loads((BUNDLED / "splits" / f"{name}.json").read_text(encoding="utf-8"))
    return {pool: rows for pool, rows in content.items() if isinstance(rows, list)}


def read_bytes(path: Path) -> bytes:
    """The file's bytes; raises UserError when it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"Missing file {path}: {REPLACE}.") from None
    except OSError as error:
        raise UserError(
            f"Cannot read {path}: {error.strerror or error}. Check the path and its permissions."
        ) from error


def _utf8(raw: bytes, origin: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        guess = "UTF-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "ISO-8859-1 or cut inside a character"
        raise UserError(
            f"{origin}: byte {error.start} is not UTF-8 (perhaps {guess}), expected UTF-8: {REPLACE}."
        ) from error


def _latin1(raw: bytes, origin: str) -> str:
    # Every byte is valid ISO-8859-1, but the published file is no valid UTF-8: what is has been converted.
    marked = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    if marked or (not raw.isascii() and _is_utf8(raw)):
        found = "UTF-16" if marked else "UTF-8"
        raise UserError(f"{origin}: the file is {found}, expected ISO-8859-1 (Latin-1) as published: {REPLACE}.")
    return raw.decode("latin-1")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _lines(text: str) -> list[tuple[int, str]]:
    """Lines with their 1-based numbers. Only a line feed ends a line: texts may hold other separators."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return list(enumerate(lines, start=1))


def _expect_lines(found: int, expected: int, origin: str) -> None:
    if found != expected:
        hint = "the file seems to be cut short" if found < expected else "something was added"
        raise UserError(f"{origin}: {found} examples (lines), expected {expected}; {hint}: {REPLACE}.")


def _text(text: str, origin: str, number: int) -> str:
    stripped = text.strip()
    if not stripped:
        raise UserError(f"{origin}, line {number}: the text is empty, expected a sentence: {REPLACE}.")
    return stripped


def _label(label: str, known: Sequence[str], origin: str, number: int) -> int:
    if label not in known:
        shown = label if len(label) <= 30 else label[:30] + "..."
        raise UserError(f"{origin}, line {number}: label {shown!r}, expected one of {', '.join(known)}: {REPLACE}.")
    return known.index(label)
