"""From an answer to the texts in it: plain text, lists, quotes, JSON, pairs. Nothing is judged here but refusals.

Models answer in many shapes to one and the same prompt. What is recognised, in this order: reasoning between
``<think>`` tags is left out; JSON (whole, fenced, or one object a line); for pairs the form of Table 6,
``sentence1: ... — sentence2: ... — label: ...``, on one line or several; numbered or bulleted lists; else paragraphs,
each a text. Announcements ("Sure, here is a tweet:"), closing remarks, quotes and bold around a text are taken off.
The answer is data: it is matched and cut, never evaluated.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from paper_repro.texts.prompts import Template

EMPTY, REFUSAL, NO_TEXT = "empty", "refusal", "no text found"


class Found(NamedTuple):
    """One text of an answer; ``label`` is the word that the answer gives it, if it gives one."""

    text: str
    pair: str = ""
    label: str | None = None

    @property
    def whole(self) -> str:
        """Both sentences of a pair, one after the other."""
        return f"{self.text} {self.pair}" if self.pair else self.text


_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.S | re.I)
_THOUGHT_END = re.compile(r"\A.*</think(?:ing)?>", re.S | re.I)  # some templates open the thought themselves
_FENCE = re.compile(r"```[\w-]*\n(.*?)(?:```|\Z)", re.S)
_JSON_START = re.compile(r"^[ \t]*(?=[\[{])", re.M)
_JSON_ANYWHERE = re.compile(r"(?=[\[{])")
_WHOLE_STRING = re.compile(r'"(?:[^"\\\n]|\\["\\/bfnrt])*"(?=\s*[,\]])')
_ITEM = re.compile(r"^\s*(?:\*\*)?(?:\(?\d{1,3}[.):]\*{0,2}\s+|[-*•–]\s+)(?P<text>\S.*)$")
_PAIR = re.compile(
    r"""sentence[ _]?1["'*\s]*[:=](?P<first>.*?)
        sentence[ _]?2["'*\s]*[:=](?P<second>.*?)
        (?:label["'*\s]*[:=]["'*\s]*(?P<label>[\w-]+) | (?=sentence[ _]?1) | \Z)""",
    re.S | re.I | re.X,
)
_OPENING = r"(?:(?:sure|certainly|of course|absolutely|okay|ok|great)\b[!,. ]*)"
_THINGS = r"(?:tweet|new|headline|text|sentence|example|post|review|message|pair|one|two|option|data|json)s?"
_ANNOUNCEMENT = re.compile(
    rf"\A\**(?:{_OPENING}?here(?:'s|’s| is| are)\b[^:\n]{{0,80}}\b{_THINGS}\b[^:\n]{{0,80}}:\**\s*"
    rf"|(?:{_OPENING}|here\b)[^:\n]{{0,160}}:\s*\n)",
    re.I,
)
_CAPTION = re.compile(
    r"\A\**(?:(?:generated|new|another|example|financial)\s+)*"
    r"(?:tweet|news|headline|text|sentence|output|answer|review)(?:\s+\d+)?\s*:\**\s*",
    re.I,
)
_REMARK = re.compile(
    r"\A\(?(?:let me know|i hope (?:this|these)|feel free|would you like|is there anything|please let me|"
    r"\**note\b|disclaimer)\b",
    re.I,
)
_SORRY = r"(?:i['’]?\s?a?m (?:so |very )?sorry|sorry|i apologi[sz]e|unfortunately|my apologies)\b[^.!?\n]{0,30}?"
_UNABLE = r"\bi\s?(?:['’]m| am)? ?(?:can ?not|can['’]?t|unable to|not able to|won['’]?t be able to|must decline to)\s+"
_SERVICE = r"(?:help(?! (?:but|it|myself)\b)|assist|provide|generate|create|write|fulfill?|comply|produce|complete)\b"
# People say "I can't write another essay", too: without an apology a refusal has to name what was asked for.
_ASKED = (
    r"(?:[.!]|[^.!?\n]{0,60}\b(?:request|content|texts?|tweets?|news|sentences?|pairs?|examples?|with (?:that|this))\b)"
)
_AI = r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b"
_REFUSAL = re.compile(rf"\A\W*(?:{_SORRY}{_UNABLE}{_SERVICE}|{_UNABLE}{_SERVICE}{_ASKED}|{_AI})", re.I)
_STATED = re.compile(
    r"\s*[(\[—–-]?\s*\b(?:label|sentiment)\s*[:=]\s*[\"'*]*(?P<label>\w[\w-]*)[\"'*]*[)\]]?\s*[.;,—–-]?\s*", re.I
)
_QUOTES = {'"': '"', "“": "”", "«": "»", "„": "“", "‘": "’", "'": "'", "`": "`"}
_TEXT_KEYS = ("text", "tweet", "sentence", "news", "content", "headline", "review", "output", "example")
_LABEL_KEYS = ("label", "sentiment", "class", "category")


def parse(answer: str, form: Template) -> tuple[list[Found], str]:
    """The texts (pairs, for a task of pairs) of one answer to a prompt of ``form``.

    Where there are none the second part says why: :data:`EMPTY`, :data:`REFUSAL` or :data:`NO_TEXT`.
    """
    answer = without_thoughts(answer)
    if not answer:
        return [], EMPTY
    found = list(_from_json(answer, form)) or list(_pairs(answer) if form.paired else _prose(answer, form))
    # A refusal is one in its whole: a list of texts in which somebody says that he cannot help is none.
    if _REFUSAL.match(answer) and len(found) < 2:
        return [], REFUSAL
    tidy = [Found(_bare(entry.text), _bare(entry.pair), entry.label) for entry in found]
    usable = [entry for entry in tidy if entry.text and (entry.pair or not form.paired)]
    return usable, "" if usable else NO_TEXT


def without_thoughts(answer: str) -> str:
    """The answer without what a model wrote between ``<think>`` tags."""
    return _THOUGHT_END.sub("", _THOUGHT.sub("", answer)).strip()


def label_of(word: str, labels: Sequence[str]) -> int | None:
    """The class index of a label as an answer writes it (case does not count), or None."""
    plain = [label.casefold() for label in labels]
    return plain.index(word.strip().casefold()) if word.strip().casefold() in plain else None


def json_values(block: str, *, anywhere: bool = False) -> Iterator[Any]:
    """Every JSON object or array that begins at the start of a line (or anywhere), outermost first."""
    decoder, position = json.JSONDecoder(), 0
    while (start := (_JSON_ANYWHERE if anywhere else _JSON_START).search(block, position)) is not None:
        try:
            value, position = decoder.raw_decode(block, start.end())
            yield value
        except (ValueError, RecursionError):
            position = start.end() + 1


def _from_json(answer: str, form: Template) -> Iterator[Found]:
    for block in _FENCE.findall(answer) or [answer]:
        values = list(json_values(block))
        if not values and block.lstrip().startswith("["):  # a list that was cut off: its whole strings
            values = [json.loads(text) for text in _WHOLE_STRING.findall(block)]
        yield from _texts_of(values, form)


def _texts_of(value: Any, form: Template) -> Iterator[Found]:
    if isinstance(value, str) and not form.paired:
        yield Found(value)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts_of(entry, form)
    elif isinstance(value, dict):
        yield from _of_object({re.sub(r"[\W_]", "", str(key)).lower(): entry for key, entry in value.items()}, form)


def _of_object(entries: Mapping[str, Any], form: Template) -> Iterator[Found]:
    label = next((str(entries[key]) for key in _LABEL_KEYS if isinstance(entries.get(key), str | int)), None)
    texts = {key: entry for key, entry in entries.items() if isinstance(entry, str) and key not in _LABEL_KEYS}
    if form.paired and {"sentence1", "sentence2"} <= set(texts):
        yield Found(texts["sentence1"], texts["sentence2"], label)
    elif texts and not form.paired:
        key = next((key for key in _TEXT_KEYS if key in texts), max(texts, key=lambda key: len(texts[key])))
        yield Found(texts[key], label=label)
    else:
        for entry in entries.values():
            if isinstance(entry, list | dict):
                yield from _texts_of(entry, form)


def _pairs(answer: str) -> Iterator[Found]:
    for match in _PAIR.finditer(answer):
        first, second = (re.sub(r"\n\s*(?:\d{1,3}[.)]|[-*•])\s*\Z", "", match[name]) for name in ("first", "second"))
        yield Found(first.strip(" \t\n—–-|;,*"), second.strip(" \t\n—–-|;,*"), match["label"])


def _prose(answer: str, form: Template) -> Iterator[Found]:
    answer = "\n\n".join(_FENCE.findall(answer)) or answer
    for text in _listed(answer) or _paragraphs(answer):
        yield _with_label(text, form)


def _listed(answer: str) -> list[str]:
    """The items of a list, with the lines that go on with them; none where there is no list."""
    lines = answer.splitlines()
    items = {i: match["text"] for i, line in enumerate(lines) if (match := _ITEM.match(line))}
    first = min(items, default=0)
    announced = any(line.rstrip(" *").endswith(":") for line in lines[:first])
    if not items or (len(items) == 1 and not announced and not (first == 0 and re.match(r"\s*\(?1[.):]", lines[0]))):
        return []
    texts = []
    for start, end in zip(items, [*list(items)[1:], len(lines)], strict=True):
        texts.append(" ".join([items[start], *takewhile(str.strip, lines[start + 1 : end])]))
    return texts


def _paragraphs(answer: str) -> list[str]:
    paragraphs = [part for part in re.split(r"\n\s*\n", answer.strip()) if part.strip(" \n*-_#")]
    if len(paragraphs) > 1:
        announces = [part.rstrip(" *").endswith(":") and len(part) < 160 for part in paragraphs]
        paragraphs = [p for p, it in zip(paragraphs, announces, strict=True) if not it and not _REMARK.match(p)]
    return [_CAPTION.sub("", _ANNOUNCEMENT.sub("", paragraph)) for paragraph in paragraphs]


def _with_label(text: str, form: Template) -> Found:
    """The label that the answer itself puts beside a text: ``Label: x``, or a label of the task in brackets."""
    stated = _STATED.search(text)
    if stated is not None and (stated.start() == 0 or stated.end() == len(text)):
        return Found(text[: stated.start()] + text[stated.end() :], label=stated["label"])
    # A number in brackets is a number.
    names = "|".join(sorted((re.escape(name) for name in form.labels if not name.isdigit()), key=len, reverse=True))
    if not names:
        return Found(text)
    marked = re.match(rf"\s*(?:[(\[](?P<a>{names})[)\]]|\*\*(?P<b>{names}):?\*\*)\s*[:—–-]?\s*", text, re.I)
    marked = marked or re.search(rf"\s*[(\[](?P<a>{names})(?P<b>)[)\]]\s*\Z", text, re.I)
    if marked is None:
        return Found(text)
    return Found(text[: marked.start()] + text[marked.end() :], label=marked["a"] or marked["b"])


def _bare(text: str) -> str:
    """On one line, without control characters and without quotes or bold around all of it.

    Quotes with space inside them are part of a text (MRPC's are written so), and so are those with more between them.
    """
    text = " ".join("".join(" " if unicodedata.category(c) == "Cc" else c for c in text).split())
    while len(text) > 1:
        inner = text[1:-1]
        if bold := re.fullmatch(r"(\*\*|__|\*)(?!\s)([^*]+?)\1", text):
            text = bold[2].strip()
        elif _QUOTES.get(text[0]) == text[-1] and not {text[0], text[-1]} & set(inner) and inner == inner.strip():
            text = inner.strip()
        else:
            break
    return text
