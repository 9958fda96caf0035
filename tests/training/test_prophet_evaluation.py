"""The evaluation of a checkpoint's Prophet against what the policy itself computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny_policy import HORIZON, TinyWorld, build_tiny_world

from world_modality.errors import UserError
from world_modality.facts.targets import TARGETS
from world_modality.latents.windows import EpisodeBounds
from world_modality.memory.target import LATENTS
from world_modality.prophet import episodes
from world_modality.prophet.judging import describe
from world_modality.training.prophet import DemonstratedActions, evaluate_prophet


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return build_tiny_world(tmp_path_factory.mktemp("tiny_world"))


def evaluate(tiny: TinyWorld, **settings: Any) -> dict[str, Any]:
    return evaluate_prophet(tiny.checkpoint("pred", **settings), Path(tiny.metadata.root), tiny.folders)


@pytest.mark.parametrize("settings", [{}, {"world_held_out": [1]}, {"world_held_out": [1], "world_hypotheses": 3}])
def test_the_cosines_are_those_of_the_training_metrics(tiny: TinyWorld, settings: dict[str, Any]) -> None:
    result = evaluate(tiny, **settings)
    policy = tiny.policy("pred", **settings).eval()
    frames = range(14, 29) if settings else range(45)
    with torch.no_grad():
        window = policy._window(policy.world, {"index": torch.tensor(frames)})
        prediction = policy.world.prophet(window.history)
    expected = LATENTS.score(prediction, window.history[:, -1], window.future, window.valid, delta=True)
    summary = expected.summary()
    for name, known in (("prophet", "world_cos"), ("persistence", "world_cos_persistence")):
        per_step = [summary[f"{known}_{k}"] for k in range(1, HORIZON + 1)]
        assert result["predictors"][name]["cosine"] == pytest.approx(per_step, abs=1e-4)
    assert result["held_out"] is bool(settings)
    assert result["episodes"] == ([1] if settings else [0, 1, 2])
    assert result["frames_per_step"] == window.valid.sum(0).tolist()
    assert ("prophet_best" in result["predictors"]) == (settings.get("world_hypotheses", 1) > 1)
    if "prophet_best" in result["predictors"]:
        mean, best = (np.array(result["predictors"][name]["skill"]) for name in ("prophet", "prophet_best"))
        assert (best.mean() > mean.mean()).all()


def test_it_depends_on_the_checkpoint_and_the_data_alone(tiny: TinyWorld) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = evaluate(tiny, world_held_out=[1])
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert evaluate(tiny, world_held_out=[1]) == first


def test_more_frames_than_can_be_used_are_drawn_by_a_key(tiny: TinyWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(tiny)
    monkeypatch.setattr(episodes, "MOST_FRAMES", 20)
    drawn = evaluate(tiny)
    assert (whole["frames"], whole["fitted_frames"]) == (42, 42)
    assert (drawn["frames"], drawn["fitted_frames"]) == (20, 20)
    assert drawn == evaluate(tiny)
    assert drawn["predictors"]["ridge"] != whole["predictors"]["ridge"]


def test_the_message_names_the_first_and_the_last_step_and_the_best_rival() -> None:
    figures = {
        name: {"change_cosine": [0.1, 0.2, 0.3], "skill": [0.0, 0.0, 0.0]} for name in TARGETS["latents"].baselines
    }
    figures["velocity"] = {"change_cosine": [0.41, 0.2, 0.2], "skill": [-1.0, 0.2, 0.25]}
    figures["prophet"] = {"change_cosine": [0.44, 0.2, 0.1], "skill": [0.2, 0.2, 0.125]}
    result = {
        "target": "latents",
        "held_out": True,
        "actions": "none",
        "episodes": [1, 4, 7],
        "frames_per_step": [9, 8, 7],
        "predictors": figures,
    }
    assert describe(result) == (
        "prophet on 3 held-out episodes: change cosine k=1 0.44 (velocity 0.41), k=3 0.10 (persistence 0.30); "
        "skill k=1 0.20 (persistence 0.00), k=3 0.12 (velocity 0.25)"
    )
    figures["prophet"] = {"change_cosine": [None] * 3, "skill": [None] * 3}
    assert describe({**result, "held_out": False, "episodes": [0]}) == (
        "prophet on 1 training episode: no frame has a future"
    )


def test_persistence_is_the_zero_of_every_scale(tiny: TinyWorld) -> None:
    still = evaluate(tiny, world_held_out=[1])["predictors"]["persistence"]
    assert still["skill"] == still["change_cosine"] == [0.0] * HORIZON


def test_demonstrated_actions_are_those_that_the_policy_is_trained_on(tiny: TinyWorld) -> None:
    """In its episodes and padded, without noise; an episode's last action stands for those after its end."""
    checkpoint = tiny.checkpoint("pred", world_actions=True)
    policy = tiny.load(tiny.checkpoint("pred", world_actions=True, world_latents=str(tiny.latents)))
    episodes = tiny.metadata.episodes
    bounds = EpisodeBounds.of(episodes["dataset_from_index"], episodes["dataset_to_index"])
    told = DemonstratedActions(policy, checkpoint, Path(tiny.metadata.root), bounds)
    frames = (0, 12, 13, 14, 30, 44)
    found = told.of(np.array(frames), HORIZON)
    batch = tiny.batch(*frames)
    torch.testing.assert_close(found.actions, policy.prepare_action(batch)[:, :HORIZON])
    assert found.actions[..., :7].abs().max() > 0.5
    assert torch.equal(found.time, torch.zeros(len(frames)))


