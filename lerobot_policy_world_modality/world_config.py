"""What LeRobot's configs of policies with a world memory have in common, beside the settings themselves."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot.optim import OptimizerConfig
from pydantic import ValidationError

from lerobot_policy_world_modality.optimizer import GroupClippedAdamWConfig
from world_modality.data.schema import camera_column
from world_modality.errors import UserError
from world_modality.facts.benchmarks import camera_names
from world_modality.facts.encoders import ENCODERS
from world_modality.facts.world import WorldMemoryConfig
from world_modality.latents.joint import JointLatents
from world_modality.study.specs import EncoderSpec, WorldSpec


@dataclass
class WorldConfig(WorldMemoryConfig):
    """To stand before a LeRobot policy's config among the bases; raises UserError for a value that makes no sense."""

    push_to_hub: bool = False  # LeRobot's own default uploads every trained policy

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[misc]  # the LeRobot config's, which stands behind
        self.check_world(self.chunk_size)  # type: ignore[attr-defined]
        self._check_cameras()
        _ = self.encoder_spec

    def _check_cameras(self) -> None:
        self.world_cameras = ",".join(name.strip() for name in self.world_cameras.split(","))
        for position, camera in enumerate(self.cameras):
            if camera not in camera_names():
                raise UserError(
                    f"world_cameras: '{camera}' is no camera; choose one of {', '.join(camera_names())}, or several "
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
    def reads_latents(self) -> bool:
        """Whether training reads latents, be it for a memory, in place of pictures, or to foretell them."""
        return self.train_mode.needs_world or self.world_align

    @property
    def sees_latents(self) -> bool:
        """Whether a rollout reads those of the frames that it sees."""
        return self.rollout_mode.needs_history

    @property
    def encodes(self) -> bool:
        """Whether a rollout encodes frames: those that it sees, or those that it looks ahead for."""
        return self.sees_latents or self.rollout_mode.encodes

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
        if self.world_encoder_kind not in ENCODERS:
            known = ", ".join(ENCODERS.names)
            raise UserError(f"world_encoder_kind: '{self.world_encoder_kind}' is no encoder; choose one of {known}")
        fields = {name: getattr(self, f"world_encoder_{name}") for name in EncoderSpec.told()}
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

    def rollout_encoder(self, encoder: EncoderSpec) -> EncoderSpec:
        """How a rollout encodes with the weights of ``encoder``; UserError unless it was trained with that one."""
        self.require_encoder(encoder)
        return encoder

    def adopt_latents(self, latents: JointLatents) -> None:
        """Fill in what is left open about the latents; UserError if the config says otherwise than they do."""
        self.require_shape(latents)
        if self.encoder_spec is not None:
            self.require_encoder(latents.encoder)
        for field, value in encoder_fields(latents.encoder).items():
            setattr(self, field, value)
        self.take_shape(latents)

    def require_shape(self, latents: JointLatents) -> None:
        """UserError if the latents' cameras, width or tokens are others than the config says."""
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
        if self.world_latent_dim and self.world_latent_tokens != latents.tokens:
            raise UserError(
                f"world_latent_tokens is {self.world_latent_tokens} but the latents have {latents.tokens} tokens per "
                "frame: use the latents the policy was made for"
            )

    def take_shape(self, latents: JointLatents) -> None:
        """Take over the latents' cameras, width and tokens."""
        self.world_latent_dim, self.world_latent_tokens = latents.dim, latents.tokens
        self.world_trained_cameras = ",".join(latents.cameras)

    def get_optimizer_preset(self) -> OptimizerConfig:
        """AdamW with the plain policy's settings that clips base policy and world modules separately."""
        plain = super().get_optimizer_preset()  # type: ignore[misc]
        return GroupClippedAdamWConfig(
            lr=plain.lr,
            betas=plain.betas,
            eps=plain.eps,
            weight_decay=plain.weight_decay,
            grad_clip_norm=0.0,
            group_clip_norm=plain.grad_clip_norm,
        )


def world_fields(world: WorldSpec) -> dict[str, Any]:
    """The config's fields that a study's :class:`WorldSpec` sets."""
    names = {"lambda_world": "world_lambda"}
    settings = world.model_dump(exclude_none=True) | {"cameras": ",".join(world.cameras)}
    return {names.get(name, f"world_{name}"): value for name, value in settings.items()}


def encoder_fields(encoder: EncoderSpec) -> dict[str, Any]:
    """The config's fields that say how a frame became a latent; no path of the machine is among them."""
    told, address = encoder.told(), encoder.address()
    return {f"world_encoder_{name}": address[name] for name in told}
