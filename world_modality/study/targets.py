"""Parts of a study in a few words: ``E2``, ``train:E2``, ``rollouts:E2-zero seed=1 task=0-3``.

A word is one of three:

- a kind of stages, ``train``, or such a kind of an arm or condition, ``train:E2``;
- an arm or condition alone, ``E2``: all stages that are its own;
- a property, ``seed=1,2``, ``suite=...``, ``task=0-3``, ``arm=E2``, ``condition=E2-zero``.

Kinds and names together ask for all of theirs; properties keep of these what has them, all of them at once. An arm's
name stands for the arm in all its conditions; ``condition=E2`` for its own alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from world_modality.errors import UserError
from world_modality.facts.stages import STAGES, targets
from world_modality.study.outline import Outline, Place, Step

PROPERTIES = ("arm", "condition", "seed", "suite", "task")
EVERYTHING = "all"
SHOWN = 24  # names that a message lists


@dataclass
class _Asked:
    """What some words ask for."""

    named: list[tuple[str, str]] = field(default_factory=list)  # kinds' target and arm or condition; "" for any
    wanted: dict[str, set[str | int]] = field(default_factory=dict)  # property -> values


def select(outline: Outline, words: Sequence[str]) -> list[Step]:
    """The stages that some words name, in the study's order.

    Raises:
        UserError: a word names nothing of this study, or no stage has all that is asked for.
    """
    if EVERYTHING in words:
        return list(outline.steps.values())
    asked = _Asked()
    for word in words:
        _read(word, outline, asked)
    kinds = {kind.name: kind.target for kind in STAGES}
    found = [step for step in outline.steps.values() if _is_asked(step, kinds[step.stage], outline, asked)]
    if not found:
        raise UserError(f"no stage of {outline.study} is {' '.join(words)}: ask for less at once")
    return found


def names_part(outline: Outline, word: str) -> bool:
    """Whether a word names an arm or a condition, or is meant to name a part of the study by what it looks like."""
    kind, colon, _ = word.partition(":")
    prop, equals, _ = word.partition("=")
    if colon and equals:
        return False
    return word in _names(outline) or (bool(colon) and kind in targets()) or (bool(equals) and prop in PROPERTIES)


def _is_asked(step: Step, target: str, outline: Outline, asked: _Asked) -> bool:
    places = outline.places.get(step.key, ())
    if not asked.wanted and any(target == kind and not name for kind, name in asked.named):
        return True
    return any(_fits(target, place, asked) for place in places)


def _fits(target: str, place: Place, asked: _Asked) -> bool:
    named = not asked.named or any(
        kind in ("", target) and name in ("", place.arm, place.condition) for kind, name in asked.named
    )
    return named and all(getattr(place, name) in values for name, values in asked.wanted.items())


def _read(word: str, outline: Outline, into: _Asked) -> None:
    kind, colon, name = word.partition(":")
    prop, equals, values = word.partition("=")
    if equals and not colon:
        into.wanted.setdefault(prop, set()).update(_values(word, prop, values, outline))
    elif colon:
        if kind not in targets():
            raise _unknown(word, "kind of stages", kind, targets(), lambda each: f"{each}:{name}")
        for each in name.split(","):
            if each not in _names(outline):
                raise _unknown(word, "arm or condition", each, _names(outline), lambda near: f"{kind}:{near}")
            into.named.append((kind, each))
    elif word in targets():
        into.named.append((word, ""))
    elif word in _names(outline):
        into.named.append(("", word))
    else:
        suites = dict.fromkeys(f"suite={cell.suite}" for cell in outline.cells)
        known = (EVERYTHING, *targets(), *_names(outline), *suites, *(f"{each}=" for each in PROPERTIES))
        raise _unknown(word, "target", word, known, str)


def _names(outline: Outline) -> tuple[str, ...]:
    """Arms and conditions."""
    return tuple(dict.fromkeys((*outline.arms.values(), *outline.arms)))


def _values(word: str, prop: str, text: str, outline: Outline) -> Iterable[str | int]:
    """The values that ``PROPERTY=TEXT`` lists."""
    if prop not in PROPERTIES:
        raise _unknown(word, "property", prop, PROPERTIES, lambda each: f"{each}={text}")
    there = {getattr(place, prop) for places in outline.places.values() for place in places} - {"", None}
    known = sorted(there, key=lambda each: (isinstance(each, str), each))
    values = list(_listed(text) if prop in ("seed", "task") else text.split(","))
    for value in values:
        if value not in known:
            raise _unknown(word, prop, str(value), [str(each) for each in known], lambda each: f"{prop}={each}")
    return values


def _listed(text: str) -> Iterable[str | int]:
    """``0,3-5`` as numbers; what is none stays a text, which is then known of no stage."""
    for part in text.split(","):
        stretch = re.fullmatch(r"(\d+)-(\d+)", part)
        if stretch and int(stretch[2]) - int(stretch[1]) < 10_000:
            yield from range(int(stretch[1]), int(stretch[2]) + 1)
        else:
            yield int(part) if part.isdecimal() else part


def _unknown(word: str, what: str, given: str, known: Iterable[str], write: Callable[[str], str]) -> UserError:
    """``word`` holds no ``what`` of this study; the nearest ones as they would be written."""
    names = list(known)
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.5 if len(given) < 4 else 0.6)
    shown = [write(each) for each in near] or [*names[:SHOWN], *(["..."] if len(names) > SHOWN else [])]
    told = f"there is no {what} {given or repr(given)}" + (f" ({word})" if given != word else "")
    return UserError(f"{told}; {'did you mean' if near else 'choose from'} {', '.join(shown)}{'?' if near else ''}")
