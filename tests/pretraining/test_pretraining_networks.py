from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from support.data_stages import encoder_spec
from support.toy_footage import SIZE, SMALL, toy_take

from world_modality.encoders.encoder import load_encoder
from world_modality.pretraining.networks import build_network, pictures_for, save_encoder, visible_tokens


@pytest.fixture(scope="module")
def videos() -> torch.Tensor:
    return torch.randn(2, 4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def test_all_tokens_together_are_what_the_encoder_makes_of_the_clip(videos: torch.Tensor) -> None:
    encoder = build_network(SMALL).encoder
    every = torch.arange(32).expand(2, -1)
    assert torch.allclose(visible_tokens(encoder, videos, every), encoder(videos).last_hidden_state, atol=1e-6)


def test_a_visible_token_knows_its_place_and_nothing_of_what_is_hidden(videos: torch.Tensor) -> None:
    encoder = build_network(SMALL.model_copy(update={"deviation": 0.2})).encoder
    visible = torch.tensor([[0, 1, 5], [0, 1, 5]])  # the upper left of the first two frames
    before = visible_tokens(encoder, videos, visible)
    other = videos.clone()
    other[:, 2:] += 1  # the second tubelet
    other[:, :, :, 16:] -= 1  # the lower half
    assert torch.equal(visible_tokens(encoder, other, visible), before)
    moved = torch.tensor([[0, 2, 5], [0, 2, 5]])
    assert not torch.allclose(visible_tokens(encoder, videos, moved)[:, 0], before[:, 0])


def test_a_saved_encoder_is_read_like_any_other_and_makes_the_same(tmp_path: Path) -> None:
    network = build_network(SMALL).eval()
    save_encoder(network, tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="np") as weights:
        assert all(name.startswith("encoder.") for name in weights.keys())  # noqa: SIM118
    encoder = load_encoder(encoder_spec(source="folder", name=str(tmp_path), image_size=SIZE), tmp_path)
    frames = toy_take(0).decoded()[:4]
    found = encoder.encode_prepared(encoder.prepare(frames), np.arange(4)[None])
    with torch.no_grad():
        wanted = network.encoder(encoder.prepare(frames)[None]).last_hidden_state.mean(dim=1)
    assert found[0] == pytest.approx(wanted.numpy(), abs=1e-5)


def test_training_sees_the_pictures_that_studies_show() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    pixels = pictures_for(SIZE, frames)
    assert pixels.dtype == torch.uint8
    assert pixels.shape == (3, 3, SIZE, SIZE)
    whole = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    wanted = torch.nn.functional.interpolate(whole, (SIZE, SIZE), mode="bilinear", antialias=True)
    assert (pixels.float() - wanted).abs().max() <= 1
