"""The video autoencoder of CogVideoX, diffusers' AutoencoderKLCogVideoX: its encoder sees the whole clip at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from world_modality.checks.encoder import encoder_findings
from world_modality.checks.finding import refuse_errors
from world_modality.encoders.codec import lengthened, newest, signed
from world_modality.encoders.encoder import DTYPES, LOADING_FAILS, require_all_loaded, require_tiled
from world_modality.encoders.resolve import read_model_config
from world_modality.errors import UserError, in_one_line
from world_modality.facts.encoders import ENCODERS
from world_modality.study.specs import EncoderSpec


class CogVideoX:
    """z = the posterior's mean in the clip's last frame of latents, pooled; nothing is drawn.

    The decoder is not kept. Latents are as the encoder gives them, without the factor by which diffusion scales them.
    """

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        refuse_errors(encoder_findings(folder))
        config = read_model_config(folder)
        require_tiled(spec, int(config["patch_size"]))
        self.model = _load(spec, folder)
        self.model.decoder = None
        self.dim = int(config["hidden_size"])
        self._ratio = int(self.model.config.temporal_compression_ratio)
        self._spec = spec

    def process(self, pixels: Tensor) -> Tensor:
        """Each frame in [-1, 1]."""
        return signed(pixels, self._spec.image_size)

    def latents(self, clips: Tensor) -> Tensor:
        """[B, m, 3, S, S] -> [B, P, C], C the latents' channels."""
        frames = lengthened(clips, self._ratio).transpose(1, 2)
        return newest(self.model.encode(frames).latent_dist.mean, self._spec.pooling)


def _load(spec: EncoderSpec, folder: Path) -> Any:
    """The autoencoder, after its weights were compared with it; UserError where they do not fit."""
    from diffusers import AutoencoderKLCogVideoX
    from diffusers.utils import logging

    wanted = {"torch_dtype": DTYPES[spec.dtype], "local_files_only": True, "use_safetensors": True}
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # what it reports of tensors is told below, as one sentence or not at all
    try:
        with torch.random.fork_rng(devices=[]):  # it is drawn at random before it is filled
            model, told = AutoencoderKLCogVideoX.from_pretrained(
                folder, **wanted, low_cpu_mem_usage=False, ignore_mismatched_sizes=True, output_loading_info=True
            )
    except LOADING_FAILS as error:
        raise UserError(f"the encoder in {folder} cannot be loaded: {in_one_line(error)}") from error
    finally:
        logging.set_verbosity(verbosity)
    require_all_loaded(folder, ENCODERS[spec.kind], model, told)
    return model


def build_small(image_size: int) -> tuple[Any]:
    """``cogvideox-small``: the model, which needs no processor."""
    from diffusers import AutoencoderKLCogVideoX

    widths = (16, 32, 32, 32)
    blocks = len(widths)
    return (
        AutoencoderKLCogVideoX(
            down_block_types=("CogVideoXDownBlock3D",) * blocks,
            up_block_types=("CogVideoXUpBlock3D",) * blocks,
            block_out_channels=widths,
            latent_channels=16,
            layers_per_block=1,
            norm_num_groups=8,
            sample_height=image_size,
            sample_width=image_size,
        ),
    )
