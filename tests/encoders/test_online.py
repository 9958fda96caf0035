from collections.abc import Callable

import numpy as np
import pytest
from support.data_stages import encode_in_stretches, moving_dots

from world_modality.encoders.encoder import Encoder
from world_modality.encoders.online import HistoryEncoder


@pytest.mark.parametrize("kind", ["vjepa2", "dinov2"])
@pytest.mark.parametrize(("frames", "context", "pooling"), [(4, 4, "mean"), (1, 3, "mean"), (3, 2, "grid2")])
def test_every_step_of_an_episode_equals_the_cache_bit_for_bit(
    make_encoder: Callable[..., Encoder], kind: str, frames: int, context: int, pooling: str
) -> None:
    encoder = make_encoder(kind, frames, pooling=pooling)
    history = HistoryEncoder(encoder, context)
    video = moving_dots(11)
    cache = encode_in_stretches(encoder, video).astype(np.float32)
    assert history.required_frames == context + frames - 1
    for now in range(len(video)):
        seen = video[max(0, now + 1 - history.required_frames) : now + 1]
        expected = cache[np.maximum(np.arange(now - context + 1, now + 1), 0)]
        assert np.array_equal(history.encode(seen), expected)


@pytest.mark.parametrize("context", [1, 3, 4])
def test_two_cameras_are_two_caches_side_by_side(make_encoder: Callable[..., Encoder], context: int) -> None:
    """Bit for bit, though both cameras' clips share the encoder's batches, and the cameras have unequal pictures."""
    history = HistoryEncoder(make_encoder(), context)
    videos = [moving_dots(9, size, seed) for size, seed in ((48, 0), (32, 1))]
    caches = [encode_in_stretches(history.encoder, video).astype(np.float32) for video in videos]
    for now in range(9):
        seen = [video[max(0, now + 1 - history.required_frames) : now + 1] for video in videos]
        ends = np.maximum(np.arange(now - context + 1, now + 1), 0)
        assert np.array_equal(history.encode(*seen), np.concatenate([cache[ends] for cache in caches], axis=-1))
        assert np.array_equal(history.encode(*seen[::-1]), np.concatenate([cache[ends] for cache in caches[::-1]], -1))


@pytest.mark.parametrize("kind", ["vjepa2", "dinov2"])
def test_histories_of_several_episodes_are_encoded_together_and_each_as_if_alone(
    make_encoder: Callable[..., Encoder], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old and young episodes, in any order and company; in as few of the encoder's batches as hold their clips."""
    encoder = make_encoder(kind, 3)
    history = HistoryEncoder(encoder, 3)
    videos = [(moving_dots(length, 48, length), moving_dots(length, 32, length + 9)) for length in (1, 5, 2, 4, 5)]
    alone = [history.encode(*video) for video in videos]
    batches: list[int] = []
    forward, size = encoder._encode, encoder.spec.batch
    monkeypatch.setattr(encoder, "_encode", lambda clips: batches.append(len(clips)) or forward(clips))
    rng = np.random.default_rng(2)
    for count in (5, 4, 3, 1):
        chosen = rng.permutation(5)[:count]
        batches.clear()
        for number, found in zip(chosen, history.encode_many([videos[each] for each in chosen]), strict=True):
            assert np.array_equal(found, alone[number])
        assert batches == [size] * -(-count * 2 * 3 // size)


def test_cameras_show_equally_many_frames(make_encoder: Callable[..., Encoder]) -> None:
    videos = [np.zeros((count, 32, 32, 3), np.uint8) for count in (3, 2)]
    with pytest.raises(ValueError, match="cameras show 3, 2 frames"):
        HistoryEncoder(make_encoder(), 2).encode(*videos)


def test_too_few_and_too_many_frames_are_refused(make_encoder: Callable[..., Encoder]) -> None:
    history = HistoryEncoder(make_encoder(), 2)
    for count in (0, history.required_frames + 1):
        with pytest.raises(ValueError, match="takes 1 to 5 frames"):
            history.encode(np.zeros((count, 32, 32, 3), np.uint8))
