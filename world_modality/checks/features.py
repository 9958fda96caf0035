"""Do a dataset's features fit the simulator and the policies: cameras, state and action, by name, type and size?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from world_modality.checks.finding import Finding
from world_modality.data.description import INFO, Description
from world_modality.data.schema import ACTION, STATE, camera_column
from world_modality.facts.benchmarks import Suite

FLOATS = ("float16", "float32", "float64")
DATA = "data"


@dataclass(frozen=True)
class Asked:
    """What a study asks of its data."""

    suites: tuple[Suite, ...]
    """That every arm is evaluated on."""
    pictures: Mapping[str, tuple[str, ...]]
    """Name of a policy in the study -> the columns of pictures that it takes, of policies that say so."""
    cameras: tuple[str, ...]
    """Columns whose latents arms read."""

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns of the pictures that the simulators show."""
        return tuple(dict.fromkeys(camera_column(camera) for suite in self.suites for camera in suite.cameras))


def feature_findings(description: Description, asked: Asked) -> Iterator[Finding]:
    """Errors of features that no training or no rollout of the study could work with."""
    yield from _camera_findings(description, asked)
    for suite in asked.suites:
        numbers = ((STATE, suite.state), (ACTION, suite.action.names))
        found = [finding for name, own in numbers for finding in _number_findings(description, name, own, suite)]
        if found:
            yield from found
            return


def _camera_findings(description: Description, asked: Asked) -> Iterator[Finding]:
    there, shown = description.cameras, asked.shown
    strange = tuple(name for name in there if name not in shown)
    needed: dict[str, str] = {}
    for policy, pictures in asked.pictures.items():
        for name in pictures:
            if name in shown and name not in there:
                needed.setdefault(name, f"{policy} takes it")
        if not set(pictures) <= set(there) and strange:  # then LeRobot takes all of the data's
            for name in shown:
                if name not in there:
                    needed.setdefault(name, "the simulator shows it")
    for name in asked.cameras:
        if name not in there:
            needed.setdefault(name, "an arm's latents are made of it")
    for name, why in needed.items():
        yield Finding("error", DATA, INFO, f"there is no {name}, and {why}: {_remedy(name, strange, there)}")


def _remedy(name: str, strange: Sequence[str], there: Sequence[str]) -> str:
    if len(strange) == 1:
        return (
            f"the data have {strange[0]}, which the simulator does not show, so it may be the same camera: rename it "
            f"to {name} in {INFO}, meta/stats.json, the tables' columns and below videos, or take other data"
        )
    if strange:
        return f"the data have {', '.join(strange)}: rename the right one to {name}, or take other data"
    return f"the data have {', '.join(there) or 'no pictures'}: take data with it, or a policy that does without it"


def _number_findings(description: Description, name: str, own: tuple[str, ...], suite: Suite) -> Iterator[Finding]:
    feature = description.features.get(name)
    if feature is None:
        others = [other for other in description.features if other.endswith((name, f"{name}s", name.split(".")[-1]))]
        meant = f" (is it {' or '.join(others)}?)" if others else ""
        yield Finding(
            "error", DATA, INFO, f"there is no {name}{meant}: rename or add it, as {len(own)} numbers {', '.join(own)}"
        )
        return
    shape, kind = feature["shape"], feature["dtype"]
    if kind not in FLOATS:
        yield Finding("error", DATA, INFO, f"{name} is of type {kind}, not float32: convert it")
    if shape != [len(own)]:
        yield Finding(
            "error",
            DATA,
            INFO,
            f"{name} has {_size(shape)} numbers, and {suite.name} {_takes(name)} {len(own)} ({', '.join(own)}): take "
            "data of this robot, or bring them into that form",
        )
        return
    named = _names(feature)
    if len(named) == len(own) and set(named) == set(own) and tuple(named) != own:
        yield Finding(
            "error",
            DATA,
            INFO,
            f"{name} is {', '.join(named)} in this order, and {suite.name} {_takes(name)} {', '.join(own)}: reorder "
            "the numbers",
        )


def _takes(name: str) -> str:
    return "takes" if name == ACTION else "gives"


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "no"


def _names(feature: Mapping[str, Any]) -> list[str]:
    """The names of a feature's numbers, however they are nested; none if it has none."""
    names = feature.get("names")
    if isinstance(names, dict):
        names = next(iter(names.values()), None)
    return [str(name) for name in names] if isinstance(names, list) else []
