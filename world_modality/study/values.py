"""What all parts of a study have in common, and values that are more than a number or a word: how they are written."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, PlainValidator, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError

from world_modality.facts.benchmarks import SUITES
from world_modality.study.rows import UNKNOWN_NAME, ModeName, SuiteName, choice_of

SAMPLED = "sampled"  # in place of recorded initial states: every episode's seed draws its scene
MOST_STATES = 10_000  # of one study; "0-999999999" must not fill the memory


def _numbers(value: Any) -> Any:
    """``"0-3"``, ``7`` or ``["0-3", 7]`` as a tuple of whole numbers; PydanticCustomError when it is none of these."""
    numbers: list[int] = []
    for item in value if isinstance(value, list | tuple) else [value]:
        span = re.fullmatch(r"(\d{1,9})-(\d{1,9})", item) if isinstance(item, str) else None
        if span and int(span[1]) <= int(span[2]):
            numbers.extend(range(int(span[1]), min(int(span[2]), int(span[1]) + MOST_STATES) + 1))
        elif isinstance(item, int) and not isinstance(item, bool) and item >= 0:
            numbers.append(item)
        else:
            raise PydanticCustomError(
                "init_states", "{given} is not a range such as 0-29 or a list of numbers", {"given": repr(item)}
            )
    if not numbers or len(set(numbers)) < len(numbers):
        raise PydanticCustomError("init_states", "must name at least one initial state, and each only once")
    return tuple(numbers)


def _placements(value: Any) -> Any:
    """``sampled``, or numbers of recorded initial states as in ``_numbers``."""
    return value if value == SAMPLED else _numbers(value)


def _tasks(value: Any) -> Any:
    """``all``, or a list of task numbers as a tuple; PydanticCustomError otherwise."""
    if value == "all":
        return value
    numbers = isinstance(value, list | tuple) and all(type(task) is int and task >= 0 for task in value)
    if not numbers or not value:
        raise PydanticCustomError(
            "tasks", "{given} is not a list of task numbers; write all or a list such as [0, 1]", {"given": repr(value)}
        )
    if len(set(value)) < len(value):
        raise PydanticCustomError("tasks", "names a task twice")
    return tuple(value)


def _suites(value: Any) -> Any:
    """A suite's name, or a list of names, as a tuple; PydanticCustomError for anything else."""
    names = as_tuple([value] if isinstance(value, str) else value)
    if not isinstance(names, tuple) or not names:
        raise PydanticCustomError("suites", "{given} is no suite and no list of suites", {"given": repr(value)})
    for name in names:
        if name not in SUITES:
            raise PydanticCustomError(UNKNOWN_NAME, "unknown name", {"choice": choice_of(SuiteName), "given": name})
    return names


def _renamed(value: Any) -> Any:
    """A map of names as pairs, sorted; what is no map as it is, for pydantic to judge."""
    return tuple(sorted(value.items())) if isinstance(value, dict) else value


def one_or_more(value: Any) -> Any:
    """A list as a tuple, and anything else as a tuple of one, for pydantic to judge."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def as_tuple(value: Any) -> Any:
    """A list as a tuple; anything else as it is, for pydantic to judge."""
    return tuple(value) if isinstance(value, list) else value


def _settings(value: Any) -> Any:
    """A mapping from names to plain values as a tuple of pairs, sorted; PydanticCustomError for anything else."""
    pairs = value.items() if isinstance(value, dict) else value
    if not isinstance(value, dict | tuple) or not all(isinstance(name, str) for name, _ in pairs):
        raise PydanticCustomError("settings", "{given} holds no names with values", {"given": repr(value)})
    for name, each in pairs:
        items = each if isinstance(each, list | tuple) else [each]
        if not all(item is None or isinstance(item, str | int | float | bool) for item in items):
            message = "{name} must be a number, a word, true, false, null or a list of these"
            raise PydanticCustomError("settings", message, {"name": name})
    return tuple(sorted((name, as_tuple(each)) for name, each in pairs))


Settings = Annotated[tuple[tuple[str, Any], ...], PlainValidator(_settings), WithJsonSchema({"type": "object"})]
NUMBERS: list[dict[str, Any]] = [
    {"type": "string", "pattern": r"^\d+-\d+$"},
    {"type": "integer", "minimum": 0},
    {"type": "array", "minItems": 1, "items": {"type": ["integer", "string"]}},
]
InitStates = Annotated[tuple[int, ...], BeforeValidator(_numbers), WithJsonSchema({"anyOf": NUMBERS})]
Placements = Annotated[
    tuple[int, ...] | Literal["sampled"],
    PlainValidator(_placements),
    WithJsonSchema({"anyOf": [{"const": SAMPLED}, *NUMBERS]}),
]
"""Recorded initial states, or that every episode draws its own scene."""
Rename = Annotated[
    tuple[tuple[str, str], ...],
    BeforeValidator(_renamed),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]
"""Written as a map of names -> names; pairs, so that it can be compared and hashed."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # as far as numpy's random generator goes
Seeds = Annotated[tuple[Seed, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Tasks = Annotated[
    tuple[int, ...] | Literal["all"],
    PlainValidator(_tasks),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "all"},
                {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "integer", "minimum": 0}},
            ]
        }
    ),
]
StepWeights = Annotated[tuple[Annotated[float, Field(ge=0)], ...], BeforeValidator(as_tuple)]
"""One number per frame ahead."""
HeldOut = Annotated[
    float,
    Field(
        ge=0,
        le=0.5,
        description="Share of every task's episodes that no arm is trained on, at least one of each task that has two "
        "or more: the Prophet is judged on them. With 0 it is judged on what it was trained on.",
    ),
]


class OneOrMore:
    """In the schema, one item may stand without its list."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        several = handler(schema) | {"minItems": 1, "uniqueItems": True}
        return {"anyOf": [several["items"], several]}


Suites = Annotated[tuple[SuiteName, ...], BeforeValidator(_suites), OneOrMore()]
Modes = Annotated[tuple[ModeName, ...], BeforeValidator(as_tuple)]
Cameras = Annotated[
    tuple[Text, ...],
    BeforeValidator(as_tuple),
    Field(min_length=1, json_schema_extra={"minItems": 1, "uniqueItems": True}),
]
"""Names as in the data; which there are is a fact of the suites."""


class Part(BaseModel):
    """Base of a study's parts: immutable, closed to unknown keys, no conversions (``"3"`` is not 3), all finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
