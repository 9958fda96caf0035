"""A Prophet that is told the noisy actions: what it is told, where, and that it can use it."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.world_sizes import sockets_of, world_sizes
from torch import Tensor, nn

from world_modality.memory.action_conditioning import TIME_WIDTH, ActionCondition, NoisyActions, time_waves
from world_modality.memory.attachment import WorldSizes
from world_modality.memory.prophet import Prophet
from world_modality.memory.target import LATENTS
from world_modality.memory.world import WorldMemory

PLAIN = world_sizes(hypotheses=2, tokens=2, cameras=2, gate_init=0.5)
TOLD = replace(PLAIN, actions=5)
CHUNK = 6


def noisy(batch: int = 3, actions: int = 5, seed: int = 0) -> NoisyActions:
    generator = torch.Generator().manual_seed(seed)
    return NoisyActions(torch.randn(batch, CHUNK, actions, generator=generator), torch.rand(batch, generator=generator))


def awake(module: nn.Module, seed: int = 1) -> Any:
    """The condition's last layer, which starts at zero, with other weights."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        if name.endswith("condition.write.weight") or (isinstance(module, ActionCondition) and "write" in name):
            with torch.no_grad():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return module


@pytest.mark.parametrize("learned", [False, True])
def test_being_told_starts_without_effect_and_moves_no_other_weight(learned: bool) -> None:
    plain, told = (WorldMemory(sizes, seed=4, learned=learned) for sizes in (PLAIN, TOLD))
    own = {name: value for name, value in told.state_dict().items() if "condition" not in name}
    assert own.keys() == plain.state_dict().keys() < told.state_dict().keys()
    assert all(torch.equal(own[name], value) for name, value in plain.state_dict().items())
    history = torch.randn(3, PLAIN.context, PLAIN.tokens, PLAIN.dim)
    assert torch.equal(told.prophet(history, noisy()), plain.prophet(history))
    assert not torch.allclose(awake(told).prophet(history, noisy()), plain.prophet(history), atol=1e-3)
    other = WorldMemory(TOLD, seed=5).prophet.condition.read.weight
    assert not torch.equal(other, told.prophet.condition.read.weight)
    assert not torch.equal(other.flatten()[:8], told.prophet.history.time.flatten()[:8])


def test_without_the_noisy_actions_it_says_so() -> None:
    with pytest.raises(ValueError, match="predicts nothing without them"):
        Prophet(TOLD)(torch.randn(3, TOLD.context, TOLD.tokens, TOLD.dim))


def test_each_frame_ahead_is_told_the_action_that_leads_there() -> None:
    """Without attention each slot is by itself, so what it was told shows."""
    prophet = awake(Prophet(replace(TOLD, prophet_layers=0)))
    history, first = torch.randn(3, TOLD.context, TOLD.tokens, TOLD.dim), noisy()
    before = prophet(history, first)
    for place in range(CHUNK):
        changed = first.actions.clone()
        changed[:, place] += 1
        moved = (prophet(history, NoisyActions(changed, first.time)) - before).abs().amax((0, 3, 4)) > 1e-5
        expected = torch.zeros(TOLD.hypotheses, TOLD.prediction_horizon, dtype=torch.bool)
        expected[:, place : place + 1] = place < TOLD.prediction_horizon
        assert torch.equal(moved, expected)
    later = prophet(history, NoisyActions(first.actions, first.time / 2))
    assert ((later - before).abs().amax((0, 3, 4)) > 1e-5).all()


def test_every_hypothesis_and_camera_of_a_frame_is_told_the_same() -> None:
    told = awake(ActionCondition(5, 4, 16))(noisy())
    spread = told.repeat_interleave(TOLD.hypotheses * TOLD.cameras, 1).view(3, 4, TOLD.hypotheses, TOLD.cameras, 16)
    assert torch.equal(spread, told[:, :, None, None].expand_as(spread))


def test_flow_times_are_told_apart() -> None:
    times = torch.linspace(0, 1, 101)
    waves = time_waves(times)
    assert waves.shape == (101, TIME_WIDTH)
    assert waves.abs().max() <= 1
    assert (torch.cdist(waves, waves) + torch.eye(101)).min() > 1e-2


