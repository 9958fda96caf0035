"""Values of a study that are more than a number or a word: how they may be written, and what they become."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from world_modality.facts.benchmarks import camera_names
from world_modality.study.specs import TrainMode
from world_modality.study.suites import INIT_STATES, SUITES, SuiteName


def _numbers(value: Any) -> Any:
    """``"0-3"``, ``7`` or ``["0-3", 7]`` as a tuple of whole numbers; PydanticCustomError when it is none of these."""
    numbers: list[int] = []
    for item in value if isinstance(value, list | tuple) else [value]:
        span = re.fullmatch(r"(\d{1,9})-(\d{1,9})", item) if isinstance(item, str) else None
        if span and int(span[1]) <= int(span[2]):
            numbers.extend(range(int(span[1]), min(int(span[2]), int(span[1]) + INIT_STATES) + 1))
        elif isinstance(item, int) and not isinstance(item, bool):
            numbers.append(item)
        else:
            raise PydanticCustomError(
                "init_states", "{given} is not a range such as 0-29 or a list of numbers", {"given": repr(item)}
            )
    for number in numbers:
        if not 0 <= number < INIT_STATES:
            raise PydanticCustomError(
                "init_states", "{given} is not an initial state; choose from 0-49", {"given": number}
            )
    if not numbers or len(set(numbers)) < len(numbers):
        raise PydanticCustomError("init_states", "must name at least one initial state, and each only once")
    return tuple(numbers)


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
            choice = {"given": repr(name), "suites": ", ".join(SUITES)}
            raise PydanticCustomError("suites", "{given} is not allowed; choose one of {suites}", choice)
    return names


def _camera(name: str) -> str:
    """The name of a camera; PydanticCustomError if no suite has it."""
    if name not in camera_names():
        choice = {"given": repr(name), "cameras": ", ".join(camera_names())}
        raise PydanticCustomError("cameras", "{given} is not allowed; choose one of {cameras}", choice)
    return name


def as_tuple(value: Any) -> Any:
    """A list as a tuple; anything else as it is, for pydantic to judge."""
    return tuple(value) if isinstance(value, list) else value


InitStates = Annotated[
    tuple[int, ...],
    BeforeValidator(_numbers),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\d+-\d+$"},
                {"type": "integer", "minimum": 0, "maximum": INIT_STATES - 1},
                {"type": "array", "minItems": 1, "items": {"type": ["integer", "string"]}},
            ]
        }
    ),
]
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
HeldOut = Annotated[
    float,
    Field(
        ge=0,
        le=0.5,
        description="Share of every task's episodes that no arm is trained on, at least one of each task that has two "
        "or more: the Prophet is judged on them. With 0 it is judged on what it was trained on.",
    ),
]
Suites = Annotated[
    tuple[SuiteName, ...],
    BeforeValidator(_suites),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(SUITES)},
                {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": list(SUITES)}},
            ]
        }
    ),
]
Modes = Annotated[tuple[TrainMode, ...], BeforeValidator(as_tuple)]
Camera = Annotated[str, AfterValidator(_camera), WithJsonSchema({"type": "string", "enum": list(camera_names())})]
Cameras = Annotated[
    tuple[Camera, ...],
    BeforeValidator(as_tuple),
    Field(min_length=1, json_schema_extra={"minItems": 1, "uniqueItems": True}),
]
