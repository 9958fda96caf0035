"""Fusions at the prefix leave its layout alone: no token is overwritten, no mask is changed, no row is left out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.tiny_policy import CONTEXT, LATENT_DIM, TinyWorld

FRAMES = (0, 20)  # two rows: one instruction padded, one at full length


def observation(tiny: TinyWorld) -> dict[str, Any]:
    batch = tiny.observation(*FRAMES)
    batch["observation.language.attention_mask"] = batch["observation.language.attention_mask"].clone()
    batch["observation.language.attention_mask"][0, 3:] = False
    assert batch["observation.language.attention_mask"].sum(1).tolist() != [3, 3]
    history = torch.randn(2, CONTEXT, 1, LATENT_DIM, generator=torch.Generator().manual_seed(0))
    return {**batch, "observation.world_history": history}


def chunk_and_prefix(policy: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """The chunk, and tokens, padding and attention mask of the prefix that the backbone was given."""
    prefixes: list[tuple[torch.Tensor, ...]] = []
    embed, rows = policy.model.embed_prefix, len(batch["observation.state"])

    def keep(*given: Any, **named: Any) -> tuple[torch.Tensor, ...]:
        prefixes.append(embed(*given, **named))
        return prefixes[-1]

    policy.model.embed_prefix = keep
    noise = torch.randn(2, policy.config.chunk_size, policy.config.max_action_dim, generator=torch.Generator())
    chunk = policy.predict_action_chunk(dict(batch), noise=noise[:rows])
    policy.model.embed_prefix = embed
    (prefix,) = prefixes
    return chunk, prefix


@pytest.mark.defect("B21")
@pytest.mark.parametrize("fusion", ["prefix_tokens", "prefix_cross"])
def test_the_prefix_keeps_its_tokens_and_masks_and_every_row_reads(tiny: TinyWorld, fusion: str) -> None:
    batch, stock = observation(tiny), tiny.stock()
    policy = tiny.policy("pred", world_fusion=fusion, world_gate_init=2.0)
    plain, (tokens, *masks) = chunk_and_prefix(stock, batch)
    actions, (own_tokens, *own_masks) = chunk_and_prefix(policy, batch)
    assert all(torch.equal(own, mask) for own, mask in zip(own_masks, masks, strict=True))
    assert own_tokens.shape == tokens.shape
    if fusion == "prefix_tokens":
        assert torch.equal(own_tokens, tokens)
    else:  # each token reads, the state's included, and none is replaced
        policy.config.world_memory_mode_rollout = "zero"
        assert torch.equal(chunk_and_prefix(policy, batch)[1][0], tokens)
        policy.config.world_memory_mode_rollout = "pred"
    assert ((actions - plain).abs().amax((1, 2)) > 1e-4).all()


@pytest.mark.defect("B21")
@pytest.mark.parametrize("fusion", ["prefix_tokens", "prefix_cross"])
def test_a_row_does_not_depend_on_its_batch_mate(tiny: TinyWorld, fusion: str) -> None:
    policy, batch = tiny.policy("pred", world_fusion=fusion, world_gate_init=2.0), observation(tiny)
    together, _ = chunk_and_prefix(policy, batch)
    first = {key: value[:1] for key, value in batch.items()}
    alone, _ = chunk_and_prefix(policy, first)
    torch.testing.assert_close(alone[0], together[0], atol=1e-5, rtol=1e-5)
    other = {**batch, "observation.world_history": batch["observation.world_history"].clone()}
    other["observation.world_history"][1] += 5
    changed, _ = chunk_and_prefix(policy, other)
    torch.testing.assert_close(changed[0], together[0], atol=1e-5, rtol=1e-5)
    assert (changed[1] - together[1]).abs().max() > 1e-4
