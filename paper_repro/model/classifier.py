"""The classifier: transformers' own ``BertForSequenceClassification``, loaded for training, saved as a checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification
from transformers.utils import logging as transformers_logging

from paper_repro.tools.files import write_whole
from paper_repro.tools.errors import UserError
from paper_repro.model.first_token import first_token_only

EMBEDDING = "bert.embeddings.word_embeddings.weight"
KEPT = "kept_token_ids"


def build(
    encoder_dir: Path,
    classes: int,
    *,
    seed: int,
    device: torch.device,
    kept: NDArray[np.int64] | None = None,
    dropout: float | None = None,
) -> BertForSequenceClassification:
    """A classifier on the pre-trained encoder: pooler output, dropout, linear head drawn from ``seed``.

    ``kept`` keeps only those rows of the embedding table (its rows are then renumbered as in
    :class:`paper_repro.model.tokens.Batcher`). Raises UserError where the folder holds no BERT.
    """
    try:
        config = BertConfig.from_pretrained(str(encoder_dir), local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{encoder_dir}: no usable config.json ({error}); expected a BERT in Hugging Face layout"
        ) from None
    config.num_labels = classes
    # SDPA's backward is pathological under bf16 on the CPU: 28 ms against 4 ms a layer.
    config._attn_implementation = "eager" if device.type == "cpu" else "sdpa"
    if dropout is not None:
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # the new head is expected; a warning for each run is not
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        # manual_seed reaches the GPU's generator, too, so that one is kept and given back as well.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            model = BertForSequenceClassification.from_pretrained(
                str(encoder_dir), config=config, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{encoder_dir}: the weights cannot be loaded ({str(error).splitlines()[0]})") from None
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
    if kept is not None:
        table = model.bert.embeddings.word_embeddings.weight.data
        model.bert.embeddings.word_embeddings = torch.nn.Embedding.from_pretrained(
            table[torch.from_numpy(kept)].clone(), freeze=False, padding_idx=0
        )
    return model.to(device)  # type: ignore[arg-type]


def logits(
    model: BertForSequenceClassification, input_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor
) -> Tensor:
    """The logits (batch, classes) of the model's own ``forward``, from its parts and bit for bit.

    Ids and the mask of 0 and 1 (None: no padding) are (batch, length). What is left out is the wrappers around each
    layer, which take a tenth of a training step of a two-layer encoder.
    """
    bert = model.bert
    hidden = bert.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
    mask = None if attention_mask is None else attention_mask[:, None, None].bool()
    if mask is not None and model.config._attn_implementation != "sdpa":  # the others add their mask to the scores
        mask = torch.where(mask, hidden.new_zeros(()), torch.finfo(hidden.dtype).min)
    for layer in bert.encoder.layer:
        attended = layer.attention(hidden, mask)[0]
        hidden = layer.output(layer.intermediate(attended), attended)
    found: Tensor = model.classifier(model.dropout(bert.pooler(hidden)))
    return found


def save_checkpoint(state: dict[str, Tensor], path: Path, kept: NDArray[np.int64] | None) -> None:
    """Write a trained state; the embedding rows that training never touched are left out."""
    tensors = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in state.items()}
    if kept is not None:
        tensors[KEPT] = torch.from_numpy(kept)
    write_whole(path, save(tensors))


def load_checkpoint(path: Path, encoder_dir: Path, classes: int, device: torch.device) -> BertForSequenceClassification:
    """The trained classifier with its whole vocabulary: untouched embedding rows come from the encoder."""
    model = build(encoder_dir, classes, seed=0, device=torch.device("cpu"))
    start_from(model, path)
    first_token_only(model)
    return model.to(device).eval()  # type: ignore[arg-type]


def start_from(model: BertForSequenceClassification, path: Path, kept: NDArray[np.int64] | None = None) -> None:
    """Give ``model``, whose embedding table holds the tokens ``kept`` (None: all), the weights of a checkpoint.

    Rows that the checkpoint left out stay as they are, which is the encoder's.
    """
    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    table = model.bert.embeddings.word_embeddings.weight.data.cpu().clone()
    trained = state.pop(KEPT, torch.arange(len(state[EMBEDDING]))).numpy()
    held = np.arange(len(table)) if kept is None else kept
    _, ours, theirs = np.intersect1d(held, trained, return_indices=True)
    table[torch.from_numpy(ours)] = state[EMBEDDING][torch.from_numpy(theirs)]
    model.load_state_dict({**state, EMBEDDING: table})
