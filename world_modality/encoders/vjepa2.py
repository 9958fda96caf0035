"""V-JEPA 2: a video encoder that sees the whole clip at once, in tubelets of two frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from world_modality.encoders.encoder import load_model, pool, resizing
from world_modality.encoders.source import SMALL_SIZES, WEIGHT_DEVIATION
from world_modality.facts.encoders import ENCODERS
from world_modality.study.specs import EncoderSpec, PaddedEncoderSpec


class VJEPA2:
    """z = the mean over the tokens of the last layer, of all of them or of each quarter of the picture."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        from transformers import AutoVideoProcessor

        # The rotary positions are laid out on the grid of the crop.
        self.model = load_model(spec, folder, crop_size=spec.image_size)
        self.dim = int(self.model.config.hidden_size)
        self._spec = spec
        self._processor = AutoVideoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

    def process(self, pixels: Tensor) -> Tensor:
        """The frames as one video, which the processor treats frame by frame; or by way of SmolVLA's own size."""
        if isinstance(self._spec, PaddedEncoderSpec):
            return self._by_way_of_smolvla(pixels, self._spec.padded_to)
        prepared: Tensor = self._processor(videos=[pixels], **resizing(self._spec))["pixel_values_videos"][0]
        return prepared

    def _by_way_of_smolvla(self, pixels: Tensor, size: int) -> Tensor:
        """Enlarged and padded as SmolVLA does it, resized bilinearly and normalised, nowhere rounded to bytes."""
        from lerobot.policies.common.vla_utils import resize_with_pad

        pictures = pixels.float() / 255
        if size:
            pictures = resize_with_pad(pictures, size, size, pad_value=0)
        side = self._spec.image_size
        pictures = F.interpolate(pictures, (side, side), mode="bilinear", align_corners=False)
        mean, deviation = (
            torch.tensor(values, device=pixels.device).view(3, 1, 1)
            for values in (self._processor.image_mean, self._processor.image_std)
        )
        return (pictures - mean) / deviation

    def latents(self, clips: Tensor) -> Tensor:
        """[B, m, 3, S, S] -> [B, P, D].

        An odd clip is lengthened at its front by its first frame, because a tubelet spans two frames and the model
        would silently drop the newest one.
        """
        missing = -clips.shape[1] % self.model.config.tubelet_size
        clips = torch.cat([clips[:, :1].expand(-1, missing, -1, -1, -1), clips], dim=1)
        tokens: Tensor = self.model(pixel_values_videos=clips, skip_predictor=True).last_hidden_state.float()
        if self._spec.pooling != "mean":
            times = clips.shape[1] // self.model.config.tubelet_size
            tokens = tokens.reshape(len(clips), times, -1, self.dim).mean(dim=1)
        return pool(tokens, self._spec.pooling)


def image_size(config: Mapping[str, Any]) -> int:
    """What the model was trained on, as its configuration says."""
    return int(config["crop_size"])


def build_small(image_size: int) -> tuple[Any, Any]:
    """``vjepa2-small``: model and processor."""
    from transformers import VJEPA2Config, VJEPA2Model, VJEPA2VideoProcessor

    config = VJEPA2Config(
        **SMALL_SIZES,
        patch_size=ENCODERS["vjepa2"].small_patch,
        crop_size=image_size,
        frames_per_clip=4,
        initializer_range=WEIGHT_DEVIATION,
        # The JEPA predictor is never run, but transformers builds one.
        pred_hidden_size=24,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=1,
        pred_num_mask_tokens=1,
    )
    return VJEPA2Model(config), VJEPA2VideoProcessor(crop_size={"height": image_size, "width": image_size})
