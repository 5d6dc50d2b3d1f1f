"""The prompts of Table 6 (App. I.1), each task's in one small file, filled with labels, lengths and examples.

A prompt file (``assets/prompts/<task>.toml``) holds the two messages, the line of one example, the wording of
the labels and how lengths are drawn. A new task is one more such file: give its path where a task's name
is taken. With a title and a table ``[data]`` it is a benchmark of one's own (:mod:`paper_repro.texts.own`).
Sending the messages of :func:`prompt` to a language model is not this module's business.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import BUNDLED

PROMPTS = BUNDLED / "prompts"

_MESSAGE_FIELDS = {"label", "num_of_words", "num_of_examples", "examples"}
_EXAMPLE_FIELDS = {"text", "pair", "label"}
_BENCHMARK_FIELDS = {"title", "data"}


@dataclass(frozen=True)
class Length:
    """How {num_of_words} is drawn: log-normal with standard deviation ``sigma`` of the logarithm,
    cut off at ``shortest`` and ``longest`` times the benchmark's mean."""

    sigma: float
    shortest: float
    longest: float


@dataclass(frozen=True)
class Template:
    """One task's prompt file.

    ``labels`` are the names of the classes, in the benchmark's order; ``wording`` is what a request calls them, where a
    {label} stands in its messages (the names themselves, unless the file says more: ``spam = "unwanted mail"``).
    ``question`` is what few-shot prediction asks about a text (:mod:`paper_repro.llm.few_shot`).
    """

    name: str
    labels: tuple[str, ...]
    wording: tuple[str, ...]
    system_title: str
    system: str
    user: str
    again: str
    example: str
    length: Length | None = None
    question: str = ""

    @property
    def one_label(self) -> bool:
        """Whether a request asks for texts of one label (MRPC's asks for both)."""
        return "label" in _placeholders(self.system + self.user, self.name)

    @property
    def paired(self) -> bool:
        return "pair" in _placeholders(self.example, self.name)


def _placeholders(text: str, source: object) -> set[str]:
    try:
        return {field for _, field, _, _ in Formatter().parse(text) if field is not None}
    except ValueError as error:
        raise UserError(f"{source}: {error}; write a literal brace as {{{{ or }}}}") from None


def template(task: str | Path) -> Template:
    """The prompt file of a bundled task (by name) or of a user's own (by path).

    Raises UserError for an unknown task, broken TOML, missing or unknown fields and placeholders.
    """
    path = Path(task) if str(task).endswith(".toml") else PROMPTS / f"{task}.toml"
    return _checked(path, entries(path))


def entries(path: Path) -> dict[str, Any]:
    """What a prompt file says, unchecked. Raises UserError where there is none, and for broken TOML."""
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PROMPTS.glob("*.toml")))
        raise UserError(f"no prompt file {path}: bundled tasks are {known}; your own is given by its path (.toml)")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a TOML file in UTF-8 ({error})") from None


def _checked(path: Path, entries: dict[str, Any]) -> Template:
    texts = {f.name for f in fields(Template)} - {"name", "wording", "labels", "length", "question"}
    required, known = texts | {"labels"}, texts | {"labels", "length", "question"} | _BENCHMARK_FIELDS
    unknown, missing = set(entries) - known, required - set(entries)
    if unknown or missing:
        what = f"unknown field {min(unknown)!r}" if unknown else f"field {min(missing)!r} is missing"
        raise UserError(f"{path}: {what}; a prompt file has {', '.join(sorted(known))}")
    labels, wording = _checked_labels(path, entries["labels"])
    length = _checked_length(path, entries.get("length"))
    for field in sorted(texts):
        value = entries[field]
        if not isinstance(value, str):
            raise UserError(f"{path}: {field} = {value!r}; expected text")
        allowed = _EXAMPLE_FIELDS if field == "example" else _MESSAGE_FIELDS
        if strange := _placeholders(value, f"{path}: {field}") - allowed:
            choice = ", ".join(f"{{{name}}}" for name in sorted(allowed))
            raise UserError(f"{path}: {field} holds {{{min(strange)}}}; known placeholders are {choice}")
    question = entries.get("question", "")
    if not isinstance(question, str):
        raise UserError(f"{path}: question = {question!r}; expected text")
    return Template(path.stem, labels, wording, length=length, question=question, **{f: entries[f] for f in texts})


