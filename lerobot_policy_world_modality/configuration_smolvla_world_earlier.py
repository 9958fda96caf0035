"""The policy type ``smolvla_world_earlier``: SmolVLA with the world memory of the earlier system, by present names."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot.configs import PreTrainedConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

from lerobot_policy_world_modality.world_config import WorldConfig, encoder_fields
from world_modality.errors import UserError
from world_modality.latents.joint import JointLatents
from world_modality.policies.earlier import ENCODER_PIXELS, FIXED
from world_modality.study.specs import EncoderSpec, PaddedEncoderSpec


@PreTrainedConfig.register_subclass("smolvla_world_earlier")
@dataclass
class SmolVLAWorldEarlierConfig(WorldConfig, SmolVLAConfig):  # type: ignore[misc]  # LeRobot is not typed
    """Those of ``smolvla_world``; ``world_heads`` are the Prophet's alone, whose width is that of the latents."""

    world_inject_heads: int = 8  # of the injection's attention
    # Square of pixels that SmolVLA enlarges and pads pictures to, which the encoder sees; 0: they keep their size.
    world_encoder_padded_to: int = 0
    world_moments: bool = False  # whether mean and covariance of the training latents are among the tensors

    def __post_init__(self) -> None:
        self.world_prophet_width = self.world_latent_dim or self.world_prophet_width
        super().__post_init__()
        for name, only in FIXED.items():
            if getattr(self, name) != only:
                raise UserError(f"{name}: the earlier form of world memory knows {only} alone, so drop it")
        if len(self.cameras) > 1:
            raise UserError("world_cameras: the earlier form of world memory knows one camera")
        self._check_encoder(self.world_encoder_kind, self.world_encoder_pooling)

    @staticmethod
    def _check_encoder(kind: str, pooling: str) -> None:
        if kind not in ("", "vjepa2") or pooling != "mean":
            raise UserError(
                f"world_encoder_kind: the earlier form of world memory knows vjepa2 pooled by the mean, not {kind} by "
                f"{pooling}"
            )

    @property
    def encoder_spec(self) -> EncoderSpec | None:
        """How a rollout encodes what the policy sees; None if no encoder is known."""
        plain = super().encoder_spec
        if plain is None:
            return None
        return PaddedEncoderSpec(**plain.model_dump(), padded_to=self.world_encoder_padded_to)

    def require_encoder(self, encoder: EncoderSpec) -> None:
        """UserError unless ``encoder`` makes latents as the policy's were made, wherever its weights lie."""
        own = self.encoder_spec
        if own is None:
            raise UserError("the policy names no encoder, so latents cannot be known to fit it: convert it with some")
        for name in ("kind", "frames", "pooling"):
            if getattr(own, name) != getattr(encoder, name):
                raise UserError(
                    f"the policy was made for latents with {name} {getattr(own, name)!r}, not "
                    f"{getattr(encoder, name)!r}: use the latents and the encoder that it was made for"
                )

    def rollout_encoder(self, encoder: EncoderSpec) -> EncoderSpec:
        """The policy's own way to show it pictures; of ``encoder`` only where its weights come from counts."""
        self.require_encoder(encoder)
        own = self.encoder_spec
        assert own is not None
        return own.model_copy(update={name: getattr(encoder, name) for name in ("source", "name", "revision", "seed")})

    def adopt_latents(self, latents: JointLatents) -> None:
        """As every world memory's, but an encoder that is known stays: training latents were made of the pictures
        themselves, and rollouts show the encoder SmolVLA's enlarged ones."""
        own, padded = self.encoder_spec, self.resize_imgs_with_padding
        self.require_shape(latents)
        self._check_encoder(latents.encoder.kind, latents.encoder.pooling)
        if own is None:
            for field, value in encoder_fields(latents.encoder).items():
                setattr(self, field, value)
            self.world_encoder_padded_to = padded[0] if padded else 0
            self.world_encoder_image_size = ENCODER_PIXELS
        else:
            self.require_encoder(latents.encoder)
        self.take_shape(latents)
        self.world_prophet_width = self.world_latent_dim
