"""Answers in the many shapes in which models give them, and what of them enters D_Q."""

from __future__ import annotations

import pytest
from tiny import pool

from paper_repro.llm.parsing import EMPTY, NO_TEXT, REFUSAL, Found, parse
from paper_repro.llm.validation import (
    BROKEN,
    DUPLICATE,
    ECHO,
    NO_LABEL,
    TOO_LONG,
    WRONG_LABEL,
    WRONG_SCRIPT,
    Asked,
    Validator,
    likeness,
)
from paper_repro.texts import benchmarks, generated, prompts

NAMES = ("financial", "tweet_irony", "mrpc")
NEWS, TWEETS, PAIRS = map(prompts.template, NAMES)
A, B = "Profit rose 5 % in May.", "Sales fell (again)."
S1, S2, S3, S4 = "The dog , Rex , ran .", "Rex ran — fast .", "It rained .", "The sun shone ."
P1, P2 = Found(S1, S2, "1"), Found(S3, S4, "0")

ONE = [
    A,
    f"  {A}\n",
    f"“{A}”",
    f'**"{A}"**',
    f"Sure! Here is a financial news with positive sentiment:\n\n{A}",
    f"Certainly! Here are some news:\n{A}",
    f"**Headline:** {A}",
    f"Here you go:\n\n- {A}\n\nLet me know if you would like more!",
    f"{A}\n\nNote: this is fictional.",
    f"<think>The user wants news. {B}</think>\n\n{A}",
    f"The user wants news.</think>{A}",
    f"```\n{A}\n```",
    "Profit\x00 rose 5 %\nin\tMay.",
    f'{{"text": "{A}"}}',
    f'```json\n["{A}"]\n```',
]
TWO = [
    f"1. {A}\n2. {B}",
    f"**1.** {A}\n**2.** {B}",
    f'• "{A}"\n• "{B}"',
    f"Here are two:\n\n1. {A}\n\n2. {B}\n\nI hope these help!",
    f"1. Profit rose 5 %\n   in May.\n2. {B}",
    f"{A}\n\n{B}",
    f'{{"news": ["{A}", "{B}"]}}',
    f'{{"text": "{A}"}}\n{{"text": "{B}"}}',
    f'Here is the JSON:\n```json\n{{"headlines": [{{"headline": "{A}"}}, {{"headline": "{B}"}}]}}\n```\nEnjoy!',
    f'["{A}", "{B}", "and this one is cut o',
]
PAIR_ANSWERS = [
    f"sentence1: {S1} — sentence2: {S2} — label: 1\nsentence1: {S3} — sentence2: {S4} — label: 0",
    f"1. sentence1: {S1} — sentence2: {S2} — label: 1\n2. sentence1: {S3} — sentence2: {S4} — label: 0",
    f"sentence1: {S1}\nsentence2: {S2}\nlabel: 1\n\nsentence1: {S3}\nsentence2: {S4}\nlabel: 0",
    f"**Sentence 1:** {S1}\n**Sentence 2:** {S2}\n**Label:** 1\n\n"
    f"**Sentence 1:** {S3}\n**Sentence 2:** {S4}\n**Label:** 0",
    f"Sure:\n- Sentence1: {S1} | Sentence2: {S2} | Label: 1\n- Sentence1: {S3} | Sentence2: {S4} | Label: 0\nDone!",
    f'[{{"sentence1": "{S1}", "sentence2": "{S2}", "label": 1}}, '
    f'{{"sentence_1": "{S3}", "Sentence2": "{S4}", "label": "0"}}]',
]
PARTLY = f"1. sentence1: {S1} — sentence2: {S2}\nsentence1: {S3} — sentence2: {S4} — label: maybe\nsentence1: {S3}"
LABELLED = [
    (f"{A}\nSentiment: Positive", "Positive"),
    (f"Label: neutral — {A}", "neutral"),
    (f"{A} (positive)", "positive"),
    (f"[negative] {A}", "negative"),
    (f"**Positive**: {A}", "Positive"),
    (f'{{"text": "{A}", "label": "cheerful"}}', "cheerful"),
]


@pytest.mark.parametrize(
    ("answer", "form", "expected"),
    [
        *((answer, NEWS, [Found(A)]) for answer in ONE),
        *((answer, NEWS, [Found(A), Found(B)]) for answer in TWO),
        *((answer, PAIRS, [P1, P2]) for answer in PAIR_ANSWERS),
        *((answer, NEWS, [Found(A, label=label)]) for answer, label in LABELLED),
        (PARTLY, PAIRS, [Found(S1, S2), Found(S3, S4, "maybe")]),
    ],
)
def test_the_texts_of_an_answer(answer: str, form: prompts.Template, expected: list[Found]) -> None:
    assert parse(answer, form) == (expected, "")


