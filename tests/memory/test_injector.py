import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.world_sizes import world_sizes

from world_modality.errors import UserError
from world_modality.memory.injector import ExactAdd, Injector, Observer

HIDDEN, DIM, SLOTS = 12, 6, 4


def small_injector(gate: float = 0.0, spread: float = 1.0, **changes: Any) -> Injector:
    torch.manual_seed(0)
    injector = Injector(world_sizes(gate_init=gate, **changes), HIDDEN)
    with torch.no_grad():
        for parameter in injector.parameters():
            if parameter.ndim:
                parameter.mul_(spread)
    return injector


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """The raw bits, so that -0.0 and 0.0 differ."""
    return tensor.view(torch.int16 if tensor.element_size() == 2 else torch.int32)


@pytest.mark.defect("W5")
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), gate=st.floats(-5, 5), spread=st.floats(0.01, 100), half=st.booleans())
def test_zero_memory_gives_back_the_very_bits(seed: int, gate: float, spread: float, half: bool) -> None:
    hidden = torch.randn(2, 6, HIDDEN, generator=torch.Generator().manual_seed(seed))
    hidden[0, :2], hidden[1, :2] = -0.0, 0.0
    hidden[0, 3] *= 1e30
    hidden = hidden.to(torch.bfloat16) if half else hidden
    result = small_injector(gate, spread)(hidden, torch.zeros(2, 1, SLOTS, 1, DIM))
    assert result.dtype == hidden.dtype
    assert torch.equal(bits(result), bits(hidden))


@pytest.mark.defect("B3")
def test_a_closed_gate_gives_back_the_very_bits_and_has_a_gradient() -> None:
    injector, hidden, memory = small_injector(), torch.randn(2, 6, HIDDEN), torch.randn(2, 1, SLOTS, 1, DIM)
    hidden[0, 0] = -0.0
    result = injector(hidden, memory)
    assert torch.equal(bits(result), bits(hidden))
    result.square().sum().backward()
    assert injector.gate.grad.abs() > 1e-3


def test_an_open_gate_lets_the_memory_through_and_all_weights_learn() -> None:
    injector, hidden, memory = small_injector(0.5), torch.randn(2, 6, HIDDEN), torch.randn(2, 1, SLOTS, 1, DIM)
    result = injector(hidden, memory)
    assert not torch.allclose(result, hidden, atol=1e-3)
    result.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in injector.parameters())


@pytest.mark.defect("W2")
def test_slots_are_told_apart() -> None:
    injector, hidden, memory = (
        small_injector(0.5, spread=3),
        torch.randn(1, 6, HIDDEN),
        torch.randn(1, 1, SLOTS, 1, DIM),
    )
    assert not torch.allclose(injector(hidden, memory), injector(hidden, memory.flip(2)), atol=1e-4)


def test_zero_memory_gives_no_weight_a_gradient() -> None:
    injector, hidden = small_injector(0.5), torch.randn(2, 6, HIDDEN, requires_grad=True)
    injector(hidden, torch.zeros(2, 1, SLOTS, 1, DIM)).square().sum().backward()
    assert all(not parameter.grad.any() for parameter in injector.parameters())
    assert torch.equal(hidden.grad, 2 * hidden.detach())


def test_exact_add_has_the_gradient_of_a_sum() -> None:
    hidden = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    residual = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ExactAdd.apply, (hidden, residual))
    zero = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    ExactAdd.apply(hidden, zero).sum().backward()
    assert torch.equal(zero.grad, torch.ones_like(zero))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_result_has_the_hidden_states_dtype(dtype: torch.dtype) -> None:
    memory, hidden = torch.randn(2, 1, SLOTS, 1, DIM), torch.randn(2, 6, HIDDEN).to(dtype)
    assert small_injector(0.5)(hidden, memory).dtype == dtype
    assert small_injector(0.5).to(torch.bfloat16)(hidden, memory).dtype == dtype


def test_each_sample_reads_its_own_memory() -> None:
    injector, hidden, memory = small_injector(0.5), torch.randn(3, 6, HIDDEN), torch.randn(3, 1, SLOTS, 1, DIM)
    together = injector(hidden, memory)
    for row in range(3):
        torch.testing.assert_close(together[row : row + 1], injector(hidden[row : row + 1], memory[row : row + 1]))


