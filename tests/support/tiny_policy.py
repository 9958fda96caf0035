"""A small real policy, its dataset and latents on disk, for tests of a SmolVLA or pi0 with or without world memory."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.pi0.configuration_pi0 import PI0Config
from lerobot.policies.pi0.modeling_pi0 import PI0Policy
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from safetensors.torch import load_file
from support.tiny_dataset import build_tiny_dataset
from support.tiny_pi0 import build_stock

from lerobot_policy_world_modality.adapters.pi0 import PI0Adapter
from lerobot_policy_world_modality.backbone import resolved_backbone
from lerobot_policy_world_modality.configuration_pi0_world import PI0WorldConfig
from lerobot_policy_world_modality.convert import convert
from lerobot_policy_world_modality.modeling_pi0_world import PI0WorldPolicy
from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy
from lerobot_policy_world_modality.processor_smolvla_world import make_smolvla_world_pre_post_processors
from workflow.tools.backbones import SIZES, build_backbone, build_tokenizer, model_config
from world_modality.data.episodes import dataset_fingerprint
from world_modality.latents.cache import write_cache
from world_modality.study.specs import EncoderSpec

PICTURE = 32  # pixels of the dataset's pictures
LATENT_DIM = 12
CONTEXT, HORIZON = 3, 4
WORLD = {
    "world_context": CONTEXT,
    "world_prediction_horizon": HORIZON,
    "world_heads": 4,
    "world_prophet_layers": 1,
    "world_prophet_width": 32,
    "world_seed": 5,
    "world_truth_steps": 4,
}
ENCODER = EncoderSpec(
    kind="vjepa2",
    source="embedded",
    name="vjepa2-small",
    revision="",
    seed=0,
    frames=2,
    image_size=32,
    pooling="mean",
    dtype="float32",
)


BACKBONES = ("smolvla", "pi0")


def features() -> dict[str, Any]:
    """What a config says of the dataset, and of where it is."""
    picture = PolicyFeature(FeatureType.VISUAL, (3, PICTURE, PICTURE))
    return {
        "input_features": {
            "observation.images.image": picture,
            "observation.images.image2": picture,
            "observation.state": PolicyFeature(FeatureType.STATE, (8,)),
        },
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (7,))},
        "device": "cpu",
        "push_to_hub": False,
    }


def tiny_config(**settings: Any) -> SmolVLAConfig:
    """Stock SmolVLA's config around the packaged small backbone: 1M parameters, chunks of 6 actions."""
    small = {
        **features(),
        "vlm_model_name": "embedded:smolvlm-tiny",
        "load_vlm_weights": False,
        "num_vlm_layers": 2,
        "resize_imgs_with_padding": (128, 128),
        "chunk_size": 6,
        "n_action_steps": 3,
        "num_steps": 3,
        "freeze_vision_encoder": False,
        "train_expert_only": False,
    }
    return SmolVLAConfig(**{**small, **settings})


def tiny_pi0_config(**settings: Any) -> PI0WorldConfig:
    """pi0 without memory at the small architecture's sizes: 0.4M parameters, chunks of 6 actions."""
    small = {
        **features(),
        "tokenizer_name": "embedded:smolvlm-tiny",
        "small_architecture": "pi0-tiny",
        "image_resolution": (28, 28),
        "chunk_size": 6,
        "n_action_steps": 3,
        "num_inference_steps": 3,
        "world_memory_mode_train": "disabled",
    }
    return PI0WorldConfig(**{**small, **settings})


def save_pi0_base(folder: Path, stats: Any = None, **settings: Any) -> Path:
    """Write a pi0 of random weights with its processors: the policy every arm starts from."""
    config = tiny_pi0_config(**settings)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        policy = PI0WorldPolicy(config)
    policy.save_pretrained(folder)
    for processor in make_pre_post_processors(config, dataset_stats=stats):
        processor.save_pretrained(folder)
    return folder


def save_tiny_base(folder: Path, stats: Any = None, seed: int = 0, **settings: Any) -> Path:
    """Write a stock SmolVLA of random weights with its processors: the policy every arm starts from."""
    config = tiny_config(**settings)
    with torch.random.fork_rng(devices=[]), resolved_backbone(config):
        torch.default_generator.manual_seed(seed)
        policy = SmolVLAPolicy(config)
    policy.save_pretrained(folder)
    for processor in make_smolvla_world_pre_post_processors(config, stats):
        processor.save_pretrained(folder)
    return folder


