"""The transformer of the discrete line: its sequences, its mask, and what it can and cannot learn."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch import Tensor

from world_modality.discrete.transformer import Seen, WorldTransformer
from world_modality.facts.discrete import MODELS
from world_modality.facts.sequence import TransformerSizes, WorldInput, parts_of, structure
from world_modality.tokens.target import TOKENS, hits

SIZES = TransformerSizes(
    latent=6,
    tokens=2,
    state=3,
    action=4,
    chunk_size=5,
    horizon=3,
    vocabulary=7,
    language=8,
    width=32,
    layers=3,
    heads=4,
)
B = 3


def seen(rows: int = B, sizes: TransformerSizes = SIZES) -> Seen:
    generator = torch.Generator().manual_seed(0)
    return Seen(
        torch.randn(rows, sizes.tokens, sizes.latent, generator=generator),
        torch.randn(rows, sizes.state, generator=generator),
        torch.randint(0, max(sizes.vocabulary, 1), (rows, sizes.tokens), generator=generator),
        torch.randn(rows, sizes.language, generator=generator) if sizes.language else None,
    )


def built(name: str, sizes: TransformerSizes = SIZES, world_input: WorldInput | None = None) -> WorldTransformer:
    torch.manual_seed(0)
    return WorldTransformer(MODELS[name], sizes, world_input)


@pytest.mark.parametrize("name", MODELS.names)
def test_every_model_gives_chunks_and_what_it_predicts(name: str) -> None:
    answer = built(name)(seen())
    assert answer.actions.shape == (B, 5, 4)
    wanted = {"tokens": (B, 3, 2, 7), "latents": (B, 3, 2, 6), "": None}[MODELS[name].predicts]
    assert (None if answer.world is None else answer.world.shape) == wanted


def test_no_two_models_are_one_network() -> None:
    structures = {name: structure(MODELS[name], SIZES, WorldInput()) for name in MODELS.names}
    assert all(structures[one] != structures[other] for one, other in combinations(structures, 2))
    lengths = {name: sum(part.length for part in parts_of(MODELS[name], SIZES)) for name in MODELS.names}
    assert lengths == {"A": 9, "B": 15, "B_cont": 15, "C": 17, "C_no_world_input": 17}


@pytest.mark.parametrize("world_input", [WorldInput(scale=0.0), WorldInput(dropout=1.0)])
def test_a_token_that_is_never_let_in_is_none(world_input: WorldInput) -> None:
    silent = structure(MODELS["C"], SIZES, world_input)
    assert silent == structure(MODELS["C_no_world_input"], SIZES, WorldInput())
    assert silent != structure(MODELS["C"], SIZES, WorldInput())
    one, other = built("C", world_input=WorldInput(scale=0.0)), built("C_no_world_input")
    other.load_state_dict(one.state_dict(), strict=False)
    assert torch.equal(one(seen()).actions, other(seen()).actions)


def test_settings_without_effect_make_no_other_network() -> None:
    assert structure(MODELS["A"], SIZES, WorldInput(blocked=True, scale=2)) == structure(
        MODELS["A"], SIZES, WorldInput()
    )
    assert structure(MODELS["B"], SIZES, WorldInput(scale=2)) == structure(MODELS["B"], SIZES, WorldInput())
    assert structure(MODELS["B"], SIZES, WorldInput(blocked=True)) != structure(MODELS["B"], SIZES, WorldInput())
    larger = replace(SIZES, vocabulary=9)
    assert structure(MODELS["A"], larger, WorldInput()) == structure(MODELS["A"], SIZES, WorldInput())


def influence(model: WorldTransformer) -> tuple[float, float]:
    """Largest gradient of actions and of predictions by the embedded world token."""
    assert model.of_token is not None
    weight = model.of_token.weight
    answer = model(seen())
    (by_actions,) = torch.autograd.grad(answer.actions.square().sum(), weight, retain_graph=True)
    (by_world,) = torch.autograd.grad(answer.world.square().sum(), weight)
    return float(by_actions.abs().max()), float(by_world.abs().max())


def test_blocked_actions_learn_nothing_of_the_token_by_any_path() -> None:
    """In three layers: hidden from the actions alone, it would come by way of another position."""
    actions, world = influence(built("C", world_input=WorldInput(blocked=True)))
    assert actions == 0.0
    assert world > 0.0
    assert min(influence(built("C"))) > 0.0


def test_dropout_leaves_the_token_out_in_training_alone() -> None:
    model = built("C", world_input=WorldInput(dropout=0.5))
    rows = 64
    data = replace(seen(1), token=seen(1).token)
    many = Seen(*(each.expand(rows, *each.shape[1:]) for each in (data.latents, data.state, data.token, data.language)))
    model.eval()
    assert torch.allclose(model(many).actions[0], model(many).actions[-1])
    model.train()
    distinct = torch.unique((model(many).actions.flatten(1) * 1e4).round(), dim=0)
    assert len(distinct) == 2


def test_world_tokens_must_be_known_where_they_are_used() -> None:
    nothing = replace(SIZES, vocabulary=0)
    for name in ("B", "C", "C_no_world_input"):
        with pytest.raises(ValueError, match="needs world tokens"):
            built(name, nothing)
    for name in ("A", "B_cont"):
        built(name, nothing)


# What can be learned: tokens that follow from the present one by a fixed permutation.

FOLLOWS = torch.tensor([3, 0, 5, 1, 6, 2, 4])
CHAIN = TransformerSizes(
    latent=6, tokens=1, state=2, action=1, chunk_size=1, horizon=2, vocabulary=7, width=32, layers=2, heads=4
)


def world(rows: int, *, visible: bool, shuffled: bool) -> tuple[Seen, Tensor]:
    """Frames whose next tokens follow from the present one: what is seen of them, and the next two tokens [n, 2, 1].

    ``visible``: the latents show the present token as well. ``shuffled``: the next tokens are those of other frames.
    """
    generator = torch.Generator().manual_seed(1)
    token = torch.randint(0, 7, (rows,), generator=generator)
    shown = torch.eye(7)[token, :6] if visible else torch.randn(rows, 6, generator=generator)
    future = torch.stack([FOLLOWS[token], FOLLOWS[FOLLOWS[token]]], dim=1)[..., None]
    if shuffled:
        future = future[torch.randperm(rows, generator=generator)]
    return Seen(shown[:, None], torch.zeros(rows, 2), token[:, None]), future


def accuracy(name: str, *, visible: bool, shuffled: bool = False) -> float:
    """Share of right next tokens on 300 new frames after training on 600."""
    data, future = world(900, visible=visible, shuffled=shuffled)
    model = built(name, CHAIN)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(150):
        rows = torch.randint(0, 600, (64,), generator=torch.Generator().manual_seed(step))
        batch = Seen(data.latents[rows], data.state[rows], data.token[rows])
        assert batch.token is not None
        there = torch.ones(64, 2, dtype=torch.bool)
        loss = TOKENS.score(model(batch).world[:, None], batch.token, future[rows], there, delta=False).loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    held = Seen(data.latents[600:], data.state[600:], data.token[600:])
    return float(hits(model(held).world, future[600:], best=1).mean())


@pytest.mark.parametrize("name", ["B", "C"])
def test_what_follows_from_the_present_is_learnt_and_shuffled_by_chance(name: str) -> None:
    assert accuracy(name, visible=True) > 0.95
    assert accuracy(name, visible=True, shuffled=True) < 1 / 7 + 0.1


def test_a_future_that_needs_the_token_itself_separates_c_from_c_without_it() -> None:
    assert accuracy("C", visible=False) > 0.95
    assert accuracy("C_no_world_input", visible=False) < 1 / 7 + 0.1
