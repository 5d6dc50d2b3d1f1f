"""The OpenAI client against a server process that fails in every way it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, serving

from paper_repro.llm.asking import Asker, Retry
from paper_repro.llm.backends import open_backend
from paper_repro.llm.budget import Budget, Limits, Usage
from paper_repro.llm.exchange import Request, read_completion
from paper_repro.llm.journal import Journal
from paper_repro.llm.server import Server, retry_after
from paper_repro.tools.errors import UserError

KEY = "sk-test-0123456789abcdef"
ROOT = Path(__file__).resolve().parents[1]


def requests(n: int) -> list[Request]:
    messages = ({"role": "system", "content": "You write."}, {"role": "user", "content": "Write."})
    return [Request(messages, 50, seed=i) for i in range(n)]


def ask(server: ChatServer, journal: Path, n: int = 6, **settings: Any) -> list[str]:
    limits, concurrency = settings.pop("limits", Limits()), settings.pop("concurrency", 4)
    retry = settings.pop("retry", Retry(first_pause=0.01))
    backend = Server(**{"model": "m", "base_url": server.url, "key_env": "", "timeout": 20.0} | settings)
    with Journal(journal, backend) as held:
        budget = Budget(limits, spent=held.spent)
        answers = Asker(backend, held, budget, concurrency=concurrency, retry=retry).ask_all(requests(n))
        return [answer.text for answer in answers if answer is not None]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What the server answers where nothing goes wrong."""
    folder = tmp_path_factory.mktemp("calm")
    with serving(folder / "server") as server:
        answers = ask(server, folder / "j.gz")
        assert server.count() == server.count("answer") == 6
    return answers


@pytest.mark.parametrize("fault", ["429", "500", "503", "drop", "half", "hang"])
def test_each_request_that_fails_is_tried_until_it_is_answered(fault, tmp_path, expected):
    with serving(tmp_path / "server", faults=1.0, only=fault, most=2) as server:
        assert ask(server, tmp_path / "j.gz", timeout=0.4 if fault == "hang" else 20.0) == expected
        assert (server.count(fault), server.count("answer")) == (12, 6)
        assert ask(server, tmp_path / "j.gz") == expected
        assert server.count() == 18, "nothing is asked again"
    backend = Server("m", server.url, key_env="")
    with Journal(tmp_path / "j.gz", backend) as journal:
        worst = [Usage.worst_case(request) for request in requests(6)]
        lost = 0 if fault in ("429", "500", "503") else 2 * sum(usage.tokens for usage in worst)
        assert journal.spent.requests == 18
        assert lost <= journal.spent.tokens < lost + sum(usage.tokens for usage in worst)


def test_a_request_that_always_fails_ends_it_after_so_many_tries(tmp_path):
    with serving(tmp_path / "server", faults=1.0, only="500", most=99) as server:
        with pytest.raises(UserError, match=r"m at 127.*: status 500: .*, after 3 tries\n0 answers are kept") as caught:
            ask(server, tmp_path / "j.gz", retry=Retry(tries=3, first_pause=0.01))
        assert server.count() == 3, "one request goes ahead of the others"
    assert len(str(caught.value).splitlines()) == 2


def test_the_limit_on_requests_holds_for_tries_again_too(tmp_path):
    with serving(tmp_path / "server", faults=0.6, seed=3) as server:
        settings: dict[str, Any] = {"timeout": 0.4, "limits": Limits(requests=9), "concurrency": 3}
        first = ask(server, tmp_path / "j.gz", 12, **settings)
        assert server.count() == 9 and len(first) < 9
        assert ask(server, tmp_path / "j.gz", 12, **settings) == first
        assert server.count() == 9


def test_no_more_are_under_way_than_allowed(tmp_path):
    with serving(tmp_path / "server", delay=0.02) as server:
        ask(server, tmp_path / "j.gz", 12, concurrency=3)
        assert 2 <= server.most_at_once <= 3


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"retry-after": "2"}, 2, 2),
        ({"retry-after": "0.5"}, 0.5, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25, 0.25),
        ({"retry-after": "Fri, 20 Nov 2026 00:00:00 GMT"}, 0, 0),
    ],
    ids=["seconds", "fraction", "milliseconds", "date gone by"],
)
def test_retry_after(headers, low, high):
    assert low <= retry_after(headers) <= high


def test_retry_after_a_date():
    assert 3500 < retry_after({"retry-after": formatdate(time.time() + 3600, usegmt=True)}) <= 3600


@pytest.mark.parametrize("headers", [{}, {"retry-after": "soon"}, {"retry-after-ms": "x"}])
def test_a_retry_after_that_says_nothing(headers):
    assert retry_after(headers) is None


def test_the_pause_doubles_up_to_a_limit_with_jitter():
    retry = Retry(first_pause=1.0, longest_pause=5.0)
    for failed, whole in ((1, 1), (2, 2), (3, 4), (4, 5), (9, 5)):
        pauses = [retry.pause(failed) for _ in range(50)]
        assert whole / 2 <= min(pauses) < max(pauses) <= whole


# ---------------------------------------------------------------- one clear line


