"""Every family of encoders, by folders that the libraries' own classes wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.data_stages import encode_clips, encode_in_stretches, moving_dots
from support.encoder_cases import CASES

from world_modality.encoders.encoder import Encoder, load_encoder
from world_modality.encoders.online import HistoryEncoder
from world_modality.errors import UserError
from world_modality.facts.encoders import ENCODERS, POOLINGS

Make = Callable[..., Encoder]
Folder = Callable[[str], Path]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="session")
def make_case(case_folder: Folder) -> Make:
    def make(name: str, frames: int = 3, **changes: object) -> Encoder:
        return load_encoder(CASES[name].spec(case_folder(name), frames, **changes), case_folder(name))

    return make


def test_every_row_has_a_case() -> None:
    assert {case.kind for case in CASES.values()} == set(ENCODERS.names)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("pooling", ["mean", "grid2"])
def test_changing_only_later_frames_leaves_a_latent_unchanged_bit_for_bit(
    make_case: Make, name: str, pooling: str
) -> None:
    encoder = make_case(name, pooling=pooling)
    video = moving_dots(8, size=48)
    changed = video.copy()
    changed[5:] = 255 - changed[5:]
    before, after = encode_in_stretches(encoder, video), encode_in_stretches(encoder, changed)
    assert before.shape == (8, POOLINGS[pooling], CASES[name].dim)
    assert np.array_equal(before[:5], after[:5])
    assert (before[5:] != after[5:]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("frames", "pooling"), [(1, "mean"), (4, "grid2")])
def test_a_rollout_s_history_is_the_cache_bit_for_bit(make_case: Make, name: str, frames: int, pooling: str) -> None:
    history = HistoryEncoder(make_case(name, frames, pooling=pooling), 3)
    video = moving_dots(7, size=48)
    cache = encode_in_stretches(history.encoder, video).astype(np.float32)
    for now in range(len(video)):
        seen = video[max(0, now + 1 - history.required_frames) : now + 1]
        assert np.array_equal(history.encode(seen), cache[np.maximum(np.arange(now - 2, now + 1), 0)])


@pytest.mark.parametrize("name", CASES)
def test_a_latent_does_not_depend_on_the_clips_beside_it(make_case: Make, name: str) -> None:
    """Five clips in batches of four, the other way round, and one alone."""
    encoder = make_case(name, 2)
    clips = np.stack([moving_dots(2, size=32, seed=seed) for seed in range(5)])
    found = encode_clips(encoder, clips)
    assert np.array_equal(encode_clips(encoder, clips[::-1])[::-1], found)
    assert np.array_equal(encode_clips(encoder, clips[3:4]), found[3:4])


@pytest.mark.defect("B11")
@pytest.mark.parametrize("name", CASES)
def test_what_reaches_the_model_is_normalised_as_its_processor_says(make_case: Make, name: str) -> None:
    """Each channel of a picture of the model's own size: (picture / 255 - mean) / deviation, rescaled once."""
    case = CASES[name]
    video = moving_dots(2, size=case.pixels)
    expected = (video.astype(np.float64) / 255 - case.mean) / case.deviation
    shown = make_case(name).prepare(video)
    np.testing.assert_allclose(shown.permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(shown.mean((0, 2, 3)).numpy(), expected.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(shown.std((0, 2, 3)).numpy(), expected.reshape(-1, 3).std(0, ddof=1), rtol=1e-4)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.sees == "frames"])
