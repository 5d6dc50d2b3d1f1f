"""Labels by a language model that is shown a few examples: the first row of Tables 1 and 4 as a run like any other.

Every test text is one request. The examples come from D_P' by seed, the classes in equal shares, and are the same for
all texts; they stand as a conversation that went before, each text with its label for an answer. The prediction is
the label of the highest log-probability where the backend gives one, else the label that the answer names.
An answer that names none, or several, is wrong for every text and counted.

A finished prediction is a folder ``results/<profile>/few_shot/<benchmark>/``: the journal of what was asked and
answered, ``predictions.csv`` in the form of the bundled ones, and ``about.json``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_repro.llm.asking import Asker
from paper_repro.llm.exchange import Message, Request, Response, at_least
from paper_repro.llm.parsing import json_values, label_of, without_thoughts
from paper_repro.texts import generated, prompts
from paper_repro.texts.pools import Benchmark, FewShot, Pool
from paper_repro.texts.prompts import Template
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_json, write_whole

BY_LOGPROB, BY_TEXT, NO_LABEL = "by log-probability", "by text", "no label"
PREDICTIONS, ABOUT = "predictions.csv", "about.json"


@dataclass(frozen=True)
class Settings:
    """``examples`` of D_P' in each request; ``logprobs`` False does not ask for them (some servers refuse to give any).

    ``answer_tokens`` at most in one answer: more than a label has, for models that cannot be brief.
    """

    seed: int = 0
    examples: int = 8
    logprobs: bool = True
    answer_tokens: int = 32

    def __post_init__(self) -> None:
        at_least(self, seed=0, examples=1, answer_tokens=1)


@dataclass(frozen=True)
class Predicted:
    """``labels`` (test texts,) are class indices, -1 where an answer has none; ``counts`` tells how they were found."""

    labels: NDArray[np.int64]
    counts: Counter[str]


def requests(benchmark: Benchmark, form: Template, settings: Settings) -> list[Request]:
    """One for each test text, in their order. Raises UserError where D_P' has too few examples of a class."""
    opening = [{"role": "system", "content": _instruction(form)}, *_shown(benchmark.pools["dev"], form, settings)]
    return [
        Request(
            (*opening, {"role": "user", "content": text}),
            max_tokens=settings.answer_tokens,
            temperature=0.0,
            seed=settings.seed,
            choices=form.labels if settings.logprobs else (),
        )
        for text in _texts(benchmark.pools["test"])
    ]


def _instruction(form: Template) -> str:
    names = [n if n == w else f"{n} ({w})" for n, w in zip(form.labels, form.wording, strict=True)]
    question = form.question or "Which label does this text have?"
    return f"{question} Answer with one of these labels and nothing else: {', '.join(names)}."


def _shown(dev: Pool, form: Template, settings: Settings) -> list[Message]:
    """The examples as a conversation, the classes in equal shares and in the order that the seed gives them."""
    classes, n = len(form.labels), settings.examples
    if n < classes:
        raise UserError(f"{n} examples for {classes} classes: show one of each at least")
    shares = [n // classes + (label < n % classes) for label in range(classes)]
    drawn = [prompts.draw_examples(dev, label, share, settings.seed) for label, share in enumerate(shares)]
    pairs = [(text, form.labels[label]) for label, pool in enumerate(drawn) for text in _texts(pool)]
    order = np.random.default_rng(settings.seed).permutation(n)
    return [
        message
        for place in order
        for message in (
            {"role": "user", "content": pairs[place][0]},
            {"role": "assistant", "content": pairs[place][1]},
        )
    ]


def _texts(pool: Pool) -> list[str]:
    if pool.pairs is None:
        return list(pool.texts)
    return [f"sentence1: {one}\nsentence2: {two}" for one, two in zip(pool.texts, pool.pairs, strict=True)]


def predict(benchmark: Benchmark, form: Template, settings: Settings, asker: Asker) -> Predicted:
    """Ask for every test text's label; what the journal has is not asked again.

    Raises UserError where the budget ends before all have an answer (the same command goes on with a larger one), and
    where the model cannot be asked.
    """
    responses = asker.ask_all(requests(benchmark, form, settings))
    if lacking := sum(response is None for response in responses):
        raise UserError(
            f"{benchmark.name}: {lacking:,} of {len(responses):,} test texts have no answer yet, the budget is spent "
            f"({asker.budget.describe()}); raise it to go on, answers are kept"
        )
    read = [_read(response, form.labels) for response in responses if response is not None]
    return Predicted(np.array([label for label, _ in read], dtype=np.int64), Counter(how for _, how in read))


def _read(response: Response, labels: Sequence[str]) -> tuple[int, str]:
    if response.choice_logprobs is not None:
        return int(np.argmax(response.choice_logprobs)), BY_LOGPROB
    label = label_in(response.text, labels)
    return (-1, NO_LABEL) if label is None else (label, BY_TEXT)


def label_in(answer: str, labels: Sequence[str]) -> int | None:
    """The class that an answer names: alone, as ``label`` of a JSON object, or as the only one in a sentence.

    Case does not count, nor does what stands around a label; "non-irony" does not name "irony".
    """
    answer = without_thoughts(answer)
    for value in json_values(answer):
        if isinstance(value, dict) and "label" in value:
            return label_of(str(value["label"]), labels)
    names = sorted(map(re.escape, labels), key=len, reverse=True)
    named = {
        name.casefold() for name in re.findall(rf"(?<![\w-])(?:{'|'.join(names)})(?![\w-])", answer, re.IGNORECASE)
    }
    return label_of(named.pop(), labels) if len(named) == 1 else None


# ---------------------------------------------------------------- on disk


def save(folder: Path, predicted: Predicted, benchmark: Benchmark, model: str, settings: Settings) -> None:
    """Write the predictions, and last what they are of, so that a half-written folder counts for nothing."""
    names = (*benchmark.label_names, "")  # -1 is the last
    rows = "".join(f"{row},{names[label]}\n" for row, label in enumerate(predicted.labels))
    about = {
        "generator": model,
        "test": benchmark.pools["test"].fingerprint,
        "dev": benchmark.pools["dev"].fingerprint,
        "settings": asdict(settings),
        "counts": dict(predicted.counts),
    }
    (folder / ABOUT).unlink(missing_ok=True)
    write_whole(folder / PREDICTIONS, f"test_row,label\n{rows}".encode())
    write_json(folder / ABOUT, about)


def load(folder: Path, benchmark: Benchmark, task: str | Path) -> FewShot:
    """The predictions of a folder; ``task`` is the benchmark's prompt file, as in :func:`paper_repro.texts.prompts.template`.

    Raises UserError where there are none, or where they are of another test set.
    """
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text("utf-8"))
        generator, test, settings = str(about["generator"]), about["test"], about["settings"]
        told = f"{generator}, {settings['examples']} dev examples"
    except FileNotFoundError:
        raise UserError(
            f"no few-shot predictions of {benchmark.name} yet (no file {folder / ABOUT}); make them by: "
            f"paper-repro few-shot --benchmark {task}"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / ABOUT}: cannot be read ({error}); ask again, answers are kept") from None
    if test != benchmark.pools["test"].fingerprint:
        raise UserError(f"{folder}: these predictions are of another test set of {benchmark.name}; ask again")
    labels = generated.read_labels(folder / PREDICTIONS, prompts.template(task))
    if len(labels) != len(benchmark.pools["test"]):
        raise UserError(f"{folder / PREDICTIONS}: {len(labels)} labels, expected {len(benchmark.pools['test'])}")
    return FewShot(labels, told)
