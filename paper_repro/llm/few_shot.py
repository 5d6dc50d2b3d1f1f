"""Labels by a language model that is shown a few examples: the first row of Tables 1 and 4 as a run like any other.

Every test text is one request. The examples come from D_P' by seed, the classes in equal shares, and are the same for
all texts; they stand as a conversation that went before, each text with its label for an answer. The prediction is
the label that the answer names. An answer that names none, or several, is wrong for every text and counted.
:mod:`paper_repro.texts.few_shot` reads what is saved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paper_repro.llm.ask import Asker
from paper_repro.llm.budget import Usage
from paper_repro.llm.client import Request
from paper_repro.llm.parsing import json_values, label_of, without_thoughts
from paper_repro.texts import prompts
from paper_repro.texts.few_shot import ABOUT, PREDICTIONS
from paper_repro.texts.pools import Benchmark, Pool
from paper_repro.texts.prompts import Template
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_json, write_whole


@dataclass(frozen=True)
class Settings:
    """``examples`` of D_P' in each request; ``answer_tokens`` at most in one answer: more than a label has, for models
    that cannot be brief.
    """

    seed: int = 0
    examples: int = 8
    answer_tokens: int = 32


def requests(benchmark: Benchmark, form: Template, settings: Settings) -> list[Request]:
    """One for each test text, in their order. Raises UserError where D_P' has too few examples of a class."""
    names = [n if n == w else f"{n} ({w})" for n, w in zip(form.labels, form.wording, strict=True)]
    question = form.question or "Which label does this text have?"
    told = f"{question} Answer with one of these labels and nothing else: {', '.join(names)}."
    opening = [{"role": "system", "content": told}, *_shown(benchmark.pools["dev"], form, settings)]
    asked = [(*opening, {"role": "user", "content": text}) for text in _texts(benchmark.pools["test"])]
    return [Request(messages, settings.answer_tokens, 0.0, 1.0, settings.seed) for messages in asked]


def _shown(dev: Pool, form: Template, settings: Settings) -> list[Mapping[str, str]]:
    """The examples as a conversation, the classes in equal shares and in the order that the seed gives them."""
    classes, n = len(form.labels), settings.examples
    if n < classes:
        raise UserError(f"{n} examples for {classes} classes: show one of each at least")
    pairs: list[tuple[str, str]] = []
    for label, name in enumerate(form.labels):
        drawn = prompts.draw_examples(dev, label, n // classes + (label < n % classes), settings.seed)
        pairs += [(text, name) for text in _texts(drawn)]
    order = np.random.default_rng(settings.seed).permutation(len(pairs))
    return [{"role": role, "content": pairs[i][part]} for i in order for part, role in enumerate(("user", "assistant"))]


def _texts(pool: Pool) -> list[str]:
    if pool.pairs is None:
        return list(pool.texts)
    return [f"sentence1: {one}\nsentence2: {two}" for one, two in zip(pool.texts, pool.pairs, strict=True)]


def predict(benchmark: Benchmark, form: Template, settings: Settings, asker: Asker) -> NDArray[np.int64]:
    """(test texts,) the class that each answer names, -1 for none; what the journal has is not asked again.

    Raises UserError where the budget ends before all have an answer (the same command goes on with a larger one), and
    where the model cannot be asked.
    """
    asked = requests(benchmark, form, settings)
    usage = Usage(len(asked), sum(request.bytes // 4 for request in asked), len(asked) * settings.answer_tokens)
    asker.terms.announce(usage, "answers at their longest")
    named = [label_in(answer.text, form.labels) for answer in asker.ask_every(asked)]
    return np.array([-1 if label is None else label for label in named], dtype=np.int64)


def label_in(answer: str, labels: Sequence[str]) -> int | None:
    """The class that an answer names: alone, as ``label`` of a JSON object, or as the only one in a sentence.

    Case does not count, nor does what stands around a label; "non-irony" does not name "irony".
    """
    answer = without_thoughts(answer)
    for value in json_values(answer):
        if isinstance(value, dict) and "label" in value:
            return label_of(str(value["label"]), labels)
    names = "|".join(sorted(map(re.escape, labels), key=len, reverse=True))
    named = {name.casefold() for name in re.findall(rf"(?<![\w-])(?:{names})(?![\w-])", answer, re.IGNORECASE)}
    return label_of(named.pop(), labels) if len(named) == 1 else None


def save(folder: Path, labels: NDArray[np.int64], benchmark: Benchmark, model: str, settings: Settings) -> None:
    """Write the predictions, and last what they are of, so that a half-written folder counts for nothing."""
    names = (*benchmark.label_names, "")  # -1 is the last
    rows = "".join(f"{row},{names[label]}\n" for row, label in enumerate(labels))
    (folder / ABOUT).unlink(missing_ok=True)
    write_whole(folder / PREDICTIONS, f"test_row,label\n{rows}".encode())
    about = {"generator": model, "settings": asdict(settings), "without_label": int((labels == -1).sum())}
    write_json(folder / ABOUT, about | {name: benchmark.pools[name].fingerprint for name in ("test", "dev")})
