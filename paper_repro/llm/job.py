"""Making a D_Q from beginning to end, for the command line and notebook 01: estimate, ask, write, report.

Into a folder go

* ``responses.jsonl.gz``: every try and every raw answer (:mod:`paper_repro.llm.journal`);
* ``dropped.jsonl``: what did not enter D_Q, with the reason;
* ``report.csv``: yield, what was dropped, lengths, labels, duplicates, overlap with D_P' and the test set;
* ``generation.json``: the model, the settings, what was spent;

and D_Q itself, as JSON lines in the form of the bundled one, where the user wants it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from paper_repro import __version__
from paper_repro.llm.asking import Asker, Retry
from paper_repro.llm.budget import Budget, Limits, Prices
from paper_repro.llm.conversations import Conversations, Settings
from paper_repro.llm.exchange import Backend
from paper_repro.llm.generate import Generated, Place, estimate, generate, summary
from paper_repro.llm.journal import JOURNAL, Journal
from paper_repro.runs import profiles
from paper_repro.texts import benchmarks, generated, own, prompts
from paper_repro.texts.pools import Benchmark, Pool
from paper_repro.texts.prompts import Template
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_json, write_whole
from paper_repro.tools.paths import Paths
from paper_repro.tools.progress import Progress


@dataclass(frozen=True)
class Job:
    """``texts`` texts for ``benchmark`` by the prompt of ``task``: D_Q goes to ``target``, the rest into ``folder``."""

    benchmark: Benchmark
    task: str | Path
    texts: int
    target: Path
    folder: Path
    settings: Settings = field(default_factory=Settings)
    limits: Limits = field(default_factory=Limits)
    prices: Prices = field(default_factory=Prices)
    concurrency: int = 8
    retry: Retry = field(default_factory=Retry)


def make(job: Job, backend: Backend, echo: Callable[[str], None] = print) -> tuple[Pool, str]:
    """Generate D_Q, or go on with it; the pool, and why it is smaller than asked for (empty: it is not).

    Raises UserError where nothing can be asked and where no text was usable.
    """
    dev = job.benchmark.pools["dev"]
    conversations = Conversations(job.task, dev, job.settings)
    _expect_own(job)
    echo(f"{job.benchmark.title}: {job.texts:,} texts by {backend.name}")
    announce(job, echo)
    with Journal(job.folder / JOURNAL, backend) as journal:
        budget = Budget(job.limits, job.prices, journal.spent)
        if journal.answered:
            echo(f"{journal.answered:,} answers are there ({budget.describe()}); nobody is asked for them again")
        asker = Asker(backend, journal, budget, concurrency=job.concurrency, retry=job.retry, progress=Progress(0, 1))
        made = generate(conversations, dev, job.texts, asker)
        return _write(job, conversations.form, made, budget, backend, echo), made.stopped


def _expect_own(job: Job) -> None:
    """D_Q may be written over only where it was made here."""
    if job.target.exists() and not (job.folder / "generation.json").exists():
        raise UserError(f"{job.target} is there already, and was not made here: move it away, or give another place")


def announce(job: Job, echo: Callable[[str], None]) -> None:
    """Say what will be asked, what it may cost, and where the budget is too small for it."""
    conversations = Conversations(job.task, job.benchmark.pools["dev"], job.settings)
    guess = estimate(conversations, job.texts, job.prices)
    echo(f"Estimate: {guess.describe(job.prices)}; more where texts have to be dropped")
    for name, amount in (("requests", guess.usage.requests), ("tokens", guess.usage.tokens), ("cost", guess.cost)):
        limit = getattr(job.limits, name)
        if limit is not None and amount > limit:
            echo(f"The budget of {limit:g} ({name}) ends before that: there will be fewer texts")


def _write(
    job: Job, form: Template, made: Generated, budget: Budget, backend: Backend, echo: Callable[[str], None]
) -> Pool:
    def name_of(place: Place) -> str:
        return "-".join([job.benchmark.name, *("all" if part is None else str(part) for part in place)])

    lines = [{"reason": e.reason, "id": name_of(e.place), "text": e.text} for e in made.dropped]
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_whole(job.folder / "dropped.jsonl", content.encode("utf-8", "replace"))
    if not made.texts:
        reasons = ", ".join(f"{reason} {count}" for reason, count in made.reasons.most_common()) or "nothing"
        raise UserError(f"no texts: {made.stopped}\nDropped: {reasons}; see {job.folder / 'dropped.jsonl'}")
    pool = made.pool(form.paired)
    about = {
        "benchmark": job.benchmark.name,
        "generator": backend.name,
        "identity": dict(backend.identity()),
        "settings": asdict(job.settings),
        "texts asked for": job.texts,
        "texts": len(pool),
        "fingerprint": pool.fingerprint,
        "stopped": made.stopped,
        "spent": asdict(budget.spent),
        "prices": asdict(job.prices),
        "cost": budget.cost,
        "paper_repro": __version__,
    }
    write_json(job.folder / "generation.json", about)
    notes: list[Mapping[str, Any]] = [
        {"id": name_of(text.place)} | ({} if text.words_asked is None else {"words_asked": text.words_asked})
        for text in made.texts
    ]
    _finish(job, pool, summary(made, job.texts), notes, echo)
    echo(f"Spent: {budget.describe()}")
    return pool


def report(pool: Pool, benchmark: Benchmark, head: Mapping[str, Any]) -> pd.DataFrame:
    """``head`` and what a D_Q looks like, its duplicates and its overlap: columns measure, value."""
    looks = generated.describe(pool, benchmark).iloc[0].drop("size").to_dict()
    rows = dict(head) | {_WORDS[str(name)]: value for name, value in looks.items()}
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in rows.items()}
    return pd.DataFrame([(name, str(v)) for name, v in rounded.items() if v is not None], columns=["measure", "value"])


_WORDS = {
    "labels": "labels, per cent",
    "words_mean": "words, mean of D_Q",
    "words_median": "words, median",
    "exact_duplicates": "exact duplicates",
    "near_duplicates": "near duplicates (but for case, digits, punctuation)",
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "dev_7grams": "share seven words in a row with D_P'",
    "in_dev": "stand in D_P'",
    "test_7grams": "share seven words in a row with the test set",
    "in_test": "stand in the test set",
}


def places(benchmark: str, profile: str, data_dir: str, results_dir: str, out: str) -> dict[str, Any]:
    """The fields ``benchmark``, ``task``, ``target`` and ``folder`` of a job, from what a user names.

    A benchmark of the paper gets a folder under ``out`` (results/<profile>/generated, unless given), in which
    D_P, D_P' and the test set stand beside D_Q: ``out`` is a data directory. For a benchmark file D_Q goes where the
    file says, the records into a folder beside it, or under ``out``.
    """
    if benchmark.endswith(".toml"):
        described = own.read(Path(benchmark))
        pools = own.real_pools(described).pools
        opened = Benchmark(described.name, described.title, described.form.labels, pools)
        target = described.data.generated
        folder = Path(out) if out else target.parent / f"{target.stem}.generation"
        return {"benchmark": opened, "task": described.path, "target": target, "folder": folder}
    found = benchmarks.load(benchmark, kind=profiles.kind_of(profile), data_dir=Path(data_dir) if data_dir else None)
    folder = (Path(out) if out else Paths.of(profile, results_dir).results / "generated") / benchmark
    return {"benchmark": found, "task": benchmark, "target": folder / "generated.jsonl", "folder": folder}


def place(job: Job, pool: Pool, echo: Callable[[str], None]) -> None:
    """Put a D_Q that is there already (bundled, released) where one that was asked for would be, with its report."""
    _expect_own(job)
    write_whole(job.folder / "generation.json", (json.dumps({"fingerprint": pool.fingerprint}) + "\n").encode())
    _finish(job, pool, {"texts": len(pool)}, None, echo)


def _finish(
    job: Job, pool: Pool, head: Mapping[str, Any], notes: list[Mapping[str, Any]] | None, echo: Callable[[str], None]
) -> None:
    """Write D_Q, its report, and for a benchmark of the paper the other sets beside it."""
    form = prompts.template(job.task)
    if not str(job.task).endswith(".toml"):
        for name in ("train", "dev", "test"):
            generated.write_pool(job.benchmark.pools[name], form, job.folder / f"{name}.jsonl")
        write_whole(job.folder / "labels.json", json.dumps(list(form.labels)).encode())
    generated.write_pool(pool, form, job.target, notes)
    table = report(pool, job.benchmark, head)
    write_whole(job.folder / "report.csv", table.to_csv(index=False).encode())
    echo(table.to_string(index=False, header=False))
