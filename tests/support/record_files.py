"""Record files of single arms, written as an evaluation or a study leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from support.toy_results import LANGUAGES

from world_modality.rollout.episodes import Episode, environment_seed, flow_seed
from world_modality.rollout.records import Record, to_line


def record_of(task: int, state: int, success: bool, **values) -> Record:
    """One record on libero_spatial; any field may be given another value."""
    episode = Episode(task, state, values.get("repeat", 0))
    plain = {
        "suite": "libero_spatial",
        "assets": "package",
        "assets_digest": "a" * 16,
        "render": "fast",
        "task": task,
        "language": LANGUAGES[task % 2],
        "init_state": state,
        "init_state_digest": f"{state:016x}",
        "settled": {"plate_1": [0.1, 0.2, 0.9, 1.0, 0.0, 0.0, 0.0]},
        "start_fault": "",
        "repeat": episode.repeat,
        "environment_seed": environment_seed("libero_spatial", episode),
        "flow_seed": flow_seed("libero_spatial", episode, 0),
        "checkpoint": "one",
        "trained_memory": "disabled",
        "memory": "disabled",
        "success": success,
        "steps": 100,
        "progress": float(success),
        "episode_return": float(success),
        "replans": 10,
        "trajectory_digest": "d" * 16,
        "note": "",
        "device": "cpu",
        "versions": {"torch": "2.11.0"},
    }
    return Record(**{**plain, **values})


def write_records(path: Path, outcomes: Mapping[int, str], **values) -> Path:
    """A file of records: per task one digit per initial state from 0 on, 1 for a success. Gives the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        to_line(record_of(task, state, digit == "1", **values))
        for task, digits in outcomes.items()
        for state, digit in enumerate(digits)
    ]
    path.write_text("".join(lines))
    return path
