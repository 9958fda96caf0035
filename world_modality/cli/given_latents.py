"""Latents that a study need not make: where they are, on this machine or the hub, and digests of what is in them."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

from world_modality.errors import UserError
from world_modality.latents.earlier_cache import find_published
from world_modality.store.files import folder_digest
from world_modality.store.hub import find_folder, is_repository
from world_modality.study.document import Location
from world_modality.study.load import StudyFile
from world_modality.study.parts import AnyEncoderModel
from world_modality.study.sources import Source

PATTERNS = ("*.npy", "*.npz", "*.json")  # of a cache's files in a repository


def find_latents(file: StudyFile, digests: Path) -> dict[str, Source]:
    """The files of latents that a study names, by what it calls them.

    Args:
        file: the study; paths in it are relative to the working folder.
        digests: where digests of large files are remembered.

    Raises:
        UserError: there is no such file, the folder or data set of the hub holds none or several, or the hub cannot be
            asked.
    """
    found: dict[str, Source] = {}
    for at, encoder in _encoders(file):
        for camera, name in encoder.latents:
            try:
                latents = find_published(_place(name))
            except UserError as error:
                raise file.error((*at, "latents", camera), str(error)) from error
            if not latents.is_file():
                raise file.error((*at, "latents", camera), f"there is no file {name}")
            digest = folder_digest(latents.parent, patterns=(glob.escape(latents.name),), cache=digests)
            found[name] = Source(str(latents.parent.resolve() / latents.name), digest)
    return found


def latents_on_hub(file: StudyFile) -> list[str]:
    """The data sets of the hub that a study takes latents from, as it calls them."""
    names = (name for _, encoder in _encoders(file) for _, name in encoder.latents)
    return [name for name in dict.fromkeys(names) if _lies_on_hub(name)]


def _place(name: str) -> Path:
    """A file or folder of this machine, or else a data set of the hub in its cache here."""
    return find_folder(name, "dataset", patterns=PATTERNS)[0] if _lies_on_hub(name) else Path(name).expanduser()


def _lies_on_hub(name: str) -> bool:
    place = Path(name).expanduser()
    return not place.exists() and place.suffix != ".npy" and is_repository(name.partition("@")[0])


def _encoders(file: StudyFile) -> Iterator[tuple[Location, AnyEncoderModel]]:
    """Wherever the study describes one."""
    study = file.study
    found: dict[Location, AnyEncoderModel | None] = {("encoder",): study.encoder}
    found |= {("arms", name, "encoder"): arm.encoder for name, arm in study.trained.items()}
    return ((at, encoder) for at, encoder in found.items() if encoder is not None)
