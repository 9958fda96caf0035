"""How the objects of a scene move while it settles, beside how they do in the physics of published evaluations.

A scene that settles otherwise is another scene: from MuJoCo 3.4.0 on the bowl of libero_spatial's task 5 slips off its
ramekin, and one checkpoint's rate on that task was reported to fall from 98% to 12%.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from world_modality.benchmarks.contract import Pose

REFERENCE = Path(__file__).with_name("settling.json")
"""``tasks``, by suite, task and object: the least and the most of each number of :class:`Moved`, over several initial
states; ``apart``, by suite and task: recorded states that settle otherwise than these in that very physics, and so are
not compared; ``mujoco``, its version."""
SETTLE_STEPS = 10
"""Those of the reference, which are LIBERO's."""


@dataclass(frozen=True)
class Moved:
    """How an object moved from where its initial state has it to where it settled."""

    sideways: float  # m
    upwards: float  # m
    tilt: float  # degrees between its vertical axis then and now


TOLERANCE = Moved(sideways=0.01, upwards=0.004, tilt=5.0)
"""What two versions that agree differ by is far less."""
CALM = 7.0
"""m/s or rad/s: no scene of LIBERO's own five suites is faster while it settles; some of LIBERO-PRO's are, up to 38."""


def moved(placed: Pose, settled: Pose) -> Moved:
    """From one pose to the other; the tilt of q = q_settled q_placed^-1 is acos(1 - 2 (q_x^2 + q_y^2))."""
    step = settled[:3] - placed[:3]
    w, x, y, z = placed[3:]
    back = np.array([[w, x, y, z], [-x, w, -z, y], [-y, z, w, -x], [-z, -y, x, w]])  # of right multiplication by q^-1
    turn = back @ settled[3:]
    tilt = np.degrees(np.arccos(np.clip(1.0 - 2.0 * (turn[1] ** 2 + turn[2] ** 2), -1.0, 1.0)))
    return Moved(float(np.linalg.norm(step[:2])), float(step[2]), float(tilt))


def start_fault(
    suite: str, task: int, placed: Mapping[str, Pose], settled: Mapping[str, Pose], init_state: int | None = None
) -> str:
    """What starts otherwise than in the reference, in words, with the version that did it; empty if nothing does.

    Args:
        placed: the movable objects' poses in the initial state.
        settled: those after ``SETTLE_STEPS``; further ones do not count.
        init_state: the recorded state it was, if that is known.
    """
    known = reference()["tasks"].get(suite, {}).get(str(task))
    apart = reference()["apart"].get(suite, {}).get(str(task), [])
    if known is None or init_state in apart:
        return ""
    odd = [name for name, pose in placed.items() if not _fits(moved(pose, settled[name]), known.get(name))]
    if not odd:
        return ""
    how = moved(placed[odd[0]], settled[odd[0]])
    known_version, here = reference()["mujoco"], version("mujoco")
    moves = (
        f"{odd[0]} moved {100 * how.sideways:.1f} cm sideways and {100 * how.upwards:+.1f} cm upwards, and tilted by "
        f"{how.tilt:.0f} degrees"
    )
    if here == known_version:
        return (
            f"{', '.join(odd)} settled otherwise than in the initial states that are known ({moves}): this one does "
            "so, or the object models are others"
        )
    return (
        f"another scene than in published evaluations, whose rates cannot be compared: {', '.join(odd)} settled "
        f"otherwise than with MuJoCo {known_version} ({moves}), this is MuJoCo {here}"
    )


def collision_fault(fastest: float) -> str:
    """That objects collided while the scene settled, as its recorded state has them inside each other; empty if not.

    ``fastest`` is the largest absolute number among all velocities (m/s, rad/s) after any of its control steps.
    """
    if fastest <= CALM:
        return ""
    return (
        f"objects collided while the scene settled (speeds up to {fastest:.0f} m/s or rad/s): its recorded state has "
        "them inside each other, in published evaluations too"
    )


def _fits(found: Moved, known: list[list[float]] | None) -> bool:
    ranges = known or [[0.0, 0.0]] * 3  # objects that stay are not listed
    return all(
        low - tolerance <= value <= high + tolerance
        for value, tolerance, (low, high) in zip(astuple(found), astuple(TOLERANCE), ranges, strict=True)
    )


@cache
def reference() -> dict[str, Any]:
    """The file's JSON values: ``mujoco``, ``tasks`` and ``apart``."""
    loaded: dict[str, Any] = json.loads(REFERENCE.read_text())
    return loaded
