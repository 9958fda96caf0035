"""A table of facts: rows by name, this package's own and those that other distributions add by entry points."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from world_modality.errors import UserError

PREFIX = "world_modality."
"""Entry-point groups are named after the tables: ``world_modality.benchmarks``."""


@dataclass(frozen=True)
class Reference:
    """Code by name, ``package.module:object``, so that a row can be read without importing it."""

    text: str

    def load(self) -> Any:
        """The object; imports its module."""
        module, _, name = self.text.partition(":")
        return getattr(importlib.import_module(module), name)


class Row(Protocol):
    """What a table can hold: a frozen dataclass with a name that is unique in its table."""

    @property
    def name(self) -> str:
        """The word by which studies and files name the row."""


class Table[R: Row]:
    """Rows by name, in the order given; those of entry points follow, sorted by name.

    An entry point of the group ``world_modality.<group>`` names a row, or a tuple of rows. It is loaded when the table
    is first read, so a row's module must be light.
    """

    def __init__(self, kind: str, group: str, rows: Sequence[R]) -> None:
        """``kind`` is what a row is called in messages, such as "memory mode"."""
        self.kind = kind
        self.group = PREFIX + group
        self._own = tuple(rows)

    @cached_property
    def _entries(self) -> Mapping[str, tuple[R, Mapping[str, str]]]:
        """Row and distribution that adds it, {} for our own, by name."""
        entries: dict[str, tuple[R, Mapping[str, str]]] = {row.name: (row, {}) for row in self._own}
        added = [
            (row, distribution) for point in entry_points(group=self.group) for row, distribution in self._load(point)
        ]
        for row, distribution in sorted(added, key=lambda entry: entry[0].name):
            if row.name in entries:
                raise UserError(
                    f"the {self.kind} '{row.name}' of {_named(distribution)} is there already, "
                    f"of {_named(entries[row.name][1])}: remove one of the two packages, or give the row another name"
                )
            entries[row.name] = (row, distribution)
        return entries

    def _load(self, point: EntryPoint) -> list[tuple[R, Mapping[str, str]]]:
        distribution = {} if point.dist is None else {point.dist.name: point.dist.version}
        try:
            loaded = point.load()
        except Exception as error:
            raise UserError(
                f"{_named(distribution)} adds a {self.kind} as {point.value}, which cannot be imported "
                f"({type(error).__name__}: {error}): repair or remove that package"
            ) from error
        return [(row, distribution) for row in (loaded if isinstance(loaded, tuple) else (loaded,))]

    def __iter__(self) -> Iterator[R]:
        return (row for row, _ in self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> R:
        """The row of that name; UserError that lists all names if there is none."""
        if name not in self._entries:
            raise UserError(f"'{name}' is not a {self.kind}; choose one of {', '.join(self.names)}")
        return self._entries[name][0]

    @property
    def names(self) -> tuple[str, ...]:
        """All names in order."""
        return tuple(self._entries)

    def distribution(self, name: str) -> Mapping[str, str]:
        """Name and version of the distribution that adds the row; {} for this package's own."""
        self[name]
        return self._entries[name][1]


@dataclass(frozen=True)
class FactsOf:
    """Marks a spec's name of a row of which only the facts decide the result: none of its code is run, so its packages
    are not in the key, but the distribution that says the facts is."""

    table: Table[Any]


def _named(distribution: Mapping[str, str]) -> str:
    return next(iter(distribution), "this package")
