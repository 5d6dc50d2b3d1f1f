"""Few-shot labels and the cluster-agent, asked of a server process whose answers are known beforehand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scripted_server
from chat_server import ChatServer, serving
from command import call
from tiny import pool

from paper_repro.llm import clusters, few_shot
from paper_repro.llm.ask import asking
from paper_repro.llm.budget import Terms
from paper_repro.llm.client import Client
from paper_repro.texts import benchmarks, description, prompts
from paper_repro.texts import few_shot as asked_labels
from paper_repro.texts.pools import Benchmark, Pool
from paper_repro.tools.errors import UserError

LABELS = ("negative", "neutral", "positive")
FORM = prompts.template("financial")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    with serving(tmp_path / "server", scripted_server.__file__) as found:
        yield found


def asker(server: ChatServer, folder: Path, max_requests: int | None = None) -> Any:
    return asking(Client("scripted", server.url, key_env=""), folder, Terms(max_requests, concurrency=3))


def benchmark() -> Benchmark:
    """Twelve test texts, four of each class; four dev texts of each."""
    dev = pool([f"dev {i}" for i in range(12)], [i % 3 for i in range(12)])
    return Benchmark(
        "financial", "F", LABELS, {"dev": dev, "test": pool(TEXTS, [i // 4 for i in range(12)], name="test")}
    )


TEXTS = [f"text {i}" for i in range(12)]
ANSWERS = {
    "text 0": "negative",
    "text 1": "Negative.",
    "text 2": "<think>positive?</think>\nThe label is **negative**",
    "text 3": "positive",  # wrong
    "text 4": '{"label": "neutral"}',
    "text 5": "neutral or positive",  # two
    "text 6": "bullish",  # none
    "text 7": "",
    "text 8": "POSITIVE",
    "text 9": "It is not negative",  # wrong: the only label named
    "text 10": "The text is positive.",
    "text 11": "I say neutral",  # wrong
}
PREDICTED = [0, 0, 0, 2, 1, -1, -1, -1, 2, 0, 2, 1]


def test_the_labels_are_those_of_the_answers_and_nothing_is_asked_twice(server: ChatServer, tmp_path: Path) -> None:
    (server.folder / "answers.json").write_text(json.dumps(ANSWERS))
    made, settings = benchmark(), few_shot.Settings()
    with (
        asker(server, tmp_path, 5) as limited,
        pytest.raises(UserError, match="7 of 12 answers are lacking: the budget"),
    ):
        few_shot.predict(made, FORM, settings, limited)
    assert server.count("answer") == 5
    for _ in range(2):
        with asker(server, tmp_path, 12) as enough:
            found = few_shot.predict(made, FORM, settings, enough)
    assert server.count() == server.count("answer") == 12
    assert found.tolist() == PREDICTED
    few_shot.save(tmp_path / "out", found, made, "scripted", settings)
    kept = asked_labels.load(tmp_path / "out", made, "financial")
    assert kept.labels.tolist() == PREDICTED and kept.generator == "scripted, 8 dev examples"


def test_the_examples_come_from_dev_in_equal_shares_and_stand_as_a_conversation() -> None:
    made = benchmark()
    first = few_shot.requests(made, FORM, few_shot.Settings())
    assert [request.messages[-1]["content"] for request in first] == TEXTS
    shown = first[0].messages[1:-1]
    assert [message["role"] for message in shown] == ["user", "assistant"] * 8
    told = {shown[i]["content"]: shown[i + 1]["content"] for i in range(0, 16, 2)}
    assert all(LABELS[int(text.split()[1]) % 3] == label for text, label in told.items()) and len(told) == 8
    assert sorted(list(told.values()).count(label) for label in LABELS) == [2, 3, 3]
    assert all(request.messages[:-1] == first[0].messages[:-1] for request in first)
    assert first == few_shot.requests(made, FORM, few_shot.Settings())
    assert first[0].messages[1:] != few_shot.requests(made, FORM, few_shot.Settings(seed=1))[0].messages[1:]
    with pytest.raises(UserError, match="2 examples for 3 classes"):
        few_shot.requests(made, FORM, few_shot.Settings(examples=2))


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("non-irony", 0),
        ("It is non-irony.", 0),
        ("irony", 1),
        ('"Irony"', 1),
        ("irony, not non-irony", None),
        ("ironic", None),
        ('```json\n{"label": "irony", "why": "non-irony is out"}\n```', 1),
        ('{"label": "both"}', None),
    ],
)
def test_the_label_that_an_answer_names(answer: str, label: int | None) -> None:
    assert few_shot.label_in(answer, ("non-irony", "irony")) == label


def test_predictions_of_another_test_set_are_refused(tmp_path: Path) -> None:
    made = benchmark()
    with pytest.raises(UserError, match="make them by: paper-repro few-shot --benchmark financial"):
        asked_labels.load(tmp_path, made, "financial")
    few_shot.save(tmp_path, np.zeros(12, dtype=np.int64), made, "m", few_shot.Settings())
    other = Benchmark("financial", "F", LABELS, {**made.pools, "test": made.pools["dev"]})
    with pytest.raises(UserError, match="predictions are of another test set of financial"):
        asked_labels.load(tmp_path, other, "financial")


# -- the cluster-agent --------------------------------------------------------------------------------------


def coloured(*words: str) -> Pool:
    return pool([f"{word} text {i}" for i, word in enumerate(words)])


def measured(
    server: ChatServer, folder: Path, texts: Pool, settings: clusters.Settings, limit: int | None = None
) -> Any:
    with asker(server, folder, limit) as asked:
        return clusters.measure(texts, settings, asked)


SETTINGS = clusters.Settings(n=6, k=10, m=41, j=2)


def test_the_score_is_that_of_the_clusters_that_are_confirmed(server: ChatServer, tmp_path: Path) -> None:
    """Every draw holds all ten texts: five red, three blue, two green. Green is not confirmed: 2 clusters of 8."""
    texts = coloured(*["red"] * 5, *["blue"] * 3, *["green"] * 2)
    found = measured(server, tmp_path / "out", texts, SETTINGS)
    assert found.criteria == {**scripted_server.CRITERIA, "sentence": "Group them by colour."}
    assert found.draws.to_numpy().tolist() == [[2, 8, 1, 0.25]] * 6
    interval = found.score()
    assert (interval.mean, interval.low, interval.high) == (0.25, 0.25, 0.25)
    assert found.counts[clusters.REJECTED] == 6
    # 41 proposals, 3 summaries and 1 of these, one sentence, 6 groupings and their verification.
    assert server.count("answer") == SETTINGS.estimate(texts).requests == 41 + 3 + 1 + 1 + 6 + 6


def test_a_run_that_is_stopped_goes_on_and_asks_nothing_twice(server: ChatServer, tmp_path: Path) -> None:
    texts = coloured(*["red"] * 5, *["blue"] * 3, *["green"] * 2)
    for budget in (10, 44, 50):
        with pytest.raises(UserError, match="answers are lacking: the budget of"):
            measured(server, tmp_path / "out", texts, SETTINGS, limit=budget)
        assert server.count() == budget
    for _ in range(2):
        assert measured(server, tmp_path / "out", texts, SETTINGS, limit=58).score().mean == 0.25
    assert server.count() == server.count("answer") == 58


def test_what_cannot_be_used_is_counted_and_left_out(server: ChatServer, tmp_path: Path) -> None:
    """Two texts, "half ..." and "blue ...": a draw that begins with "half" is answered with half a JSON."""
    settings = clusters.Settings(n=12, k=2, m=12, j=1, seed=3)
    found = measured(server, tmp_path / "out", coloured("half", "blue"), settings)
    broken = found.counts[clusters.UNUSED_DRAW]
    assert 0 < broken < 12 and len(found.draws) == 12 - broken
    assert set(found.draws["score"]) == {1.0}
    strays = measured(server, tmp_path / "strays", coloured("stray", "stray"), clusters.Settings(n=3, k=2, m=2, j=1))
    assert strays.counts[clusters.STRAY] == 6 and set(strays.draws["score"]) == {0.5}
    none = measured(server, tmp_path / "none", coloured("green", "green"), clusters.Settings(n=3, k=2, m=2, j=1))
    assert none.counts[clusters.NOTHING_LEFT] == 3
    with pytest.raises(UserError, match="no score: none of the draws could be used"):
        none.score()


def test_proposals_that_cannot_be_read_are_counted(server: ChatServer, tmp_path: Path) -> None:
    texts = pool(["odd", "red one"])
    found = measured(server, tmp_path / "out", texts, clusters.Settings(n=1, k=2, m=8, j=1))
    assert 0 < found.counts[clusters.UNUSED_PROPOSAL] < 8
    with pytest.raises(UserError, match="no answer held metadata and metrics as JSON"):
        measured(server, tmp_path / "o", pool(["odd", "odd"]), clusters.Settings(n=1, k=2, m=2, j=1))


@pytest.mark.parametrize(
    ("benchmark", "chosen", "folder"),
    [
        (description.EXAMPLE, "generated", "demo-workshop/diversity/workshop"),
        ("financial", "diversity:copies-30", "demo/diversity/financial"),
    ],
)
def test_the_command_asks_about_any_set_of_any_benchmark_and_once_only(
    benchmark: str | Path, chosen: str, folder: str, tmp_path: Path
) -> None:
    """Every draw holds the whole pool, so that C/S follows from the texts' first words."""
    kind = "miniature" if benchmark == "financial" else "real"
    texts = benchmarks.load(benchmark, kind=kind).pool(chosen)
    words = ["diversity", "--benchmark", benchmark, "--pool", chosen, "--model", "scripted", "-n", "2"]
    words += ["-k", str(len(texts)), "-m", "2", "--results-dir", tmp_path / "results", "--key-env", "", "--base-url"]
    with serving(tmp_path / "server", scripted_server.__file__) as server:
        asked = call(*words, server.url)
    again = call(*words, server.url)  # the server has gone
    score = f"{len({text.split()[0] for text in texts.texts}) / len(texts):.3f}"
    for done in (asked, again):
        assert done.exit_code == 0, done.output
        assert f"Diversity {score} [{score}, {score}], 2 draws (everything could be read)" in done.output
    assert (tmp_path / "results" / folder / "scripted" / "responses.jsonl").exists()
    assert clusters.load(tmp_path / "results" / folder, texts) is not None


def test_what_is_kept_says_what_it_is_of(tmp_path: Path) -> None:
    rows = pd.DataFrame({"clusters": [2, 1], "texts": [3, 2], "rejected": [0, 1], "score": [2 / 3, 1 / 2]})
    texts = coloured("red", "blue")
    found = clusters.Diversity({}, rows, Counter())
    about = json.loads(clusters.save(tmp_path, found, "m", SETTINGS, texts).read_text("utf-8"))
    assert about["score"] == pytest.approx((2 / 3 + 1 / 2) / 2) and about["draws"] == 2
    assert about["pool"] == texts.fingerprint and about["low"] <= about["score"] <= about["high"]
    assert clusters.load(tmp_path, texts) == about and clusters.load(tmp_path, coloured("red")) is None
