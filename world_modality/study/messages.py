"""pydantic's errors as one sentence each, in the words of the study file."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from world_modality.facts.memory import MODES
from world_modality.study.document import SECTIONS, Location
from world_modality.study.parts import ADDRESS
from world_modality.study.rows import UNKNOWN_NAME, Choice, choice_of, hints_of
from world_modality.study.study import Arm, GivenArm, Rollouts, Study, Training, whose

OFF_WORDS = ("off", "none", "no", "false")


def choices(values: typing.Iterable[object]) -> str:
    """Values as a list for people: ``disabled, zero, pred``."""
    return ", ".join(map(str, values))


def location_of(error: ErrorDetails, values: Mapping[str, Any]) -> Location:
    """The error's place in the document: pydantic's path without the names of union members and key markers."""
    location: list[str | int] = []
    here: Any = values
    path = [part for part in error["loc"] if part != "[key]"]
    for position, part in enumerate(path):
        last = position == len(path) - 1
        is_source = isinstance(here, Mapping) and part not in here and part == here.get("source") and not last
        is_kind_of_arm = location[:1] == ["arms"] and len(location) == 2 and part == whose(here)
        if is_source or is_kind_of_arm:
            continue
        if isinstance(part, int) and isinstance(here, Mapping):  # one, written without its list
            continue
        location.append(part)
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            here = None
    if error["type"] == "union_tag_invalid":
        location.append("source")
    return tuple(location)


def sentence(error: ErrorDetails, location: Location, values: Mapping[str, Any]) -> tuple[Location, str]:
    """Where to point and what to say about one validation error."""
    kind, given = error["type"], error["input"]
    context = error.get("ctx", {})
    if kind == "missing":
        return location[:-1], f"'{location[-1]}' is missing{_allowed(type_at(location, values))}"
    if kind == "union_tag_not_found":
        return location, f"'source' is missing; choose one of {_tags(type_at(location, values))}"
    if kind == "union_tag_invalid":
        return location, f"'{context['tag']}' is not a source; choose one of {_tags(type_at(location[:-1], values))}"
    if kind == "extra_forbidden":
        return location, _unknown_key(location, values)
    if kind == UNKNOWN_NAME:
        return location, _unknown_name(context.get("given", given), context["choice"])
    if kind == "literal_error":
        return (
            location,
            f"{_shown(given)} is not allowed; choose one of {choices(_literals(type_at(location, values)))}",
        )
    if location == ("rollouts", "episodes") and isinstance(given, Mapping | list):
        return location, "must be one whole number, because every arm and task gets the same episodes"
    if kind in _SIMPLE:
        return location, _SIMPLE[kind](given, context)
    return location, error["msg"][0].lower() + error["msg"][1:]


def _shown(value: object) -> str:
    """A value as YAML would have it, shortened."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:37] + "..."


_SIMPLE: dict[str, Callable[[object, Mapping[str, Any]], str]] = {
    "int_type": lambda given, _: f"must be a whole number, not {_shown(given)}",
    "float_type": lambda given, _: f"must be a {'finite ' if type(given) is int else ''}number, not {_shown(given)}",
    "string_type": lambda given, _: f"must be a word, not {_shown(given)}",
    "bool_type": lambda given, _: f"must be true or false, not {_shown(given)}",
    "tuple_type": lambda given, _: f"must be a list, not {_shown(given)}",
    "dict_type": lambda given, _: f"must hold keys of its own, not {_shown(given)}",
    "model_type": lambda given, _: f"must hold keys of its own, not {_shown(given)}",
    "model_attributes_type": lambda given, _: f"must hold keys of its own, not {_shown(given)}",
    "greater_than": lambda given, context: f"must be greater than {context['gt']:g}, not {_shown(given)}",
    "greater_than_equal": lambda given, context: f"must be at least {context['ge']:g}, not {_shown(given)}",
    "less_than": lambda given, context: f"must be less than {context['lt']}, not {_shown(given)}",
    "less_than_equal": lambda given, context: f"must be at most {context['le']:g}, not {_shown(given)}",
    "finite_number": lambda given, _: f"must be a finite number, not {_shown(given)}",
    "too_short": lambda *_: "must not be empty",
    "string_too_short": lambda *_: "must not be empty",
    "string_pattern_mismatch": lambda given, context: (
        f"{_shown(given)} is no address such as ws://localhost:8000"
        if context["pattern"] == ADDRESS
        else f"{_shown(given)} is not a name; use letters, digits and _"
    ),
}


