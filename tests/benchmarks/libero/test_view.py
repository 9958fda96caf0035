import gc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_ins import STAND_INS
from support.sim_specs import sim_spec
from support.whole_pictures import whole_pictures

from world_modality.benchmarks.libero import view
from world_modality.benchmarks.libero.sight import Unseen
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


class Watched:
    """What is decided to be out of sight."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.unseen: list[int] = []
        self.mirrored: list[int] = []  # -1 where no mirror is in the picture
        original = view.out_of_sight

        def watched(*arguments: Any) -> Unseen:
            unseen = original(*arguments)
            self.unseen.append(int(unseen.geoms.sum()))
            self.mirrored.append(-1 if unseen.mirrored is None else int(unseen.mirrored.sum()))
            return unseen

        monkeypatch.setattr(view, "out_of_sight", watched)


@pytest.mark.parametrize(("task", "render"), [(0, "fast"), (4, "coarse")])
def test_what_is_out_of_sight_is_in_no_picture(
    make_env: Callable[..., LiberoSimulator], task: int, render: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(task, render)
    watched = Watched(monkeypatch)
    without = looks(env, 15)
    assert np.mean(watched.unseen[1::2]) > 50  # the wrist camera sees little of the arm
    assert set(watched.mirrored) == {-1}
    with whole_pictures(render):
        for one, two in zip(without, looks(env, 15), strict=True):
            assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("suite", "task", "size"), [("libero_goal", 3, 64), ("libero_object", 0, 64), ("libero_10", 2, 256)]
)
def test_stock_pictures_are_mujocos_own(
    suite: str, task: int, size: int, original_assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the stove's mirror in the picture and beside it, and without any; the arm goes out of sight and comes."""
    setting = {"suite": suite, "assets": str(original_assets), "camera_size": size}
    spec = sim_spec("stock").model_copy(update=setting)
    with closing(LiberoSimulator(spec, task, original_assets)) as env:
        watched = Watched(monkeypatch)
        without = looks(env, 8)
        assert np.mean(watched.unseen) > 5
        seen = [each for each in watched.mirrored if each >= 0]
        if suite == "libero_object":
            assert not seen
        else:
            assert 0 < len(seen) < len(watched.mirrored)
            assert np.mean(seen) > 50  # of about 100 geoms that are shown
        with whole_pictures("stock"):
            for one, two in zip(without, looks(env, 8), strict=True):
                assert np.array_equal(one, two)


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
