"""Client, journal and budget against a server process that fails in every way it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
from chat_server import ChatServer, serving

from paper_repro.llm import journal
from paper_repro.llm.ask import asking
from paper_repro.llm.budget import Terms, Usage
from paper_repro.llm.client import Client, Failed, Request, Unreadable, read_completion
from paper_repro.tools.errors import UserError

KEY = "sk-test-0123456789abcdef"
ROOT = Path(__file__).resolve().parents[1]
ANSWER = '{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'


def request(seed: int = 0, **settings: Any) -> Request:
    messages = ({"role": "system", "content": "You write."}, {"role": "user", "content": "Write."})
    return Request(messages, **{"max_tokens": 50, "seed": seed, **settings})


WORST = Usage.worst_case(request())


def ask(server: ChatServer, folder: Path, n: int = 6, **settings: Any) -> list[str]:
    terms = {name: settings.pop(name) for name in list(settings) if name in Terms.__dataclass_fields__}
    client = Client(**{"model": "m", "base_url": server.url, "key_env": "", "timeout": 20.0} | settings)
    with asking(client, folder, Terms(**{"first_pause": 0.01, "concurrency": 4} | terms)) as asker:
        return [answer.text for answer in asker.ask_all([request(seed) for seed in range(n)]) if answer is not None]


def records(folder: Path) -> list[dict[str, Any]]:
    return list(journal.records(folder / journal.JOURNAL))


@pytest.fixture(scope="module")
def expected(calm: ChatServer, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return ask(calm, tmp_path_factory.mktemp("expected"))


# ---------------------------------------------------------------- tries


@pytest.mark.parametrize("fault", ["429", "500", "503", "drop", "half", "hang"])
def test_a_request_that_fails_is_tried_until_it_is_answered(fault: str, tmp_path: Path, expected: list[str]) -> None:
    with serving(tmp_path / "server", faults=1.0, only=fault, spared=1) as server:
        assert ask(server, tmp_path, timeout=1.0 if fault == "hang" else 20.0) == expected
        assert (server.count(fault), server.count("answer")) == (10, 6)
        assert ask(server, tmp_path) == expected
        assert server.count() == 16, "nothing is asked again"
    with journal.opened(tmp_path, "m") as held:
        lost = 0 if fault in ("429", "500", "503") else 10 * (WORST.prompt + WORST.answers)
        assert held.spent.requests == 16
        assert lost < held.spent.prompt + held.spent.answers < lost + 6 * (WORST.prompt + WORST.answers)


def test_a_request_that_always_fails_ends_it_after_so_many_tries(tmp_path: Path) -> None:
    with serving(tmp_path / "server", faults=1.0, only="503", most=99, spared=1) as server:
        with pytest.raises(UserError, match=r"status 503: .* \(3 tries\)\n.*; 1 answers are kept"):
            ask(server, tmp_path, tries=3, concurrency=1)
        assert server.count("503") == 3


@pytest.mark.parametrize(
    ("settings", "told", "options"),
    [
        ({"model": "n"}, r"model n: status 404: .*no model n.* \(1 try\)", {"model": "m"}),
        ({}, r"model m: status 401: .*Incorrect API key provided", {"key": KEY}),
        ({"key_env": "OUR_KEY"}, r"status 401: .*provided: Bearer \[key\]", {"key": f"{KEY}-other"}),
        ({"base_url": "/wrong"}, r"/wrong/chat/completions, model m: no chat completion: .*Please log in", {}),
        ({"timeout": 1.0}, r"no answer within 1 s", {"faults": 1.0, "only": "hang"}),
    ],
    ids=["unknown model", "no key", "wrong key", "a page", "silence"],
)
def test_the_failure_of_the_first_request_is_told_after_one_try(
    settings: dict[str, Any], told: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_KEY", KEY)
    with serving(tmp_path / "server", **options) as server:
        if "base_url" in settings:
            settings = {"base_url": server.url.removesuffix("/v1") + settings["base_url"]}
        with pytest.raises(UserError, match=told) as caught:
            ask(server, tmp_path, **settings)
        assert server.count() == 1
    assert str(caught.value).startswith("POST http://127.0.0.1:") and len(str(caught.value).splitlines()) == 2
    assert KEY not in str(caught.value)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        pass
    with pytest.raises(UserError, match=r"cannot be reached \(1 try\)\nDoes the server run"):
        ask(server, tmp_path)


def test_no_more_are_under_way_than_allowed(tmp_path: Path) -> None:
    with serving(tmp_path / "server", delay=0.02) as server:
        ask(server, tmp_path, 12, concurrency=3)
        assert 2 <= max(entry["at_once"] for entry in server.log) <= 3


def test_settings_reach_the_server(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        client = Client("m", server.url, key_env="", token_limit="max_completion_tokens", send_seed=False)
        with asking(client, tmp_path, Terms()) as asker:
            asker.ask_all([request(4, max_tokens=9, temperature=0.25, top_p=0.5)])
        body = server.log[0]["body"]
    expected = {"temperature": 0.25, "top_p": 0.5, "max_completion_tokens": 9}
    assert {name: value for name, value in body.items() if name not in ("messages", "model")} == expected


@pytest.mark.parametrize(
    "base_url", ["127.0.0.1:8000", "ftp://host/v1", f"https://me:{KEY}@host/v1", f"https://host/v1?key={KEY}"]
)
def test_a_bad_url_is_refused_without_being_shown(base_url: str) -> None:
    with pytest.raises(UserError, match=r"--base-url: expected http\(s\)://host") as caught:
        Client("m", base_url)
    assert KEY not in str(caught.value)


def test_a_bad_or_missing_key_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with asking(Client("m"), tmp_path, Terms()) as asker, pytest.raises(UserError, match="no key for https://api"):
        asker.ask_all([request()])
    monkeypatch.setenv("OUR_KEY", "schlüssel-0123456789")
    with pytest.raises(UserError, match="OUR_KEY holds characters that no header can carry"):
        Client("m", key_env="OUR_KEY")


# ---------------------------------------------------------------- what a body says


def body(content: Any, **choice: Any) -> str:
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop", **choice}]})


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, ""), ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"), ("\ud83d", "\ufffd")],
)
def test_content_in_all_its_forms(content: Any, text: str) -> None:
    assert read_completion(body(content)).text == text


@pytest.mark.parametrize("raw", ["", ANSWER[:30], "<html>", "[]", "{}", '{"choices": [3]}', body(3), "[" * 100_000])
def test_what_is_no_chat_completion(raw: str) -> None:
    with pytest.raises(Unreadable):
        read_completion(raw)


# ---------------------------------------------------------------- the journal


def test_a_file_cut_off_anywhere_loses_at_most_its_last_record(calm: ChatServer, tmp_path: Path) -> None:
    """A kill, a full disk or a power cut may leave any beginning of the file, and zeros behind it."""
    texts, path = ask(calm, tmp_path, 2), tmp_path / journal.JOURNAL
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        for zeros in (b"", bytes(512)):
            path.write_bytes(whole[:length] + zeros)
            kept = list(journal.records(path, mend=True))
            assert len(kept) == whole[:length].count(b"\n")
            assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[: len(kept)])
    for length in (0, 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert ask(calm, tmp_path, 2) == texts


def test_damage_that_no_crash_explains_is_told_and_nothing_is_touched(calm: ChatServer, tmp_path: Path) -> None:
    path = tmp_path / journal.JOURNAL
    path.write_bytes(b'{"kind": "recipe"}\n')
    with pytest.raises(UserError, match="line 1: damaged"):
        ask(calm, tmp_path)
    path.unlink()
    ask(calm, tmp_path, 1)
    broken = path.read_bytes().replace(b'"try"', b'try"', 1)
    path.write_bytes(broken)
    with pytest.raises(UserError, match=r"responses\.jsonl, line 2: damaged; put back a copy"):
        ask(calm, tmp_path, 1)
    assert path.read_bytes() == broken


def test_another_model_and_another_process_are_refused(calm: ChatServer, tmp_path: Path) -> None:
    ask(calm, tmp_path, 1)
    with pytest.raises(UserError, match="holds answers of m, not of n"):
        ask(calm, tmp_path, 1, model="n")
    with journal.opened(tmp_path, "m"), pytest.raises(UserError, match="another process is asking for it"):
        ask(calm, tmp_path, 1)
    assert len(ask(calm, tmp_path, 1)) == 1


def test_a_full_disk_leaves_whole_records(calm: ChatServer, tmp_path: Path) -> None:
    """A limit on the file's size lets through the beginning of a record, as a full disk does."""
    path = tmp_path / journal.JOURNAL
    with journal.opened(tmp_path, "m") as held:
        held.begin(request())
        size = path.stat().st_size
        with tiny.largest_file(size + 20), pytest.raises(OSError):
            held.begin(request(1))
        assert path.stat().st_size == size
    assert len(ask(calm, tmp_path, 2)) == 2


