"""Whole episodes: what our scheduler does beside a plain loop of LeRobot's parts, which share nothing with it but
weights.

The plain loop is what one writes down without thinking of speed: LeRobot's LiberoEnv, which renders at every step, its
preprocessing, ``select_action`` with its queue, and for a memory every frame of the episode encoded as the cache does.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stand_ins import STAND_INS
from support.data_stages import encode_episode
from support.pictures import see_pictures_of
from support.tiny_checkpoints import ENCODER, plain_checkpoint, world_checkpoint
from support.toy_world import InlinePool

from lerobot_policy_world_modality.world_policy import WORLD_HISTORY
from world_modality.benchmarks.contract import Observation, Step
from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.embedded import BASE_POLICY
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.facts.benchmarks import SUITES
from world_modality.policies.chunk_policy import ChunkPolicy, load_policy
from world_modality.rollout.cell import Cell
from world_modality.rollout.episodes import Episode, environment_seed, flow_seed
from world_modality.rollout.history import history_maker
from world_modality.rollout.records import Ledger, Record
from world_modality.rollout.scheduler import Scheduler
from world_modality.store.progress import Progress
from world_modality.study.specs import SimSpec

SUITE, SETTLE = "libero_spatial", 10


@dataclass
class Trajectory:
    """What happened in an episode."""

    pictures: list[bytes] = field(default_factory=list)  # at queries, both cameras
    states: list[bytes] = field(default_factory=list)  # at queries
    actions: list[bytes] = field(default_factory=list)
    positions: list[bytes] = field(default_factory=list)  # of all joints after every step
    success: bool = False

    @property
    def steps(self) -> int:
        return len(self.actions)


class Watched(LiberoSimulator):
    """Our simulator, which notes what is done with it."""

    def reset(self, init_state: int | None, seed: int) -> None:
        self.trajectory: Trajectory | None = None
        super().reset(init_state, seed)
        self.trajectory = Trajectory()

    def step(self, action: Any) -> Step:
        step = super().step(action)
        if self.trajectory is not None:
            self.trajectory.actions.append(np.asarray(action, np.float32).tobytes())
            self.trajectory.positions.append(self.qpos().tobytes())
            self.trajectory.success = step.success
        return step

    def observe(self, cameras: Sequence[str] | None = None) -> Observation:
        seen = super().observe(cameras)
        assert self.trajectory is not None
        self.trajectory.pictures.append(b"".join(seen.images[name].tobytes() for name in ("image", "image2")))
        self.trajectory.states.append(seen.state.tobytes())
        return seen


@dataclass(frozen=True)
class Play:
    """How both loops play."""

    policy: ChunkPolicy
    memory: str
    size: int
    horizon: int
    n_action_steps: int
    encoder: Path | None = None


def ours(play: Play, episodes: list[Episode], folder: Path) -> tuple[list[Trajectory], list[Record]]:
    spec = SimSpec(
        suite=SUITE,
        assets=str(STAND_INS),
        assets_digest=ASSETS.digest(str(STAND_INS)),
        camera_size=play.size,
        render="stock",
        settle_steps=SETTLE,
        exact=True,
    )
    cell = Cell(SUITES[SUITE], spec, play.memory, play.n_action_steps, play.horizon, "c", "", "cpu", {})
    new_history = play.encoder and history_maker(play.policy.config, play.memory, ENCODER, play.encoder, "cpu")
    trajectories: list[Trajectory] = []

    class Noted(Watched):
        def reset(self, init_state: int | None, seed: int) -> None:
            super().reset(init_state, seed)
            assert self.trajectory is not None
            trajectories.append(self.trajectory)

    def opened(task: int) -> LiberoSimulator:
        return Noted(spec, task, STAND_INS)

    with closing(Ledger(folder, episodes)) as ledger, closing(InlinePool(opened)) as pool:
        plan = Scheduler(cell, ledger, play.policy, new_history, Progress("", stream=io.StringIO()), slots=1)
        plan.run(pool)  # type: ignore[arg-type]
        return trajectories, [ledger.done[episode] for episode in episodes]


def batched(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: batched(value) if isinstance(value, dict) else value[None] for key, value in tree.items()}


def plainly(play: Play, episode: Episode) -> Trajectory:
    """The episode by LeRobot's parts."""
    from lerobot.envs.libero import LiberoEnv, _get_suite
    from lerobot.envs.utils import preprocess_observation
    from lerobot.processor.env_processor import LiberoProcessorStep

    env = LiberoEnv(
        _get_suite(SUITE),
        episode.task,
        SUITE,
        obs_type="pixels_agent_pos",
        episode_index=episode.init_state,
        observation_width=play.size,
        observation_height=play.size,
        num_steps_wait=SETTLE,
    )
    policy: Any = play.policy
    model, pre, post = policy._policy, policy._preprocessor, policy._postprocessor
    encode = play.encoder and frames_to_history(play)
    trajectory, frames = Trajectory(), []
    raw, _ = env.reset(seed=environment_seed(SUITE, episode))
    model.reset()
    while trajectory.steps < play.horizon and not trajectory.success:
        seen = LiberoProcessorStep().observation(preprocess_observation(batched(raw)))
        images = [seen[f"observation.images.{name}"] for name in ("image", "image2")]
        pixels = [np.round(image[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8) for image in images]
        frames.append(pixels[0])
        replan, late = divmod(trajectory.steps, play.n_action_steps)
        if not late:
            trajectory.pictures.append(b"".join(picture.tobytes() for picture in pixels))
            trajectory.states.append(seen["observation.state"][0].numpy().tobytes())
        batch = pre({**seen, "task": [env.task_description]})
        if encode:
            batch[WORLD_HISTORY] = encode(frames)
        generator = torch.Generator().manual_seed(flow_seed(SUITE, episode, replan))
        noise = torch.randn((1, model.config.chunk_size, model.config.max_action_dim), generator=generator)
        with torch.inference_mode():
            action = post(model.select_action(batch, noise=noise))[0].numpy()
        raw, _, trajectory.success, _, _ = env.step(action)
        trajectory.actions.append(np.clip(action, -1, 1).astype(np.float32).tobytes())  # as robosuite's controller does
        trajectory.positions.append(np.array(env._env.sim.data.qpos).tobytes())
    env.close()
    return trajectory


def frames_to_history(play: Play) -> Callable[[list[Any]], torch.Tensor]:
    """The latents that a cache of the episode so far would hold for its last T frames; the first is repeated."""
    assert play.encoder is not None
    encoder = load_encoder(ENCODER, play.encoder)
    context = int(play.policy.config.world_context)

    def encode(frames: list[Any]) -> torch.Tensor:
        latents = encode_episode(encoder, np.stack(frames)).astype(np.float32)
        ends = [max(0, len(frames) - context + place) for place in range(context)]
        return torch.from_numpy(latents[ends])[None]

    return encode


def assert_equal_trajectories(play: Play, episodes: list[Episode], folder: Path) -> list[Record]:
    trajectories, records = ours(play, episodes, folder)
    for episode, trajectory, record in zip(episodes, trajectories, records, strict=True):
        expected = plainly(play, episode)
        assert trajectory.pictures == expected.pictures
        assert trajectory.states == expected.states
        assert trajectory.actions == expected.actions
        assert trajectory.positions == expected.positions
        assert (record.success, record.steps) == (expected.success, expected.steps)
        assert record.replans == len(expected.pictures)
    return records


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    found = {"smolvla": plain_checkpoint(root / "plain")}
    found["pred"] = world_checkpoint(root / "pred", found["smolvla"], "pred")
    for folder in found.values():
        see_pictures_of(folder, 64)
    found["encoder"] = root / "encoder"
    found["encoder"].mkdir()
    build_embedded_encoder(ENCODER, found["encoder"])
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "memory"), [("smolvla", "disabled"), ("pred", "pred")])
def test_episodes_of_random_weights(checkpoints: dict[str, Path], tmp_path: Path, name: str, memory: str) -> None:
    policy = load_policy(checkpoints[name], num_steps=2, n_action_steps=5)
    encoder = checkpoints["encoder"] if memory == "pred" else None
    play = Play(policy, memory, 64, 13, 5, encoder)
    records = assert_equal_trajectories(play, [Episode(0, 30, 0), Episode(0, 31, 1)], tmp_path)
    assert [(record.success, record.steps, record.replans) for record in records] == [(False, 13, 3)] * 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_episode_that_ends_in_success(tmp_path: Path) -> None:
    """The packaged policy, which was trained: what ends an episode is equal too."""
    policy = load_policy(BASE_POLICY, num_steps=5, n_action_steps=10)
    size = next(iter(policy.config.image_features.values())).shape[-1]
    (record,) = assert_equal_trajectories(Play(policy, "disabled", size, 220, 10), [Episode(0, 40, 0)], tmp_path)
    assert record.success
