"""What each memory does to a checkpoint's actions on demonstrated frames; oracle too, which no rollout can be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from world_modality.report.curves import METRICS, owners, read_log
from world_modality.report.numbers import read_finite
from world_modality.report.results import Results

FIGURES = ("flow_loss", "action_rmse")


def offline_table(results: Results, trainings: Sequence[Path]) -> dict[str, Any] | None:
    """For table.json: one row per memory, one column per training that was judged; None if none was.

    A memory that a checkpoint cannot be given has None there. ``closed`` has a sentence for every column in which all
    memories are equal because nothing passes the gates.
    """
    folders = {path.parent.name: path for path in trainings}
    keys = {
        f"{column}, seed {seed}": key
        for key, (column, seed, _) in owners(results).items()
        if key in folders and (folders[key] / "offline.json").is_file()
    }
    judged = {name: read_finite(folders[key] / "offline.json") for name, key in keys.items()}
    if not judged:
        return None
    first = next(iter(judged.values()))
    memories = dict.fromkeys(name for each in judged.values() for name in each["memories"])
    closed = [name for name, key in keys.items() if _same_in_all(judged[name]) and _gates_closed(folders[key])]
    return {
        "held_out": first["held_out"],
        "frames": first["frames"],
        "columns": list(judged),
        "rows": [
            {"memory": memory}
            | {figure: [each["memories"].get(memory, {}).get(figure) for each in judged.values()] for figure in FIGURES}
            for memory in memories
        ],
        "closed": [f"{name}: its gates stayed at 0, so every memory gives the same actions." for name in closed],
    }


def _same_in_all(judged: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was given several memories and did the same with each."""
    figures = list(judged["memories"].values())
    return len(figures) > 1 and all(each == figures[0] for each in figures)


def _gates_closed(training: Path) -> bool:
    """Whether the last logged opening of a training's gates is 0."""
    logged = [row["world_gate"] for row in read_log(training / METRICS) if "world_gate" in row]
    return bool(logged) and logged[-1] == 0


def offline_rows(table: dict[str, Any]) -> list[list[str]]:
    """For people: the memory, then ``loss / error`` per training; an empty cell where there is none,
    a hyphen for what could not be measured."""
    return [
        [
            str(row["memory"]),
            *(
                "" if pair == (None, None) else " / ".join("-" if each is None else f"{each:.4f}" for each in pair)
                for pair in zip(row["flow_loss"], row["action_rmse"], strict=True)
            ),
        ]
        for row in table["rows"]
    ]
