"""Answers in the many shapes in which models give them, and what of them enters D_Q."""

from __future__ import annotations

import numpy as np
import pytest

from paper_repro.llm.parsing import EMPTY, NO_TEXT, REFUSAL, Found, parse
from paper_repro.llm.validation import (
    CUT_OFF,
    DUPLICATE,
    ECHO,
    NO_LABEL,
    TOO_LONG,
    WRONG_LABEL,
    WRONG_LANGUAGE,
    Asked,
    Judge,
    Language,
    likeness,
)
from paper_repro.texts import benchmarks, generated, prompts
from paper_repro.texts.pools import Pool

NEWS, TWEETS, PAIRS = map(prompts.template, ("financial", "tweet_irony", "mrpc"))
A, B = "Profit rose 5 % in May.", "Sales fell (again)."


def texts(answer: str, form=NEWS) -> list[str]:
    return [found.text for found in parse(answer, form).found]


@pytest.mark.parametrize(
    "answer",
    [
        A,
        f"  {A}\n",
        f'"{A}"',
        f"“{A}”",
        f"**{A}**",
        f'**"{A}"**',
        f"Sure! Here is a financial news with positive sentiment:\n\n{A}",
        f"Here's one: {A}",
        f"Certainly! Here are some news:\n{A}",
        f"News: {A}",
        f"**Headline:** {A}",
        f"1. {A}",
        f"Here you go:\n\n- {A}\n\nLet me know if you would like more!",
        f"{A}\n\nNote: this is fictional.",
        f"<think>The user wants news. {B}</think>\n\n{A}",
        f"The user wants news.</think>{A}",
        f"```\n{A}\n```",
        "Profit rose 5 %\nin May.",
        f'{{"text": "{A}"}}',
        f'```json\n["{A}"]\n```',
    ],
)
def test_one_text(answer):
    assert texts(answer) == [A]


@pytest.mark.parametrize(
    "answer",
    [
        f"1. {A}\n2. {B}",
        f"1) {A}\n2) {B}",
        f"(1) {A}\n(2) {B}",
        f"**1.** {A}\n**2.** {B}",
        f"- {A}\n- {B}",
        f"* {A}\n* {B}",
        f'• "{A}"\n• "{B}"',
        f"Here are two:\n\n1. {A}\n\n2. {B}\n\nI hope these help!",
        f"1. Profit rose 5 %\n   in May.\n2. {B}",
        f"{A}\n\n{B}",
        f'["{A}", "{B}"]',
        f'{{"news": ["{A}", "{B}"]}}',
        f'[{{"text": "{A}"}}, {{"text": "{B}"}}]',
        f'{{"text": "{A}"}}\n{{"text": "{B}"}}',
        f'Here is the JSON:\n```json\n{{"headlines": [{{"headline": "{A}"}}, {{"headline": "{B}"}}]}}\n```\nEnjoy!',
        f'["{A}", "{B}", "and this one is cut o',
    ],
)
def test_two_texts(answer):
    assert texts(answer) == [A, B]


@pytest.mark.parametrize(
    "answer",
    [
        "I can't believe it is Monday again, best day ever",
        "Sorry, I can't hear you over the sound of my neighbour's drill at 6 am",
        "So sorry I'm late, I just love standing in traffic",
        "me: I will sleep early\nalso me at 3 am: one more episode",
        "3 hours of meetings. Living the dream.",
        "@user - thanks for nothing [video] #irony",
        "irony: a fire station that burns down",
        "He said 'no' and then 'yes'. Great.",
        '"Great" they said. "Fun" they said.',
        "What a day :) (not)",
        "Here's to another Monday, everyone",
        "Here's to Monday: the day that never ends",
        "Here's the thing: I love queues",
        "I can't wait to share this with nobody",
        "I can't help but laugh at this bus",
        "Sorry, I can't help it, I love Mondays",
        "I can't write another essay, send help",
        "Unfortunately it is sunny again",
        "- just kidding, I love Mondays",
    ],
)
def test_texts_that_only_look_like_something_else(answer):
    found = parse(answer, TWEETS).found
    assert [(entry.text, entry.label) for entry in found] == [(" ".join(answer.split()), None)]


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I cannot assist with that request.",
        "Sorry, I am unable to provide financial news.",
        "I cannot create content that expresses this.",
        "As an AI language model, I do not have feelings.",
        "I apologize, but I won't be able to write that.",
        "Unfortunately, I can not generate this text.",
    ],
)
@pytest.mark.parametrize("form", [NEWS, PAIRS], ids=["text", "pair"])
def test_refusals(answer, form):
    assert parse(answer, form).reason == REFUSAL