class Flow(nn.Module):
    """As much of a flow matching model as the late fusion and the suffix's hook touch."""

    def __init__(self) -> None:
        super().__init__()
        self.action_out_proj = nn.Linear(PLAIN.hidden, 5)

    def embed_suffix(self, noisy_actions: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return torch.cat([noisy_actions, timestep[:, None, None].expand(-1, CHUNK, 7)], -1), timestep, timestep

    def velocity(self, asked: NoisyActions) -> Tensor:
        hidden, _, _ = self.embed_suffix(asked.actions, asked.time)
        return self.action_out_proj(hidden)


def followed(world: WorldMemory, history: Tensor) -> Any:
    return lambda asked: world.prophet(history, asked)


def test_the_memory_follows_every_velocity_while_it_is_read() -> None:
    world, flow, history = awake(WorldMemory(TOLD, seed=0)), Flow(), torch.randn(3, TOLD.context, TOLD.tokens, TOLD.dim)
    asked = [noisy(seed=1), noisy(seed=2)]
    plain = [flow.velocity(each) for each in asked]
    world.attach(sockets_of(flow, world.sizes))
    assert all(torch.equal(flow.velocity(each), before) for each, before in zip(asked, plain, strict=True))
    with world.reading(followed(world, history)):
        found = [flow.velocity(each) for each in asked]
    for each, velocity, before in zip(asked, found, plain, strict=True):
        with world.held(world.prophet(history, each)):
            assert torch.equal(velocity, flow.velocity(each))
        assert not torch.allclose(velocity, before, atol=1e-4)
    with pytest.raises(ZeroDivisionError), world.reading(lambda _: 1 / 0):
        flow.velocity(asked[0])
    assert torch.equal(flow.velocity(asked[0]), plain[0])


def test_a_prophet_that_is_told_nothing_is_asked_once() -> None:
    world, flow, history = WorldMemory(PLAIN, seed=0), Flow(), torch.randn(3, PLAIN.context, PLAIN.tokens, PLAIN.dim)
    world.attach(sockets_of(flow, world.sizes))
    calls: list[NoisyActions | None] = []
    with world.reading(lambda asked: calls.append(asked) or world.prophet(history)):
        flow.velocity(noisy())
        flow.velocity(noisy())
    assert calls == [None]
    assert "embed_suffix" not in vars(flow)


def test_a_copy_follows_its_own_velocities() -> None:
    world, flow, history = awake(WorldMemory(TOLD, seed=0)), Flow(), torch.randn(3, TOLD.context, TOLD.tokens, TOLD.dim)
    world.attach(sockets_of(flow, world.sizes))
    pair = copy.deepcopy(nn.ModuleList([world, flow]))
    plain = flow.velocity(noisy())
    with pair[0].reading(followed(pair[0], history)):
        assert torch.equal(flow.velocity(noisy()), plain)
        assert not torch.equal(pair[1].velocity(noisy()), plain)


def trained_loss(told: bool, steps: int = 250) -> dict[float, float]:
    """World loss per flow time, after training in a world that goes where the actions push it."""
    torch.manual_seed(0)
    sizes = WorldSizes(
        dim=6, hidden=8, prefix=8, layers=1, attention=(2, 1, 4), context=2, prediction_horizon=3, heads=4,
        prophet_layers=1, prophet_width=32, delta=True, gate_init=0.0, actions=4 if told else 0,
    )  # fmt: skip
    prophet, push = Prophet(sizes), torch.randn(4, 6, generator=torch.Generator().manual_seed(7)) / 2
    generator = torch.Generator().manual_seed(1)
    optimiser = torch.optim.Adam(prophet.parameters(), 3e-3)

    def loss(batch: int, time: Tensor) -> Tensor:
        actions = torch.randn(batch, CHUNK, 4, generator=generator)
        start = torch.randn(batch, 1, 6, generator=generator)
        future = start + (actions[:, :3] @ push).cumsum(1)
        noise, share = torch.randn(actions.shape, generator=generator), time[:, None, None]
        x_t, history = share * noise + (1 - share) * actions, start[:, None].expand(-1, 2, -1, -1)
        prediction = prophet(history, NoisyActions(x_t, time) if told else None)
        return LATENTS.score(
            prediction, history[:, -1], future[:, :, None], torch.ones(batch, 3, dtype=torch.bool), delta=True
        ).loss()

    for _ in range(steps):
        optimiser.zero_grad()
        loss(64, torch.rand(64, generator=generator)).backward()
        optimiser.step()
    with torch.no_grad():
        return {time: loss(512, torch.full((512,), time)).item() for time in (0.05, 1.0)}


@pytest.mark.slow
def test_what_it_is_told_tells_the_future_where_the_future_depends_on_it() -> None:
    told, plain = trained_loss(told=True), trained_loss(told=False)
    assert told[0.05] < 0.5 * plain[0.05]
    assert told[1.0] > 0.8 * plain[1.0]  # noise alone tells nothing
