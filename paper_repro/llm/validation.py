"""Which texts of the answers enter D_Q, and why the others do not.

The bundled D_Q was not filtered but for exact duplicates, and neither is one that is made here: what goes is what
is no answer to the request. Near duplicates and texts that are merely bad stay: to weight them is the paper's subject.

==================  ==========================================================================================
reason              what it says
==================  ==========================================================================================
empty, refusal      there was no text; the model would not
no text found       an answer in which no text (or no pair) can be made out
cut off             the last text of an answer that ended at its token limit
no label            a pair without one
wrong label         one that the task does not have, or not the one asked for
too long            more than three times the words asked for (or the longest dev text)
wrong language      see :class:`Language`
echo                equal to a text of D_P', or close to an example of its own prompt (:data:`NEAR`)
duplicate           equal to an earlier text, but for case and white space
surplus             more texts of a label than were asked for
==================  ==========================================================================================
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from paper_repro.llm.parsing import EMPTY, NO_TEXT, REFUSAL, Found, label_of
from paper_repro.texts.generated import normalised, whole_texts, word_counts
from paper_repro.texts.pools import Pool
from paper_repro.texts.prompts import Template

CUT_OFF, NO_LABEL, WRONG_LABEL, TOO_LONG = "cut off", "no label", "wrong label", "too long"
WRONG_LANGUAGE, ECHO, DUPLICATE, SURPLUS = "wrong language", "echo", "duplicate", "surplus"
REASONS = (
    *(EMPTY, REFUSAL, NO_TEXT, CUT_OFF, NO_LABEL, WRONG_LABEL),
    *(TOO_LONG, WRONG_LANGUAGE, ECHO, DUPLICATE, SURPLUS),
)
NEAR = 0.7
"""Jaccard likeness of the sets of four characters in a row from which on a text is an echo of an example."""

LONGEST = 3.0


class Language:
    """A coarse test against D_P' itself, so that it holds for any language that D_P' is written in.

    A text is taken to be in another language if most of its letters are of another script, or if it has at least
    ``FEWEST`` words of which less than ``SHARE`` are among the ``COMMON`` commonest of D_P'. Short texts, close
    relatives of the language ("in" and "was" are German, too) and texts that mix languages pass. Of the real training
    sets and the bundled D_Q, all English but for single words, it refuses 0 to 4 texts in 1,000. A D_P' of less than
    twice as many different words says too little: then only the script counts.
    """

    COMMON, FEWEST, SHARE = 300, 8, 0.1

    def __init__(self, texts: Iterable[str]) -> None:
        counts: Counter[str] = Counter()
        scripts: Counter[str] = Counter()
        for text in texts:
            counts.update(set(normalised(text).split()))
            scripts.update(map(_script, filter(str.isalpha, text)))
        self._common = {word for word, _ in counts.most_common(self.COMMON) if not word.isdigit()}
        self._telling = len(counts) >= 2 * self.COMMON
        self._script = scripts.most_common(1)[0][0] if scripts else ""

    def fits(self, text: str) -> bool:
        letters = Counter(map(_script, filter(str.isalpha, text)))
        if letters and letters[self._script] < letters.total() / 2:
            return False
        words = normalised(text).split()
        if len(words) < self.FEWEST or not self._telling:
            return True
        return sum(word in self._common for word in words) >= self.SHARE * len(words)


def _script(letter: str) -> str:
    """ "LATIN", "CYRILLIC", "CJK", ...: the first word of the letter's Unicode name."""
    return unicodedata.name(letter, "").split(" ")[0]


def likeness(text: str, other: str, n: int = 4) -> float:
    """Jaccard likeness in [0, 1] of the sets of ``n`` characters in a row, of both texts in normalised form."""
    first, second = (
        {form[i : i + n] for i in range(max(len(form) - n + 1, 1))} for form in map(normalised, (text, other))
    )
    return len(first & second) / len(first | second)


@dataclass(frozen=True)
class Asked:
    """What a text is an answer to: the label asked for (None: any), the words, the examples shown."""

    label: int | None
    words: int | None
    examples: Pool


class Judge:
    """Says of one text after another whether it enters D_Q; remembers those that do."""

    def __init__(self, form: Template, dev: Pool) -> None:
        self._form, self._language = form, Language(whole_texts(dev))
        self._dev = {normalised(text) for text in whole_texts(dev)}
        self._longest = int(word_counts(dev).max())
        self._seen: set[str] = set()

    def label(self, found: Found, asked: Asked) -> int | None:
        """The class of a text: the one asked for, or the one that the answer gives."""
        given = None if found.label is None else label_of(found.label, self._form.labels)
        return given if asked.label is None else asked.label

    def reason(self, found: Found, asked: Asked) -> str:
        """Why the text does not enter D_Q; empty where it does, and then it is remembered."""
        text = found.whole
        fault = self._label_fault(found, asked) or self._text_fault(text, asked)
        same = " ".join(text.casefold().split())
        if not fault and same in self._seen:
            fault = DUPLICATE
        if not fault:
            self._seen.add(same)
        return fault

    def _label_fault(self, found: Found, asked: Asked) -> str:
        if found.label is None:
            return NO_LABEL if asked.label is None else ""
        given = label_of(found.label, self._form.labels)
        return WRONG_LABEL if given is None or asked.label not in (None, given) else ""

    def _text_fault(self, text: str, asked: Asked) -> str:
        if not any(map(str.isalnum, text)):
            return EMPTY
        if len(text.split()) > LONGEST * (asked.words or self._longest):
            return TOO_LONG
        if not self._language.fits(text):
            return WRONG_LANGUAGE
        close = (likeness(text, shown) >= NEAR for shown in whole_texts(asked.examples))
        return ECHO if normalised(text) in self._dev or any(close) else ""
