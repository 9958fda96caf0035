"""The page's figures as files of their own: for slides, and for Snakemake's own report."""

from __future__ import annotations

import re
from html import escape

from world_modality.report.page import Sections, environment

FOLDER = "figures"


def figure_files(figures: Sections) -> dict[str, str]:
    """``figures/<section>.<title>.svg`` -> a picture that needs neither the page nor the network."""
    style = environment().get_template("figures.css.j2").render()
    files: dict[str, str] = {}
    for section, panels in figures.items():
        for panel in panels:
            name = _unused(f"{FOLDER}/{section}.{_slug(panel.title)}", files)
            files[name] = _standing_alone(panel.svg, panel.title, style)
    return files


def _standing_alone(svg: str, title: str, style: str) -> str:
    """The picture with its name space, its title, its style and a ground to stand on."""
    head, body = svg.split(">", 1)
    space = head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return f"{space}><title>{escape(title)}</title><style>{style} svg {{ background: var(--paper); }}</style>{body}\n"


def _slug(title: str) -> str:
    """A title as part of a file's name: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower().replace(">", "over").replace("=", "equals")).strip("-")[:60]


def _unused(name: str, files: dict[str, str]) -> str:
    """The name with its suffix, and a number where titles are alike."""
    numbers = ["", *(f"-{number}" for number in range(2, len(files) + 3))]
    return next(found for number in numbers if (found := f"{name}{number}.svg") not in files)
