"""A causal language model of Hugging Face's in this process: batched, on a GPU where there is one.

Weights are read from safetensors only, at a revision that is named, and no code that comes with a model is run.
Requests that are asked at the same time share a batch. Each draws its tokens with a generator of its own, so that
an answer depends on its request and not on who else is in the batch (but for rounding).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paper_repro.llm.exchange import Request, completion
from paper_repro.tools.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Local:
    """``model`` is a folder in Hugging Face layout, or a repository of the hub with the commit as ``revision``.

    ``batch`` requests are answered at once. Raises UserError for a model that is not there, not pinned, without
    safetensors or without a chat template.
    """

    def __init__(self, model: str, *, revision: str = "", device: str = "auto", batch: int = 8) -> None:
        if batch < 1:
            raise UserError(f"batch of {batch}: expected 1 or more")
        folder = Path(model).expanduser()
        self._is_folder = folder.is_dir()
        if not self._is_folder and not re.fullmatch(r"[0-9a-f]{40}", revision):
            raise UserError(
                f"local model {model!r} is not a folder; for one of the hub name the commit, too "
                f"(--revision, 40 hexadecimal digits; found {revision!r})"
            )
        self.model, self.revision, self.batch = str(folder) if self._is_folder else model, revision, batch
        self._device = device
        self._loaded: tuple[Any, Any] | None = None
        self._waiting: list[tuple[Request, asyncio.Future[str]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def name(self) -> str:
        return f"{Path(self.model).name} in this process"

    @property
    def secret(self) -> str:
        return ""

    def identity(self) -> Mapping[str, Any]:
        """The model and its revision; of a folder, a hash of its files."""
        revision = _content(Path(self.model)) if self._is_folder else self.revision
        return {
            "backend": "local",
            "model": Path(self.model).name if self._is_folder else self.model,
            "revision": revision,
        }

    async def complete(self, request: Request) -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if self._worker is None or self._worker.done():
            self._closing = False
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def close(self) -> None:
        self._closing = True  # a generation under way stops at its next token
        self._waiting.clear()

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # who asks at the same time comes along
            together, self._waiting = self._waiting[: self.batch], self._waiting[self.batch :]
            try:
                bodies = await asyncio.to_thread(self._answers, [request for request, _ in together])
            except Exception as error:
                for _, answer in together:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for (_, answer), body in zip(together, bodies, strict=True):
                    if not answer.done():
                        answer.set_result(body)

    # -- in a thread ---------------------------------------------------------------------------------------

    def _answers(self, requests: Sequence[Request]) -> list[str]:
        import torch

        try:
            with torch.inference_mode():
                bodies = {i: self._judged(request) for i, request in enumerate(requests) if request.choices}
                free = [i for i in range(len(requests)) if i not in bodies]
                if free:
                    bodies |= zip(free, self._written([requests[i] for i in free]), strict=True)
        except torch.OutOfMemoryError:
            raise UserError(f"{self.name}: out of memory with {len(requests)} at once; lower --concurrency") from None
        return [bodies[i] for i in range(len(requests))]

    def _written(self, requests: Sequence[Request]) -> list[str]:
        """Continue the conversations, all at once, padded on the left."""
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        model, tokenizer = self._load()
        prompts = [self._prompt(request) for request in requests]
        width, longest = max(map(len, prompts)), max(request.max_tokens for request in requests)
        ids = torch.full((len(prompts), width), tokenizer.pad_token_id, device=model.device)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt, device=model.device)
            mask[row, width - len(prompt) :] = 1
        ends = _as_list(model.generation_config.eos_token_id, tokenizer.eos_token_id)
        config = GenerationConfig(
            do_sample=False, max_new_tokens=longest, pad_token_id=tokenizer.pad_token_id, eos_token_id=ends
        )
        made = model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            logits_processor=LogitsProcessorList([_Draw(requests, model.device)]),
            stopping_criteria=StoppingCriteriaList(
                [lambda ids, scores, **_: ids.new_full((len(ids),), self._closing) > 0]
            ),
        )
        rows = [row[: request.max_tokens] for row, request in zip(made[:, width:].tolist(), requests, strict=True)]
        return [self._body(row, len(prompt), set(ends)) for row, prompt in zip(rows, prompts, strict=True)]

    def _body(self, row: Sequence[int], prompt_tokens: int, ends: set[int]) -> str:
        tokenizer = self._load()[1]
        end = next((i for i, token in enumerate(row) if token in ends), None)
        written = row if end is None else row[:end]
        return completion(
            tokenizer.decode(written, skip_special_tokens=True),
            model=self.model,
            finish_reason="length" if end is None else "stop",
            prompt_tokens=prompt_tokens,
            completion_tokens=len(written) + (end is not None),
        )

    def _judged(self, request: Request) -> str:
        """log p(choice | conversation), token by token; the text is the likeliest choice."""
        import torch

        model, tokenizer = self._load()
        prompt, scores = self._prompt(request), []
        for choice in request.choices:
            tokens = tokenizer(choice, add_special_tokens=False)["input_ids"]
            ids = torch.tensor([prompt + tokens], device=model.device)
            log_p = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)
            scores.append(float(log_p.gather(1, ids[0, len(prompt) :, None]).sum()))
        best = max(range(len(scores)), key=scores.__getitem__)
        text = request.choices[best]
        return completion(
            text, model=self.model, finish_reason="stop", prompt_tokens=len(prompt), choice_logprobs=scores
        )

    def _prompt(self, request: Request) -> list[int]:
        from jinja2 import TemplateError

        model, tokenizer = self._load()
        messages = [dict(message) for message in request.messages]
        try:
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError:  # many templates know no system message
            text = tokenizer.apply_chat_template(_without_system(messages), tokenize=False, add_generation_prompt=True)
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        room = getattr(model.config, "max_position_embeddings", None)
        if room is not None and len(ids) + request.max_tokens > room:
            raise UserError(
                f"{self.name}: a prompt of {len(ids)} tokens and an answer of {request.max_tokens} do not fit into the "
                f"model's {room}; show fewer examples or ask for fewer tokens"
            )
        return ids

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer

            auto = "cuda" if torch.cuda.is_available() else "cpu"
            where = {"revision": self.revision or None, "trust_remote_code": False}
            try:
                tokenizer = AutoTokenizer.from_pretrained(self.model, **where)
                model = AutoModelForCausalLM.from_pretrained(self.model, use_safetensors=True, dtype="auto", **where)
            except (OSError, ValueError) as error:
                raise UserError(f"local model {self.model}: {str(error).splitlines()[0]}") from None
            if not tokenizer.chat_template:
                raise UserError(
                    f"local model {self.model} has no chat template; take one that was made for conversations"
                )
            if tokenizer.pad_token_id is None:
                tokenizer.pad_token = tokenizer.eos_token
            self._loaded = model.to(auto if self._device == "auto" else self._device).eval(), tokenizer
        return self._loaded


class _Draw:
    """Turns logits (rows, vocabulary) into ones whose largest is a draw: the Gumbel-max trick, row by row.

    argmax(log p + g) with g from Gumbel(0, 1) has the law p; here p is tempered and cut to its nucleus (top-p,
    Holtzman et al. 2020). Temperature 0 leaves the logits as they are.
    """

    def __init__(self, requests: Sequence[Request], device: Any) -> None:
        import torch

        self._requests = requests
        self._sources = [torch.Generator(device).manual_seed(request.seed or 0) for request in requests]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        import torch

        rows = zip(scores.float(), self._requests, self._sources, strict=True)
        return torch.stack([self._row(*row) for row in rows])

    @staticmethod
    def _row(scores: Tensor, request: Request, source: torch.Generator) -> Tensor:
        import torch

        if request.temperature <= 0:
            return scores
        log_p = (scores / request.temperature).log_softmax(-1)
        if request.top_p < 1:
            ordered, order = log_p.sort(descending=True)
            outside = ordered.exp().cumsum(-1) - ordered.exp() >= request.top_p  # the first is always inside
            log_p = log_p.index_fill(0, order[outside], float("-inf"))
        uniform = torch.rand(log_p.shape, generator=source, device=log_p.device, dtype=torch.float64)
        return log_p - (-uniform.clamp(min=1e-300).log()).log().float()


def _without_system(messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """The system message's text put before that of the first user message."""
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    rest = [dict(message) for message in messages if message["role"] != "system"]
    if system and rest:
        rest[0]["content"] = f"{system}\n\n{rest[0]['content']}"
    return rest


def _as_list(*tokens: Any) -> list[int]:
    """End tokens as models give them: one, several, or none."""
    found: Any = next((token for token in tokens if token is not None), [])
    return list(found) if isinstance(found, list | tuple) else [int(found)]


def _content(folder: Path) -> str:
    """A hash of a model's files: small ones whole, of weights size, beginning and end (they may be many gigabytes)."""
    digest, piece = hashlib.sha256(), 1 << 20
    for path in sorted(
        p for p in folder.iterdir() if p.suffix in (".json", ".safetensors", ".jinja", ".model", ".txt")
    ):
        size = path.stat().st_size
        with path.open("rb") as file:
            digest.update(f"{path.name} {size}\n".encode() + file.read(piece))
            file.seek(max(size - piece, 0))
            digest.update(file.read(piece))
    return digest.hexdigest()[:40]
