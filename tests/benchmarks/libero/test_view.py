import gc
from collections.abc import Callable

import numpy as np
import pytest
from stand_ins import STAND_INS
from support.sim_specs import sim_spec

from world_modality.benchmarks.libero import view
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.benchmarks.libero.view import CAMERAS


def looks(env: LiberoSimulator, count: int) -> list[np.ndarray]:
    """Pictures of both cameras along a wild trajectory, which turns the arm away from what it does."""
    rng = np.random.default_rng(0)
    env.reset(0, seed=0)
    drift = rng.uniform(-1, 1, 7)
    found = []
    for number in range(10 * count):
        if number % 50 == 0:
            drift = rng.uniform(-1, 1, 7)
        env.step(drift)
        if number % 10 == 9:
            found += [env.render(camera) for camera in CAMERAS]
    return found


@pytest.mark.parametrize(("task", "render"), [(0, "fast"), (4, "coarse")])
def test_what_is_out_of_sight_is_in_no_picture(
    make_env: Callable[..., LiberoSimulator], task: int, render: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(task, render)
    original, left_out = view.out_of_sight, []

    def counted(*arguments: object) -> np.ndarray:
        left_out.append(original(*arguments))
        return left_out[-1]

    monkeypatch.setattr(view, "out_of_sight", counted)
    without = looks(env, 25)
    assert np.mean([each.sum() for each in left_out[1::2]]) > 50  # the wrist camera sees little of the arm
    monkeypatch.setattr(view, "out_of_sight", lambda model, data, camera: np.zeros(model.ngeom, dtype=bool))
    for one, two in zip(without, looks(env, 25), strict=True):
        assert np.array_equal(one, two)


def test_stock_pictures_leave_nothing_out(
    make_env: Callable[..., LiberoSimulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(0, "stock")
    env.reset(0, seed=0)
    monkeypatch.setattr(view, "out_of_sight", None)
    assert env.render("image").std() > 10


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "forgotten"])
@pytest.mark.parametrize("render", ["fast", "stock"])
def test_a_simulator_that_goes_leaves_the_others_pictures_alone(render: str, closed: bool) -> None:
    """A process closes simulators of other tasks while some are in use; some may go by the garbage collector."""
    assets = STAND_INS
    staying, going = (LiberoSimulator(sim_spec(render), task, assets) for task in (0, 1))
    for env in (staying, going):
        env.reset(0, seed=0)
    before = staying.observe().images
    going.observe()
    staying.observe()  # its OpenGL context is the current one
    if closed:
        going.close()
    del env, going
    gc.collect()
    after = staying.observe().images
    for camera in CAMERAS:
        assert np.array_equal(before[camera], after[camera])
    staying.close()
