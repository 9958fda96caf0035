"""What is wrong with an encoder's folder, by its headers alone, and what the loader adds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.data_stages import encoder_spec
from support.given_inputs import Tensors, edit_tensors

from world_modality.checks.encoder import encoder_findings
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture(scope="module", params=["vjepa2", "dinov2"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param) / "encoder"
    build_embedded_encoder(encoder_spec(request.param), folder)
    return request.param, folder


@pytest.fixture
def encoder(whole: tuple[str, Path], tmp_path: Path) -> tuple[str, Path]:
    return whole[0], shutil.copytree(whole[1], tmp_path / "encoder")


def in_two_files(folder: Path) -> list[str]:
    """The weights in two files with an index, whose names are given."""
    found = load_file(folder / WEIGHTS)
    files = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    parts = [dict(list(found.items())[number::2]) for number in (0, 1)]
    for file, part in zip(files, parts, strict=True):
        save_file(part, folder / file, metadata={"format": "pt"})
    places = {name: file for file, part in zip(files, parts, strict=True) for name in part}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (folder / WEIGHTS).unlink()
    return files


def weights(folder: Path, kind: str) -> Tensors:
    state: Tensors = load_encoder(encoder_spec(kind), folder).network.model.state_dict()
    return state


def test_whole_ones_load_also_from_several_files_and_of_narrow_floats(encoder: tuple[str, Path]) -> None:
    kind, folder = encoder
    expected = weights(folder, kind)
    in_two_files(folder)
    nested()(folder)
    assert encoder_findings(folder) == []
    assert all(torch.equal(value, expected[name]) for name, value in weights(folder, kind).items())


def test_a_model_s_own_prefix_and_a_further_head_are_no_fault(encoder: tuple[str, Path]) -> None:
    """As models for classification are saved."""
    kind, folder = encoder
    expected = weights(folder, kind)
    edit_tensors(folder / WEIGHTS, lambda found: {f"{kind}.{name}": value for name, value in found.items()})
    edit_tensors(folder / WEIGHTS, lambda found: {**found, "classifier.weight": torch.zeros(3, 128)})
    assert encoder_findings(folder) == []
    assert all(torch.equal(value, expected[name]) for name, value in weights(folder, kind).items())


def lost_file(folder: Path) -> None:
    (folder / in_two_files(folder)[1]).unlink()


def narrow(found: Tensors) -> Tensors:
    return {name: value.half() for name, value in found.items()}


def another_layer(found: Tensors) -> Tensors:
    more = {
        name.replace(".layer.1.", ".layer.2."): value.clone() for name, value in found.items() if ".layer.1." in name
    }
    return {**found, **more}


def copied_in_part(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2].ljust(len(content), b"\0"))


def scaled(**changes: Any) -> Callable[[Path], None]:
    """Settings of the processor that are changed, or left out if they are None."""

    def spoil(folder: Path) -> None:
        (file,) = folder.glob("*preprocessor_config.json")
        kept = {**json.loads(file.read_text()), **changes}
        file.write_text(json.dumps({key: value for key, value in kept.items() if value is not None}))

    return spoil


def nested(**changes: Any) -> Callable[[Path], None]:
    """As transformers 5 saves a model's processors: all in one file, which it reads before the others."""

    def spoil(folder: Path) -> None:
        (file,) = folder.glob("*preprocessor_config.json")
        kept = {**json.loads(file.read_text()), **changes}
        both = {"image_processor": kept, "video_processor": kept}
        (folder / "processor_config.json").write_text(json.dumps(both))

    return spoil


def no_settings(folder: Path) -> None:
    (file,) = folder.glob("*preprocessor_config.json")
    file.write_text("{}")


def in_weights(change: Callable[[Tensors], Tensors]) -> Callable[[Path], None]:
    return lambda folder: edit_tensors(folder / WEIGHTS, change)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (in_weights(lambda found: {f"module.{name}": v for name, v in found.items()}), "save them without 'module.'"),
        (
            in_weights(lambda found: {f"backbone.{name}": v for name, v in found.items()}),
            "save them without 'backbone.'",
        ),
        (
            in_weights(lambda found: {n: v for n, v in found.items() if "layer.0.norm1.bias" not in n}),
            "layer.0.norm1.bias",
        ),
        (in_weights(another_layer), "num_hidden_layers 2"),
        (lost_file, "model-00002-of-00002.safetensors"),
        (lambda folder: (folder / WEIGHTS).rename(folder / "pytorch_model.bin"), "pytorch_model.bin"),
        (lambda folder: (folder / WEIGHTS).unlink(), f"has no {WEIGHTS}"),
        (copied_in_part, "holds nothing but zeros in encoder."),
        (scaled(do_normalize=False), "preprocessor_config.json: do_normalize is False"),
        (scaled(do_rescale=False), "do_rescale is False"),
        (scaled(rescale_factor=1.0), "rescale_factor is 1.0"),
        (scaled(image_mean=[123.0, 116.0, 103.0]), "image_mean is [123.0, 116.0, 103.0]"),
        (scaled(image_std=[0, 0, 0]), "image_std is [0, 0, 0]"),
        (scaled(image_std=None), "preprocessor_config.json: has no image_std"),
        (nested(image_mean=[123.0, 116.0, 103.0]), "/processor_config.json: image_mean is"),
        (no_settings, "has no image_mean"),
        (lambda folder: (folder / "config.json").unlink(), "config.json"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "bert", "hidden_size": 8}'), "a bert"),
        (lambda folder: [file.unlink() for file in folder.glob("*processor*")], "preprocessor_config.json"),
    ],
)
def test_a_fault_is_told_by_name(encoder: tuple[str, Path], spoil: Callable[[Path], object], named: str) -> None:
    kind, folder = encoder
    spoil(folder)
    found = encoder_findings(folder)
    assert any(named in f"{each.where}: {each.message}" for each in found), found
    with pytest.raises(UserError):
        load_encoder(encoder_spec(kind), folder)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda name, value: value[:-1].clone() if name.endswith("layernorm.bias") else value, "layernorm.bias"),
        (lambda name, value: value * float("nan") if name.endswith("layernorm.bias") else value, "hold no numbers"),
        (
            lambda name, value: None if name.endswith("layernorm.bias") and "predictor" not in name else value,
            "layernorm",
        ),
    ],
)
def test_what_headers_do_not_tell_is_found_when_it_is_loaded(
    encoder: tuple[str, Path], change: Callable[[str, torch.Tensor], torch.Tensor | None], named: str
) -> None:
    kind, folder = encoder

    def spoilt(found: Tensors) -> Tensors:
        changed = {name: change(name, value) for name, value in found.items()}
        return {name: value for name, value in changed.items() if value is not None}

    edit_tensors(folder / WEIGHTS, spoilt)
    with pytest.raises(UserError, match=named) as caught:
        load_encoder(encoder_spec(kind), folder)
    assert "\n" not in str(caught.value)


def test_narrow_floats_are_no_fault(encoder: tuple[str, Path]) -> None:
    kind, folder = encoder
    edit_tensors(folder / WEIGHTS, narrow)
    assert encoder_findings(folder) == []
    assert weights(folder, kind)
