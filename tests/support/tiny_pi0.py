"""LeRobot's own pi0 with random weights and a PaliGemma of a few thousand, which its config alone cannot ask for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.pi0 import modeling_pi0
from lerobot.policies.pi0.configuration_pi0 import PI0Config
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS

WORDS, LENGTH, WIDTH = 300, 6, 32


def tiny_pi0(monkeypatch: pytest.MonkeyPatch, size: int) -> Any:
    """A policy that looks at one camera of ``size`` x ``size`` pixels."""
    original: Any = modeling_pi0.PaliGemmaForConditionalGenerationWithPiGemma

    def shrunk(config: Any) -> Any:
        vision, text = config.vision_config, config.text_config
        vision.hidden_size, vision.num_hidden_layers, vision.num_attention_heads = WIDTH, 1, 2
        vision.intermediate_size, vision.projection_dim = WIDTH, text.hidden_size
        text.vocab_size, config.image_token_index = WORDS + 1, WORDS
        return original(config=config)

    def sizes(_variant: str) -> Any:
        return modeling_pi0.GemmaConfig(width=WIDTH, depth=2, mlp_dim=32, num_heads=2, num_kv_heads=1, head_dim=16)

    monkeypatch.setattr(modeling_pi0, "get_gemma_config", sizes)
    monkeypatch.setattr(modeling_pi0, "PaliGemmaForConditionalGenerationWithPiGemma", shrunk)
    config = PI0Config(
        device="cpu",
        chunk_size=5,
        n_action_steps=4,
        image_resolution=(28, 28),
        num_inference_steps=2,
        input_features={
            "observation.images.image": PolicyFeature(FeatureType.VISUAL, (3, size, size)),
            "observation.state": PolicyFeature(FeatureType.STATE, (8,)),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (7,))},
    )
    torch.manual_seed(0)
    return modeling_pi0.PI0Policy(config).eval()


def with_words(batch: dict[str, Any]) -> dict[str, Any]:
    """In place of pi0's preprocessor, whose tokenizer is on the hub: an observation with its task as tokens."""
    numbers = [1 + ord(letter) % (WORDS - 1) for letter in batch["task"][0][:LENGTH]]
    tokens = torch.tensor([numbers + [0] * (LENGTH - len(numbers))])
    return {**batch, OBS_LANGUAGE_TOKENS: tokens, OBS_LANGUAGE_ATTENTION_MASK: tokens > 0}
