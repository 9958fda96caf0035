"""The offline evaluation of a checkpoint's memories against what the policy itself computes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.utils.constants import ACTION
from support.tiny_policy import CONTEXT, HORIZON, TinyWorld, build_tiny_world

from lerobot_policy_world_modality.world_policy import WORLD_FUTURE, WORLD_HISTORY
from world_modality.memory.lookup import LatentLookup
from world_modality.store.keys import keyed_seed
from world_modality.training import offline
from world_modality.training.offline import describe, evaluate_offline

OPEN = {"world_gate_init": 0.7}  # else no memory does anything


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return build_tiny_world(tmp_path_factory.mktemp("tiny_world"))


def evaluate(tiny: TinyWorld, mode: str = "pred", **settings: Any) -> dict[str, Any]:
    latents = () if mode == "disabled" else tiny.folders
    return evaluate_offline(tiny.checkpoint(mode, **settings), Path(tiny.metadata.root), latents)


def test_every_memory_is_what_the_policy_would_do_with_it(tiny: TinyWorld) -> None:
    """Loss and chunks computed once more, frame by frame, from the policy trained in the mode itself."""
    found = evaluate(tiny, world_held_out=[1], **OPEN)
    assert (found["held_out"], found["frames"]) == (True, 15)
    lookup = LatentLookup.open(tiny.folders, tiny.policy("pred")._latents.bounds, (1,))
    for mode in ("oracle", "pred", "persistence", "zero"):
        policy = tiny.policy("pred", world_held_out=[1], **OPEN).eval()
        policy.config.world_memory_mode_train = mode
        losses, squares, count = 0.0, 0.0, 0
        for frame in range(14, 29):
            batch = tiny.batch(frame)
            with torch.no_grad():
                loss = policy.forward(dict(batch))[1]["flow_loss"]
                generator = torch.Generator().manual_seed(keyed_seed("offline", frame))
                noise = torch.randn((1, 6, 32), generator=generator)
                index = torch.tensor([frame])
                window = lookup.window(index, CONTEXT, HORIZON)
                policy.reset()
                chunk = policy.predict_action_chunk(
                    {**batch, WORLD_HISTORY: window.history, WORLD_FUTURE: window.future}, noise=noise
                )
            inside = ~batch["action_is_pad"][0]
            squares += float((chunk - batch[ACTION])[0][inside].square().sum())
            losses += loss * int(inside.sum())
            count += int(inside.sum())
        assert found["memories"][mode]["flow_loss"] == pytest.approx(losses / count, rel=1e-4)
        assert found["memories"][mode]["action_rmse"] == pytest.approx((squares / count / 7) ** 0.5, rel=1e-4)


def test_all_memories_but_those_that_the_checkpoint_lacks(tiny: TinyWorld, tmp_path: Path) -> None:
    policy = tiny.policy("pred", **OPEN)
    policy.train()(tiny.batch(0, 20))  # a training brings the donors
    policy.save_pretrained(tmp_path)
    for file in tiny.base.glob("policy_p*"):
        shutil.copy(file, tmp_path)
    memories = evaluate_offline(tmp_path, Path(tiny.metadata.root), tiny.folders)["memories"]
    assert memories.keys() - evaluate(tiny, **OPEN)["memories"].keys() == {"shuffle"}
    everything = (
        "zero pred oracle persistence stale shuffle time_shuffle random standard_normal random_scaled signflip aux_only"
    )
    assert set(memories) == set(everything.split())
    assert memories["zero"] == memories["aux_only"]
    assert memories["random_scaled"] == memories["standard_normal"]  # the injector normalises tokens: directions count
    distinct = {figures["flow_loss"] for figures in memories.values()}
    assert len(distinct) == len(memories) - 2
    assert "learned" in evaluate(tiny, "learned", **OPEN)["memories"]


def test_a_policy_without_memory_is_judged_like_one_with_zeroed_memory(tiny: TinyWorld) -> None:
    without, zeroed = evaluate(tiny, "disabled", world_held_out=[1]), evaluate(tiny, "zero", world_held_out=[1])
    assert list(without["memories"]) == ["disabled"]
    assert without["memories"]["disabled"] == zeroed["memories"]["zero"]


def test_it_depends_on_the_checkpoint_and_the_data_alone(tiny: TinyWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = evaluate(tiny, **OPEN)
    assert torch.equal(torch.get_rng_state(), before)
    assert (first["held_out"], first["frames"]) == (False, 45)
    torch.manual_seed(2)
    assert evaluate(tiny, **OPEN) == first
    monkeypatch.setattr(offline, "FRAMES", 20)
    drawn = evaluate(tiny, **OPEN)
    assert drawn["frames"] == 20
    assert drawn == evaluate(tiny, **OPEN)


def test_sums_by_episode_make_up_every_figure(tiny: TinyWorld) -> None:
    found = evaluate(tiny, world_held_out=[0, 2], **OPEN)
    by = found["by_episode"]
    assert by["episodes"] == [0, 2]
    assert by["dimensions"] == 7
    assert by["memories"].keys() == found["memories"].keys()
    count = sum(by["actions"])
    for name, sums in by["memories"].items():
        figures = found["memories"][name]
        assert sum(sums["flow_loss"]) / count == pytest.approx(figures["flow_loss"], abs=1e-5)
        assert (sum(sums["action_error"]) / count / 7) ** 0.5 == pytest.approx(figures["action_rmse"], abs=1e-5)
    alone = evaluate(tiny, world_held_out=[2], **OPEN)["by_episode"]
    assert [by["actions"][1]] == alone["actions"]
    assert by["memories"]["pred"]["flow_loss"][1] == pytest.approx(alone["memories"]["pred"]["flow_loss"][0], rel=1e-4)


def test_what_a_memory_and_what_noise_changes_of_the_chunk(tiny: TinyWorld) -> None:
    opened = evaluate(tiny, world_held_out=[1], **OPEN)["by_episode"]
    assert opened["memories"]["zero"]["action_change"] == [0.0]
    assert opened["memories"]["pred"]["action_change"][0] > 0
    assert opened["noise_change"][0] > 0
    closed = evaluate(tiny, world_held_out=[1])["by_episode"]
    assert {each["action_change"][0] for each in closed["memories"].values()} == {0.0}
    assert closed["noise_change"] == pytest.approx(opened["noise_change"])  # of zero memory, whatever the gate
    assert "noise_change" not in evaluate(tiny, "disabled")["by_episode"]


def test_the_message_names_every_memory() -> None:
    figures = {"flow_loss": 0.1523, "action_rmse": 1.0}
    result = {"held_out": True, "frames": 128, "memories": {"zero": figures, "oracle": figures}}
    assert describe(result) == "offline on 128 held-out frames: action loss zero 0.152, oracle 0.152"
