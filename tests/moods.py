"""A made-up benchmark of three moods: its TOML file, its CSV and its D_Q."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tiny

LABELS = ("down", "flat", "up")
FILE = """
title = "Three moods"
system_title = "System prompt"
system = "You write about a market."
user = "Write a text that is {label}.\\n{examples}"
again = "Another one?"
example = "{text}"

[labels]
down = "sad"
flat = "dull"
up = "glad"

[data]
file = "moods.csv"
text = "words"
label = "mood"
dev = 24
test = 30
seed = 0
generated = "moods.generated.jsonl"
"""
Make = Callable[..., Path]


def csv_of(rows: list[tuple[str, str]]) -> str:
    return "words,mood,number\n" + "".join(f'"{text}",{label},{i}\n' for i, (text, label) in enumerate(rows))


def texts(count: int, seed: int) -> list[tuple[str, str]]:
    """Different texts of the tiny encoder's words; classes down, flat, up as 1 : 2 : 3."""
    labels = np.resize([0, 1, 1, 2, 2, 2], count)
    pool = tiny.make_pool("train", 6 * count, 3, seed=seed)
    stock = [list(dict.fromkeys(np.array(pool.texts)[pool.labels == label].tolist())) for label in range(3)]
    return [(stock[label].pop(), LABELS[label]) for label in labels]


def maker(folder: Path) -> Make:
    """Writes moods.toml and its files, each with one piece of text replaced; returns its path."""

    def make(old: str = "", new: str = "", rows: list[tuple[str, str]] | None = None) -> Path:
        assert old in FILE, "the test must change something"
        (folder / "moods.toml").write_text(FILE.replace(old, new, 1) if old else FILE, "utf-8")
        (folder / "moods.csv").write_text(csv_of(texts(90, seed=1) if rows is None else rows), "utf-8")
        made_up = [json.dumps({"label": label, "text": text}) for text, label in texts(48, seed=2)]
        (folder / "moods.generated.jsonl").write_text("\n".join(made_up), "utf-8")
        return folder / "moods.toml"

    return make
