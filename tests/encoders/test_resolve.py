"""An encoder that someone names on a command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.data_stages import encoder_spec
from support.hub_cache import COMMITS, use_hub

from world_modality.data.hub import ENCODER
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.resolve import read_model_config, resolve_encoder
from world_modality.errors import UserError
from world_modality.facts.model_configs import plain_config
from world_modality.study.specs import EncoderSpec

EncoderFolder = Callable[[EncoderSpec], Path]


def test_a_folder_is_known_by_its_content(encoder_folder: EncoderFolder) -> None:
    folder = encoder_folder(encoder_spec())
    given = resolve_encoder(str(folder), frames=4, image_size=None, dtype="float32")
    assert (given.spec.kind, given.spec.source, given.spec.frames) == ("vjepa2", "folder", 4)
    assert given.spec.revision == ENCODER.digest(folder)
    assert given.spec.image_size == json.loads((folder / "config.json").read_text())["crop_size"]
    assert given.dim == load_encoder(given.spec, given.folder).dim
    assert str(folder) not in json.dumps(given.spec.address())
    assert resolve_encoder(str(folder), frames=4, image_size=48, dtype="float32").spec.image_size == 48


def test_a_repository_is_known_by_its_commit(
    encoder_folder: EncoderFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = use_hub(tmp_path / "hub", monkeypatch)
    hub.add("facebook/small", COMMITS[0], encoder_folder(encoder_spec("dinov2")))
    given = resolve_encoder("facebook/small", frames=1, image_size=None, dtype="float16")
    assert (given.spec.kind, given.spec.source, given.spec.name) == ("dinov2", "hub", "facebook/small")
    assert (given.spec.revision, given.spec.image_size, given.spec.dtype) == (COMMITS[0], 224, "float16")


def test_what_is_no_encoder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no encoder"):
        resolve_encoder(str(tmp_path), frames=4, image_size=None, dtype="float32")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 8}))
    with pytest.raises(UserError, match="is a bert: give one of vjepa2, dinov2"):
        resolve_encoder(str(tmp_path), frames=4, image_size=None, dtype="float32")


def test_of_two_towers_the_pictures_counts_and_what_config_json_leaves_out_is_known(tmp_path: Path) -> None:
    """Published SigLIPs say nothing of their towers but what differs from transformers' defaults."""
    towers = {
        "vision_config": {"model_type": "siglip_vision_model", "image_size": 384},
        "text_config": {"hidden_size": 8},
    }
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip", **towers}))
    config = read_model_config(tmp_path)
    assert (config["model_type"], config["hidden_size"], config["patch_size"]) == ("siglip_vision_model", 768, 16)
    given = resolve_encoder(str(tmp_path), frames=1, image_size=None, dtype="float32")
    assert (given.spec.kind, given.spec.image_size, given.dim) == ("automodel", 384, 768)


@pytest.mark.parametrize(
    ("config", "plain"),
    [
        ({"model_type": "vit", "hidden_size": 8, "patch_size": [4, 4], "image_size": (32, 32)}, ("vit", 8, 4, 32)),
        ({"model_type": "dinov3_convnext", "hidden_sizes": [8, 16], "image_size": 64}, ("dinov3_convnext", 16, 8, 64)),
        (
            {"_class_name": "AutoencoderKLCogVideoX", "latent_channels": 16, "block_out_channels": [8] * 4}
            | {"sample_height": 480, "sample_width": 720},
            ("AutoencoderKLCogVideoX", 16, 8, 480),
        ),
    ],
)
def test_configs_say_the_same_in_one_vocabulary(config: dict[str, object], plain: tuple[object, ...]) -> None:
    found = plain_config(config)
    assert tuple(found[name] for name in ("model_type", "hidden_size", "patch_size", "image_size")) == plain
