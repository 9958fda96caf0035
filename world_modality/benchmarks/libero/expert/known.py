"""Which parts of a goal the expert has no skill for, judged by the scene and not by the task's name."""

from __future__ import annotations

from collections.abc import Sequence

from world_modality.benchmarks.libero.expert.goals import VERBS, Errand
from world_modality.benchmarks.libero.expert.scene import Scene

HAND_HALF = 0.09  # m that a hand which grips a handle from the front needs below it


def missing_skill(scene: Scene) -> str | None:
    """The first conjunct of the goal that no skill is for, and why; None if there are skills for all."""
    for conjunct in scene.goal:
        reason = _why_not(scene, conjunct)
        if reason is not None:
            return f"'{' '.join(conjunct)}': {reason}"
    return None


def impossible(scene: Scene, errands: Sequence[Errand]) -> str | None:
    """The first errand whose handle the hand cannot reach, and why; None if there is none."""
    for errand in errands:
        if errand.verb == "open" and not scene.holds(errand.condition):
            reason = _closed_for_good(scene, errand.thing)
            if reason is not None:
                return f"'{' '.join(errand.condition)}': {reason}"
    return None


def _why_not(scene: Scene, conjunct: Sequence[str]) -> str | None:
    verb = VERBS.get(conjunct[0])
    if verb is None:
        return f"it knows {', '.join(VERBS)} alone"
    if verb == "place":
        region = scene.region(conjunct[2])
        if conjunct[1] not in scene.objects:
            return f"{conjunct[1]} cannot be moved"
        if region is None and conjunct[2] not in scene.things:
            return f"{conjunct[2]} is no place that it sees"
        walled = region is not None and len(scene.roof(region)) > 0 and scene.mouth(region) is None
        if conjunct[0] == "in" and walled:
            return f"{conjunct[2]} is closed on all sides"
    if verb == "turn" and not scene.joints(conjunct[1]):
        return f"{conjunct[1]} has no knob"
    return None


def _closed_for_good(scene: Scene, name: str) -> str | None:
    region = scene.region(name)
    if region is None or region.owner is None or region.joint is None:
        return "it opens drawers alone"
    handle = scene.handle(region.owner, region.joint)
    if handle[2] - scene.boxes(region.owner).low[2] < HAND_HALF:
        return "the handle is so low that the hand does not fit before it"
    return None
