"""Making a pretrained policy the package's embedded base."""

from __future__ import annotations

from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.layout import stage_folder
from world_modality.store.record import read_record
from world_modality.study.plan import read_plan


def export_base(root: Path, plan: Path) -> None:
    """Export the last pretraining round of a plan, with its provenance; UserError when it is not sealed."""
    from world_modality.training.export_base import export

    graph = read_plan(plan)
    if not graph.pretrained:
        raise UserError(f"{graph.study} has no pretraining rounds to export")
    folder = stage_folder(root, "train", graph.pretrained)
    record = read_record(folder.done)
    if record is None:
        raise UserError(f"{folder.path} is not sealed; run `snakemake embedded_base` with this study")
    rounds = [name for name in graph.names if name.startswith("pretrain/") and name.endswith("/train")]
    provenance = {
        "study": graph.study,
        "rounds": len(rounds),
        "train_key": record.key,
        "sealed_at": record.sealed_at,
        "source_digest": record.source_digest,
        "software": record.versions,
        "machine": record.machine,
        "stages": [
            {"stage": request.stage, "key": request.key, "label": request.label, "spec": dict(request.address)}
            for name in rounds
            for request in [graph.stages[graph.names[name]]]
        ],
    }
    export(folder.artifact, provenance)