def refusal(server: ChatServer, tmp_path: Path, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        ask(server, tmp_path / "j.gz", **settings)
    assert KEY not in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2
    return str(caught.value)


def test_what_no_further_try_mends_is_told_at_once(tmp_path, monkeypatch):
    with serving(tmp_path / "server", key=KEY, model="m") as server:
        assert "Incorrect API key" in (told := refusal(server, tmp_path))
        assert told.endswith("No key was sent: put it into an environment variable, named by --key-env")
        monkeypatch.setenv("OUR_KEY", f"{KEY}-but-wrong")
        told = refusal(server, tmp_path, key_env="OUR_KEY")
        assert "Incorrect API key provided: Bearer [key]" in told
        assert told.endswith("Check the key in the environment variable OUR_KEY")
        monkeypatch.setenv("OUR_KEY", KEY)
        told = refusal(server, tmp_path / "2", key_env="OUR_KEY", model="n")
        assert told.splitlines()[0].endswith("answered with status 404: no model n")
        assert "Check --model (n) and --base-url" in told
        assert (server.count("401"), server.count("404"), server.count()) == (2, 1, 3), "each was asked once"
        assert len(ask(server, tmp_path / "j.gz", key_env="OUR_KEY")) == 6


def test_a_server_that_is_not_there(tmp_path):
    with serving(tmp_path / "server") as server:
        pass
    started = time.monotonic()
    told = refusal(server, tmp_path)
    assert f"{server.url} cannot be reached" in told and "Is the server running" in told
    assert time.monotonic() - started < 20, "it is not tried for minutes"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ""}, "no model given"),
        ({"base_url": "127.0.0.1:8000"}, "expected http"),
        ({"base_url": "ftp://host/v1"}, "expected http"),
        ({"base_url": "http://host:port/v1"}, "--base-url http://host:port/v1"),
        ({"base_url": f"https://me:{KEY}@host/v1"}, "holds a user name, a password or a query"),
        ({"base_url": f"https://host/v1?api-key={KEY}"}, "holds a user name, a password or a query"),
        ({"base_url": "https://api.openai.com/v1"}, "no key for api.openai.com: put it into .* NO_SUCH_KEY"),
        ({"token_limit": "max_length"}, "expected max_tokens or max_completion_tokens"),
    ],
)
def test_bad_settings_of_a_server(settings, message):
    with pytest.raises(UserError, match=message) as caught:
        Server(**{"model": "m", "base_url": "http://127.0.0.1:1/v1", "key_env": "NO_SUCH_KEY"} | settings)
    assert KEY not in str(caught.value)


def test_a_key_that_no_header_can_carry(monkeypatch):
    monkeypatch.setenv("OUR_KEY", "schlüssel-0123456789")
    with pytest.raises(UserError, match="OUR_KEY holds characters that no header can carry"):
        Server("m", "http://127.0.0.1:1/v1", key_env="OUR_KEY")


def test_an_unknown_backend():
    with pytest.raises(UserError, match="backend 'oracle' is not known; expected one of server, local, replay"):
        open_backend("oracle")


def test_settings_reach_the_server(tmp_path):
    with serving(tmp_path / "server") as server:
        backend = Server("m", server.url, key_env="", token_limit="max_completion_tokens", send_seed=False)
        asked = Request(({"role": "user", "content": "Hi"},), 9, 0.25, 0.5, seed=4, choices=("yes", "no"))
        with Journal(tmp_path / "j.gz", backend) as journal:
            Asker(backend, journal, Budget()).ask_all([asked])
        body = server.log[0]["body"]
    assert {name: value for name, value in body.items() if name not in ("messages", "model")} == {
        "temperature": 0.25,
        "top_p": 0.5,
        "max_completion_tokens": 9,
        "logprobs": True,
        "top_logprobs": 20,
    }


# ---------------------------------------------------------------- what a body says


def body(content: Any, **choice: Any) -> str:
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop", **choice}]})


def test_content_in_all_its_forms():
    asked = requests(1)[0]
    assert read_completion(body(None), asked).text == ""
    assert read_completion(body([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), asked).text == "ab"
    assert read_completion('{"choices": [{"message": {"content": "\\ud83d"}}]}', asked).text == "?"


def test_log_probabilities_of_choices_from_first_tokens():
    top = [("neu", -1.0), (" Neg", -2.0), ("n", -0.1), ("NEUTRAL", -3.0), ("the", -0.5)]
    logprobs = {"content": [{"top_logprobs": [{"token": token, "logprob": value} for token, value in top]}]}
    asked = Request((), 5, choices=("negative", "neutral", "positive"))
    found = read_completion(body("neutral", logprobs=logprobs), asked).choice_logprobs
    # exp(-1) + exp(-3) = 0.417666; "n" begins two of them and counts for none.
    assert found == pytest.approx((-2.0, -0.873073, float("-inf")), abs=1e-5)
    assert read_completion(body("neutral"), asked).choice_logprobs is None


# ---------------------------------------------------------------- interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_ctrl_c_stops_at_once_and_the_next_run_goes_on(number, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with serving(tmp_path / "server", delay=0.1) as server:
        words = ["generate", "--benchmark", "tweet_irony", "--base-url", server.url, "--model", "m", "--texts", "60"]
        command = [sys.executable, "-m", "paper_repro", *words, "--out", str(out), "--concurrency", "2"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        while server.count("answer") < 5:
            time.sleep(0.02)
        process.send_signal(number)
        _, told = process.communicate(timeout=20)
        assert process.returncode == 130
        assert told == "paper-repro: stopped; what was finished is kept: the same command goes on from there\n"
        before = server.count("answer")
        backend = Server("m", server.url, key_env="")
        with Journal(out / "tweet_irony" / "responses.jsonl.gz", backend) as journal:
            assert before - 2 <= journal.answered <= before


def test_the_client_is_asked_for_only_where_it_is_needed():
    code = "import sys, paper_repro.llm.command, paper_repro.llm.job; print({'openai', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"
