"""Which texts of the answers enter D_Q, and why the others do not.

The bundled D_Q was not filtered but for exact duplicates, and neither is one that is made here: what goes is what is no
answer to the request. Near duplicates and texts that are merely bad stay: to weight them is the paper's subject.

=================  ===============================================================================
reason             what it says
=================  ===============================================================================
empty, refusal     there was no text; the model would not
no text found      an answer in which no text (or no pair) can be made out
cut off            the last text of an answer that ended at its token limit
broken character   it holds U+FFFD, what remains of half a character
no label           a pair without one
wrong label        one that the task does not have, or not the one asked for
too long           more than three times the words asked for (or the longest dev text)
wrong script       most of its letters stand nowhere in D_P' (another alphabet)
echo               equal to a text of D_P', or close to an example of its own prompt (:data:`NEAR`)
duplicate          equal to an earlier text, but for case and white space
surplus            more texts of a label than were asked for
=================  ===============================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

from paper_repro.llm.parsing import EMPTY, Found, label_of
from paper_repro.texts.generated import normalised, whole_texts, word_counts
from paper_repro.texts.pools import Pool
from paper_repro.texts.prompts import Template

CUT_OFF, BROKEN, NO_LABEL, WRONG_LABEL, TOO_LONG = "cut off", "broken character", "no label", "wrong label", "too long"
WRONG_SCRIPT, ECHO, DUPLICATE, SURPLUS = "wrong script", "echo", "duplicate", "surplus"
NEAR = 0.7  # Jaccard likeness of the sets of four characters in a row from which on a text is an echo of an example
LONGEST = 3.0


def likeness(text: str, other: str, n: int = 4) -> float:
    """Jaccard likeness in [0, 1] of the sets of ``n`` characters in a row, of both texts in normalised form."""
    forms = map(normalised, (text, other))
    first, second = ({form[i : i + n] for i in range(max(len(form) - n + 1, 1))} for form in forms)
    return len(first & second) / len(first | second)


@dataclass(frozen=True)
class Asked:
    """What a text is an answer to: the label asked for (None: any), the words, the examples shown."""

    label: int | None
    words: int | None
    examples: Pool


class Validator:
    """Says of one text after another whether it enters D_Q; remembers those that do."""

    def __init__(self, form: Template, dev: Pool) -> None:
        self._labels, self._letters = form.labels, set("".join(whole_texts(dev)).casefold())
        self._dev = {normalised(text) for text in whole_texts(dev)}
        self._longest = int(word_counts(dev).max())
        self._seen: set[str] = set()

    def reason(self, found: Found, asked: Asked) -> str:
        """Why the text does not enter D_Q; empty where it does, and then it is remembered."""
        same = " ".join(found.whole.casefold().split())
        fault = self._label_fault(found, asked) or self._text_fault(found.whole, asked)
        if fault or same in self._seen:
            return fault or DUPLICATE
        self._seen.add(same)
        return ""

    def _label_fault(self, found: Found, asked: Asked) -> str:
        if found.label is None:
            return NO_LABEL if asked.label is None else ""
        given = label_of(found.label, self._labels)
        return WRONG_LABEL if given is None or asked.label not in (None, given) else ""

    def _text_fault(self, text: str, asked: Asked) -> str:
        if not any(map(str.isalnum, text)):
            return EMPTY
        if "\ufffd" in text:
            return BROKEN
        if len(text.split()) > LONGEST * (asked.words or self._longest):
            return TOO_LONG
        letters = [letter for letter in text.casefold() if letter.isalpha()]
        if sum(letter in self._letters for letter in letters) < len(letters) / 2:
            return WRONG_SCRIPT
        close = (likeness(text, shown) >= NEAR for shown in whole_texts(asked.examples))
        return ECHO if normalised(text) in self._dev or any(close) else ""
