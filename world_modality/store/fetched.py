"""A folder of everything that a study takes from a network, for machines that have none.

It holds the Hugging Face hub's cache, the cache of packages' files and torchvision's weights, each in the form of
whoever reads it, so that nothing of the study has to know of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.packages import CACHE_VARIABLE, cache_folder

FETCHED_VARIABLE = "WORLD_MODALITY_FETCHED"
"""Environment variable that names such a folder; `--fetched` sets it."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


@dataclass(frozen=True)
class UsualCaches:
    """Where the environment has what was fetched before: of the hub, and of packages."""

    hub: Path
    packages: Path

    @classmethod
    def found(cls) -> UsualCaches:
        """As the environment says now. The hub's client, which finds its cache once, need not be imported."""
        named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
        above = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        home = Path(os.environ.get("HF_HOME") or Path(above, "huggingface"))
        return cls(Path(named or home / "hub").expanduser(), cache_folder())


@dataclass(frozen=True)
class FetchedFolder:
    """Where things are in it."""

    path: Path

    @property
    def hub(self) -> Path:
        """The hub's cache."""
        return self.path / "hub"

    @property
    def cache(self) -> Path:
        """Files of packages: object models."""
        return self.path / "cache"

    @property
    def torch(self) -> Path:
        """Weights of torchvision's backbones."""
        return self.path / "torch"

    @property
    def wheels(self) -> Path:
        """The packages of the lock."""
        return self.path / "wheels"

    @property
    def note(self) -> Path:
        """What was fetched, by study."""
        return self.path / "fetched.json"

    def variables(self) -> dict[str, str]:
        """The environment in which everything is looked up here."""
        return {
            "HF_HUB_CACHE": str(self.hub),
            CACHE_VARIABLE: str(self.cache),
            "TORCH_HOME": str(self.torch),
        }


def use_fetched() -> None:
    """Where the environment names such a folder, take everything from it and ask no network, here and in all that is
    started from here. To be called before the hub's client is imported.

    UserError if there is no such folder.
    """
    named = os.environ.get(FETCHED_VARIABLE)
    if not named:
        return
    folder = FetchedFolder(Path(named).expanduser().resolve())
    if not folder.note.is_file():
        raise UserError(
            f"{FETCHED_VARIABLE} or --fetched: {folder.path} is no folder that `wm fetch` filled (it has no "
            f"{folder.note.name}): name the right one, or run `wm fetch STUDY --to {folder.path}` where a network is"
        )
    os.environ[FETCHED_VARIABLE] = str(folder.path)
    os.environ.update(folder.variables() | OFFLINE)
