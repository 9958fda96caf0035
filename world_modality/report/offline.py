"""What each memory does to a checkpoint's actions on demonstrated frames; oracle too, which no rollout can be given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from world_modality.report.curves import owners
from world_modality.report.results import Results

FIGURES = ("flow_loss", "action_rmse")


def offline_table(results: Results, trainings: Sequence[Path]) -> dict[str, Any] | None:
    """For table.json: one row per memory, one column per training that was judged; None if none was.

    A memory that a checkpoint cannot be given has None there.
    """
    folders = {path.parent.name: path for path in trainings}
    judged = {
        f"{column}, seed {seed}": json.loads((folders[key] / "offline.json").read_text())
        for key, (column, seed, _) in owners(results).items()
        if key in folders and (folders[key] / "offline.json").is_file()
    }
    if not judged:
        return None
    first = next(iter(judged.values()))
    memories = dict.fromkeys(name for each in judged.values() for name in each["memories"])
    return {
        "held_out": first["held_out"],
        "frames": first["frames"],
        "columns": list(judged),
        "rows": [
            {"memory": memory}
            | {figure: [each["memories"].get(memory, {}).get(figure) for each in judged.values()] for figure in FIGURES}
            for memory in memories
        ],
    }


def offline_rows(table: dict[str, Any]) -> list[list[str]]:
    """For people: the memory, then ``loss / error`` per training; an empty cell where there is none."""
    return [
        [
            str(row["memory"]),
            *(
                "" if loss is None else f"{loss:.4f} / {error:.4f}"
                for loss, error in zip(row["flow_loss"], row["action_rmse"], strict=True)
            ),
        ]
        for row in table["rows"]
    ]
