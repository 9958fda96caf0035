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
    """One column's film of a unit as the page shows it."""

    column: str
    outcome: str
    source: str  # a data: address, so that the page needs no other file; empty if the unit could not be filmed


@dataclass(frozen=True)
class Filmed:
    """A unit of one training seed, and its films column by column, to be seen side by side."""

    title: str
    films: tuple[Film, ...]


def read_films(folders: Sequence[Path], labels: Mapping[str, tuple[str, int]]) -> list[Filmed]:
    """The films of sealed films stages, by seed and unit; ``labels`` gives each stage's column and seed by its key.

    Units that several columns filmed come first: the discordant ones are among them.
    """
    found: dict[tuple[int, str, int, int, int], list[Film]] = {}
    for folder in folders:
        column, seed = labels[folder.parent.name]
        for entry in json.loads((folder / FILMS).read_text()):
            unit = (seed, entry["suite"], entry["task"], entry["init_state"], entry["repeat"])
            source = _embedded(folder / entry["file"]) if entry["file"] else ""
            outcome = f"{'success' if entry['success'] else 'failure'} after {entry['steps']} steps"
            found.setdefault(unit, []).append(Film(column, entry["why_not"] or outcome, source))
    order = sorted(found, key=lambda unit: (len(found[unit]) < 2, unit))
    return [Filmed(_title(*unit), tuple(sorted(found[unit], key=lambda film: film.column))) for unit in order]


def _title(seed: int, suite: str, task: int, state: int, repeat: int) -> str:
    return f"seed {seed}, {suite} task {task}, init state {state}, repeat {repeat}"


def _embedded(path: Path) -> str:
    return f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"
