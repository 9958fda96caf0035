"""Conditions under which the table may be read at all, each checked and shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from world_modality.report.results import Results
from world_modality.rollout.records import Record

NAMED_UNITS = 5  # how many offending units a line names


@dataclass(frozen=True)
class Check:
    """One condition: ``passed`` is None where it does not apply."""

    name: str
    passed: bool | None
    detail: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        return asdict(self)


def run_checks(results: Results) -> tuple[Check, ...]:
    """All checks, in the order they are shown. Equal units, scenes and noise were enforced when loading."""
    units = f"{len(results.trials)} in each of {len(results.columns)} columns, the same scenes, seeds and noise"
    return (
        Check("every column holds the same units", True, units),
        *_zero_memory(results),
        _room(results),
        _uniform(results, "one set of software versions", _software),
        _uniform(results, "one kind of device", lambda record: record.device),
    )


def _zero_memory(results: Results) -> list[Check]:
    """Zero memory adds exactly nothing, so the arm trained on it must repeat the arm without memory, unit by unit."""
    plain = [column for column in results.columns if results.modes(column) == ("disabled", "disabled")]
    zero = [column for column in results.columns if results.modes(column) == ("zero", "zero")]
    return [_equal(results, treated, control) for control in plain for treated in zero]


def _equal(results: Results, treated: str, control: str) -> Check:
    odd = [
        trial
        for trial, record in results.records[treated].items()
        if _course(record) != _course(results.records[control][trial])
    ]
    name = f"{treated} equals {control}, unit by unit"
    if not odd:
        return Check(name, True, f"0 of {len(results.trials)} units differ")
    named = "; ".join(str(trial) for trial in odd[:NAMED_UNITS]) + ("; ..." if len(odd) > NAMED_UNITS else "")
    detail = f"{len(odd)} of {len(results.trials)} units differ: {named}"
    if any(record.device != "cpu" for record in results.every()):
        return Check(name, None, f"{detail} (not on CPU alone, where rounding may differ)")
    return Check(name, False, f"{detail} (on CPU this is a bug)")


def _course(record: Record) -> tuple[bool, int | None, int | None, str]:
    return record.success, record.steps, record.replans, record.course_digest


def _room(results: Results) -> Check:
    """A control at 0 or 100% leaves no room for a difference."""
    control = results.columns[0]
    outcomes = [record.success for record in results.records[control].values()]
    rate = sum(outcomes) / len(outcomes)
    return Check(f"{control} leaves room", 0 < rate < 1, f"{sum(outcomes)} of {len(outcomes)} units succeed")


def _software(record: Record) -> str:
    return ", ".join(f"{package} {version}" for package, version in sorted(record.versions.items()))


def _uniform(results: Results, name: str, value: Callable[[Record], str]) -> Check:
    seen: Sequence[str] = sorted({value(record) for record in results.every()})
    return Check(name, len(seen) == 1, seen[0] if len(seen) == 1 else f"{len(seen)} differ: {' / '.join(seen)}")