def test_frames_are_pooled_without_the_tokens_before_the_patches(make_case: Make, name: str) -> None:
    case = CASES[name]
    clip = moving_dots(2, size=case.pixels)
    encoder = make_case(name, 2)
    side = case.pixels // case.patch
    with torch.no_grad():
        given = encoder.network.model(encoder.prepare(clip)) if case.kind == "torchscript" else None
        hidden = None if given is not None else encoder.network.model(pixel_values=encoder.prepare(clip))
    tokens = given.flatten(2).transpose(1, 2) if given is not None else hidden.last_hidden_state
    assert tokens.shape == (2, case.prefix + side**2, case.dim)
    patches = tokens[:, case.prefix :].mean(0)
    np.testing.assert_allclose(encode_clips(encoder, clip[None])[0, 0], patches.mean(0), atol=2e-6)
    if side >= 4:
        np.testing.assert_allclose(encode_clips(make_case(name, 2, pooling="grid4"), clip[None])[0], patches, atol=2e-6)
    if case.class_token:
        found = encode_clips(make_case(name, 2, pooling="cls"), clip[None])[0]
        np.testing.assert_allclose(found, tokens[:, :1].mean(0), atol=2e-6)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.class_token])
def test_a_class_token_is_not_made_up(make_case: Make, name: str) -> None:
    with pytest.raises(UserError, match=r"^pooling cls takes a class token, and .* has none: choose mean or a grid$"):
        make_case(name, pooling="cls")


@pytest.mark.parametrize("name", ["cogvideox", "script_videos"])
@pytest.mark.parametrize("frames", [1, 4, 5, 6])
def test_a_video_codec_takes_any_clip_and_its_newest_frame_counts(make_case: Make, name: str, frames: int) -> None:
    encoder = make_case(name, frames)
    clip = moving_dots(frames, size=32)[None]
    other = clip.copy()
    other[:, -1] = 255 - other[:, -1]
    assert not np.array_equal(encode_clips(encoder, clip), encode_clips(encoder, other))
    missing = (1 - frames) % 4
    longer = np.concatenate([np.repeat(clip[:, :1], missing, axis=1), clip], axis=1)
    assert np.array_equal(encode_clips(make_case(name, frames + missing), longer), encode_clips(encoder, clip))


def test_the_autoencoder_s_latent_is_the_mean_of_its_posterior_in_the_last_frame_of_latents(make_case: Make) -> None:
    encoder = make_case("cogvideox", 5, pooling="grid4")
    clip = moving_dots(5, size=32)
    frames = torch.from_numpy(clip).permute(3, 0, 1, 2).float()[None] / 127.5 - 1
    with torch.no_grad():
        posterior = encoder.network.model.encode(frames).latent_dist
    assert posterior.mean.shape == (1, 16, 2, 4, 4)
    expected = posterior.mean[0, :, -1].flatten(1).T
    first, again = (encode_clips(encoder, clip[None])[0] for _ in range(2))
    np.testing.assert_allclose(first, expected, atol=1e-5)
    assert np.array_equal(first, again)
    assert float(posterior.std.min()) > 0.1  # a draw would differ


@pytest.mark.parametrize("name", ["vit", "ijepa", "siglip", "clip", "dinov3", "cogvideox"])
def test_pictures_may_be_larger_than_it_was_trained_on(make_case: Make, name: str) -> None:
    encoder = make_case(name, pooling="grid4", image_size=64)
    assert encode_clips(encoder, moving_dots(3)[None]).shape == (1, 16, CASES[name].dim)


@pytest.mark.parametrize("name", ["vjepa2", "dinov3", "cogvideox"])
def test_a_grid_finer_than_the_patches_is_refused(make_case: Make, name: str) -> None:
    with pytest.raises(UserError, match=r"too few for pooling grid16: use a larger multiple of"):
        make_case(name, pooling="grid16")


def test_one_family_s_folder_is_not_taken_for_another_s(case_folder: Folder) -> None:
    for name, kind in (("dinov2", "automodel"), ("vit", "dinov3"), ("cogvideox", "automodel"), ("clip", "vjepa2")):
        folder = case_folder(name)
        with pytest.raises(UserError, match=rf"the encoder in .* is a .*, not a {kind}: name one of that kind"):
            load_encoder(CASES[name].spec(folder, kind=kind), folder)
