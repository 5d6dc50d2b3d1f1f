"""The other side of the speed benchmark: Hugging Face's Trainer, as the authors used it and as well as it goes.

Nothing here is used to train for a table. Texts are tokenised beforehand on both sides. The clock runs from
``on_train_begin`` to ``on_train_end``: what ``Trainer.train()`` does before its first step (a garbage collection
of 0.3 s, above all) would weigh more in a short measurement than it does in a run of minutes, so it is left out,
like the loading of the model.
"""

from __future__ import annotations

import inspect
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)
from transformers.utils import logging

from paper_repro.method.losses import weighted_loss
from paper_repro.model.tokens import Encoded

PADDED_LENGTH = 128
SCORING_BATCH = 64

AUTHORS = "HF Trainer, fp32, SDPA, every text padded to 128, random batches, fused AdamW"
AUTHORS_LIVE = AUTHORS + "; checkers run in every step (eval, no gradient)"
TUNED = "HF Trainer, bf16 autocast, eager attention (GPU: SDPA), group_by_length, dynamic padding, fused AdamW"
PADDED_SCORING = "plain loop, fp32, SDPA, every text padded to 128, batches of 64 in the pool's order"


@dataclass(frozen=True)
class Clock:
    """Seconds of wall time and of processor time (all threads of this process)."""

    wall: float
    cpu: float


@contextmanager
def timed(into: list[Clock]) -> Iterator[None]:
    """Append the time of the block to ``into``, what it gave a GPU to do included."""
    _wait_for_gpu()
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    _wait_for_gpu()
    into.append(Clock(time.perf_counter() - wall, time.process_time() - cpu))


def _wait_for_gpu() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


class Texts(Dataset[dict[str, Any]]):
    """Tokenised examples as the Trainer takes them: padded beforehand, or as lists for a padding collator.

    Token types are among them only if ``model`` takes them.
    """

    def __init__(self, encoded: Encoded, labels: NDArray[np.int64], model: nn.Module, pad_to: int = 0) -> None:
        self.items = [_item(encoded, i, int(label), pad_to) for i, label in enumerate(labels)]
        if "token_type_ids" not in inspect.signature(model.forward).parameters:
            for item in self.items:
                del item["token_type_ids"]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


def _item(encoded: Encoded, i: int, label: int, pad_to: int) -> dict[str, Any]:
    length, width = int(encoded.lengths[i]), pad_to or int(encoded.lengths[i])
    ids, types, mask = (np.full(width, value, dtype=np.int64) for value in (encoded.pad, 0, 0))
    ids[:length] = encoded.ids[i, :length]
    types[encoded.first[i] : length] = 1
    mask[:length] = 1
    arrays = {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}
    values = {name: torch.from_numpy(a) if pad_to else a.tolist() for name, a in arrays.items()}
    return {**values, "labels": label}


class Stopwatch(TrainerCallback):
    """Times the steps of a training from the first to the last."""

    def __init__(self) -> None:
        self.spent: list[Clock] = []
        self._open = ExitStack()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._open.enter_context(timed(self.spent))

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self._open.close()


class LiveCheckers(Trainer):
    """The authors' way with IMP and DIMP: both checkers score each training batch when it comes along."""

    def __init__(self, method: str, quality: nn.Module, diversity: nn.Module | None, **given: Any) -> None:
        super().__init__(**given)
        device = self.args.device
        self.method, self.quality = method, quality.to(device).eval()
        self.diversity = None if diversity is None else diversity.to(device).eval()

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        quality = _observed(self.quality, inputs, labels)
        diversity = None if self.diversity is None else _observed(self.diversity, inputs, labels)
        loss = weighted_loss(self.method, outputs.logits, labels, quality, diversity)
        return (loss, outputs) if return_outputs else loss


@torch.no_grad()
def _observed(checker: nn.Module, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
    probabilities = torch.softmax(checker(**inputs).logits, dim=-1)
    return probabilities.gather(1, labels.unsqueeze(1)).squeeze(1)


def load(encoder_dir: Path, classes: int, *, eager: bool = False, **config: Any) -> PreTrainedModel:
    """The classifier as ``from_pretrained`` gives it, with the library's default attention unless ``eager``."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(0)
    attention: dict[str, Any] = {"attn_implementation": "eager"} if eager else {}
    return AutoModelForSequenceClassification.from_pretrained(
        str(encoder_dir), num_labels=classes, local_files_only=True, dtype=torch.float32, **attention, **config
    )


def train(
    encoder_dir: Path,
    encoded: Encoded,
    labels: NDArray[np.int64],
    classes: int,
    *,
    method: str = "ce",
    tuned: bool = False,
    seed: int = 0,
    batch_size: int = 32,
    learning_rate: float = 6e-5,
    device: str = "cpu",
    tf32: bool = False,
) -> Clock:
    """One epoch over ``encoded``; IMP and DIMP run checkers of the encoder's own size in every step."""
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=batch_size,
            num_train_epochs=1,
            learning_rate=learning_rate,
            bf16=tuned,
            train_sampling_strategy="group_by_length" if tuned else "random",
            logging_strategy="no",
            save_strategy="no",
            eval_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=device == "cpu",
            dataloader_pin_memory=False,
            seed=seed,
        )
        tokens = Tokenizer.from_file(str(encoder_dir / "tokenizer.json"))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token=tokens.id_to_token(encoded.pad))
        model = load(encoder_dir, classes, eager=tuned and device == "cpu")
        given: dict[str, Any] = {
            "model": model,
            "args": arguments,
            "train_dataset": Texts(encoded, labels, model, 0 if tuned else PADDED_LENGTH),
            "data_collator": DataCollatorWithPadding(tokenizer) if tuned else default_data_collator,
        }
        if method == "ce":
            trainer = Trainer(**given)
        else:
            diversity = load(encoder_dir, classes) if method == "imp" else None
            trainer = LiveCheckers(method, load(encoder_dir, classes), diversity, **given)
        trainer.remove_callback(PrinterCallback)
        stopwatch = Stopwatch()
        trainer.add_callback(stopwatch)
        trainer.train()
    return stopwatch.spent[0]


def score(encoder_dir: Path, encoded: Encoded, classes: int) -> Clock:
    """One forward pass over ``encoded`` as the authors' checkers make it."""
    model = load(encoder_dir, classes).eval()
    items = Texts(encoded, np.zeros(len(encoded), dtype=np.int64), model, PADDED_LENGTH)
    spent: list[Clock] = []
    with timed(spent), torch.inference_mode():
        for i in range(0, len(items), SCORING_BATCH):
            batch = default_data_collator(items.items[i : i + SCORING_BATCH])
            batch.pop("labels")
            torch.log_softmax(model(**batch).logits, dim=-1)
    return spent[0]
