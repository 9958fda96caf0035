"""Make the last pretraining round of a study the package's embedded base policy.

Called by ``snakemake --configfile workflow/studies/embedded_base.yaml --cores all embedded_base``. The policy becomes
a plain LeRobot ``smolvla`` checkpoint that says how it was made.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lerobot_policy_world_modality.strip import plain_config, write_plain_weights
from world_modality.embedded import BACKBONE_PREFIX, BASE_POLICY
from world_modality.errors import UserError
from world_modality.store.done import read_done, read_run
from world_modality.store.files import sync_folder, sync_tree, write_json
from world_modality.store.layout import SNAPSHOT_VARIABLE, results_folder, stage_folder
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph
from world_modality.study.snapshot import read_snapshot
from world_modality.training.start import describe_policy

LARGEST = 20_000_000  # bytes: the base is part of the repository


def export(train_artifact: Path, provenance: Mapping[str, Any], target: Path = BASE_POLICY) -> dict[str, Any]:
    """Replace ``target`` by the policy of a train stage's artifact; returns the new policy's description.

    Args:
        train_artifact: sealed folder with ``pretrained_model``, trained without world memory.
        provenance: how it was made, JSON values; written to ``provenance.json``.
        target: folder to replace in one rename, or, after a crash in between, to write anew.

    Raises:
        UserError: the policy has world modules, its backbone is not packaged, or it is too large.
    """
    source = train_artifact / "pretrained_model"
    config = json.loads((source / "config.json").read_text())
    _require_exportable(source, config)
    draft = target.with_name(f"{target.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for pattern in ("policy_preprocessor*", "policy_postprocessor*"):
        for file in source.glob(pattern):
            shutil.copyfile(file, draft / file.name)
    write_plain_weights(source / "model.safetensors", draft / "model.safetensors")
    write_json(draft / "config.json", plain_config(config))
    write_json(draft / "provenance.json", dict(provenance))
    size = sum(file.stat().st_size for file in draft.iterdir())
    if size > LARGEST:
        shutil.rmtree(draft)
        raise UserError(f"{source} takes {size:,} bytes: an embedded base may take {LARGEST:,}, make it smaller")
    sync_tree(draft)
    if target.exists():
        old = target.with_name(f"{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        draft.rename(target)
        shutil.rmtree(old)
    else:
        draft.rename(target)
    sync_folder(target.parent)
    return describe_policy(target)


def _require_exportable(source: Path, config: Mapping[str, Any]) -> None:
    mode = config.get("world_memory_mode_train", "disabled")
    if mode != "disabled":
        raise UserError(f"{source} was trained with memory {mode}: export a policy trained with memory disabled")
    if not str(config.get("vlm_model_name", "")).startswith(BACKBONE_PREFIX):
        raise UserError(
            f"{source} needs the backbone {config.get('vlm_model_name')}: export one with a packaged backbone"
        )


def export_last_round(root: Path, plan: Path) -> None:
    """Export the last pretraining round of a plan, with its provenance; UserError when it is not sealed."""
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


def main() -> None:
    """Export what the study's snapshot names; an error meant for a person is one line on stderr and exit status 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    snapshot = os.environ.get(SNAPSHOT_VARIABLE)
    parser.add_argument("--plan", type=Path, default=snapshot, required=not snapshot, help="of results/snapshots")
    try:
        export_last_round(results_folder(), parser.parse_args().plan)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
