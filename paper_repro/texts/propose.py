"""From files of labelled texts to the description of a benchmark: what ``paper-repro init`` proposes and finds."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from paper_repro.texts import readers
from paper_repro.texts.description import Reading, columns
from paper_repro.texts.generated import word_counts
from paper_repro.texts.pools import SYMBOLS, Benchmark
from paper_repro.tools.errors import UserError

DRAWN = {"dev": (0.2, 300), "test": (0.25, 2000)}
"""Which share of a file is proposed for D_P' and the test set, and the most texts: about what the paper's have."""
SHOWN = 30
"""Classes that :func:`overview` lists."""
PROMPT = '''
# What a language model is asked for, in the form of Table 6. Say in your own words what the texts are.
system_title = "System prompt"
system = "You write texts for a data set. Each text must look like the examples, and no two texts may be alike."
user = """Write a text of the class {label}, about {num_of_words} words long. For example:
{examples}
..."""
again = "Can you provide something more diverse than the previously generated data?"
example = "{text}"
'''
PAIRS = '''
# What a language model is asked for, in the form of Table 6. Say in your own words what the texts are.
system_title = "System prompt"
system = """Generate {num_of_examples} data points like the following examples, with each label about as often. \\
Output nothing but data points in this format, different from the examples."""
user = """For example:
{examples}
..."""
again = "Can you provide something more diverse than the previously generated data?"
example = "sentence1: {text} — sentence2: {pair} — label: {label}"
'''
LENGTH = """
# {num_of_words}: log-normal around the mean number of words of D_P'; cut off at these multiples of that mean.
[length]
sigma = 0.38
shortest = 0.33
longest = 2.0
"""


def toml(
    target: Path, how: Reading, files: Mapping[str, Path], sizes: Mapping[str, int], *, title: str = "", prompt: bool
) -> str:
    """The text of the description ``target`` for ``files`` by pool ("train", "dev", "test", "generated").

    ``how`` reads all of them, D_Q (which need not be there) perhaps without its encoding and separator. What is neither
    in ``files`` nor in ``sizes`` is drawn from D_P's file by :data:`DRAWN`. With ``prompt`` there is one to change.
    Raises UserError where a file cannot be read, and for labels that are no classes.
    """
    classes: defaultdict[str, int] = defaultdict()
    classes.default_factory = classes.__len__  # a label that is new becomes the next class
    read = {pool: readers.read(path, how, classes) for pool, path in files.items() if pool != "generated"}
    count = sum(map(len, read.values()))
    if len(classes) < 2 or len(classes) > max(2, count / 2):
        found = f"{how.label!r} holds {len(classes)} different labels in {count} texts"
        raise UserError(f"{files['train']}: {found}, expected at least two classes with several texts each")
    numbers = all(name.isdecimal() for name in classes)
    names = sorted(classes, key=int if numbers else lambda name: (name.casefold(), name))  # type: ignore[arg-type]
    held = {row[::2] for pool, rows in read.items() if pool != "train" for row in rows}
    different = len({row[::2] for row in read["train"]} - held)
    sizes = {pool: max(1, min(most, int(share * different))) for pool, (share, most) in DRAWN.items()} | dict(sizes)
    lines = [f"# Proposed by `paper-repro init` for {files['train'].name!a}. Change what does not fit."]
    title = title or target.stem.replace("_", " ").replace("-", " ").capitalize()
    lines.append(f"title = {_quoted(title)}")
    if not prompt:
        lines.append(f"labels = [{', '.join(map(_quoted, names))}]")
    else:
        lines += [LENGTH if not how.pair else "", "# The label in the data = what a request calls it.", "[labels]"]
        lines[2:2] = [PAIRS if how.pair else PROMPT]
        lines += [f"{_quoted(name)} = {_quoted(name)}" for name in names]
    lines += ["", "[data]  # paths go from the folder of this file"]
    for pool in ("train", "dev", "test"):
        if pool in files:
            lines.append(f"{pool} = {_path(files[pool], target)}")
        else:
            lines.append(f"{pool} = {sizes[pool]}  # texts of {SYMBOLS[pool]}, drawn from train, classes in proportion")
    usual, given = Reading(), {f.name: getattr(how, f.name) for f in fields(Reading)}
    changed = {name: value for name, value in given.items() if value != getattr(usual, name)}
    lines += [f"{name} = {_quoted(value) if isinstance(value, str) else 'false'}" for name, value in changed.items()]
    if not {"dev", "test"} <= set(files):
        lines.append("seed = 0  # draws them")
    made = _path(files["generated"], target)
    dialect = [f"{name} = {_quoted(changed[name])}" for name in ("encoding", "separator") if name in changed]
    if dialect and files["generated"].exists() and not _plain(files["generated"], how, names):
        made = f"{{ {', '.join([f'file = {made}', *dialect])} }}"
    lines += [f"generated = {made}  # D_Q", ""]
    return "\n".join(lines)


def _plain(path: Path, how: Reading, names: list[str]) -> bool:
    """Whether D_Q is read without the encoding and the separator of the data."""
    labels, other = dict.fromkeys(names, 0), columns(bool(how.pair))
    try:
        readers.read(path, replace(how, encoding="utf-8", separator=""), labels, other=other)
    except UserError:
        return False
    return True


def _quoted(text: str) -> str:
    """A string of TOML; its escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _path(path: Path, target: Path) -> str:
    """As it goes from the folder of the description, where that is shorter; never with a ~ at its start."""
    whole = path.resolve()
    near = os.path.relpath(whole, target.parent)
    return _quoted(whole.as_posix() if near.startswith(("..", "~")) else Path(near).as_posix())


def overview(benchmark: Benchmark) -> pd.DataFrame:
    """One column for each pool; rows: texts of each class (of the first :data:`SHOWN`), texts in all, the median and
    the largest number of words, texts that stand twice in the pool, and those that stand in D_Q as well."""
    made = set(benchmark.pools["generated"].inputs) if "generated" in benchmark.pools else None
    table = {}
    for name, pool in benchmark.pools.items():
        counts, words = np.bincount(pool.labels, minlength=benchmark.classes), word_counts(pool)
        labels = [name if name.isprintable() else ascii(name) for name in benchmark.label_names]
        column = dict(zip(labels[:SHOWN], map(str, counts), strict=False))
        if len(labels) > SHOWN:
            column[f"... {len(labels) - SHOWN} more"] = str(counts[SHOWN:].sum())
        column |= {"all": str(len(pool)), "words, median": f"{np.median(words):.0f}", "words, most": str(words.max())}
        column["standing twice"] = str(pool.repeated)
        both = "" if made is None or name == "generated" else str(sum(text in made for text in pool.inputs))
        table[SYMBOLS[name]] = {**column, "in D_Q, too": both}
    return pd.DataFrame(table)
