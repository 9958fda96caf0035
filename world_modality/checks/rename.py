"""What a checkpoint calls the cameras: one rename of the simulator's columns, and which cameras stay empty.

A rename has the shape of LeRobot's ``rename_map``: a column of the simulator -> a feature of the checkpoint. What is
not named is matched where that is unambiguous: by equal names, by words (a wrist camera is one), by numbers, or because
one is left on either side. Whatever is matched is told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.facts.benchmarks import Suite

RENAME_FILE = "rename.json"
"""In a checkpoint's folder: the rename that belongs to it."""
PICTURES = "observation.images."
STATE = "observation.state"
EMPTY_CAMERA = "empty_camera"
"""In the names of pictures that a policy of LeRobot's fills itself."""
WRIST = re.compile(r"wrist|hand|gripper|ego", re.IGNORECASE)
SCENE = re.compile(r"scene|agent|third|front|base|exterior|static|top|head|main", re.IGNORECASE)

Rename = Mapping[str, str]


@dataclass(frozen=True)
class Match:
    """How the simulator's cameras become the checkpoint's."""

    rename: Rename
    """Column -> feature, of those whose names differ,"""
    empty: tuple[str, ...] = ()
    """features that stay empty,"""
    proposed: Rename = field(default_factory=dict)
    """and of the rename what nobody asked for."""
    problem: str = ""
    """Why there is no match, in one clause with its remedy; empty if there is one."""

    def told(self) -> str:
        """The whole match for people, in one line; empty where all names are equal and nothing is empty."""
        empty = [f"{short(name)} stays empty" for name in self.empty]
        return ", ".join([*([told_rename(self.rename)] if self.rename else []), *empty])


def told_rename(rename: Rename) -> str:
    """A rename for people, in one line."""
    return ", ".join(f"{short(ours)} is the policy's {short(theirs)}" for ours, theirs in rename.items())


def full(name: str) -> str:
    """A name as it is in LeRobot's features: a camera may be called without what its column begins with."""
    return name if "." in name or name == "action" else f"{PICTURES}{name}"


def short(name: str) -> str:
    """A camera's name without what its column begins with."""
    return name.removeprefix(PICTURES)


def parse_rename(text: str, option: str = "--rename") -> dict[str, str]:
    """``{"image": "camera1"}``, as LeRobot's ``--rename_map``, with full names; UserError if it is none."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UserError(f'{option}: {text} is no JSON ({error}); write {{"image": "camera1"}}') from error
    return checked_rename(found, option)


def checked_rename(found: Any, option: str) -> dict[str, str]:
    """A mapping of names with full names; UserError unless it is one, each name once on either side."""
    if not isinstance(found, dict) or not all(
        isinstance(each, str) and each for pair in found.items() for each in pair
    ):
        raise UserError(f'{option}: give names by names, such as {{"image": "camera1"}}')
    rename = {full(ours): full(theirs) for ours, theirs in found.items()}
    twice = [theirs for theirs in rename.values() if list(rename.values()).count(theirs) > 1]
    if twice or len(rename) < len(found):
        raise UserError(f"{option}: {twice[0] if twice else 'a column'} comes twice; name each once")
    return rename


def own_rename(folder: Path) -> dict[str, str]:
    """The rename that lies in a checkpoint's folder; UserError if it is damaged."""
    file = folder / RENAME_FILE
    if not file.is_file():
        return {}
    return parse_rename(file.read_text(), str(file))


