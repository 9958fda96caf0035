"""Caches on the Hugging Face hub: a data set per cache, of its files and a card that says what made them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from world_modality.errors import UserError, in_one_line
from world_modality.latents.cache import DESCRIPTION, STATISTICS
from world_modality.latents.earlier_cache import LATENTS
from world_modality.latents.importing import PROVENANCE
from world_modality.latents.reader import open_latents, read_description
from world_modality.store.files import file_digest, new_folder
from world_modality.store.hub import find_folder, is_repository
from world_modality.store.machine import versions

CARD = "README.md"
FILES = (LATENTS, DESCRIPTION, STATISTICS)


def push_cache(folder: Path, repository: str, *, private: bool) -> str:
    """Make or update the data set ``repository`` (hub id) with a cache; the address of the commit.

    Raises:
        UserError: the cache is damaged, or the hub is unreachable or takes nothing from this user.
    """
    import httpx
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    open_latents(folder, frames=int(read_description(folder)["frames"]))
    if not is_repository(repository):
        raise UserError(f"{repository}: no data set of the Hugging Face hub is called so: give USER/NAME")
    files = [name for name in (*FILES, PROVENANCE) if (folder / name).is_file()]
    operations = [CommitOperationAdd(name, str(folder / name)) for name in files]
    operations.append(CommitOperationAdd(CARD, card(folder).encode()))
    api = HfApi()
    try:
        api.create_repo(repository, repo_type="dataset", private=private or None, exist_ok=True)
        done = api.create_commit(repository, operations, commit_message="Latents", repo_type="dataset")
    except (HfHubHTTPError, HFValidationError, ConnectionError, httpx.TransportError) as error:
        raise UserError(
            f"{repository} could not be written on the Hugging Face hub ({in_one_line(error)}): check the network, and "
            "`hf auth login` with a token that may write"
        ) from error
    return str(done.commit_url)


def pull_cache(repository: str, output: Path) -> list[str]:
    """Copy the cache of a data set (hub id or hub id@revision) into the new folder ``output``; lines that tell of it.

    Raises:
        UserError: ``output`` exists, the hub is unreachable or has no such data set, or it holds no whole cache.
    """
    if output.exists():
        raise UserError(f"{output} exists already and is never overwritten: name a new folder, or remove that one")
    found, commit = find_folder(repository, "dataset", patterns=(*FILES, PROVENANCE, CARD))
    if commit is None:
        raise UserError(f"{repository} is a folder here, and no data set of the hub: copy it, or leave that folder")
    lacking = [name for name in FILES if not (found / name).is_file()]
    if lacking:
        raise UserError(
            f"the data set {repository} of the hub is no cache of latents, since it has no {', '.join(lacking)}: name "
            "another one or another revision of it"
        )
    description = read_description(found)
    with new_folder(output) as draft:
        for name in (*FILES, PROVENANCE, CARD):  # the hub's folder may hold what others fetched of the data set
            if (found / name).is_file():
                shutil.copyfile(found / name, draft / name)
        open_latents(draft, frames=int(description["frames"]))
    encoder = description["encoder"]
    return [
        f"latents      {output}: {description['frames']} frames, {description['dim']} numbers each, camera "
        f"{description['camera']}, {encoder['name']}, clips of {encoder['frames']}",
        f"next         wm latents verify {output} --dataset DATASET --encoder ENCODER",
    ]


def card(folder: Path) -> str:
    """The data set's card of a cache, Markdown: what its rows are, what made them, digests, how to use them."""
    said = read_description(folder)
    encoder = said["encoder"]
    rows = {
        "rows": f"{said['frames']}, one per frame of the dataset, by its global index",
        "shape, type": f"[{said['frames']}, {said['tokens']}, {said['dim']}], float16",
        "camera": said["camera"],
        "encoder": f"{encoder['kind']}, {encoder['source']} {encoder['name']} {encoder['revision']}".strip(),
        "clip": f"the {encoder['frames']} frames that end at the row's, the episode's first repeated at its start",
        "pictures": f"{encoder['image_size']} pixels, without crop",
        "pooling, computed in, clips at once": f"{encoder['pooling']}, {encoder['dtype']}, {encoder['batch']}",
        "fingerprint of the dataset": f"`{said['dataset_fingerprint']}`",
        **{f"sha256 of {name}": f"`{file_digest(folder / name)}`" for name in FILES},
        **{f"{name} when published": version for name, version in _versions().items()},
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    checked = ""
    if (folder / PROVENANCE).is_file():
        checked = f"`{PROVENANCE}` says what the latents were taken over from, and how that was checked.\n\n"
    return (
        "---\ntags:\n- robotics\n- LeRobot\n- latents\n- world-modality\n---\n"
        f"# Latents of a LeRobotDataset, {encoder['kind']}, clips of {encoder['frames']}\n\n"
        f"Made with World Modality.\n\n| what | is |\n|---|---|\n{table}\n\n{checked}"
        "`wm latents pull` fetches them, `wm latents verify` encodes a sample again and compares, and a study reads "
        "them by `encoder.latents`.\n"
    )


def _versions() -> dict[str, Any]:
    wanted = ("world-modality", "torch", "transformers", "lerobot")
    return {name: version for name, version in versions().items() if name in wanted}