def test_it_can_be_copied() -> None:
    injector, hidden, memory = small_injector(0.5), torch.randn(1, 2, HIDDEN), torch.randn(1, 1, SLOTS, 1, DIM)
    assert torch.equal(copy.deepcopy(injector)(hidden, memory), injector(hidden, memory))


def test_hypotheses_tokens_and_cameras_are_told_apart() -> None:
    injector = small_injector(0.5, spread=3, hypotheses=2, tokens=3, cameras=2)
    hidden, memory = torch.randn(1, 6, HIDDEN), torch.randn(1, 2, SLOTS, 3, DIM)
    read = injector(hidden, memory)
    assert not torch.allclose(read, injector(hidden, memory.flip(3)), atol=1e-4)
    assert not torch.allclose(read, injector(hidden, memory.flip(1)), atol=1e-4)
    assert not torch.allclose(read, injector(hidden, memory.roll(DIM // 2, -1)), atol=1e-4)


def test_the_attentions_width_is_a_setting() -> None:
    narrow = small_injector(0.5, attention_width=4)
    assert narrow.query.weight.shape == (4, HIDDEN)
    assert narrow(torch.randn(2, 6, HIDDEN), torch.randn(2, 1, SLOTS, 1, DIM)).shape == (2, 6, HIDDEN)


def test_a_width_that_the_heads_cannot_share_is_told() -> None:
    with pytest.raises(UserError, match=r"world_heads is 5 .* choose a divisor of the width that attention has, 12"):
        small_injector(heads=5)


def test_an_observer_sees_how_attention_spreads() -> None:
    injector, observer = small_injector(0.5), Observer()
    injector.observer = observer
    hidden = torch.randn(2, 6, HIDDEN)
    injector(hidden, torch.zeros(2, 1, SLOTS, 1, DIM))
    with torch.no_grad():
        injector.slots.time.mul_(0)
    assert observer.figures()["world_residual_ratio"] == 0
    injector(hidden, torch.ones(2, 1, SLOTS, 1, DIM) * torch.arange(DIM))  # the same in every slot
    figures = observer.figures()
    assert figures["world_attention_entropy"] == pytest.approx(torch.tensor(SLOTS).log().item(), abs=1e-5)
    assert figures["world_attention_max"] == pytest.approx(1 / SLOTS, abs=1e-5)
    assert figures["world_residual_ratio"] > 0
    assert observer.figures() == {}


def test_an_observer_tells_where_attention_lies() -> None:
    injector, observer = small_injector(0.5, hypotheses=2, tokens=3, cameras=2), Observer()
    injector.observer = observer
    hidden, memory = torch.randn(2, 6, HIDDEN), torch.randn(2, 2, SLOTS, 3, DIM)
    injector(hidden, memory)
    figures = observer.figures(shares=True)
    mass = [figures[f"world_attention_step_{k}"] for k in range(1, SLOTS + 1)]
    assert sum(mass) == pytest.approx(1)
    slots = 2 * SLOTS * 3 * 2
    assert figures["world_attention_evenness"] == pytest.approx(
        figures["world_attention_entropy"] / torch.tensor(float(slots)).log().item(), rel=1e-5
    )
    with torch.no_grad():  # whoever reads is drawn to the second frame ahead
        for parameter in injector.slots.parameters():
            parameter.zero_()
        injector.slots.time[1] = 50 * injector.query(injector.hidden_norm(hidden)).mean((0, 1))
    injector(hidden[:1].mean(1, keepdim=True), torch.zeros(1, 2, SLOTS, 3, DIM))
    drawn = observer.figures(shares=True)
    assert max(range(1, SLOTS + 1), key=lambda k: drawn[f"world_attention_step_{k}"]) == 2
    assert drawn["world_attention_evenness"] < 0.98
    assert observer.figures(shares=True) == {}


def test_a_single_slot_leaves_nothing_to_choose() -> None:
    injector, observer = small_injector(0.5, prediction_horizon=1), Observer()
    injector.observer = observer
    injector(torch.randn(2, 6, HIDDEN), torch.randn(2, 1, 1, 1, DIM))
    figures = observer.figures(shares=True)
    assert "world_attention_evenness" not in figures
    assert figures["world_attention_step_1"] == pytest.approx(1)
