"""A graph as a file: the immutable snapshot of a study that its jobs read.

Jobs never read the study itself, which its author may be editing while they wait in a queue.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from world_modality.facts.stages import STAGES
from world_modality.store.files import write_atomically
from world_modality.store.keys import canonical_json, text_digest
from world_modality.store.layout import snapshots_folder
from world_modality.store.stage import Input, StageRequest
from world_modality.study.graph import Graph
from world_modality.study.outline import decoded_snapshot


def write_snapshot(root: Path, graph: Graph) -> Path:
    """Write ``graph`` below ``results/snapshots`` under its own digest; the file.

    One that is there as it was written is left alone, and one that was damaged is written anew.
    """
    text = canonical_json(_encode(graph))
    path = snapshots_folder(root) / f"{graph.study}-{text_digest(text)}.json"
    if not _holds(path, text.encode()):
        write_atomically(path, text.encode())
    return path


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def read_snapshot(path: Path) -> Graph:
    """The graph in ``path``; UserError when there is none, or it is not as it was written."""
    return decoded_snapshot(path, _decode)


def _encode(graph: Graph) -> dict[str, Any]:
    return {
        "study": graph.study,
        "pretrained": graph.pretrained,
        "arithmetic": graph.arithmetic,
        "names": graph.names,
        "stages": [_encode_stage(request) for request in graph.stages.values()],
    }


def _encode_stage(request: StageRequest) -> dict[str, Any]:
    spec = request.spec.model_dump(mode="json")
    return {
        "stage": request.stage,
        "key": request.key,
        "version": request.version,
        "label": request.label,
        "spec": spec,
        **({} if request.address == spec else {"address": dict(request.address)}),
        "software": dict(request.software),
        "inputs": [[each.role, each.stage, each.key, each.folder] for each in request.inputs],
    }


def _decode(value: dict[str, Any]) -> Graph:
    graph = Graph(value["study"], names=value["names"], pretrained=value["pretrained"], arithmetic=value["arithmetic"])
    for stage in value["stages"]:
        spec = STAGES[stage["stage"]].spec.load().model_validate(stage["spec"])
        graph.stages[stage["key"]] = StageRequest(
            stage=stage["stage"],
            key=stage["key"],
            version=stage["version"],
            label=stage["label"],
            spec=spec,
            address=stage.get("address", stage["spec"]),
            software=stage["software"],
            inputs=tuple(Input(*each) for each in stage["inputs"]),
        )
    return graph
