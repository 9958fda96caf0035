"""What trains the Prophet: its own loss, the policy's through the memory, or both."""

from typing import Any

import pytest
import torch
from support.tiny_policy import CONTEXT, LATENT_DIM, TinyWorld

from world_modality.facts.memory import FUSIONS, MODES, trainable_modes

FRAMES = (0, 5, 13, 14, 44)
MADE = sorted(mode.name for mode in MODES if mode.needs_prophet)
OTHERS = sorted(set(trainable_modes()) - set(MADE) - {"disabled"})
ARMS = [(mode, "late") for mode in MADE] + [("pred", fusion) for fusion in FUSIONS.names if fusion != "late"]
FOLLOWING = [(mode, "late", True) for mode in MADE]  # told the noisy actions, so predicted within the policy's pass
OPEN = {"world_gate_init": 0.8}


def gradients(policy: Any, world: TinyWorld) -> dict[str, torch.Tensor]:
    """Of every parameter that one backward pass with fixed noise and time reaches."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(FRAMES), policy.config.chunk_size, policy.config.max_action_dim, generator=generator)
    policy.train()
    if getattr(policy.config, "world_memory_mode_train", "") == "scheduled":
        policy.keyed_step.fill_(policy.config.world_truth_steps)  # when the prediction has taken the place of the truth
    policy(world.batch(*FRAMES), noise=noise, time=torch.rand(len(FRAMES), generator=generator))[0].backward()
    return {name: parameter.grad for name, parameter in policy.named_parameters() if parameter.grad is not None}


def of_the_prophet(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: gradient for name, gradient in found.items() if name.startswith("world.prophet.")}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(gradient, other[name]) for name, gradient in one.items())


@pytest.mark.parametrize(("mode", "fusion", "follow"), [*((*arm, False) for arm in ARMS), *FOLLOWING])
def test_detached_the_prophet_learns_from_its_own_loss_alone(
    tiny: TinyWorld, mode: str, fusion: str, follow: bool
) -> None:
    """Its gradient is that of ``aux_only``, where nobody reads it; all others are as without detaching."""
    settings = {**OPEN, "world_fusion": fusion, "world_actions": follow}
    plain = gradients(tiny.policy(mode, **settings), tiny)
    detached = gradients(tiny.policy(mode, world_detach=True, **settings), tiny)
    alone = of_the_prophet(gradients(tiny.policy("aux_only", **settings), tiny))
    assert detached.keys() == plain.keys() > alone.keys()
    assert same(alone, detached)
    assert not same(alone, plain)
    assert same({name: gradient for name, gradient in plain.items() if name not in alone}, detached)
    assert all(gradient.abs() > 1e-7 for name, gradient in detached.items() if name.endswith("gate"))


@pytest.mark.parametrize(("mode", "fusion"), ARMS)
def test_at_init_it_is_smolvla_and_every_gate_has_a_gradient(tiny: TinyWorld, mode: str, fusion: str) -> None:
    policy, stock = tiny.policy(mode, world_fusion=fusion, world_detach=True), tiny.stock()
    assert not policy.world.fusion.gates().any()
    own = gradients(policy, tiny)
    assert same(gradients(stock, tiny), own)
    assert all(gradient.abs() > 1e-7 for name, gradient in own.items() if name.endswith("gate"))
    noise = torch.randn(len(FRAMES), policy.config.chunk_size, policy.config.max_action_dim)
    seen = {"observation.world_history": torch.randn(len(FRAMES), CONTEXT, 1, LATENT_DIM)}
    batch = tiny.observation(*FRAMES)
    chunk = policy.predict_action_chunk({**batch, **seen}, noise=noise)
    assert torch.equal(chunk, stock.predict_action_chunk(dict(batch), noise=noise))


@pytest.mark.parametrize("mode", OTHERS)
def test_a_memory_that_is_not_the_prophets_is_as_it_was(tiny: TinyWorld, mode: str) -> None:
    plain = gradients(tiny.policy(mode, **OPEN), tiny)
    detached = gradients(tiny.policy(mode, world_detach=True, **OPEN), tiny)
    assert plain.keys() == detached.keys()
    assert same(plain, detached)
    if mode == "learned":
        assert detached["world.learned.values"].abs().max() > 1e-7


@pytest.mark.parametrize("mode", sorted(set(trainable_modes()) - {"disabled"}))
def test_without_a_loss_of_its_own_the_prophet_learns_where_it_makes_the_memory(tiny: TinyWorld, mode: str) -> None:
    own = of_the_prophet(gradients(tiny.policy(mode, world_lambda=0.0, **OPEN), tiny))
    assert any(gradient.abs().max() > 1e-7 for gradient in own.values()) == (mode in MADE)


@pytest.mark.parametrize("settings", [{"world_detach": True}, {"world_lambda": 0.0}], ids=str)
def test_all_that_is_trained_is_in_one_group_and_moves(tiny: TinyWorld, settings: dict[str, Any]) -> None:
    policy = tiny.policy("pred", **settings, **OPEN)
    groups = policy.get_optim_params()
    members = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(members) == sorted(id(p) for p in policy.parameters() if p.requires_grad)
    assert {id(p) for p in policy.world.parameters()} == {id(p) for p in groups[1]["params"]}
    found = gradients(policy, tiny)
    assert found.keys() == {name for name, p in policy.named_parameters() if p.requires_grad}
    assert [name for name, gradient in of_the_prophet(found).items() if not gradient.any()] == []
