"""What arms take over from their study: the keys of a section that an arm names and does not fill in itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from world_modality.study.document import Location

SECTIONS = ("policy", "encoder", "world")
"""An arm may have these sections too. What it says there holds instead of what the study says, key by key."""


def with_inherited(values: Mapping[str, Any]) -> dict[str, Any]:
    """A study's plain values with every arm's sections filled in from the study's.

    A policy or an encoder that names a ``source`` is one of its own, of which the study's section says nothing.
    """
    arms = values.get("arms")
    if not isinstance(arms, Mapping):
        return dict(values)
    return {**values, "arms": {name: _filled(arm, values) for name, arm in arms.items()}}


def _filled(arm: Any, study: Mapping[str, Any]) -> Any:
    if not isinstance(arm, Mapping):
        return arm
    own = {
        section: {**study[section], **arm[section]}
        for section in SECTIONS
        if isinstance(arm.get(section), Mapping)
        and "source" not in arm[section]
        and isinstance(study.get(section), Mapping)
    }
    return {**arm, **own}


def section_of(location: Location) -> Location | None:
    """Where the study says what an arm may have taken over at ``location``; None for any other place."""
    if len(location) > 3 and location[0] == "arms" and location[2] in SECTIONS:
        return location[2:]
    return None
