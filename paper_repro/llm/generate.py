"""D_Q by the prompts of Table 6: ask, read, judge, until there are enough texts of each label.

A conversation has a label (none where one prompt asks for all of them), a length drawn from the benchmark's
distribution, and examples of the label drawn from D_P'. Its first turn is the whole prompt; each further one, up to
``depth``, puts the model's own answer and "Can you provide something more diverse ...?" behind what was said.

Conversations are asked for in rounds: as many as would do if every answer held what it was asked for, then as many as
are lacking still, and so on. A round is judged when all its answers are there, in the order of its conversations: D_Q
follows from the seed and the answers alone, not from the order in which these arrive, nor from interruptions.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from paper_repro import __version__
from paper_repro.llm.ask import Asker
from paper_repro.llm.budget import Usage
from paper_repro.llm.client import Request, Response
from paper_repro.llm.parsing import Found, label_of, parse
from paper_repro.llm.validation import CUT_OFF, SURPLUS, Asked, Validator
from paper_repro.texts import generated, prompts
from paper_repro.texts.pools import Benchmark, Pool
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_json, write_whole

PATIENCE = 3  # conversations are asked for up to so many times as often as would do, then the yield is too low
TOKENS_PER_TEXT, TOKENS_PER_PAIR = 256, 160  # of one answer: the longest text of Table 6 takes 75, a pair of MRPC 70
REMARK = "more where texts have to be dropped"
Messages = list[Mapping[str, str]]


@dataclass(frozen=True)
class Settings:
    """``examples`` of D_P' in each prompt; ``depth`` turns a conversation; ``count`` texts where the prompt names a
    number (MRPC's); ``answer_tokens`` at most in one answer (0: as many as the texts asked for may need).
    """

    seed: int = 0
    examples: int = 8
    depth: int = 1
    count: int = 10
    temperature: float = 1.0
    top_p: float = 1.0
    answer_tokens: int = 0

    def __post_init__(self) -> None:
        if min(self.examples, self.depth, self.count) < 1:
            found = f"examples {self.examples}, depth {self.depth}, count {self.count}"
            raise UserError(f"{found}: expected 1 or more of each")


@dataclass(frozen=True)
class Job:
    """``texts`` texts for ``benchmark`` by the prompt of ``task``. The records go into ``folder``, D_Q to ``target``.

    Without a target it becomes ``generated.jsonl`` in the folder, with the other sets beside it: a data directory.
    """

    benchmark: Benchmark
    task: str | Path
    texts: int
    folder: Path
    settings: Settings = Settings()
    target: Path | None = None

    @property
    def d_q(self) -> Path:
        return self.target or self.folder / "generated.jsonl"


class Generation:
    """The conversations of a job, and what came of them: ``kept`` texts (with label and notes), ``dropped`` ones."""

    def __init__(self, job: Job) -> None:
        self.job, self.settings, self.dev = job, job.settings, job.benchmark.pools["dev"]
        self.form = form = prompts.template(job.task)
        self.validator, self.mean_words = Validator(form, self.dev), float(generated.word_counts(self.dev).mean())
        self.per_answer = self.settings.count if "num_of_examples" in form.system + form.user else 1
        longest = (TOKENS_PER_PAIR if form.paired else TOKENS_PER_TEXT) * self.per_answer
        self.answer_tokens = self.settings.answer_tokens or longest
        labels: Sequence[int | None] = range(len(form.labels)) if form.one_label else (None,)
        self.wanted = {label: (job.texts + len(labels) - 1 - i) // len(labels) for i, label in enumerate(labels)}
        self.most = {label: PATIENCE * self._enough_for(texts) for label, texts in self.wanted.items()}
        self.begun, self.answers = Counter[int | None](), 0
        self.kept: list[tuple[Found, int, dict[str, Any]]] = []
        self.dropped: list[dict[str, str]] = []

    def opening(self, label: int | None, number: int) -> tuple[Asked, Messages]:
        """What a conversation asks for, and its first messages. UserError where D_P' has too few examples."""
        seed, words = self._seed(label, number), None
        examples = prompts.draw_examples(self.dev, label, self.settings.examples, seed)
        if self.form.length is not None:
            words = int(prompts.draw_lengths(self.job.task, self.mean_words, 1, seed)[0])
        messages = prompts.prompt(self.job.task, label, examples, words, count=self.settings.count)
        return Asked(label, words, examples), list(messages)

    def request(self, messages: Messages, *place: int | None) -> Request:
        settings = self.settings
        sampling = settings.temperature, settings.top_p, self._seed(*place)
        return Request(tuple(messages), self.answer_tokens, *sampling)

    def estimate(self) -> Usage:
        """What it will take if every answer holds what it was asked for; tokens are guesses from words and bytes."""
        count, depth = sum(map(self._enough_for, self.wanted.values())), self.settings.depth
        sample = [self.opening(label, number)[1] for number in range(10) for label in self.wanted]
        opening = sum(len(message["content"]) / 4 for messages in sample for message in messages) / len(sample)
        answer = min(1.5 * self.mean_words * self.per_answer, self.answer_tokens)
        prompt = depth * opening + depth * (depth - 1) / 2 * (answer + 16)  # each turn sends all before it again
        return Usage(count * depth, round(count * prompt), round(count * depth * answer))

    def run(self, asker: Asker) -> str:
        """Ask and judge; why there are fewer texts than asked for (empty: there are not)."""
        while chosen := self._next_round():
            for asked, number, turn, response in self._hold(chosen, asker):
                self._take(response, asked, number, turn)
            if asker.stopped:
                return asker.stopped
        return f"too few texts were usable in {self.answers:,} answers" if any(self.wanted.values()) else ""

    def _seed(self, *parts: object) -> int:
        """For everything that is drawn; below 2^31, which every server takes."""
        text = " ".join(map(str, (self.settings.seed, *parts)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1

    def _enough_for(self, texts: int) -> int:
        return math.ceil(texts / (self.per_answer * self.settings.depth))

    def _next_round(self) -> list[tuple[int, int | None]]:
        """Number and label of conversations, by number, so that a run that is stopped early has texts of all labels."""
        chosen: list[tuple[int, int | None]] = []
        for label, lacking in self.wanted.items():
            count = min(self._enough_for(lacking), self.most[label] - self.begun[label])
            chosen += [(self.begun[label] + i, label) for i in range(count)]
            self.begun[label] += count
        return sorted(chosen, key=lambda place: place[0])

    def _hold(self, chosen: list[tuple[int, int | None]], asker: Asker) -> list[tuple[Asked, int, int, Response]]:
        """Ask turn after turn: the answers in the order of the conversations. After an empty one it is not asked on."""
        asked = {place: self.opening(place[1], place[0]) for place in chosen}
        going, answers = dict(asked), {place: list[Response]() for place in chosen}
        for turn in range(self.settings.depth):
            requests = [self.request(said, label, number, turn) for (number, label), (_, said) in going.items()]
            for place, response in zip(list(going), asker.ask_all(requests), strict=True):
                if response is not None:
                    answers[place].append(response)
                if response is None or not response.text.strip():
                    del going[place]
                else:
                    going[place][1].append({"role": "assistant", "content": response.text})
                    going[place][1].append({"role": "user", "content": self.form.again})
        return [(asked[p][0], p[0], turn, answer) for p in chosen for turn, answer in enumerate(answers[p])]

    def _take(self, response: Response, asked: Asked, number: int, turn: int) -> None:
        self.answers += 1
        texts, fault = parse(response.text, self.form)
        for row, found in enumerate(texts or [Found(response.text)]):
            cut = response.finish_reason == "length" and row == len(texts) - 1
            reason = fault or (CUT_OFF if cut else "" if self.wanted[asked.label] else SURPLUS)
            reason = reason or self.validator.reason(found, asked)
            source = "all" if asked.label is None else asked.label
            note: dict[str, Any] = {"id": f"{self.job.benchmark.name}-{source}-{number}-{turn}-{row}"}
            if reason:
                self.dropped.append({"reason": reason, **note, "text": found.whole})
                continue
            label = label_of(found.label or "", self.form.labels) if asked.label is None else asked.label
            assert label is not None
            self.wanted[asked.label] -= 1
            self.kept.append((found, label, note | ({"words_asked": asked.words} if asked.words else {})))

    def pool(self) -> Pool:
        pairs = tuple(found.pair for found, _, _ in self.kept) if self.form.paired else None
        labels = np.array([label for _, label, _ in self.kept], dtype=np.int64)
        return Pool("generated", tuple(found.text for found, _, _ in self.kept), labels, pairs)

    def summary(self) -> dict[str, Any]:
        """The yield in numbers; lengths asked for, beside those that came (:func:`generated.describe`)."""
        words = [note["words_asked"] for _, _, note in self.kept if "words_asked" in note]
        reasons = sorted(Counter(entry["reason"] for entry in self.dropped).items())
        return {
            "texts_asked": self.job.texts,
            "answers": self.answers,
            "texts_per_answer": len(self.kept) / max(self.answers, 1),
            **{f"dropped: {reason}": count for reason, count in reasons},
            "words_asked_mean": float(np.mean(words)) if words else None,
        }


def make(job: Job, asker: Asker) -> tuple[Pool, str]:
    """Generate D_Q, or go on with it; the pool, and why it is smaller than asked for (empty: it is not).

    Raises UserError where nothing can be asked and where no text was usable.
    """
    _expect_ours(job)
    made = Generation(job)
    click.echo(f"{job.benchmark.title}: {job.texts:,} texts by {asker.client.name}")
    asker.terms.announce(made.estimate(), REMARK)
    stopped = made.run(asker)
    lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in made.dropped)
    write_whole(job.folder / "dropped.jsonl", lines.encode())
    if not made.kept:
        reasons = Counter(entry["reason"] for entry in made.dropped).most_common()
        told = ", ".join(f"{reason} {count}" for reason, count in reasons) or "nothing"
        raise UserError(f"no texts: {stopped}\nDropped: {told}; see {job.folder / 'dropped.jsonl'}")
    spent = asker.journal.spent
    about = {"generator": asker.client.model, "settings": asdict(job.settings), "stopped": stopped}
    about |= {"spent": {**spent._asdict(), "cost": asker.terms.cost(spent)}}
    place(job, made.pool(), about, made.summary(), [note for _, _, note in made.kept])
    return made.pool(), stopped


def place(
    job: Job, pool: Pool, about: Mapping[str, Any], summary: Mapping[str, Any], notes: list[Any] | None = None
) -> None:
    """Write D_Q, its report and, without a target of its own, the other sets beside it."""
    _expect_ours(job)
    form = prompts.template(job.task)
    write_json(job.folder / "generation.json", {**about, "fingerprint": pool.fingerprint, "paper_repro": __version__})
    if job.target is None:
        for name in ("train", "dev", "test"):
            generated.write_pool(job.benchmark.pools[name], form, job.folder / f"{name}.jsonl")
    generated.write_pool(pool, form, job.d_q, notes)
    table = pd.Series({**summary, **generated.describe(pool, job.benchmark).iloc[0]}, name="value", dtype=object)
    table = table.dropna().map(lambda value: round(value, 3) if isinstance(value, float) else value)
    write_whole(job.folder / "report.csv", table.to_csv(index_label="measure").encode())
    click.echo(table.to_string())


def _expect_ours(job: Job) -> None:
    """D_Q may be written over only where it was made here."""
    if job.d_q.exists() and not (job.folder / "generation.json").exists():
        raise UserError(f"{job.d_q} is there already, and was not made here: move it away, or give another place")
