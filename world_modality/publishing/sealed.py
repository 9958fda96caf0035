"""The sealed stages of a study as they are published: found, compared with their digests, described."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from world_modality.errors import UserError
from world_modality.publishing.bundle import Laid, Place
from world_modality.store.done import DoneFile, read_run
from world_modality.store.files import file_digest
from world_modality.store.index import sealed_done
from world_modality.store.layout import StageFolder, sealed_plans_folder, stage_folder
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph

_MACHINE = ("processor", "cpus", "capability")  # what is told of the machine; never its name or system


def sealed_of(root: Path, requests: Iterable[StageRequest]) -> Iterator[tuple[StageRequest, StageFolder, DoneFile]]:
    """Those of the stages that are sealed, in the order given."""
    for request in requests:
        folder = stage_folder(root, request.stage, request.key)
        record = sealed_done(folder)
        if record is not None:
            yield request, folder, record


def laid_stage(graph: Graph, folder: StageFolder, record: DoneFile, places: Mapping[str, Place]) -> Laid:
    """A sealed stage as a repository describes it. What is told of where it was made names no machine.

    A spec may hold the path of a folder of this machine; what was keyed says ``folder`` instead, and so does this.
    """
    run = read_run(folder.run)
    kept = [{name: each[name] for name in _MACHINE if name in each} for each in (run.machines if run else ())]
    return Laid(
        study=graph.study,
        names=tuple(sorted(name for name, key in graph.names.items() if key == record.key)),
        record=record.model_copy(update={"spec": _without_places(record.spec, record.address)}),
        run=run.model_copy(update={"machine": kept[0], "others": tuple(kept[1:])}) if run else None,
        places=dict(sorted(places.items())),
    )


def require_sound(folder: StageFolder, record: DoneFile) -> None:
    """UserError if a sealed file is not what it was sealed with: nothing damaged is published."""
    for name, entry in record.files.items():
        path = folder.artifact / name
        if not path.is_file() or path.stat().st_size != entry.size or file_digest(path) != entry.sha256:
            raise UserError(
                f"{path} is not as it was sealed, so {record.label} is not published: run `wm verify`, remove the "
                f"folder {folder.path} and run the study again, which makes it anew"
            )


def sealed_plans(root: Path, study: str) -> Iterator[tuple[str, str]]:
    """Name and text of every sealed plan of a study."""
    for path in sorted(sealed_plans_folder(root, study).glob("*.json")):
        yield path.name, path.read_text()


def _without_places(spec: Mapping[str, object], address: Mapping[str, object]) -> dict[str, object]:
    """The spec, with what the address calls a folder called so, too."""
    told: dict[str, object] = {}
    for name, value in spec.items():
        keyed = address.get(name)
        if isinstance(value, dict) and isinstance(keyed, dict):
            told[name] = _without_places(value, keyed)
        else:
            told[name] = keyed if keyed == "folder" and isinstance(value, str) else value
    return told
