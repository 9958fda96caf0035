"""MetaWorld's tasks as LeRobot numbers, groups and words them, which is how the public dataset does.

LeRobot keeps this in a JSON file beside its environment, and it is read there: importing LeRobot would take seconds.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

from world_modality.errors import UserError

ALL = "metaworld_mt50"
GROUP = "metaworld_"
"""What the name of a suite has before that of a group of LeRobot's, such as ``easy``."""


def task_names(suite: str) -> tuple[str, ...]:
    """MetaWorld's names of a suite's tasks, e.g. "reach-v3", in the order of their numbers.

    All fifty are in the order of LeRobot's TASK_NAME_TO_ID, a group in that of its DIFFICULTY_TO_TASKS.
    """
    table = _table()
    if suite == ALL:
        numbers: dict[str, int] = table["TASK_NAME_TO_ID"]
        return tuple(sorted(numbers, key=lambda name: numbers[name]))
    return tuple(table["DIFFICULTY_TO_TASKS"][suite.removeprefix(GROUP)])


def instructions(suite: str) -> dict[int, str]:
    """The instruction of every task of ``suite``; two of the fifty share theirs, push-v3 and push-back-v3."""
    texts = _table()["TASK_DESCRIPTIONS"]
    return {number: texts[name] for number, name in enumerate(task_names(suite))}


@cache
def _table() -> dict[str, Any]:
    found = importlib.util.find_spec("lerobot")
    folders = [] if found is None else list(found.submodule_search_locations or [])
    path = Path(folders[0] if folders else "lerobot") / "envs" / "metaworld_config.json"
    try:
        table: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"LeRobot's table of MetaWorld's tasks cannot be read from {path} ({error}): run `make setup`, which "
            "installs the LeRobot that this package was written for"
        ) from None
    return table
