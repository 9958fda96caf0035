"""LeRobot's own policies through the same door as SmolVLA: what they answer is what LeRobot would have them do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.envs.utils import preprocess_observation
from support.other_policies import CONFIGS, SIZE, other_checkpoint

from world_modality.errors import UserError
from world_modality.policies.chunk_policy import ChunkPolicy, load_policy
from world_modality.policies.question import Question
from world_modality.sim.environment import Observation


def observation(seed: int) -> Observation:
    rng = np.random.default_rng(seed)
    images: Any = {name: rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for name in ("image", "image2")}
    return Observation(images, rng.normal(size=8).astype(np.float32))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: other_checkpoint(name, tmp_path_factory.mktemp(name)) for name in CONFIGS}


def lerobots_actions(folder: Path, policy: ChunkPolicy, views: list[Observation], seed: int) -> np.ndarray:
    """What LeRobot's own loop does from the last of ``views`` on, after it has seen the others."""
    model = policy._policy
    pre, post = policy._preprocessor, policy._postprocessor
    model.reset()
    actions = []
    for step, view in enumerate([*views, *[views[-1]] * (policy.config.n_action_steps - 1)]):
        batch = preprocess_observation({"pixels": dict(view.images), "agent_pos": view.state[None]})
        batch = pre({**batch, "task": ["a task"]})
        if step == len(views) - 1:
            model._queues["action"].clear() if hasattr(model, "_queues") else model._action_queue.clear()
            torch.manual_seed(seed)
        with torch.inference_mode():
            action = post(model.select_action(batch))
        if step >= len(views) - 1:
            actions.append(action[0].numpy())
    return np.stack(actions)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_chunk_is_what_lerobots_loop_would_execute(folders: dict[str, Path], name: str) -> None:
    policy = load_policy(folders[name], batch=4)
    views = [observation(seed) for seed in range(policy.looks_back + 1)]
    chunk = policy.answer([Question(views[-1], "a task", 11, past=tuple(views[:-1]))])[0]
    expected = lerobots_actions(folders[name], policy, views, 11)
    np.testing.assert_array_equal(chunk[: len(expected)], expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_answer_depends_on_its_question_alone(folders: dict[str, Path], name: str) -> None:
    policy = load_policy(folders[name], batch=4)
    before = torch.get_rng_state()
    questions = [
        Question(observation(seed), "a task", seed, past=(observation(seed + 50),) * policy.looks_back)
        for seed in range(3)
    ]
    together = policy.answer(questions)
    assert torch.equal(torch.get_rng_state(), before)
    for question, chunk in zip(questions, together, strict=True):
        np.testing.assert_array_equal(policy.answer([question])[0], chunk)
    assert not np.array_equal(together[0], together[1])


def test_other_policies_have_no_world_memory(folders: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="has no world memory to fill with 'zero'"):
        load_policy(folders["act"], memory_mode="zero")
    assert load_policy(folders["act"], memory_mode="disabled", num_steps=5).trained_memory == "disabled"
