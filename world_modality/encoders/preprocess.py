"""Frames to model input, by the model's own processor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from world_modality.study.specs import EncoderSpec

FRAMES_AT_ONCE = 64  # bounds memory; preprocessing is per frame, so it changes no number


@dataclass(frozen=True)
class FramePreprocessor:
    """Resize, rescale and normalise frames exactly once.

    The model's Hugging Face processor does the work, with its own interpolation, mean and deviation, but resizes
    straight to ``image_size`` without centre crop: its default would enlarge and then cut off the outer eighth of
    the picture, where a robot's workspace has objects. Only uint8 is accepted: a processor divides by 255, and
    frames that were floats in [0, 1] already would reach the model nearly black.
    """

    processor: Any
    kind: str
    image_size: int

    @classmethod
    def load(cls, folder: Path, spec: EncoderSpec) -> FramePreprocessor:
        """Load the processor that lies beside the model."""
        from transformers import AutoImageProcessor, AutoVideoProcessor

        auto = AutoVideoProcessor if spec.kind == "vjepa2" else AutoImageProcessor
        return cls(auto.from_pretrained(folder, local_files_only=True), spec.kind, spec.image_size)

    def __call__(self, frames: NDArray[np.uint8]) -> torch.Tensor:
        """Frames uint8 [F, H, W, 3] -> float32 [F, 3, S, S].

        Raises:
            TypeError: the frames are not uint8 [F, H, W, 3].
        """
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise TypeError(f"frames must be uint8 [F, H, W, 3], not {frames.dtype} {list(frames.shape)}")
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
        return torch.cat([self._process(part) for part in torch.split(pixels, FRAMES_AT_ONCE)])

    def _process(self, pixels: torch.Tensor) -> torch.Tensor:
        size = {"height": self.image_size, "width": self.image_size}
        options = {"size": size, "do_resize": True, "do_center_crop": False, "return_tensors": "pt"}
        if self.kind == "vjepa2":
            prepared: torch.Tensor = self.processor(videos=[pixels], **options)["pixel_values_videos"][0]
        else:
            prepared = self.processor(images=list(pixels), **options)["pixel_values"]
        return prepared.to(torch.float32)
