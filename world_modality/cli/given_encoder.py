"""Whether the encoder in a folder is of the family that a study says, and whether it may run if it is a program."""

from __future__ import annotations

import json
from pathlib import Path

from world_modality.facts.encoders import ENCODERS, family_of
from world_modality.facts.model_configs import plain_config
from world_modality.store.files import file_digest
from world_modality.study.document import Location
from world_modality.study.load import StudyFile
from world_modality.study.parts import Leave


def require_kind(file: StudyFile, at: Location, kind: str, folder: Path) -> None:
    """UserError if the encoder in a folder says that it is of another family; of what says nothing it is told later."""
    try:
        found = family_of(plain_config(json.loads((folder / "config.json").read_text())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    if found is not None and found.name != kind:
        raise file.error(at, f"the encoder in {folder} is of kind {found.name}, not {kind}: write that")


def leave_to_run(file: StudyFile, at: Location, kind: str, said: object, folder: Path | None) -> str | None:
    """The sha256 of the file in ``folder`` that may run as an encoder of that kind; None if such encoders run nothing.

    Args:
        file: the study.
        at: where it says what the encoder's weights are.
        kind: the encoder's family.
        said: what it says there, a :class:`Leave` if it can give one.
        folder: where the weights lie, if that is a folder.

    Raises:
        UserError: the study does not allow it, or names another file's digest.
    """
    family = ENCODERS[kind]
    if not family.program:
        return None
    if not isinstance(said, Leave) or said.torchscript is None or folder is None:
        raise file.error(
            at,
            f"a {kind} encoder is a program that can do whatever its maker wants: give source folder, "
            "allow_torchscript: true and sha256 if you trust it",
        )
    program = folder / family.weights
    if not program.is_file():
        raise file.error((*at, "path"), f"{folder} has no {family.weights}: copy it there")
    found = file_digest(program)
    if found != said.torchscript:
        raise file.error((*at, "sha256"), f"{program} has the sha256 {found}: name that one only if you trust the file")
    return found
