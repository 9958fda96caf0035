"""Stage "encoder": put the model folder of the study's encoder under its key.

``vjepa2-libero`` was trained here (docs/pretraining.md) and is copied. The other embedded ones, stand-ins for V-JEPA 2
and DINOv2, are built from a seed. Random features of a small
transformer, pooled, still tell where things are. A ridge regression from the 128 numbers of ``vjepa2-small`` (64
pixels, clips of 4) on held-out episodes of libero_spatial's first task explained 95% / 92% / 85% of the variance of
the hand's x / y / z, 89% of the gripper's and 93% / 52% / 92% of the bowl's. The weights' standard deviation of 0.1
was chosen among 0.02 to 0.4 by that measure.
"""

from __future__ import annotations

from pathlib import Path

import torch

from world_modality.data.hub import ENCODER, copy_folder, fetch_snapshot
from world_modality.embedded import TRAINED_ENCODER
from world_modality.encoders.clipwise import require_clipwise
from world_modality.encoders.encoder import load_encoder
from world_modality.errors import UserError
from world_modality.facts.encoders import ENCODERS, small_encoders
from world_modality.store.files import empty_folder
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import EncoderSpec

SMALL_SIZES = {"hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 2, "mlp_ratio": 2}
WEIGHT_DEVIATION = 0.1


def run(spec: EncoderSpec, context: StageContext) -> Facts:
    """Build, fetch or copy the encoder and prove that it loads.

    Raises:
        UserError: unknown architecture, unreachable hub, a folder that is missing or has changed since the study was
            planned, a model that does not fit the spec, or one of others' code that sees other clips than its own.
    """
    if spec.source == "embedded" and spec.name in ENCODERS[spec.kind].trained:
        copy_folder(TRAINED_ENCODER, context.artifact, setting="encoder.name", content=ENCODER, digest=spec.revision)
    elif spec.source == "embedded":
        empty_folder(context.artifact)
        build_embedded_encoder(spec, context.artifact)
    elif spec.source == "hub":
        fetch_snapshot(spec.name, spec.revision, context.artifact, section="encoder", content=ENCODER)
    else:
        copy_folder(Path(spec.name), context.artifact, setting="encoder.path", content=ENCODER, digest=spec.revision)
    encoder = load_encoder(spec, context.artifact)
    if ENCODERS[spec.kind].program or ENCODERS.distribution(spec.kind):
        require_clipwise(encoder)
    return {"dim": encoder.dim, "parameters": encoder.parameter_count}


def build_embedded_encoder(spec: EncoderSpec, folder: Path) -> None:
    """Write the model folder (weights, config, processor) of an embedded encoder; equal specs give equal bytes.

    Raises:
        UserError: no such architecture of this kind.
    """
    family = ENCODERS[spec.kind]
    if spec.name not in family.small or family.build is None:
        known = ", ".join(f"{name} ({other.name})" for name, other in small_encoders().items())
        raise UserError(f"there is no embedded {spec.kind} encoder {spec.name!r}; choose one of {known}")
    from transformers.utils import logging

    logging.disable_progress_bar()
    build = family.build.load()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        parts = build(spec.image_size)
    for part in parts:
        part.save_pretrained(folder)
