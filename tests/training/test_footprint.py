from __future__ import annotations

import pytest
import torch
from bench.real_size import Numbers, footprint, numbers_of
from hypothesis import given
from hypothesis import strategies as st

from lerobot_policy_world_modality.optimizer import MASTER, GroupClippedAdamW

kinds = st.lists(st.builds(Numbers, st.integers(0, 10**9), st.sampled_from([1, 2, 4, 8]), st.booleans()), max_size=6)


def small_model(dtype: torch.dtype) -> torch.nn.Module:
    """One frozen and one trained layer, the trained one's weight shared with a third, and a buffer."""
    model = torch.nn.Sequential(*(torch.nn.Linear(8, 8, bias=False) for _ in range(3)))
    model[0].requires_grad_(False)
    model[1].to(dtype)
    model[2].weight = model[1].weight
    model.register_buffer("mean", torch.zeros(5))
    return model


@pytest.mark.parametrize("masters", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_equals_the_tensors_of_a_real_step(dtype: torch.dtype, masters: bool) -> None:
    model = small_model(dtype)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = GroupClippedAdamW(trained, max_norm=0.0, master_weights=masters)
    trained[0].square().sum().backward()
    optimizer.step()
    held: dict[str, list[torch.Tensor]] = {"weights": [*model.parameters(), *model.buffers()], "masters": []}
    held["gradients"] = [parameter.grad for parameter in trained if parameter.grad is not None]
    held["moments"] = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    held["masters"] = [state[MASTER] for state in optimizer.state.values() if MASTER in state]
    taken = footprint(numbers_of(model), masters=masters)
    for name, tensors in held.items():
        assert getattr(taken, name) == sum(tensor.nbytes for tensor in tensors), name
    assert taken.update == taken.masters


def test_masters_are_float32_copies_of_what_is_trained_in_less() -> None:
    numbers = [Numbers(100, 2, True), Numbers(1000, 2, False), Numbers(10, 4, True)]
    taken = footprint(numbers, masters=True)
    assert (taken.weights, taken.gradients) == (100 * 2 + 1000 * 2 + 10 * 4, 100 * 2 + 10 * 4)
    assert (taken.moments, taken.masters) == (2 * 4 * 110, 4 * 100)
    assert taken.total == taken.weights + taken.gradients + taken.moments + 2 * taken.masters


@given(kinds, kinds, st.booleans())
def test_parts_add_up_and_masters_never_take_less(first: list[Numbers], second: list[Numbers], masters: bool) -> None:
    whole, one, two = (footprint(part, masters=masters).total for part in (first + second, first, second))
    assert whole == one + two
    assert footprint(first, masters=True).total >= footprint(first, masters=False).total