def match_cameras(config: Mapping[str, Any], suite: Suite, asked: Rename, trained: Rename) -> Match:
    """How a suite's columns become what a checkpoint's config.json asks for.

    Args:
        config: the checkpoint's settings.
        suite: who simulates.
        asked: what the user, or the checkpoint's folder, says; may also hold names of statistics.
        trained: the ``rename_map`` of the checkpoint's own preprocessor, which comes after ours.
    """
    columns = [*map(full, suite.cameras), STATE]
    features = dict(config.get("input_features") or {})
    wanted = [name for name in features if features[name].get("type") == "VISUAL" and EMPTY_CAMERA not in name]
    explicit = {ours: theirs for ours, theirs in asked.items() if ours in columns}
    before = {theirs: ours for ours, theirs in trained.items()}  # of the checkpoint's own rename
    for ours, theirs in explicit.items():
        if theirs not in {*features, *before.values()}:
            listed = ", ".join(map(short, features))
            return Match({}, problem=f"{short(ours)} is renamed to {short(theirs)}, and the policy has {listed}")
    shown = {explicit.get(column, column): column for column in columns}
    shown = {trained.get(name, name): column for name, column in shown.items()}
    if len(shown) < len(columns):
        return Match({}, problem="two of the simulator's columns become the same feature: name each feature once")
    open_features = [name for name in wanted if name not in shown]
    open_columns = [
        column for name, column in shown.items() if name not in wanted and column != STATE and column not in explicit
    ]
    pairs, problem = _pairs(open_features, open_columns, suite, int(config.get("empty_cameras") or 0))
    if problem:
        return Match(explicit, problem=problem)
    empty = tuple(name for name in open_features if name not in pairs.values())
    return Match({**explicit, **pairs}, empty, pairs)


def _pairs(features: Sequence[str], columns: Sequence[str], suite: Suite, empty: int) -> tuple[dict[str, str], str]:
    """Column -> feature for what is left on either side, or why not."""
    pairs = by_words(features, columns, suite.cameras)
    left = [name for name in features if name not in pairs.values()]
    free = [name for name in columns if name not in pairs]
    numbered = _by_number(left)
    if len(left) == len(free) == 1:
        pairs[free[0]] = left[0]
    elif numbered:
        pairs |= dict(zip(free, numbered, strict=False))
    lacking = [name for name in features if name not in pairs.values()]
    if len(lacking) <= empty and (pairs or not columns or not lacking):
        return pairs, ""
    return {}, _problem(lacking, [name for name in columns if name not in pairs], empty)


def by_words(features: Sequence[str], columns: Sequence[str], cameras: Mapping[str, str]) -> dict[str, str]:
    """Column -> feature where one name on either side is that of a wrist camera, or of a scene camera.

    ``cameras`` says what each of the columns' cameras shows.
    """
    pairs: dict[str, str] = {}
    for word in (WRIST, SCENE):
        theirs = [name for name in features if word.search(short(name))]
        ours = [column for column in columns if word.search(cameras[short(column)])]
        if len(theirs) == len(ours) == 1 and theirs[0] not in pairs.values():
            pairs[ours[0]] = theirs[0]
    return pairs


def unlike(name: str, shows: str) -> bool:
    """Whether a name is a wrist camera's and ``shows``, what a camera shows, says a scene, or the other way round."""
    kinds = [[bool(word.search(text)) for word in (WRIST, SCENE)] for text in (short(name), shows)]
    return kinds in ([[True, False], [False, True]], [[False, True], [True, False]])


def _by_number(features: Iterable[str]) -> list[str]:
    """Features in the order of the numbers that they end with; none unless they are numbered without a gap."""
    found = {}
    for name in features:
        ends = re.fullmatch(r"(.*?)(\d*)", short(name))
        assert ends is not None
        found[name] = (ends[1], int(ends[2] or 1))  # image, image2
    numbers = sorted(number for _, number in found.values())
    one_stem = len({stem for stem, _ in found.values()}) == 1
    if not one_stem or numbers not in ([*range(len(numbers))], [*range(1, len(numbers) + 1)]):
        return []
    return sorted(found, key=lambda name: found[name][1])


def _problem(lacking: Sequence[str], free: Sequence[str], empty: int) -> str:
    told = f"the policy looks at {', '.join(lacking)}, which the simulator does not give"
    if free:
        example = json.dumps(dict(zip(map(short, free), map(short, lacking), strict=False)))
        return f"{told}: say which of {', '.join(map(short, free))} it is, such as --rename '{example}'"
    allowed = f"allows {empty} empty" if empty else "allows none to be empty"
    return (
        f"{told}, and its config.json {allowed}: if it was trained without, set empty_cameras there to {len(lacking)}"
    )
