"""What a user brings: dataset, checkpoint and encoder folders, to be spoilt in one way each, and a study of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from stand_ins import STAND_INS
from support.small_study import edited
from support.tiny_dataset import libero_features, write_dataset

from world_modality.benchmarks.contract import Observation
from world_modality.embedded import BASE_POLICY

PICTURE = 256  # pixels of the embedded policy's pictures
CAMERAS = ("image", "image2")  # in the order of a view's
PREPROCESSOR, POSTPROCESSOR = "policy_preprocessor.json", "policy_postprocessor.json"
STATISTICS = "policy_p*_processor.safetensors"
SCRIPTED = """\
  source: scripted
  demonstrations: {per_task: 2, init_states: 0-9}
  relabel: {per_task: 1, init_states: 0-9}
"""

Tensors = dict[str, Any]


@dataclass(frozen=True)
class Moment:
    """What was seen at one control step of a task, and what was done."""

    seen: Observation
    action: NDArray[np.float32]
    task: str


Episodes = Sequence[Sequence[Moment]]


def same(moment: Moment) -> Moment:
    """The moment as it was."""
    return moment


def dataset_of(
    root: Path,
    episodes: Episodes,
    *,
    cameras: Sequence[str] = CAMERAS,
    change: Callable[[Moment], Moment] = same,
    videos: bool = False,
) -> Path:
    """A LeRobotDataset of the episodes after ``change``, with other names of its cameras; sizes are the moments'."""
    changed = [[change(moment) for moment in moments] for moments in episodes]
    first = changed[0][0]
    features = libero_features(PICTURE)
    picture = {**features["observation.images.image"], "dtype": "video" if videos else "image"}
    pictures = {f"observation.images.{name}": picture for name in cameras}
    vectors = {
        "observation.state": {"dtype": "float32", "shape": first.seen.state.shape, "names": ["state"]},
        "action": {"dtype": "float32", "shape": first.action.shape, "names": ["actions"]},
    }

    def frame(moment: Moment) -> dict[str, Any]:
        shown = dict(zip(pictures, moment.seen.images.values(), strict=False))
        return {**shown, "observation.state": moment.seen.state, "action": moment.action, "task": moment.task}

    return write_dataset(root, {**pictures, **vectors}, [map(frame, moments) for moments in changed], videos=videos)


def checkpoint_copy(target: Path) -> Path:
    """The embedded policy as a user's own checkpoint, a SmolVLA with statistics."""
    shutil.copytree(BASE_POLICY, target, ignore=shutil.ignore_patterns("provenance.json"))
    return target


def edit_json(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Apply ``change`` to the object in a JSON file."""
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def edit_tensors(file: Path, change: Callable[[Tensors], Tensors]) -> None:
    """Put ``change`` of its tensors in place of those in a safetensors file."""
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def edit_statistics(checkpoint: Path, change: Callable[[Tensors], Tensors]) -> None:
    """``edit_tensors`` of a checkpoint's normaliser and of its unnormaliser."""
    for file in checkpoint.glob(STATISTICS):
        edit_tensors(file, change)


def study_of(data: Path, rename: Mapping[str, str] | None = None) -> Path:
    """A study of one task over the dataset in ``data``, beside it; its arms start from the embedded policy."""
    study = data.with_name(f"{data.name}.yaml")
    renamed = f", rename: {json.dumps(rename)}" if rename else ""
    study.write_text(
        edited(
            (SCRIPTED, f"  {{source: folder, path: {json.dumps(str(data))}{renamed}}}\n"),
            ("policy: {source: scratch}", "policy: {source: embedded}"),
            ("tasks: [0, 1]", "tasks: [0]"),
            ("{assets: package, horizon: 220}", f"{{assets: {STAND_INS}, render: fast, horizon: 220}}"),
            ("study: small", f"study: {data.name}"),
        )
    )
    return study
