"""The part of a study that the words of a command line ask for, and what is told once it is made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from world_modality.errors import UserError, counted
from world_modality.facts.stages import targets
from world_modality.store.layout import names_folder
from world_modality.study.graph import Graph
from world_modality.study.outline import Outline, outline_of
from world_modality.study.targets import EVERYTHING, names_part, select

RULES = (EVERYTHING, "figures", "embedded_base")
"""Targets that are rules of the Snakefile and no part of a study."""
SHOWN = 3  # names that are told of what was made


@dataclass(frozen=True)
class Part:
    """Some stages of a study."""

    words: tuple[str, ...]
    named: tuple[str, ...]
    """Keys of what the words name, in the study's order."""
    keys: frozenset[str]
    """These, and all that they are made from."""

    @property
    def needs(self) -> str:
        """What it is made from, for people."""
        return f"all that {'they need' if len(self.named) > 1 else 'it needs'}"


def part_of(graph: Graph, wanted: Sequence[str]) -> Part | None:
    """The part that targets of a run ask for; None for the whole study, for none, and where some are rules or files.

    UserError for a word that names nothing.
    """
    words = tuple(word for word in wanted if "/" not in word and word not in RULES)
    if not words:
        return None
    outline = outline_of(graph)
    named = tuple(step.key for step in select(outline, words))
    return Part(words, named, frozenset(outline.upstream(named))) if len(words) == len(wanted) else None


def part_of_command(graph: Graph, arguments: Sequence[str]) -> Part | None:
    """The same of Snakemake's own command line, whose options have words too.

    A kind of stages of which the study has none is a rule all the same, and makes nothing.
    """
    asked = words_asked(outline_of(graph), arguments)
    words = [word for before, word in pairwise(["", *arguments]) if before == "--" or not before.startswith("-")]
    if not asked or set(words) & set(RULES):  # and no option's word, as in --cores all
        return None
    try:
        return part_of(graph, asked)
    except UserError:
        if set(asked) <= set(targets()):
            return None
        raise


def words_asked(outline: Outline, arguments: Sequence[str]) -> tuple[str, ...]:
    """The words of Snakemake's command line that name parts of the study, or are meant to."""
    words = [word for word in arguments if not word.startswith("-") and "/" not in word]
    return tuple(word for word in words if word in targets() or names_part(outline, word))


def made_lines(root: Path, graph: Graph, part: Part, before: Collection[str], after: Collection[str]) -> list[str]:
    """That a part is made: of how many stages, under which names, and what is next; from what was sealed before and
    after the run."""
    made, there = len(part.keys - set(before)), len(part.keys & set(before))
    told = [f"{counted(made, 'stage')} made"] if made else []
    told += [f"{counted(there, 'stage')} there already"] if there else []
    lines = [f"done         {' '.join(part.words)}: {', '.join(told)}"]
    folder, names = names_folder(root, graph.study), [name for name, key in graph.names.items() if key in part.named]
    shown = [str(folder / name) for name in names[:SHOWN]] or [str(folder)]
    lines += [f"{'' if number else 'in':<12} {each}" for number, each in enumerate(shown)]
    if len(names) > SHOWN:
        lines.append(f"{'':<12} and {len(names) - SHOWN} more below {folder}")
    left = len(graph.stages.keys() - set(after))
    todo = f"`wm resume all` makes the rest, {counted(left, 'stage')}; `wm report` shows what there is"
    return [*lines, f"next         {todo if left else f'nothing: {graph.study} is complete'}"]
