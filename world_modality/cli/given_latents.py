"""Files of latents that a study need not make: where they are, and digests of what is in them."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

from world_modality.errors import UserError
from world_modality.latents.earlier_cache import find_published
from world_modality.store.files import folder_digest
from world_modality.study.document import Location
from world_modality.study.load import StudyFile
from world_modality.study.parts import AnyEncoderModel
from world_modality.study.sources import Source


def find_latents(file: StudyFile, digests: Path) -> dict[str, Source]:
    """The files of latents that a study names, by what it calls them.

    Args:
        file: the study; paths in it are relative to the working folder.
        digests: where digests of large files are remembered.

    Raises:
        UserError: there is no such file, or the folder holds none or several.
    """
    found: dict[str, Source] = {}
    for at, encoder in _encoders(file):
        for camera, path in encoder.latents:
            try:
                latents = find_published(Path(path).expanduser())
            except UserError as error:
                raise file.error((*at, "latents", camera), str(error)) from error
            if not latents.is_file():
                raise file.error((*at, "latents", camera), f"there is no file {path}")
            digest = folder_digest(latents.parent, patterns=(glob.escape(latents.name),), cache=digests)
            found[path] = Source(str(latents.resolve()), digest)
    return found


def _encoders(file: StudyFile) -> Iterator[tuple[Location, AnyEncoderModel]]:
    """Wherever the study describes one."""
    study = file.study
    found: dict[Location, AnyEncoderModel | None] = {("encoder",): study.encoder}
    found |= {("arms", name, "encoder"): arm.encoder for name, arm in study.trained.items()}
    return ((at, encoder) for at, encoder in found.items() if encoder is not None)
