"""``paper-repro few-shot`` and ``paper-repro diversity``: a language model judges texts.

What was asked and answered lies in a folder for each model, ``results/<profile>/few_shot/<benchmark>/<model>/`` (and
``diversity/``); what came of the model that was asked last stands beside these folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paper_repro.llm.command import ASKING_OPTIONS, BENCHMARK, backend_of, budget_of
from paper_repro.tools.errors import UserError
from paper_repro.tools.options import with_options

if TYPE_CHECKING:
    from paper_repro.llm.asking import Asker
    from paper_repro.texts.pools import Benchmark
    from paper_repro.tools.paths import Paths

BACKENDS = ("server", "local", "replay")

_BOTH = (
    BENCHMARK,
    click.option("--backend", type=click.Choice(BACKENDS), default="server", show_default=True),
    click.option("--source", default="", metavar="DIR", help="replay: the folder with the recorded answers."),
    click.option("--seed", type=int, default=0, show_default=True),
)
few_shot_options = with_options(
    *_BOTH,
    click.option("--examples", type=int, default=8, show_default=True, help="Of D_P', for all texts the same."),
    click.option("--by-text", is_flag=True, help="Ask for no log-probabilities, of a server that refuses them."),
    click.option("--answer-tokens", type=int, default=32, show_default=True),
    *ASKING_OPTIONS,
)
diversity_options = with_options(
    *_BOTH,
    click.option("-n", type=int, default=100, show_default=True, help="Draws that are clustered (N)."),
    click.option("-k", type=int, default=10, show_default=True, help="Texts in each of these (K)."),
    click.option("-m", type=int, default=100, show_default=True, help="Draws that criteria come from (M)."),
    click.option("-j", type=int, default=5, show_default=True, help="Texts in each of these (J)."),
    click.option("--temperature", type=float, default=1.0, show_default=True),
    click.option("--answer-tokens", type=int, default=1024, show_default=True),
    *ASKING_OPTIONS,
)


def run_few_shot(given: Mapping[str, Any]) -> None:
    """Ask for the labels of a test set, and say how good they are."""
    from paper_repro.llm import few_shot
    from paper_repro.measures import intervals
    from paper_repro.texts import prompts

    settings = few_shot.Settings(given["seed"], given["examples"], not given["by_text"], given["answer_tokens"])
    benchmark, form, paths = _opened(given)
    folder, template = paths.asked("few_shot", benchmark.name), prompts.template(form)
    requests = few_shot.requests(benchmark, template, settings)
    tokens = sum(request.prompt_tokens_about for request in requests)
    with _asker(given, folder, len(requests), tokens) as asker:
        found = few_shot.predict(benchmark, template, settings, asker)
        few_shot.save(folder, found, benchmark, _model(asker), settings)
    truth = benchmark.pools["test"].labels
    share = intervals.mean_interval(found.labels == truth).scaled(100)
    f1 = 100 * intervals.macro_f1(truth, found.labels, benchmark.classes)
    counts = ", ".join(f"{count} {how}" for how, count in found.counts.items())
    click.echo(f"Accuracy {share.mean:.2f} % [{share.low:.1f}, {share.high:.1f}], macro-F1 {f1:.2f} % ({counts})")
    click.echo(f"Labels: {folder / few_shot.PREDICTIONS}")
    own = f" --benchmark {given['benchmark']}" if paths.benchmark else ""
    click.echo(f"In Table 1: paper-repro run 04 --profile {paths.profile}{own} -p few_shot asked")


def run_diversity(given: Mapping[str, Any]) -> None:
    """Ask how diverse a D_Q is, and say the score with its interval."""
    from paper_repro.llm import clusters

    names = ("n", "k", "m", "j", "seed", "temperature", "answer_tokens")
    settings = clusters.Settings(**{name: given[name] for name in names})
    benchmark, _, paths = _opened(given, generated=True)
    folder, pool = paths.asked("diversity", benchmark.name), benchmark.pools["generated"]
    with _asker(given, folder, settings.requests, clusters.prompt_tokens_about(pool, settings)) as asker:
        found = clusters.measure(pool, settings, asker)
        written = clusters.save(folder, found, _model(asker), settings, pool)
    score = found.score()
    counts = ", ".join(f"{count} {what}" for what, count in found.counts.items() if count) or "everything could be read"
    click.echo(f"Diversity {score.mean:.3f} [{score.low:.3f}, {score.high:.3f}], {len(found.draws)} draws ({counts})")
    click.echo(f"Written: {written}")


def _opened(given: Mapping[str, Any], *, generated: bool = False) -> tuple[Benchmark, str | Path, Paths]:
    """The benchmark (one of your own: without D_Q unless ``generated``), its prompt file, and where results go."""
    from paper_repro.llm.job import places
    from paper_repro.texts import own
    from paper_repro.tools.paths import Paths

    found = places(given["benchmark"], given["profile"], given["data_dir"], given["results_dir"], "")
    benchmark, form, own = found["benchmark"], found["task"], ""
    if given["benchmark"].endswith(".toml"):
        own = benchmark.name
        benchmark = own.load(own.read(form)) if generated else benchmark
    return benchmark, form, Paths.of(given["profile"], given["results_dir"], benchmark=own)


@contextmanager
def _asker(given: Mapping[str, Any], folder: Path, requests: int, tokens: int) -> Iterator[Asker]:
    """Whom the options name, with the journal of that model's answers; says what is there and what it will take.

    ``tokens`` is a guess at those of all prompts.
    """
    from paper_repro.llm.asking import Asker, Retry
    from paper_repro.llm.budget import Budget, Prices, Usage
    from paper_repro.llm.journal import JOURNAL, Journal
    from paper_repro.tools.progress import Progress

    if given["backend"] == "replay" and not given["source"]:
        raise UserError("--source: name the folder with the recorded answers")
    limits, prices = budget_of(given)
    backend = backend_of(given)
    model = str(backend.identity().get("model", ""))
    place = Path(given["source"]) if given["backend"] == "replay" else folder / re.sub(r"[^\w.-]+", "-", model)
    with Journal(place / JOURNAL, backend) as journal:
        budget = Budget(limits, prices, journal.spent)
        money = f", {prices.cost(Usage(requests, tokens)):.4g} in money" if prices != Prices() else ""
        click.echo(
            f"{backend.name}: {requests:,} requests, about {tokens:,} tokens of prompts{money}; answers come on top"
        )
        click.echo(f"{journal.answered:,} answers are there already")
        retry, progress = Retry(given["tries"], given["first_pause"]), Progress(0, 1)
        yield Asker(backend, journal, budget, concurrency=given["concurrency"], retry=retry, progress=progress)
        click.echo(f"Spent: {budget.describe()}")


def _model(asker: Asker) -> str:
    return str(asker.journal.identity.get("model", asker.backend.name))
