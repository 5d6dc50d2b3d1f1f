"""The bundled D_Q, the few-shot predictions, the prompts of Table 6 and the statistics of a D_Q."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from paper_repro.texts import benchmarks, generated, prompts
from paper_repro.texts.pools import Benchmark, Pool, Truth
from paper_repro.tools.errors import UserError

NAMES = ("financial", "tweet_irony", "mrpc")


def pool(texts: list[str], labels: list[int], pairs: list[str] | None = None, name: str = "dev") -> Pool:
    return Pool(name, tuple(texts), np.array(labels, dtype=np.int64), None if pairs is None else tuple(pairs))


def benchmark(generated: Pool, dev: Pool, test: Pool) -> Benchmark:
    pools = {"train": dev, "dev": dev, "test": test, "generated": generated}
    return Benchmark("small", "Small", ("no", "yes"), pools)


# ---------------------------------------------------------------- bundled data


@pytest.mark.parametrize(
    ("name", "counts"),
    [("financial", [1000, 1000, 1000]), ("tweet_irony", [1500, 1499]), ("mrpc", [1499, 1501])],
)
def test_bundled_sizes_and_labels(name: str, counts: list[int]) -> None:
    generated = generated.bundled(name)
    assert np.bincount(generated.labels).tolist() == counts
    assert (generated.pairs is not None) == (name == "mrpc")
    assert len(set(generated.whole_texts(generated))) == len(generated), "an exact duplicate"


def test_bundled_labels_follow_the_benchmark_order() -> None:
    financial, tweets, mrpc = map(generated.bundled, NAMES)
    record_profit = "Danish hearing-aid maker Auralis lifted its full-year profit outlook"
    assert financial.texts[0].startswith(record_profit)
    assert financial.labels[0] == 2
    assert tweets.texts[0].startswith("Grandma just called")
    assert tweets.labels[0] == 0
    assert mrpc.texts[0].startswith("The ferry")
    assert mrpc.labels[:2].tolist() == [1, 0]


def test_unknown_benchmark_is_named() -> None:
    with pytest.raises(UserError, match=r"imdb.*bundled tasks are financial, mrpc, tweet_irony"):
        generated.bundled("imdb")
    with pytest.raises(UserError, match="imdb"):
        generated.few_shot("imdb")


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name: str, tmp_path: Path) -> None:
    generated, form = generated.bundled(name), prompts.template(name)
    generated.write_pool(generated, form, tmp_path / "again.jsonl")
    assert generated.read_pool(tmp_path / "again.jsonl", form).fingerprint == generated.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["again.jsonl"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    form, path = prompts.template("tweet_irony"), tmp_path / "d_q.jsonl"
    generated.write_pool(pool(["fine"], [0]), form, path)
    with pytest.raises(IndexError):
        generated.write_pool(pool(["fine", "no such label"], [0, 7]), form, path)
    assert generated.read_pool(path, form).texts == ("fine",)
    assert [path.name for path in tmp_path.iterdir()] == ["d_q.jsonl"]


GOOD = '{"label": "irony", "text": "lovely, rain again"}'


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([GOOD, '{"label": "irony", "text": "lov'], r"d_q\.jsonl, line 2: not JSON"),
        ([GOOD, "", "[1]"], r"line 3: found list; expected one object a line"),
        (
            [GOOD, '{"label": "sarcasm", "text": "x"}'],
            r"line 2: label 'sarcasm'; expected .*non-irony, irony",
        ),
        ([GOOD, '{"text": "x"}'], r"line 2: label None"),
        (
            [GOOD, '{"label": "irony", "text": "  "}'],
            r"line 2: text = '  '; expected a text that is not empty",
        ),
        ([GOOD, '{"label": "irony", "text": 5}'], r"line 2: text = 5"),
        ([GOOD, '{"label": "irony"}'], r"line 2: text = None"),
        ([""], r"holds no texts"),
    ],
)
def test_bad_generated_files(lines: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "d_q.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        generated.read_pool(path, prompts.template("tweet_irony"))


def test_wrong_encoding_and_missing_file(tmp_path: Path) -> None:
    path, form = tmp_path / "d_q.jsonl", prompts.template("tweet_irony")
    with pytest.raises(UserError, match=r"no file .*d_q\.jsonl"):
        generated.read_pool(path, form)
    path.write_bytes('{"label": "irony", "text": "café"}'.encode("latin-1"))
    with pytest.raises(UserError, match=r"d_q\.jsonl: not UTF-8"):
        generated.read_pool(path, form)


def test_data_card_names_every_file() -> None:
    card = (generated.GENERATED / "DATA_CARD.md").read_text(encoding="utf-8")
    files = [path for path in generated.GENERATED.iterdir() if path.suffix in {".jsonl", ".csv"}]
    assert len(files) == 6
    assert all(f"`{path.name}`" in card for path in files)
    for words in ("CC BY 4.0", "gpt-3.5-turbo-1106", "Contamination warning", "retired"):
        assert words in card


# ---------------------------------------------------------------- few-shot predictions


@pytest.mark.parametrize(("name", "size"), [("financial", 1212), ("tweet_irony", 784), ("mrpc", 1725)])
def test_few_shot_sizes(name: str, size: int) -> None:
    predictions = generated.few_shot(name)
    assert predictions.shape == (size,)
    assert predictions.dtype == np.int64


@pytest.mark.parametrize(("name", "accuracy"), [("financial", 86.55), ("tweet_irony", 94.26), ("mrpc", 80.06)])
def test_few_shot_accuracy_on_real_labels(name: str, accuracy: float, real_data_dir: Path) -> None:
    real = benchmarks.load(name, kind="real", data_dir=real_data_dir)
    assert round(100 * float(np.mean(generated.own_labels(real) == real.pools["test"].labels)), 2) == accuracy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,label\n0,irony\n", r"line 1: found 'row,label'; expected test_row,label"),
        ("", r"line 1: found ''"),
        (
            "test_row,label\n0,irony\n2,irony\n",
            r"line 3: found '2,irony'; expected 1,<one of non-irony, irony>",
        ),
        ("test_row,label\n0,Irony\n", r"line 2: found '0,Irony'"),
        ("test_row,label\n0\n", r"line 2: found '0'"),
    ],
)
def test_bad_few_shot_files(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "GENERATED", tmp_path)
    with pytest.raises(UserError, match="no few-shot predictions for tweet_irony"):
        generated.few_shot("tweet_irony")
    (tmp_path / "few_shot_tweet_irony.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        generated.few_shot("tweet_irony")


def test_own_labels_of_a_world_are_the_largest_q() -> None:
    test = pool(["a", "b"], [0, 1], name="test")
    truth = Truth(p=np.array([[0.9, 0.1], [0.1, 0.9]]), q=np.array([[0.4, 0.6], [0.3, 0.7]]))
    world = Benchmark("financial", "World", ("no", "yes"), {"test": test}, {"test": truth})
    predictions = generated.own_labels(world)
    assert predictions is not None
    assert predictions.tolist() == [1, 1]


def test_own_labels_belong_to_one_test_set_only() -> None:
    test = pool(["a"] * 1212, [0] * 1212, name="test")
    assert generated.own_labels(Benchmark("financial", "Yours", ("no", "yes"), {"test": test})) is None


# ---------------------------------------------------------------- prompts


def test_prompt_of_table_6_for_financial() -> None:
    examples = pool(["Profit rose {sharply} .", "Orders $5 up ."], [2, 2])
    system, user = prompts.prompt("financial", 2, examples, words=17)
    assert (system["role"], user["role"]) == ("system", "user")
    assert system["content"].startswith("You are now a journalist writing financial news. You need to write")
    assert system["content"].endswith("expresses the corresponding sentiment and meets the length requirement.")
    assert user["content"] == (
        "Write financial news with positive sentiment and ensure that the length of the financial news is "
        "about 17 words. Be creative and write unique financial news. For example:\n"
        "Profit rose {sharply} .\nOrders $5 up .\n...\n"
        "Can you provide something more diverse than the previously generated data?"
    )


def test_prompt_of_table_6_for_tweets() -> None:
    system, user = prompts.prompt("tweet_irony", 0, pool(["so tired"], [0]), words=9)
    assert system["content"].startswith("Now you are a person using Twitter. You are asked to write an irony or non-")
    assert user["content"].startswith("Write a tweet expressing non-irony feeling and ensure that the length of the ")
    assert "tweet is about 9 words. Remember to make sure that your language is colloquial," in user["content"]


def test_prompt_of_table_6_for_pairs() -> None:
    examples = pool(["A .", "C ."], [1, 0], pairs=["B .", "D ."])
    system, user = prompts.prompt("mrpc", None, examples, count=12)
    assert system["content"].startswith("Generate 12 data points like the following examples. A label of 1 means")
    assert "sentence1: A . — sentence2: B . — label: 1\nsentence1: C . — sentence2: D . — label: 0\n" in user["content"]


def test_prompts_refuse_what_does_not_fit() -> None:
    one = pool(["so tired"], [0])
    with pytest.raises(UserError, match="an example has another label than 'irony'"):
        prompts.prompt("tweet_irony", 1, one, words=9)
    with pytest.raises(UserError, match="label 2; expected 0 to 1"):
        prompts.prompt("tweet_irony", 2, one, words=9)
    with pytest.raises(UserError, match="label None; expected 0 to 1"):
        prompts.prompt("tweet_irony", None, one, words=9)
    with pytest.raises(UserError, match="asks for a length; give words="):
        prompts.prompt("tweet_irony", 0, one)


def test_table_6_keeps_placeholders_and_no_benchmark_text() -> None:
    frame = prompts.table6(NAMES)
    assert frame["part"].tolist() == [
        *("Context prompt", "Data generation prompt"),
        *("System prompt", "Data generation prompt"),
        *("Context prompt", "Data generation prompt"),
    ]
    data_prompts = frame["prompt"][1::2]
    assert all("{examples}" in text and text.endswith("previously generated data?") for text in data_prompts)
    assert not frame["prompt"].str.contains("Amrozi").any()


def test_examples_are_seeded_and_of_the_label() -> None:
    dev = pool([f"text {i}" for i in range(40)], [i % 2 for i in range(40)])
    drawn = prompts.draw_examples(dev, 1, n=8, seed=3)
    assert drawn.labels.tolist() == [1] * 8
    assert len(set(drawn.texts)) == 8
    assert drawn.texts == prompts.draw_examples(dev, 1, n=8, seed=3).texts
    assert drawn.texts != prompts.draw_examples(dev, 1, n=8, seed=4).texts
    assert set(prompts.draw_examples(dev, None, n=40).labels.tolist()) == {0, 1}
    with pytest.raises(UserError, match="21 examples asked for, but pool 'dev' holds 20 of label 1"):
        prompts.draw_examples(dev, 1, n=21)
    with pytest.raises(UserError, match="0 examples asked for"):
        prompts.draw_examples(dev, 1, n=0)


def test_lengths_are_drawn_around_the_mean() -> None:
    words = prompts.draw_lengths("financial", 24.0, 20_000, seed=0)
    assert words.dtype == np.int64
    assert (words.min(), words.max()) == (8, 48)
    # A log-normal with mean 24 and sigma 0.38; the cut at twice the mean takes off a little.
    assert abs(words.mean() - 24) < 0.5
    assert abs(np.median(words) - 24 * np.exp(-(0.38**2) / 2)) <= 0.5
    assert prompts.draw_lengths("financial", 1.0, 100).min() == 1
    with pytest.raises(UserError, match="mrpc asks for no length"):
        prompts.draw_lengths("mrpc", 44.0, 5)


FOURTH = """
labels = ["bad", "good"]
system_title = "System prompt"
system = "You review books."
user = "Write a {label} review.\\n{examples}"
again = "Another one?"
example = "- {text}"
"""


def test_a_fourth_task_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "books.toml"
    path.write_text(FOURTH)
    messages = prompts.prompt(path, 1, pool(["I wept."], [1]))
    assert messages[1]["content"] == "Write a good review.\n- I wept.\nAnother one?"
    assert prompts.template(str(path)) == prompts.template(path)
    data = tmp_path / "books.jsonl"
    data.write_text(json.dumps({"label": "bad", "text": "Dull."}) + "\n")
    assert generated.read_pool(data, prompts.template(path)).labels.tolist() == [0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "system_title",
            "sytem_title",
            r"books\.toml: unknown field 'sytem_title'; a prompt file has again,",
        ),
        ('again = "Another one?"', "", r"field 'again' is missing"),
        ("{label}", "{lable}", r"user holds \{lable\}; known placeholders are \{examples\}, \{label\}"),
        ("{label}", "{label.__class__}", r"user holds \{label.__class__\}"),
        ("{label}", "{label", r"books\.toml: user: .*write a literal brace as"),
        ("{text}", "{examples}", r"example holds \{examples\}"),
        (
            '["bad", "good"]',
            '["bad", "bad"]',
            r"labels = \['bad', 'bad'\]; expected a list of at least two different",
        ),
        ('["bad", "good"]', '"bad"', r"labels = 'bad'"),
        ('"Another one?"', "3", r"again = 3; expected text"),
        ('"Another one?"', '"', r"not a TOML file"),
        ("\n", "\nlength = 12\n", r"\[length\] = 12; expected numbers for sigma, shortest, longest"),
    ],
)
def test_bad_prompt_files(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "books.toml"
    path.write_text(FOURTH.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        prompts.template(path)


def test_missing_prompt_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no prompt file .*books\.toml"):
        prompts.template(tmp_path / "books.toml")


# ---------------------------------------------------------------- statistics


def test_describe_counts_by_hand() -> None:
    shared = "the board will propose a dividend of"
    generated = pool(
        [f"{shared} 5 euro .", "Sales rose 10 % .", "Sales rose 10 % .", "sales rose 27 %", "Quiet ."],
        [1, 0, 0, 0, 1],
        name="generated",
    )
    dev = pool(["Quiet .", "Loud ."], [0, 1])
    test = pool([f"Today {shared.upper()} 2 dollars ."], [1], name="test")
    row = generated.describe(generated, benchmark(generated, dev, test)).loc["generated"]
    assert (row["size"], row["labels"]) == (5, "60 / 40")
    assert (row["words_mean"], row["words_median"]) == (pytest.approx((10 + 5 + 5 + 4 + 2) / 5), 5)
    assert (row["exact_duplicates"], row["near_duplicates"]) == (1, 1)
    assert (row["dev_7grams"], row["test_7grams"], row["in_dev"], row["in_test"]) == (0, 1, 1, 0)
    assert generated.shared_ngrams(generated, test) == [{shared}, set(), set(), set(), set()]


def test_describe_does_not_compare_a_set_with_itself() -> None:
    dev = pool(["Quiet .", "Loud ."], [0, 1])
    row = generated.describe(dev, benchmark(dev, dev, pool(["x"], [0], name="test"))).loc["dev"]
    assert np.isnan(row["dev_7grams"])
    assert np.isnan(row["in_dev"])
    assert row["in_test"] == 0


def test_distinct_n() -> None:
    # "a b a b": 2 different words of 4, 2 different pairs (a b, b a) of 3.
    once = pool(["A b, a b!"], [0])
    assert generated.distinct(once, 1, size=1) == 0.5
    assert generated.distinct(once, 2, size=1) == pytest.approx(2 / 3)
    assert generated.distinct(once, 7, size=1) == 0.0


def test_overlaps_of_the_bundled_data(real_data_dir: Path) -> None:
    found = []
    for name in NAMES:
        real = benchmarks.load(name, kind="real", data_dir=real_data_dir)
        row = generated.describe(generated.bundled(name), real).loc["generated"]
        found.append((row["dev_7grams"], row["test_7grams"], row["in_dev"] + row["in_test"], row["near_duplicates"]))
    assert found == [(2, 14, 0, 1), (0, 1, 0, 1), (12, 14, 0, 0)]  # as the data card says


def test_lengths_and_samples() -> None:
    paired = pool(["one two", "three", "four"], [0, 1, 1], pairs=["three", "four", "five"])
    frame = generated.length_table(paired)
    assert frame.to_dict("list") == {"words": [2, 3], "texts": [2, 1], "share": [2 / 3, 1 / 3]}
    drawn = generated.samples(paired, ("no", "yes"), per_label=1)
    assert drawn.columns.tolist() == ["label", "sentence1", "sentence2"]
    assert drawn["label"].tolist() == ["no", "yes"]


def test_generated_text_is_escaped_in_html() -> None:
    wicked = '<script>alert("x")</script> $a$'
    frame = generated.samples(pool([wicked, "calm"], [0, 1]), ("no", "<b>"), per_label=1)
    html = generated.readable(frame).to_html()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;" in html
    assert "mathjax_ignore" in html
