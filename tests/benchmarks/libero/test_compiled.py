"""A model that is brought back is, to the last bit, one that was just compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from world_modality.benchmarks.graphics import choose_opengl
from world_modality.benchmarks.libero import compiled
from world_modality.benchmarks.libero.compiled import LARGE, STRUCTURES
from world_modality.benchmarks.libero.compiled import compiled as compiled_model
from world_modality.benchmarks.libero.simulator import LiberoSimulator

choose_opengl()  # MuJoCo chooses when it is imported
import mujoco  # noqa: E402

SCENE = """
<mujoco>
  <asset>
    <mesh name="m" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/>
    <texture name="t" type="2d" builtin="flat" width="4" height="4"/>
  </asset>
  <worldbody>
    <body name="a" pos="1 2 3"><freejoint/><geom type="mesh" mesh="m"/><site name="s" rgba="1 0 0 1"/></body>
  </worldbody>
</mujoco>
"""


@pytest.fixture(autouse=True)
def nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_scenes", {})


def parts(model: Any) -> dict[str, bytes]:
    """All arrays of a model, and its structures in words."""
    arrays = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
    found = {name: value.tobytes() for name, value in arrays.items() if isinstance(value, np.ndarray)}
    return {**found, **{name: repr(getattr(model, name)).encode() for name in STRUCTURES}}


def spoil(model: Any) -> None:
    """Change whatever resets, steps and pictures change, and more."""
    model.body_pos[:] = 9
    model.site_rgba[:] = 0.5
    model.geom_group[:] = 5
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_SENSOR
    model.opt.gravity[:] = 0
    model.vis.quality.offsamples = 0
    model.vis.global_.offwidth = 1234
    model.stat.extent = 7


def test_a_model_that_is_given_back_is_as_compiled() -> None:
    fresh = parts(mujoco.MjModel.from_xml_string(SCENE))
    model = compiled_model(SCENE, None)
    spoil(model)
    assert parts(model) != fresh
    again = compiled_model(SCENE, model)
    assert again is model
    assert parts(again) == fresh


def test_a_second_model_of_a_scene_has_nothing_of_the_first() -> None:
    fresh = parts(mujoco.MjModel.from_xml_string(SCENE))
    first = compiled_model(SCENE, None)
    spoil(first)
    second = compiled_model(SCENE, None)
    assert second is not first
    assert parts(second) == fresh
    assert first.vis.quality.offsamples == 0  # whose owner still uses it


def test_a_model_of_another_scene_is_no_use() -> None:
    other = compiled_model(SCENE.replace("1 2 3", "1 2 4"), None)
    found = compiled_model(SCENE, other)
    assert found is not other
    assert found.body("a").pos.tolist() == [1, 2, 3]


def test_nothing_is_compiled_twice_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    compile_scene = mujoco.MjModel.from_xml_string
    monkeypatch.setattr(mujoco.MjModel, "from_xml_string", lambda xml: made.append(xml) or compile_scene(xml))
    model = compiled_model(SCENE, None)
    for _ in range(3):
        model = compiled_model(SCENE, model)
    assert len(made) == 1
    del model
    compiled_model(SCENE, None)
    assert len(made) == 2


def test_resets_are_those_of_scenes_that_were_compiled_anew(make_env: Callable[..., LiberoSimulator]) -> None:
    def course(env: Any) -> list[bytes]:
        env.reset(0, 3)
        found = [env.qpos().tobytes(), env.render("image").tobytes()]
        for _ in range(3):
            env.step(np.full(7, 0.3))
        return [*found, env.qpos().tobytes(), env.render("image2").tobytes()]

    env = make_env(0)
    course(env)
    again = course(env)  # of a model that was driven and drawn
    compiled._scenes.clear()
    assert course(env) == again
    assert not any(name.startswith(LARGE) for name in compiled._scenes[next(iter(compiled._scenes))].fresh)
