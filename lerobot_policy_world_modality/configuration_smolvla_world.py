"""The policy type ``smolvla_world``: SmolVLA's settings and, beside them, the world memory's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from lerobot.configs import PreTrainedConfig
from lerobot.optim import OptimizerConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from pydantic import ValidationError

from lerobot_policy_world_modality.optimizer import GroupClippedAdamWConfig
from world_modality.errors import UserError
from world_modality.latents.reader import LatentCache
from world_modality.memory.fusion import FUSIONS
from world_modality.memory.modes import MemoryMode, find_mode
from world_modality.study.specs import Camera, EncoderSpec, WorldSpec


@PreTrainedConfig.register_subclass("smolvla_world")
@dataclass
class SmolVLAWorldConfig(SmolVLAConfig):  # type: ignore[misc]  # LeRobot is not typed
    """SmolVLA with world memory. All own fields are flat and named ``world_*``, so each is a command-line flag.

    Raises UserError for a value that makes no sense.
    """

    push_to_hub: bool = False  # LeRobot's own default uploads every trained policy

    # What the memory holds. Rollout: "" means the same as in training.
    world_memory_mode_train: str = "pred"
    world_memory_mode_rollout: str = ""

    # Prophet and injector. T latents of history, K predicted.
    world_context: int = 4
    world_horizon: int = 8
    world_heads: int = 8
    world_prophet_layers: int = 2
    world_prophet_width: int = 512
    world_hypotheses: int = 1  # N predictions per history; the best of each sample learns
    world_fusion: str = "late"  # where the memory enters the policy
    world_attention_width: int = 0  # inner width of the injector's attention; 0: that of the tokens it feeds
    world_delta: bool = True  # predict z_{t+k} - z_t rather than z_{t+k}
    world_gate_init: float = 0.0  # the residual is multiplied by tanh(gate)
    world_lambda: float = 0.2  # weight of the world loss beside the flow loss
    world_latent_dim: int = 0  # D; 0: taken from the latents when training starts

    # Training. The seed keys flow noise and time (in every memory mode) and the world modules' initial weights.
    world_lr: float = 1e-4
    world_seed: int = 0
    world_latents: str = ""  # folder of latents.npy and latents.json
    world_probe_every: int = 50  # steps between measurements of what the memory does to the actions; 0: none

    # How a frame became a latent. A rollout that would encode differently is refused.
    world_camera: str = "image"
    world_frame_height: int = 0  # pixels of the frames that were encoded; 0: not checked
    world_frame_width: int = 0
    world_encoder_kind: str = ""  # "" until an encoder is known
    world_encoder_source: str = ""
    world_encoder_name: str = ""
    world_encoder_revision: str = ""
    world_encoder_seed: int = 0
    world_encoder_frames: int = 0
    world_encoder_image_size: int = 0
    world_encoder_pooling: str = "mean"
    world_encoder_dtype: str = "float32"
    world_encoder_digest: str = ""  # content address of the encoder's folder; "": not checked

    # Where the encoder lies on this machine, and under which key the batch has its camera if frames were renamed.
    # Only used when the policy encodes by itself.
    world_encoder_path: str = ""
    world_image_key: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        train, rollout = self.train_mode, self.rollout_mode
        if not rollout.rollable and self.world_memory_mode_rollout:
            raise UserError(
                f"world_memory_mode_rollout: '{rollout.name}' needs the future, which no rollout knows; choose another"
            )
        if rollout.needs_learned and not train.needs_learned:
            raise UserError(
                f"world_memory_mode_rollout is '{rollout.name}' but the policy is trained with '{train.name}', which "
                "has no trained constants: train with it, or roll out with another mode"
            )
        if rollout.needs_world and not train.needs_world:
            raise UserError(
                f"world_memory_mode_rollout is '{rollout.name}' but the policy is trained with '{train.name}', "
                f"that is without world modules: train with another mode or roll out with '{train.name}'"
            )
        for name in ("context", "horizon", "hypotheses", "heads", "prophet_layers", "prophet_width"):
            if getattr(self, f"world_{name}") < 1:
                raise UserError(f"world_{name} must be at least 1, not {getattr(self, f'world_{name}')}")
        if self.world_prophet_width % self.world_heads:
            raise UserError(
                f"world_prophet_width is {self.world_prophet_width}: use a multiple of world_heads, {self.world_heads}"
            )
        if self.world_fusion not in FUSIONS:
            raise UserError(f"world_fusion: '{self.world_fusion}' is no fusion; choose one of {', '.join(FUSIONS)}")
        if self.world_camera not in get_args(Camera):
            raise UserError(f"world_camera: '{self.world_camera}' is no camera; choose one of {get_args(Camera)}")
        _ = self.encoder_spec

    @property
    def train_mode(self) -> MemoryMode:
        """What the memory holds in training."""
        return find_mode(self.world_memory_mode_train)

    @property
    def rollout_mode(self) -> MemoryMode:
        """What the memory holds in a rollout."""
        return find_mode(self.world_memory_mode_rollout or self.world_memory_mode_train)

    @property
    def image_key(self) -> str:
        """The batch's key for the camera whose latents the memory is about."""
        return self.world_image_key or f"observation.images.{self.world_camera}"

    @property
    def encoder_spec(self) -> EncoderSpec | None:
        """How frames were encoded for training; None if no encoder is known."""
        if not self.world_encoder_kind:
            return None
        fields = {name: getattr(self, f"world_encoder_{name}") for name in EncoderSpec.model_fields}
        try:
            return EncoderSpec.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"world_encoder_{first['loc'][0]}: {first['msg']}") from error

    def require_encoder(self, encoder: EncoderSpec, camera: str) -> None:
        """UserError unless ``encoder`` and ``camera`` are the ones whose latents the policy was trained on."""
        if self.encoder_spec is None:
            raise UserError("the policy names no encoder, so latents cannot be known to fit it: convert it with some")
        for field, value in encoder_fields(encoder, camera).items():
            if getattr(self, field) != value:
                raise UserError(
                    f"the policy was made for latents with {field} {getattr(self, field)!r}, not {value!r}: "
                    "use the encoder it was made for"
                )

    def adopt_latents(self, latents: LatentCache) -> None:
        """Fill in what is left open about the latents; UserError if the config says otherwise than they do."""
        if self.world_latent_dim not in (0, latents.dim):
            raise UserError(
                f"world_latent_dim is {self.world_latent_dim} but the latents have {latents.dim} numbers: "
                "use the latents the policy was made for"
            )
        if self.encoder_spec is not None:
            self.require_encoder(latents.encoder, latents.camera)
        for field, value in {
            **encoder_fields(latents.encoder, latents.camera),
            "world_latent_dim": latents.dim,
        }.items():
            setattr(self, field, value)

    def get_optimizer_preset(self) -> OptimizerConfig:
        """AdamW with SmolVLA's settings that clips base policy and world modules separately."""
        return GroupClippedAdamWConfig(
            lr=self.optimizer_lr,
            betas=self.optimizer_betas,
            eps=self.optimizer_eps,
            weight_decay=self.optimizer_weight_decay,
            grad_clip_norm=0.0,
            group_clip_norm=self.optimizer_grad_clip_norm,
        )


def world_fields(world: WorldSpec) -> dict[str, Any]:
    """The config's fields that a study's :class:`WorldSpec` sets."""
    names = {"lambda_world": "world_lambda"}
    return {names.get(name, f"world_{name}"): value for name, value in world.model_dump().items()}


def encoder_fields(encoder: EncoderSpec, camera: str) -> dict[str, Any]:
    """The config's fields that say how a frame became a latent; no path of the machine is among them."""
    fields = {f"world_encoder_{name}": value for name, value in encoder.address().items()}
    return {**fields, "world_camera": camera}