@pytest.mark.parametrize("answer", ["", "  \n", "<think>hm</think>", "<think>cut off in thought"])
def test_nothing(answer):
    assert parse(answer, NEWS).reason == EMPTY


@pytest.mark.parametrize("answer", ["[1, 2, 3]", "{}", "[" * 5000, '{"a": ' * 5000, "```json\n[]\n```"])
def test_json_that_holds_no_text_or_never_ends(answer):
    assert parse(answer, PAIRS).reason == NO_TEXT


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        (f"{A} Label: positive", "positive"),
        (f"{A}\nSentiment: Positive", "Positive"),
        (f"Label: neutral — {A}", "neutral"),
        (f"{A} (positive)", "positive"),
        (f"[negative] {A}", "negative"),
        (f"**Positive**: {A}", "Positive"),
        (f'{{"text": "{A}", "label": "cheerful"}}', "cheerful"),
    ],
)
def test_a_label_beside_a_text(answer, label):
    assert parse(answer, NEWS).found == (Found(A, label=label),)


S1, S2, S3, S4 = "The dog , Rex , ran .", "Rex ran — fast .", "It rained .", "The sun shone ."


@pytest.mark.parametrize(
    "answer",
    [
        f"sentence1: {S1} — sentence2: {S2} — label: 1\nsentence1: {S3} — sentence2: {S4} — label: 0",
        f"1. sentence1: {S1} — sentence2: {S2} — label: 1\n2. sentence1: {S3} — sentence2: {S4} — label: 0",
        f"sentence1: {S1}\nsentence2: {S2}\nlabel: 1\n\nsentence1: {S3}\nsentence2: {S4}\nlabel: 0",
        f"**Sentence 1:** {S1}\n**Sentence 2:** {S2}\n**Label:** 1\n\n"
        f"**Sentence 1:** {S3}\n**Sentence 2:** {S4}\n**Label:** 0",
        f"Sure:\n- Sentence1: {S1} | Sentence2: {S2} | Label: 1\n- Sentence1: {S3} | Sentence2: {S4} | Label: 0\nDone!",
        f'[{{"sentence1": "{S1}", "sentence2": "{S2}", "label": 1}}, '
        f'{{"sentence_1": "{S3}", "Sentence2": "{S4}", "label": "0"}}]',
    ],
)
def test_pairs(answer):
    assert parse(answer, PAIRS).found == (Found(S1, S2, "1"), Found(S3, S4, "0"))


def test_pairs_without_a_label_or_without_a_second_sentence():
    answer = (
        f"1. sentence1: {S1} — sentence2: {S2}\n2. sentence1: {S3} — sentence2: {S4} — label: maybe\nsentence1: {S3}"
    )
    assert parse(answer, PAIRS).found == (Found(S1, S2, None), Found(S3, S4, "maybe"))
    assert parse(f"{S1}\n{S2}", PAIRS).reason == NO_TEXT


@pytest.mark.parametrize("name", ["financial", "tweet_irony", "mrpc"])
def test_what_is_written_as_the_prompt_shows_it_is_read_as_it_was_meant(name):
    """The bundled texts, each as an answer: no refusal, no label and no list is seen where there is none."""
    form, pool = prompts.template(name), generated.bundled(name)
    misread = 0
    for i, text in enumerate(pool.texts):
        pair, label = ("", None) if pool.pairs is None else (pool.pairs[i], form.labels[pool.labels[i]])
        answer = form.example.format(text=text, pair=pair, label=label)
        misread += parse(answer, form).found != (Found(" ".join(text.split()), " ".join(pair.split()), label),)
    assert misread <= 1, "a text that stands in quotes as a whole"


def test_control_characters_and_lone_surrogates_do_no_harm():
    assert texts("Profit\x00 rose\x1b[31m 5 %\tin May.\ud83d") == ["Profit rose [31m 5 % in May.?"]


# ---------------------------------------------------------------- judging


