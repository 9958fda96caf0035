import copy

import pytest
import torch
from torch import nn

from world_modality.memory.randomness import borrowed_generator, draw_each, keyed_normal
from world_modality.memory.world import WorldMemory, WorldSizes

SIZES = WorldSizes(
    dim=5, hidden=12, context=3, horizon=4, heads=2, prophet_layers=1, prophet_width=8, delta=True, gate_init=0.7
)


def test_building_is_a_function_of_the_seed_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = WorldMemory(SIZES, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    same, other = WorldMemory(SIZES, seed=3), WorldMemory(SIZES, seed=4)
    for (name, a), b in zip(first.named_parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert any(not torch.equal(a, c) for a, c in zip(first.parameters(), other.parameters(), strict=True))


def test_the_memory_reaches_the_layer_only_while_it_is_held() -> None:
    world, layer = WorldMemory(SIZES, seed=0), nn.Linear(12, 2)
    hidden, memory = torch.randn(2, 6, 12), torch.randn(2, 4, 5)
    plain = layer(hidden)
    world.attach(layer)
    assert torch.equal(layer(hidden), plain)
    with world.held(memory):
        assert torch.equal(
            layer(hidden), nn.functional.linear(world.injector(hidden, memory), layer.weight, layer.bias)
        )
        assert not torch.allclose(layer(hidden), plain)
    with world.held(None):
        assert torch.equal(layer(hidden), plain)
    with pytest.raises(RuntimeError), world.held(memory):
        raise RuntimeError
    assert torch.equal(layer(hidden), plain)


def test_a_copy_reads_its_own_memory() -> None:
    world, layer = WorldMemory(SIZES, seed=0), nn.Linear(12, 2)
    world.attach(layer)
    pair = copy.deepcopy(nn.ModuleList([world, layer]))
    hidden, memory = torch.randn(1, 6, 12), torch.randn(1, 4, 5)
    plain = layer(hidden)
    with pair[0].held(memory):
        assert torch.equal(layer(hidden), plain)
        assert not torch.equal(pair[1](hidden), plain)
    with torch.no_grad():
        pair[0].injector.gate.zero_()
    with world.held(memory):
        assert not torch.equal(layer(hidden), plain)


def draw_and_fail() -> None:
    torch.rand(3)
    raise ValueError("in the middle")


def test_borrowed_and_keyed_draws() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    draws = draw_each([5, 6, 5], lambda: torch.rand(2))
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])
    with pytest.raises(ValueError, match="in the middle"), borrowed_generator():
        draw_and_fail()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(keyed_normal((4, 2**62), (3,))[1], keyed_normal((2**62,), (3,))[0])
