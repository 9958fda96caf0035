"""Films of a study's units, inside the page."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from world_modality.rollout.choice import FILMS


@dataclass(frozen=True)
class Film:
    """A unit's film as the page shows it."""

    title: str
    outcome: str
    source: str  # a data: address, so that the page needs no other file; empty if the unit could not be filmed


def read_films(folders: Sequence[Path], labels: Mapping[str, str]) -> list[Film]:
    """The films of sealed films stages; ``labels`` gives each stage's column and seed by its key.

    Sorted by unit, so that the columns' films of one unit stand beside each other.
    """
    found = []
    for folder in folders:
        for entry in json.loads((folder / FILMS).read_text()):
            unit = (entry["suite"], entry["task"], entry["init_state"], entry["repeat"])
            source = _embedded(folder / entry["file"]) if entry["file"] else ""
            label = labels[folder.parent.name]
            title = f"{label}: {unit[0]} task {unit[1]}, init state {unit[2]}, repeat {unit[3]}"
            outcome = f"{'success' if entry['success'] else 'failure'} after {entry['steps']} steps"
            film = Film(title, entry["why_not"] or outcome, source)
            found.append((unit, label, film))
    return [film for *_, film in sorted(found, key=lambda each: each[:2])]


def _embedded(path: Path) -> str:
    return f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"
