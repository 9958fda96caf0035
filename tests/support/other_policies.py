"""LeRobot's own policies, small and with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors

SIZE = 64
FEATURES = {
    "input_features": {
        **{
            f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, SIZE, SIZE))
            for name in ("image", "image2")
        },
        "observation.state": PolicyFeature(FeatureType.STATE, (8,)),
    },
    "output_features": {"action": PolicyFeature(FeatureType.ACTION, (7,))},
}
CONFIGS = {
    "act": ACTConfig(
        **FEATURES,
        device="cpu",
        chunk_size=6,
        n_action_steps=4,
        dim_model=32,
        n_heads=2,
        dim_feedforward=32,
        n_encoder_layers=1,
        n_vae_encoder_layers=1,
        latent_dim=4,
        pretrained_backbone_weights=None,
    ),
    "diffusion": DiffusionConfig(
        **FEATURES,
        device="cpu",
        n_obs_steps=3,
        horizon=8,
        n_action_steps=4,
        down_dims=(16, 32),
        diffusion_step_embed_dim=8,
        spatial_softmax_num_keypoints=4,
        num_train_timesteps=4,
        crop_ratio=1.0,
        drop_n_last_frames=2,
        pretrained_backbone_weights=None,
    ),
}


def other_checkpoint(name: str, folder: Path) -> Path:
    """A checkpoint with random weights, as LeRobot saves it."""
    statistics = {
        name: {
            "mean": torch.zeros(feature.shape),
            "std": torch.ones(feature.shape),
            "min": -torch.ones(feature.shape),
            "max": torch.ones(feature.shape),
        }
        for name, feature in {**FEATURES["input_features"], **FEATURES["output_features"]}.items()
    }
    torch.manual_seed(0)
    get_policy_class(name)(CONFIGS[name]).save_pretrained(folder)
    for processor in make_pre_post_processors(CONFIGS[name], dataset_stats=statistics):
        processor.save_pretrained(folder)
    return folder
