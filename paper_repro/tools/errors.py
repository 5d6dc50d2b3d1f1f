"""Failures that a person can act on."""

from __future__ import annotations


class UserError(Exception):
    """A failure whose message alone says what was found, what was expected and the way out.

    The command line prints the message without a traceback (``--debug`` shows it), and so does a notebook.
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return [str(self)]


class TrainingError(UserError):
    """A training run that cannot go on (a non-finite loss, say). It is recorded as a failed run."""
