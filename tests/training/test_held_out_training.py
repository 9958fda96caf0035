"""Held-out episodes are never trained on, and what training took from the data is the other episodes' alone."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from support.compared import compare
from support.crashing import Crash, CrashingProgress
from support.tiny_cell import cell_context, train_spec

from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy
from world_modality.errors import UserError
from world_modality.prophet.judging import PROPHET
from world_modality.study.specs import TrainSpec
from world_modality.training import checkpoints, stage
from world_modality.training.compare_arms import resolved_settings
from world_modality.training.statistics import start_statistics

Inputs = dict[str, tuple[Path, ...]]

HELD_OUT, TRAINED = 2, range(29)  # of episodes of 14, 15 and 16 frames; the first and the last are of one task


def spec_of(memory: str, steps: int = 10) -> TrainSpec:
    return train_spec(memory, steps=steps).model_copy(update={"held_out": 0.1})


def weights(artifact: Path) -> dict[str, torch.Tensor]:
    return load_file(artifact / "pretrained_model" / "model.safetensors")


@pytest.fixture(scope="module")
def cells(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Cells with an episode held out: artifact, progress, facts, and the frames that reached the policy."""
    done: dict[str, dict[str, Any]] = {}
    original = SmolVLAWorldPolicy.forward
    with pytest.MonkeyPatch.context() as patch:
        for memory in ("disabled", "zero", "pred"):
            frames: set[int] = set()

            def forward(self: Any, batch: dict[str, Any], *rest: Any, seen: set[int] = frames, **named: Any) -> Any:
                if self.training:  # else it is judged, on those episodes
                    seen.update(batch["index"].tolist())
                return original(self, batch, *rest, **named)

            patch.setattr(SmolVLAWorldPolicy, "forward", forward)
            root, stream = tmp_path_factory.mktemp(memory), io.StringIO()
            stage.run(spec_of(memory), cell_context(root, inputs, memory=memory, stream=stream))
            done[memory] = {"artifact": root / "artifact", "progress": stream.getvalue(), "frames": frames}
    return done


def test_no_frame_of_a_held_out_episode_reaches_the_policy(cells: dict[str, dict[str, Any]]) -> None:
    assert all(cell["frames"] == set(TRAINED) for cell in cells.values())


def test_every_arm_leaves_the_same_episodes_out(cells: dict[str, dict[str, Any]]) -> None:
    arms = {memory: json.loads((cell["artifact"] / "arm.json").read_text()) for memory, cell in cells.items()}
    assert {tuple(arm["dataset"]["episodes"]) for arm in arms.values()} == {(0, 1)}
    assert {tuple(arm["policy"]["world_held_out"]) for arm in arms.values()} == {(HELD_OUT,)}
    compare(arms, resolved_settings())
    arms["zero"]["policy"]["world_held_out"] = [1]
    with pytest.raises(UserError, match=r"policy\.world_held_out is \[2\] against \[1\]"):
        compare(arms, resolved_settings())
    plain, zero = (weights(cells[memory]["artifact"]) for memory in ("disabled", "zero"))
    assert all(torch.equal(plain[name], zero[name]) for name in plain)


def test_episodes_are_those_of_the_episodes_that_are_trained_on(
    cells: dict[str, dict[str, Any]], inputs: Inputs
) -> None:
    artifact = cells["pred"]["artifact"]
    files = sorted((inputs["dataset"][0] / "data").rglob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file, columns=["index", "action"]).to_pylist()]
    actions = np.array([row["action"] for row in rows if row["index"] in TRAINED])
    found = start_statistics(artifact / "pretrained_model")["action"]
    np.testing.assert_allclose(found["mean"], actions.mean(0), atol=1e-6)
    np.testing.assert_allclose(found["std"], actions.std(0), atol=1e-6)
    latents = np.load(inputs["latents_image"][0] / "latents.npy").astype(np.float64)[:, 0]
    np.testing.assert_allclose(weights(artifact)["world.standardiser.mean"][0], latents[TRAINED].mean(0), atol=1e-6)
    np.testing.assert_allclose(weights(artifact)["world.standardiser.scale"], latents[TRAINED].std(0), atol=1e-6)
    assert np.abs(latents.mean(0) - latents[TRAINED].mean(0)).max() > 1e-3


@pytest.mark.parametrize("memory", ["shuffle", pytest.param("nearest_other", marks=pytest.mark.slow)])
def test_held_out_latents_leave_no_trace_in_the_weights(inputs: Inputs, tmp_path: Path, memory: str) -> None:
    """Mode shuffle also reads donors, nearest_other every latent; the checkpoint takes these along."""
    shutil.copytree(inputs["latents_image"][0], tmp_path / "latents")
    other = np.load(tmp_path / "latents" / "latents.npy")
    other[TRAINED.stop :] = 1000
    np.save(tmp_path / "latents" / "latents.npy", other)
    found = []
    for name, latents in (("one", inputs["latents_image"]), ("other", (tmp_path / "latents",))):
        context = cell_context(tmp_path / name, {**inputs, "latents_image": latents}, memory=memory)
        stage.run(spec_of(memory, steps=3), context)
        found.append(weights(context.artifact))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_resumed_training_leaves_the_same_episodes_out(
    cells: dict[str, dict[str, Any]], inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "WORK_PER_SAVE", 0)
    context = cell_context(tmp_path, inputs, memory="pred")
    with pytest.raises(Crash):
        stage.run(spec_of("pred"), replace(context, progress=CrashingProgress("train")))
    stage.run(spec_of("pred"), context)
    whole, resumed = weights(cells["pred"]["artifact"]), weights(context.artifact)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert (context.artifact / PROPHET).read_text() == (cells["pred"]["artifact"] / PROPHET).read_text()


def test_the_stage_judges_every_prophet_and_says_so(cells: dict[str, dict[str, Any]]) -> None:
    assert not (cells["disabled"]["artifact"] / PROPHET).exists()
    for memory in ("zero", "pred"):
        result = json.loads((cells[memory]["artifact"] / PROPHET).read_text())
        assert (result["held_out"], result["episodes"], result["frames"]) == (True, [HELD_OUT], 15)
        assert f"train {memory}/0: prophet on 1 held-out episode: change cosine k=1 " in cells[memory]["progress"]


def told(memory: str) -> TrainSpec:
    spec = spec_of(memory)
    assert spec.world is not None
    return spec.model_copy(update={"world": spec.world.model_copy(update={"actions": True})})


@pytest.mark.slow
def test_a_prophet_that_follows_the_noisy_actions_trains_resumes_and_touches_no_other_arm(
    cells: dict[str, dict[str, Any]], inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero = cell_context(tmp_path / "zero", inputs, memory="zero")
    stage.run(told("zero"), zero)
    plain, own = weights(cells["disabled"]["artifact"]), weights(zero.artifact)
    assert all(torch.equal(own[name], value) for name, value in plain.items())
    whole, killed = (cell_context(tmp_path / name, inputs, memory="pred") for name in ("whole", "killed"))
    stage.run(told("pred"), whole)
    monkeypatch.setattr(stage, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "WORK_PER_SAVE", 0)
    with pytest.raises(Crash):
        stage.run(told("pred"), replace(killed, progress=CrashingProgress("train")))
    stage.run(told("pred"), killed)
    expected, found = weights(whole.artifact), weights(killed.artifact)
    assert all(torch.equal(expected[name], value) for name, value in found.items())
    assert expected["world.prophet.condition.write.weight"].abs().max() > 0
    assert json.loads((whole.artifact / PROPHET).read_text())["actions"] == "demonstrated"
