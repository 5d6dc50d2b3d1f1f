"""D_Q by a language model, from the command line: whole, resumed, killed, out of budget; and nowhere the key."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from chat_server import ChatServer, serving
from click.testing import CliRunner, Result

from paper_repro.cli import cli
from paper_repro.llm import released
from paper_repro.llm.budget import Prices
from paper_repro.llm.conversations import Conversations, Settings
from paper_repro.llm.generate import estimate, quotas
from paper_repro.llm.journal import records
from paper_repro.report import notebooks
from paper_repro.texts import benchmarks, generated, prompts
from paper_repro.texts.pools import Pool
from paper_repro.tools.paths import Paths

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-test-0123456789abcdef"
QUICK = ("--first-pause", "0.01", "--timeout", "1")
TASKS = {"financial": ("negative", "neutral", "positive"), "tweet_irony": ("non-irony", "irony"), "mrpc": ("0", "1")}


def words(server: ChatServer, out: Path, benchmark: str = "financial", texts: int = 30) -> list[str]:
    asked = ["--benchmark", benchmark, "--texts", str(texts), "--out", str(out), *QUICK]
    return ["generate", *asked, "--base-url", server.url, "--model", "m", "--key-env", "NO_SUCH_KEY"]


def call(*given: str) -> Result:
    return CliRunner().invoke(cli, list(given), prog_name="paper-repro")


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """A server that never fails."""
    with serving(tmp_path_factory.mktemp("calm")) as server:
        yield server


@pytest.fixture(scope="module")
def undisturbed(calm, tmp_path_factory):
    """The three tasks, generated without any trouble."""
    out = tmp_path_factory.mktemp("undisturbed")
    for task in TASKS:
        done = call(*words(calm, out, task, 48), "--depth", "2")
        assert done.exit_code == 0, done.output
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("generated.jsonl", "dropped.jsonl", "report.csv")}


@pytest.mark.parametrize("task", TASKS)
def test_the_three_tasks(undisturbed, task):
    form = prompts.template(task)
    pool = generated.read_pool(undisturbed / task / "generated.jsonl", form)
    assert len(pool) == 48
    if task != "mrpc":
        assert Counter(pool.labels.tolist()) == dict.fromkeys(range(len(TASKS[task])), 48 // len(TASKS[task]))
    texts = generated.whole_texts(pool)
    assert len({text.casefold() for text in texts}) == 48
    assert all("people said." in text and '"' not in text for text in texts)
    lines = [json.loads(line) for line in (undisturbed / task / "generated.jsonl").read_text().splitlines()]
    assert len({line["id"] for line in lines}) == 48
    assert all(("words_asked" in line) == (task != "mrpc") for line in lines)


@pytest.mark.parametrize("task", TASKS)
def test_the_folder_is_a_data_directory(undisturbed, task):
    """What `paper-repro run --data-dir` reads: D_Q beside the other sets of the same benchmark."""
    loaded = benchmarks.load(task, kind="real", data_dir=undisturbed)
    world = benchmarks.load(task, kind="miniature")
    assert loaded.label_names == TASKS[task]
    assert {name: loaded.pools[name].fingerprint for name in ("train", "dev", "test")} == {
        name: world.pools[name].fingerprint for name in ("train", "dev", "test")
    }
    form = prompts.template(task)
    generated = generated.read_pool(undisturbed / task / "generated.jsonl", form)
    assert loaded.pools["generated"].fingerprint == generated.fingerprint


def test_prompts_are_those_of_table_6_and_later_turns_follow_the_conversation(undisturbed):
    world = benchmarks.load("financial", kind="miniature")
    asked = [r for r in records(undisturbed / "financial" / "responses.jsonl.gz") if r["kind"] == "try"]
    texts, lengths = set(world.pools["dev"].texts), []
    form = prompts.template("financial")
    openings = [r["request"]["messages"] for r in asked if len(r["request"]["messages"]) == 2]
    for number, label in enumerate(form.labels):
        opening = next(messages for messages in openings if f"with {label} sentiment" in messages[1]["content"])
        assert [message["role"] for message in opening] == ["system", "user"]
        assert opening[0]["content"] == form.system
        head, examples = opening[1]["content"].split("For example:\n")
        assert head.startswith(f"Write financial news with {label} sentiment and ensure that the length")
        shown = examples.split("\n...\n")[0].splitlines()
        assert len(shown) == 8 and set(shown) <= texts
        assert all(world.pools["dev"].labels[world.pools["dev"].texts.index(text)] == number for text in shown)
        lengths.append(head.split("about ")[1].split(" words")[0])
    assert len(set(lengths)) > 1
    later = [r["request"]["messages"] for r in asked if len(r["request"]["messages"]) == 4]
    assert later and all(messages[3] == {"role": "user", "content": form.again} for messages in later)
    assert all(messages[:2] in openings and messages[2]["role"] == "assistant" for messages in later)


def test_the_report_counts_what_the_files_hold(undisturbed):
    folder = undisturbed / "financial"
    table = dict(csv.reader((folder / "report.csv").read_text().splitlines()[1:]))
    dropped = [json.loads(line) for line in (folder / "dropped.jsonl").read_text().splitlines()]
    counts = Counter(line["reason"] for line in dropped)
    assert {name[9:]: int(n) for name, n in table.items() if name.startswith("dropped: ")} == counts
    assert {"empty", "refusal"} <= set(counts), "the server refuses now and then"
    answers = sum(record["kind"] == "answer" for record in records(folder / "responses.jsonl.gz"))
    assert (table["texts"], table["answers"]) == ("48", str(answers))
    assert {"stand in the test set", "words: correlation with those asked for", "labels, per cent"} <= set(table)


def test_a_second_run_asks_nothing_and_writes_the_same(undisturbed, calm):
    before, asked = content(undisturbed / "mrpc"), calm.count()
    done = call(*words(calm, undisturbed, "mrpc", 48), "--depth", "2")
    assert done.exit_code == 0 and "nobody is asked for them again" in done.output
    assert content(undisturbed / "mrpc") == before and calm.count() == asked


def test_replay_of_the_journal_gives_the_same_without_a_server(undisturbed, tmp_path):
    folder = undisturbed / "tweet_irony"
    asked = ["--benchmark", "tweet_irony", "--texts", "48", "--out", str(tmp_path), "--source", str(folder)]
    done = call("generate", "--backend", "replay", *asked, "--depth", "2")
    assert done.exit_code == 0, done.output
    assert content(tmp_path / "tweet_irony") == content(folder)
    done = call("generate", "--backend", "replay", *asked, "--depth", "2", "--seed", "1")
    assert done.exit_code == 2 and "holds no answer to this request" in done.output


@pytest.mark.parametrize("concurrency", ["1", "16"])
def test_neither_faults_nor_concurrency_change_the_texts(undisturbed, tmp_path, concurrency):
    with serving(tmp_path / "server", faults=0.4, only="429,500,503,drop,half") as server:
        given = words(server, tmp_path / "out", "mrpc", 48)
        done = call(*given, "--depth", "2", "--concurrency", concurrency)
        assert done.exit_code == 0, done.output
        assert server.count("answer") < server.count()
    assert content(tmp_path / "out" / "mrpc") == content(undisturbed / "mrpc")


def test_another_seed_asks_for_other_texts(undisturbed, calm, tmp_path):
    assert call(*words(calm, tmp_path, "mrpc", 48), "--depth", "2", "--seed", "1").exit_code == 0
    assert content(tmp_path / "mrpc")["generated.jsonl"] != content(undisturbed / "mrpc")["generated.jsonl"]


# ---------------------------------------------------------------- killed


def start(command: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)


def kill_after(process: subprocess.Popen[bytes], server: ChatServer, requests: int, wait: float = 0.0) -> None:
    """SIGKILL when the server has met so many requests, and ``wait`` seconds later."""
    end = time.monotonic() + 60
    while server.count() < requests:
        assert process.poll() is None and time.monotonic() < end, process.communicate()[1].decode()
        time.sleep(0.005)
    time.sleep(wait)
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_killed_ten_times_at_random_moments(tmp_path, calm):
    """SIGKILL, each time after a random number of further requests: nothing lost, doubled, asked again or overspent."""
    draw, texts, most, at_once = random.Random(7), 75, 400, 4
    assert call(*words(calm, tmp_path / "calm", texts=texts)).exit_code == 0
    with serving(tmp_path / "server", faults=0.3, delay=0.02, hang=2.0) as server:
        limits = ["--max-requests", str(most), "--concurrency", str(at_once)]
        command = [sys.executable, "-m", "paper_repro", *words(server, tmp_path / "out", texts=texts), *limits]
        for _ in range(10):
            process = start(command)
            kill_after(process, server, server.count() + draw.randint(0, 14), draw.uniform(0, 0.06))
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert done.returncode == 0, done.stderr
        log = server.log
    assert content(tmp_path / "out" / "financial") == content(tmp_path / "calm" / "financial")

    tried, ended, answered = Counter(), set(), Counter()
    seeds, sent = {}, 0
    for record in records(tmp_path / "out" / "financial" / "responses.jsonl.gz"):
        if record["kind"] == "try":
            sent += 1
            seeds[record["id"]] = record["request"]["seed"]
            tried[seeds[record["id"]]] += 1
            assert not answered[seeds[record["id"]]], "a request that was answered is not asked again"
        elif record["kind"] == "answer" and record["raw"].endswith("}"):
            answered[seeds[record["id"]]] += 1
            ended.add(record["id"])
        elif record["kind"] == "failure":
            ended.add(record["id"])
    open_tries = Counter(seeds[number] for number in set(seeds) - ended)
    assert 0 < open_tries.total() <= 10 * at_once, "under way at a kill"
    assert set(answered.values()) == {1}
    for seed, count in Counter(entry["body"]["seed"] for entry in log if entry["what"] == "answer").items():
        assert count <= 1 + open_tries[seed], "answered twice only if a kill came between answer and journal"
    assert len(log) <= sent <= most


def test_the_budget_holds_across_kills(tmp_path):
    with serving(tmp_path / "server", faults=0.3, only="429,500,drop,half", delay=0.02) as server:
        given = [*words(server, tmp_path / "out", "tweet_irony", 90), "--max-requests", "40"]
        command = [sys.executable, "-m", "paper_repro", *given]
        for goal in (8, 16, 24):
            kill_after(start(command), server, goal)
        done = call(*given)
        assert done.exit_code == 1 and server.count() <= 40
        assert "the budget of 40 requests could be passed: 40 requests" in done.output
        assert call(*given).exit_code == 1 and server.count() <= 40, "nor is it passed by asking again"
        assert len(generated.read_pool(tmp_path / "out/tweet_irony/generated.jsonl", prompts.template("tweet_irony")))


# ---------------------------------------------------------------- money, keys, bad input


def test_an_estimate_comes_first_and_a_dry_run_asks_nothing(calm, tmp_path):
    before = calm.count()
    priced = ["--price-input", "1", "--price-output", "2", "--max-cost", "0.001", "--dry-run"]
    done = call(*words(calm, tmp_path), *priced)
    assert done.exit_code == 0 and calm.count() == before and not any(tmp_path.iterdir())
    estimate, warning = done.output.splitlines()
    assert estimate.startswith("Estimate: 30 requests, about ") and "in money" in estimate
    assert warning == "The budget of 0.001 (cost) ends before that: there will be fewer texts"


def test_money_is_not_passed(calm, tmp_path):
    limit = 0.06
    priced = ["--price-input", "10", "--price-output", "20", "--max-cost", str(limit), "--concurrency", "3"]
    done = call(*words(calm, tmp_path), *priced)
    assert done.exit_code == 1 and "the budget of 0.06 in money could be passed" in done.output
    raw = [json.loads(r["raw"])["usage"] for r in records(tmp_path / "financial/responses.jsonl.gz") if "raw" in r]
    cost = sum(10 * usage["prompt_tokens"] + 20 * usage["completion_tokens"] for usage in raw) / 1e6
    assert 0.5 * limit < cost <= limit


def test_the_key_is_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("OUR_KEY", KEY)
    with serving(tmp_path / "server", key=KEY, faults=0.5, only="500,429") as server:
        given = [*words(server, tmp_path / "out", texts=12), "--key-env", "OUR_KEY"]
        told = [call(*given), call(*given, "--model", "other"), call("generate", "--debug", *given[1:], "--tries", "1")]
        assert told[0].exit_code == 0
        monkeypatch.setenv("OUR_KEY", f"{KEY}x")
        told.append(call(*words(server, tmp_path / "wrong"), "--key-env", "OUR_KEY", "--debug"))
        assert "Incorrect API key provided" in told[-1].output
    for path in [*(tmp_path / "out").rglob("*"), *(tmp_path / "wrong").rglob("*")]:
        if path.is_file():
            found = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            assert KEY.encode() not in found, path
            assert b"Authorization" not in found and KEY[:12].encode() not in found, "nor a part of it"
    journal = gzip.decompress((tmp_path / "out/financial/responses.jsonl.gz").read_bytes())
    assert b"key was Bearer [key]" in journal, "the server did echo it"
    for result in told:
        assert KEY not in result.output
        error = result.exc_info[1]
        while error is not None:  # what a traceback shows, and what it leaves out
            assert KEY not in "".join(traceback.format_exception(error)) + repr(error)
            error = error.__context__


def test_texts_that_are_there_are_not_written_over(calm, tmp_path):
    (tmp_path / "financial").mkdir()
    (tmp_path / "financial" / "generated.jsonl").write_text("mine")
    done = call(*words(calm, tmp_path))
    assert done.exit_code == 2 and "generated.jsonl is there already, and was not made here" in done.output
    assert (tmp_path / "financial" / "generated.jsonl").read_text() == "mine"


def test_a_model_that_never_says_anything_useful(tmp_path):
    with serving(tmp_path / "server", silent=1) as server:
        done = call(*words(server, tmp_path / "out", texts=6))
        assert server.count() == 18, "three times as many conversations as would do"
    assert done.exit_code == 2
    assert "no texts: too few texts were usable in 18 answers\nDropped: empty 18; see " in done.output
    assert not (tmp_path / "out" / "financial" / "generated.jsonl").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--max-requests", "0"], "--max-requests 0: nothing can be asked"),
        (["--max-cost", "3"], "--max-cost 3 needs prices"),
        (["--concurrency", "0"], "--concurrency 0: expected 1 or more"),
        (["--benchmark", "imdb"], "Unknown benchmark 'imdb'"),
        (["--examples", "500"], "500 examples asked for, but pool 'dev' holds"),
        (["--depth", "0"], "depth 0: expected 1 or more"),
        (["--temperature", "-1"], "temperature -1: expected 0 to 2"),
        (["--model", ""], "no model given"),
        (["--base-url", "http://127.0.0.1:9/v1"], "cannot be reached"),
        (["--backend", "local", "--model", "org/name"], "name the commit, too"),
        (["--backend", "released"], "they come by: wandb artifact get hsunyu/DIMP-Loss/synthetic_few-shot_glue_mrpc"),
        (["--backend", "replay", "--source", "nowhere"], "no recorded answers in nowhere"),
    ],
    ids=lambda given: " ".join(given[:2]) if isinstance(given, list) else "",
)
def test_bad_input_is_one_clear_line(calm, tmp_path, given, message):
    done = call(*words(calm, tmp_path), *given)
    assert done.exit_code == 2
    assert message in done.output.splitlines()[-1] or message in done.output.splitlines()[-2]
    assert "Traceback" not in done.output and not list(tmp_path.rglob("generated.jsonl"))


# ---------------------------------------------------------------- no model asked


def test_the_bundled_texts_are_placed_as_if_they_had_been_asked_for(tmp_path):
    done = call("generate", "--backend", "replay", "--benchmark", "mrpc", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    placed = generated.read_pool(tmp_path / "mrpc" / "generated.jsonl", prompts.template("mrpc"))
    assert placed.fingerprint == generated.bundled("mrpc").fingerprint


ROWS = [("A rose.", "A rose, again.", 1), ('He said "no", twice.', "She, too.", 0)]


@pytest.mark.parametrize("kind", ["csv", "lines", "list", "columns"])
def test_the_authors_files(tmp_path, kind):
    folder = tmp_path / "synthetic_few-shot_glue_mrpc:v0"
    folder.mkdir()
    objects = [{"sentence1": a, "sentence2": b, "label": y} for a, b, y in ROWS]
    if kind == "csv":
        text = 'label,sentence1,sentence2\n1,A rose.,"A rose, again."\n0,"He said ""no"", twice.","She, too."\n'
        (folder / "train.csv").write_text(text)
    elif kind == "lines":
        (folder / "train.json").write_text("".join(json.dumps(row) + "\n" for row in objects))
    elif kind == "list":
        (folder / "train.json").write_text(json.dumps(objects))
    else:
        columns = {name: {str(i): row[name] for i, row in enumerate(objects)} for name in objects[0]}
        (folder / "train.json").write_text(json.dumps(columns))
    (folder / "validation.csv").write_text("label,sentence1,sentence2\n")
    asked = ["--benchmark", "mrpc", "--backend", "released", "--source", str(folder), "--out", str(tmp_path / "out")]
    done = call("generate", *asked)
    assert done.exit_code == 0, done.output
    pool = generated.read_pool(tmp_path / "out" / "mrpc" / "generated.jsonl", prompts.template("mrpc"))
    assert list(zip(pool.texts, pool.pairs, pool.labels.tolist(), strict=True)) == ROWS


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "data.csv",
            "label,sentence1,sentence2\n",
            "expected one CSV or JSON file with 'train' in its name, found data",
        ),
        ("train.csv", "label,sentence1,sentence2\n", r"train\.csv: holds no rows"),
        ("train.csv", "label,text\n1,a\n", r"columns label, text; expected label and 2 with texts"),
        ("train.csv", "sentence1,sentence2\na,b\n", "columns sentence1, sentence2; expected label"),
        ("train.csv", "label,sentence1,sentence2\n2,a,b\n", r"row 1: label '2'; expected one of 0, 1"),
        ("train.csv", "label,sentence1,sentence2\n1,a,\n", r"row 1: sentence2 = ''; expected a text"),
        ("train.json", '{"label": 1', r"train\.json: not JSON"),
        ("train.json", "[1, 2]", r"expected objects with texts and label"),
    ],
)
def test_bad_files_of_the_authors(tmp_path, name, text, message):
    from paper_repro.tools.errors import UserError

    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        released.read_released(tmp_path, prompts.template("mrpc"))


# ---------------------------------------------------------------- the notebook


@pytest.mark.slow
def test_notebook_01_asks_a_server_and_goes_on_with_its_texts(tmp_path, monkeypatch):
    monkeypatch.setenv("OUR_KEY", KEY)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    paths = Paths.of("demo", str(tmp_path / "results"), str(tmp_path / "figures"))
    told: list[str] = []
    with serving(tmp_path / "server", key=KEY, faults=0.2, only="429,500") as server:
        given = {"backend": "server", "model": "m", "base_url": server.url, "key_env": "OUR_KEY", "texts": 24}
        folders = {"results_dir": str(paths.results_root), "figures_dir": str(paths.figures_root)}
        notebooks.execute("01", {**given, **folders, "max_requests": 200}, paths=paths, echo=told.append)
        assert server.count("answer") > 50 and server.count() <= 3 * 200
    with (paths.figures / "table5.csv").open() as lines:
        generated = next(row for row in csv.DictReader(lines) if row["split"] == "generated")
    assert [generated[f"{task}_here"] for task in TASKS] == ["24"] * 3
    executed = json.loads((paths.notebooks / "01_generate.ipynb").read_text(encoding="utf-8"))
    assert "m, asked by this notebook" in json.dumps(executed["cells"])
    assert "texts per answer" in json.dumps(executed["cells"]), "the yield is shown"
    assert KEY not in "".join(told)
    for path in (path for path in tmp_path.rglob("*") if path.is_file() and path.name != "log.jsonl"):
        found = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert KEY.encode() not in found, path


# ---------------------------------------------------------------- the estimate


def test_the_estimate_by_hand():
    dev = Pool("dev", ("one two three four",) * 9, np.arange(9, dtype=np.int64) % 3)
    conversations = Conversations("financial", dev, Settings(examples=2, depth=2))
    assert quotas(conversations, 10) == [4, 3, 3]
    opening = next(conversations.openings(1)).prompt_tokens_about
    guess = estimate(conversations, 10, Prices(1e6, 1e6))
    # Two texts a conversation: 2 + 2 + 2 conversations of two turns. An answer has 4 words, 6 tokens; the second turn
    # sends the first prompt, the answer and one more sentence again.
    assert (guess.usage.requests, guess.usage.completion_tokens) == (12, 72)
    assert guess.usage.prompt_tokens == pytest.approx(6 * (2 * opening + 6 + 16), rel=0.02), "prompts differ by a word"
    assert guess.cost == guess.usage.tokens


def test_pairs_are_asked_for_several_at_once():
    dev = Pool("dev", ("one",) * 4, np.array([0, 1, 0, 1]), pairs=("two",) * 4)
    conversations = Conversations("mrpc", dev, Settings(examples=2, count=5))
    assert quotas(conversations, 12) == [12]
    assert estimate(conversations, 12, Prices()).usage.requests == 3
    request = next(conversations.openings(1))
    assert "Generate 5 data points" in request.messages[0]["content"]
    assert request.max_tokens == 5 * 160
