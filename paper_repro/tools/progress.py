"""Progress of many runs: how many are done, how long the rest will take, what went wrong."""

from __future__ import annotations

import sys
import time
from typing import Any

MARK = "[runs]"  # the command line passes lines that begin so on from an executing notebook
LONGEST = 20.0  # seconds without a line


class Progress:
    """Prints a line about every tenth of the way, at least every :data:`LONGEST` seconds, and each failure."""

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self.total, self.quiet = total, quiet
        self.done = self.failed = 0
        self._started = self._printed = time.monotonic()

    def update(self, label: str, outcome: dict[str, Any]) -> None:
        self.done += 1
        if outcome["status"] == "failed":
            self.failed += 1
            self._print(f"{MARK} failed: {outcome['note'] or label}")
        now = time.monotonic()
        tenth = self.done * 10 // self.total > (self.done - 1) * 10 // self.total
        if tenth or now - self._printed >= LONGEST:
            self._printed = now
            left = (now - self._started) / self.done * (self.total - self.done)
            self._print(
                f"{MARK} {self.done} of {self.total} done"
                + (f", {self.failed} failed" if self.failed else "")
                + f", {duration(now - self._started)} gone"
                + (f", about {duration(left)} left" if self.done < self.total else "")
                + f"; {label}: {outcome['note']}"
            )

    def tell(self, what: str) -> None:
        """A line about all of them."""
        self._print(f"{MARK} {what}")

    def _print(self, line: str) -> None:
        if not self.quiet:
            print(line, file=sys.stdout, flush=True)


def duration(seconds: float) -> str:
    """``75`` -> ``1:15``, ``3700`` -> ``1:01:40``."""
    whole = int(seconds + 0.5)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
