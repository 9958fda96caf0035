"""What corrupts a model's world, and what is left as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.discrete_world import TOKENS, DiscreteWorld

from world_modality.facts.offline import CORRUPTIONS
from world_modality.offline.evaluation import evaluate
from world_modality.offline.interventions import Interventions, answer
from world_modality.offline.judged import Judged, load_judged


def judged(world: DiscreteWorld, model: str, *, seed: int = 0, episodes: Any = None, **settings: Any) -> Judged:
    checkpoint = world.checkpoint(model, seed=seed, **settings)
    return load_judged(checkpoint, world.dataset, [world.latents], world.tokens_of(model), episodes=episodes)


def test_each_corruption_is_of_what_its_name_says() -> None:
    assert all(each.name == f"{each.of}_{each.kind}" for each in CORRUPTIONS)
    assert [each.kind for each in CORRUPTIONS if each.of == "token"] == [
        "uniform",
        "marginal",
        "other_episode",
        "other_task",
    ]
    assert all((each.other == each.kind.removeprefix("other_")) == bool(each.other) for each in CORRUPTIONS)


def test_the_own_token_changes_nothing_and_another_does(discrete: DiscreteWorld) -> None:
    found = judged(discrete, "C")
    batch = found.batch(found.frames)
    plain = answer(found.policy, batch)
    own = torch.from_numpy(found.tokens.tokens[found.frames].astype(np.int64))
    same = answer(found.policy, batch, token=own)
    assert torch.equal(same.actions, plain.actions)
    assert torch.equal(same.world, plain.world)
    assert not torch.equal(answer(found.policy, batch, token=(own + 1) % TOKENS.size).actions, plain.actions)
    assert torch.equal(answer(found.policy, batch).actions, plain.actions)  # the hook is gone


def test_corrupted_tokens_are_drawn_for_the_frame_whatever_the_checkpoint(discrete: DiscreteWorld) -> None:
    one, other = (Interventions(judged(discrete, "C", seed=seed)) for seed in (0, 1))
    frames = one.judged.frames
    cache = one.judged.tokens
    bounds = one.judged.bounds
    there = set(cache.tokens[one.judged.donors.frames].reshape(-1))
    for corruption in one.possible:
        drawn = one.token(corruption, frames)
        assert drawn.shape == (len(frames), 1)
        assert torch.equal(drawn, other.token(corruption, frames))
        assert torch.equal(drawn[[3, 1]], one.token(corruption, frames[[3, 1]]))
        assert set(drawn.flatten().tolist()) <= (set(range(TOKENS.size)) if corruption.kind == "uniform" else there)
        if corruption.other:
            sources = one._others(corruption, frames)
            assert np.array_equal(drawn.numpy(), cache.tokens[sources])
            assert not (bounds.find(sources) == bounds.find(frames)).any()


def test_what_is_blocked_changes_no_action_and_yet_the_forecast(discrete: DiscreteWorld) -> None:
    result = evaluate(judged(discrete, "C", block_world_to_action=True)).result
    assert [each.change.value for each in result.interventions] == [0.0] * 4
    assert any(each.top1_change.value != 0 for each in result.interventions)
    open_one = evaluate(judged(discrete, "C")).result
    assert all(each.change.value != 0 for each in open_one.interventions)


def test_a_corrupted_memory_is_another_frame_s_own(discrete: DiscreteWorld) -> None:
    found = judged(discrete, "F")
    made, frames = Interventions(found), found.frames
    clean = made.memory(frames)
    assert clean is not None
    for name in ("memory_other_episode", "memory_other_task"):
        sources = made._others(CORRUPTIONS[name], frames)
        assert not (found.bounds.find(sources) == found.bounds.find(frames)).any()
        assert torch.equal(made.corrupted_memory(CORRUPTIONS[name], frames, clean), made.memory(sources))
    slots = made.corrupted_memory(CORRUPTIONS["memory_marginal"], frames, clean)
    whole = made.memory(found.donors.frames)
    for slot in range(clean.shape[2]):  # of every step ahead, one that some judged frame has there
        distances = (slots[:, 0, slot, 0][:, None] - whole[:, 0, slot, 0][None]).abs().amax(-1)
        assert (distances.min(1).values < 1e-5).all()
    assert not made.corrupted_memory(CORRUPTIONS["memory_zero"], frames, clean).any()
    noise = made.corrupted_memory(CORRUPTIONS["memory_random"], frames, clean)
    assert torch.equal(noise[2:3], made.corrupted_memory(CORRUPTIONS["memory_random"], frames[2:3], clean[2:3]))
    future = made.corrupted_memory(CORRUPTIONS["memory_oracle"], frames, clean)
    after = found.policy._latents.latents.rows(frames[:1] + 1)
    assert torch.allclose(future[0, 0, 0], found.policy.world.standardiser(torch.from_numpy(after))[0])


def test_zero_memory_acts_as_no_memory(discrete: DiscreteWorld) -> None:
    found = judged(discrete, "F")
    batch = found.batch(found.frames)
    clean = Interventions(found).memory(found.frames)
    zero = answer(found.policy, batch, memory=torch.zeros_like(clean)).actions
    assert torch.equal(zero, answer(found.policy, batch).actions)
    assert not torch.equal(zero, answer(found.policy, batch, memory=clean).actions)


@pytest.mark.parametrize(
    ("model", "settings", "why"),
    [
        ("A", {}, {"token_uniform": "model A reads no world token", "memory_zero": "model A reads no memory"}),
        ("C_no_world_input", {}, {"token_marginal": "model C_no_world_input reads no world token"}),
        ("F", {"world_memory_mode_train": "zero"}, {"memory_random": "its memory holds zeros, whatever the frame"}),
        ("F", {"world_memory_mode_train": "oracle"}, {"memory_oracle": "what its memory holds in mode 'oracle'"}),
        ("C", {"episodes": [1, 3]}, {"token_other_task": "the judged episodes are of one task"}),
        ("C", {"episodes": [1]}, {"token_other_episode": "only one episode is judged"}),
    ],
)
def test_what_means_nothing_is_left_out_and_said(
    discrete: DiscreteWorld, model: str, settings: dict[str, Any], why: dict[str, str]
) -> None:
    result = evaluate(judged(discrete, model, **settings)).result
    told = {each.name: each.why for each in result.left_out}
    for name, reason in why.items():
        assert reason in told[name]
    done = {each.name for each in result.interventions}
    assert done | set(told) == set(CORRUPTIONS.names)
    assert not done & set(told)
    if settings.get("episodes") == [1]:
        assert result.actions.all.low is None
