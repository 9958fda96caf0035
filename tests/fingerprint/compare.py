"""What differs between two fingerprints, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from .digests import WEIGHT_VALUES, WEIGHTS

SHOWN = 60  # characters of a text


def kind_of(name: str) -> str:
    """A name's first part."""
    return name.partition("/")[0]


def differences(parent: Mapping[str, str], head: Mapping[str, str]) -> dict[str, list[str]]:
    """By kind, a line for every name whose text differs, or that only one side has; empty if they are equal."""
    found: dict[str, list[str]] = {}
    for name in sorted(parent.keys() | head.keys()):
        line = _line(name, parent, head)
        if line:
            found.setdefault(kind_of(name), []).append(line)
    for kind, lines in found.items():
        lines += _renamed(kind, parent, head)
    return found


def circumstances(parent: Mapping[str, Any], head: Mapping[str, Any]) -> Iterator[str]:
    """What else was different, and may be why."""
    for name in sorted(parent.keys() | head.keys()):
        if parent.get(name) != head.get(name):
            yield f"made with another {name}: {parent.get(name)} -> {head.get(name)}"


def _line(name: str, parent: Mapping[str, str], head: Mapping[str, str]) -> str:
    if name not in head:
        return f"{name}  only in the parent: {_short(parent[name])}"
    if name not in parent:
        return f"{name}  only in the head: {_short(head[name])}"
    if parent[name] == head[name]:
        return ""
    numbers = name.replace(WEIGHTS, WEIGHT_VALUES, 1)
    if kind_of(name) == WEIGHTS and numbers in parent and parent[numbers] == head.get(numbers):
        return f"{name}  names or shapes of its tensors differ, their numbers do not"
    same = _shared(parent[name], head[name])
    return f"{name}  {_short(parent[name], same)} -> {_short(head[name], same)}"


def _renamed(kind: str, parent: Mapping[str, str], head: Mapping[str, str]) -> list[str]:
    """A line that says so if what only one side has are the same texts under other names."""
    old = Counter(text for name, text in parent.items() if kind_of(name) == kind and name not in head)
    new = Counter(text for name, text in head.items() if kind_of(name) == kind and name not in parent)
    if not old or old != new:
        return []
    count = old.total()
    return [f"{kind}  the {count} only in the parent and {count} only in the head hold the same texts"]


def _shared(a: str, b: str) -> int:
    """How many characters two texts begin with alike."""
    return next(
        (place for place, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b))
    )


def _short(text: str, same: int = 0) -> str:
    """A text, or of a long one the part that begins shortly before place ``same``."""
    if len(text) <= SHOWN:
        return text
    first = max(0, min(same - SHOWN // 4, len(text) - SHOWN))
    return "..." * (first > 0) + text[first : first + SHOWN] + "..." * (first + SHOWN < len(text))