def test_of_a_prophet_that_was_judged_beforehand_only_the_rest_is_found(tiny: TinyWorld) -> None:
    """The ridge that it is compared with is fitted once, not once more for every training."""
    settings = {"world_held_out": [1]}
    whole = evaluate(tiny, **settings)
    before = {name: value for name, value in whole.items() if name not in ("actions", "nearest")} | {"frames": -1}
    again = evaluate_prophet(tiny.checkpoint("pred", **settings), Path(tiny.metadata.root), tiny.folders, judged=before)
    assert again == whole | {"frames": -1}


def test_a_prophet_that_follows_is_judged_with_the_demonstrated_actions(tiny: TinyWorld, tmp_path: Path) -> None:
    settings = {"world_held_out": [1]}
    plain, told = evaluate(tiny, **settings), evaluate(tiny, **settings, world_actions=True)
    assert (plain["actions"], told["actions"]) == ("none", "demonstrated")
    assert plain["predictors"] == told["predictors"]  # so far it makes nothing of what it is told
    policy = tiny.policy("pred", **settings, world_actions=True)
    torch.nn.init.normal_(policy.world.prophet.condition.write.weight)
    policy.save_pretrained(tmp_path)
    for file in tiny.checkpoint("pred").glob("policy_*processor*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    own = evaluate_prophet(tmp_path, Path(tiny.metadata.root), tiny.folders)
    assert own["predictors"]["prophet"] != plain["predictors"]["prophet"]
    assert own["predictors"]["ridge"] == plain["predictors"]["ridge"]
    assert describe(own).startswith("prophet on 1 held-out episode given the demonstrated actions: ")


def test_what_does_not_belong_together_is_refused(tiny: TinyWorld, tmp_path: Path) -> None:
    dataset = Path(tiny.metadata.root)
    with pytest.raises(UserError, match="has no world memory"):
        evaluate_prophet(tiny.checkpoint("disabled"), dataset, tiny.folders)
    with pytest.raises(UserError, match=r"lacks latents\.npy"):
        evaluate_prophet(tiny.checkpoint("pred"), dataset, [tmp_path])
    for wrong in ([7], [0, 1, 2]):
        with pytest.raises(UserError, match="world_held_out"):
            evaluate_prophet(tiny.checkpoint("pred", world_held_out=wrong), dataset, tiny.folders)
