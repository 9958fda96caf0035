"""SmolVLA: its small architecture, and how it starts, trains and loads."""

from __future__ import annotations

from typing import Any

from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

from lerobot_policy_world_modality.adapters.smolvla import SmolVLAAdapter
from lerobot_policy_world_modality.processor_smolvla_world import make_smolvla_world_pre_post_processors
from world_modality.facts.benchmarks import Suite
from world_modality.policies.host import features_of, padded_sizes
from world_modality.policies.world_host import WorldHost

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "smolvla-tiny": {
        "vlm_model_name": "embedded:smolvlm-tiny",
        "load_vlm_weights": False,
        "num_vlm_layers": 2,
        "self_attn_every_n_layers": 2,
        "expert_width_multiplier": 0.75,
        "resize_imgs_with_padding": (128, 128),
        "chunk_size": 10,
        "n_action_steps": 10,
        "num_steps": 5,
        "tokenizer_max_length": 48,
        "freeze_vision_encoder": False,
        "train_expert_only": False,
    }
}
"""SmolVLA's settings by architecture; what is not named is SmolVLA's default. smolvla-tiny: 1M parameters, 4 MB."""


class SmolVLAHost(WorldHost):
    """A backbone may be packaged here, or pinned to a hub's commit, in plain checkpoints too."""

    adapter = SmolVLAAdapter()

    def small_config(self, architecture: str, suite: Suite, pixels: int) -> SmolVLAConfig:
        """Of type ``smolvla``."""
        return SmolVLAConfig(**features_of(suite, pixels), **padded_sizes(suite), **ARCHITECTURES[architecture])

    def new_processors(self, config: Any, statistics: Any = None) -> tuple[Any, Any]:
        """With the tokenizer step that knows packaged and pinned backbones."""
        return make_smolvla_world_pre_post_processors(config, statistics)

    def picture_size(self, config: Any) -> tuple[int, int] | None:
        """The setting that LeRobot's SmolVLA has for it."""
        size = config.resize_imgs_with_padding
        return tuple(size) if size else None
