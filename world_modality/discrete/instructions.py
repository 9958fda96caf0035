"""Instructions as vectors: what a language model makes of the words of each task.

A text is embedded alone and filled up to one length, so that its vector depends on no other text, to the last bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from world_modality.data.hub import TEXT_MODEL
from world_modality.embedded import BACKBONE_PREFIX, SMALL_TEXT_MODEL
from world_modality.errors import UserError, in_one_line
from world_modality.store.hub import find_folder

SMALL = f"{BACKBONE_PREFIX}{SMALL_TEXT_MODEL}"
OWNERS = {"distilbert-base-uncased": "distilbert/distilbert-base-uncased"}
"""Names from before every repository of the hub had an owner, and what they are now."""
SMALL_SIZES = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}


def embed(
    texts: Sequence[str], name: str, *, max_length: int, device: str = "cpu", seed: int = 0
) -> NDArray[np.float32]:
    """Embeddings float32 [len(texts), E]: the mean of the last hidden states over a text's own tokens.

    Args:
        texts: none of them empty.
        name: ``embedded:text-small``, a model folder, hub id or hub id@revision of transformers' AutoModel.
        max_length: tokens of a text; what is longer is cut off.
        device: where to compute.
        seed: of the random weights of ``embedded:text-small``; no other model has such.

    Raises:
        UserError: a text is empty, or there is no such language model.
    """
    require_words(dict(enumerate(texts)))
    tokenizer, model = _small(seed) if name == SMALL else _load(name)
    model = model.requires_grad_(False).eval().to(device)
    longest = min(max_length, getattr(model.config, "max_position_embeddings", max_length))
    return np.stack([_embedded(text, tokenizer, model, longest) for text in texts])


def require_words(texts: Mapping[int, str]) -> None:
    """UserError if a task's instruction is empty; ``texts`` by task index."""
    empty = [index for index, text in texts.items() if not text.strip()]
    if empty:
        raise UserError(
            f"the instruction of task {', '.join(map(str, empty))} is empty: write it where the texts come from, which "
            "is the dataset's meta/tasks.parquet, or --tasks_jsonl"
        )


def read_tasks(file: Path) -> dict[int, str]:
    """Instructions by task index from lines ``{"task_index": 0, "task": "..."}``.

    Raises:
        UserError: the file cannot be read, or names an index twice.
    """
    found: dict[int, str] = {}
    try:
        for number, line in enumerate(file.read_text().splitlines(), start=1):
            if line.strip():
                entry = json.loads(line)
                index = int(entry["task_index"])
                if index in found:
                    raise UserError(f"{file}:{number}: task_index {index} is there twice: leave one out")
                found[index] = str(entry["task"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} cannot be read ({in_one_line(error)}): a line is a task_index and a task") from error
    return found


def _embedded(text: str, tokenizer: Any, model: Any, longest: int) -> NDArray[np.float32]:
    tokens = tokenizer(text, padding="max_length", truncation=True, max_length=longest, return_tensors="pt")
    tokens = {name: tokens[name].to(model.device) for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        hidden = model(**tokens).last_hidden_state.float()[0]
    own = tokens["attention_mask"][0].bool()
    vector: NDArray[np.float32] = hidden[own].mean(dim=0).cpu().numpy()
    return vector


def _load(name: str) -> tuple[Any, Any]:
    """Tokenizer and model."""
    from transformers import AutoModel, AutoTokenizer

    model, at, revision = name.partition("@")
    folder, _ = find_folder(f"{OWNERS.get(model, model)}{at}{revision}", patterns=TEXT_MODEL.patterns)
    try:
        own = {"local_files_only": True, "trust_remote_code": False}
        tokenizer = AutoTokenizer.from_pretrained(folder, **own)
        return tokenizer, AutoModel.from_pretrained(folder, **own, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{name} is no language model that transformers loads ({in_one_line(error)})") from error


def _small(seed: int) -> tuple[Any, Any]:
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

    from lerobot_policy_world_modality.backbone import BACKBONES

    tokenizer = AutoTokenizer.from_pretrained(
        BACKBONES / "smolvlm-tiny", local_files_only=True, trust_remote_code=False
    )
    config = DistilBertConfig(vocab_size=len(tokenizer), max_position_embeddings=128, dropout=0.0, **SMALL_SIZES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return tokenizer, DistilBertModel(config)
