"""The journal: what was answered survives any crash, and nothing of it is asked or paid for twice."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from paper_repro.llm.asking import Asker, Retry
from paper_repro.llm.budget import Budget, Limits, Prices, Usage
from paper_repro.llm.exchange import Request, TryFailed, Unreadable, completion
from paper_repro.llm.journal import Journal, records
from paper_repro.llm.recorded import Recorded
from paper_repro.tools.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-0123456789abcdef"


class Echo:
    """Answers each request with its own last message; notes what it was asked. ``fails`` is raised first."""

    def __init__(
        self, model: str = "echo", fails: list[Exception] | None = None, slow: Mapping[str, float] | None = None
    ) -> None:
        self.model, self.fails, self.slow, self.asked = model, fails or [], slow or {}, []

    name, secret = "echo", KEY

    def identity(self) -> Mapping[str, Any]:
        return {"backend": "test", "model": self.model}

    async def complete(self, request: Request) -> str:
        text = request.messages[-1]["content"]
        self.asked.append(text)
        await asyncio.sleep(self.slow.get(text, 0))
        if self.fails:
            raise self.fails.pop(0)
        return completion(text, model=self.model, finish_reason="stop", prompt_tokens=3, completion_tokens=2)

    async def close(self) -> None:
        pass


def request(text: str, **settings: Any) -> Request:
    return Request(({"role": "user", "content": text},), **{"max_tokens": 10, **settings})


WORST = Usage.worst_case(request("one"))


def ask(
    path: Path, backend: Echo, *requests: Request, limits: Limits | None = None, **settings: Any
) -> list[str | None]:
    with Journal(path, backend) as journal:
        budget = Budget(limits or Limits(), Prices(1, 1), journal.spent)
        asker = Asker(backend, journal, budget, retry=Retry(first_pause=0.001), **settings)
        return [answer and answer.text for answer in asker.ask_all(requests)]


def lines_of(path: Path) -> list[bytes]:
    with gzip.open(path, "rb") as lines:
        return list(lines)


def test_what_was_answered_is_not_asked_again(tmp_path):
    path, backend = tmp_path / "j.gz", Echo()
    assert ask(path, backend, request("one"), request("two")) == ["one", "two"]
    assert ask(path, backend, request("two"), request("three"), request("one")) == ["two", "three", "one"]
    assert sorted(backend.asked) == ["one", "three", "two"]


@pytest.mark.parametrize(
    "change",
    [{"max_tokens": 11}, {"temperature": 0.5}, {"top_p": 0.9}, {"seed": 1}, {"choices": ("a", "b")}],
    ids=lambda change: next(iter(change)),
)
def test_every_setting_is_part_of_the_key(tmp_path, change):
    backend = Echo()
    ask(tmp_path / "j.gz", backend, request("one"), request("one", **change))
    assert backend.asked == ["one", "one"]


def test_equal_requests_are_draws_of_their_own(tmp_path):
    backend = Echo()
    ask(tmp_path / "j.gz", backend, request("one"), request("one"))
    ask(tmp_path / "j.gz", backend, request("one"), request("one"), request("one"))
    assert backend.asked == ["one"] * 3


def test_one_asker_serves_several_times(tmp_path):
    backend = Echo(slow={"one": 0.01})
    with Journal(tmp_path / "j.gz", backend) as journal:
        asker = Asker(backend, journal, Budget(), concurrency=1)
        for words in (["one", "two", "six"], ["ten", "off", "one"]):
            assert [answer.text for answer in asker.ask_all(map(request, words))] == words


def test_answers_do_not_depend_on_the_order_of_their_arrival(tmp_path):
    words = [f"w{i}" for i in range(12)]
    fast = ask(tmp_path / "a.gz", Echo(), *map(request, words), concurrency=1)
    slow = Echo(slow={word: 0.01 * (12 - i) for i, word in enumerate(words)})
    assert ask(tmp_path / "b.gz", slow, *map(request, words), concurrency=12) == fast == words


def test_the_file_is_read_by_zcat_and_holds_raw_answers(tmp_path):
    ask(tmp_path / "j.gz", Echo(), request("one", seed=5))
    kinds = [json.loads(line) for line in lines_of(tmp_path / "j.gz")]
    assert [record["kind"] for record in kinds] == ["journal", "try", "answer"]
    assert kinds[1]["request"]["messages"] == [{"role": "user", "content": "one"}]
    assert json.loads(kinds[2]["raw"])["choices"][0]["message"]["content"] == "one"


def test_a_file_cut_off_anywhere_loses_at_most_its_last_record(tmp_path):
    """A kill or a full disk may leave any beginning of the file."""
    path = tmp_path / "j.gz"
    ask(path, Echo(), request("one"), request("two"))
    whole, ends = path.read_bytes(), []
    for line in lines_of(path):
        ends.append((ends[-1] if ends else 0) + len(gzip.compress(line, mtime=0)))
    assert ends[-1] == len(whole)
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        kept = sum(end <= length for end in ends)
        assert len(list(records(path, mend=True))) == kept
        assert path.stat().st_size == (ends[kept - 1] if kept else 0), "the torn record is cut off"
    for length in (0, 3, ends[0] + 5, ends[2] + 1, ends[3] + 7):
        path.write_bytes(whole[:length])
        backend = Echo()
        assert ask(path, backend, request("one"), request("two")) == ["one", "two"]
        assert len(list(records(path))) >= 5, "it goes on as a whole file"


def test_zeros_at_the_end_are_cut_off_and_damage_before_it_is_told(tmp_path):
    path = tmp_path / "j.gz"
    ask(path, Echo(), request("one"))
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(4096))
    assert ask(path, Echo(), request("one")) == ["one"]
    assert path.read_bytes() == whole
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 0xFF
    path.write_bytes(bytes(broken))
    with pytest.raises(UserError, match=r"j\.gz: damaged at byte \d+; put back a copy, or move it away"):
        ask(path, Echo(), request("one"))
    assert path.read_bytes() == bytes(broken), "nothing is touched"


def test_another_model_is_refused(tmp_path):
    ask(tmp_path / "j.gz", Echo(), request("one"))
    with pytest.raises(UserError, match=r"holds answers of backend test, model echo, not of backend test, model other"):
        ask(tmp_path / "j.gz", Echo("other"), request("one"))


def test_what_is_no_journal_is_refused(tmp_path):
    (tmp_path / "j.gz").write_bytes(gzip.compress(b'{"kind": "recipe"}\n'))
    with pytest.raises(UserError, match=r"record 1: not one of this package's"):
        ask(tmp_path / "j.gz", Echo(), request("one"))


def test_one_process_at_a_time(tmp_path):
    with Journal(tmp_path / "j.gz", Echo()), pytest.raises(UserError, match="another process is asking for it"):
        ask(tmp_path / "j.gz", Echo(), request("one"))
    assert ask(tmp_path / "j.gz", Echo(), request("one")) == ["one"]


def test_the_key_is_blotted_out(tmp_path):
    failure = TryFailed(f"who are you, {KEY}?", retry=True, billed=False)
    answer = ask(tmp_path / "j.gz", Echo(fails=[failure]), request(f"my key is {KEY}"))
    assert answer == ["my key is [key]"]
    assert KEY.encode() not in b"".join(lines_of(tmp_path / "j.gz"))
    assert ask(tmp_path / "j.gz", Echo(), request(f"my key is {KEY}")) == answer


def test_replay_asks_nobody(tmp_path):
    ask(tmp_path / "j.gz", Echo(), request("one"))
    replayed = Recorded(tmp_path / "j.gz")
    with Journal(tmp_path / "j.gz", replayed) as journal:
        asker = Asker(replayed, journal, Budget())
        assert asker.ask_all([request("one")])[0].text == "one"
        with pytest.raises(UserError, match=r"j\.gz holds no answer to this request"):
            asker.ask_all([request("two")])
    with pytest.raises(UserError, match="no recorded answers in"):
        Recorded(tmp_path / "none.gz")


# ---------------------------------------------------------------- the budget


def test_the_worst_case_of_a_request_is_counted_in_bytes():
    usage = Usage.worst_case(request("é" * 100, max_tokens=7))
    assert usage.prompt_tokens >= 200, "two bytes each"
    assert (usage.requests, usage.completion_tokens) == (1, 7)


@pytest.mark.parametrize(
    ("limits", "answers"),
    [
        (Limits(requests=3), 3),
        # An answer takes 5 tokens; the next is asked only if its worst case would fit, too.
        (Limits(tokens=WORST.tokens + 10), 3),
        (Limits(tokens=WORST.tokens - 1), 0),
        (Limits(cost=(WORST.tokens + 5) / 1e6), 2),
    ],
    ids=["requests", "tokens", "too few tokens", "money"],
)
@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_budget_ends_it_before_it_is_passed(tmp_path, limits, answers, concurrency):
    words = ["one", "two", "six", "ten", "off"]
    backend = Echo()
    got = ask(tmp_path / "j.gz", backend, *map(request, words), limits=limits, concurrency=concurrency)
    assert sum(answer is not None for answer in got) == len(backend.asked) == answers
    again = ask(tmp_path / "j.gz", backend, *map(request, words), limits=limits, concurrency=concurrency)
    assert again == got and len(backend.asked) == answers, "what was spent is known after a restart"
    assert None not in ask(tmp_path / "j.gz", backend, *map(request, words)), "more budget, and it goes on"


def test_a_try_that_was_under_way_at_a_kill_counts_its_worst_case(tmp_path):
    with Journal(tmp_path / "j.gz", Echo()) as journal:
        journal.begin(request("one"), 0, WORST)
    with Journal(tmp_path / "j.gz", Echo()) as journal:
        assert (journal.spent, journal.answered) == (WORST, 0)


def test_tries_that_failed_count_as_what_they_may_have_cost(tmp_path):
    refused = TryFailed("status 429", retry=True, billed=False)
    lost = TryFailed("the connection broke off", retry=True, billed=True)
    ask(tmp_path / "j.gz", Echo(fails=[refused, lost]), request("one"))
    with Journal(tmp_path / "j.gz", Echo()) as journal:
        assert journal.spent == Usage(3, WORST.prompt_tokens + 3, WORST.completion_tokens + 2)


def test_an_answer_that_cannot_be_read_is_kept_and_asked_for_again(tmp_path):
    with Journal(tmp_path / "j.gz", Echo()) as journal:
        number = journal.begin(request("one"), 0, WORST)
        with pytest.raises(Unreadable):
            journal.answer(number, '{"choices": [{"mess', 0.1)
    backend = Echo()
    assert ask(tmp_path / "j.gz", backend, request("one")) == ["one"]
    assert backend.asked == ["one"]
    raws = [record["raw"] for record in records(tmp_path / "j.gz") if record["kind"] == "answer"]
    assert raws[0] == '{"choices": [{"mess'


def test_usage_that_no_server_tells_counts_its_worst_case(tmp_path):
    raw = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})
    with Journal(tmp_path / "j.gz", Echo()) as journal:
        _, used = journal.answer(journal.begin(request("one"), 0, WORST), raw, 0.1)
        assert used == WORST == journal.spent


@pytest.mark.parametrize(
    ("limits", "prices", "message"),
    [
        (Limits(requests=0), Prices(), "--max-requests 0: nothing can be asked"),
        (Limits(tokens=-5), Prices(), "--max-tokens -5: nothing can be asked"),
        (Limits(cost=0.0), Prices(1, 1), "--max-cost 0: nothing can be asked"),
        (Limits(cost=1.0), Prices(), "--max-cost 1 needs prices; give --price-input and --price-output"),
    ],
)
def test_a_budget_under_which_nothing_can_be_asked(limits, prices, message):
    with pytest.raises(UserError, match=message):
        Budget(limits, prices)


def test_a_price_below_zero_is_refused():
    with pytest.raises(UserError, match="price of input tokens: -1"):
        Prices(-1, 0)


FULL = """
import resource, sys
from pathlib import Path
from test_llm_journal import Echo, WORST, request
from paper_repro.llm.journal import Journal

path = Path(sys.argv[1])
with Journal(path, Echo()) as journal:
    journal.begin(request("one"), 0, WORST)
    size = path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, size + 20))
    try:
        journal.begin(request("two"), 0, WORST)
    except OSError as error:
        print(path.stat().st_size == size, error.filename == str(path))
"""


def test_a_full_disk_leaves_whole_records(tmp_path):
    """A limit on the file's size lets through the beginning of a record, as a full disk does."""
    path = tmp_path / "j.gz"
    command = [sys.executable, "-c", FULL, str(path)]
    paths = os.pathsep.join(str(folder) for folder in (ROOT, ROOT / "tests"))
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})
    assert done.stdout == "True True\n", done.stderr
    assert ask(path, Echo(), request("one"), request("two")) == ["one", "two"]
