"""Stage "dataset": the LeRobotDataset v3 that policies are trained on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from world_modality.data.consistency import require_in_step
from world_modality.data.description import INFO, Description, read_description
from world_modality.data.episode_file import EpisodeInfo, read_episode, read_episode_info
from world_modality.data.episodes import EpisodeTable, read_episode_table, table_of
from world_modality.data.hub import DATASET, copy_folder, fetch_snapshot
from world_modality.data.renaming import Pairs, rename_files
from world_modality.data.schema import plain_pictures
from world_modality.data.writer import EpisodeWriter, copy_without_fingerprint
from world_modality.errors import UserError
from world_modality.store.files import empty_folder, link_or_copy, write_json
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import DatasetSpec

PROVENANCE = (
    "provenance.parquet"  # where each episode of a scripted dataset came from; not a feature, so no policy sees it
)
STATISTICS = Path("meta", "stats.json")
ORIGINS = ("demos", "relabel")  # input roles, in the order of their episodes


@dataclass(frozen=True)
class Source:
    """One recorded episode and the stage it came from."""

    path: Path
    origin: str
    info: EpisodeInfo


def run(spec: DatasetSpec, context: StageContext) -> Facts:
    """Assemble the dataset from recorded episodes, or fetch or copy an existing one and check it.

    Raises:
        UserError: nothing to assemble, unreachable hub, a folder that is missing or has changed since the study was
            planned, a rename that does not fit, or a dataset at odds with itself.
    """
    if spec.source == "scripted":
        _assemble(spec, context)
    elif spec.source == "hub":
        fetch_snapshot(
            spec.repo_id, spec.revision, context.artifact, section="data", content=DATASET, repo_type="dataset"
        )
    else:
        copy_folder(Path(spec.repo_id), context.artifact, setting="data.path", content=DATASET, digest=spec.revision)
    if spec.source != "scripted":
        if spec.rename:
            _rename(context.artifact, spec.rename)
        _describe_plainly(context.artifact)
        _require_sound(read_description(context.artifact))
    return _facts(read_episode_table(context.artifact))


def _rename(root: Path, rename: Pairs) -> None:
    """Give the features their names; UserError, with the study's key, if that cannot be."""
    try:
        rename_files(read_description(root), rename)
    except UserError as error:
        raise UserError(f"data.rename: {error}") from error


def _describe_plainly(root: Path) -> None:
    """Describe pictures as LeRobot reads them, where a dataset's ``meta/info.json`` does not."""
    description = read_description(root)
    features = plain_pictures(description.features)
    if features != description.features:
        write_json(root / INFO, {**description.info, "features": features})


def _require_sound(description: Description) -> None:
    """UserError if the dataset is not complete, or its frames or pictures are not where it says."""
    table_of(description)
    if description.lacking:
        raise UserError(f"the dataset has no {description.lacking[0]}: it is not complete, fetch it again")
    for column in description.videos or ("",):
        require_in_step(description, column)


def _facts(table: EpisodeTable) -> Facts:
    return {"episodes": len(table), "frames": table.frames, "tasks": len(set(table.tasks)), "fps": table.fps}


def _assemble(spec: DatasetSpec, context: StageContext) -> None:
    """Build the dataset in the work folder, from the start if it was interrupted, and move it into the artifact."""
    sources = find_sources(context)
    root = context.work / "dataset"
    shutil.rmtree(root, ignore_errors=True)
    assert spec.fps is not None  # a scripted dataset's is part of its spec
    with EpisodeWriter(root, spec.repo_id, spec.fps) as writer:
        for number, source in enumerate(sources):
            context.progress.update(number, len(sources), "episodes")
            writer.add(read_episode(source.path))
    context.progress.update(len(sources), len(sources), "episodes")
    empty_folder(context.artifact)
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        target = context.artifact / file.relative_to(root)
        if file.relative_to(root).parts[0] == "data":
            copy_without_fingerprint(file, target)
        elif file.relative_to(root) == STATISTICS:
            write_json(target, json.loads(file.read_text()), sort_keys=True)  # LeRobot's order is that of a set
        else:
            link_or_copy(file, target)
    write_provenance(context.artifact / PROVENANCE, sources)


def find_sources(context: StageContext) -> list[Source]:
    """All recorded episodes in the dataset's order: demonstrations, then relabelled, as the graph lists the stages.

    Raises:
        UserError: there is none.
    """
    sources = [
        Source(path, origin, read_episode_info(path))
        for origin in ORIGINS
        for folder in context.inputs.get(origin, ())
        for path in sorted((folder / "episodes").glob("episode_*.parquet"))
    ]
    if not sources:
        raise UserError("the dataset has no recorded episodes to be made of: raise data.demonstrations.per_task")
    return sources


def write_provenance(path: Path, sources: Sequence[Source]) -> None:
    """One row per episode: its index, origin ("demos" or "relabel") and what it was."""
    rows = [
        {"episode_index": number, "origin": source.origin, **asdict(source.info)}
        for number, source in enumerate(sources)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
