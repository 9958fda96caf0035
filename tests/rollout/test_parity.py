"""Stock ``lerobot-eval`` and ``wm rollout`` as they are typed: the same episodes to the last bit of every joint."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from stand_ins import STAND_INS
from support.onlookers import PLUGIN_TYPE, ours, stock
from support.other_policies import SIZE, other_checkpoint
from support.parity import OURS, STOCK, Match, known_to_lerobot, last_line, pairs
from support.pictures import see_pictures_of
from support.sim_specs import sim_spec
from support.tiny_checkpoints import plain_checkpoint

from world_modality.benchmarks.libero.libero_config import ASSETS_VARIABLE
from world_modality.benchmarks.libero.simulator import LiberoSimulator


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """LeRobot's changes to this process put back, and one thread, as rollouts have: more would round otherwise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(ASSETS_VARIABLE, str(STAND_INS))
    torch.set_num_threads(1)
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def checkpoint(kind: str, folder: Path) -> Path:
    if kind == "act":
        return other_checkpoint("act", folder)
    see_pictures_of(plain_checkpoint(folder / "ours"), SIZE)
    return known_to_lerobot(folder / "ours", folder / "plain")


@pytest.mark.parametrize(
    ("kind", "episodes", "environment"),
    [
        ("act", 2, "libero"),
        pytest.param("smolvla", 1, "libero", marks=pytest.mark.slow),
        pytest.param("act", 2, PLUGIN_TYPE, marks=pytest.mark.slow),
    ],
)
def test_lerobot_eval_and_ours_play_the_same_episodes(
    tmp_path: Path, kind: str, episodes: int, environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    policy, assets = checkpoint(kind, tmp_path / kind), str(STAND_INS)
    match = Match(policy, "libero_spatial", 0, episodes, horizon=6, assets=assets, environment=environment)
    for name, evaluator, flags in ((STOCK, stock, match.stock_flags), (OURS, ours, match.our_flags)):
        notes = tmp_path / f"{name}-notes"
        notes.mkdir()
        evaluator(notes, flags(tmp_path / name))
    assert "seeds        lerobot-eval's from 1000; its scenes are others where" in capsys.readouterr().out
    found = pairs(match, tmp_path)
    assert [pair.name for pair in found] == ["task0_init0_seed1000", "task0_init1_seed1001"][:episodes]
    assert [(pair.stock.steps, pair.apart, pair.equal) for pair in found] == [(6, None, True)] * episodes
    assert np.ptp(found[0].ours.positions[:, :7], axis=0).max() > 1e-3  # the arm does move
    assert f"equal_trajectories={episodes} successes=0 max_joint_difference=0" in last_line(kind, found)


def test_where_a_drawer_is_open_lerobots_scene_depends_on_the_resets_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """hf-libero draws the drawer once more at every load of a scene, ahead of the cabinet's place; ours draws it once.

    With as many draws, ours is LeRobot's scene to the last bit, so there is nothing else that differs.
    """
    ours = LiberoSimulator(sim_spec("stock", 16, settle_steps=1, exact=True), 4, STAND_INS)
    from lerobot.envs.libero import LiberoEnv, _get_suite
    from libero.libero.envs.bddl_base_domain import OpenCloseSampler

    size = {"observation_height": 16, "observation_width": 16}
    theirs = LiberoEnv(_get_suite("libero_spatial"), 4, "libero_spatial", num_steps_wait=1, **size)
    theirs.reset(seed=7)
    inner = theirs._env.env
    place, joints = (np.array(each) for each in (inner.sim.data.body_xpos, inner.sim.data.qpos))
    ours.reset(0, 7)
    assert not np.array_equal(ours._sim_env.sim.data.body_xpos, place)
    draws, draw = len(inner.object_property_initializers), OpenCloseSampler.sample
    assert draws == 3  # LeRobot resets a scene twice before the first episode's reset
    monkeypatch.setattr(OpenCloseSampler, "sample", lambda self: [draw(self) for _ in range(draws)][-1])
    ours.reset(0, 7)
    assert np.array_equal(ours._sim_env.sim.data.body_xpos, place)
    assert np.array_equal(ours.qpos(), joints)
    theirs.close()
    ours.close()
