"""``paper-repro generate``, ``few-shot`` and ``diversity``: their options, and what they do and say.

The command line hands over benchmarks, prompt files and folders. What a model was asked about labels or diversity lies
in a folder of its name; what came of the model that was asked last stands beside these folders.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from paper_repro.tools.command import with_options
from paper_repro.tools.errors import UserError

if TYPE_CHECKING:
    from paper_repro.llm.ask import Asker
    from paper_repro.texts.pools import Benchmark

T = TypeVar("T")
COUNT, NUMBER, TEMPERATURE = click.IntRange(min=1), click.IntRange(min=0), click.FloatRange(0, 2)


def _option(name: str, default: Any, help: str, kind: Any = None) -> Any:
    return click.option(name, type=kind or type(default), default=default, show_default=bool(default), help=help)


_asked = click.option("--benchmark", required=True, help="financial, tweet_irony, mrpc, or the .toml file of your own.")
_asking = with_options(
    _option("--model", "", "Name of the model on the server."),
    _option("--base-url", "https://api.openai.com/v1", "Address of any OpenAI-compatible server."),
    _option("--key-env", "OPENAI_API_KEY", "Environment variable that holds the key; '' for none."),
    _option("--max-requests", None, "Budget: most requests to send, retries included.", int),
    _option("--max-tokens", None, "Budget: most tokens of prompts and answers.", int),
    _option("--max-cost", None, "Budget: most money to spend, by the prices below.", float),
    _option("--price-input", 0.0, "Price of a million prompt tokens."),
    _option("--price-output", 0.0, "Price of a million answer tokens."),
    _option("--concurrency", 8, "Requests in flight at the same time."),
    _option("--timeout", 120.0, "Seconds to wait for an answer."),
    _option("--tries", 8, "Attempts for each request."),
    _option("--first-pause", 0.5, "Seconds before the second attempt; the pause doubles with each."),
    _option("--token-limit", "max_tokens", "How the server calls the limit of an answer: or max_completion_tokens."),
    click.option("--no-seed", is_flag=True, help="Send no seed, to a server that refuses it."),
)
generate_options = with_options(
    _asked,
    _option(
        "--backend", "server", "Or replay: take the bundled D_Q, ask no model.", click.Choice(["server", "replay"])
    ),
    _option("--texts", None, "How many texts D_Q is to have.", COUNT),
    _option("--seed", 0, "Seed for labels, examples and lengths.", NUMBER),
    _option("--examples", 8, "Texts of D_P' shown in each prompt.", COUNT),
    _option("--depth", 1, "Turns in a conversation.", COUNT),
    _option("--count", 10, "Texts asked for at once (MRPC's prompt).", COUNT),
    _option("--temperature", 1.0, "Sampling temperature of the model.", TEMPERATURE),
    _option("--top-p", 1.0, "Nucleus sampling of the model.", click.FloatRange(0, 1, min_open=True)),
    _option("--answer-tokens", 0, "Limit of an answer in tokens; 0: chosen by the task.", NUMBER),
    _option("--out", "", "Folder for D_Q and its records."),
    click.option("--dry-run", is_flag=True, help="Only estimate requests and tokens."),
    _asking,
)
few_shot_options = with_options(
    _asked,
    _option("--seed", 0, "Seed for the examples.", NUMBER),
    _option("--examples", 8, "Texts of D_P' in the prompt, the same for all.", COUNT),
    _option("--answer-tokens", 32, "Limit of an answer in tokens.", COUNT),
    _asking,
)
diversity_options = with_options(
    _asked,
    _option("--pool", "generated", "The texts to judge: D_Q, or a set such as diversity:voices-900."),
    _option("-n", 100, "Draws that are clustered (N).", COUNT),
    _option("-k", 10, "Texts in each of these (K).", click.IntRange(min=2)),
    _option("-m", 100, "Draws that criteria come from (M).", COUNT),
    _option("-j", 5, "Texts in each of these (J).", COUNT),
    _option("--seed", 0, "Seed for the draws.", NUMBER),
    _option("--temperature", 1.0, "Sampling temperature of the model.", TEMPERATURE),
    _option("--answer-tokens", 1024, "Limit of an answer in tokens.", COUNT),
    _asking,
)


def _made(kind: type[T], given: Mapping[str, Any]) -> T:
    """A dataclass from the options of its fields' names."""
    return kind(**{field.name: given[field.name] for field in fields(kind) if field.name in given})  # type: ignore[arg-type]


