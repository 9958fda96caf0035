"""Stage "instructions": a vector for every text of a dataset's tasks, and what opens them again.

``embeddings.npy``     float32 [N, E], a row per different text
``instructions.json``  the texts in that order, the language model, and the dataset's fingerprint

Texts are sorted and found by their words, so neither the order of tasks nor their numbers are of any account.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.data.description import read_description
from world_modality.data.episodes import dataset_fingerprint
from world_modality.data.hub import TEXT_MODEL
from world_modality.discrete.instructions import SMALL, embed, require_words
from world_modality.errors import UserError
from world_modality.store.files import empty_folder, write_json
from world_modality.store.hub import pinned_name
from world_modality.store.stage import Facts, StageContext
from world_modality.study.instructions import InstructionsSpec

EMBEDDINGS = "embeddings.npy"
DESCRIPTION = "instructions.json"


@dataclass(frozen=True)
class InstructionTable:
    """``embeddings`` float32 [N, E], a row per text, and what made them."""

    texts: tuple[str, ...]
    embeddings: NDArray[np.float32]
    model: InstructionsSpec
    dataset_fingerprint: str


def run(spec: InstructionsSpec, context: StageContext) -> Facts:
    """Embed the texts of the dataset's tasks.

    Raises:
        UserError: a text is empty, or the language model is not what it was when the study was planned.
    """
    dataset = context.one("dataset")
    texts = words_of(read_description(dataset).texts)
    embeddings = embed_with(spec, texts)
    empty_folder(context.artifact)
    np.save(context.artifact / EMBEDDINGS, embeddings)
    about = {"texts": texts, "model": spec.address(), "dataset_fingerprint": dataset_fingerprint(dataset)}
    write_json(context.artifact / DESCRIPTION, about)
    return {"texts": len(texts), "dim": embeddings.shape[1]}


def words_of(tasks: Mapping[int, str]) -> list[str]:
    """The different texts of a dataset's tasks, by task index, sorted; UserError if one is empty."""
    require_words(tasks)
    return sorted({text.strip() for text in tasks.values()})


def embed_with(spec: InstructionsSpec, texts: list[str], folder: Path | None = None) -> NDArray[np.float32]:
    """Embeddings float32 [len(texts), E], computed on the CPU whatever else there is.

    Args:
        spec: the language model.
        texts: without space around them.
        folder: where a model that is a folder lies; by default where ``spec`` says.

    Raises:
        UserError: the model is not there, or no longer what ``spec`` says.
    """
    name = {"embedded": SMALL, "hub": pinned_name(spec.name, spec.revision)}.get(spec.source)
    if name is None:
        name = str(folder or spec.name)
        found = TEXT_MODEL.digest(Path(name)) if Path(name).is_dir() else "not there"
        if found != spec.revision:
            raise UserError(
                f"the language model in {name} is {found}, and {spec.revision} is wanted: put back the files that it "
                "had, or run the study again, which plans it anew"
            )
    return embed(texts, name, max_length=spec.max_length, seed=spec.seed)


def open_instructions(folder: Path) -> InstructionTable:
    """Open the artifact of an instructions stage; UserError if it is damaged."""
    try:
        about: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
        embeddings = np.load(folder / EMBEDDINGS, allow_pickle=False)
        texts = tuple(map(str, about["texts"]))
        model = InstructionsSpec.model_validate(about["model"])
        fingerprint = str(about["dataset_fingerprint"])
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the instructions in {folder} are damaged or incomplete ({error}): run the instructions stage again"
        ) from error
    if embeddings.dtype != np.float32 or embeddings.ndim != 2 or len(embeddings) != len(texts):
        raise UserError(
            f"the instructions in {folder} are {embeddings.dtype} {list(embeddings.shape)} for {len(texts)} texts: run "
            "the instructions stage again"
        )
    return InstructionTable(texts, embeddings, model, fingerprint)
