"""D_Q by a language model, from the command line: whole, resumed, killed, out of budget; and nowhere the key."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import time
import traceback
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tiny_chat
from chat_server import ChatServer, serving
from command import call

from paper_repro.llm.budget import Terms
from paper_repro.llm.generate import Generation, Job, Settings
from paper_repro.llm.journal import JOURNAL, records
from paper_repro.report import notebooks
from paper_repro.texts import benchmarks, generated, prompts
from paper_repro.texts.pools import Benchmark, Pool
from paper_repro.tools.paths import Paths

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-test-0123456789abcdef"
TASKS = {"financial": ("negative", "neutral", "positive"), "tweet_irony": ("non-irony", "irony"), "mrpc": ("0", "1")}


def words(server: ChatServer, out: Path, benchmark: str = "financial", texts: int = 30) -> list[str]:
    asked = ["--benchmark", benchmark, "--texts", str(texts), "--out", str(out), "--first-pause", "0.01"]
    return ["generate", *asked, "--timeout", "10", "--base-url", server.url, "--model", "m", "--key-env", "NO_SUCH_KEY"]


@pytest.fixture(scope="module")
def undisturbed(calm: ChatServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three tasks, generated without any trouble."""
    out = tmp_path_factory.mktemp("undisturbed")
    for task in TASKS:
        done = call(*words(calm, out, task, 48), "--depth", "2")
        assert done.exit_code == 0, done.output
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("generated.jsonl", "dropped.jsonl", "report.csv")}


