"""A frozen vision encoder that turns clips of frames into latents, the same way wherever it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from world_modality.encoders.clips import clip_rows
from world_modality.encoders.preprocess import FramePreprocessor
from world_modality.errors import UserError
from world_modality.study.specs import EncoderSpec

# The model always sees this many clips at once; a shorter rest is filled up. A kernel may choose its order of
# summation by the batch's shape, so only a constant shape makes a clip's latent independent of its batch mates.
CLIPS_PER_BATCH = 4

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Encoder:
    """Clips to latents: z = mean over the tokens of the last layer, float32 [P, D].

    V-JEPA 2 sees the whole clip at once; an odd clip is lengthened at its front by its first frame, because a
    tubelet spans two frames and the model would silently drop the newest one. DINOv2 sees single frames: its latent
    is the mean over the clip's frames of the mean patch token (the class token is left out).
    """

    def __init__(self, spec: EncoderSpec, model: Any, preprocessor: FramePreprocessor) -> None:
        self.spec = spec
        self.tokens = 1
        self.dim: int = int(model.config.hidden_size)
        self.preprocessor = preprocessor
        self._model = model

    @property
    def parameter_count(self) -> int:
        """Number of weights, the unused JEPA predictor included."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    def prepare(self, frames: NDArray[np.uint8]) -> torch.Tensor:
        """Resize and normalise frames uint8 [F, H, W, 3] to float32 [F, 3, S, S] on the encoder's device.

        A frame's result depends on that frame alone, so a frame that lies in several clips is prepared once.
        """
        return self.preprocessor(frames).to(self._model.device)

    def encode_prepared(self, prepared: torch.Tensor, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Latents float32 [N, P, D] of the clips ``prepared[rows]``.

        Args:
            prepared: result of ``prepare``, [F, 3, S, S].
            rows: frame of each clip's m places, int64 [N, m], oldest first.
        """
        padding = np.repeat(rows[-1:], -len(rows) % CLIPS_PER_BATCH, axis=0)
        batches = torch.split(torch.from_numpy(np.concatenate([rows, padding])), CLIPS_PER_BATCH)
        latents = [self._forward(prepared[batch]).float().cpu() for batch in batches]
        result: NDArray[np.float32] = torch.cat(latents)[: len(rows)].numpy()
        return result

    def encode_episode(self, frames: NDArray[np.uint8]) -> NDArray[np.float16]:
        """Latents float16 [L, P, D] of an episode's frames uint8 [L, H, W, 3]; row t is the clip that ends at t."""
        rows = clip_rows(np.arange(len(frames)), self.spec.frames)
        return self.encode_prepared(self.prepare(frames), rows).astype(np.float16)

    @torch.inference_mode()
    def _forward(self, clips: torch.Tensor) -> torch.Tensor:
        """[B, m, 3, S, S] -> [B, P, D]."""
        clips = clips.to(self._model.dtype)
        if self.spec.kind == "vjepa2":
            missing = -clips.shape[1] % self._model.config.tubelet_size
            clips = torch.cat([clips[:, :1].expand(-1, missing, -1, -1, -1), clips], dim=1)
            tokens: torch.Tensor = self._model(pixel_values_videos=clips, skip_predictor=True).last_hidden_state
            return tokens.float().mean(dim=1, keepdim=True)
        batch, frames = clips.shape[:2]
        tokens = self._model(pixel_values=clips.flatten(0, 1)).last_hidden_state
        first_patch = 1 + getattr(self._model.config, "num_register_tokens", 0)
        return tokens[:, first_patch:].float().mean(dim=1).view(batch, frames, -1).mean(dim=1, keepdim=True)


def load_encoder(spec: EncoderSpec, folder: Path, device: str = "cpu") -> Encoder:
    """Load an encoder and its processor from a Hugging Face model folder, frozen and in ``spec.dtype``.

    Raises:
        UserError: the folder holds another kind of model, or ``spec.image_size`` does not fit its patches.
    """
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # stages report by themselves
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if not str(config.model_type).startswith(spec.kind):
        raise UserError(f"the encoder in {folder} is a {config.model_type}, not a {spec.kind}: name one of that kind")
    if spec.image_size % config.patch_size:
        raise UserError(
            f"an image size of {spec.image_size} is asked of {spec.name}, whose patches of {config.patch_size} pixels "
            f"do not divide it: use a multiple of {config.patch_size}"
        )
    if spec.kind == "vjepa2":
        config.crop_size = spec.image_size  # the rotary positions are laid out on this grid
    model = AutoModel.from_pretrained(folder, config=config, dtype=DTYPES[spec.dtype], local_files_only=True)
    model.requires_grad_(False).eval().to(device)
    return Encoder(spec, model, FramePreprocessor.load(folder, spec))