def _asker(given: Mapping[str, Any], folder: Path, named: bool = True) -> AbstractContextManager[Asker]:
    """Whom the options name, with the journal in ``folder`` or, ``named``, in that model's folder in it."""
    from paper_repro.llm.ask import asking
    from paper_repro.llm.budget import Terms
    from paper_repro.llm.client import Client

    names = ("model", "base_url", "key_env", "timeout", "token_limit")
    client = Client(**{name: given[name] for name in names}, send_seed=not given["no_seed"])
    return asking(client, folder / re.sub(r"[^\w.-]+", "-", client.model) if named else folder, _made(Terms, given))


def generate(
    given: Mapping[str, Any], benchmark: Benchmark, task: str | Path, folder: Path, target: Path | None
) -> str:
    """Make D_Q, or place the bundled one. Returns why it is smaller than asked for (empty: it is not)."""
    from paper_repro.llm import generate as making
    from paper_repro.llm.budget import Terms
    from paper_repro.texts import benchmarks

    job = making.Job(benchmark, task, given["texts"] or 0, folder, _made(making.Settings, given), target)
    if given["backend"] == "replay":
        pool, stopped = benchmarks.bundled(benchmark.name), ""
        making.place(job, pool, {"generator": "bundled"}, {})
    elif not job.texts:
        raise UserError("--texts: say how many texts D_Q is to have")
    elif given["dry_run"]:
        _made(Terms, given).announce(making.Generation(job).estimate(), making.REMARK)
        return ""
    else:
        with _asker(given, folder, named=False) as asker:
            pool, stopped = making.make(job, asker)
    click.echo(f"D_Q: {len(pool):,} texts in {job.d_q}; what belongs to it is in {folder}")
    return stopped and f"{len(pool):,} of {job.texts:,} texts: {stopped}"


def few_shot(given: Mapping[str, Any], benchmark: Benchmark, task: str | Path, folder: Path) -> None:
    """Ask for the labels of a test set, and say how good they are."""
    from paper_repro.llm import few_shot as predicting
    from paper_repro.measures.accuracy import macro_f1
    from paper_repro.measures.intervals import mean_interval
    from paper_repro.texts import prompts

    settings, truth = _made(predicting.Settings, given), benchmark.pools["test"].labels
    with _asker(given, folder) as asker:
        labels = predicting.predict(benchmark, prompts.template(task), settings, asker)
        predicting.save(folder, labels, benchmark, asker.client.model, settings)
    share, f1 = mean_interval(labels == truth), macro_f1(truth, labels, benchmark.classes)
    told = f"Accuracy {100 * share.mean:.2f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]"
    click.echo(f"{told}, macro-F1 {100 * f1:.2f} % ({(labels == -1).sum()} answers without a label)\nLabels: {folder}")


def diversity(given: Mapping[str, Any], benchmark: Benchmark, folder: Path) -> None:
    """Ask how diverse a D_Q is, and say the score with its interval."""
    from paper_repro.llm import clusters

    settings, pool = _made(clusters.Settings, given), benchmark.pool(given["pool"])
    with _asker(given, folder) as asker:
        found = clusters.measure(pool, settings, asker)
        written = clusters.save(folder, found, asker.client.model, settings, pool)
    score, counts = found.score(), ", ".join(f"{count} {what}" for what, count in (+found.counts).items())
    told = f"{len(found.draws)} draws ({counts or 'everything could be read'})"
    click.echo(f"Diversity {score.mean:.3f} [{score.low:.3f}, {score.high:.3f}], {told}\nWritten: {written}")
