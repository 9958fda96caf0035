"""Hidden states that learn to foretell latents: which they are, what they learn from, and that a rollout is plain."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from support.lerobot_training import Training, assert_equal
from support.tiny_policy import LATENT_DIM, TinyWorld

from lerobot_policy_world_modality.backbone import resolved_backbone
from lerobot_policy_world_modality.strip import strip
from world_modality.errors import UserError
from world_modality.memory.alignment import Alignment, AlignmentSizes
from world_modality.memory.lookup import LatentWindow
from world_modality.policies.chunk_policy import load_policy

FRAMES = (0, 13, 20, 44)
LAYERS = {
    "smolvla": "model.vlm_with_expert.lm_expert.layers",
    "pi0": "model.paligemma_with_expert.gemma_expert.model.layers",
}


def aligned(world: TinyWorld, **settings: Any) -> Any:
    return world.policy("disabled", world_align=True, **{f"world_align_{k}": v for k, v in settings.items()})


def gradients(policy: Any, world: TinyWorld) -> dict[str, torch.Tensor]:
    policy.train().zero_grad()
    policy(world.batch(*FRAMES))[0].backward()
    return {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}


def test_at_weight_0_it_is_the_plain_policy_in_training(either: TinyWorld) -> None:
    runs = [Training(either.policy("disabled")), Training(aligned(either, weight=0.0))]
    plain, own = (each.run(either, 0, 3) for each in runs)
    for one, other in zip(plain, own, strict=True):
        same = one.keys() - {"update_s"}
        assert {name: other[name] for name in same} == {name: one[name] for name in same}
        assert other["align_loss"] > 0
    states = [run.policy.state_dict() for run in runs]
    assert_equal(states[0], {name: each for name, each in states[1].items() if not name.startswith("alignment.")})
    assert [group["name"] for group in runs[1].policy.get_optim_params()] == ["base"]


@pytest.mark.parametrize(("depth", "layer"), [(0.1, 1), (0.5, 1), (0.75, 2), (1.0, 2)])
def test_states_are_those_of_the_layer_at_that_depth(either: TinyWorld, depth: float, layer: int) -> None:
    """What comes after it learns from the policy's own loss alone; two layers there are."""
    plain = gradients(either.policy("disabled"), either)
    own = gradients(aligned(either, depth=depth), either)
    changed = {name for name, each in plain.items() if not torch.equal(own[name], each)}
    last = f"{LAYERS[either.backbone]}.1."
    assert any(name.startswith(f"{LAYERS[either.backbone]}.0.mlp") for name in changed)
    assert any(name.startswith(f"{last}mlp") for name in changed) == (layer == 2)
    assert not any("action_out_proj" in name for name in changed)
    new = {name for name in own if name not in plain}
    assert new == {name for name, _ in aligned(either).named_parameters() if name.startswith("alignment.")}


def test_they_are_what_the_next_layer_is_given(either: TinyWorld) -> None:
    policy, found = aligned(either, depth=0.5), list[torch.Tensor]()
    layers = policy.get_submodule(LAYERS[either.backbone])
    layers[1].input_layernorm.register_forward_pre_hook(lambda _layer, given: found.append(given[0].detach().clone()))
    seen: list[torch.Tensor] = []
    score = policy.alignment.score
    policy.alignment.score = lambda hidden, window: (seen.append(hidden.detach().clone()), score(hidden, window))[1]
    policy.train()(either.batch(*FRAMES))
    assert len(found) == len(seen) == 1
    assert torch.equal(found[0], seen[0])
    assert not policy.alignment._seen  # nothing is kept, else it could not be copied
    copy.deepcopy(policy)


def test_a_copy_looks_at_its_own_layers(tiny: TinyWorld) -> None:
    policy = aligned(tiny)
    other = copy.deepcopy(policy)
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter.mul_(1.01)
    losses = [each.train()(tiny.batch(*FRAMES))[1]["align_loss"] for each in (policy, other)]
    assert losses[0] != losses[1]


def test_gradient_checkpointing_changes_no_gradient(tiny_pi0_world: TinyWorld) -> None:
    world, settings = tiny_pi0_world, {"world_align": True, "world_align_depth": 0.5}
    whole = gradients(world.policy("disabled", **settings), world)
    saving = world.policy("disabled", **settings, gradient_checkpointing=True)
    assert saving.model.gradient_checkpointing_enabled
    assert_equal(whole, gradients(saving, world))


SIZES = AlignmentSizes(dim=4, tokens=2, prediction_horizon=3, hidden=8, chunk_size=5, depth=1.0, mean=False, delta=True)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


def test_the_kth_action_foretells_the_frame_that_it_leads_to() -> None:
    alignment = Alignment(SIZES, 0)
    hidden, now = drawn(2, 6, 8), drawn(2, 2, 4)  # a token of the state, then five of actions
    before = alignment(hidden, now)
    assert before.shape == (2, 3, 2, 4)
    for token in range(6):
        other = hidden.clone()
        other[:, token, 0] += 1
        moved = (alignment(other, now) != before).flatten(2).any(-1).all(0).tolist()
        assert moved == [token == k for k in (1, 2, 3)]