def pool(*texts: str, pairs: tuple[str, ...] | None = None) -> Pool:
    return Pool("dev", texts, np.zeros(len(texts), dtype=np.int64), pairs)


DEV = pool("Profit of the bank rose in May .", "Sales of the firm fell in June after a strike .")
SHOWN = Asked(2, 10, DEV.subset([0]))


@pytest.mark.parametrize(
    ("found", "asked", "reason"),
    [
        (Found("Orders doubled ."), SHOWN, ""),
        (Found("... !"), SHOWN, EMPTY),
        (Found("Orders doubled .", label="Positive"), SHOWN, ""),
        (Found("Orders doubled .", label="negative"), SHOWN, WRONG_LABEL),
        (Found("Orders doubled .", label="great"), SHOWN, WRONG_LABEL),
        (Found("Orders " * 30), SHOWN, ""),
        (Found("Orders " * 31), SHOWN, TOO_LONG),
        (Found("Прибыль банка выросла ."), SHOWN, WRONG_LANGUAGE),
        (Found("Profit of the bank rose in May ."), SHOWN, ECHO),
        (Found("profit of the bank ROSE, in may"), SHOWN, ECHO),
        (Found("The profit of the bank rose in May ."), SHOWN, ECHO),
        (Found("Sales of the firm fell in June, after a strike"), SHOWN, ECHO),
        (Found("Profit of the mill fell in April ."), SHOWN, ""),
    ],
)
def test_reasons(found, asked, reason):
    assert Judge(NEWS, DEV).reason(found, asked) == reason


def test_pairs_need_a_label_of_the_task():
    judge = Judge(PAIRS, pool("a b", pairs=("c d",)))
    asked = Asked(None, None, pool("a b", pairs=("c d",)))
    found = [Found("Rex ran .", "A dog ran .", label) for label in ("1", None, "2")]
    assert [judge.reason(entry, asked) for entry in found] == ["", NO_LABEL, WRONG_LABEL]
    assert judge.label(found[0], asked) == 1
    assert judge.reason(Found("x " * 7, "y " * 6, "0"), asked) == TOO_LONG, "three times the longest pair of D_P'"


def test_duplicates_are_those_of_texts_that_were_accepted():
    judge = Judge(NEWS, DEV)
    found = [Found("Orders  doubled ."), Found("orders doubled ."), Found("Orders doubled !")]
    assert [judge.reason(entry, SHOWN) for entry in found] == ["", DUPLICATE, ""], "punctuation makes a near duplicate"
    assert CUT_OFF == "cut off"


def test_likeness_by_hand():
    # "abcde" has abcd, bcde; "abcdf" has abcd, bcdf: one of three in common.
    assert likeness("abcde", "abcdf") == pytest.approx(1 / 3)
    assert likeness("A, b?", "a B!") == 1
    assert likeness("abc", "xyz") == 0


def test_language_of_the_real_benchmarks(real_data_dir):
    """As the docstring says: of English texts at most 4 in 1,000 are refused; other languages mostly."""
    others = [
        "Der Umsatz des Unternehmens stieg gegenüber dem Vorjahr um zwölf Prozent auf vier Millionen Euro",
        "Ich liebe es, wenn der Zug schon wieder zwanzig Minuten zu spät kommt, echt super Morgen",
        "Me encanta cuando el autobús llega tarde otra vez, qué manera tan buena de empezar el día",
        "Yhtiön liikevaihto kasvoi kolmannella neljänneksellä ja tulos parani selvästi viime vuodesta",
        "本公司第三季度净利润增长百分之十二",
    ]
    for name in ("financial", "tweet_irony", "mrpc"):
        real = benchmarks.load(name, kind="real", data_dir=real_data_dir)
        language = Language(generated.whole_texts(real.pools["dev"]))
        for part in ("train", "generated"):
            english = generated.whole_texts(real.pools[part])
            assert sum(not language.fits(text) for text in english) <= 0.004 * len(english)
        assert not any(map(language.fits, others))


def test_a_small_dev_set_knows_scripts_only():
    language = Language(["Profit rose .", "Sales fell ."])
    assert language.fits("Der Umsatz des Unternehmens stieg gegenüber dem Vorjahr um zwölf Prozent")
    assert not language.fits("Прибыль выросла")
    assert language.fits("12 % !")
