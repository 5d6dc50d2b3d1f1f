"""What all commands share: options, and how they end: what goes wrong is told in a line or two, with an exit code."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from paper_repro.tools.errors import UserError

PROGRAM = "paper-repro"
INCOMPLETE, BAD_INPUT, INTERRUPTED = 1, 2, 130
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Program(click.Group):
    """Turns what goes wrong into one or two lines and an exit code; ``--debug`` lets the traceback through."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are defined."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _termination_as_interrupt():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            _leave(ctx, "stopped; what was finished is kept: the same command goes on from there", INTERRUPTED)
        except UserError as error:
            _leave(ctx, str(error), BAD_INPUT)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader (head, less) has gone: no failure
                raise
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            hint = "; make room or choose another --results-dir" if full else ""
            _leave(ctx, f"{error.strerror or error}: {error.filename or 'a file'}{hint}", INCOMPLETE)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            _leave(ctx, f"unexpected failure, {reason} (--debug shows where)", INCOMPLETE)


def _leave(ctx: click.Context, message: str, code: int) -> None:
    """To be called while an exception is handled."""
    click.echo(f"{PROGRAM}: {message}", err=True)
    if ctx.meta.get("debug"):
        raise
    ctx.exit(code)


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """A polite kill (a job scheduler's) must stop the kernels as Ctrl-C does."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread, where signals cannot be caught
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _remember_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta["debug"] = True


debug = click.option("--debug", is_flag=True, expose_value=False, callback=_remember_debug, help="Show tracebacks.")


def with_options(*options: Decorator) -> Decorator:
    """Gives a command these options, listed in this order in its help."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
