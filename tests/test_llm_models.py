"""A model in this process, and the same model behind `transformers serve`, a server that knows nothing of us."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny_chat
import torch
from click.testing import CliRunner, Result

from paper_repro.cli import cli
from paper_repro.llm.asking import Asker
from paper_repro.llm.budget import Budget
from paper_repro.llm.exchange import Request, read_completion
from paper_repro.llm.journal import Journal, records
from paper_repro.llm.local import Local
from paper_repro.texts import generated, prompts
from paper_repro.tools.errors import UserError

TASKS = ("financial", "tweet_irony", "mrpc")
# A random model speaks sentences without end: four tokens are three whole sentences and one cut off.
SHORT = ("--answer-tokens", "4", "--texts", "6", "--examples", "3", "--count", "2", "--max-requests", "60")


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    pairs, single = tiny_chat.make(folder / "pairs", pairs=True), tiny_chat.make(folder / "single")
    return {"financial": single, "tweet_irony": single, "mrpc": pairs}


def requests(n: int, **settings: object) -> list[Request]:
    """Prompts of different lengths."""
    messages = [({"role": "user", "content": "Write." * (i + 1)},) for i in range(n)]
    return [Request(m, **{"max_tokens": 3, "seed": i, **settings}) for i, m in enumerate(messages)]


def answers(backend: Local, asked: list[Request]) -> list[str]:
    async def together() -> list[str]:
        return await asyncio.gather(*map(backend.complete, asked))

    return asyncio.run(together())


def generate(*given: str) -> Result:
    return CliRunner().invoke(cli, ["generate", *given], prog_name="paper-repro")


# ---------------------------------------------------------------- in this process


def test_an_answer_does_not_depend_on_its_batch(models):
    alone = answers(Local(str(models["financial"]), batch=1), requests(5))
    assert answers(Local(str(models["financial"]), batch=5), requests(5)) == alone
    assert len(set(alone)) > 1


def test_temperature_zero_takes_the_likeliest_and_a_seed_repeats_a_draw(models):
    backend = Local(str(models["financial"]))
    first, second = (Request(({"role": "user", "content": "Hi"},), 3, temperature=0.0, seed=seed) for seed in (1, 2))
    assert len(set(answers(backend, [first, second, first]))) == 1
    drawn = [Request(first.messages, 3, seed=seed) for seed in range(8)]
    assert answers(backend, drawn) == answers(backend, drawn)
    assert len(set(answers(backend, drawn))) > 2


def test_draws_follow_the_softmax(models):
    """The Gumbel-max trick against the probabilities of the model itself: 400 first tokens, chi-square by hand."""
    backend = Local(str(models["financial"]), batch=100)
    asked = [Request(({"role": "user", "content": "Hi"},), 1, temperature=8.0, seed=seed) for seed in range(400)]
    drawn = Counter(read_completion(raw, asked[0]).text.strip() for raw in answers(backend, asked))
    model, tokenizer = backend._load()
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([backend._prompt(asked[0])])).logits[0, -1].float()
    law = (logits / 8.0).softmax(-1)
    expected = {tokenizer.decode([i]).strip(): 400 * float(law[i]) for i in law.topk(8).indices}
    statistic = sum((drawn[text] - mean) ** 2 / mean for text, mean in expected.items())
    assert min(expected.values()) >= 5
    assert statistic < 26.1, "0.999 quantile of chi-square with 8 degrees of freedom"


def test_top_p_keeps_the_nucleus(models):
    backend = Local(str(models["financial"]), batch=100)
    asked = requests(1, max_tokens=1, temperature=8.0)[0]
    model, tokenizer = backend._load()
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([backend._prompt(asked)])).logits[0, -1].float()
    law, order = (logits / 8.0).softmax(-1).sort(descending=True)
    size = int((law.cumsum(0) < 0.2).sum()) + 1
    nucleus = {tokenizer.decode([i]).strip() for i in order[:size]}
    drawn = [Request(asked.messages, 1, 8.0, 0.2, seed=seed) for seed in range(200)]
    said = {read_completion(raw, asked).text.strip() for raw in answers(backend, drawn)}
    assert said == nucleus and 1 < size < 100


def test_log_probabilities_of_choices_are_those_of_the_model(models):
    backend = Local(str(models["financial"]))
    asked = Request(({"role": "user", "content": "Hi"},), 5, choices=("yes", "no"))
    response = read_completion(answers(backend, [asked])[0], asked)
    model, tokenizer = backend._load()
    for choice, score in zip(asked.choices, response.choice_logprobs, strict=True):
        ids = torch.tensor([backend._prompt(asked) + tokenizer(choice)["input_ids"]])
        with torch.inference_mode():
            log_p = model(input_ids=ids).logits[0].float().log_softmax(-1)
        written = ids[0, -len(choice) :]
        assert len(tokenizer(choice)["input_ids"]) == len(choice), "a byte each"
        assert score == pytest.approx(
            float(sum(log_p[len(ids[0]) - len(choice) - 1 + i, t] for i, t in enumerate(written)))
        )
    assert response.text == max(zip(response.choice_logprobs, asked.choices, strict=True))[1]


def test_a_folder_is_known_by_its_content(models, tmp_path):
    copy = shutil.copytree(models["financial"], tmp_path / "single")
    assert Local(str(copy)).identity() == Local(str(models["financial"])).identity()
    tiny_chat.make(copy, seed=1)
    assert Local(str(copy)).identity() != Local(str(models["financial"])).identity()


def test_a_system_message_where_the_template_knows_none(models, tmp_path):
    backend = Local(str(shutil.copytree(models["financial"], tmp_path / "model")))
    template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ messages[0].content }}"
    )
    backend._load()[1].chat_template = template
    asked = Request(({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}), 3)
    assert backend._load()[1].decode(backend._prompt(asked)) == "Be brief.\n\nHi"


@pytest.mark.parametrize("fault", ["pickle", "template", "long", "nothing"])
def test_models_that_cannot_be_used(models, tmp_path, fault):
    folder = shutil.copytree(models["financial"], tmp_path / "model")
    asked = requests(1)
    if fault == "pickle":
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(b"never read")
        message = "safetensors"
    elif fault == "template":
        for path in (folder / "chat_template.jinja", folder / "tokenizer_config.json"):
            if path.exists():
                settings = json.loads(path.read_text()) if path.suffix == ".json" else {}
                settings.pop("chat_template", None)
                path.unlink() if path.suffix == ".jinja" else path.write_text(json.dumps(settings))
        message = "has no chat template"
    elif fault == "long":
        asked, message = requests(1, max_tokens=9000), "do not fit into the model's 8192"
    else:
        (folder / "config.json").unlink()
        message = "local model .*model: "
    backend = Local(str(folder))
    with Journal(tmp_path / "j.gz", backend) as journal, pytest.raises(UserError, match=message):
        Asker(backend, journal, Budget()).ask_all(asked)


@pytest.mark.parametrize("task", TASKS)
def test_the_three_tasks_by_a_model_in_this_process(models, tmp_path, task):
    given = ["--backend", "local", "--model", str(models[task]), "--benchmark", task, "--out", str(tmp_path), *SHORT]
    done = generate(*given)
    assert done.exit_code == 0, done.output
    expect_texts(tmp_path / task, task)


def expect_texts(folder: Path, task: str) -> None:
    pool = generated.read_pool(folder / "generated.jsonl", prompts.template(task))
    assert len(pool) == 6
    spoken = {saying.strip() for saying in tiny_chat.sayings(pairs=False)}
    assert set(pool.texts) <= spoken and set(pool.pairs or ()) <= spoken
    reasons = Counter(json.loads(line)["reason"] for line in (folder / "dropped.jsonl").read_text().splitlines())
    full = sum(
        json.loads(r["raw"])["usage"]["completion_tokens"] == 4
        for r in records(folder / "responses.jsonl.gz")
        if "raw" in r
    )
    assert reasons["cut off"] == full > 0, "the last text of every answer that reached its limit"


# ---------------------------------------------------------------- behind a real server


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


def test_the_three_tasks_by_transformers_serve(models, tmp_path):
    with transformers_serve(tmp_path) as url:
        given = ["--base-url", url, "--key-env", "NO_SUCH_KEY", "--out", str(tmp_path / "out"), *SHORT]
        for task in TASKS:
            done = generate(*given, "--model", str(models[task]), "--benchmark", task)
            assert done.exit_code == 0, done.output
    again = generate(*given, "--model", str(models["mrpc"]), "--benchmark", "mrpc")
    assert again.exit_code == 0, "the server has gone, and nobody is asked"
    for task in TASKS:
        expect_texts(tmp_path / "out" / task, task)
        journal = list(records(tmp_path / "out" / task / "responses.jsonl.gz"))
        reserved = [record["reserved"] for record in journal if record["kind"] == "try"]
        used = [json.loads(record["raw"])["usage"] for record in journal if record["kind"] == "answer"]
        assert len(reserved) == len(used)
        for most, usage in zip(reserved, used, strict=True):  # a token a byte: no tokenizer makes more
            assert most[1] / 2 < usage["prompt_tokens"] <= most[1] and usage["completion_tokens"] <= most[2]
