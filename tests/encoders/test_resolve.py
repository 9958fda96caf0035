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
from world_modality.encoders.resolve import resolve_encoder
from world_modality.errors import UserError
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
