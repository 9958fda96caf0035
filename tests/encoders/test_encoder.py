from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data_stages import encode_clips, encoder_spec, moving_dots

from world_modality.encoders.encoder import Encoder, load_encoder
from world_modality.errors import UserError
from world_modality.study.specs import EncoderSpec

Make = Callable[..., Encoder]
KINDS = ["vjepa2", "dinov2"]


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_model_called_by_hand(make_encoder: Make, kind: str) -> None:
    encoder = make_encoder(kind, 4)
    clip = moving_dots(4, size=32)  # the encoder's own size: no resizing
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = torch.from_numpy(((clip / 255 - mean) / deviation).astype(np.float32)).permute(0, 3, 1, 2)
    with torch.no_grad():
        if kind == "vjepa2":
            expected = encoder._model.get_vision_features(pixels[None]).mean(1)[0]
        else:
            expected = encoder._model(pixel_values=pixels).last_hidden_state[:, 1:].mean((0, 1))
    np.testing.assert_allclose(encode_clips(encoder, clip[None])[0, 0], expected.numpy(), atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@given(order=st.permutations(range(7)), start=st.integers(0, 6), stop=st.integers(1, 7))
@settings(max_examples=10, deadline=None)
def test_a_clip_does_not_depend_on_its_batch_mates(
    make_encoder: Make, kind: str, order: list[int], start: int, stop: int
) -> None:
    encoder = make_encoder(kind, 2)
    clips = np.stack([moving_dots(2, size=48, seed=seed) for seed in range(7)])
    alone = np.concatenate([encode_clips(encoder, clip[None]) for clip in clips])
    chosen = order[start:stop] or order[:1]
    assert np.array_equal(encode_clips(encoder, clips[chosen]), alone[chosen])


@pytest.mark.parametrize("threads", [1, 2])
def test_the_thread_count_does_not_matter(make_encoder: Make, threads: int) -> None:
    encoder, clips, before = make_encoder(), moving_dots(12)[None, :4], torch.get_num_threads()
    reference = encode_clips(encoder, clips)
    try:
        torch.set_num_threads(threads)
        assert np.array_equal(encode_clips(encoder, clips), reference)
    finally:
        torch.set_num_threads(before)


@pytest.mark.defect("B11")
def test_pixels_are_rescaled_exactly_once(make_encoder: Make) -> None:
    for kind in KINDS:
        white = make_encoder(kind).prepare(np.full((1, 64, 64, 3), 255, np.uint8))
        expected = (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
        np.testing.assert_allclose(white[0].mean((1, 2)).numpy(), expected, rtol=1e-5)


@pytest.mark.defect("B11")
def test_floats_are_refused(make_encoder: Make) -> None:
    with pytest.raises(TypeError, match="uint8"):
        encode_clips(make_encoder(), np.zeros((1, 4, 64, 64, 3), np.float32))  # type: ignore[arg-type]


def test_the_picture_is_not_cropped(make_encoder: Make) -> None:
    for kind in KINDS:
        plain = np.zeros((1, 256, 256, 3), np.uint8)
        edged = plain.copy()
        edged[:, :, :8] = 255
        changed = make_encoder(kind).prepare(edged) != make_encoder(kind).prepare(plain)
        assert changed[0, :, :, 0].all()


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_the_newest_frame_of_an_odd_clip_counts(make_encoder: Make, frames: int) -> None:
    encoder = make_encoder("vjepa2", frames)
    clip = moving_dots(frames)[None]
    other = clip.copy()
    other[:, -1] = 255 - other[:, -1]
    assert not np.array_equal(encode_clips(encoder, clip), encode_clips(encoder, other))


def test_one_frame_is_encoded_like_a_still_clip(make_encoder: Make) -> None:
    frame = moving_dots(1)
    still = np.repeat(frame, 2, axis=0)
    single = encode_clips(make_encoder("vjepa2", 1), frame[None])
    assert np.array_equal(single, encode_clips(make_encoder("vjepa2", 2), still[None]))


def test_position_grid_follows_the_image_size(make_encoder: Make) -> None:
    encoder = make_encoder("vjepa2", 2, image_size=64)  # weights were built for 32
    assert encoder._model.encoder.layer[0].attention.grid_size == 4
    assert encode_clips(encoder, moving_dots(2)[None]).shape == (1, 1, encoder.dim)


def test_no_clip_sees_the_future(make_encoder: Make) -> None:
    encoder = make_encoder()
    video = moving_dots(9)
    changed = video.copy()
    changed[6:] = 255 - changed[6:]
    before, after = encoder.encode_episode(video), encoder.encode_episode(changed)
    assert np.array_equal(before[:6], after[:6])
    assert (before[6:] != after[6:]).any(axis=(1, 2)).all()


def test_half_precision_computes_in_half_precision(make_encoder: Make) -> None:
    encoder = make_encoder(dtype="bfloat16")
    assert encoder._model.dtype == torch.bfloat16
    latents = encode_clips(encoder, moving_dots(4)[None])
    assert latents.dtype == np.float32
    reference = encode_clips(make_encoder(), moving_dots(4)[None])
    assert 0 < np.abs(latents - reference).max() < 0.05 * np.abs(reference).max() + 0.05


def test_wrong_kind_and_wrong_size_are_told(encoder_folder: Callable[[EncoderSpec], Path]) -> None:
    folder = encoder_folder(encoder_spec("vjepa2"))
    with pytest.raises(UserError, match="is a vjepa2, not a dinov2"):
        load_encoder(encoder_spec("dinov2"), folder)
    with pytest.raises(UserError, match="multiple of 16"):
        load_encoder(encoder_spec("vjepa2", image_size=40), folder)
