"""What a policy takes from the training set that it is built for."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.tiny_policy import LATENT_DIM, PICTURE, WORLD, TinyWorld

from lerobot_policy_world_modality.convert import convert
from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy
from world_modality.cli.inspect_checkpoint import inspect_lines
from world_modality.data.episodes import dataset_fingerprint
from world_modality.errors import UserError
from world_modality.latents import joint


def test_latents_of_another_dataset_are_refused_though_it_has_as_many_frames(tiny: TinyWorld, tmp_path: Path) -> None:
    other = Path(shutil.copytree(tiny.dataset.root, tmp_path / "other"))
    tasks = other / "meta" / "stats.json"
    tasks.write_text(tasks.read_text() + "\n")
    meta = tiny.metadata
    seen = SimpleNamespace(root=other, episodes=meta.episodes, features=meta.features, stats=meta.stats)
    message = (
        f"world_latents: the latents in {tiny.latents} .* fingerprint {dataset_fingerprint(tiny.dataset.root)}, "
        f"but the dataset in {other} has {dataset_fingerprint(other)}"
    )
    checkpoint = tiny.checkpoint("pred", world_latents=str(tiny.latents))
    with pytest.raises(UserError, match=message):
        SmolVLAWorldPolicy.from_pretrained(checkpoint, dataset_meta=seen, dataset_stats=meta.stats)


def test_the_latents_are_read_for_their_statistics_once_and_never_in_a_rollout(
    tiny: TinyWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two cameras that takes a pass over both caches, minutes at real size."""
    passes = []
    cross = joint.cross_covariance
    monkeypatch.setattr(joint, "cross_covariance", lambda *caches: passes.append(caches) or cross(*caches))
    world = replace(tiny.with_wrist(), root=tmp_path)
    checkpoint = world.checkpoint("pred", world_latents=os.pathsep.join(map(str, world.folders)))
    assert len(passes) == 1
    policy = world.load(checkpoint)
    again = SmolVLAWorldPolicy.from_pretrained(checkpoint, strict=True)
    inspect_lines(checkpoint)
    assert len(passes) == 1
    fresh = SmolVLAWorldPolicy(policy.config, dataset_meta=world.metadata)
    assert len(passes) == 2
    for other in (again, fresh):
        assert torch.equal(other.world.standardiser.factor, policy.world.standardiser.factor)
        assert torch.equal(other.world.standardiser.mean, policy.world.standardiser.mean)
    caches = [np.load(folder / "latents.npy") for folder in world.folders]
    rows = np.concatenate(caches, axis=-1).astype(np.float64)
    drawn = policy.world.standardiser.factor.double().numpy()
    np.testing.assert_allclose(drawn @ drawn.T, np.corrcoef(rows[:, 0].T), atol=1e-4)


def test_a_checkpoint_without_statistics_takes_the_training_sets(tiny: TinyWorld, tmp_path: Path) -> None:
    """One that was converted without latents: its statistics are 0 and 1, which say nothing."""
    settings = {"world_latent_dim": LATENT_DIM, "world_memory_mode_train": "pred", "world_latents": str(tiny.latents)}
    convert(tiny.base, tmp_path, **{**WORLD, **settings})
    standardiser = tiny.load(tmp_path).world.standardiser
    expected = tiny.policy("pred").world.standardiser
    assert torch.equal(standardiser.factor, expected.factor)
    assert torch.equal(standardiser.mean, expected.mean)


def test_latents_in_another_order_or_of_one_camera_only_are_refused(tiny: TinyWorld, tmp_path: Path) -> None:
    world = replace(tiny.with_wrist(), root=tmp_path)
    turned = os.pathsep.join(map(str, world.folders[::-1]))
    for latents, message in (
        (turned, "are of camera image2,image, where world_cameras has image,image2: give"),
        (str(tiny.latents), "names 1 folders for the cameras image,image2: give one folder per camera"),
    ):
        with pytest.raises(UserError, match=f"world_latents.* {message}"):
            world.load(world.checkpoint("pred", world_latents=latents))


@pytest.mark.parametrize("mode", ["disabled", "zero", "pred"])
def test_a_checkpoint_says_what_pictures_it_was_trained_on(tiny: TinyWorld, tmp_path: Path, mode: str) -> None:
    """Not what pictures the start policy was trained on, which is what LeRobot would leave in its config."""
    start = Path(shutil.copytree(tiny.checkpoint(mode, world_latents=str(tiny.latents)), tmp_path / "start"))
    config = json.loads((start / "config.json").read_text())
    for name in ("image", "image2"):
        config["input_features"][f"observation.images.{name}"]["shape"] = [3, 512, 512]
    config["input_features"]["observation.images.empty_camera_0"] = {"type": "VISUAL", "shape": [3, 480, 640]}
    (start / "config.json").write_text(json.dumps(config))
    tiny.load(start).save_pretrained(tmp_path / "trained")
    features = json.loads((tmp_path / "trained" / "config.json").read_text())["input_features"]
    assert {name: feature["shape"] for name, feature in features.items()} == {
        "observation.images.image": [3, PICTURE, PICTURE],
        "observation.images.image2": [3, PICTURE, PICTURE],
        "observation.state": [8],
        "observation.images.empty_camera_0": [3, 480, 640],
    }