@pytest.mark.parametrize("task", TASKS)
def test_the_three_tasks_become_a_data_directory(undisturbed: Path, task: str) -> None:
    loaded, world = benchmarks.load(task, kind="real", data_dir=undisturbed), benchmarks.load(task, kind="miniature")
    assert loaded.label_names == TASKS[task]
    for name in ("train", "dev", "test"):
        assert loaded.pools[name].fingerprint == world.pools[name].fingerprint
    made = loaded.pools["generated"]
    if task != "mrpc":
        assert np.bincount(made.labels).tolist() == [48 // len(TASKS[task])] * len(TASKS[task])
    texts = generated.whole_texts(made)
    assert len({text.casefold() for text in texts}) == 48
    assert all("people said." in text and '"' not in text for text in texts)
    lines = [json.loads(line) for line in (undisturbed / task / "generated.jsonl").read_text().splitlines()]
    assert len({line["id"] for line in lines}) == 48
    assert all(("words_asked" in line) == (task != "mrpc") for line in lines)


def test_prompts_are_those_of_table_6_and_later_turns_follow_the_conversation(undisturbed: Path) -> None:
    dev, form = benchmarks.load("financial", kind="miniature").pools["dev"], prompts.template("financial")
    tries = [r["request"] for r in records(undisturbed / "financial" / JOURNAL) if r["kind"] == "try"]
    openings = [r["messages"] for r in tries if len(r["messages"]) == 2]
    lengths = set()
    for number, label in enumerate(form.labels):
        system, user = next(opening for opening in openings if f"with {label} sentiment" in opening[1]["content"])
        head, examples = user["content"].split("For example:\n")
        assert (system["role"], system["content"], user["role"]) == ("system", form.system, "user")
        assert head.startswith(f"Write financial news with {label} sentiment and ensure that the length")
        shown = examples.split("\n...\n")[0].splitlines()
        assert [dev.labels[dev.texts.index(text)] for text in shown] == [number] * 8
        lengths.add(head.split("about ")[1].split(" words")[0])
    assert len(lengths) > 1
    later = [r["messages"] for r in tries if len(r["messages"]) == 4]
    assert later and all(messages[3] == {"role": "user", "content": form.again} for messages in later)
    assert all(messages[:2] in openings and messages[2]["role"] == "assistant" for messages in later)


def test_the_report_counts_what_the_files_hold(undisturbed: Path) -> None:
    folder = undisturbed / "financial"
    table = dict(csv.reader((folder / "report.csv").read_text().splitlines()[1:]))
    counts = Counter(json.loads(line)["reason"] for line in (folder / "dropped.jsonl").read_text().splitlines())
    assert {name[9:]: int(n) for name, n in table.items() if name.startswith("dropped: ")} == counts
    assert {"empty", "refusal"} <= set(counts), "the server refuses now and then"
    answers = sum(record["kind"] == "answer" for record in records(folder / JOURNAL))
    assert (table["size"], table["answers"]) == ("48", str(answers))


@pytest.mark.parametrize("concurrency", ["1", "16"])
def test_neither_faults_nor_concurrency_change_the_texts(undisturbed: Path, tmp_path: Path, concurrency: str) -> None:
    with serving(tmp_path / "server", faults=0.4, only="429,500,503,drop,half", spared=1) as server:
        done = call(*words(server, tmp_path, "mrpc", 48), "--depth", "2", "--concurrency", concurrency)
        assert done.exit_code == 0, done.output
        assert server.count("answer") < server.count()
    assert content(tmp_path / "mrpc") == content(undisturbed / "mrpc")


# ---------------------------------------------------------------- money, keys, bad input


def test_an_estimate_comes_first_and_a_dry_run_asks_nothing(calm: ChatServer, tmp_path: Path) -> None:
    before = calm.count()
    priced = ["--price-input", "1", "--price-output", "2", "--max-cost", "0.001", "--dry-run"]
    done = call(*words(calm, tmp_path), *priced)
    assert done.exit_code == 0 and calm.count() == before and not any(tmp_path.iterdir())
    estimate, warning = done.output.splitlines()
    assert estimate.startswith("Estimate: 30 requests, ") and "in money" in estimate
    assert "budget of 0.001 in money ends before that" in warning


def test_what_the_budget_allows_is_kept(calm: ChatServer, tmp_path: Path) -> None:
    priced = ["--price-input", "10", "--price-output", "20", "--max-cost", "0.06"]
    done = call(*words(calm, tmp_path, "tweet_irony", 90), *priced)
    assert done.exit_code == 1 and "the budget of 0.06 in money could be passed" in done.output
    about = json.loads((tmp_path / "tweet_irony" / "generation.json").read_text())
    assert 0.03 < about["spent"]["cost"] <= 0.06
    made = benchmarks.read_generated(prompts.template("tweet_irony"), tmp_path / "tweet_irony/generated.jsonl")
    assert set(made.labels.tolist()) == {0, 1} and len(made) < 90


def test_the_estimate_by_hand() -> None:
    dev = Pool("dev", ("one two three four",) * 9, np.arange(9, dtype=np.int64) % 3)
    job = Job(Benchmark("f", "F", TASKS["financial"], {"dev": dev}), "financial", 10, Path(), Settings(0, 2, 2))
    made = Generation(job)
    assert list(made.wanted.values()) == [4, 3, 3]
    opening = sum(len(message["content"]) for message in made.opening(0, 0)[1]) / 4
    usage = made.estimate()
    # Two texts a conversation: 2 + 2 + 2 conversations of two turns. An answer has 4 words, 6 tokens; the second turn
    # sends the first prompt, the answer and one more sentence again.
    assert (usage.requests, usage.answers) == (12, 72)
    assert usage.prompt == pytest.approx(6 * (2 * opening + 6 + 16), rel=0.02), "prompts differ by a word"
    assert Terms(price_input=1.0, price_output=2.0).cost(usage) == pytest.approx((usage.prompt + 144) / 1e6)


def test_the_key_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", KEY)
    with serving(tmp_path / "server", key=KEY, faults=0.5, only="500,429", spared=1) as server:
        given = [*words(server, tmp_path / "out", texts=12), "--key-env", "OUR_KEY"]
        told = [call(*given), call(*given, "--model", "other")]
        told.append(call(*words(server, tmp_path / "once"), "--key-env", "OUR_KEY", "--tries", "1", "--debug"))
        assert told[0].exit_code == 0 and told[2].exit_code != 0
        monkeypatch.setenv("OUR_KEY", f"{KEY}x")
        told.append(call(*words(server, tmp_path / "wrong"), "--key-env", "OUR_KEY", "--debug"))
        assert "Incorrect API key provided: Bearer [key]" in told[-1].output
    for path in [path for name in ("out", "once", "wrong") for path in (tmp_path / name).rglob("*") if path.is_file()]:
        assert KEY[:12].encode() not in path.read_bytes() and b"Authorization" not in path.read_bytes(), path
    for result in told:
        assert KEY not in result.output
        error = result.exc_info[1] if result.exc_info else None
        while error is not None:  # what a traceback shows, and what it leaves out
            assert KEY not in "".join(traceback.format_exception(error)) + repr(error)
            error = error.__context__


def test_texts_that_are_there_are_not_written_over(calm: ChatServer, tmp_path: Path) -> None:
    (tmp_path / "financial").mkdir()
    (tmp_path / "financial" / "generated.jsonl").write_text("mine")
    done = call(*words(calm, tmp_path))
    assert done.exit_code == 2 and "generated.jsonl is there already, and was not made here" in done.output
    assert (tmp_path / "financial" / "generated.jsonl").read_text() == "mine"


def test_a_model_that_never_says_anything_useful(tmp_path: Path) -> None:
    with serving(tmp_path / "server", silent=1) as server:
        done = call(*words(server, tmp_path, texts=6))
        assert server.count() == 18, "three times as many conversations as would do"
    assert done.exit_code == 2 and "in 18 answers\nDropped: empty 18; see " in done.output
    assert not (tmp_path / "financial" / "generated.jsonl").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--examples", "500"], "500 examples asked for, but pool 'dev' holds"),
        (["--model", ""], "no model given"),
        (["--base-url", "http://127.0.0.1:9/v1"], "cannot be reached"),
    ],
    ids=lambda given: " ".join(given[:2]) if isinstance(given, list) else "",
)
def test_bad_input_is_one_clear_line(calm: ChatServer, tmp_path: Path, given: list[str], message: str) -> None:
    done = call(*words(calm, tmp_path), *given)
    assert done.exit_code == 2 and "Traceback" not in done.output
    assert any(message in line for line in done.output.splitlines()[-2:])
    assert not list(tmp_path.rglob("generated.jsonl"))


