"""Scheduled sampling: a memory that is the true future at first and the prediction in the end."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.lerobot_training import Training, assert_equal
from support.tiny_policy import TinyWorld

from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy
from world_modality.errors import UserError
from world_modality.facts.world import WorldMemoryConfig

STEPS = 8
ALL = tuple(range(45))


def shown(policy: SmolVLAWorldPolicy, frames: tuple[int, ...], step: int) -> list[bool]:
    """Whether each frame's training memory is the true future after so many steps; else it must be the prediction."""
    batch = {"index": torch.tensor(frames)}
    policy.keyed_step.fill_(step)
    window = policy._window(policy.world, batch)
    with torch.no_grad():
        prediction = policy.world.prophet(window.history)
        memory = policy._training_memory(policy.world, batch, window, prediction, None)
    true = (memory == window.future[:, None]).flatten(1).all(1)
    assert (true | (memory == prediction).flatten(1).all(1)).all()
    return true.tolist()


def test_the_share_falls_from_all_to_none(tiny: TinyWorld) -> None:
    policy = tiny.policy("scheduled", world_truth_steps=STEPS)
    policy.train()
    shares = [sum(shown(policy, ALL, step)) / len(ALL) for step in range(STEPS + 3)]
    assert shares[0] == 1
    assert shares[STEPS:] == [0, 0, 0]
    for step, share in enumerate(shares[:STEPS]):
        assert share == pytest.approx(1 - step / STEPS, abs=0.25)
    assert shown(policy, ALL, 4) != shown(policy, ALL, 3)
    assert policy.config.truth_at(2) == 0.75
    policy.eval()  # judged as it is rolled out
    assert not any(shown(policy, ALL, 0))


def test_a_frame_s_lot_depends_on_step_and_frame_alone(tiny: TinyWorld) -> None:
    """So processes that share a batch, and a run that goes on, show the same frames the same."""
    policy = tiny.policy("scheduled", world_truth_steps=STEPS)
    policy.train()
    whole = shown(policy, ALL, 3)
    assert [*shown(policy, ALL[:7], 3), *shown(policy, ALL[7:], 3)] == whole
    torch.manual_seed(99)
    again = tiny.policy("scheduled", world_truth_steps=STEPS)
    again.train()
    assert shown(again, ALL[::-1], 3) == whole[::-1]
    other = tiny.policy("scheduled", world_truth_steps=STEPS, world_seed=6)
    other.train()
    assert shown(other, ALL, 3) != whole


def test_a_resumed_training_ends_with_the_same_weights(tiny: TinyWorld, tmp_path: Path) -> None:
    whole = Training(tiny.policy("scheduled", world_truth_steps=4, world_gate_init=0.5))
    whole.run(tiny, 0, 4)
    first = Training(tiny.policy("scheduled", world_truth_steps=4, world_gate_init=0.5))
    first.run(tiny, 0, 2)
    first.policy.save_pretrained(tmp_path)
    second = Training(tiny.load(tmp_path))
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.scheduler.load_state_dict(first.scheduler.state_dict())
    second.run(tiny, 2, 4)
    assert_equal(second.policy.state_dict(), whole.policy.state_dict())


def test_in_a_rollout_it_is_pred_and_knows_no_future(tiny: TinyWorld, tmp_path: Path) -> None:
    policy = tiny.policy("scheduled", world_gate_init=0.5).eval()
    assert policy.config.rollout_mode.name == "pred"
    assert not policy.config.rollout_mode.needs_future
    policy.save_pretrained(tmp_path)
    for file in tiny.base.glob("policy_*"):
        shutil.copy(file, tmp_path)
    seen = {**tiny.observation(0), "observation.world_history": torch.randn(1, 3, 1, 12)}
    noise = torch.randn(1, policy.config.chunk_size, policy.config.max_action_dim)
    language = {name: each for name, each in tiny.batch(0).items() if "language" in name}
    own = policy.predict_action_chunk({**seen, **language}, noise=noise)
    policy.config.world_memory_mode_rollout = "pred"
    assert torch.equal(policy.predict_action_chunk({**seen, **language}, noise=noise), own)
    policy.config.world_memory_mode_rollout = "zero"
    assert not torch.equal(policy.predict_action_chunk({**seen, **language}, noise=noise), own)
    with pytest.raises(UserError, match="world_memory_mode_rollout: 'scheduled' needs the future"):
        tiny.checkpoint("scheduled", world_memory_mode_rollout="scheduled")


def test_a_training_must_say_over_how_many_steps() -> None:
    config = WorldMemoryConfig(world_memory_mode_train="scheduled")
    with pytest.raises(UserError, match="world_truth_steps is 0: say over how many steps the memory 'scheduled'"):
        config.truth_at(0)
    assert replace(config, world_memory_mode_train="pred").truth_at(0) == 0
