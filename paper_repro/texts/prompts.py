"""The prompts of Table 6 (App. I.1), filled with labels, lengths and examples.

A benchmark's description holds its prompt. Sending the messages of :func:`prompt` to a language model is the business
of :mod:`paper_repro.llm`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paper_repro.texts import description
from paper_repro.texts.description import EXAMPLE, Description, placeholders
from paper_repro.texts.pools import Pool
from paper_repro.tools.errors import UserError

Template = Description
"""A description that has a prompt."""


def template(benchmark: str | Path) -> Template:
    """The description of a bundled benchmark (by name) or of your own (by path). UserError where it has no prompt."""
    described = description.read(benchmark)
    if not described.has_prompt:
        raise UserError(f"{described.path}: no prompt, so no text can be asked for; {EXAMPLE} has one to copy")
    return described


def draw_examples(pool: Pool, label: int | None, n: int = 8, seed: int = 0) -> Pool:
    """``n`` different examples of class ``label`` (None: of any class), or all of a class that has fewer.

    The same for the same seed. The paper draws them from D_P', the dev set. Raises UserError where the whole pool is
    smaller.
    """
    if not 0 <= n <= len(pool):
        raise UserError(f"{n} examples asked for, but pool {pool.name!r} holds {len(pool)}")
    found = np.arange(len(pool)) if label is None else np.flatnonzero(pool.labels == label)
    return pool.subset(np.random.default_rng(seed).choice(found, min(n, len(found)), replace=False), name="examples")


def draw_lengths(benchmark: str | Path, mean_words: float, n: int, seed: int = 0) -> NDArray[np.int64]:
    """(n,) values for {num_of_words}, in words, around the benchmark's own mean (that of its dev set).

    Raises UserError for a benchmark whose prompt asks for no length (MRPC).
    """
    length = template(benchmark).length
    if length is None:
        raise UserError(f"the prompt of {benchmark} asks for no length: its file has no [length]")
    # The mean of a log-normal is exp(mu + sigma^2 / 2).
    mu = np.log(mean_words) - length.sigma**2 / 2
    draws = np.random.default_rng(seed).lognormal(mu, length.sigma, n)
    cut = np.clip(draws, length.shortest * mean_words, length.longest * mean_words)
    return np.maximum(np.rint(cut), 1).astype(np.int64)


def prompt(
    benchmark: str | Path, label: int | None, examples: Pool, words: int | None = None, *, count: int = 10
) -> list[dict[str, str]]:
    """Table 6 filled: the messages of one request, as ``role`` and ``content``.

    ``label`` is a class index (None where one request asks for all labels, as MRPC's does), ``words`` the
    length asked for, ``count`` the number of texts asked for where the prompt names it.
    Raises UserError where a value that the prompt needs is missing or an example has another label.
    """
    form = template(benchmark)
    needed = placeholders(form.system + form.user)
    if form.one_label:
        if label is None or not 0 <= label < len(form.labels):
            raise UserError(f"prompt {form.name}: it asks for texts of one label; give that of {form.labels}")
        if (examples.labels != label).any():
            raise UserError(f"prompt {form.name}: an example has another label than {form.labels[label]!r}")
    if "examples" in needed and not len(examples):
        of = f" of label {form.labels[label]!r}" if form.one_label and label is not None else ""
        raise UserError(f"prompt {form.name}: there is no example{of} to show; put some into D_P'")
    if words is None and "num_of_words" in needed:
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


def table6(benchmarks: Sequence[str | Path]) -> pd.DataFrame:
    """Table 6 with its placeholders: one row per task and message (columns task, part, prompt)."""
    rows = []
    for form in map(template, benchmarks):
        rows.append((form.name, form.system_title, form.system))
        rows.append((form.name, "Data generation prompt", f"{form.user}\n{form.again}"))
    return pd.DataFrame(rows, columns=["task", "part", "prompt"])
