"""Few-shot labels and the cluster-agent, asked of a server process whose answers are known beforehand."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import fake_runs
import numpy as np
import pytest
import scripted_server
import tiny_chat
from chat_server import ChatServer, serving
from click.testing import CliRunner

from paper_repro import tables
from paper_repro.cli import cli
from paper_repro.llm import clusters, few_shot
from paper_repro.llm.asking import Asker, Retry
from paper_repro.llm.budget import Budget, Limits
from paper_repro.llm.journal import JOURNAL, Journal
from paper_repro.llm.local import Local
from paper_repro.llm.recorded import Recorded
from paper_repro.llm.server import Server
from paper_repro.measures import intervals
from paper_repro.texts import generated, own, prompts
from paper_repro.texts.pools import Benchmark, FewShot, Pool
from paper_repro.tools.errors import UserError

SCRIPT = scripted_server.__file__
LABELS = ("negative", "neutral", "positive")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    with serving(tmp_path / "server", SCRIPT) as found:
        yield found


def asking(server: ChatServer, folder: Path, **limits: int) -> tuple[Journal, Server]:
    return Journal(folder / JOURNAL, backend := Server("scripted", server.url, key_env="")), backend


def pool(name: str, texts: list[str], labels: list[int]) -> Pool:
    return Pool(name, tuple(texts), np.array(labels, dtype=np.int64))


def benchmark() -> Benchmark:
    """Twelve test texts, four of each class; four dev texts of each."""
    dev = pool("dev", [f"dev {i}" for i in range(12)], [i % 3 for i in range(12)])
    return Benchmark("financial", "F", LABELS, {"dev": dev, "test": pool("test", TEXTS, [i // 4 for i in range(12)])})


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
    "text 10": [["pos", math.log(0.6)], ["ne", math.log(0.3)], ["neg", math.log(0.1)]],
    "text 11": [["neut", math.log(0.7)], ["pos", math.log(0.2)], ["x", math.log(0.1)]],  # wrong
}
# 0: three of four right, one as 2. 1: one of four right, three without a label. 2: two right, one as 0, one as 1.
PREDICTED = [0, 0, 0, 2, 1, -1, -1, -1, 2, 0, 2, 1]
ACCURACY = 6 / 12
MACRO_F1 = (2 * 3 / (4 + 4) + 2 * 1 / (4 + 2) + 2 * 2 / (4 + 3)) / 3


def asker(server: ChatServer, journal: Journal, backend: Server, **limits: int) -> Asker:
    budget = Budget(Limits(**limits), spent=journal.spent)
    return Asker(backend, journal, budget, concurrency=3, retry=Retry(first_pause=0.01))


def test_the_accuracy_is_that_of_the_answers_and_nothing_is_asked_twice(server: ChatServer, tmp_path: Path) -> None:
    (server.folder / "answers.json").write_text(json.dumps(ANSWERS))
    made, form, settings = benchmark(), prompts.template("financial"), few_shot.Settings()
    journal, backend = asking(server, tmp_path / "out")
    with journal, pytest.raises(UserError, match="7 of 12 test texts have no answer yet, the budget is spent"):
        few_shot.predict(made, form, settings, asker(server, journal, backend, requests=5))
    assert server.count("answer") == 5
    for _ in range(2):
        journal, backend = asking(server, tmp_path / "out")
        with journal:
            found = few_shot.predict(made, form, settings, asker(server, journal, backend, requests=12))
    assert server.count() == server.count("answer") == 12
    assert found.labels.tolist() == PREDICTED
    assert found.counts == {few_shot.BY_LOGPROB: 2, few_shot.BY_TEXT: 7, few_shot.NO_LABEL: 3}
    truth = made.pools["test"].labels
    assert intervals.accuracy(truth, found.labels) == ACCURACY
    assert intervals.macro_f1(truth, found.labels, 3) == pytest.approx(MACRO_F1, abs=1e-12)
    few_shot.save(tmp_path / "out", found, made, "scripted", settings)
    kept = few_shot.load(tmp_path / "out", made, "financial")
    assert kept.labels.tolist() == PREDICTED and kept.generator == "scripted, 8 dev examples"


def test_without_log_probabilities_the_text_decides(server: ChatServer, tmp_path: Path) -> None:
    (server.folder / "answers.json").write_text(json.dumps({**ANSWERS, "text 10": "x", "text 11": "neutral"}))
    journal, backend = asking(server, tmp_path / "out")
    with journal:
        settings = few_shot.Settings(logprobs=False)
        found = few_shot.predict(benchmark(), prompts.template("financial"), settings, asker(server, journal, backend))
    assert found.labels.tolist() == [*PREDICTED[:10], -1, 1] and found.counts[few_shot.BY_LOGPROB] == 0


def test_the_examples_come_from_dev_in_equal_shares_and_stand_as_a_conversation() -> None:
    made, form = benchmark(), prompts.template("financial")
    first = few_shot.requests(made, form, few_shot.Settings())
    assert [request.messages[-1]["content"] for request in first] == TEXTS
    shown = first[0].messages[1:-1]
    assert [message["role"] for message in shown] == ["user", "assistant"] * 8
    told = {shown[i]["content"]: shown[i + 1]["content"] for i in range(0, 16, 2)}
    assert all(LABELS[int(text.split()[1]) % 3] == label for text, label in told.items()) and len(told) == 8
    assert sorted(list(told.values()).count(label) for label in LABELS) == [2, 3, 3]
    assert all(request.messages[:-1] == first[0].messages[:-1] for request in first)
    assert first == few_shot.requests(made, form, few_shot.Settings())
    assert first[0].messages[1:] != few_shot.requests(made, form, few_shot.Settings(seed=1))[0].messages[1:]
    with pytest.raises(UserError, match="2 examples for 3 classes"):
        few_shot.requests(made, form, few_shot.Settings(examples=2))


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
        few_shot.load(tmp_path, made, "financial")
    found = few_shot.Predicted(np.zeros(12, dtype=np.int64), few_shot.Counter())
    few_shot.save(tmp_path, found, made, "m", few_shot.Settings())
    other = Benchmark("financial", "F", LABELS, {**made.pools, "test": made.pools["dev"]})
    with pytest.raises(UserError, match="predictions are of another test set of financial"):
        few_shot.load(tmp_path, other, "financial")


def test_asked_labels_take_the_first_row_of_table_1_with_their_name() -> None:
    space = fake_runs.FakeWorkspace(fake_runs.profile(), examples=40)
    plain = space.benchmark("mrpc")
    guess = plain.pools["test"].labels.copy()
    guess[:10] = -1
    asked = Benchmark(plain.name, plain.title, plain.label_names, plain.pools, few_shot=FewShot(guess, "scripted"))
    space._benchmarks["mrpc"] = asked
    assert generated.own_labels(asked) is guess
    row = tables.beside_paper(space, space.cells).iloc[2]
    assert (row["method"], row["benchmark"], row["reproduction"]) == ("GPT-3.5 few-shot", "mrpc", "scripted")
    assert row["mean_accuracy"] == 75 and row["paper_accuracy"] == 69.28


# -- the cluster-agent --------------------------------------------------------------------------------------


def coloured(*words: str) -> Pool:
    return pool("generated", [f"{word} text {i}" for i, word in enumerate(words)], [0] * len(words))


def measured(server: ChatServer, folder: Path, texts: Pool, settings: clusters.Settings, **limits: int):
    journal, backend = asking(server, folder)
    with journal:
        return clusters.measure(texts, settings, asker(server, journal, backend, **limits))


SETTINGS = clusters.Settings(n=6, k=10, m=41, j=2)


def test_the_score_is_that_of_the_clusters_that_are_confirmed(server: ChatServer, tmp_path: Path) -> None:
    """Every draw holds all ten texts: five red, three blue, two green. Green is not confirmed: 2 clusters of 8."""
    texts = coloured(*["red"] * 5, *["blue"] * 3, *["green"] * 2)
    found = measured(server, tmp_path / "out", texts, SETTINGS)
    assert found.criteria.sentence == "Group them by colour."
    assert found.criteria.metadata == {"colour": "the first word"}
    table = found.table()
    assert table[["clusters", "texts", "rejected"]].to_numpy().tolist() == [[2, 8, 1]] * 6
    interval = found.score()
    assert (interval.mean, interval.low, interval.high) == (0.25, 0.25, 0.25)
    assert found.counts[clusters.REJECTED] == 6
    # 41 proposals, 3 summaries and 1 of these, one sentence, 6 groupings and their verification.
    assert server.count("answer") == SETTINGS.requests == 41 + 3 + 1 + 1 + 6 + 6


def test_a_run_that_is_stopped_goes_on_and_asks_nothing_twice(server: ChatServer, tmp_path: Path) -> None:
    texts = coloured(*["red"] * 5, *["blue"] * 3, *["green"] * 2)
    for budget in (10, 44, 50):
        with pytest.raises(UserError, match="answers are lacking, the budget is spent"):
            measured(server, tmp_path / "out", texts, SETTINGS, requests=budget)
        assert server.count() == budget
    for _ in range(2):
        assert measured(server, tmp_path / "out", texts, SETTINGS, requests=58).score().mean == 0.25
    assert server.count() == server.count("answer") == 58


def test_what_cannot_be_used_is_counted_and_left_out(server: ChatServer, tmp_path: Path) -> None:
    """Two texts, "half ..." and "blue ...": a draw that begins with "half" is answered with half a JSON."""
    settings = clusters.Settings(n=12, k=2, m=12, j=1, seed=3)
    found = measured(server, tmp_path / "out", coloured("half", "blue"), settings)
    broken = found.counts[clusters.UNUSED_DRAW]
    assert 0 < broken < 12 and len(found.draws) == 12 - broken
    assert set(found.table()["score"]) == {1.0}
    strays = measured(server, tmp_path / "strays", coloured("stray", "stray"), clusters.Settings(n=3, k=2, m=2, j=1))
    assert strays.counts[clusters.STRAY] == 6 and set(strays.table()["score"]) == {0.5}
    none = measured(server, tmp_path / "none", coloured("green", "green"), clusters.Settings(n=3, k=2, m=2, j=1))
    assert none.counts[clusters.NOTHING_LEFT] == 3
    with pytest.raises(UserError, match="no score: none of the 3 draws could be used"):
        none.score()


def test_proposals_that_cannot_be_read_are_counted(server: ChatServer, tmp_path: Path) -> None:
    texts = pool("generated", ["odd", "red one"], [0, 0])
    found = measured(server, tmp_path / "out", texts, clusters.Settings(n=1, k=2, m=8, j=1))
    assert 0 < found.counts[clusters.UNUSED_PROPOSAL] < 8
    with pytest.raises(UserError, match="no answer held metadata and metrics as JSON"):
        measured(
            server, tmp_path / "o", pool("generated", ["odd", "odd"], [0, 0]), clusters.Settings(n=1, k=2, m=2, j=1)
        )


def test_the_command_asks_about_a_benchmark_of_ones_own_and_replays_without_a_server(tmp_path: Path) -> None:
    """Every draw holds all 240 texts of the example, so that C/S follows from their first words."""
    described = own.read(own.EXAMPLE)
    first = [text.split()[0] for text in own.load(described).pools["generated"].texts]
    words = ["diversity", "--benchmark", str(described.path), "-n", "2", "-k", "240", "-m", "2", "--model", "scripted"]
    words += ["--results-dir", str(tmp_path / "results")]
    with serving(tmp_path / "server", SCRIPT) as server:
        asked = CliRunner().invoke(cli, [*words, "--base-url", server.url, "--key-env", ""])
    assert asked.exit_code == 0, asked.output
    score = f"{len(set(first)) / 240:.3f}"
    told = f"Diversity {score} [{score}, {score}], 2 draws (everything could be read)"
    assert told in asked.output
    folder = tmp_path / "results" / "demo-workshop" / "diversity" / "workshop"
    again = CliRunner().invoke(cli, [*words, "--backend", "replay", "--source", str(folder / "scripted")])
    assert again.exit_code == 0 and told in again.output, again.output


def test_a_model_in_this_process_judges_by_log_probability(tmp_path: Path) -> None:
    made, form, backend = benchmark(), prompts.template("financial"), Local(str(tiny_chat.make(tmp_path / "model")))
    with Journal(tmp_path / JOURNAL, backend) as journal:
        found = few_shot.predict(made, form, few_shot.Settings(), Asker(backend, journal, Budget()))
    assert found.counts == {few_shot.BY_LOGPROB: 12}
    with Journal(tmp_path / JOURNAL, Recorded(tmp_path / JOURNAL)) as journal:
        for request, label in zip(few_shot.requests(made, form, few_shot.Settings()), found.labels, strict=True):
            kept = journal.get(request)
            assert kept is not None and kept.choice_logprobs is not None
            assert kept.text == LABELS[label] and max(kept.choice_logprobs) == kept.choice_logprobs[label]


@pytest.mark.parametrize(("name", "value"), [("n", 0), ("k", 1), ("m", 0), ("j", 0), ("temperature", 3.0)])
def test_settings_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"{name} {value:g}: expected"):
        clusters.Settings(**{name: value})  # type: ignore[arg-type]


def test_what_is_kept_says_what_it_is_of(tmp_path: Path) -> None:
    two, three = (clusters.Cluster((0, 1), "a", True), clusters.Cluster((2,), "b", True))
    found = clusters.Diversity(clusters.Criteria({"a": "b"}, {"c": "d"}), [(two, three), (two,)], wanted=2)
    texts = coloured("red", "blue")
    about = json.loads(clusters.save(tmp_path, found, "m", SETTINGS, texts).read_text("utf-8"))
    assert about["score"] == pytest.approx((2 / 3 + 1 / 2) / 2) and about["draws"] == 2
    assert about["pool"] == texts.fingerprint and about["low"] <= about["score"] <= about["high"]
    assert clusters.load(tmp_path, texts) == about and clusters.load(tmp_path, coloured("red")) is None
