"""Where a study was run last, for `wm resume`: with which profile, on what, shared through which
remote, and which parts of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from world_modality.errors import UserError
from world_modality.redaction import redacted
from world_modality.store.files import read_object, write_atomically
from world_modality.store.layout import last_place_file


@dataclass(frozen=True)
class Place:
    """Where a study is run."""

    profile: str
    """A profile of the repository by its name, any other by its folder; "" for what Snakemake alone was told."""
    executor: str
    """Snakemake's name for what runs the jobs."""
    share: str = ""
    """The remote that the study is shared through; "" if it is not."""
    targets: tuple[str, ...] = ()
    """The parts of it that were asked for; none for all of it."""

    def known_profile(self) -> str:
        """The profile; UserError if only whoever called Snakemake knows it."""
        if not self.profile:
            raise UserError(
                f"this study was run last on {self.executor}, by a profile or options of Snakemake's that `wm` does "
                "not know: call `wm resume --profile FOLDER` with a folder whose config.yaml says them"
            )
        return self.profile


def remember_place(root: Path, place: Place) -> None:
    """Note where a study is being run. A remote whose name holds a secret is not noted."""
    share = place.share if redacted(place.share) == place.share else ""
    text = json.dumps(asdict(place) | {"share": share})
    write_atomically(last_place_file(root), f"{text}\n".encode())


def last_place(root: Path) -> Place | None:
    """Where a study was run last; None if none was."""
    note = read_object(last_place_file(root))
    try:
        targets = tuple(str(target) for target in note.get("targets", ()))
        return Place(str(note["profile"]), str(note["executor"]), str(note["share"]), targets)
    except KeyError:
        return None
