import numpy as np
import pytest
import torch

from world_modality.memory.standardiser import SMALLEST_SCALE, Standardiser


def fitted(latents: np.ndarray) -> Standardiser:
    standardiser = Standardiser(latents.shape[1])  # one token per frame
    values, vectors = np.linalg.eigh(np.cov(latents.T, bias=True))
    factor = vectors * np.sqrt(values.clip(min=0))
    standardiser.fit(latents.mean(0, keepdims=True).astype(np.float32), factor.astype(np.float32))
    return standardiser


def test_standardised_latents_have_mean_0_and_deviation_1() -> None:
    latents = np.random.default_rng(0).normal(size=(500, 4)) * [1, 5, 0.1, 2] + [3, 0, -7, 1]
    result = fitted(latents)(torch.from_numpy(latents)).numpy()
    assert np.allclose(result.mean(0), 0, atol=1e-4)
    assert np.allclose(result.std(0), 1, atol=1e-3)


def test_a_dimension_that_never_varies_is_not_blown_up() -> None:
    latents = np.random.default_rng(0).normal(size=(50, 3)) * [4, 0, 1]
    standardiser = fitted(latents)
    assert standardiser.scale[1] == pytest.approx(SMALLEST_SCALE * standardiser.scale.max().item())
    assert torch.isfinite(standardiser.draw((1, 2), 3)).all()


def test_constant_latents_and_an_unfitted_standardiser_are_harmless() -> None:
    constant = fitted(np.full((9, 3), 2.5))
    assert torch.equal(constant(torch.full((2, 3), 2.5)), torch.zeros(2, 3))
    assert torch.equal(Standardiser(3)(torch.ones(2, 3)), torch.ones(2, 3))


def test_statistics_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="3 dimensions"):
        Standardiser(3).fit(np.zeros((1, 4), np.float32), np.eye(4, dtype=np.float32))


def test_its_buffers_are_saved() -> None:
    standardiser = fitted(np.random.default_rng(1).normal(size=(50, 3)))
    other = Standardiser(3)
    other.load_state_dict(standardiser.state_dict())
    assert torch.equal(other.draw((4,), 2), standardiser.draw((4,), 2))


def test_each_token_of_a_frame_has_a_mean_of_its_own_and_all_share_a_scale() -> None:
    standardiser = Standardiser(2, tokens=3)
    means = np.array([[0, 1], [10, 11], [20, 21]], np.float32)
    standardiser.fit(means, np.diag([2.0, 5.0]).astype(np.float32))
    latents = torch.from_numpy(means) + torch.tensor([2.0, -5.0])
    assert torch.equal(standardiser(latents.expand(4, 3, 2)), torch.tensor([1.0, -1.0]).expand(4, 3, 2))
    with pytest.raises(ValueError, match="3 tokens of 2 dimensions"):
        standardiser.fit(means[:2], np.eye(2, dtype=np.float32))
