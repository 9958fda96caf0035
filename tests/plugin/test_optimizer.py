import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.optim import OptimizerConfig, load_optimizer_state, save_optimizer_state

from lerobot_policy_world_modality.optimizer import GroupClippedAdamW, GroupClippedAdamWConfig


def parameters(seed: int = 0) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(3, generator=generator)) for _ in range(4)]


def give_gradients(parameters: list[torch.nn.Parameter], scale: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(1)
    for parameter in parameters:
        parameter.grad = scale * torch.randn(3, generator=generator)


def test_each_group_is_clipped_by_its_own_norm() -> None:
    own, reference = parameters(), parameters()
    optimizer = GroupClippedAdamWConfig(lr=0.1, group_clip_norm=0.5).build(
        [{"params": own[:2]}, {"params": own[2:], "lr": 0.3, "max_norm": 0.01}]
    )
    plain = [
        torch.optim.AdamW(part, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=1e-10, fused=True)
        for part, lr in ((reference[:2], 0.1), (reference[2:], 0.3))
    ]
    for _ in range(3):
        give_gradients(own)
        give_gradients(reference)
        optimizer.step()
        for part, max_norm, single in ((reference[:2], 0.5, plain[0]), (reference[2:], 0.01, plain[1])):
            torch.nn.utils.clip_grad_norm_(part, max_norm)
            single.step()
    assert all(torch.equal(a, b) for a, b in zip(own, reference, strict=True))


def test_one_groups_gradients_do_not_reach_another() -> None:
    results = []
    for scale in (1.0, 1e6):
        own = parameters()
        optimizer = GroupClippedAdamWConfig(lr=0.1, group_clip_norm=0.5).build(
            [{"params": own[:2]}, {"params": own[2:]}]
        )
        give_gradients(own)
        for parameter in own[2:]:
            parameter.grad *= scale
        optimizer.step()
        results.append([parameter.detach().clone() for parameter in own[:2]])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_norm_of_zero_means_no_clipping() -> None:
    own, reference = parameters(), parameters()
    give_gradients(own, 100)
    give_gradients(reference, 100)
    GroupClippedAdamW(own, lr=0.1, max_norm=0.0).step()
    torch.optim.AdamW(reference, lr=0.1).step()
    assert all(torch.equal(a, b) for a, b in zip(own, reference, strict=True))


def test_a_closure_is_called_before_the_clip_and_its_loss_returned() -> None:
    (own,) = parameters()[:1]
    optimizer = GroupClippedAdamW([own], lr=0.1, max_norm=0.5)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (own * 100).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == pytest.approx(100 * parameters()[0].sum().item())
    assert own.grad.norm() == pytest.approx(0.5)


def test_state_and_copies_keep_the_norms() -> None:
    own = parameters()
    optimizer = GroupClippedAdamWConfig(group_clip_norm=2.0).build([{"params": own[:2], "max_norm": 0.5}])
    optimizer.add_param_group({"params": own[2:]})
    assert [group["max_norm"] for group in copy.deepcopy(optimizer).param_groups] == [0.5, 2.0]
    other = GroupClippedAdamW([{"params": own[:2]}, {"params": own[2:]}], lr=1.0, max_norm=9.0)
    other.load_state_dict(optimizer.state_dict())
    assert [group["max_norm"] for group in other.param_groups] == [0.5, 2.0]


def test_lerobot_knows_it_by_name() -> None:
    assert OptimizerConfig.get_choice_class("adamw_group_clipped") is GroupClippedAdamWConfig


def test_norms_of_the_groups_are_those_before_clipping() -> None:
    own = parameters()
    optimizer = GroupClippedAdamW(
        [{"name": "base", "params": own[:3]}, {"name": "world", "params": own[3:], "max_norm": 0.0}], max_norm=1e-3
    )
    assert optimizer.gradient_norms() == {}
    give_gradients(own)
    expected = {
        "grad_norm_base": torch.cat([p.grad for p in own[:3] if p.grad is not None]).norm().item(),
        "grad_norm_world": torch.cat([p.grad for p in own[3:] if p.grad is not None]).norm().item(),
    }
    optimizer.step()
    assert optimizer.gradient_norms() == pytest.approx(expected)


def test_norms_of_watched_parts_are_told_and_change_nothing() -> None:
    own, plain = parameters(), parameters()
    groups = [{"name": "base", "params": own[:2]}, {"name": "world", "params": own[2:]}]
    optimizer = GroupClippedAdamW(groups, max_norm=1e-3)
    optimizer.watch({"prophet": own[2:3], "injector": own[3:]})
    other = GroupClippedAdamW([{"params": plain[:2]}, {"params": plain[2:]}], max_norm=1e-3)
    for each, mover in ((own, optimizer), (plain, other)):
        give_gradients(each)
        each[3].grad = None
        mover.step()
    told = optimizer.gradient_norms()
    assert told["grad_norm_prophet"] == pytest.approx(told["grad_norm_world"])  # before clipping, as that is
    assert told["grad_norm_injector"] == 0
    assert all(torch.equal(one, two) for one, two in zip(own, plain, strict=True))
    assert optimizer.state_dict()["param_groups"][0].keys() - {"name"} == other.state_dict()["param_groups"][0].keys()
    give_gradients(own)
    copy.deepcopy(optimizer).step()  # a copy brings its state alone


# Parameters of 16 bits


def small_steps(value: float, lr: float, steps: int, dtype: torch.dtype, **settings: Any) -> float:
    """Where a parameter gets from ``value`` by so many steps against a gradient of 1."""
    parameter = torch.nn.Parameter(torch.tensor([value], dtype=dtype))
    optimizer = GroupClippedAdamWConfig(lr=lr, **settings).build([parameter])
    for _ in range(steps):
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    return parameter.item()


@pytest.mark.parametrize(("lr", "stall"), [(3e-5, 2**-7), (1e-4, 2**-5)])
def test_a_gate_of_16_bits_stalls_where_the_masters_go_on(lr: float, stall: float) -> None:
    """From 2^-7 on, the next bfloat16 is 6.1e-5 away, so a step of 3e-5 is rounded off; likewise 1e-4 from 2^-5 on."""
    exact = small_steps(0.0, lr, 2000, torch.float32)
    assert exact == pytest.approx(-2000 * lr, rel=0.01)
    assert small_steps(0.0, lr, 2000, torch.bfloat16, master_weights=False) == -stall
    assert small_steps(0.0, lr, 2000, torch.bfloat16) == pytest.approx(exact, rel=2**-8)


@pytest.mark.parametrize("value", [1.0, 0.1, -3.0])
def test_weights_of_16_bits_that_never_moved_do(value: float) -> None:
    exact = small_steps(value, 1e-4, 300, torch.float32)
    rounded = torch.tensor(value, dtype=torch.bfloat16).item()
    assert small_steps(value, 1e-4, 300, torch.bfloat16, master_weights=False) == rounded
    assert small_steps(value, 1e-4, 300, torch.bfloat16) == pytest.approx(exact, rel=2**-7) != rounded


def mixed(seed: int = 0) -> list[torch.nn.Parameter]:
    """Parameters of 32, 16, 32 and 16 bits."""
    types = (torch.float32, torch.bfloat16, torch.float32, torch.float16)
    return [torch.nn.Parameter(each.detach().to(dtype)) for each, dtype in zip(parameters(seed), types, strict=True)]


def give(own: list[torch.nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in own:
        parameter.grad = torch.randn(3, generator=generator).to(parameter.dtype)


def test_masters_take_the_way_of_32_bit_parameters_and_the_parameters_are_their_rounding() -> None:
    own = mixed()
    reference = [torch.nn.Parameter(each.detach().float()) for each in own]
    optimizer = GroupClippedAdamWConfig(lr=1e-3, group_clip_norm=0.5).build(
        [{"params": own[:2]}, {"params": own[2:], "lr": 3e-3}]
    )
    twins = [
        torch.optim.AdamW(part, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=1e-10, fused=True)
        for part, lr in ((reference[:2], 1e-3), (reference[2:], 3e-3))
    ]
    for step in range(20):
        give(own, step)
        for mine, other in zip(own, reference, strict=True):
            other.grad = mine.grad.clone().float()
        optimizer.step()
        for part, twin in zip((reference[:2], reference[2:]), twins, strict=True):
            torch.nn.utils.clip_grad_norm_(part, 0.5)
            twin.step()
        for mine, other in zip(own, reference, strict=True):
            assert torch.equal(mine, other.to(mine.dtype))
            assert torch.equal(mine.grad, other.grad.to(mine.dtype))
    assert [group["params"] for group in optimizer.param_groups] == [own[:2], own[2:]]
    assert ["master" in optimizer.state[each] for each in own] == [False, True, False, True]


def test_without_masters_it_is_torchs_adamw() -> None:
    own, reference = mixed(), mixed()
    optimizer = GroupClippedAdamWConfig(lr=1e-2, group_clip_norm=0.0, master_weights=False).build(own)
    twin = torch.optim.AdamW(reference, 1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=1e-10, fused=True)
    for step in range(5):
        give(own, step)
        give(reference, step)
        optimizer.step()
        twin.step()
    assert all(torch.equal(a, b) for a, b in zip(own, reference, strict=True))


def test_a_parameter_without_gradient_stays() -> None:
    own = mixed()
    optimizer = GroupClippedAdamWConfig(lr=1e-2).build(own)
    give(own[:1], 0)
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(own[1:], mixed()[1:], strict=True))
    assert set(optimizer.state) == {own[0]}


def test_saved_masters_go_on_bit_for_bit(tmp_path: Path) -> None:
    own = mixed()
    optimizer = GroupClippedAdamWConfig(lr=1e-3).build(own)
    for step in range(3):
        give(own, step)
        optimizer.step()
    save_optimizer_state(optimizer, tmp_path)
    resumed = [torch.nn.Parameter(each.detach().clone()) for each in own]
    other = load_optimizer_state(GroupClippedAdamWConfig(lr=1e-3).build(resumed), tmp_path)
    other.load_state_dict(other.state_dict())  # as Accelerate does with every optimizer it prepares
    for mine, theirs in zip(own, resumed, strict=True):
        assert optimizer.state[mine].keys() == other.state[theirs].keys()
        for name, value in optimizer.state[mine].items():
            assert other.state[theirs][name].dtype == value.dtype == torch.float32
            assert torch.equal(other.state[theirs][name], value), name
    for step in range(3, 40):
        for each, twin in ((own, optimizer), (resumed, other)):
            give(each, step)
            twin.step()
    assert all(torch.equal(a, b) for a, b in zip(own, resumed, strict=True))
    fresh = GroupClippedAdamWConfig(lr=1e-3).build(resumed)
    fresh.load_state_dict(optimizer.state_dict())
    assert all(
        fresh.state[each]["master"] is not optimizer.state[mine]["master"]
        for each, mine in zip(resumed, own, strict=True)
        if mine.dtype in (torch.bfloat16, torch.float16)
    )
