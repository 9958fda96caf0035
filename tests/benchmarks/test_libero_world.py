"""Stock LeRobot with the environment type ``libero_world``, which it finds by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from lerobot.envs.configs import LiberoEnv
from lerobot.envs.factory import make_env, make_env_config, make_env_pre_post_processors
from lerobot.envs.utils import NEW_ROLLOUT_OPTION, env_to_policy_features, preprocess_observation
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.utils.import_utils import register_third_party_plugins
from stand_ins import STAND_INS
from support.other_policies import SIZE, other_checkpoint
from support.rows import add_row
from wm_extension.rows import PUCKS

from world_modality.benchmarks.contract import make_expert
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    register_third_party_plugins()
    with pytest.MonkeyPatch.context() as patch:
        add_row(SUITES, PUCKS, patch, "wm-extension")
        yield


def test_a_policy_gets_what_lerobots_own_libero_gives_it() -> None:
    own = env_to_policy_features(LiberoEnv(observation_height=256, observation_width=256))
    found = env_to_policy_features(make_env_config("libero_world"))
    assert found["observation.state"].shape == (8,)
    keys = ["action", "observation.images.image", "observation.images.image2"]
    assert {key: found.pop(key) for key in keys} == {key: own[key] for key in keys}
    assert list(found) == ["observation.state"]


@pytest.mark.parametrize("suite", [suite.name for suite in SUITES])
def test_every_suite_is_known(suite: str) -> None:
    config = make_env_config("libero_world", task=suite)
    assert config.features["action"].shape == (SUITES[suite].action.size,)
    assert config.fps == SUITES[suite].control_rate
    assert config.features.keys() == config.features_map.keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": " , "}, "--env.task names no suite"),
        ({"pictures_every": 0}, "--env.pictures_every=0: set it to 1 or more"),
        ({"task": "libero_spatial,metaworld_easy"}, "metaworld_easy shows and takes other things than libero_spatial"),
        ({"fps": 10}, "--env.fps=10: libero_10 is simulated at 20 control steps per second and no others"),
        ({"task": "metaworld_easy", "exact": False}, "--env.exact=false: metaworld_easy has no quicker step; leave it"),
        ({"task": "metaworld_easy", "fps": 20}, "--env.fps=20: metaworld_easy is simulated at 80 control steps"),
    ],
)
def test_what_cannot_be_played_is_one_sentence(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_env_config("libero_world", **settings)


def test_the_suites_own_rate_may_be_said() -> None:
    """As a configuration that was saved and is read again does."""
    config = make_env_config("libero_world", task="metaworld_easy")
    assert make_env_config("libero_world", task="metaworld_easy", fps=config.fps) == config


def test_object_models_of_a_suite_that_needs_none_are_refused() -> None:
    with pytest.raises(UserError, match=r"--env\.assets is package, but pucks needs no object models; leave it out"):
        make_env(make_env_config("libero_world", task="pucks", assets="package"))


@pytest.mark.parametrize("tasks", [[], [0, 2]])
def test_tasks_that_are_not_there_are_one_sentence(tasks: list[int]) -> None:
    with pytest.raises(UserError, match=r"--env\.task_ids: pucks has tasks 0 to 1"):
        make_env(make_env_config("libero_world", task="pucks", task_ids=tasks))


def test_a_finished_environment_rests_until_the_next_rollout() -> None:
    config = make_env_config("libero_world", task="pucks", camera_size=32, task_ids=[1, 0], pictures_every=40)
    made = make_env(config, n_envs=2)
    assert list(made["pucks"]) == [0, 1]
    before, _ = make_env_pre_post_processors(config, ACTConfig())
    with closing(made["pucks"][0]) as env:
        env.reset(seed=[3, 4], options={NEW_ROLLOUT_OPTION: True})
        started = [each.unwrapped.simulator.init_state_digest for each in env.envs]
        expert = make_expert(PUCKS, env.envs[0].unwrapped.simulator, np.random.default_rng(0), None)
        for _ in range(PUCKS.horizon):
            seen, _, ended, _, told = env.step(np.stack([expert.act(), np.zeros(3, np.float32)]))
            if ended.any():
                break
        assert (ended.tolist(), told["is_success"].tolist()) == ([True, False], [True, False])
        for _ in range(2):  # the vector's own reset, and a step on the other side of it
            after, _, _, _, told = env.step(np.zeros((2, 3), np.float32))
        assert told["is_success"].tolist() == [True, False]
        assert np.array_equal(after["agent_pos"][0], seen["agent_pos"][0])
        assert [each.unwrapped.simulator.init_state_digest for each in env.envs] == started
        inputs = before(preprocess_observation(after))
        assert {name: tuple(value.shape) for name, value in inputs.items() if name.startswith("observation")} == {
            **{f"observation.images.{camera}": (2, 3, 32, 32) for camera in PUCKS.cameras},
            "observation.state": (2, 3),
        }
        env.reset(seed=[5, 6], options={NEW_ROLLOUT_OPTION: True})
        assert not {each.unwrapped.simulator.init_state_digest for each in env.envs} & {*started}
    made["pucks"][1].close()


def test_stock_lerobot_eval_plays_it(tmp_path: Path) -> None:
    """As it is typed, without a hub and without a word in LIBERO's own configuration, in processes of its own."""
    command = [
        *(sys.executable, "-m", "lerobot.scripts.lerobot_eval"),
        *(f"--policy.path={other_checkpoint('act', tmp_path / 'act')}", "--policy.device=cpu"),
        *("--env.type=libero_world", "--env.task=libero_spatial", "--env.task_ids=[1]", "--env.episode_length=5"),
        *(f"--env.assets={STAND_INS}", f"--env.camera_size={SIZE}", "--env.render=fast", "--env.pictures_every=4"),
        *("--eval.batch_size=2", "--eval.n_episodes=2", f"--output_dir={tmp_path / 'out'}"),
    ]
    left_alone = {name: value for name, value in os.environ.items() if not name.startswith(("LIBERO_", "LEROBOT_WM_"))}
    offline = {"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        command, cwd=tmp_path, env=left_alone | offline, input="", capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads((tmp_path / "out" / "eval_info.json").read_text())
    (task,) = found["per_task"]
    assert (task["task_group"], task["task_id"]) == ("libero_spatial", 1)
    assert task["metrics"]["successes"] == [False, False]
    assert len(task["metrics"]["video_paths"]) == 2
    assert f"libero_spatial: LIBERO's assets are {STAND_INS}" in result.stdout
    assert not (tmp_path / "home" / ".libero").exists()
