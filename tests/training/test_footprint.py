from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from world_modality.training.footprint import Numbers, footprint, numbers_of

kinds = st.lists(st.builds(Numbers, st.integers(0, 10**9), st.sampled_from([1, 2, 4, 8]), st.booleans()), max_size=6)


def small_model(dtype: torch.dtype) -> torch.nn.Module:
    """One frozen and one trained layer, the trained one's weight shared with a third, and a buffer."""
    model = torch.nn.Sequential(*(torch.nn.Linear(8, 8, bias=False) for _ in range(3)))
    model[0].requires_grad_(False)
    model[1].to(dtype)
    model[2].weight = model[1].weight
    model.register_buffer("mean", torch.zeros(5))
    return model


def test_it_equals_the_tensors_of_a_real_step() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        model = small_model(dtype)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained)
        trained[0].square().sum().backward()
        optimizer.step()
        moments = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
        taken = footprint(numbers_of(model), masters=False)
        held = {"weights": [*model.parameters(), *model.buffers()], "gradients": [trained[0].grad], "moments": moments}
        for name, tensors in held.items():
            assert getattr(taken, name) == sum(tensor.nbytes for tensor in tensors), name
        assert taken.masters == 0


def test_masters_are_float32_copies_of_what_is_trained_in_less() -> None:
    numbers = [Numbers(100, 2, True), Numbers(1000, 2, False), Numbers(10, 4, True)]
    taken = footprint(numbers, masters=True)
    assert (taken.weights, taken.gradients) == (100 * 2 + 1000 * 2 + 10 * 4, 100 * 2 + 10 * 4)
    assert (taken.moments, taken.masters) == (2 * 4 * 110, 4 * 100)
    assert taken.total == taken.weights + taken.gradients + taken.moments + taken.masters


@given(kinds, kinds, st.booleans())
def test_parts_add_up_and_masters_never_take_less(first: list[Numbers], second: list[Numbers], masters: bool) -> None:
    whole, one, two = (footprint(part, masters=masters).total for part in (first + second, first, second))
    assert whole == one + two
    assert footprint(first, masters=True).total >= footprint(first, masters=False).total
