import numpy as np
import pytest

from world_modality.pretraining.masks import KINDS, LEAST_SEEN, Blocks, draw_masks


@pytest.mark.parametrize("blocks", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_what_is_hidden_is_hidden_at_all_times_and_nothing_of_it_is_seen(blocks: Blocks, seed: int) -> None:
    seen, hidden = draw_masks(np.random.default_rng(seed), 8, side=8, times=2, blocks=blocks)
    assert len(seen) == len(hidden) == 8
    assert seen.shape[1] >= LEAST_SEEN * 128
    assert hidden.shape[1] > 0
    for own, other in zip(seen, hidden, strict=True):
        assert not set(own.tolist()) & set(other.tolist())
        for tokens in (own, other):
            assert (np.diff(tokens) > 0).all()
            assert tokens.min() >= 0
            assert tokens.max() < 128
            first, second = np.split(tokens, 2)
            assert np.array_equal(second - 64, first)


def test_the_long_range_mask_hides_most() -> None:
    rng = np.random.default_rng(0)
    short, far = (np.mean([draw_masks(rng, 4, 8, 2, blocks)[0].shape[1] for _ in range(20)]) for blocks in KINDS)
    assert far < short < 96