def test_or_the_mean_over_the_chunk_foretells_all_of_them() -> None:
    alignment = Alignment(AlignmentSizes(**{**vars(SIZES), "mean": True, "delta": False}), 0)
    hidden, now = drawn(2, 6, 8), drawn(2, 2, 4)
    before = alignment(hidden, now)
    assert before.shape == (2, 3, 2, 4)
    assert not torch.equal(before[:, 0], before[:, 1])  # it is told which frame is asked for
    assert torch.equal(alignment(hidden, now + 1), before)
    for token in range(6):
        other = hidden.clone()
        other[:, token, 0] += 1
        assert (alignment(other, now) != before).flatten(2).any(-1).all().item() == (token > 0)


def test_the_loss_is_direction_and_magnitude_of_the_change_inside_the_episode() -> None:
    """Computed once more, number by number."""
    alignment = Alignment(AlignmentSizes(**{**vars(SIZES), "step_weights": (3.0, 1.0, 2.0)}), 0)
    hidden, now, future = drawn(2, 6, 8), drawn(2, 2, 4), drawn(2, 3, 2, 4)
    valid = torch.tensor([[True, True, False], [True, False, False]])
    found = alignment.score(hidden, LatentWindow(now[:, None], future, valid)).loss()
    guesses = (alignment(hidden, now) - now[:, None]).detach().numpy().astype(np.float64)
    truths = (future - now[:, None]).numpy().astype(np.float64)
    total = 0.0
    for sample, k in ((0, 0), (0, 1), (1, 0)):
        tokens = []
        for guess, truth in zip(guesses[sample, k], truths[sample, k], strict=True):
            cosine = guess @ truth / np.linalg.norm(guess) / np.linalg.norm(truth)
            off = np.abs(guess - truth)
            tokens.append(1 - cosine + np.mean(np.where(off < 1, off**2 / 2, off - 0.5)))
        total += (3.0, 1.0, 2.0)[k] / 2 * np.mean(tokens)
    assert found.item() == pytest.approx(total / 3, rel=1e-5)


def trained(world: TinyWorld, folder: Path) -> Any:
    """An aligned policy after two steps, and its checkpoint in ``folder``."""
    training = Training(aligned(world))
    training.run(world, 0, 2)
    training.policy.save_pretrained(folder)
    for file in world.base.glob("policy_*processor*"):
        shutil.copyfile(file, folder / file.name)
    return training.policy


def test_a_rollout_is_the_plain_policys(tiny: TinyWorld, tmp_path: Path) -> None:
    """Neither dataset nor latents nor the head are of any use to it, and without them it is LeRobot's own SmolVLA."""
    policy = trained(tiny, tmp_path / "aligned").eval()
    loaded = load_policy(tmp_path / "aligned")._policy
    assert loaded._latents is None
    (tmp_path / "plain").mkdir()
    strip(tmp_path / "aligned", tmp_path / "plain")
    config = load_policy(tmp_path / "plain").config
    with resolved_backbone(config):
        stock = SmolVLAPolicy.from_pretrained(tmp_path / "plain", config=config).eval()
    with torch.no_grad():
        for parameter in loaded.alignment.parameters():
            parameter.fill_(float("nan"))
    noise = torch.randn(len(FRAMES), 6, 32, generator=torch.Generator().manual_seed(0))
    chunks = [each.predict_action_chunk(tiny.observation(*FRAMES), noise=noise) for each in (policy, loaded, stock)]
    assert torch.equal(chunks[0], chunks[1])
    assert torch.equal(chunks[0], chunks[2])
    loss, info = loaded(tiny.batch(*FRAMES))  # a loss without latents is the flow's
    assert info["loss_total"] == loss.item()
    assert "align_loss" not in info


def test_it_is_refused_where_it_makes_no_sense(tiny: TinyWorld, tmp_path: Path) -> None:
    for settings, message in (
        ({"world_memory_mode_train": "pred"}, "world_align is true and world_memory_mode_train 'pred'"),
        ({"world_align_depth": 0.0}, "world_align_depth 0.0: give a weight"),
        ({"world_align_weight": -1.0}, "world_align_weight is -1.0 and"),
        ({"world_align_tokens": "all"}, "world_align_tokens: 'all' is not one of steps, mean; choose one"),
        ({"world_prediction_horizon": 9}, "world_prediction_horizon is 9 but chunk_size 6: with world_align_tokens"),
        ({"world_latents": ""}, "world_latents is not set: world_align learns from latents"),
    ):
        own = {"world_latents": str(tiny.latents), **settings}
        mode = own.pop("world_memory_mode_train", "disabled")
        with pytest.raises(UserError, match=message):
            tiny.load(tiny.checkpoint(mode, world_align=True, **own))
    assert aligned(tiny, tokens="mean").alignment.standardiser.mean.shape == (1, LATENT_DIM)