# ---------------------------------------------------------------- the budget


COUNTED = json.dumps({**json.loads(ANSWER), "usage": {"prompt_tokens": 3, "completion_tokens": 2}})


@pytest.mark.parametrize(
    ("ended", "spent"),
    [
        (lambda held, number: None, WORST),  # under way at a kill
        (lambda held, number: held.fail(number, Failed("status 429")), Usage(1)),
        (lambda held, number: held.fail(number, Failed("the connection broke off", billed=True)), WORST),
        (lambda held, number: held.answer(number, ANSWER, 0.1), WORST),
        (lambda held, number: held.answer(number, ANSWER[:30], 0.1), WORST),
        (lambda held, number: held.answer(number, COUNTED, 0.1), Usage(1, 3, 2)),
    ],
    ids=["unknown end", "refused", "lost", "tokens not told", "unreadable", "tokens told"],
)
def test_what_a_try_counts(ended: Callable[[journal.Journal, int], Any], spent: Usage, tmp_path: Path) -> None:
    for times in (1, 2):  # and what it counts is known after a restart
        with journal.opened(tmp_path, "m") as held:
            ended(held, held.begin(request()))
            assert held.spent == Usage(*(times * amount for amount in spent))


def test_every_setting_decides_what_was_asked() -> None:
    changes: list[dict[str, Any]] = [{}, {"max_tokens": 11}, {"temperature": 0.5}, {"top_p": 0.9}, {"seed": 1}]
    assert len({request(**change).digest("m") for change in changes} | {request().digest("n")}) == 6


