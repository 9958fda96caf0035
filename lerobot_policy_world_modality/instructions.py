"""The instructions that a policy knows: embeddings in its weights, found by their words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from world_modality.data.episodes import dataset_fingerprint
from world_modality.discrete.instruction_table import InstructionTable, embed_with, open_instructions
from world_modality.errors import UserError
from world_modality.study.instructions import InstructionsSpec

TASK = "task"
"""LeRobot's key of the instructions in a batch, a text per row."""


class KnownInstructions(nn.Module):
    """Texts -> vectors [B, E] in which they differ by about 1.

    Language models put texts of one kind close together, so the mean of the known ones is taken off, and what is left
    is divided by its deviation.
    """

    embeddings: Tensor

    def __init__(self, texts: Sequence[str], dim: int) -> None:
        super().__init__()
        self._known = {text: row for row, text in enumerate(texts)}
        self.register_buffer("embeddings", torch.zeros(len(texts), dim))
        self._others: dict[str, Tensor] = {}

    def forward(self, texts: Sequence[str], config: Any) -> Tensor:
        """float32 [len(texts), E].

        A text that is not known is embedded by the language model that ``config`` names.

        Raises:
            UserError: a text is empty, or not known and the model cannot be had.
        """
        rows = torch.stack([self._row(text.strip(), config) for text in texts])
        mean = self.embeddings.mean(0)
        deviation = (self.embeddings - mean).square().mean().sqrt()
        return (rows - mean) / torch.where(deviation > 0, deviation, 1.0)

    def _row(self, text: str, config: Any) -> Tensor:
        if not text:
            raise UserError("the instruction is empty, and the policy reads instructions: give the task's words")
        if text in self._known:
            return self.embeddings[self._known[text]]
        if text not in self._others:
            self._others[text] = self._embedded(text, config.text_model, config.world_text_path)
        return self._others[text].to(self.embeddings)

    def _embedded(self, text: str, model: InstructionsSpec, path: str) -> Tensor:
        known = "; ".join(self._known)
        if model.source == "folder" and not path:
            raise UserError(
                f"the policy does not know the instruction '{text}': give its language model's folder as "
                f"world_text_path, or one of: {known}"
            )
        try:
            return torch.from_numpy(embed_with(model, [text], Path(path) if path else None))[0]
        except UserError as error:
            raise UserError(
                f"the policy does not know the instruction '{text}', and {error}; those that it knows are: {known}"
            ) from error


def open_training_instructions(config: Any, dataset_meta: Any) -> InstructionTable | None:
    """The instructions of the training set that ``dataset_meta`` (LeRobot's) describes; None if none are given.

    What the config leaves open about them is written into it. UserError if they are missing or damaged, of another
    dataset, or others than the policy was made for.
    """
    if not config.world_instructions:  # a checkpoint knows texts by itself
        return None
    folder = Path(config.world_instructions)
    table = open_instructions(folder)
    fingerprint = dataset_fingerprint(Path(dataset_meta.root))
    if table.dataset_fingerprint != fingerprint:
        raise UserError(
            f"world_instructions: those in {folder} are of a dataset with fingerprint {table.dataset_fingerprint}, but "
            f"the dataset in {dataset_meta.root} has {fingerprint}: make them of this one"
        )
    config.adopt_instructions(table)
    return table
