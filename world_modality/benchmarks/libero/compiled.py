"""Scenes that are compiled once: robosuite describes a task's scene anew at every reset, and always in the same words.

Compiling reads every mesh and texture of the scene, which takes longer than all else that a reset does. A model of the
same scene is brought back to what it was instead, in all that is small; meshes and textures nobody changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import numpy as np

from world_modality.imports import replaced

LARGE = ("mesh_", "tex_", "hfield_", "skin_")
"""How the names of arrays begin that hold meshes and textures."""
STRUCTURES = ("opt", "stat", "vis")

_scenes: dict[str, Scene] = {}


@dataclass
class Scene:
    """A scene that was compiled in this process."""

    fresh: Mapping[str, Any]
    """What a model of it holds beside meshes and textures, as it was compiled."""
    models: WeakSet[Any] = field(default_factory=WeakSet)
    """Models of it that are still held by somebody."""


def compiled(description: str, own: Any) -> Any:
    """A mujoco.MjModel of a scene's MJCF, as if it had just been compiled.

    Args:
        description: the MJCF.
        own: a model that the caller is done with. It is the answer if it is of the same scene.
    """
    import mujoco

    scene = _scenes.get(description)
    if scene is None or not scene.models:
        model = mujoco.MjModel.from_xml_string(description)
        scene = _scenes.setdefault(description, Scene(dict(_values(model))))
    else:
        model = own if own in scene.models else copy(next(iter(scene.models)))
        for name, value in _values(model):
            _set(model, name, value, scene.fresh[name])
    scene.models.add(model)
    return model


@contextmanager
def compiling_once(own: Any = None) -> Iterator[None]:
    """Inside, robosuite gets its models from :func:`compiled`; ``own`` as there."""
    from robosuite.utils.binding_utils import MjSim

    def from_xml_string(description: str) -> Any:
        return MjSim(compiled(description, own))

    with replaced(MjSim, "from_xml_string", from_xml_string):
        yield


def _values(model: Any) -> Iterator[tuple[str, Any]]:
    """Everything that can be set in a model but meshes and textures: dotted names, and copies of the values."""
    for name in dir(model):
        if not name.startswith(("_", *LARGE)) and isinstance(getattr(model, name), np.ndarray):
            yield name, getattr(model, name).copy()
    for name in STRUCTURES:
        yield from _members(getattr(model, name), name)


def _members(structure: Any, where: str) -> Iterator[tuple[str, Any]]:
    for name in dir(structure):
        if name.startswith("_"):
            continue
        value = getattr(structure, name)
        if isinstance(value, np.ndarray):
            yield f"{where}.{name}", value.copy()
        elif isinstance(value, int | float):
            yield f"{where}.{name}", value
        elif not callable(value):
            yield from _members(value, f"{where}.{name}")


def _set(model: Any, name: str, now: Any, fresh: Any) -> None:
    """Give a value back, unless it has it still: some are read-only, and never change."""
    if np.array_equal(now, fresh, equal_nan=isinstance(now, np.ndarray) and now.dtype.kind == "f"):
        return
    *owners, last = name.split(".")
    for each in owners:
        model = getattr(model, each)
    if isinstance(fresh, np.ndarray):
        getattr(model, last)[...] = fresh
    else:
        setattr(model, last, fresh)
