"""The bundled D_Q, the few-shot predictions, the prompts of Table 6 and the statistics of a D_Q."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import pool

from paper_repro.paper import generated_data
from paper_repro.texts import benchmarks, description, generated, prompts
from paper_repro.texts.pools import Benchmark, Pool, Truth
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import BUNDLED

NAMES = ("financial", "tweet_irony", "mrpc")


def benchmark(made: Pool, dev: Pool, test: Pool) -> Benchmark:
    pools = {"train": dev, "dev": dev, "test": test, "generated": made}
    return Benchmark("small", "Small", ("no", "yes"), pools)


# ---------------------------------------------------------------- bundled data


@pytest.mark.parametrize(
    ("name", "counts", "first"),
    [
        ("financial", [1000, 1000, 1000], "Danish hearing-aid maker Auralis lifted its full-year profit outlook"),
        ("tweet_irony", [1500, 1499], "Grandma just called"),
        ("mrpc", [1499, 1501], "The ferry"),
    ],
)
def test_the_bundled_d_q(name: str, counts: list[int], first: str, tmp_path: Path) -> None:
    made = benchmarks.bundled(name)
    assert np.bincount(made.labels).tolist() == counts and made.texts[0].startswith(first)
    assert (made.pairs is not None) == (name == "mrpc") and made.repeated == 0
    generated.write_pool(made, description.read(name), tmp_path / "again.jsonl")
    original = (BUNDLED / "generated" / f"{name}.jsonl").read_text("utf-8").splitlines()
    again = (tmp_path / "again.jsonl").read_text("utf-8").splitlines()
    keys = {"label", "text", "sentence1", "sentence2"}
    kept = [{key: value for key, value in json.loads(line).items() if key in keys} for line in original]
    assert [json.loads(line) for line in again] == kept


# ---------------------------------------------------------------- few-shot predictions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("test_row,label\n0,irony\n2,irony\n", "line 3: found {'test_row': '2', 'label': 'irony'}"),
        ("test_row,label\n0,Irony\n", "line 2: found {'test_row': '0', 'label': 'Irony'}; expected"),
        ("test_row,label\n0\n", "line 2: 1 fields, expected 2"),
    ],
)
def test_bad_few_shot_files(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "few_shot.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        benchmarks.read_labels(tmp_path / "few_shot.csv", description.read("tweet_irony"))
    assert f"{tmp_path / 'few_shot.csv'}, {message}" in str(caught.value)


def test_own_labels_of_a_world_are_the_largest_q() -> None:
    test = pool(["a", "b"], [0, 1], name="test")
    truth = Truth(p=np.array([[0.9, 0.1], [0.1, 0.9]]), q=np.array([[0.4, 0.6], [0.3, 0.7]]))
    world = Benchmark("financial", "World", ("no", "yes"), {"test": test}, {"test": truth})
    predictions = generated.own_labels(world)
    assert predictions is not None
    assert predictions.tolist() == [1, 1]
    assert generated.own_labels(replace(world, truth={})) is None


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


def test_prompt_of_table_6_for_pairs() -> None:
    examples = pool(["A .", "C ."], [1, 0], pairs=["B .", "D ."])
    system, user = prompts.prompt("mrpc", None, examples, count=12)
    assert system["content"].startswith("Generate 12 data points like the following examples. A label of 1 means")
    assert "sentence1: A . — sentence2: B . — label: 1\nsentence1: C . — sentence2: D . — label: 0\n" in user["content"]


def test_prompts_refuse_what_does_not_fit() -> None:
    one = pool(["so tired"], [0])
    with pytest.raises(UserError, match="an example has another label than 'irony'"):
        prompts.prompt("tweet_irony", 1, one, words=9)
    for label in (2, None):
        with pytest.raises(UserError, match="asks for texts of one label; give that of"):
            prompts.prompt("tweet_irony", label, one, words=9)
    with pytest.raises(UserError, match="there is no example of label 'irony' to show; put some into D_P'"):
        prompts.prompt("tweet_irony", 1, prompts.draw_examples(one, 1, n=1), words=9)
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
    assert sorted(prompts.draw_examples(dev, 1, n=21).texts) == sorted(dev.texts[1::2])
    assert len(prompts.draw_examples(dev, 2)) == 0
    assert len(prompts.draw_examples(dev, 1, n=0)) == 0
    for n in (-1, 41):
        with pytest.raises(UserError, match=f"{n} examples asked for, but pool 'dev' holds 40"):
            prompts.draw_examples(dev, 1, n=n)


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


# ---------------------------------------------------------------- statistics


def test_describe_counts_by_hand() -> None:
    shared = "the board will propose a dividend of"
    made = pool(
        [f"{shared} 5 euro .", "Sales rose 10 % .", "Sales rose 10 % .", "sales rose 27 %", "Quiet ."],
        [1, 0, 0, 0, 1],
        name="generated",
    )
    dev = pool(["Quiet .", "Loud ."], [0, 1])
    test = pool([f"Today {shared.upper()} 2 dollars ."], [1], name="test")
    row = generated.describe(made, benchmark(made, dev, test)).loc["generated"]
    assert (row["size"], row["labels"]) == (5, "60 / 40")
    assert (row["words_mean"], row["words_median"]) == (pytest.approx((10 + 5 + 5 + 4 + 2) / 5), 5)
    assert (row["exact_duplicates"], row["near_duplicates"]) == (1, 1)
    assert (row["dev_7grams"], row["test_7grams"], row["in_dev"], row["in_test"]) == (0, 1, 1, 0)
    assert generated.shared_ngrams(made, test) == [{shared}, set(), set(), set(), set()]


def test_overlaps_of_the_bundled_data(real_data_dir: Path) -> None:
    found = []
    for name in NAMES:
        real = benchmarks.load(name, data_dir=real_data_dir)
        row = generated.describe(real.pools["generated"], real).loc["generated"]
        found.append((row["dev_7grams"], row["test_7grams"], row["in_dev"] + row["in_test"], row["near_duplicates"]))
    assert found == [(2, 14, 0, 1), (0, 1, 0, 1), (12, 14, 0, 0)]  # as the data card says


def test_table_5_has_the_papers_sizes_beside_ours_and_none_for_your_own_benchmark() -> None:
    small = benchmark(pool(["a b"] * 3, [0, 1, 1]), pool(["c"], [0]), pool(["d", "e"], [0, 1]))
    table = generated_data.table5({"mrpc": small, "mine": small})
    assert table.columns.tolist() == ["split", "mrpc_paper", "mrpc_here", "mine_here"]
    expected = [["train", 3668, 1, 1], ["dev", 408, 1, 1], ["test", 1725, 2, 2], ["generated", 3005, 3, 3]]
    assert table.to_numpy().tolist() == expected


def test_the_figure_of_lengths_shows_all_texts_of_a_set() -> None:
    """However long they are: the bars of each set add up to 100 per cent."""
    made = pool([*["one two three"] * 400, "far " * 150], [0] * 401)
    table = generated_data.lengths({"mine": benchmark(made, pool(["a", "b c"], [0, 1]), pool(["d"], [0]))})
    assert table["texts"].sum() == 401 + 2 + 2  # train is dev here
    bars = generated_data.lengths_figure(table, "demo").axes[0].patches
    assert [bar.get_data().values.sum() for bar in bars] == pytest.approx([100, 100, 100])


def test_generated_text_is_escaped_in_html() -> None:
    wicked = '<script>alert("x")</script> $a$'
    frame = generated.samples(pool([wicked, "calm"], [0, 1]), ("no", "<b>"), per_label=1)
    html = generated.readable(frame).to_html()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;" in html
    assert "mathjax_ignore" in html