def _checked_labels(path: Path, entry: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and wording of a list of names, or of a table from names to wording."""
    table = dict(zip(entry, entry, strict=True)) if isinstance(entry, list) and _are_words(entry) else entry
    if (
        not isinstance(table, dict)
        or not _are_words([*table, *table.values()])
        or not 2 <= len(table) == len(entry) == len(set(table.values()))
    ):
        raise UserError(f"{path}: labels = {entry!r}; expected a list of at least two different words")
    return tuple(table), tuple(table.values())


def _are_words(entries: Iterable[Any]) -> bool:
    return all(isinstance(entry, str) and entry.strip() for entry in entries)


def _checked_length(path: Path, entry: Any) -> Length | None:
    if entry is None:
        return None
    names = [f.name for f in fields(Length)]
    good = isinstance(entry, dict) and sorted(entry) == sorted(names)
    if not good or any(isinstance(v, bool) or not isinstance(v, int | float) for v in entry.values()):
        raise UserError(f"{path}: [length] = {entry!r}; expected numbers for {', '.join(names)}")
    length = Length(**entry)
    if not (length.sigma >= 0 and 0 < length.shortest <= 1 <= length.longest):
        raise UserError(f"{path}: [length] = {entry!r}; expected sigma >= 0 and 0 < shortest <= 1 <= longest")
    return length


def draw_examples(pool: Pool, label: int | None, n: int = 8, seed: int = 0) -> Pool:
    """``n`` different examples of class ``label`` (None: of any class), the same for the same seed.

    The paper draws them from D_P', the dev set. Raises UserError where the pool holds fewer.
    """
    found = np.arange(len(pool)) if label is None else np.flatnonzero(pool.labels == label)
    if not 1 <= n <= len(found):
        of_label = "" if label is None else f" of label {label}"
        raise UserError(
            f"{n} examples asked for, but pool {pool.name!r} holds {len(found)}{of_label}: choose 1 to {len(found)}"
        )
    return pool.subset(np.random.default_rng(seed).choice(found, n, replace=False), name="examples")


def draw_lengths(task: str | Path, mean_words: float, n: int, seed: int = 0) -> NDArray[np.int64]:
    """(n,) values for {num_of_words}, in words, around the benchmark's own mean (that of its dev set).

    Raises UserError for a task whose prompt asks for no length (MRPC).
    """
    length = template(task).length
    if length is None:
        raise UserError(f"the prompt of {task} asks for no length: its file has no [length]")
    # The mean of a log-normal is exp(mu + sigma^2 / 2).
    mu = np.log(mean_words) - length.sigma**2 / 2
    draws = np.random.default_rng(seed).lognormal(mu, length.sigma, n)
    cut = np.clip(draws, length.shortest * mean_words, length.longest * mean_words)
    return np.maximum(np.rint(cut), 1).astype(np.int64)


def prompt(
    task: str | Path, label: int | None, examples: Pool, words: int | None = None, *, count: int = 10
) -> list[dict[str, str]]:
    """Table 6 filled: the messages of one request, as ``role`` and ``content``.

    ``label`` is a class index (None where one request asks for all labels, as MRPC's does), ``words`` the
    length asked for, ``count`` the number of texts asked for where the prompt names it.
    Raises UserError where a value that the prompt needs is missing or an example has another label.
    """
    form = template(task)
    if form.one_label:
        if label is None or not 0 <= label < len(form.labels):
            raise UserError(f"prompt {form.name}: label {label!r}; expected 0 to {len(form.labels) - 1}")
        if (examples.labels != label).any():
            raise UserError(f"prompt {form.name}: an example has another label than {form.labels[label]!r}")
    if words is None and "num_of_words" in _placeholders(form.system + form.user, form.name):
        raise UserError(f"prompt {form.name}: it asks for a length; give words=")
    values = {
        "label": form.wording[label] if form.one_label and label is not None else "",
        "num_of_words": words,
        "num_of_examples": count,
        "examples": "\n".join(_example_lines(form, examples)),
    }
    return [
        {"role": "system", "content": form.system.format(**values)},
        {"role": "user", "content": f"{form.user}\n{form.again}".format(**values)},
    ]


def _example_lines(form: Template, examples: Pool) -> Iterator[str]:
    pairs = examples.pairs if examples.pairs is not None else ("",) * len(examples)
    for text, pair, label in zip(examples.texts, pairs, examples.labels, strict=True):
        yield form.example.format(text=text, pair=pair, label=form.labels[label])


def table6(tasks: Sequence[str | Path]) -> pd.DataFrame:
    """Table 6 with its placeholders: one row per task and message (columns task, part, prompt)."""
    rows = []
    for form in map(template, tasks):
        rows.append((form.name, form.system_title, form.system))
        rows.append((form.name, "Data generation prompt", f"{form.user}\n{form.again}"))
    return pd.DataFrame(rows, columns=["task", "part", "prompt"])
