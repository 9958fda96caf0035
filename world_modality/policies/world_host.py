"""Hosts of flow-matching policies that a world memory can be attached to, by an adapter of the plugin."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from lerobot_policy_world_modality.adapters.adapter import Adapter
from lerobot_policy_world_modality.backbone import TOKENIZER_STEP
from lerobot_policy_world_modality.convert import convert
from world_modality.policies.host import PREPROCESSOR, LatentInputs, PolicyHost, given_noise
from world_modality.store.files import write_json
from world_modality.study.specs import OptimSpec


class WorldHost(PolicyHost):
    """A family of which the plugin has a policy type with world memory; all its trainings are of that type.

    With memory mode "disabled" that type is the plain policy, with noise and times keyed by the frames.
    """

    noise = staticmethod(given_noise)
    adapter: ClassVar[Adapter]

    def pin_backbone(self, folder: Path, pinned: str) -> None:
        """A tokenizer of another name than the backbone's stays as it is."""
        config = json.loads((folder / "config.json").read_text())
        name = self.backbone(config)
        if self.family.backbone in config:
            write_json(folder / "config.json", config | {self.family.backbone: pinned})
        preprocessor = folder / PREPROCESSOR
        if preprocessor.is_file():
            pipeline = json.loads(preprocessor.read_text())
            steps = [_pinned_step(step, name, pinned) for step in pipeline["steps"]]
            write_json(preprocessor, pipeline | {"steps": steps})

    def prepare(
        self, source: Path, target: Path, settings: Mapping[str, Any], memory: LatentInputs | None, *, renew: bool
    ) -> None:
        """The plugin's conversion."""
        own = {"input_features": {}, **settings} if renew else dict(settings)
        if memory is not None:
            own |= {"latents": memory.latents, "encoder": memory.encoder, "prophet": memory.prophet}
        convert(source, target, **own)

    def training_settings(self, optim: OptimSpec, seed: int) -> dict[str, object]:
        """Those of the policy's config; the plugin's optimizer clips base policy and world modules separately."""
        return {
            "policy.optimizer_lr": optim.lr,
            "policy.optimizer_weight_decay": optim.weight_decay,
            "policy.optimizer_grad_clip_norm": optim.grad_clip,
            "policy.scheduler_warmup_steps": optim.warmup_steps,
            "policy.scheduler_decay_steps": optim.decay_steps,
            "policy.scheduler_decay_lr": optim.decay_lr,
            "policy.freeze_vision_encoder": not optim.train_vision,
            "policy.train_expert_only": not optim.train_vision,
            "policy.world_lr": optim.world_lr,
            "policy.world_seed": seed,
        }

    def held_out_settings(self, episodes: Sequence[int]) -> dict[str, object]:
        """They stand in the checkpoint, which refuses their frames."""
        return {"policy.world_held_out": list(episodes)}

    def building(self, config: Any) -> AbstractContextManager[None]:
        """As the adapter of its backbone has it."""
        return self.adapter.building(config)

    def own_names(self, policy: Any, stored: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """As the adapter of its backbone has it."""
        return self.adapter.own_names(policy, stored)


def _pinned_step(step: dict[str, Any], name: str, pinned: str) -> dict[str, Any]:
    settings = step.get("config", {})
    if settings.get("tokenizer_name") != name:
        return step
    kept = {key: value for key, value in step.items() if key != "class"}
    return kept | {"registry_name": TOKENIZER_STEP, "config": settings | {"tokenizer_name": pinned}}
