"""What a policy takes from the training set that it is built for."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.tiny_policy import PICTURE, TinyWorld

from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy
from world_modality.data.episodes import dataset_fingerprint
from world_modality.errors import UserError


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
