"""The policy type ``smolvla_world``: SmolVLA's settings and, beside them, the world memory's."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot.configs import PreTrainedConfig
from lerobot.optim import OptimizerConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from pydantic import ValidationError

from lerobot_policy_world_modality.optimizer import GroupClippedAdamWConfig
from world_modality.data.schema import camera_column
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.latents.joint import JointLatents
from world_modality.memory.fusion import FUSIONS
from world_modality.memory.modes import MemoryMode, find_mode
from world_modality.study.specs import EncoderSpec, WorldSpec


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
    world_actions: bool = False  # tell the Prophet the noisy actions and the time of the flow
    world_delta: bool = True  # predict z_{t+k} - z_t rather than z_{t+k}
    world_gate_init: float = 0.0  # the residual is multiplied by tanh(gate)
    world_lambda: float = 0.2  # weight of the world loss beside the flow loss
    world_detach: bool = False  # the flow loss does not train the Prophet through the memory
    world_latent_dim: int = 0  # W, of all cameras together; 0: taken from the latents when training starts

    # Training. The seed keys flow noise and time (in every memory mode) and the world modules' initial weights.
    world_lr: float = 1e-4
    world_seed: int = 0
    world_latents: str = ""  # folder of latents.npy and latents.json, one per camera in order, separated as in PATH
    # Episodes that are not trained on, as dataset.episodes says: neither statistics nor donors are taken from them.
    world_held_out: list[int] = dataclasses.field(default_factory=list)
    world_trained_on: str = ""  # fingerprint of the set that it was trained on; "" until it is, or if that is not known
    world_probe_every: int = 50  # steps between measurements of what the memory does to the actions; 0: none

    # How a frame became a latent. A rollout that would encode differently is refused.
    world_cameras: str = "image"  # separated by commas; their latents stand side by side in this order
    world_trained_cameras: str = ""  # of the latents it was made for; "" until they are known
    world_frame_sizes: str = ""  # HEIGHTxWIDTH in pixels of each camera's encoded frames; "": not checked
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

    # Where the encoder lies on this machine, and under which key, one per camera, the batch has the cameras if frames
    # were renamed. Only used when the policy encodes by itself.
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
        self._check_cameras()
        if train.needs_prophet and self.world_detach and self.world_lambda == 0:
            raise UserError(
                f"world_lambda is 0 and world_detach true: the Prophet that makes memory '{train.name}' would learn "
                "from nothing, so change one of them"
            )
        if self.world_actions and FUSIONS[self.world_fusion].before_actions:
            raise UserError(
                f"world_fusion: '{self.world_fusion}' reads the memory before the noisy actions are there, of which "
                "world_actions makes it: choose another fusion, or set world_actions to false"
            )
        if self.world_actions and self.world_horizon > self.chunk_size:
            raise UserError(
                f"world_horizon is {self.world_horizon} but chunk_size {self.chunk_size}: with world_actions a frame "
                "ahead needs an action that leads there, so choose a horizon of at most the chunk"
            )
        _ = self.encoder_spec

    def _check_cameras(self) -> None:
        self.world_cameras = ",".join(name.strip() for name in self.world_cameras.split(","))
        known = dict.fromkeys(camera for suite in SUITES for camera in suite.cameras)
        for position, camera in enumerate(self.cameras):
            if camera not in known:
                raise UserError(
                    f"world_cameras: '{camera}' is no camera; choose one of {', '.join(known)}, or several "
                    "separated by commas"
                )
            if camera in self.cameras[:position]:
                raise UserError(f"world_cameras names {camera} twice; name each camera once")
        if self.world_trained_cameras not in ("", self.world_cameras):
            raise UserError(
                f"world_cameras is '{self.world_cameras}' but the policy was made for latents of "
                f"'{self.world_trained_cameras}': use the cameras it was made for, in their order"
            )
        if self.world_latent_dim % len(self.cameras):
            raise UserError(
                f"world_latent_dim is {self.world_latent_dim}, which the {len(self.cameras)} cameras of world_cameras "
                "cannot share evenly: give the width of all their latents together"
            )
        for name, values in (("world_image_key", self.image_keys), ("world_frame_sizes", self.frame_sizes)):
            if values and len(values) != len(self.cameras):
                raise UserError(f"{name} has {len(values)} entries for the cameras {self.world_cameras}: give one each")

    @property
    def train_mode(self) -> MemoryMode:
        """What the memory holds in training."""
        return find_mode(self.world_memory_mode_train)

    @property
    def rollout_mode(self) -> MemoryMode:
        """What the memory holds in a rollout."""
        return find_mode(self.world_memory_mode_rollout or self.world_memory_mode_train)

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras whose latents stand for a frame, in their order."""
        return tuple(self.world_cameras.split(","))

    @property
    def image_keys(self) -> tuple[str, ...]:
        """The batch's key for each of the cameras."""
        if self.world_image_key:
            return tuple(key.strip() for key in self.world_image_key.split(","))
        return tuple(camera_column(camera) for camera in self.cameras)

    @property
    def frame_sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each camera's encoded frames; empty if they are not known."""
        try:
            sizes = [tuple(map(int, size.split("x"))) for size in self.world_frame_sizes.split(",") if size]
            return tuple((height, width) for height, width in sizes)
        except ValueError:
            raise UserError(
                f"world_frame_sizes: '{self.world_frame_sizes}' does not read like 256x256 per camera, separated by "
                "commas"
            ) from None

    @property
    def latents_folders(self) -> tuple[Path, ...]:
        """The folder of each camera's latents; UserError unless there is one per camera."""
        several = len(self.cameras) > 1
        folders = self.world_latents.split(os.pathsep) if several else [self.world_latents]
        if len(folders) != len(self.cameras):
            raise UserError(
                f"world_latents names {len(folders)} folders for the cameras {self.world_cameras}: give one folder per "
                f"camera, in that order and separated by '{os.pathsep}'"
            )
        return tuple(map(Path, folders))

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

    def require_encoder(self, encoder: EncoderSpec) -> None:
        """UserError unless ``encoder`` is the one whose latents the policy was trained on."""
        if self.encoder_spec is None:
            raise UserError("the policy names no encoder, so latents cannot be known to fit it: convert it with some")
        for field, value in encoder_fields(encoder).items():
            if getattr(self, field) != value:
                raise UserError(
                    f"the policy was made for latents with {field} {getattr(self, field)!r}, not {value!r}: "
                    "use the encoder it was made for"
                )

    def adopt_latents(self, latents: JointLatents) -> None:
        """Fill in what is left open about the latents; UserError if the config says otherwise than they do."""
        given = ",".join(latents.cameras)
        if given != self.world_cameras:
            raise UserError(
                f"world_latents: the latents are of camera {given}, where world_cameras has {self.world_cameras}: give "
                "each camera's latents, in that order"
            )
        if self.world_latent_dim not in (0, latents.dim):
            raise UserError(
                f"world_latent_dim is {self.world_latent_dim} but the latents have {latents.dim} numbers: "
                "use the latents the policy was made for"
            )
        if self.encoder_spec is not None:
            self.require_encoder(latents.encoder)
        known = {"world_latent_dim": latents.dim, "world_trained_cameras": given}
        for field, value in {**encoder_fields(latents.encoder), **known}.items():
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
    settings = world.model_dump() | {"cameras": ",".join(world.cameras)}
    return {names.get(name, f"world_{name}"): value for name, value in settings.items()}


def encoder_fields(encoder: EncoderSpec) -> dict[str, Any]:
    """The config's fields that say how a frame became a latent; no path of the machine is among them."""
    return {f"world_encoder_{name}": value for name, value in encoder.address().items()}
