import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from support.world_sizes import sockets_of, world_sizes
from torch import nn

from world_modality.errors import UserError
from world_modality.facts import table
from world_modality.facts.memory import FUSIONS
from world_modality.facts.memory import Fusion as FusionRow
from world_modality.facts.table import Reference, Table
from world_modality.memory import fusion
from world_modality.memory.action_conditioning import Held
from world_modality.memory.attachment import WorldSizes
from world_modality.memory.fusion import Fusion
from world_modality.memory.randomness import borrowed_generator, draw_each, keyed_normal
from world_modality.memory.world import WorldMemory

SIZES = world_sizes(gate_init=0.7)
DIM = SIZES.dim


class Flow(nn.Module):
    """As much of a flow matching model as the late fusion hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.action_out_proj = nn.Linear(12, 2)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.action_out_proj(hidden)


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
    world, layer = WorldMemory(SIZES, seed=0), Flow()
    hidden, memory = torch.randn(2, 6, 12), torch.randn(2, 1, 4, 1, DIM)
    plain = layer(hidden)
    world.attach(sockets_of(layer, SIZES))
    assert torch.equal(layer(hidden), plain)
    with world.held(memory):
        projection, read = layer.action_out_proj, world.fusion.injector(hidden, memory)
        assert torch.equal(layer(hidden), nn.functional.linear(read, projection.weight, projection.bias))
        assert not torch.allclose(layer(hidden), plain)
    with world.held(None):
        assert torch.equal(layer(hidden), plain)
    with pytest.raises(RuntimeError), world.held(memory):
        raise RuntimeError
    assert torch.equal(layer(hidden), plain)


def test_a_copy_reads_its_own_memory() -> None:
    world, layer = WorldMemory(SIZES, seed=0), Flow()
    world.attach(sockets_of(layer, SIZES))
    pair = copy.deepcopy(nn.ModuleList([world, layer]))
    hidden, memory = torch.randn(1, 6, 12), torch.randn(1, 1, 4, 1, DIM)
    plain = layer(hidden)
    with pair[0].held(memory):
        assert torch.equal(layer(hidden), plain)
        assert not torch.equal(pair[1](hidden), plain)
    with torch.no_grad():
        pair[0].fusion.injector.gate.zero_()
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


def test_trained_constants_exist_only_where_they_are_trained() -> None:
    assert WorldMemory(SIZES, seed=0).learned is None
    learned = WorldMemory(replace(SIZES, hypotheses=2), seed=0, learned=True)
    assert learned.learned.values.shape == (2, 4, 1, DIM)
    assert learned.learned.values.requires_grad


def test_the_gates_are_told_as_they_act() -> None:
    assert WorldMemory(SIZES, seed=0).fusion.gates().tolist() == pytest.approx([math.tanh(0.7)])
    assert WorldMemory(replace(SIZES, fusion="layers"), seed=0).fusion.gates().shape == (2,)


def test_an_unknown_fusion_is_named_with_the_choices() -> None:
    with pytest.raises(UserError, match="'early' is not a fusion; choose one of late, suffix, "):
        WorldMemory(replace(SIZES, fusion="early"), seed=0)


class Doubling(Fusion):
    """Another package's way into the policy: adds the memory's mean to what is projected."""

    def __init__(self, sizes: WorldSizes, held: Held) -> None:
        super().__init__(sizes, held)
        self.gate = nn.Parameter(torch.tensor(float(sizes.gate_init)))

    def attach(self, flow: Flow) -> None:
        flow.action_out_proj.register_forward_pre_hook(self._before)

    def _before(self, _layer: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        if self.held.memory is None:
            return None
        return (arguments[0] + self.gate.tanh() * self.held.memory.mean(),)


def test_a_fusion_of_another_package_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = FusionRow("doubling", "what is projected is moved by it", Reference(f"{__name__}:Doubling"))
    point = SimpleNamespace(dist=SimpleNamespace(name="other_package", version="3"), load=lambda: row)
    monkeypatch.setattr(table, "entry_points", lambda group: [point] if group == "world_modality.fusions" else [])
    rows = Table("fusion", "fusions", tuple(FUSIONS))
    monkeypatch.setattr(fusion, "FUSIONS", rows)
    assert rows.distribution("doubling") == {"other_package": "3"}
    world, layer = WorldMemory(replace(SIZES, fusion="doubling"), seed=0), Flow()
    world.attach(layer)
    hidden, memory = torch.randn(2, 6, 12), torch.ones(2, 1, 4, 1, DIM)
    plain = layer(hidden)
    with world.held(memory):
        assert not torch.allclose(layer(hidden), plain)
    assert world.fusion.gates().tolist() == pytest.approx([math.tanh(0.7)])
