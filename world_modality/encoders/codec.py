"""What encoders of pictures and videos for compression have in common: pictures in [-1, 1], and a clip's newest latent.

Such an encoder makes one frame of latents of ``r`` frames, but of the first frame alone: 1 + r k frames become 1 + k.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from world_modality.encoders.encoder import pool


def signed(pixels: Tensor, side: int) -> Tensor:
    """Pictures uint8 [F, 3, H, W] -> float32 [F, 3, side, side] in [-1, 1], resized bilinearly and averaging."""
    pictures = pixels.float() / 127.5 - 1
    return F.interpolate(pictures, (side, side), mode="bilinear", antialias=True)


def lengthened(clips: Tensor, ratio: int) -> Tensor:
    """Clips [B, m, ...] -> [B, 1 + ratio k, ...], lengthened at the front by their first frame.

    At the front, so that the newest frame stays the last and is never dropped.
    """
    missing = (1 - clips.shape[1]) % ratio
    return torch.cat([clips[:, :1].expand(-1, missing, *clips.shape[2:]), clips], dim=1)


def newest(latents: Tensor, pooling: str) -> Tensor:
    """Latents [B, C, T, h, h] of clips -> the tokens [B, P, C] of their last frame of latents.

    The last one and not their mean: it holds the newest frames and, through the convolutions over time, those before;
    the first one holds a single frame and is distributed otherwise.
    """
    return pool(latents[:, :, -1].flatten(2).transpose(1, 2).float(), pooling)
