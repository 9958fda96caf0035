"""LeRobot's own pi0 with random weights and networks of a few thousand, which its config alone cannot ask for."""

from __future__ import annotations

from typing import Any

import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.pi0.configuration_pi0 import PI0Config
from lerobot.policies.pi0.modeling_pi0 import PI0Policy
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS

from lerobot_policy_world_modality.adapters.pi0 import WORDS, small_sizes

LENGTH = 6


def build_stock(config: PI0Config) -> PI0Policy:
    """Stock pi0 at the small architecture's sizes."""
    with small_sizes("pi0-tiny"):
        return PI0Policy(config)


def tiny_pi0(size: int) -> Any:
    """A policy that looks at one camera of ``size`` x ``size`` pixels."""
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
    return build_stock(config).eval()


def with_words(batch: dict[str, Any]) -> dict[str, Any]:
    """In place of pi0's preprocessor, whose tokenizer is on the hub: an observation with its task as tokens."""
    numbers = [1 + ord(letter) % (WORDS - 1) for letter in batch["task"][0][:LENGTH]]
    tokens = torch.tensor([numbers + [0] * (LENGTH - len(numbers))])
    return {**batch, OBS_LANGUAGE_TOKENS: tokens, OBS_LANGUAGE_ATTENTION_MASK: tokens > 0}
