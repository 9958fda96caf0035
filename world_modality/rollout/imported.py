"""Records from LeRobot's own ``eval_info.json``, as far as it says what was rolled out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from world_modality.benchmarks.libero.tasks import Task, load_task
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.rollout.records import Record

NOTE = "imported from lerobot-eval: initial states by its order of episodes"
ASSETS = "libero_assets"
"""Where `lerobot-wm-eval` notes ``source`` and ``digest`` of the simulator's assets; LeRobot itself does not."""


def import_eval_info(path: Path, checkpoint: str) -> tuple[Record, ...]:
    """The episodes of an ``eval_info.json`` that lerobot-eval wrote, sorted by suite and episode.

    LeRobot notes no initial states. Its vector environment i of n starts from state i and goes on by n at every reset,
    so episode e of a task started from state e modulo their number: true of LeRobot 0.6 with asynchronous environments,
    and of any version with one environment at a time; older ones depended on the outcomes.

    UserError if the file is none, or holds suites or tasks that LIBERO does not have.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name lerobot-eval's eval_info.json") from error
    try:
        found = json.loads(text)
        entries = [
            (str(task["task_group"]), int(task["task_id"]), list(task["metrics"]["successes"]))
            for task in found["per_task"]
        ]
        noted = found.get(ASSETS) or {}
        assets = {"assets": str(noted.get("source", "")), "assets_digest": str(noted.get("digest", ""))}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is no eval_info.json of lerobot-eval ({type(error).__name__}: {error}); it needs per_task with "
            "task_group, task_id and metrics.successes"
        ) from error
    about = {**assets, "checkpoint": checkpoint}
    records = [record for entry in entries for record in _records(path, *entry, about)]
    twice = len(records) - len({(record.suite, record.episode) for record in records})
    if not records or twice:
        what = f"the same task more than once ({twice} episodes)" if twice else "no episodes"
        raise UserError(f"{path} holds {what}, which makes no set of records")
    return tuple(sorted(records, key=lambda record: (record.suite, record.episode)))


def _records(path: Path, suite: str, index: int, successes: list[Any], about: Mapping[str, Any]) -> Iterator[Record]:
    if suite not in SUITES:
        raise UserError(f"{path}: per_task names the suite {suite}, which is none of {', '.join(SUITES.names)}")
    task = load_task(suite, index)
    if not successes:
        raise UserError(f"{path}: {suite} task {index} has no episodes: take it out of per_task, or evaluate it anew")
    for episode, success in enumerate(successes):
        if not isinstance(success, bool):
            raise UserError(
                f"{path}: {suite} task {index}, episode {episode}: success is {success!r}, not true or false"
            )
        yield Record(**_fields(task, episode, success), **about)


def _fields(task: Task, episode: int, success: bool) -> Mapping[str, Any]:
    count = len(task.init_states)
    return {
        "suite": task.suite,
        "task": task.index,
        "language": task.language,
        "init_state": episode % count,
        "init_state_digest": "",
        "repeat": episode // count,
        "environment_seed": None,
        "flow_seed": None,
        "trained_memory": "",
        "memory": "",
        "success": success,
        "steps": None,
        "progress": None,
        "episode_return": None,
        "replans": None,
        "trajectory_digest": "",
        "note": NOTE,
        "device": "",
        "versions": {},
    }
