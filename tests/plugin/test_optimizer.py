import copy

import pytest
import torch
from lerobot.optim import OptimizerConfig

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
        torch.optim.AdamW(part, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=1e-10)
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