def save_backbone_with_weights(folder: Path) -> Path:
    """A backbone folder that also holds (random) weights, for ``load_vlm_weights=True``: VLM and expert in bfloat16."""
    from transformers import SmolVLMForConditionalGeneration

    size = SIZES["smolvlm-tiny"]
    build_backbone(folder, size)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        config = model_config(size, build_tokenizer(("pick up the bowl",), size.vocabulary))
        config.text_config.vocab_size = 347
        SmolVLMForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def save_tiny_latents(folder: Path, metadata: Any, seed: int = 0, camera: str = "image", tokens: int = 1) -> Path:
    """A latent cache for a dataset: random walks with unequal scales and a mean far from 0, so that a mix-up shows."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    scale = np.linspace(0.2, 3.0, LATENT_DIM)
    lengths = [int(length) for length in metadata.episodes["length"]]
    walks = [
        (5 + scale * np.cumsum(rng.normal(size=(length, tokens, LATENT_DIM)), 0)).astype(np.float16)
        for length in lengths
    ]
    write_cache(
        folder,
        walks,
        (sum(lengths), tokens, LATENT_DIM),
        camera=camera,
        encoder=ENCODER,
        dataset_fingerprint=dataset_fingerprint(Path(metadata.root)),
    )
    return folder


@dataclass(frozen=True)
class TinyWorld:
    """A dataset, its latents and a base policy below ``root``. ``wrist`` holds the second camera's, if it is used."""

    root: Path
    base: Path
    latents: Path
    dataset: LeRobotDataset
    wrist: Path | None = None
    backbone: str = "smolvla"

    @property
    def metadata(self) -> Any:
        """LeRobot's metadata of the dataset."""
        return self.dataset.meta

    @property
    def folders(self) -> tuple[Path, ...]:
        """Each camera's latents."""
        return (self.latents,) if self.wrist is None else (self.latents, self.wrist)

    def with_wrist(self) -> TinyWorld:
        """The same with made-up latents of the wrist camera beside the others."""
        wrist = save_tiny_latents(self.root / "wrist", self.metadata, 1, "image2")
        return replace(self, root=self.root / "both", wrist=wrist)

    def with_tokens(self, tokens: int) -> TinyWorld:
        """The same with made-up latents of so many tokens per frame."""
        latents = save_tiny_latents(self.root / f"tokens_{tokens}", self.metadata, 2, tokens=tokens)
        return replace(self, root=self.root / f"with_{tokens}", latents=latents)

    def checkpoint(self, mode: str, **settings: Any) -> Path:
        """A converted checkpoint in that training memory mode, made once per mode and settings; not to be changed."""
        address = hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()[:8]
        target = self.root / "checkpoints" / f"{mode}-{address}"
        if not (target / "model.safetensors").is_file():
            own = {"world_memory_mode_train": mode, "world_cameras": "image,image2" if self.wrist else "image"}
            latents = () if mode == "disabled" and not settings.get("world_align") else self.folders
            convert(self.base, target, latents=latents, **{**WORLD, **own, **settings})
        return target

    def policy(self, mode: str, **settings: Any) -> Any:
        """The policy of such a checkpoint, ready to train on the dataset."""
        latents = os.pathsep.join(map(str, self.folders))
        return self.load(self.checkpoint(mode, world_latents=latents, **settings))

    def load(self, checkpoint: Path) -> Any:
        """A checkpoint as LeRobot's trainer loads it."""
        policy = SmolVLAWorldPolicy if self.backbone == "smolvla" else PI0WorldPolicy
        return policy.from_pretrained(checkpoint, dataset_meta=self.metadata, dataset_stats=self.metadata.stats)

    def stock(self) -> Any:
        """The base as LeRobot's own policy class has it."""
        if self.backbone == "pi0":
            return self._stock_pi0()
        config = SmolVLAConfig.from_pretrained(self.base)
        with resolved_backbone(config):
            return SmolVLAPolicy.from_pretrained(self.base, config=config)

    def _stock_pi0(self) -> Any:
        config = PI0WorldConfig.from_pretrained(self.base)
        policy = build_stock(PI0Config(**{each.name: getattr(config, each.name) for each in fields(PI0Config)}))
        weights = load_file(self.base / "model.safetensors")
        policy.load_state_dict({name: each for name, each in weights.items() if name != "keyed_step"}, strict=False)
        return policy.eval()

    @property
    def denoising_steps(self) -> int:
        """How often a chunk asks for a velocity."""
        return 3

    def loss(self, policy: Any, batch: dict[str, Any], noise: torch.Tensor, time: torch.Tensor) -> Any:
        """A policy's loss and info for given draws, which stock pi0 takes from its own samplers alone."""
        if type(policy) is PI0Policy:
            return PI0Adapter().loss(policy.forward, policy.model, batch, noise, time, "mean")
        return policy(batch, noise=noise, time=time)

    def batch(self, *index: int) -> dict[str, Any]:
        """The frames ``index`` as a preprocessed training batch."""
        collated = torch.utils.data.default_collate([self.dataset[frame] for frame in index])
        config = tiny_config() if self.backbone == "smolvla" else tiny_pi0_config()
        preprocessor, _ = make_pre_post_processors(config, pretrained_path=str(self.base))
        return dict(preprocessor(collated))

    def observation(self, *index: int) -> dict[str, Any]:
        """What a rollout's batch holds of the frames ``index``."""
        return {key: value for key, value in self.batch(*index).items() if key.startswith("observation.")}


def build_tiny_world(root: Path, backbone: str = "smolvla", **settings: Any) -> TinyWorld:
    """Dataset (3 episodes, 45 frames), latents and base policy; ``settings`` are the policy's."""
    build_tiny_dataset(root / "dataset", size=PICTURE)
    config = tiny_config(**settings) if backbone == "smolvla" else tiny_pi0_config(**settings)
    plain = LeRobotDataset("local/tiny", root=root / "dataset")
    dataset = LeRobotDataset(
        "local/tiny", root=root / "dataset", delta_timestamps=resolve_delta_timestamps(config, plain.meta)
    )
    save = save_tiny_base if backbone == "smolvla" else save_pi0_base
    base = save(root / "base", plain.meta.stats, **settings)
    return TinyWorld(root, base, save_tiny_latents(root / "latents", plain.meta), dataset, backbone=backbone)
