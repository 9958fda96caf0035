"""All that the future of a MetaWorld episode depends on, kept beside it and put back.

A reset begins with the moment after construction, so nothing of the episodes before can reach into one. MetaWorld
alone keeps Python attributes, moved bodies and the state of random generators from one episode to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.engine import copy_data

MODEL_FIELDS = ("body_pos", "body_quat", "site_pos")
"""What resets move in a task's model."""
SHARED = ("model", "data", "mujoco_renderer")
"""Attributes of an environment that stay the same objects for as long as it lives."""


@dataclass(frozen=True)
class Moment:
    """A moment between two control steps of one environment."""

    attributes: Mapping[str, Any]
    data: Any
    """mujoco.MjData: also what is derived, of which rewards read the last forward pass's."""
    model: Mapping[str, NDArray[Any]]


def take(env: Any) -> Moment:
    """The moment that a MetaWorld environment is in."""
    model = {name: getattr(env.model, name).copy() for name in MODEL_FIELDS}
    return Moment(_copied(vars(env)), copy(env.data), model)


def put_back(env: Any, moment: Moment) -> None:
    """Bring the environment that ``moment`` was taken of back to it."""
    for name, value in moment.model.items():
        getattr(env.model, name)[:] = value
    copy_data(env.data, env.model, moment.data)
    vars(env).clear()
    vars(env).update(_copied(moment.attributes))


def _copied(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy, except of what is shared and of views of MuJoCo's memory, which MetaWorld keeps some of."""
    kept = {id(value): value for name, value in attributes.items() if name in SHARED or _is_mujocos(value)}
    return deepcopy(dict(attributes), kept)


def _is_mujocos(value: Any) -> bool:
    """Whether an array's memory belongs to something that is no array."""
    if not isinstance(value, np.ndarray):
        return False
    owner: Any = value
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    return not isinstance(owner, np.ndarray)
