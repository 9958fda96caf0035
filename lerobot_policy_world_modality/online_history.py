"""What the policy saw since its episodes began: for rollouts whose caller gives no latents, such as lerobot-eval."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lerobot_policy_world_modality.world_config import WorldConfig
from world_modality.data.hub import ENCODER
from world_modality.encoders.online import HistoryEncoder
from world_modality.errors import UserError

Pixels = npt.NDArray[np.uint8]


def to_pixels(images: Tensor) -> Pixels:
    """Images [B, 3, H, W] as a policy gets them, uint8 or float in [0, 1], to the frames uint8 [B, H, W, 3] they were.

    Dividing by 255 and back is exact for each of the 256 values. ValueError for floats outside [0, 1].
    """
    if images.dtype != torch.uint8:
        if images.min() < 0 or images.max() > 1:
            raise ValueError("images must be uint8 or floats in [0, 1] to be encoded")
        images = (images * 255).round().to(torch.uint8)
    return images.permute(0, 2, 3, 1).cpu().numpy()


def open_encoder(config: WorldConfig, device: str) -> HistoryEncoder:
    """The encoder that the checkpoint was trained with; UserError if it is not where the config says."""
    from world_modality.encoders.encoder import load_encoder

    spec, folder = config.encoder_spec, Path(config.world_encoder_path)
    if spec is None:
        raise UserError("the checkpoint names no encoder, so the policy cannot encode what it sees: convert it anew")
    if not config.world_encoder_path or not folder.is_dir():
        raise UserError(
            f"world_encoder_path: '{config.world_encoder_path}' is no folder; give the one that holds {spec.name}, "
            "as in --policy.world_encoder_path=FOLDER"
        )
    if config.world_encoder_digest not in ("", ENCODER.digest(folder)):
        raise UserError(
            f"world_encoder_path: {folder} does not hold the encoder that the checkpoint was trained with "
            f"(content {config.world_encoder_digest}); give that encoder's folder"
        )
    encoder = load_encoder(spec, folder, device)
    expected = config.world_latent_tokens, config.world_latent_dim // len(config.cameras)
    if (encoder.tokens, encoder.dim) != expected:
        raise UserError(
            f"world_encoder_path: {folder} gives latents of {encoder.tokens} x {encoder.dim} numbers but the "
            f"checkpoint was trained on {expected[0]} x {expected[1]} per camera; give the encoder it was trained with"
        )
    return HistoryEncoder(encoder, config.world_context)


class OnlineHistory:
    """The last frames of B episodes that started together. The encoder is loaded when latents are first asked for.

    Not a module, and so no part of the checkpoint. To be shown a frame at every step, also between replans.
    """

    def __init__(self, config: Any) -> None:
        self._config = config  # a WorldConfig and LeRobot's
        self._encoder: HistoryEncoder | None = None
        self._delay = config.rollout_mode.delay * config.world_prediction_horizon
        self._window = config.world_context + max(config.world_encoder_frames, 1) - 1  # T overlapping clips of m frames
        # Per step, the frames of each camera.
        self._frames: deque[tuple[Pixels, ...]] = deque(maxlen=self._window + self._delay)

    def reset(self) -> None:
        """Forget the episodes."""
        self._frames.clear()

    def see(self, batch: dict[str, Tensor]) -> None:
        """Keep each camera's frame of a preprocessed batch, [B, 3, H, W] or the newest of [B, N, 3, H, W].

        UserError if the batch lacks a camera or its frames are not of the size that training encoded.
        """
        keys = self._config.image_keys
        sizes: tuple[tuple[int, int] | None, ...] = self._config.frame_sizes or (None,) * len(keys)
        frames = tuple(_newest(batch, key, size) for key, size in zip(keys, sizes, strict=True))
        if self._frames and [each.shape for each in self._frames[-1]] != [each.shape for each in frames]:
            raise ValueError(
                f"the batch changed from {len(self._frames[-1][0])} episodes to {len(frames[0])} without reset()"
            )
        self._frames.append(frames)

    def latents(self) -> Tensor:
        """The episodes' history latents, float32 [B, T, P, W] in their own units, on the CPU.

        They end at the newest frame, or as much earlier as the memory mode wants, at the earliest at the first.
        """
        if self._encoder is None:
            self._encoder = open_encoder(self._config, str(self._config.device))
        last = max(1, len(self._frames) - self._delay)
        window = tuple(self._frames)[max(0, last - self._window) : last]
        cameras = [np.stack(steps, axis=1) for steps in zip(*window, strict=True)]  # each [B, F, height, width, 3]
        return torch.from_numpy(np.stack([self._encoder.encode(*videos) for videos in zip(*cameras, strict=True)]))


def _newest(batch: dict[str, Tensor], key: str, trained: tuple[int, int] | None) -> Pixels:
    """The frames uint8 [B, height, width, 3] under ``key``; UserError if there are none or not of the trained size."""
    if key not in batch:
        raise UserError(f"world_image_key: the batch has no '{key}'; name the key under which it has this camera")
    images = batch[key]
    frames = to_pixels(images[:, -1] if images.ndim == 5 else images)
    if trained is not None and frames.shape[1:3] != trained:
        raise UserError(
            f"{key}: frames are {frames.shape[1]}x{frames.shape[2]} but the latents were made of "
            f"{trained[0]}x{trained[1]} ones; set the environment's observation_height and observation_width"
        )
    return frames
