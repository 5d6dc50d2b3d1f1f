"""Many requests at once: a limit on those under way, tries again where it helps, the budget, and the journal.

1. The journal has the answer: nothing is sent.
2. The journal sets aside what a try may cost at most; where the budget does not allow that, others that are under way
   may give some back, else there is no answer.
3. The try is sent; the raw answer goes into the journal, then it is read.
4. A try that failed is repeated after a pause where that may help: rate limits, errors of the server, timeouts,
   broken connections, half answers. The pause doubles, with jitter, unless the server says how long to wait.

The first request goes ahead of all others, and only a rate limit has it repeated: an unknown model, a wrong path or a
proxy's page costs one try.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from paper_repro.llm.budget import Terms, Usage
from paper_repro.llm.client import Client, Failed, Request, Response
from paper_repro.llm.journal import Journal, opened
from paper_repro.tools.errors import UserError
from paper_repro.tools.progress import Progress

LONGEST_PAUSE, LONGEST_WAIT = 60.0, 600.0  # seconds: of our own, and of a server's Retry-After


class Asker:
    """Asks ``client`` on ``terms``, by way of ``journal``. ``stopped`` says why answers are lacking, if any are."""

    def __init__(self, client: Client, journal: Journal, terms: Terms) -> None:
        self.client, self.journal, self.terms = client, journal, terms
        self.progress, self.stopped = Progress(0), ""
        self._proved = False  # an answer came back in this process

    @property
    def spent(self) -> str:
        return self.terms.describe(self.journal.spent)

    def ask_all(self, requests: Sequence[Request]) -> list[Response | None]:
        """The answers in the order of ``requests``; None for those that the budget no longer allowed.

        Equal requests are asked once. Raises UserError where the model cannot be asked.
        """
        lacking = {request.digest(self.client.model): request for request in requests if not self.journal.get(request)}
        if lacking:
            self.progress.total += len(lacking)
            _in_a_thread(self._ask_each(list(lacking.values())))
        return [self.journal.get(request) for request in requests]

    def ask_every(self, requests: Sequence[Request]) -> list[Response]:
        """As :meth:`ask_all`, with a UserError where the budget ends before all are answered."""
        answers = [answer for answer in self.ask_all(requests) if answer is not None]
        if lacking := len(requests) - len(answers):
            raise UserError(f"{lacking:,} of {len(requests):,} answers are lacking: {self.stopped}")
        return answers

    async def _ask_each(self, requests: list[Request]) -> None:
        # What waits belongs to one event loop.
        self._slots, self._freed, self._under_way = asyncio.Semaphore(self.terms.concurrency), asyncio.Event(), 0
        async with self.client.connected():
            if not self._proved:
                await self._ask(requests.pop(0))
            try:
                async with asyncio.TaskGroup() as group:
                    for request in requests:
                        group.create_task(self._ask(request))
            except BaseExceptionGroup as several:
                raise several.exceptions[0] from None

    async def _ask(self, request: Request) -> None:
        async with self._slots:
            for tries in range(1, self.terms.tries + 1):
                if not await self._allowed(request):
                    break
                number = self.journal.begin(request)
                self._under_way += 1
                try:
                    await self._try(request, number)
                    break
                except Failed as failure:
                    self.journal.fail(number, failure)
                    again = failure.retry and (self._proved or failure.status == 429)
                    if not again or tries == self.terms.tries or failure.wait > LONGEST_WAIT:
                        raise self._given_up(failure, tries) from None
                    pause = failure.wait or self._pause(tries)
                finally:
                    self._under_way -= 1
                    self._freed.set()
                await asyncio.sleep(pause)

    async def _allowed(self, request: Request) -> bool:
        """Whether the budget allows a try, if need be after others have ended."""
        while limit := self.terms.passed_by(self.journal.spent.plus(Usage.worst_case(request))):
            if not self._under_way:
                self.stopped = f"{limit} could be passed: {self.spent} so far; raise it to go on, answers are kept"
                return False
            self._freed.clear()
            await self._freed.wait()
        return True

    async def _try(self, request: Request, number: int) -> None:
        started = time.monotonic()
        raw = await self.client.complete(request)
        if not self.journal.answer(number, raw, time.monotonic() - started):
            raise Failed(f"no chat completion: {self.client.one_line(raw)}", retry=True, billed=True)
        self._proved = True
        self.progress.update(self.client.name, {"status": "done", "note": f"at most {self.spent}"})

    def _pause(self, failures: int) -> float:
        """Seconds: doubled with each failure, spread over its upper half (this enters no result)."""
        return min(self.terms.first_pause * 2.0 ** (failures - 1), LONGEST_PAUSE) * random.uniform(0.5, 1.0)

    def _given_up(self, failure: Failed, tries: int) -> UserError:
        wait = f"; it asks to wait {failure.wait:,.0f} s" if failure.wait else ""
        kept = f"; {len(self.journal.answers):,} answers are kept" if self.journal.answers else ""
        count = "1 try" if tries == 1 else f"{tries} tries"
        where = f"POST {self.client.base_url}/chat/completions, model {self.client.model}"
        told = f"{where}: {failure.reason}{wait} ({count})"
        return UserError(f"{told}\n{self.client.hint}{kept}")


@contextmanager
def asking(client: Client, folder: Path, terms: Terms) -> Iterator[Asker]:
    """An asker whose journal lies in ``folder``; it says what is there and what was spent."""
    with opened(folder, client.model, client.clean) as journal:
        asker = Asker(client, journal, terms)
        if journal.answers:
            click.echo(f"{len(journal.answers):,} answers of {client.model} are there; they are not asked for again")
        yield asker
        click.echo(f"Spent: {asker.spent}")


def _in_a_thread(job: Coroutine[Any, Any, None]) -> None:
    """Run ``job`` in an event loop in a thread of its own, since a notebook runs one in this thread.

    Ctrl-C cancels what is under way, and is passed on.
    """
    cancel: list[Callable[[], object]] = []

    async def main() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        cancel.append(lambda: loop.call_soon_threadsafe(task.cancel))
        await job

    with ThreadPoolExecutor(1, thread_name_prefix="asking") as thread:
        result = thread.submit(asyncio.run, main())
        try:
            result.result()
        except KeyboardInterrupt:
            for stop in cancel:
                with suppress(RuntimeError):  # the loop has just ended
                    stop()
            raise
