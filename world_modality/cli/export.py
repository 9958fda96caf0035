"""Making a pretrained policy the package's embedded base."""

from __future__ import annotations

from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.done import read_done, read_run
from world_modality.store.layout import stage_folder
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph
from world_modality.study.snapshot import read_snapshot


def export_base(root: Path, plan: Path) -> None:
    """Export the last pretraining round of a plan, with its provenance; UserError when it is not sealed."""
    from world_modality.training.export_base import export

    graph = read_snapshot(plan)
    if not graph.pretrained:
        raise UserError(f"{graph.study} has no pretraining rounds to export")
    folder = stage_folder(root, "train", graph.pretrained)
    record = read_done(folder.done)
    if record is None:
        raise UserError(f"{folder.path} is not sealed; run `snakemake embedded_base` with this study")
    run = read_run(folder.run)
    provenance = {
        "study": graph.study,
        "rounds": sum(name.startswith("pretrain/") and name.endswith("/train") for name in graph.names),
        "sealed_at": run.sealed_at if run else "",
        "source_digest": record.source_digest,
        "versions": record.versions,
        "machine": {name: value for name, value in run.machine.items() if name != "host"} if run else {},
        "stages": [
            {"stage": request.stage, "key": request.key, "label": request.label, "spec": dict(request.address)}
            for request in _made_from(graph, graph.pretrained)
        ],
    }
    export(folder.artifact, provenance)


def _made_from(graph: Graph, key: str) -> list[StageRequest]:
    """A stage and all that it was made from, in the graph's order."""
    found, waiting = set[str](), [key]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += [each.key for each in graph.stages[current].inputs]
    return [request for request in graph.stages.values() if request.key in found]
