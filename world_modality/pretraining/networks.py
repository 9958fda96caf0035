"""The network that is trained: transformers' V-JEPA 2, small, and the pictures that it is shown."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from world_modality.pretraining.specs import NetworkSpec

PART = "encoder."
"""What the names of the tensors begin with that latents are made of."""
TUBELET = 2  # frames that a token spans, as in every V-JEPA 2


def build_network(spec: NetworkSpec) -> Any:
    """A VJEPA2Model of weights that the global generator draws."""
    from transformers import VJEPA2Config, VJEPA2Model

    return VJEPA2Model(
        VJEPA2Config(
            patch_size=spec.patch,
            crop_size=spec.image_size,
            frames_per_clip=spec.frames,
            tubelet_size=TUBELET,
            hidden_size=spec.hidden,
            num_hidden_layers=spec.layers,
            num_attention_heads=spec.heads,
            mlp_ratio=spec.mlp_ratio,
            initializer_range=spec.deviation,
            pred_hidden_size=spec.predictor_hidden,
            pred_num_hidden_layers=spec.predictor_layers,
            pred_num_attention_heads=spec.predictor_heads,
            pred_num_mask_tokens=1,
            pred_zero_init_mask_tokens=True,
        )
    )


@cache
def video_processor(image_size: int) -> Any:
    """How pictures are scaled for it."""
    from transformers import VJEPA2VideoProcessor

    return VJEPA2VideoProcessor(crop_size={"height": image_size, "width": image_size})


def pictures_for(image_size: int, frames: NDArray[np.uint8]) -> Tensor:
    """Frames uint8 [F, H, W, 3] as the processor resizes them, before it scales their numbers: uint8 [F, 3, S, S]."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    prepared: Tensor = video_processor(image_size)(
        videos=[pixels],
        size={"height": image_size, "width": image_size},
        do_resize=True,
        do_center_crop=False,
        do_rescale=False,
        do_normalize=False,
        return_tensors="pt",
    )["pixel_values_videos"][0]
    return prepared.float().round().clamp(0, 255).to(torch.uint8)


def visible_tokens(encoder: Any, videos: Tensor, visible: Tensor) -> Tensor:
    """What an encoder makes of some tokens of each clip alone, which know their places and nothing of the others.

    Args:
        encoder: of a VJEPA2Model.
        videos: clips, float32 [B, m, 3, S, S].
        visible: numbers of the tokens of each, int64 [B, V].

    Returns:
        [B, V, D].
    """
    hidden = taken(encoder.embeddings(videos), visible)
    for layer in encoder.layer:
        hidden = layer(hidden, visible)[0]
    result: Tensor = encoder.layernorm(hidden)
    return result


def taken(tokens: Tensor, numbers: Tensor) -> Tensor:
    """The tokens [B, V, D] of ``tokens`` [B, N, D] with these numbers [B, V]."""
    return tokens.gather(1, numbers[..., None].expand(-1, -1, tokens.shape[-1]))


def save_encoder(network: Any, folder: Path) -> None:
    """Write the encoder alone as a model folder that ``load_encoder`` and transformers' AutoModel read."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items() if name.startswith(PART)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    network.config.save_pretrained(folder)
    video_processor(network.config.crop_size).save_pretrained(folder)
