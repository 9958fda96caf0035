"""A policy that starts from a Prophet which was trained by itself: it keeps it, or goes on with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.data_stages import stage_context
from support.lerobot_training import BATCHES
from support.tiny_policy import CONTEXT, HORIZON, WORLD, TinyWorld

from lerobot_policy_world_modality.convert import convert
from world_modality.errors import UserError
from world_modality.prophet.stage import run
from world_modality.study.prophet import ProphetSpec
from world_modality.training.prophet import evaluate_prophet

PROPHET = "world.prophet."


@pytest.fixture(scope="module")
def fitted(tiny: TinyWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Prophet of ``tiny``'s latents, all of whose episodes were trained on."""
    context = stage_context(
        tmp_path_factory.mktemp("prophet"), dataset=Path(tiny.metadata.root), latents_image=tiny.latents
    )
    spec = ProphetSpec(
        cameras=("image",),
        context=CONTEXT,
        prediction_horizon=HORIZON,
        heads=WORLD["world_heads"],
        prophet_layers=WORLD["world_prophet_layers"],
        prophet_width=WORLD["world_prophet_width"],
        hypotheses=1,
        delta=True,
        prophet_rank=None,
        prophet_steps=50,
        step_weights=(),
        seed=0,
        threads=1,
        held_out=0.0,
        device="cpu",
    )
    run(spec, context)
    return context.artifact


def start(tiny: TinyWorld, folder: Path, prophet: Path, **settings: Any) -> Any:
    own = {**WORLD, "world_memory_mode_train": "pred", "world_latents": str(tiny.latents), **settings}
    convert(tiny.base, folder, latents=tiny.latents, prophet=prophet, **own)
    return tiny.load(folder)


def after_steps(tiny: TinyWorld, policy: Any) -> dict[str, torch.Tensor]:
    """The Prophet's tensors after some optimiser steps."""
    policy.train()
    groups = [{key: value for key, value in group.items() if key != "name"} for group in policy.get_optim_params()]
    optimizer = torch.optim.SGD(groups, lr=1e-2)
    for frames in BATCHES[:2]:
        optimizer.zero_grad()
        policy(tiny.batch(*frames))[0].backward()
        optimizer.step()
        policy.update()
    return prophet_of(policy)


def prophet_of(policy: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in policy.state_dict().items() if name.startswith(PROPHET)}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("who", ["kept", "tuned"])
def test_a_kept_prophet_stays_to_the_last_bit_and_a_tuned_one_goes_on(
    tiny: TinyWorld, fitted: Path, tmp_path: Path, who: str
) -> None:
    policy = start(tiny, tmp_path / "start", fitted, world_prophet=who, world_gate_init=0.5)
    before = prophet_of(policy)
    assert len(before) > 3
    assert same(after_steps(tiny, policy), before) is (who == "kept")


def test_it_begins_with_that_prophets_predictions(tiny: TinyWorld, fitted: Path, tmp_path: Path) -> None:
    policy = start(tiny, tmp_path / "start", fitted)
    assert policy.config.world_prophet == "kept"
    other = start(tiny, tmp_path / "other", fitted, world_seed=7)
    history = torch.randn(3, CONTEXT, 1, policy.world.sizes.dim)
    assert torch.equal(policy.world.prophet(history), other.world.prophet(history))


def test_an_arm_that_keeps_it_judges_it_as_it_was_judged(tiny: TinyWorld, fitted: Path, tmp_path: Path) -> None:
    """So a training may take that judgement over."""
    start(tiny, tmp_path / "start", fitted)
    own = evaluate_prophet(tmp_path / "start", Path(tiny.metadata.root), [tiny.latents])
    told = json.loads((fitted / "prophet.json").read_text())
    assert {name: own[name] for name in told} == told


def test_a_prophet_of_other_episodes_is_refused(tiny: TinyWorld, fitted: Path, tmp_path: Path) -> None:
    policy = start(tiny, tmp_path / "start", fitted, world_held_out=[1]).train()
    with pytest.raises(UserError, match="trained beforehand on another set"):
        policy(tiny.batch(0, 5))


def test_a_prophet_is_asked_for_and_given_together(tiny: TinyWorld, fitted: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'joint' has none"):
        start(tiny, tmp_path / "a", fitted, world_prophet="joint")
    with pytest.raises(UserError, match="none is given"):
        convert(tiny.base, tmp_path / "b", latents=tiny.latents, **{**WORLD, "world_prophet": "kept"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"world_actions": True}, "knows no actions"),
        ({"world_memory_mode_train": "aux_only"}, "train the Prophet beside the policy"),
        ({"world_step_weights": [1.0]}, "one per frame ahead"),
        ({"world_context": CONTEXT + 1}, "the settings that the Prophet was trained with"),
    ],
)
def test_what_a_kept_prophet_cannot_do_is_refused(
    tiny: TinyWorld, fitted: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        start(tiny, tmp_path / "start", fitted, **settings)


def test_a_tuned_one_may_be_told_the_actions(tiny: TinyWorld, fitted: Path, tmp_path: Path) -> None:
    policy = start(tiny, tmp_path / "start", fitted, world_prophet="tuned", world_actions=True, world_gate_init=0.5)
    before = prophet_of(policy)
    assert any("condition" in name for name in before)
    assert not same(after_steps(tiny, policy), before)
