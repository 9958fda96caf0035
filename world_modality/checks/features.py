"""Do a dataset's features fit the simulator and the policies: cameras, state and action, by name, type and size?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from world_modality.checks.finding import Finding
from world_modality.checks.rename import by_words, short, unlike
from world_modality.data.description import INFO, Description
from world_modality.data.renaming import LEROBOTS
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
    proposed = {**_meant_cameras(description, asked), **_meant_numbers(description, asked)}
    line = _line(description, proposed)
    yield from _camera_findings(description, asked, proposed, line)
    for suite in asked.suites:
        numbers = ((STATE, suite.state), (ACTION, suite.action.names))
        found = [each for name, own in numbers for each in _number_findings(description, name, own, suite, line)]
        if found:
            yield from found
            return


def _meant_cameras(description: Description, asked: Asked) -> dict[str, str]:
    """Column that the data lack -> the one of theirs that is the same camera, by words or as the only one left."""
    there, shown = description.cameras, {name: text for suite in asked.suites for name, text in suite.cameras.items()}
    strange = [name for name in there if name not in asked.shown]
    lacking = [name for name in asked.shown if name not in there]
    meant = by_words(strange, lacking, shown)
    left = [name for name in strange if name not in meant.values()]
    open_columns = [name for name in lacking if name not in meant]
    if len(left) == len(open_columns) == 1 and not unlike(left[0], shown[short(open_columns[0])]):
        meant[open_columns[0]] = left[0]
    return meant


def _meant_numbers(description: Description, asked: Asked) -> dict[str, str]:
    """State or action, if the data lack it -> the one feature of theirs that has its size and may be it."""
    suite, meant = asked.suites[0], {}
    for name, own in ((STATE, suite.state), (ACTION, suite.action.names)):
        fitting = [each for each in _others(description, name, len(own)) if _fits(description, each, len(own))]
        if name not in description.features and len(fitting) == 1:
            meant[name] = fitting[0]
    return meant if len(set(meant.values())) == len(meant) else {}


def _others(description: Description, name: str, size: int) -> list[str]:
    """What may be called otherwise than ``name``: by its name, or else by its size."""
    features = [each for each in description.features if each not in (STATE, ACTION, *LEROBOTS)]
    named = [each for each in features if each.endswith((name, f"{name}s", name.split(".")[-1]))]
    return named or [each for each in features if _fits(description, each, size)]


def _fits(description: Description, name: str, size: int) -> bool:
    feature = description.features[name]
    return feature["dtype"] in FLOATS and feature["shape"] == [size]


def _line(description: Description, proposed: Mapping[str, str]) -> str:
    """What a study says to rename these, beside what it renames already."""
    ours = {theirs: name for name, theirs in proposed.items()}
    stored = {description.stored(name): ours.get(name, name) for name in description.features}
    pairs = [f"{short(theirs)}: {short(name)}" for theirs, name in stored.items() if theirs != name]
    return f"data.rename: {{{', '.join(pairs)}}}"


def _camera_findings(
    description: Description, asked: Asked, proposed: Mapping[str, str], line: str
) -> Iterator[Finding]:
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
    open_names = [name for name in strange if name not in proposed.values()]
    for name, why in needed.items():
        remedy = f"{proposed[name]} seems to be it: if so, write {line}" if name in proposed else ""
        remedy = remedy or _remedy(name, open_names, there)
        yield Finding("error", DATA, INFO, f"there is no {name}, and {why}: {remedy}")


def _remedy(name: str, strange: Sequence[str], there: Sequence[str]) -> str:
    if strange:
        return (
            f"the data have {', '.join(strange)}: name the right one in data.rename, such as "
            f"{{{short(strange[0])}: {short(name)}}}, or take other data"
        )
    return f"the data have {', '.join(there) or 'no pictures'}: take data with it, or a policy that does without it"


def _number_findings(
    description: Description, name: str, own: tuple[str, ...], suite: Suite, line: str
) -> Iterator[Finding]:
    feature = description.features.get(name)
    if feature is None:
        others = _others(description, name, len(own))
        meant = f" (is it {' or '.join(others)}? Then name it in data.rename, such as {line})" if others else ""
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
