"""What the cards of all repositories share: tables, the study's own words, and the way through the hub's classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from world_modality.publishing.publication import Publication

NO_REPORT = "The study has no sealed report yet, so it has no verdict."


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    body = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (header, *rows)]
    lines = [body[0], ["---"] * len(header), *body[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def bullets(lines: Iterable[str]) -> str:
    """A list of Markdown."""
    return "\n".join(f"- {line}" for line in lines)


def study_section(publication: Publication) -> list[str]:
    """What the study says as a whole, in its report's own sentence, and where the rest of it is."""
    table = publication.table
    told = [str(table["headline"]), *filter(None, [table["seeds_note"]])] if table else [NO_REPORT]
    links = [
        f"[{what} of the study]({publication.address(repo_id, dataset=True)})"
        for what, repo_id in (("records of every episode", publication.known("records")),
                              ("report", publication.known("report")))
        if repo_id
    ]  # fmt: skip
    where = [f"See the {' and the '.join(links)}."] if links else []
    return ["## What the study says", *(told), *where]


def finished(card_class: Any, front: Any, parts: Iterable[str]) -> str:
    """The card's text, once the hub's own class has read its front matter and given back the same.

    A line of dashes in what others wrote would end the front matter, or begin another one, so none is left.
    """
    text = "\n\n".join(re.sub(r"(?m)^---+\s*$", "", part) for part in parts)
    card = card_class(f"---\n{front.to_yaml()}\n---\n\n{text}\n")
    if card.data.to_dict() != front.to_dict():
        raise ValueError(f"the card's front matter is read as {card.data.to_dict()}, not as {front.to_dict()}")
    return str(card)
