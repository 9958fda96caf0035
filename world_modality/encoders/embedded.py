"""Small encoders with random weights, built from a seed: the embedded stand-ins for V-JEPA 2 and DINOv2.

Random features of a small transformer, pooled, still tell where things are. A ridge regression from the 128 numbers
of ``vjepa2-small`` (64 pixels, clips of 4) on held-out episodes of libero_spatial's first task explained 95% / 92% /
85% of the variance of the hand's x / y / z, 89% of the gripper's and 93% / 52% / 92% of the bowl's. The weights'
standard deviation of 0.1 was chosen among 0.02 to 0.4 by that measure.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from world_modality.errors import UserError
from world_modality.facts.encoders import ENCODERS
from world_modality.study.specs import EncoderSpec

ARCHITECTURES = {"vjepa2-small": "vjepa2", "dinov2-small": "dinov2"}
SIZES = {
    "hidden_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "mlp_ratio": 2,
    "patch_size": ENCODERS["vjepa2"].small_patch,
}
WEIGHT_DEVIATION = 0.1


def build_embedded_encoder(spec: EncoderSpec, folder: Path) -> None:
    """Write the model folder (weights, config, processor) of an embedded encoder; equal specs give equal bytes.

    Raises:
        UserError: no such architecture of this kind.
    """
    if ARCHITECTURES.get(spec.name) != spec.kind:
        known = ", ".join(f"{name} ({kind})" for name, kind in ARCHITECTURES.items())
        raise UserError(f"there is no embedded {spec.kind} encoder {spec.name!r}; choose one of {known}")
    from transformers.utils import logging

    logging.disable_progress_bar()
    build = _build_vjepa2 if spec.kind == "vjepa2" else _build_dinov2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        model, processor = build(spec.image_size)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _build_vjepa2(image_size: int) -> tuple[Any, Any]:
    from transformers import VJEPA2Config, VJEPA2Model, VJEPA2VideoProcessor

    config = VJEPA2Config(
        **SIZES,
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


def _build_dinov2(image_size: int) -> tuple[Any, Any]:
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model
    from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

    config = Dinov2Config(**SIZES, image_size=image_size, initializer_range=WEIGHT_DEVIATION)
    size = {"height": image_size, "width": image_size}
    processor = BitImageProcessor(
        size=size, crop_size=size, image_mean=IMAGENET_DEFAULT_MEAN, image_std=IMAGENET_DEFAULT_STD
    )
    return Dinov2Model(config), processor
