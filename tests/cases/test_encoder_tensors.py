"""Encoder folders whose weights lack tensors or name them otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.command_line import ENCODE, Outcome, assert_refused, wm
from support.data_stages import encoder_spec, stage_context
from support.given_inputs import Tensors, edit_tensors
from support.tiny_dataset import build_tiny_dataset

from world_modality.data.hub import ENCODER
from world_modality.encoders.source import run as encoder_stage
from world_modality.errors import UserError

Encoders = Callable[[str], Path]
LAST_LAYER = "encoder.layer.1."


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_dataset(tmp_path_factory.mktemp("data") / "data", episodes=1, frames=6)


def without_last_layer(tensors: Tensors) -> Tensors:
    return {name: value for name, value in tensors.items() if LAST_LAYER not in name}


def wrapped(tensors: Tensors) -> Tensors:
    """As a training wrapper saves them."""
    return {f"backbone.{name}": value for name, value in tensors.items()}


def without_predictor(tensors: Tensors) -> Tensors:
    return {name: value for name, value in tensors.items() if not name.startswith("predictor.")}


def spoilt(place: Path, encoder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    target = place / change.__name__
    shutil.copytree(encoder, target)
    edit_tensors(target / "model.safetensors", change)
    return target


def encode(data: Path, encoder: Path, output: str = "latents") -> Outcome:
    return wm(*ENCODE, "--dataset", data, "--encoder", encoder, "--frames", 4, "--output", output, "--cores", 1)


@pytest.mark.parametrize("kind", ["vjepa2", "dinov2"])
@pytest.mark.parametrize(("change", "named"), [(without_last_layer, LAST_LAYER), (wrapped, "backbone.")])
def test_missing_or_renamed_tensors_are_refused_by_name(
    place: Path, data: Path, encoders: Encoders, kind: str, change: Callable[[Tensors], Tensors], named: str
) -> None:
    encoder = spoilt(place, encoders(kind), change)
    assert_refused(encode(data, encoder), str(encoder), named)
    assert not Path("latents").exists()


def test_a_study_refuses_them_too(place: Path, encoders: Encoders) -> None:
    folder = spoilt(place, encoders("vjepa2"), without_last_layer)
    spec = encoder_spec(source="folder", name=str(folder), revision=ENCODER.digest(folder))
    told = ""
    try:
        encoder_stage(spec, stage_context(place / "stage"))
    except UserError as error:
        told = str(error)
    assert LAST_LAYER in told


def test_a_predictor_that_is_never_used_may_be_absent(place: Path, data: Path, encoders: Encoders) -> None:
    folders = {"whole": encoders("vjepa2"), "headless": spoilt(place, encoders("vjepa2"), without_predictor)}
    for output, encoder in folders.items():
        assert encode(data, encoder, output).accepted
    whole, headless = (np.load(place / output / "latents.npy") for output in folders)
    assert np.array_equal(whole, headless)
