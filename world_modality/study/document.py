"""A YAML file as plain values plus the line every key stands on, so that an error can point at it.

Arms take over what they leave out of a section from the study's own, which is where the error then points.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from world_modality.errors import UserError

Location = tuple[str | int, ...]
"""Keys and list positions from the top of the document: ``("arms", "E2", "memory")``."""
Problem = tuple[Location, str]
"""The place to point at, and what is wrong there."""


MAX_VALUES = 10_000
"""Keys and list items of a study, aliases written out: ten lines of aliases to aliases can stand for billions."""
MAX_DEPTH = 20
TOO_DEEP = "nested too deeply"

TAG = "tag:yaml.org,2002:"
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
SECTIONS = ("policy", "encoder", "world")
"""An arm may have these sections too. What it says there holds instead of what the study says, key by key."""
SETTINGS = "settings"
"""The key of a policy's section whose value is taken over key by key as well."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's scalars: ``1e-4`` is a number, and ``off``, ``no``, ``yes`` are words, not booleans."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag in (f"{TAG}null", f"{TAG}merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{TAG}bool", re.compile(r"^(?:true|false)$", re.I), list("tTfF"))
_Loader.add_implicit_resolver(f"{TAG}int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    f"{TAG}float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)

_SCALARS: Mapping[str, Callable[[str], Any]] = {
    f"{TAG}str": str,
    f"{TAG}null": lambda _: None,
    f"{TAG}bool": lambda text: {"true": True, "false": False}[text.lower()],
    f"{TAG}int": int,  # always decimal: YAML 1.1 would read 010 as 8
    f"{TAG}float": float,
}
"""What a study can hold, by tag; also what an explicit tag such as ``!!int`` may ask for."""


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
        raise UserError(f"{shown}: there is no such study file; name another one with --study") from None
    except IsADirectoryError:
        raise UserError(f"{shown}: is a folder, not a study file") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{shown}:{line}: cannot be read as text ({error.reason}); save it as UTF-8") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{shown}: cannot be read as text ({error})") from None
    return _Builder(shown).build(_compose(shown, text))


def _compose(shown: str, text: str) -> yaml.Node | None:
    """The nodes of ``text``, None if it is empty; UserError for what PyYAML finds wrong with it."""
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = error.problem or error.context or "unreadable"
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        problem = f"the character U+{ord(text[error.position]):04X} is not allowed"
    except RecursionError:
        line = 1
        problem = TOO_DEEP
    except (yaml.YAMLError, ValueError, OverflowError):  # PyYAML lets chr() fail on "\UFFFFFFFF"
        line = loader.line + 1 if loader else 1
        problem = "an escape or a number that does not exist"
    raise UserError(f"{shown}:{line}: not valid YAML: {problem}")


def shown_path(path: Path) -> str:
    """A path as the user would type it: relative to the working folder where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError, RuntimeError):  # RuntimeError: links that go round in a circle
        return str(path)


class _Builder:
    """Plain values from YAML nodes, and the line of each."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._lines: dict[Location, int] = {(): 1}
        self._open: list[yaml.Node] = []  # the nodes that hold the one at hand

    def build(self, node: yaml.Node | None) -> Document:
        """The document below its top node."""
        if node is None:
            raise UserError(f"{self._shown}:1: the file is empty; a study starts with 'study: <name>'")
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{self._shown}:{node.start_mark.line + 1}: a study is a mapping of keys to values")
        return Document(self._shown, self._mapping(node, ()), self._lines)

    def _value(self, node: yaml.Node, at: Location) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node in self._open:
            raise self._error(node, "an alias stands inside of what it repeats")
        if len(self._open) >= MAX_DEPTH:
            raise self._error(node, TOO_DEEP)
        if len(self._lines) > MAX_VALUES:
            raise self._error(node, f"more than {MAX_VALUES} values")
        self._open.append(node)
        value = self._mapping(node, at) if isinstance(node, yaml.MappingNode) else self._sequence(node, at)
        self._open.pop()
        return value

    def _sequence(self, node: yaml.Node, at: Location) -> list[Any]:
        items = []
        for position, item in enumerate(node.value):
            self._lines[(*at, position)] = item.start_mark.line + 1
            items.append(self._value(item, (*at, position)))
        return items

    def _mapping(self, node: yaml.MappingNode, at: Location) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == f"{TAG}merge":
                raise self._error(key_node, "a key must be a plain word")
            line, name = key_node.start_mark.line + 1, str(self._scalar(key_node))
            if name in values:
                where = ".".join(map(str, (*at, name)))
                raise UserError(
                    f"{self._shown}:{line}: {where}: is given twice, first on line {self._lines[(*at, name)]}"
                )
            self._lines[(*at, name)] = line
            values[name] = self._value(value_node, (*at, name))
        return values

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        unprintable = UNPRINTABLE.search(node.value)
        if unprintable:
            raise self._error(node, f"the character U+{ord(unprintable[0]):04X} is not allowed")
        short = node.tag.removeprefix(TAG)
        if node.tag not in _SCALARS:
            raise self._error(node, f"the tag {short!r} has no place in a study")
        try:
            return _SCALARS[node.tag](node.value)
        except (ValueError, KeyError):
            shown = node.value if len(node.value) <= 40 else node.value[:37] + "..."
            raise self._error(node, f"{shown!r} cannot be read as {short}") from None

    def _error(self, node: yaml.Node, problem: str) -> UserError:
        return UserError(f"{self._shown}:{node.start_mark.line + 1}: not valid YAML: {problem}")


def with_inherited(values: Mapping[str, Any]) -> dict[str, Any]:
    """A study's plain values with every arm's sections filled in from the study's.

    A policy or an encoder that names a ``source`` is one of its own, of which the study's section says nothing.
    """
    arms = values.get("arms")
    if not isinstance(arms, Mapping):
        return dict(values)
    return {**values, "arms": {name: _filled(arm, values) for name, arm in arms.items()}}


def _filled(arm: Any, study: Mapping[str, Any]) -> Any:
    if not isinstance(arm, Mapping):
        return arm
    own = {
        section: _over(study[section], arm[section])
        for section in SECTIONS
        if isinstance(arm.get(section), Mapping)
        and "source" not in arm[section]
        and isinstance(study.get(section), Mapping)
    }
    return {**arm, **own}


def _over(section: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A section with an arm's own keys; of a policy's settings with the arm's own settings."""
    both = SETTINGS in own and isinstance(own[SETTINGS], Mapping) and isinstance(section.get(SETTINGS), Mapping)
    return {**section, **own, **({SETTINGS: {**section[SETTINGS], **own[SETTINGS]}} if both else {})}


def section_of(location: Location) -> Location | None:
    """Where the study says what an arm may have taken over at ``location``; None for any other place."""
    if len(location) > 3 and location[0] == "arms" and location[2] in SECTIONS:
        return location[2:]
    return None