@pytest.mark.parametrize(
    "answer",
    [
        "Sorry, I can't hear you over the sound of my neighbour's drill at 6 am",
        "me: I will sleep early\nalso me at 3 am: one more episode",
        "@user - thanks for nothing [video] #irony",
        '"Great" they said. "Fun" they said.',
        "Here's to Monday: the day that never ends",
        "I can't wait to share this with nobody",
        "I can't write another essay, send help",
        "Unfortunately it is sunny again",
        "- just kidding, I love Mondays",
    ],
)
def test_texts_that_only_look_like_something_else(answer: str) -> None:
    assert parse(answer, TWEETS) == ([Found(" ".join(answer.split()))], "")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", EMPTY),
        ("<think>hm</think>", EMPTY),
        ("<think>cut off in thought", EMPTY),
        ("I'm sorry, but I can't help with that.", REFUSAL),
        ("I cannot create content that expresses this.", REFUSAL),
        ("As an AI language model, I do not have feelings.", REFUSAL),
        ("I apologize, but I won't be able to write that.", REFUSAL),
        ("[1, 2, 3]", NO_TEXT),
        ("[" * 5000, NO_TEXT),
        ('{"a": ' * 5000, NO_TEXT),
        (f"{S1}\n{S2}", NO_TEXT),
    ],
)
def test_answers_without_a_text(answer: str, reason: str) -> None:
    assert parse(answer, PAIRS) == ([], reason)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_as_the_prompt_shows_it_is_read_as_it_was_meant(name: str) -> None:
    """The bundled texts, each as an answer: no refusal, no label and no list is seen where there is none."""
    form, bundled = prompts.template(name), benchmarks.bundled(name)
    misread = 0
    for i, text in enumerate(bundled.texts):
        pair, label = ("", None) if bundled.pairs is None else (bundled.pairs[i], form.labels[bundled.labels[i]])
        answer = form.example.format(text=text, pair=pair, label=label)
        misread += parse(answer, form)[0] != [Found(" ".join(text.split()), " ".join(pair.split()), label)]
    assert misread <= 1, "a text that stands in quotes as a whole"


# ---------------------------------------------------------------- judging


DEV = pool(["Profit of the bank rose in May .", "Sales of the firm fell in June after a strike ."])
SHOWN = Asked(2, 10, DEV.subset([0]))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Found("Orders doubled ."), ""),
        (Found("Orders doubled .", label="Positive"), ""),
        (Found("Orders doubled .", label="cheerful"), WRONG_LABEL),
        (Found("?! ..."), EMPTY),
        (Found("Orders rose \ufffd"), BROKEN),
        (Found("Orders " * 30), ""),
        (Found("Orders " * 31), TOO_LONG),
        (Found("Прибыль банка выросла ."), WRONG_SCRIPT),
        (Found("Naïve café sales rose 12 % at Прибыль"), ""),
        (Found("Profit of the bank rose in May ."), ECHO),
        (Found("The profit of the bank rose in May ."), ECHO),
        (Found("Sales of the firm fell in June, after a strike"), ECHO),
        (Found("Profit of the mill fell in April ."), ""),
    ],
)
def test_reasons(found: Found, reason: str) -> None:
    assert Validator(NEWS, DEV).reason(found, SHOWN) == reason


def test_pairs_need_a_label_of_the_task() -> None:
    validator = Validator(PAIRS, pool(["a b"], pairs=["c d rxnogtily"]))
    asked = Asked(None, None, pool(["a b"], pairs=["c d"]))
    found = [Found("Rex ran .", "A dog ran .", label) for label in ("1", None, "2")]
    assert [validator.reason(entry, asked) for entry in found] == ["", NO_LABEL, WRONG_LABEL]
    assert validator.reason(Found("x " * 10, "y " * 6, "0"), asked) == TOO_LONG, "three times the longest pair of D_P'"


def test_duplicates_are_those_of_texts_that_were_accepted() -> None:
    validator = Validator(NEWS, DEV)
    found = [Found("Orders  doubled ."), Found("orders doubled ."), Found("Orders doubled !")]
    assert [validator.reason(entry, SHOWN) for entry in found] == ["", DUPLICATE, ""], (
        "punctuation makes a near duplicate"
    )


def test_likeness_by_hand() -> None:
    # "abcde" has abcd, bcde; "abcdf" has abcd, bcdf: one of three in common.
    assert likeness("abcde", "abcdf") == pytest.approx(1 / 3)
    assert likeness("A, b?", "a B!") == 1
    assert likeness("abc", "xyz") == 0


@pytest.mark.parametrize("name", NAMES)
def test_no_text_of_the_real_benchmarks_is_in_another_script(name: str, real_data_dir: object) -> None:
    real = benchmarks.load(name, kind="real", data_dir=real_data_dir)  # type: ignore[arg-type]
    validator = Validator(prompts.template(name), real.pools["dev"])
    asked = Asked(None, 10_000, real.pools["dev"].subset([]))
    for part in ("train", "generated"):
        texts = generated.whole_texts(real.pools[part])
        reasons = [validator.reason(Found(text, label=prompts.template(name).labels[0]), asked) for text in texts]
        assert reasons.count(WRONG_SCRIPT) <= 0.001 * len(texts)
