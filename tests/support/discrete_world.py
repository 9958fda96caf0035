"""Checkpoints of the discrete line's models with what they are judged on: dataset, latents, world tokens, on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lerobot.policies.factory import make_pre_post_processors
from lerobot.utils.feature_utils import dataset_to_policy_features
from support.data_stages import stage_context
from support.tiny_dataset import build_tiny_dataset
from support.tiny_policy import CONTEXT, HORIZON, WORLD, save_tiny_latents

from lerobot_policy_world_modality.configuration_world_transformer import WorldTransformerConfig
from lerobot_policy_world_modality.modeling_world_transformer import WorldTransformerPolicy
from world_modality.data.episodes import held_out_episodes, load_metadata, read_episode_table
from world_modality.study.specs import TokensSpec
from world_modality.tokens.stage import run as run_tokens

NAMES = ("A", "B", "B_cont", "C", "C_no_world_input", "F")
"""Models as the research calls them."""
KNOW_TOKENS = ("B", "C", "C_no_world_input")
F = {"model": "A", "world_memory_mode_train": "pred"}
"""Settings of the one with a memory."""
CHUNK = 5
SHARE = 0.5
SIZES = {"width": 16, "layers": 1, "heads": 2, "chunk_size": CHUNK, "n_action_steps": 2, "device": "cpu"}
TOKENS = TokensSpec(size=6, l2_normalise=True, seed=0, iterations=10, sample=1000, held_out=SHARE)
__all__ = [
    "CHUNK",
    "CONTEXT",
    "HORIZON",
    "KNOW_TOKENS",
    "NAMES",
    "SHARE",
    "TOKENS",
    "DiscreteWorld",
    "build_discrete_world",
]


@dataclass(frozen=True)
class DiscreteWorld:
    """A dataset with latents and tokens, below ``root``."""

    root: Path
    dataset: Path
    latents: Path
    tokens: Path
    metadata: Any

    @property
    def held_out(self) -> tuple[int, ...]:
        """The episodes that no checkpoint is trained on."""
        return held_out_episodes(read_episode_table(self.dataset).tasks, SHARE)

    def tokens_of(self, model: str) -> Path | None:
        """The tokens that a model is given."""
        return self.tokens if model in KNOW_TOKENS else None

    def checkpoint(self, model: str, *, seed: int = 0, held_out: bool = True, **settings: Any) -> Path:
        """A checkpoint of random weights whose memory, if it has one, is heard."""
        names = "-".join(f"{name}={value}" for name, value in settings.items())
        target = self.root / "checkpoints" / f"{model}-{seed}-{held_out}-{names}"
        if not target.is_dir():
            config = self.config(model, **settings)
            config.world_held_out = list(self.held_out) if held_out else []
            torch.manual_seed(seed)
            policy = WorldTransformerPolicy(config, self.metadata)
            policy.save_pretrained(target)
            for processor in make_pre_post_processors(config, dataset_stats=self.metadata.stats):
                processor.save_pretrained(target)
        return target

    def config(self, model: str, **settings: Any) -> WorldTransformerConfig:
        """Its config."""
        features = dataset_to_policy_features(self.metadata.features)
        return WorldTransformerConfig(
            world_latents=str(self.latents),
            world_tokens=str(self.tokens) if model in KNOW_TOKENS else "",
            input_features={"observation.state": features["observation.state"]},
            output_features={"action": features["action"]},
            **{
                **WORLD,
                **SIZES,
                **(F if model == "F" else {"model": model, "world_memory_mode_train": "disabled"}),
                "world_gate_init": 2.0,
                **settings,
            },
        )


def build_discrete_world(root: Path, *, episodes: int = 6) -> DiscreteWorld:
    """Episodes of 7 frames and more of two tasks in turn, with made-up latents."""
    dataset = build_tiny_dataset(root / "dataset", episodes=episodes, frames=7, size=16)
    metadata = load_metadata(dataset)
    latents = save_tiny_latents(root / "latents", metadata)
    context = stage_context(root / "tokens", dataset=dataset, latents=latents)
    run_tokens(TOKENS, context)
    return DiscreteWorld(root, dataset, latents, context.artifact, metadata)