def test_the_worst_case_of_a_request_is_counted_in_bytes() -> None:
    worst = Usage.worst_case(Request(({"role": "user", "content": "é" * 100},), 7))
    assert worst.prompt >= 200 and worst[::2] == (1, 7)


@pytest.mark.parametrize(
    "limits",
    [{"max_requests": 9}, {"max_tokens": 1500}, {"max_cost": 0.0015, "price_input": 1.0, "price_output": 1.0}],
    ids=lambda limits: next(iter(limits)),
)
@pytest.mark.parametrize("concurrency", [1, 6])
def test_the_budget_is_never_passed(limits: dict[str, Any], concurrency: int, calm: ChatServer, tmp_path: Path) -> None:
    """Nor by requests that go at the same time, tries again, and the next run."""
    with serving(tmp_path / "server", faults=0.5, spared=1, seed=3, only="429,500,drop,half") as server:
        asked = {**limits, "concurrency": concurrency}
        first = ask(server, tmp_path, 30, **asked)
        sent = server.count()
        assert 0 < len(first) < 30 and ask(server, tmp_path, 30, **asked) == first and server.count() == sent
        assert sent <= limits.get("max_requests", sent)
    with journal.opened(tmp_path, "m") as held:
        assert held.spent.requests == sent
        assert Terms(**limits).passed_by(held.spent) == ""
    assert len(ask(calm, tmp_path, 30)) == 30, "more budget, and it goes on"


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"max_requests": 0}, "--max-requests 0: nothing can be asked"),
        ({"max_cost": float("nan"), "price_input": 1}, "--max-cost nan"),
        ({"max_cost": 1.0}, "--max-cost 1 needs --price-input and --price-output"),
        ({"price_input": -1.0}, "--price-input -1"),
    ],
)
def test_terms_under_which_nothing_can_be_asked(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Terms(**terms)


# ---------------------------------------------------------------- interruption


def test_ctrl_c_stops_at_once_and_what_was_answered_is_kept(tmp_path: Path) -> None:
    with serving(tmp_path / "server", delay=0.1, faults=1.0, only="hang", spared=8) as server:
        words = ["generate", "--benchmark", "tweet_irony", "--base-url", server.url, "--model", "m", "--texts", "60"]
        command = [sys.executable, "-m", "paper_repro", *words, "--out", str(tmp_path), "--concurrency", "2"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        while server.count("hang") < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
        assert process.returncode == 130 and told.startswith("paper-repro: stopped; what was finished is kept")
        assert sum(record["kind"] == "answer" for record in records(tmp_path / "tweet_irony")) == server.count("answer")
