"""How our preprocessing relates to a plain bilinear resize, by which published latents were made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.data_stages import encoder_spec
from transformers import VJEPA2VideoProcessor

from world_modality.encoders.encoder import resizing

SIZE = 64
GREY_LEVEL = 1 / 255 / 0.224  # after normalisation, with the smallest of the three deviations


def pictures(size: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:size, 0:size] / size
    waves = np.repeat((127 + 100 * np.sin(12 * columns + 5 * rows))[..., None], 3, axis=-1)
    return np.stack([waves, rng.integers(0, 256, (size, size, 3))]).astype(np.uint8)


def difference(size: int) -> np.ndarray:
    """Largest absolute difference per picture between ours and resize, mean and deviation written out."""
    frames = pictures(size)
    processor = VJEPA2VideoProcessor()
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    resized = torch.nn.functional.interpolate(pixels, (SIZE, SIZE), mode="bilinear", align_corners=False)
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    prepared = processor(
        videos=[torch.from_numpy(frames).permute(0, 3, 1, 2)], **resizing(encoder_spec(image_size=SIZE))
    )
    ours = prepared["pixel_values_videos"][0]
    return np.array([float(one.abs().max()) for one in ours - (resized - mean) / deviation])


def test_frames_of_the_encoders_own_size_are_the_same() -> None:
    assert (difference(SIZE) < 1e-6).all()


@pytest.mark.parametrize("size", [32, 48])
def test_enlarging_differs_by_rounding_to_bytes(size: int) -> None:
    assert (difference(size) <= GREY_LEVEL + 1e-6).all()


def test_shrinking_differs_since_ours_averages() -> None:
    assert (difference(128) > GREY_LEVEL).any()
