"""Small SmolVLA architectures that can be trained from random weights on a CPU, by name."""

from __future__ import annotations

from typing import Any

from world_modality.errors import UserError

CAMERAS = ("observation.images.image", "observation.images.image2")
CAMERA_PIXELS = 256
STATE_SIZE = 8
ACTION_SIZE = 7

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
        "max_state_dim": STATE_SIZE,
        "max_action_dim": ACTION_SIZE,
        "tokenizer_max_length": 48,
        "freeze_vision_encoder": False,
        "train_expert_only": False,
    }
}
"""SmolVLA's settings by architecture; what is not named is SmolVLA's default. smolvla-tiny: 1M parameters, 4 MB."""


def small_smolvla_config(name: str) -> Any:
    """LeRobot's ``SmolVLAConfig`` of architecture ``name``, with the public LIBERO dataset's features.

    Raises:
        UserError: there is no such architecture.
    """
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

    if name not in ARCHITECTURES:
        raise UserError(f"policy.name: there is no architecture '{name}'; choose one of {', '.join(ARCHITECTURES)}")
    inputs = {key: PolicyFeature(FeatureType.VISUAL, (3, CAMERA_PIXELS, CAMERA_PIXELS)) for key in CAMERAS}
    inputs["observation.state"] = PolicyFeature(FeatureType.STATE, (STATE_SIZE,))
    return SmolVLAConfig(
        input_features=inputs,
        output_features={"action": PolicyFeature(FeatureType.ACTION, (ACTION_SIZE,))},
        device="cpu",
        push_to_hub=False,
        **ARCHITECTURES[name],
    )
