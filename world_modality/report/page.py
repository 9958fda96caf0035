"""The report as one HTML file that needs no network: style, figures, tables and videos inline; figures as files too."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from world_modality.report import diagnosis, given, offline_arms, offline_claims, progress, text, world_tokens
from world_modality.report.charts import Panel
from world_modality.report.diagnosis import Neighbours
from world_modality.report.glossary import entries, linked, memory_link
from world_modality.report.world_tokens import Grid
from world_modality.rollout.choice import VIDEOS

Sections = Mapping[str, Sequence[Panel]]
"""Figures by the section of the page that shows them, each perhaps without any."""

FIGURES = "figures"
COLOUR = {"yes": "good", "no": "bad", "cannot tell": "open", "no verdict": "bad", "one arm": "open"}
"""Of the verdict's word: a class of the style sheet."""


@dataclass(frozen=True)
class Video:
    """One condition's video of an episode as the page shows it."""

    condition: str
    outcome: str
    source: str  # a data: address, so that the page needs no other file; empty if there could be no video


@dataclass(frozen=True)
class EpisodeVideos:
    """An episode of one training seed, and its videos condition by condition, to be seen side by side."""

    title: str
    videos: tuple[Video, ...]


def read_videos(folders: Sequence[Path], labels: Mapping[str, tuple[str, int]]) -> list[EpisodeVideos]:
    """The videos of sealed stages, by seed and episode; ``labels`` gives each stage's condition and seed by its key.

    Episodes of which several conditions have a video come first: the discordant ones are among them.
    """
    found: dict[tuple[int, str, int, int, int], list[Video]] = {}
    for folder in folders:
        condition, seed = labels[folder.parent.name]
        for entry in json.loads((folder / VIDEOS).read_text()):
            episode = (seed, entry["suite"], entry["task"], entry["init_state"], entry["repeat"])
            source = _embedded(folder / entry["file"]) if entry["file"] else ""
            outcome = f"{'success' if entry['success'] else 'failure'} after {entry['steps']} steps"
            found.setdefault(episode, []).append(Video(condition, entry["why_not"] or outcome, source))
    order = sorted(found, key=lambda episode: (len(found[episode]) < 2, episode))
    return [
        EpisodeVideos(_title(*episode), tuple(sorted(found[episode], key=lambda video: video.condition)))
        for episode in order
    ]


def _title(seed: int, suite: str, task: int, state: int, repeat: int) -> str:
    return f"seed {seed}, {suite} task {task}, init state {state}, repeat {repeat}"


def _embedded(path: Path) -> str:
    return f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"


def environment() -> Environment:
    """Of the templates beside this module; every text is escaped."""
    found = Environment(
        loader=PackageLoader("world_modality.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["linked"] = linked
    found.filters["memory"] = memory_link
    found.filters["breakable"] = breakable
    return found


def breakable(value: str) -> Markup:
    """Escaped text that may break after commas and slashes, and between words, nowhere else."""
    words = (f'<span class="whole">{escape(word)}</span>' for word in re.findall(r"[^,/\s]+[,/]?", value))
    return Markup(" ".join(words))


def to_html(
    table: Mapping[str, Any],
    figures: Sections,
    videos: Sequence[EpisodeVideos],
    grids: Sequence[tuple[str, Sequence[Grid]]] = (),
    neighbours: Mapping[str, Sequence[Neighbours]] = MappingProxyType({}),
) -> str:
    """The page. Every text of the study is escaped; figures are SVG made here."""
    word = text.verdict_word(table)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            table=table,
            text=text,
            word=word,
            colour=COLOUR[word],
            titles=[text.condition_title(condition) for condition in table["conditions"]],
            verdicts=text.verdicts(table),
            tasks=text.task_table(table["task_differences"]),
            figures={name: _drawn(panels) for name, panels in figures.items()},
            videos=videos,
            glossary=entries(table),
            given=given,
            progress=progress,
            tokens=world_tokens,
            offline=offline_arms,
            claims=offline_claims,
            grids=grids,
            diagnosis=diagnosis,
            neighbours=neighbours,
        )
    )


def _drawn(panels: Sequence[Panel]) -> list[dict[str, object]]:
    """Panels whose SVG the template may insert as it is."""
    return [{"title": panel.title, "svg": Markup(panel.svg)} for panel in panels]


def figure_files(figures: Sections) -> dict[str, str]:
    """``figures/<section>.<title>.svg`` -> a picture that needs neither the page nor the network."""
    files: dict[str, str] = {}
    for section, panels in figures.items():
        for panel in panels:
            name = _unused(f"{FIGURES}/{section}.{_slug(panel.title)}", files)
            head, body = panel.svg.split(">", 1)
            style = f"<title>{escape(panel.title)}</title><style>svg {{ background: white; }}</style>"
            files[name] = f"{head}>{style}{body}\n"
    return files


def _slug(title: str) -> str:
    """A title as part of a file's name: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower().replace(">", "over").replace("=", "equals")).strip("-")[:60]


def _unused(name: str, files: dict[str, str]) -> str:
    """The name with its suffix, and a number where titles are alike."""
    numbers = ["", *(f"-{number}" for number in range(2, len(files) + 3))]
    return next(found for number in numbers if (found := f"{name}{number}.svg") not in files)
