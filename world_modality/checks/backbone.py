"""Can the pretrained model that a checkpoint is built around be had, and its tokenizer?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from world_modality.checks.finding import Finding
from world_modality.checks.processors import tokenizer_names
from world_modality.embedded import BACKBONE_PREFIX
from world_modality.facts.policies import family_of
from world_modality.store.hub import is_cached, is_repository, split_pinned

FILES = ("config.json", "tokenizer_config.json", "tokenizer.json", "processor_config.json")
"""One of which every model or tokenizer that is loaded has."""
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def backbone_names(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """What a checkpoint loads beside its own files, each once."""
    family = family_of(str(config.get("type", "")))
    own = str(config.get(family.backbone) or "") if family.backbone else ""
    return [name for name in dict.fromkeys((own, *tokenizer_names(folder))) if name]


def is_offline() -> bool:
    """Whether the user has said that the hub is not to be asked."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in OFFLINE)


def backbone_findings(folder: Path, config: Mapping[str, Any], part: str) -> Iterator[Finding]:
    """An error for a model that is not there and cannot be fetched, a warning for one that has to be fetched."""
    where = f"{folder / 'config.json'}"
    for name in backbone_names(folder, config):
        if name.startswith(BACKBONE_PREFIX):
            continue  # the plugin names those that it has
        pinned = split_pinned(name)
        repo_id, revision = pinned or (name, "main")
        place = Path(name).expanduser()
        if place.is_dir():
            if not any((place / file).is_file() for file in FILES):
                message = f"names the model folder {name}, which has none of {', '.join(FILES)}: copy it anew"
                yield Finding("error", part, where, message)
        elif not is_repository(repo_id):
            beside = f", though {folder / place} is one: write that" if (folder / place).is_dir() else ": copy it there"
            yield Finding("error", part, where, f"names the model {name}, which is no folder here{beside}")
        elif not any(is_cached(repo_id, revision, file) for file in FILES):
            told = f"is built around {name}, which is not in the local hub cache"
            remedy = f"run `hf download {repo_id}` on a machine with network, or name a folder that holds it"
            if is_offline():
                yield Finding("error", part, where, f"{told}, and the hub is not asked (HF_HUB_OFFLINE): {remedy}")
            else:
                yield Finding("warning", part, where, f"{told} and will be fetched from the hub")
