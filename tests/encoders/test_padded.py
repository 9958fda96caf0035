"""An encoder that sees what SmolVLA sees: enlarged, padded, resized back, and nowhere rounded to bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.data_stages import encode_episode, encoder_spec

from world_modality.encoders.encoder import Encoder, load_encoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.study.specs import PaddedEncoderSpec

SMOLVLA, PIXELS, SIDE = 96, 32, 64  # its input, the pictures', the encoder's


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    build_embedded_encoder(encoder_spec(frames=2, image_size=SIDE), folder)
    return folder


def encoder(folder: Path, padded_to: int, dtype: str = "float32") -> Encoder:
    plain = encoder_spec(frames=2, image_size=SIDE).model_dump() | {"dtype": dtype}
    return load_encoder(PaddedEncoderSpec(**plain, padded_to=padded_to), folder)


def frames(height: int = PIXELS, width: int = PIXELS) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, height, width, 3), dtype=np.uint8)


def by_hand(shown: np.ndarray, padded_to: int) -> torch.Tensor:
    """SmolVLA: as large as fits, black on the left and on top, in [-1, 1]; then back to [0, 1] and to the encoder."""
    pictures = torch.from_numpy(shown).permute(0, 3, 1, 2).float() / 255
    if padded_to:
        scale = padded_to / max(pictures.shape[-2:])
        size = [int(side * scale) for side in pictures.shape[-2:]]
        pictures = F.interpolate(pictures, size, mode="bilinear", align_corners=False)
        pictures = F.pad(pictures, (padded_to - size[1], 0, padded_to - size[0], 0))
    pictures = ((pictures * 2 - 1) + 1) / 2
    pictures = F.interpolate(pictures, (SIDE, SIDE), mode="bilinear", align_corners=False)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (pictures - mean[:, None, None]) / deviation[:, None, None]


@pytest.mark.parametrize("padded_to", [0, SMOLVLA])
@pytest.mark.parametrize("shape", [(PIXELS, PIXELS), (24, PIXELS)])
def test_pictures_take_smolvlas_way(folder: Path, padded_to: int, shape: tuple[int, int]) -> None:
    prepared = encoder(folder, padded_to).prepare(frames(*shape))
    torch.testing.assert_close(prepared, by_hand(frames(*shape), padded_to), rtol=0, atol=1e-5)


def test_it_is_another_encoder_and_says_so(folder: Path) -> None:
    plain = load_encoder(encoder_spec(frames=2, image_size=SIDE), folder)
    padded = encoder(folder, SMOLVLA)
    assert not np.array_equal(encode_episode(plain, frames()), encode_episode(padded, frames()))
    assert padded.spec.address() == plain.spec.address() | {"padded_to": SMOLVLA}


def test_in_half_precision_it_says_nearly_the_same(folder: Path) -> None:
    single, half = (encode_episode(encoder(folder, SMOLVLA, dtype), frames()) for dtype in ("float32", "float16"))
    assert np.isfinite(half).all()
    np.testing.assert_allclose(single, half, atol=0.05 * np.abs(single).max())
