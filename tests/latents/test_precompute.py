"""The earlier program's name and flags lead to the same code and to its layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.data_stages import encoder_spec
from support.tiny_dataset import build_tiny_dataset

from world_modality.cli.latents import Clips, encode_latents
from world_modality.encoders.source import build_embedded_encoder
from world_modality.latents.earlier_cache import claimed, find_published
from world_modality.precompute_world_latents import main


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    build_tiny_dataset(folder / "set", episodes=2, frames=5, size=32)
    build_embedded_encoder(encoder_spec(), folder / "my_vjepa2")
    return folder


def flags(place: Path, cache: Path, *more: str) -> list[str]:
    return [
        *("--dataset_name", str(place / "set"), "--cache_dir", str(cache), "--temporal_window", "3"),
        *("--vision_model_name", str(place / "my_vjepa2"), "--image_key", "observation.images.image2"),
        *("--batch_size", "4", "--num_workers", "1", "--image_size", "32", *more),
    ]


def test_the_earlier_flags_leave_the_earlier_file(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(flags(place, tmp_path / "cache")) == 0
    file = tmp_path / "cache" / "set" / "train_world_latents_vjepa_m3.fp16.npy"
    assert capsys.readouterr().out == f"latents      {file}\n"
    assert find_published(file.parent) == file
    assert (claimed(file).frames, claimed(file).rows) == (3, 11)
    assert sorted(path.name for path in file.parent.iterdir()) == [
        "train_world_latents_vjepa_m3.fp16.npy",
        "train_world_latents_vjepa_m3.fp16_metadata.json",
    ]
    encode_latents(place / "set", tmp_path / "ours", Clips(str(place / "my_vjepa2"), "image2", 3, 32, "float32"), 1)
    assert np.array_equal(np.load(file), np.load(tmp_path / "ours" / "latents.npy")[:, 0])
    assert main(flags(place, tmp_path / "cache")) == 1
    assert capsys.readouterr().err.count("never overwritten") == 1


def test_what_is_not_read_is_refused(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(flags(place, tmp_path, "--vjepa_checkpoint", "encoder.pt")) == 1
    error = capsys.readouterr().err
    assert error.startswith("--vjepa_checkpoint: TorchScript files are not read")
    assert error.count("\n") == 1
    assert main([*flags(place, tmp_path, "--image_key", "rgb")]) == 1
    assert "has no observation.images.rgb, but observation.images.image" in capsys.readouterr().err
