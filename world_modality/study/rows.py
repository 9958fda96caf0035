"""Names of rows: checked against their table where a study is read, and found again in the specs that make keys."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from world_modality.facts.benchmarks import SUITES, render_styles
from world_modality.facts.encoders import ENCODERS, small_encoders
from world_modality.facts.memory import FUSIONS, MODES
from world_modality.facts.policies import DIALECTS, POLICIES, small_policies
from world_modality.facts.stages import STAGES, StageKind
from world_modality.facts.table import FactsOf, Table
from world_modality.store.machine import versions

UNKNOWN_NAME = "unknown_name"
"""pydantic's type of the error that a word is none of a choice's; its context holds the ``choice``."""


@dataclass(frozen=True)
class Choice:
    """Marks a string that must be one of some names, which are read when they are needed."""

    kind: str
    """What such a name is called in messages: "memory mode"."""
    names: Callable[[], Iterable[str]]
    table: Table[Any] | None = None
    """Whose rows they are, if they are a table's."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.names())}

    def _checked(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.names():
            raise PydanticCustomError(UNKNOWN_NAME, "unknown name", {"choice": self})
        return value


def row_of(table: Table[Any]) -> Choice:
    """The choice among a table's rows."""
    return Choice(table.kind, lambda: table.names, table)


SuiteName = Annotated[str, row_of(SUITES)]
PolicyFamilyName = Annotated[str, row_of(POLICIES)]
DialectName = Annotated[str, row_of(DIALECTS)]
EncoderFamilyName = Annotated[str, row_of(ENCODERS)]
ModeName = Annotated[str, row_of(MODES)]
FusionName = Annotated[str, row_of(FUSIONS)]
RenderName = Annotated[str, Choice("style of rendering", render_styles)]
SmallPolicyName = Annotated[str, Choice("small policy", small_policies)]
EmbeddedPolicyName = Annotated[str, Choice("policy of this package", lambda: small_policies(embedded=True))]
SmallEncoderName = Annotated[str, Choice("small encoder", small_encoders)]


def choice_of(annotation: Any) -> Choice | None:
    """What a type names one of, be it optional or several; None for any other type."""
    for part in (*getattr(annotation, "__metadata__", ()), *typing.get_args(annotation)):
        found = part if isinstance(part, Choice) else choice_of(part)
        if found is not None:
            return found
    return None


def rows_named_in(model: BaseModel) -> Iterator[tuple[Table[Any] | FactsOf, str]]:
    """Mark and name of every row that a spec, or a spec inside it, names; some more than once, none for ""."""
    for field, mark in _telling(type(model)):
        value = getattr(model, field)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, BaseModel):
                yield from rows_named_in(each)
            elif mark is not None and each:
                yield mark, each


@cache
def _telling(model: type[BaseModel]) -> tuple[tuple[str, Table[Any] | FactsOf | None], ...]:
    """The fields of a spec that can name rows, with their marks. A study's thousands of rollouts are of one type."""
    marks = {
        field: next((mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, Table | FactsOf)), None)
        for field, hint in hints_of(model).items()
    }
    hints = hints_of(model)
    return tuple((field, mark) for field, mark in marks.items() if mark is not None or _may_hold_specs(hints[field]))


def _may_hold_specs(hint: Any) -> bool:
    """Whether a value of a type can be a spec, or hold some."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return True
    return hint is Any or any(map(_may_hold_specs, typing.get_args(hint)))


@cache
def hints_of(model: type[BaseModel]) -> Mapping[str, Any]:
    """The types of a model's fields as they are written, with their marks."""
    hints = typing.get_type_hints(model, include_extras=True)
    return {field: hints[field] for field in model.model_fields}


def software_of(kind: StageKind, spec: BaseModel) -> dict[str, str]:
    """Versions that enter a stage's key: of the packages of its kind and of the rows that its spec names.

    Rows of other distributions, a kind of stage among them, add their distribution's version. What a stage reads has
    its own in its own key.
    """
    rows = dict.fromkeys(((STAGES, kind.name), *rows_named_in(spec)))
    named: set[str] = set()
    added: dict[str, str] = {}
    for mark, name in rows:
        if isinstance(mark, Table):
            named.update(getattr(mark[name], "packages", ()))
        added |= (mark.table if isinstance(mark, FactsOf) else mark).distribution(name)
    return versions(sorted(named)) | added
