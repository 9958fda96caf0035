"""What a server holds, as a small file in the place of a checkpoint: what it is, wherever it is served."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.files import write_json

SERVED = "served.json"


@dataclass(frozen=True)
class Served:
    """A policy that another process serves, by what it is."""

    name: str
    revision: str
    """The digest that its server states, or what a person calls its version."""
    dialect: str
    rename: Mapping[str, str] = field(default_factory=dict)
    """Our names of cameras -> the server's."""

    @property
    def label(self) -> str:
        """As tables call it."""
        return f"{self.name}, served"


def write_served(folder: Path, served: Served) -> None:
    """Write it into ``folder``."""
    write_json(folder / SERVED, asdict(served))


def read_served(folder: Path) -> Served | None:
    """What ``folder`` says is served; None if it holds something else. UserError if the file is damaged."""
    try:
        return Served(**json.loads((folder / SERVED).read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{folder / SERVED} is damaged ({error}); run the study again, which makes it anew") from error
