"""The discrete line's transformer: built for the latents and tokens that it is trained on, once these are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lerobot.configs import PreTrainedConfig
from lerobot.configs.types import FeatureType

from lerobot_policy_world_modality.adapters.transformer import TransformerAdapter
from lerobot_policy_world_modality.convert import copy_processors, load_weights, prophet_settings
from lerobot_policy_world_modality.modeling_world_transformer import WorldTransformerPolicy
from world_modality.data.hub import ENCODER
from world_modality.discrete.instruction_table import open_instructions
from world_modality.errors import UserError
from world_modality.latents.joint import open_joint
from world_modality.latents.reader import read_description
from world_modality.memory.fitted_prophet import read_prophet
from world_modality.memory.randomness import borrowed_generator
from world_modality.policies.host import LatentInputs
from world_modality.policies.weights import WEIGHTS
from world_modality.policies.world_host import WorldHost
from world_modality.store.keys import keyed_seed
from world_modality.study.specs import OptimSpec
from world_modality.tokens.reader import open_tokens

OF_BACKBONES = ("policy.freeze_vision_encoder", "policy.train_expert_only")
"""Settings of policies with a vision-language backbone, which this one has none of."""


class WorldTransformerHost(WorldHost):
    """Its start policy is settings and processors: how wide latents are and how many tokens there are, only the caches
    say that a training reads.
    """

    adapter = TransformerAdapter()

    def _build(self, config: Any, seed: int, target: Path) -> None:
        """Without weights; pictures, which it does not look at, are no features of it."""
        seen = {name: each for name, each in config.input_features.items() if each.type is not FeatureType.VISUAL}
        config = replace(config, input_features=seen, init_seed=seed)
        target.mkdir(parents=True, exist_ok=True)
        config.save_pretrained(target)
        for processor in self.new_processors(config):
            processor.save_pretrained(target)

    def prepare(
        self, source: Path, target: Path, settings: Mapping[str, Any], memory: LatentInputs | None, *, renew: bool
    ) -> None:
        """The network, with weights of its own for every training unless ``source`` holds some."""
        if memory is None:
            raise UserError(f"{source} holds a {self.family.label}, which sees frames as their latents: give it some")
        config = PreTrainedConfig.from_pretrained(source)
        if config.train_mode.needs_world:
            raise UserError(
                f"{source} was trained with memory '{config.train_mode.name}': start from a policy that has none"
            )
        fitted = None if memory.prophet is None else read_prophet(memory.prophet)
        settings = prophet_settings(fitted, settings)
        config = replace(config, pretrained_path=None, **{"input_features": {}} if renew else {}, **settings)
        latents = open_joint(memory.latents, frames=read_description(memory.latents[0])["frames"])
        config.adopt_latents(latents)
        config.world_encoder_digest = ENCODER.digest(memory.encoder)
        if config.uses_tokens and not memory.tokens:
            raise UserError(f"{source} holds model {config.model}, which knows world tokens: give the study tokens")
        tokens = open_tokens(memory.tokens[0], frames=len(latents.caches[0].latents)) if config.uses_tokens else None
        if tokens is not None:
            config.adopt_tokens(tokens)
        texts = [open_instructions(folder) for folder in memory.instructions]
        for table in texts:
            config.adopt_instructions(table)
        with borrowed_generator() as generator:
            generator.manual_seed(keyed_seed("weights", config.init_seed, config.world_seed))
            policy = WorldTransformerPolicy(config)
        if (source / WEIGHTS).is_file():
            load_weights(policy, source)
        policy.take_statistics(latents.statistics())
        if policy.world is not None and fitted is not None:
            fitted.load_into(policy.world.prophet)
        if tokens is not None:
            policy.take_codebook(tokens.codebook)
        for table in texts:
            policy.take_instructions(table)
        target.mkdir(parents=True, exist_ok=True)
        copy_processors(source, target)
        policy.save_pretrained(target)

    def training_settings(self, optim: OptimSpec, seed: int) -> dict[str, object]:
        """Those of its config."""
        found = super().training_settings(optim, seed)
        return {name: value for name, value in found.items() if name not in OF_BACKBONES}
