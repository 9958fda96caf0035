"""How far LIBERO's goals are from holding: in metres where something is put, as a share of a joint's way elsewhere.

By the rules of hf-libero's own predicates (``envs/object_states/base_object_states.py``): what they ask as a bound is
told here as the distance from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Interval = tuple[float, float]

RANGES = {
    "open": ("default_open_ranges", "default_close_ranges"),
    "close": ("default_close_ranges", "default_open_ranges"),
    "turnon": ("default_turnon_ranges", "default_turnoff_ranges"),
    "turnoff": ("default_turnoff_ranges", "default_turnon_ranges"),
}
"""Predicate -> the joint values at which it holds, and those of its opposite, as hf-libero's objects name them."""
ANY = ("open", "turnon")
"""Of several joints one is enough; of the others all are asked."""
UNDER = 0.01  # m that an object's origin may lie below a region that it is in
ABOVE = (-0.005, 0.10)  # m that it may lie over the upper side of a region that it is on


def goal_distances(sim_env: Any, goal: Sequence[Sequence[str]]) -> dict[str, float]:
    """By conjunct, such as "on plate_1 stove_1", how far it is from holding now; 0 where it holds.

    Metres from a thing's origin to the other thing's or to the region's box, or the share of a joint's way between the
    opposite state and the one asked for. Empty if one conjunct is none of those that this knows.
    """
    found = {}
    for conjunct in goal:
        distance = _distance(sim_env, conjunct)
        if distance is None:
            return {}
        found[" ".join(conjunct)] = distance
    return found


def _distance(sim_env: Any, conjunct: Sequence[str]) -> float | None:
    """None where the conjunct is unknown here, or of a thing without the joint values that it asks for."""
    if conjunct[0] in ("on", "in") and len(conjunct) == 3:
        return 0.0 if _holds(sim_env, conjunct) else _to_place(sim_env, *conjunct)
    ways = list(_ways(sim_env, conjunct[1], conjunct[0])) if conjunct[0] in RANGES else []
    if not ways:
        return None
    return 0.0 if _holds(sim_env, conjunct) else (min if conjunct[0] in ANY else max)(ways)


def _holds(sim_env: Any, conjunct: Sequence[str]) -> bool:
    # the simulator notes what is asked of its instance, so the class is asked
    return bool(type(sim_env)._eval_predicate(sim_env, list(conjunct)))


def _to_place(sim_env: Any, predicate: str, thing: str, target: str) -> float:
    if target in sim_env.object_sites_dict:
        return _to_region(sim_env, _origin(sim_env, thing), target, within=predicate == "in")
    return float(np.linalg.norm(_origin(sim_env, thing) - _origin(sim_env, target)))


def _origin(sim_env: Any, name: str) -> Vector:
    return np.array(sim_env.sim.data.body_xpos[sim_env.obj_body_id[name]])


def _to_region(sim_env: Any, point: Vector, name: str, *, within: bool) -> float:
    """Metres from a point to the box that the predicate asks for, of a region that stands along the table's sides.

    LIBERO's regions do. For one that is turned, its ``on`` asks in the region's axes what is asked here in the world's.
    """
    data = sim_env.sim.data
    middle = np.array(data.get_site_xpos(name))
    turned = np.asarray(data.get_site_xmat(name)).reshape(3, 3)
    half = np.abs(turned @ np.asarray(sim_env.object_sites_dict[name].size, dtype=np.float64))
    low, high = middle - half, middle + half
    top = high[2]
    low[2], high[2] = (low[2] - UNDER, top) if within else (top + ABOVE[0], top + ABOVE[1])
    return float(np.linalg.norm(np.maximum(0.0, np.maximum(low - point, point - high))))


def _ways(sim_env: Any, name: str, predicate: str) -> Iterator[float]:
    """Of every joint of a thing or region, the share of its way that is left; none of a thing without such ranges."""
    region = sim_env.object_sites_dict.get(name)
    thing = sim_env.get_object(name if region is None else region.parent_name)
    ranges: Mapping[str, Sequence[float]] = getattr(thing, "object_properties", {}).get("articulation", {})
    wanted, opposite = (_interval(ranges.get(key, ())) for key in RANGES[predicate])
    if wanted is None or opposite is None or not (whole := _gap(wanted, opposite)):
        return
    for joint in thing.joints if region is None else region.joints:
        value = float(sim_env.sim.data.qpos[sim_env.sim.model.get_joint_qpos_addr(joint)])
        yield _gap(wanted, (value, value)) / whole


def _interval(values: Sequence[float]) -> Interval | None:
    return (float(min(values)), float(max(values))) if len(values) else None


def _gap(one: Interval, other: Interval) -> float:
    """Between two intervals; 0 where they meet."""
    return max(0.0, one[0] - other[1], other[0] - one[1])
