"""Write a cache in the earlier system's layout, for programs that read that."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from world_modality.errors import UserError
from world_modality.latents.earlier_cache import KINDS, earlier_name
from world_modality.latents.reader import open_latents, read_description
from world_modality.store.files import sync_folder, write_json


def export_cache(folder: Path, caches: Path, *, dataset: str, split: str) -> Path:
    """Write a cache of ours as an earlier cache's file, ``<caches>/<dataset>/<split>_world_latents_...``; its path.

    Raises:
        UserError: there is such a file, the cache is damaged, or it is one that the earlier layout has no words for.
    """
    said = read_description(folder)
    cache = open_latents(folder, frames=int(said["frames"]))
    source = {kind: source for source, kind in KINDS.items()}.get(cache.encoder.kind)
    if source is None or cache.tokens != 1:
        raise UserError(
            f"{folder} holds {cache.tokens} tokens per frame of {cache.encoder.kind}: that layout has one of "
            f"{' or '.join(KINDS.values())}"
        )
    file = caches / dataset / earlier_name(split, source, cache.encoder.frames)
    if file.exists():
        raise UserError(f"{file} exists already and is never overwritten: name another --output or --split")
    file.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "temporal_window": cache.encoder.frames,
        "model": cache.encoder.name,
        "pooling": cache.encoder.pooling,
        "dim": cache.dim,
        "frames": len(cache.latents),
        "resume_row": len(cache.latents),
        "camera": cache.camera,
        "dataset_fingerprint": cache.dataset_fingerprint,
    }
    draft = file.with_name(f".{file.name}.part.npy")
    np.save(draft, cache.latents[:, 0])
    with draft.open("rb") as written:
        os.fsync(written.fileno())
    write_json(file.with_name(f"{file.name.removesuffix('.npy')}_metadata.json"), metadata)
    draft.replace(file)  # last: what is there is whole
    sync_folder(file.parent)
    return file