def _unknown_name(given: object, choice: Choice) -> str:
    off = choice.table is MODES and str(given).lower() in OFF_WORDS
    hint = " (no memory is written disabled)" if off else ""
    article = "an" if choice.kind[0] in "aeiou" else "a"
    return f"{_shown(given)} is not {article} {choice.kind}; choose one of {choices(choice.names())}{hint}"


def _literals(annotation: object) -> tuple[object, ...]:
    """The values of a literal type, or of the literal in an optional one."""
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    return tuple(value for part in typing.get_args(annotation) for value in _literals(part))


def _allowed(annotation: object) -> str:
    choice = choice_of(annotation)
    names = _literals(annotation) if choice is None else tuple(choice.names())
    return f"; choose one of {choices(names)}" if names else ""


def _tags(annotation: object) -> str:
    return choices(typing.get_args(model.model_fields["source"].annotation)[0] for model in _members(annotation))


def _unknown_key(location: Location, values: Mapping[str, Any]) -> str:
    """An unknown key, the nearest known one, and all that are allowed here."""
    key = str(location[-1])
    parent = type_at(location[:-1], values)
    known = list(parent.model_fields) if isinstance(parent, type) and issubclass(parent, BaseModel) else []
    if location[0] == "arms" and len(location) == 3:
        for section, model in (("rollouts", Rollouts), ("training", Training)):
            if key in model.model_fields:
                return f"arms share how they are trained and evaluated; set {key} once for all of them, under {section}"
        for section in SECTIONS:
            fields = {name for member in _members(hints_of(Study)[section]) for name in member.model_fields}
            if key in fields:
                return f"unknown key; it is one of {section}: write {section}: {{{key}: ...}}"
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown key; {hint}allowed here: {choices(known)}"


def _members(annotation: object) -> list[type[BaseModel]]:
    """The models of an optional or a union, in order."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [member for part in typing.get_args(annotation) for member in _members(part)]
    if typing.get_origin(annotation) is tuple:  # one of them may stand without its list
        return _members(typing.get_args(annotation)[0])
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def type_at(location: Location, values: Mapping[str, Any]) -> object:
    """The type a study expects at ``location``; of several models, the one that ``source`` names."""
    annotation: object = Study
    here: Any = values
    for part in location:
        annotation = _inside(annotation, part, here)
        here = here.get(part) if isinstance(here, Mapping) else None
    members = _members(annotation)
    return _chosen(members, here) or annotation if members else annotation


def _inside(annotation: object, part: str | int, here: Any) -> object:
    """The type of what stands under ``part`` in a value ``here`` of a type."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    members = [] if isinstance(part, int) else _members(annotation)
    if members:
        model = _chosen(members, here)
        return hints_of(model).get(str(part)) if model else None
    arguments = typing.get_args(annotation)
    return arguments[1] if typing.get_origin(annotation) is dict else (arguments or (None,))[0]


def _chosen(members: list[type[BaseModel]], here: Any) -> type[BaseModel] | None:
    if len(members) == 1:
        return members[0]
    if GivenArm in members:
        return GivenArm if whose(here) == "given" else Arm
    source = here.get("source") if isinstance(here, Mapping) else None
    for model in members:
        if source in typing.get_args(model.model_fields["source"].annotation):
            return model
    return None
