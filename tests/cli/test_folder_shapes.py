"""Sizes read from a folder's headers are those of the model in it, and a study is held to them when it is planned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.data_stages import encoder_spec
from support.small_study import edited

from world_modality.cli.folder_shapes import encoder_patch, policy_shape
from world_modality.cli.sources import BASE_POLICY, resolve_sources
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.facts.encoders import ENCODERS
from world_modality.facts.policies import PolicyShape, small_policies
from world_modality.policies.host import small_host
from world_modality.study.load import load_study

SCRATCH = "policy: {source: scratch}"


def plan(folder: Path, *edits: tuple[str, str]) -> None:
    path = folder / "study.yaml"
    path.write_text(edited(*edits))
    resolve_sources(load_study(path), folder / "results")


def test_a_scratch_policy_has_the_shape_that_studies_are_checked_against(tmp_path: Path) -> None:
    for name, family in small_policies().items():
        small_host(name).build_small(name, 0, tmp_path / name, SUITES["libero_spatial"], 256)
        assert policy_shape(tmp_path / name) == family.small[name]


def test_the_embedded_base_is_one_of_them(tmp_path: Path) -> None:
    assert policy_shape(BASE_POLICY) == small_policies(embedded=True)["smolvla-tiny"].small["smolvla-tiny"]
    with pytest.raises(UserError, match=r"study.yaml:10: world.heads: 64 does not divide .* \(96\)"):
        plan(tmp_path, (SCRATCH, "policy: {source: embedded}"), ("prediction_horizon: 8", "heads: 64"))


@pytest.mark.parametrize("weights", [b"", b"weights", b"\xff" * 20, (2).to_bytes(8, "little") + b"{}"])
def test_weights_that_cannot_be_read_leave_the_width_unknown(weights: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"type": "smolvla", "chunk_size": 7}))
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert policy_shape(tmp_path) == PolicyShape(7, None)
    (tmp_path / "config.json").write_text(json.dumps({"type": "a type without chunks"}))
    assert policy_shape(tmp_path) == PolicyShape(None, None)


@pytest.mark.parametrize("kind", ["vjepa2", "dinov2"])
def test_an_encoder_in_a_folder(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    build_embedded_encoder(encoder_spec(kind), folder)
    assert encoder_patch(folder) == ENCODERS[kind].small_patch
    source = f"{{kind: {kind}, source: folder, path: {folder}, frames: 4, image_size: %d}}"
    given = "{kind: vjepa2, source: embedded, frames: 4, image_size: 64}"
    plan(tmp_path, (given, source % 64))
    with pytest.raises(UserError, match=r"study.yaml:9: encoder.image_size: 70 .* patch of 16; choose 64 or 80$"):
        plan(tmp_path, (given, source % 70))


def test_a_folder_that_does_not_say_its_patch(tmp_path: Path) -> None:
    assert encoder_patch(tmp_path) is None
    (tmp_path / "config.json").write_text("{}")
    assert encoder_patch(tmp_path) is None
