"""The language model that a study makes vectors of its instructions with: where it is, and its content address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from world_modality.data.hub import TEXT_MODEL
from world_modality.embedded import SMALL_TEXT_MODEL
from world_modality.study.parts import FolderInstructions, HubInstructions
from world_modality.study.sources import Source

if TYPE_CHECKING:
    from world_modality.cli.sources import Finder


def find_text_model(finder: Finder) -> Source | None:
    """Name and revision, as in InstructionsSpec; None if the study makes no such vectors.

    Raises:
        UserError: there is no such folder, it holds no model, or the hub cannot tell the commit.
    """
    match finder.file.study.instructions:
        case HubInstructions(repo_id=repo_id, revision=revision):
            return Source(repo_id, finder.commit(("instructions", "revision"), repo_id, revision))
        case FolderInstructions(path=path):
            at = ("instructions", "path")
            folder = finder.folder(at, path)
            if not (folder / "config.json").is_file():
                raise finder.file.error(at, f"{path} holds no config.json, so it is no Hugging Face model's folder")
            return Source(str(folder), TEXT_MODEL.digest(folder, finder.digests))
        case None:
            return None
    return Source(SMALL_TEXT_MODEL)
