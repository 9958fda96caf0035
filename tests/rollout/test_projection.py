"""The projection's operations against torch's own count of what the real models do, and its sums by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.projection import Episode, Gpu, SmolVLA, Tower, VideoEncoder, lines, planned
from support.tiny_checkpoints import ENCODER, plain_checkpoint
from torch.utils.flop_counter import FlopCounterMode

from world_modality.benchmarks.contract import Observation
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.policies.chunk_policy import load_policy
from world_modality.policies.contract import PolicyRequest


def counted(run: Any) -> float:
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def test_a_smolvlas_operations_are_those_that_torch_counts(tmp_path: Path) -> None:
    policy = load_policy(plain_checkpoint(tmp_path / "plain"), batch=1)
    config, model = policy.config, policy._policy.model.vlm_with_expert
    text, vision, expert = model.config.text_config, model.config.vision_config, model.lm_expert.config
    inner, keys = text.num_attention_heads * text.head_dim, text.num_key_value_heads * text.head_dim
    tokens: list[int] = []
    model.get_vlm_model().text_model.layers[0].mlp.register_forward_pre_hook(
        lambda _layer, given: tokens.append(given[0].shape[1])
    )
    rng = np.random.default_rng(0)
    pixels = {name: rng.integers(0, 256, (256, 256, 3), dtype=np.uint8) for name in ("image", "image2")}
    request = PolicyRequest(Observation(pixels, np.zeros(8, np.float32)), "put the bowl on the plate", 1)  # type: ignore[arg-type]
    found = counted(lambda: policy.infer([request]))
    sizes = SmolVLA(
        picture=config.resize_imgs_with_padding[0],
        patch=vision.patch_size,
        shuffle=model.config.scale_factor,
        words=0,
        chunk=config.chunk_size,
        steps=config.num_steps,
        vision=Tower(
            vision.num_hidden_layers,
            vision.hidden_size,
            vision.hidden_size,
            vision.hidden_size,
            vision.intermediate_size,
        ),
        text=Tower(config.num_vlm_layers, text.hidden_size, inner, keys, text.intermediate_size, 3),
        expert=Tower(config.num_vlm_layers, expert.hidden_size, inner, keys, expert.intermediate_size, 3),
    )
    words = tokens[0] - sizes.prefix
    assert 0 < words <= 48
    expected = SmolVLA(**{**vars(sizes), "words": words}).flops()
    assert expected == pytest.approx(found, rel=0.05)  # projections of actions and time are left out


def test_an_encoders_operations_are_those_that_torch_counts(tmp_path: Path) -> None:
    build_embedded_encoder(ENCODER, tmp_path)
    encoder = load_encoder(ENCODER, tmp_path)
    config = encoder.network.model.config
    config._attn_implementation = "eager"  # torch does not count its fused attention on a CPU
    width, mlp = config.hidden_size, int(config.hidden_size * config.mlp_ratio)
    sizes = VideoEncoder(
        Tower(config.num_hidden_layers, width, width, width, mlp),
        ENCODER.image_size,
        config.patch_size,
        config.tubelet_size,
        ENCODER.frames,
    )
    prepared = encoder.prepare(np.zeros((4, 64, 64, 3), np.uint8))
    found = counted(lambda: encoder.encode_prepared(prepared, np.arange(4)[None]))
    assert encoder.spec.batch * sizes.flops() == pytest.approx(found, rel=0.02)


def test_the_published_sizes() -> None:
    """Reckoned elsewhere: ViT-g 4 frames at 256 px about 1.1 TFLOP; SmolVLA's prefix of two cameras."""
    assert VideoEncoder().flops() == pytest.approx(1.1e12, rel=0.02)
    assert SmolVLA().prefix == 2 * 64 + 48 + 1
    assert SmolVLA().patches == 1024


def test_sums_by_hand() -> None:
    assert Tower(1, 2, 2, 2, 3).flops(1) == 2 * (4 * 2 * 2 + 2 * 2 * 3 + 2 * 2 * 1)
    episode = Episode(100, 10, 1.0, 0.01, 0.1)
    assert episode.simulated(2) == pytest.approx(3600 * 2 / 3.0)
    assert episode.simulated(2, 0.0) == pytest.approx(3600 * 2 / 2.0)
    gpu = Gpu("", 100.0, 0.5, 1.0)
    assert planned(episode, gpu, 2, 25.0) == pytest.approx(3600 * 2 / (10 * 2.0))
    assert planned(episode, gpu, 4, 25.0) > planned(episode, gpu, 2, 25.0)
    told = lines()
    assert told[0].startswith("PROJECTION, not measured")
    assert sum("episodes/h" in line for line in told) == 5
