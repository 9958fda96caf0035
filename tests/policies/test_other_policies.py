"""LeRobot's own policies through the same door as SmolVLA: what they answer is what LeRobot would have them do."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.envs.utils import preprocess_observation
from lerobot.processor import AbsoluteActionsProcessorStep, RelativeActionsProcessorStep
from support.other_policies import CONFIGS, SIZE, other_checkpoint
from support.tiny_pi0 import tiny_pi0, with_words

from world_modality.benchmarks.contract import Observation
from world_modality.errors import UserError
from world_modality.facts.policies import POLICIES
from world_modality.policies.chunk_policy import ChunkPolicy, load_policy
from world_modality.policies.contract import PolicyRequest


def observation(seed: int) -> Observation:
    rng = np.random.default_rng(seed)
    images: Any = {name: rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for name in ("image", "image2")}
    return Observation(images, rng.normal(size=8).astype(np.float32))


class Untouched:
    """A postprocessor without steps."""

    steps = ()

    def __call__(self, actions: torch.Tensor) -> torch.Tensor:
        return actions


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
    policy = load_policy(folders[name], batch=1)
    views = [observation(seed) for seed in range(policy.past_steps + 1)]
    chunk = policy.infer([PolicyRequest(views[-1], "a task", 11, past=tuple(views[:-1]))])[0]
    expected = lerobots_actions(folders[name], policy, views, 11)
    np.testing.assert_array_equal(chunk[: len(expected)], expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_answer_depends_on_its_request_alone(folders: dict[str, Path], name: str) -> None:
    """Neither on those that are asked with it, nor on its place among them, nor on what torch drew before."""
    policy = load_policy(folders[name], batch=4)
    past = policy.past_steps
    requests = [
        PolicyRequest(
            observation(seed), "a task", seed, past=tuple(observation(50 + seed * past + n) for n in range(past))
        )
        for seed in range(6)
    ]
    alone = [policy.infer([request])[0] for request in requests]
    assert len({chunk.tobytes() for chunk in alone}) == len(requests)
    rng = np.random.default_rng(3)
    for count in (4, 4, 3, 2):
        torch.manual_seed(int(rng.integers(1000)))
        before = torch.get_rng_state()
        chosen = rng.permutation(6)[:count]
        for number, chunk in zip(chosen, policy.infer([requests[each] for each in chosen]), strict=True):
            np.testing.assert_array_equal(chunk, alone[number])
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", CONFIGS)
def test_all_rows_are_computed_at_once(folders: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = load_policy(folders[name], batch=4)
    rows: list[int] = []
    predict = policy._policy.predict_action_chunk

    def counted(batch: Any, **arguments: Any) -> Any:
        rows.append(len(batch["observation.state"]))
        return predict(batch, **arguments)

    monkeypatch.setattr(policy._policy, "predict_action_chunk", counted)
    past = policy.past_steps
    policy.infer([PolicyRequest(observation(n), "a task", n, past=(observation(n),) * past) for n in range(3)])
    assert rows == [4]


def test_diffusion_s_noise_follows_the_seed_at_every_step(folders: dict[str, Path]) -> None:
    """DDPM draws after the start too: equal views and different seeds, equal seeds and different neighbours."""
    policy = load_policy(folders["diffusion"], batch=2)
    assert policy.config.noise_scheduler_type == "DDPM"
    view = observation(0)
    one, two = (PolicyRequest(view, "a task", seed, past=(view,) * policy.past_steps) for seed in (1, 2))
    first = policy.infer([one, two])
    assert not np.array_equal(*first)
    np.testing.assert_array_equal(policy.infer([two, one])[1], first[0])
    assert "step" not in vars(policy._policy.diffusion.noise_scheduler)


def test_pi0_computes_its_rows_together_and_each_with_its_own_noise() -> None:
    """LeRobot's loop draws the same noise from torch's global generator, for one row at a time."""
    model = tiny_pi0(SIZE)
    together, single = (ChunkPolicy(model.config, model, with_words, Untouched(), n) for n in (3, 1))
    requests = [PolicyRequest(observation(seed), "put it down", seed) for seed in range(3)]
    before = torch.get_rng_state()
    for request, chunk in zip(requests, together.infer(requests), strict=True):
        np.testing.assert_array_equal(together.infer([request])[0], chunk)
        np.testing.assert_allclose(single.infer([request])[0], chunk, atol=1e-5)
    assert torch.equal(torch.get_rng_state(), before)
    batch = single._row(requests[1])
    model.reset()
    torch.manual_seed(1)
    with torch.inference_mode():
        expected = [model.select_action(dict(batch))[0].numpy() for _ in range(model.config.n_action_steps)]
    np.testing.assert_array_equal(single.infer([requests[1]])[0][: len(expected)], expected)


def test_other_policies_have_no_world_memory(folders: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="has no world memory to fill with 'zero'"):
        load_policy(folders["act"], memory_mode="zero")
    assert load_policy(folders["act"], memory_mode="disabled", num_steps=5).trained_memory == "disabled"


def test_relative_actions_start_from_each_rows_own_state(folders: dict[str, Path]) -> None:
    """As LeRobot's pi0 with use_relative_actions: a pair of steps that hold one state for all rows."""
    policy = load_policy(folders["act"], batch=3)
    relative = RelativeActionsProcessorStep(enabled=True)
    policy._preprocessor.steps = [*policy._preprocessor.steps, relative]
    policy._postprocessor.steps = [
        *policy._postprocessor.steps,
        AbsoluteActionsProcessorStep(enabled=True, relative_step=relative),
    ]
    requests = [PolicyRequest(observation(seed), "a task", seed) for seed in range(3)]
    alone = [policy.infer([request])[0] for request in requests]
    plain = load_policy(folders["act"], batch=1)
    for request, one, together in zip(requests, alone, policy.infer(requests), strict=True):
        np.testing.assert_array_equal(together, one)
        gained = one - plain.infer([request])[0]
        np.testing.assert_allclose(gained, np.tile(request.observation.state[:7], (len(one), 1)), atol=1e-5)


class Drawing(torch.nn.Module):
    """A policy of a type that takes no noise: it draws from torch's global generator."""

    def reset(self) -> None:
        pass

    def predict_action_chunk(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        state = batch["observation.state"]
        return torch.randn(len(state), 4, 7) + state[:, None, :7]


def test_a_policy_that_draws_by_itself_is_asked_row_by_row() -> None:
    config = SimpleNamespace(
        type="drawing", chunk_size=4, n_obs_steps=1, device="cpu", use_amp=False, image_features={}
    )
    policy = ChunkPolicy(config, Drawing(), lambda batch: batch, Untouched(), batch=3)
    requests = [PolicyRequest(observation(seed), "a task", 10 + seed) for seed in range(3)]
    alone = [policy.infer([request])[0] for request in requests]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for one, together in zip(alone, policy.infer(requests[::-1])[::-1], strict=True):
        np.testing.assert_array_equal(together, one)
    assert torch.equal(torch.get_rng_state(), before)
    assert not np.array_equal(
        alone[0] - requests[0].observation.state[:7], alone[1] - requests[1].observation.state[:7]
    )


@pytest.mark.parametrize("kind", [family.name for family in POLICIES if not family.plans_chunks])
def test_policies_that_plan_from_queues_of_their_own_are_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"type": kind}))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UserError, match=f"'{kind}' policy, which plans no chunk"):
        load_policy(tmp_path)
