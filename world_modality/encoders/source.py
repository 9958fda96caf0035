"""Stage "encoder": put the model folder of the study's encoder under its key."""

from __future__ import annotations

from pathlib import Path

from world_modality.data.files import empty_folder
from world_modality.data.hub import ENCODER, copy_folder, fetch_snapshot
from world_modality.encoders.embedded import build_embedded_encoder
from world_modality.encoders.encoder import load_encoder
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import EncoderSpec


def run(spec: EncoderSpec, context: StageContext) -> Facts:
    """Build, fetch or copy the encoder and prove that it loads.

    Raises:
        UserError: unknown architecture, unreachable hub, a folder that is missing or has changed since the study was
            planned, or a model that does not fit the spec.
    """
    if spec.source == "embedded":
        empty_folder(context.artifact)
        build_embedded_encoder(spec, context.artifact)
    elif spec.source == "hub":
        fetch_snapshot(spec.name, spec.revision, context.artifact, section="encoder", content=ENCODER)
    else:
        copy_folder(Path(spec.name), context.artifact, setting="encoder.path", content=ENCODER, digest=spec.revision)
    encoder = load_encoder(spec, context.artifact)
    return {"dim": encoder.dim, "parameters": encoder.parameter_count}
