"""``paper-repro generate``: its options, and what it does with them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from paper_repro.llm.backends import OPENAI_URL
from paper_repro.tools.errors import UserError
from paper_repro.tools.options import with_options

if TYPE_CHECKING:
    from paper_repro.llm.budget import Limits, Prices
    from paper_repro.llm.exchange import Backend
    from paper_repro.llm.job import Job
    from paper_repro.texts.pools import Pool

ASKING = ("server", "local")
BACKENDS = (*ASKING, "replay", "released")
BACKEND_HELP = (
    "server: an OpenAI-compatible chat API. local: a Hugging Face causal model in this process. "
    "replay: recorded answers, or the bundled D_Q. released: the authors' files for MRPC."
)
SOURCE_HELP = "replay: the folder of an earlier generation (else the bundled D_Q); released: the authors' folder."

ASKING_OPTIONS = (
    click.option("--model", default="", help="The model's name on the server, or a local model's folder."),
    click.option("--base-url", default=OPENAI_URL, show_default=True, metavar="URL"),
    click.option(
        "--key-env", default="OPENAI_API_KEY", show_default=True, metavar="VARIABLE", help="Holds the key; '': none."
    ),
    click.option("--revision", default="", metavar="COMMIT", help="Of a local model from the hub."),
    click.option("--device", default="auto", show_default=True, help="For a local model: auto, cpu, cuda or cuda:N."),
    click.option("--max-requests", type=int, help="Budget: requests that are sent, tries again included."),
    click.option("--max-tokens", type=int, help="Budget: tokens of prompts and answers."),
    click.option("--max-cost", type=float, help="Budget: money, by the prices."),
    click.option("--price-input", type=float, default=0.0, help="Of a million tokens in prompts."),
    click.option("--price-output", type=float, default=0.0, help="Of a million tokens in answers."),
    click.option("--concurrency", type=int, default=8, show_default=True, help="Requests under way at once."),
    click.option("--timeout", type=float, default=120.0, show_default=True, help="Seconds for one answer."),
    click.option("--tries", type=int, default=8, show_default=True, help="Of one request."),
    click.option("--first-pause", type=float, default=0.5, show_default=True, help="Seconds; doubles with each try."),
    click.option(
        "--token-limit",
        type=click.Choice(["max_tokens", "max_completion_tokens"]),
        default="max_tokens",
        show_default=True,
        help="What the server calls the longest answer.",
    ),
    click.option("--no-seed", is_flag=True, help="Send no seed, to a server that refuses it."),
)
"""Whom to ask, within which budget: the same for every command that asks."""
BENCHMARK = click.option(
    "--benchmark", required=True, metavar="NAME|FILE.toml", help="financial, tweet_irony, mrpc, or yours."
)

options = with_options(
    BENCHMARK,
    click.option("--backend", type=click.Choice(BACKENDS), default="server", show_default=True, help=BACKEND_HELP),
    click.option("--source", default="", metavar="DIR", help=SOURCE_HELP),
    click.option("--texts", type=click.IntRange(min=1), help="Size of D_Q."),
    click.option("--seed", type=int, default=0, show_default=True, help="Draws labels' examples and lengths."),
    click.option("--examples", type=int, default=8, show_default=True, help="Of D_P' in each prompt."),
    click.option("--depth", type=int, default=1, show_default=True, help="Turns of a conversation."),
    click.option("--count", type=int, default=10, show_default=True, help="Texts asked for at once (MRPC's prompt)."),
    click.option("--temperature", type=float, default=1.0, show_default=True),
    click.option("--top-p", type=float, default=1.0, show_default=True),
    click.option("--answer-tokens", type=int, default=0, help="Longest answer; 0: as long as it may need."),
    click.option("--out", default="", metavar="DIR", help="Where D_Q and its records go."),
    click.option("--dry-run", is_flag=True, help="Estimate, ask nothing."),
    *ASKING_OPTIONS,
)
"""Those of ``paper-repro generate``."""


def run(given: Mapping[str, Any]) -> None:
    """What the command does. Ends the process with 1 where D_Q stays smaller than asked for."""
    from paper_repro.llm import job as jobs

    job = _job(given)
    if given["backend"] in ASKING or (given["backend"] == "replay" and given["source"]):
        if given["texts"] is None:
            raise UserError("--texts: say how many texts D_Q is to have")
        if given["dry_run"]:
            return jobs.announce(job, click.echo)
        pool, stopped = jobs.make(job, backend_of(given), click.echo)
    else:
        pool, stopped = _ready_made(job, given), ""
        jobs.place(job, pool, click.echo)
    _tell_how_to_go_on(job, pool, given)
    if stopped:
        click.echo(f"paper-repro: {len(pool):,} of {job.texts:,} texts: {stopped}", err=True)
        sys.exit(1)
    return None


def _job(given: Mapping[str, Any]) -> Job:
    from paper_repro.llm.asking import Retry
    from paper_repro.llm.conversations import Settings
    from paper_repro.llm.job import Job, places

    names = ("seed", "examples", "depth", "count", "temperature", "top_p", "answer_tokens")
    limits, prices = budget_of(given)
    return Job(
        **places(given["benchmark"], given["profile"], given["data_dir"], given["results_dir"], given["out"]),
        texts=given["texts"] or 0,
        settings=Settings(**{name: given[name] for name in names}),
        limits=limits,
        prices=prices,
        concurrency=given["concurrency"],
        retry=Retry(given["tries"], given["first_pause"]),
    )


def budget_of(given: Mapping[str, Any]) -> tuple[Limits, Prices]:
    """Raises UserError for limits under which nothing can be asked."""
    from paper_repro.llm.budget import Limits, Prices

    limits = Limits(given["max_requests"], given["max_tokens"], given["max_cost"])
    prices = Prices(given["price_input"], given["price_output"])
    limits.check(prices)
    return limits, prices


def backend_of(given: Mapping[str, Any]) -> Backend:
    from paper_repro.llm.backends import open_backend
    from paper_repro.llm.journal import JOURNAL

    names = ("model", "base_url", "key_env", "timeout", "token_limit", "revision", "device")
    return open_backend(
        given["backend"],
        **{name: given[name] for name in names},
        send_seed=not given["no_seed"],
        batch=given["concurrency"],
        journal=Path(given["source"]) / JOURNAL,
    )


def _ready_made(job: Job, given: Mapping[str, Any]) -> Pool:
    from paper_repro.llm.released import COMMAND, read_released
    from paper_repro.texts import generated, prompts

    if given["backend"] == "replay":
        return generated.bundled(job.benchmark.name)
    if not given["source"]:
        raise UserError(f"--source: name the folder with the authors' files; they come by: {COMMAND}")
    return read_released(Path(given["source"]), prompts.template(job.task))


def _tell_how_to_go_on(job: Job, pool: Pool, given: Mapping[str, Any]) -> None:
    from paper_repro.runs import profiles

    click.echo(f"D_Q: {len(pool):,} texts in {job.target}; what belongs to it is in {job.folder}")
    if str(job.task).endswith(".toml"):
        click.echo(f"To train on it: paper-repro run --benchmark {given['benchmark']}")
    else:
        profile = given["profile"] if profiles.kind_of(given["profile"]) == "real" else "mini"
        command = f"paper-repro run --profile {profile} --data-dir {job.folder.parent}"
        click.echo(f"To train on it, once it is there for all three: {command}")
