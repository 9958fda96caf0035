from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data_stages import encode_clips, encode_in_stretches, encoder_spec, moving_dots

from world_modality.encoders.encoder import Encoder, clip_rows, history_ends, load_encoder, pool
from world_modality.errors import UserError
from world_modality.facts.encoders import POOLINGS
from world_modality.study.specs import EncoderSpec

Make = Callable[..., Encoder]
KINDS = ("vjepa2", "dinov2")  # a video encoder and one of pictures; test_every_family.py asks every family


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_model_called_by_hand(make_encoder: Make, kind: str) -> None:
    encoder = make_encoder(kind, 4)
    clip = moving_dots(4, size=32)  # the encoder's own size: no resizing
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = torch.from_numpy(((clip / 255 - mean) / deviation).astype(np.float32)).permute(0, 3, 1, 2)
    with torch.no_grad():
        if kind == "vjepa2":
            expected = encoder.network.model.get_vision_features(pixels[None]).mean(1)[0]
        else:
            expected = encoder.network.model(pixel_values=pixels).last_hidden_state[:, 1:].mean((0, 1))
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
    assert encoder.network.model.encoder.layer[0].attention.grid_size == 4
    assert encode_clips(encoder, moving_dots(2)[None]).shape == (1, 1, encoder.dim)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", ["mean", "grid2"])
@pytest.mark.parametrize("frames", [1, 3, 4])
def test_no_clip_sees_the_future(make_encoder: Make, kind: str, pooling: str, frames: int) -> None:
    """Changing only later frames leaves a latent unchanged bit for bit."""
    encoder = make_encoder(kind, frames, pooling=pooling)
    video = moving_dots(9)
    changed = video.copy()
    changed[6:] = 255 - changed[6:]
    before, after = encode_in_stretches(encoder, video), encode_in_stretches(encoder, changed)
    assert np.array_equal(before[:6], after[:6])
    assert (before[6:] != after[6:]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_quarters_are_means_of_their_patches(make_encoder: Make, kind: str) -> None:
    """All four have as many patches, so their mean is the pooled latent; each knows its quarter best."""
    clips = moving_dots(4, size=32)[None]
    tokens, mean = (encode_clips(make_encoder(kind, 4, pooling=name), clips)[0] for name in ("grid2", "mean"))
    assert (tokens.shape, mean.shape) == ((POOLINGS["grid2"], 128), (1, 128))
    np.testing.assert_allclose(tokens.mean(0), mean[0], atol=1e-5)
    changed = clips.copy()
    changed[:, :, :16, 16:] = 255 - changed[:, :, :16, 16:]  # the upper right quarter
    moved = np.abs(encode_clips(make_encoder(kind, 4, pooling="grid2"), changed)[0] - tokens).sum(1)
    assert moved.argmax() == 1


@pytest.mark.parametrize(("side", "fields"), [(2, 2), (3, 2), (4, 2), (4, 4), (6, 4), (14, 8), (16, 16)])
def test_a_grid_is_pooled_as_a_plain_loop_does(side: int, fields: int) -> None:
    patches = torch.randn(2, side * side, 5, generator=torch.Generator().manual_seed(side))
    grid = patches.view(2, side, side, 5)
    ends = [slice(place * side // fields, -(-(place + 1) * side // fields)) for place in range(fields)]
    expected = torch.stack([grid[:, rows, columns].mean((1, 2)) for rows in ends for columns in ends], dim=1)
    torch.testing.assert_close(pool(patches, f"grid{fields}"), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_batch_of_clips_is_the_specs(make_encoder: Make, kind: str, batch: int) -> None:
    encoder = make_encoder(kind, 2, batch=batch)
    assert encoder.spec.batch == batch
    clips = np.stack([moving_dots(2, size=32, seed=seed) for seed in range(4)])
    np.testing.assert_allclose(encode_clips(encoder, clips), encode_clips(make_encoder(kind, 2), clips), atol=1e-5)
    assert encoder.spec.address()["batch"] == batch


def test_half_precision_computes_in_half_precision(make_encoder: Make) -> None:
    encoder = make_encoder(dtype="bfloat16")
    assert encoder.network.model.dtype == torch.bfloat16
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
    with pytest.raises(UserError, match="too few for pooling grid2"):
        load_encoder(encoder_spec("vjepa2", image_size=16, pooling="grid2"), folder)


@given(st.integers(1, 30), st.integers(1, 9))
def test_clip_rows_equal_a_plain_loop(length: int, frames: int) -> None:
    rows = clip_rows(np.arange(length), frames)
    for end in range(length):
        clip: list[int] = []
        for back in range(frames):
            clip.insert(0, end - back if end - back >= 0 else 0)
        assert rows[end].tolist() == clip


@given(st.integers(0, 40), st.integers(1, 8), st.integers(1, 8))
def test_a_window_of_the_last_frames_names_the_same_frames_as_the_whole_episode(
    newest: int, context: int, m: int
) -> None:
    seen = min(newest + 1, context + m - 1)
    first = newest + 1 - seen
    window = clip_rows(history_ends(seen - 1, context), m) + first
    whole = clip_rows(history_ends(newest, context), m)
    assert np.array_equal(window, whole)