def test_the_bundled_texts_are_placed_as_if_they_had_been_asked_for(tmp_path: Path) -> None:
    done = call("generate", "--backend", "replay", "--benchmark", "mrpc", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    placed = benchmarks.read_generated(prompts.template("mrpc"), tmp_path / "mrpc" / "generated.jsonl")
    assert placed.fingerprint == benchmarks.bundled("mrpc").fingerprint


# ---------------------------------------------------------------- a real server, the notebook


@contextmanager
def transformers_serve(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    command = [str(program), "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        try:
            end = time.monotonic() + 120
            while not _answers(f"http://127.0.0.1:{port}/health"):
                assert process.poll() is None and time.monotonic() < end, (folder / "serve.log").read_text()
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(timeout=20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_pairs_by_transformers_serve(tmp_path: Path) -> None:
    """A server that knows nothing of us, and a random model that speaks sentences without end.

    Four tokens are three whole sentences and one cut off.
    """
    model = tiny_chat.make(tmp_path / "model", pairs=True)
    asked = ["--benchmark", "mrpc", "--texts", "6", "--examples", "3", "--count", "2", "--answer-tokens", "4"]
    with transformers_serve(tmp_path) as url:
        done = call(
            "generate", *asked, "--base-url", url, "--key-env", "", "--model", str(model), "--out", str(tmp_path)
        )
    assert done.exit_code == 0, done.output
    folder = tmp_path / "mrpc"
    made = benchmarks.read_generated(prompts.template("mrpc"), folder / "generated.jsonl")
    spoken = {saying.strip() for saying in tiny_chat.sayings(pairs=False)}
    assert len(made) == 6 and set(made.texts) <= spoken and set(made.pairs or ()) <= spoken
    reasons = Counter(json.loads(line)["reason"] for line in (folder / "dropped.jsonl").read_text().splitlines())
    journal = list(records(folder / JOURNAL))
    reserved = [record["reserved"] for record in journal if record["kind"] == "try"]
    used = [json.loads(record["raw"])["usage"] for record in journal if record["kind"] == "answer"]
    assert reasons["cut off"] == sum(usage["completion_tokens"] == 4 for usage in used) > 0
    for most, usage in zip(reserved, used, strict=True):  # a token a byte: no tokenizer makes more
        assert most[1] / 2 < usage["prompt_tokens"] <= most[1] and usage["completion_tokens"] <= most[2]


@pytest.mark.slow
def test_notebook_01_asks_a_server_and_goes_on_with_its_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_KEY", KEY)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    paths = Paths.of("demo", str(tmp_path / "results"), str(tmp_path / "figures"))
    told: list[str] = []
    with serving(tmp_path / "server", key=KEY, faults=0.2, only="429") as server:
        given = {"backend": "server", "model": "m", "base_url": server.url, "key_env": "OUR_KEY", "texts": 24}
        folders = {"results_dir": str(paths.results_root), "figures_dir": str(paths.figures_root)}
        notebooks.execute("01", {**given, **folders, "max_requests": 200}, paths=paths, echo=told.append)
        assert server.count("answer") > 50 and server.count() <= 3 * 200
    with (paths.figures / "table5.csv").open() as lines:
        row = next(row for row in csv.DictReader(lines) if row["split"] == "generated")
    assert [row[f"{task}_here"] for task in TASKS] == ["24"] * 3
    executed = (paths.notebooks / "01_generate.ipynb").read_text(encoding="utf-8")
    assert "m, asked by this notebook" in executed and "texts_per_answer" in executed
    assert KEY not in "".join(told)
    for path in (path for path in tmp_path.rglob("*") if path.is_file() and path.name != "log.jsonl"):
        assert KEY.encode() not in path.read_bytes(), path
