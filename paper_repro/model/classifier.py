"""The classifier: any encoder with a classification head, loaded for training, saved as a checkpoint.

Everything here holds for each architecture that ``AutoModelForSequenceClassification`` can load. What is faster for
one of them alone is in :mod:`paper_repro.model.fast_bert`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging as transformers_logging

from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_whole

KEPT = "kept_token_ids"
DROPOUTS = (
    "attention_dropout",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "dropout",
    "embedding_dropout",
    "hidden_dropout_prob",
    "mlp_dropout",
    "seq_classif_dropout",
    "summary_last_dropout",
)
"""What the architectures call their dropout probabilities."""


class MeanHead(nn.Module):
    """Dropout and a linear layer on the mean of an encoder's last hidden states: how sentence encoders are trained."""

    def __init__(self, encoder: PreTrainedModel, classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder, self.config = encoder, encoder.config
        self.dropout, self.classifier = nn.Dropout(dropout), nn.Linear(encoder.config.hidden_size, classes)
        nn.init.normal_(self.classifier.weight, std=getattr(self.config, "initializer_range", 0.02))
        nn.init.zeros_(self.classifier.bias)

    @property
    def base_model(self) -> PreTrainedModel:
        return self.encoder

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, table: nn.Module) -> None:
        self.encoder.set_input_embeddings(table)

    def set_attn_implementation(self, name: str) -> None:
        self.encoder.set_attn_implementation(name)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **others: Tensor) -> Any:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **others).last_hidden_state
        return SimpleNamespace(logits=self.classifier(self.dropout(mean_states(hidden, attention_mask))))


Classifier: TypeAlias = Any
"""A model of transformers with its own classification head, or a :class:`MeanHead` (transformers is untyped)."""


def mean_states(hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
    """The mean of the hidden states (batch, length, width) over each text's tokens: (batch, width)."""
    if attention_mask is None:
        return hidden.mean(dim=1)
    share = attention_mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * share).sum(dim=1) / share.sum(dim=1)


def build(
    encoder_dir: Path,
    classes: int,
    *,
    seed: int,
    device: torch.device,
    head: str = "own",
    kept: NDArray[np.int64] | None = None,
    dropout: float | None = None,
) -> Classifier:
    """A classifier on the pre-trained encoder; its head is always drawn from ``seed``.

    ``head`` "own" is the architecture's (BERT: pooler, dropout, linear layer), "mean" a :class:`MeanHead`. ``kept``
    keeps only those rows of the embedding table (its rows are renumbered as in
    :class:`paper_repro.model.batches.Batcher`). ``dropout`` replaces all the encoder's dropout probabilities.
    Raises UserError where the folder holds no encoder, or weights that do not fill its architecture.
    """
    config = config_of(encoder_dir)
    config.num_labels = classes
    # SDPA's backward is pathological under bf16 on the CPU: 28 ms against 4 ms a layer.
    config._attn_implementation = "eager" if device.type == "cpu" else "sdpa"
    if dropout is not None:
        for name in DROPOUTS:
            if getattr(config, name, None) is not None:
                setattr(config, name, dropout)
    # manual_seed reaches the GPU's generator, too, so that one is kept and given back as well.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if head == "mean":
            encoder = load(AutoModel, encoder_dir, config)
            torch.manual_seed(seed)
            rate = getattr(config, "hidden_dropout_prob", 0.1) if dropout is None else dropout
            model: Classifier = MeanHead(encoder, classes, rate)
        else:
            model = load(AutoModelForSequenceClassification, encoder_dir, config, seed)
    if kept is not None:
        table = model.get_input_embeddings()
        assert isinstance(table, nn.Embedding)
        rows = table.weight.data[torch.from_numpy(kept)].clone()
        model.set_input_embeddings(nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=table.padding_idx))
    return model.to(device)  # type: ignore[arg-type]


def config_of(encoder_dir: Path) -> Any:
    """The folder's configuration. Raises UserError where it has none that transformers knows."""
    try:
        return AutoConfig.from_pretrained(str(encoder_dir), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{encoder_dir}: no usable config.json ({reason}); expected an encoder in Hugging Face layout"
        ) from None


def load(auto: Any, encoder_dir: Path, config: Any, seed: int = 0) -> PreTrainedModel:
    """The pre-trained model of the folder by one of transformers' ``Auto`` classes, in fp32, its head drawn from
    ``seed``. Raises UserError with the names of the tensors where the weights do not fill the rest of it."""
    architecture = auto._model_mapping.get(type(config), None)
    if architecture is None:
        raise UserError(f"{encoder_dir}: transformers has no {auto.__name__} for a model of type {config.model_type!r}")
    # A base model that can do without its pooler is loaded without it: nothing here reads it.
    bare = auto is AutoModel and "add_pooling_layer" in inspect.signature(architecture.__init__).parameters
    with _quiet():
        try:
            torch.manual_seed(seed)
            model, info = architecture.from_pretrained(
                str(encoder_dir),
                config=config,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **({"add_pooling_layer": False} if bare else {}),
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{encoder_dir}: the weights cannot be loaded ({reason})") from None
    base = f"{model.base_model_prefix}." if model.base_model is not model else ""
    unfilled = {*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])}
    lacking = sorted(name for name in unfilled if name.startswith(base))
    if lacking:
        shown = ", ".join(lacking[:4]) + (f" and {len(lacking) - 4} more" if len(lacking) > 4 else "")
        raise UserError(
            f"{encoder_dir}: the weights do not fill a {architecture.__name__}; missing or of another shape: {shown}.\n"
            "Give the folder of an encoder whose config.json belongs to its model.safetensors."
        )
    if any(not name.startswith(base) and name not in unfilled for name, _ in model.named_parameters()):
        torch.manual_seed(seed)  # a fine-tuned classifier: its head belongs to another task
        for name, module in model.named_children():
            if f"{name}." != base:
                module.apply(partial(_redraw, model))
    loaded: PreTrainedModel = model
    return loaded


def _redraw(model: PreTrainedModel, module: nn.Module) -> None:
    for parameter in module.parameters(recurse=False):
        parameter._is_hf_initialized = False  # type: ignore[attr-defined]  # else transformers leaves it as it is
    module._is_hf_initialized = False  # type: ignore[assignment]
    with torch.no_grad():
        model._init_weights(module)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' warning about the new head and its progress bar, which would come with every run."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def save_checkpoint(state: dict[str, Tensor], path: Path, kept: NDArray[np.int64] | None) -> None:
    """Write a trained state; the embedding rows that training never touched are left out."""
    tensors = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in state.items()}
    if kept is not None:
        tensors[KEPT] = torch.from_numpy(kept)
    write_whole(path, save(tensors))


def start_from(model: Classifier, path: Path, kept: NDArray[np.int64] | None = None) -> None:
    """Give ``model``, whose embedding table holds the tokens ``kept`` (None: all), the weights of a checkpoint.

    Rows that the checkpoint left out stay as they are, which is the encoder's.
    """
    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    embedding = _embedding_name(model)
    table = model.get_input_embeddings().weight.data.cpu().clone()
    trained = state.pop(KEPT, torch.arange(len(state[embedding]))).numpy()
    held = np.arange(len(table)) if kept is None else kept
    _, ours, theirs = np.intersect1d(held, trained, return_indices=True)
    table[torch.from_numpy(ours)] = state[embedding][torch.from_numpy(theirs)]
    model.load_state_dict({**state, embedding: table})


def _embedding_name(model: Classifier) -> str:
    weight = model.get_input_embeddings().weight
    return next(name for name, parameter in model.named_parameters() if parameter is weight)
