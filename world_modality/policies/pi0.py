"""pi0 and pi0.5: the small architecture, and how they start, train and load."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor

from lerobot_policy_world_modality.adapters.pi0 import PI0Adapter
from lerobot_policy_world_modality.configuration_pi0_world import PALIGEMMA, PI0WorldConfig
from lerobot_policy_world_modality.world_config import WorldConfig
from world_modality.facts.benchmarks import Suite
from world_modality.policies.host import PolicyHost, features_of, given_noise, padded_sizes
from world_modality.policies.world_host import WorldHost

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "pi0-tiny": {
        "tokenizer_name": "embedded:smolvlm-tiny",
        "small_architecture": "pi0-tiny",
        "image_resolution": (56, 56),
        "chunk_size": 10,
        "n_action_steps": 10,
        "num_inference_steps": 5,
        "tokenizer_max_length": 48,
    }
}
"""pi0's settings by architecture; what is not named is pi0's default. pi0-tiny: 0.4M parameters."""


class PI0Host(WorldHost):
    """LeRobot's own type has no field for sizes and tokenizer, so small ones are of the type with memory, disabled."""

    adapter = PI0Adapter()

    def small_config(self, architecture: str, suite: Suite, pixels: int) -> PI0WorldConfig:
        """Of type ``pi0_world``."""
        return PI0WorldConfig(
            **features_of(suite, pixels),
            **padded_sizes(suite),
            **ARCHITECTURES[architecture],
            world_memory_mode_train="disabled",
        )

    def backbone(self, config: Mapping[str, Any]) -> str:
        """LeRobot's own type has the tokenizer's name as a constant."""
        return super().backbone(config) or PALIGEMMA

    def building(self, config: Any) -> AbstractContextManager[None]:
        """LeRobot's own type is built as LeRobot does it."""
        return super().building(config) if isinstance(config, WorldConfig) else nullcontext()


class PI05Host(PolicyHost):
    """Without memory; LeRobot mends the names of its tensors as it does pi0's."""

    noise = staticmethod(given_noise)

    def own_names(self, policy: Any, stored: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Those of openpi's conversions are mended by LeRobot itself."""
        return PI0Adapter().own_names(policy, stored)
