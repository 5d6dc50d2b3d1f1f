"""Many requests at once: a limit on those under way, tries again where it helps, the budget, and the journal.

Whoever asks sees answers only. The order of what happens to one request:

1. the journal has its answer: nothing is sent;
2. the budget sets aside what a try may cost at most, or waits for others to end, or :class:`BudgetSpent`;
3. the journal notes the try; it is sent; the raw answer goes into the journal, then it is read;
4. a try that failed is tried again after a pause where that may help: rate limits, errors of the server, timeouts,
   broken connections, half answers. The pause doubles, with jitter; a ``Retry-After`` of the server goes
   before it and holds for all. What no further try mends (a wrong key, an unknown model) ends everything at once.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from paper_repro.llm.budget import Budget, BudgetSpent, Usage
from paper_repro.llm.exchange import Backend, Request, Response, TryFailed, Unreadable
from paper_repro.llm.journal import Journal
from paper_repro.tools.errors import UserError
from paper_repro.tools.progress import Progress

T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """How often a request is tried, and its pauses in seconds: the first, the longest, and the longest that a server
    may ask for by ``Retry-After`` (one that asks for more ends the run)."""

    tries: int = 8
    first_pause: float = 0.5
    longest_pause: float = 60.0
    longest_wait: float = 600.0

    def __post_init__(self) -> None:
        if self.tries < 1 or self.first_pause < 0:
            raise UserError(f"tries {self.tries}, first pause {self.first_pause:g} s: expected 1 or more, 0 or more")

    def pause(self, failed: int) -> float:
        """Seconds after the ``failed``-th failure (from 1): doubled each time, spread over its upper half."""
        whole = min(self.first_pause * 2 ** (failed - 1), self.longest_pause)
        return whole * random.uniform(0.5, 1.0)  # enters no result


class Asker:
    """Asks ``backend`` within ``budget``, by way of ``journal``. To be used inside :func:`run`, or by ``ask_all``."""

    def __init__(
        self,
        backend: Backend,
        journal: Journal,
        budget: Budget,
        *,
        concurrency: int = 8,
        retry: Retry = Retry(),
        progress: Progress | None = None,
    ) -> None:
        if concurrency < 1:
            raise UserError(f"--concurrency {concurrency}: expected 1 or more")
        self.backend, self.journal, self.budget = backend, journal, budget
        self.concurrency, self.retry, self.progress = concurrency, retry, progress
        self._quiet_until = 0.0
        self._reached = self._proved = False
        self._cost_before = budget.cost
        self._loop: asyncio.AbstractEventLoop | None = None

    def _settle_in(self) -> None:
        """What waits belongs to one event loop, and each :func:`run` has a new one."""
        if self._loop is not asyncio.get_running_loop():
            self._loop = asyncio.get_running_loop()
            self._places = asyncio.Semaphore(self.concurrency)
            self._same: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
            self._first = asyncio.Lock()
            self._ended = asyncio.Event()  # a try has ended, so that its share of the budget may be free again

    def ask_all(self, requests: Iterable[Request]) -> list[Response | None]:
        """The answers in the order of ``requests``; None for those that the budget no longer allowed.

        Equal requests among them are asked once each: the second is another draw (index 1), and so on.
        """
        return run(lambda: self.ask_each(list(requests)), self.backend.close)

    def expect(self, requests: int) -> None:
        """So many are about to be asked: for the progress that is shown."""
        if self.progress is not None:
            self.progress.total += requests

    async def ask_each(self, requests: Sequence[Request]) -> list[Response | None]:
        """As :meth:`ask_all`, for those who have an event loop of their own (:func:`run`)."""
        self.expect(len(requests))
        seen: defaultdict[str, int] = defaultdict(int)
        jobs = []
        for request in requests:
            digest = request.digest(self.journal.identity)
            jobs.append(self._ask_or_none(request, seen[digest]))
            seen[digest] += 1
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
        return [task.result() for task in tasks]

    async def _ask_or_none(self, request: Request, index: int) -> Response | None:
        try:
            return await self.ask(request, index)
        except BudgetSpent:
            return None

    async def ask(self, request: Request, index: int = 0) -> Response:
        """The answer to ``request``, from the journal or from the backend; ``index`` counts draws of the same request.

        Raises BudgetSpent where the budget does not allow it, UserError where it cannot be had.
        """
        self._settle_in()
        async with self._same[request.digest(self.journal.identity), index]:
            known = self.journal.get(request, index)
            if known is not None:
                self.expect(-1)
                return known
            async with self._places:
                return await self._in_turn(request, index)

    async def _in_turn(self, request: Request, index: int) -> Response:
        """One request goes ahead of all others: a wrong key or model costs one try, not as many as go at once."""
        if not self._proved:
            async with self._first:
                if not self._proved:
                    return await self._try(request, index)
        return await self._try(request, index)

    async def _try(self, request: Request, index: int) -> Response:
        for failed in range(1, self.retry.tries + 1):
            await self._quiet()
            number = await self._begin(request, index)
            try:
                return await self._once(request, number)
            except TryFailed as failure:
                self._settle(number, self.journal.fail(number, failure.reason, billed=failure.billed))
                if not failure.reached and not self._reached:
                    raise UserError(f"{failure.reason}\nIs the server running, and is --base-url right?") from None
                if not failure.retry or failed == self.retry.tries:
                    raise self._given_up(failure, failed) from None
                await self._pause(failure, failed)
            except UserError as error:  # the backend knows that no further try helps
                self._settle(number, self.journal.fail(number, str(error), billed=False))
                raise
        raise AssertionError("the last try returns or raises")

    async def _once(self, request: Request, number: int) -> Response:
        started = time.monotonic()
        raw = await self.backend.complete(request)
        self._reached = True
        try:
            response, used = self.journal.answer(number, raw, time.monotonic() - started)
        except Unreadable as error:
            raise TryFailed(str(error), retry=True, billed=True) from None
        self._settle(number, used)
        self._proved = True
        self._tell()
        return response

    def _tell(self) -> None:
        if self.progress is None:
            return
        done = self.progress.done + 1
        self.progress.total = max(self.progress.total, done)
        note = self.budget.describe()
        if self.budget.cost:
            each = (self.budget.cost - self._cost_before) / done
            note += f", about {each * (self.progress.total - done):.2g} more"
        self.progress.update(self.backend.name, {"status": "done", "note": note})

    async def _begin(self, request: Request, index: int) -> int:
        worst = Usage.worst_case(request)
        while reason := self.budget.lacking(worst):
            if not self.budget.under_way:
                raise BudgetSpent(f"{reason}: {self.budget.describe()} so far; raise it to go on, answers are kept")
            self._ended.clear()
            await self._ended.wait()
        number = self.journal.begin(request, index, worst)
        self.budget.set_aside(number, worst)
        return number

    def _settle(self, number: int, used: Usage) -> None:
        self.budget.settle(number, used)
        self._ended.set()

    async def _quiet(self) -> None:
        while (left := self._quiet_until - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def _pause(self, failure: TryFailed, failed: int) -> None:
        self._reached |= failure.reached
        pause = self.retry.pause(failed)
        if failure.wait is not None:
            if failure.wait > self.retry.longest_wait:
                raise UserError(
                    f"{self.backend.name} wants {failure.wait:,.0f} s of rest ({failure.reason}); "
                    "the same command goes on later, answers are kept"
                )
            self._quiet_until = max(self._quiet_until, time.monotonic() + failure.wait)
        await asyncio.sleep(max(pause, failure.wait or 0.0))

    def _given_up(self, failure: TryFailed, tries: int) -> UserError:
        return UserError(
            f"{self.backend.name}: {failure.reason}, after {tries} {'try' if tries == 1 else 'tries'}\n"
            f"{self.journal.answered} answers are kept: the same command goes on from there"
        )


def run(job: Callable[[], Awaitable[T]], close: Callable[[], Awaitable[None]] | None = None) -> T:
    """What ``job`` returns, from an event loop in a thread of its own, since a notebook runs one in this thread.

    Ctrl-C cancels what is under way, and is passed on. Of several failures the first is raised.
    """
    result: Future[T] = Future()
    cancel: list[Callable[[], object]] = []

    async def main() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        cancel.append(lambda: loop.call_soon_threadsafe(task.cancel))
        try:
            return await job()
        finally:
            if close is not None:
                await close()

    def work() -> None:
        try:
            result.set_result(asyncio.run(main()))
        except BaseExceptionGroup as group:
            result.set_exception(_first(group))
        except BaseException as error:
            result.set_exception(error)

    thread = threading.Thread(target=work, name="asking", daemon=True)
    thread.start()
    try:
        return result.result()
    except KeyboardInterrupt:
        for stop in cancel:
            with suppress(RuntimeError):  # the loop has just ended
                stop()
        thread.join(timeout=10)
        raise


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
