"""A YAML file as plain values plus the line every key stands on, so that an error can point at it."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from world_modality.errors import UserError

Location = tuple[str | int, ...]
"""Keys and list positions from the top of the document: ``("arms", "E2", "memory")``."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's scalars: ``1e-4`` is a number, and ``off``, ``no``, ``yes`` are words, not booleans."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":bool", ":float", ":int", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$", re.I), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


@dataclass(frozen=True)
class Document:
    """A parsed YAML mapping and where its keys stand."""

    path: str  # as shown to the user
    values: dict[str, Any]
    lines: dict[Location, int]  # 1-based

    def line(self, location: Location) -> int:
        """The line of ``location``, or of its nearest parent that is in the file."""
        while location not in self.lines:
            location = location[:-1]
        return self.lines[location]

    def error(self, location: Location, message: str) -> UserError:
        """``file:line: key: message`` as an exception."""
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
        return UserError(f"{self.path}:{self.line(location)}: {key + ': ' if key else ''}{message}")


def read_document(path: Path) -> Document:
    """Parse a YAML file; UserError when it is missing, empty, not a mapping, malformed, or repeats a key."""
    shown = shown_path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{shown}: there is no such study file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{shown}: cannot be read as text ({error})") from None
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise UserError(f"{shown}:1: the file is empty; a study starts with 'study: <name>'")
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{shown}:{node.start_mark.line + 1}: a study is a mapping of keys to values")
        lines: dict[Location, int] = {(): 1}
        values = _build(loader, node, (), lines, shown)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UserError(f"{shown}:{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{shown}:1: not valid YAML: {str(error).splitlines()[0]}") from None
    finally:
        loader.dispose()
    return Document(shown, values, lines)


def shown_path(path: Path) -> str:
    """A path as the user would type it: relative to the working folder where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _build(loader: _Loader, node: yaml.Node, at: Location, lines: dict[Location, int], shown: str) -> Any:
    """The plain value of ``node``; records the line of everything below it."""
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(loader, node, at, lines, shown)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for position, item in enumerate(node.value):
            lines[(*at, position)] = item.start_mark.line + 1
            items.append(_build(loader, item, (*at, position), lines, shown))
        return items
    return loader.construct_object(node)


def _build_mapping(
    loader: _Loader, node: yaml.MappingNode, at: Location, lines: dict[Location, int], shown: str
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = loader.construct_object(key_node)
        if not isinstance(key, Hashable) or key_node.tag == "tag:yaml.org,2002:merge":
            raise UserError(f"{shown}:{line}: not valid YAML: a key must be a plain word")
        name = str(key)
        if name in values:
            where = ".".join(map(str, (*at, name)))
            raise UserError(f"{shown}:{line}: {where}: is given twice, first on line {lines[(*at, name)]}")
        lines[(*at, name)] = line
        values[name] = _build(loader, value_node, (*at, name), lines, shown)
    return values
