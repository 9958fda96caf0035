"""Records from LeRobot's own ``eval_info.json``, as far as it says what was rolled out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES, Suite
from world_modality.rollout.records import Record

ENVIRONMENTS = "libero_environments"
"""Where `lerobot-wm-eval` notes what decides the order of initial states (:class:`Environments`); LeRobot does not."""
KNOWN_ORDER = "0.6."
"""LeRobot whose vector environments were read."""
ASSETS = "libero_assets"
"""Where `lerobot-wm-eval` notes ``source`` and ``digest`` of the simulator's assets; LeRobot itself does not."""


@dataclass(frozen=True)
class Environments:
    """What decides from which initial states LeRobot's vector environment starts.

    Environment i of n starts from state i and goes on by n at every reset, so that episode e starts from state e as
    long as an environment is reset for an episode alone. LeRobot 0.6 sees to that in asynchronous ones; synchronous
    ones that end before their neighbours are reset once more, and one alone has no neighbours (envs/libero.py,
    envs/utils.py).
    """

    number: int
    asynchronous: bool
    recorded_states: bool
    lerobot: str
    waits: bool = False
    """Whether one that ends before its neighbours waits for them, as those of type libero_world do."""

    def in_order(self, episodes: int) -> bool:
        """Whether episode e of so many is certain to have started from state e."""
        if not self.recorded_states or not self.lerobot.startswith(KNOWN_ORDER):
            return False
        return self.asynchronous or self.waits or self.number == 1 or 0 < episodes <= self.number

    def told(self, episodes: int) -> str:
        """Where initial states come from, or why they are unknown, as a record's note."""
        if self.in_order(episodes):
            return f"imported from lerobot-eval {self.lerobot}: initial states by its order of episodes"
        if not self.recorded_states:
            why = "it did not start from recorded ones"
        elif self.lerobot and not self.lerobot.startswith(KNOWN_ORDER):
            why = f"the order of initial states is known of LeRobot {KNOWN_ORDER}* alone, and this is {self.lerobot}"
        elif self.lerobot:
            why = f"its {self.number} synchronous environments start from states that depend on the outcomes"
        else:
            why = "lerobot-eval's file does not say how its environments started; lerobot-wm-eval notes it"
        return f"imported: {why}"


UNTOLD = Environments(number=0, asynchronous=False, recorded_states=True, lerobot="")
"""Of a file that LeRobot wrote by itself."""


def import_eval_info(path: Path, checkpoint: str) -> tuple[Record, ...]:
    """The episodes of an ``eval_info.json`` that lerobot-eval wrote, sorted by suite and episode.

    LeRobot notes no initial states, so they are unknown unless `lerobot-wm-eval` noted what decides them, and that is
    certain; see :class:`Environments`. Records of unknown states are paired with none.

    UserError if the file is none, or holds suites or tasks that are not known.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name lerobot-eval's eval_info.json") from error
    try:
        found = json.loads(text)
        if isinstance(found, dict) and "per_episode" in found and "per_task" not in found:
            raise UserError(
                f"{path} is of a LeRobot whose results name neither suite nor task (per_episode): evaluate the "
                "checkpoint anew, with `wm rollout` or lerobot-wm-eval"
            )
        entries = [
            (str(task["task_group"]), int(task["task_id"]), list(task["metrics"]["successes"]))
            for task in found["per_task"]
        ]
        noted = found.get(ASSETS) or {}
        assets = {"assets": str(noted.get("source", "")), "assets_digest": str(noted.get("digest", ""))}
        started = found.get(ENVIRONMENTS)
        environments = None if started is None else Environments(**started)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is no eval_info.json of lerobot-eval ({type(error).__name__}: {error}); it needs per_task with "
            "task_group, task_id and metrics.successes"
        ) from error
    about = {**assets, "checkpoint": checkpoint}
    records = [record for entry in entries for record in _records(path, *entry, environments, about)]
    twice = len(records) - len({(record.suite, record.episode) for record in records})
    if not records or twice:
        what = f"the same task more than once ({twice} episodes)" if twice else "no episodes"
        raise UserError(f"{path} holds {what}, which makes no set of records")
    return tuple(sorted(records, key=lambda record: (record.suite, record.episode)))


def _records(
    path: Path,
    suite: str,
    index: int,
    successes: list[Any],
    environments: Environments | None,
    about: Mapping[str, Any],
) -> Iterator[Record]:
    if suite not in SUITES:
        raise UserError(f"{path}: per_task names the suite {suite}, which is none of {', '.join(SUITES.names)}")
    row = SUITES[suite]
    if not 0 <= index < row.tasks:
        raise UserError(f"{path}: {suite} has no task {index}: its tasks are 0 to {row.tasks - 1}")
    language = "" if row.instructions is None else row.instructions.load()(suite)[index]
    if not successes:
        raise UserError(f"{path}: {suite} task {index} has no episodes: take it out of per_task, or evaluate it anew")
    certain = environments is not None and environments.in_order(len(successes))
    note = (environments or UNTOLD).told(len(successes))
    for episode, success in enumerate(successes):
        if not isinstance(success, bool):
            raise UserError(
                f"{path}: {suite} task {index}, episode {episode}: success is {success!r}, not true or false"
            )
        place = divmod(episode, row.init_states) if certain and row.init_states else (episode, None)
        yield Record(**_fields(row, index, language, place, success), **about, note=note)


def _fields(suite: Suite, task: int, language: str, place: tuple[int, int | None], success: bool) -> Mapping[str, Any]:
    """``place`` is repeat and initial state."""
    return {
        "suite": suite.name,
        "task": task,
        "language": language,
        "init_state": place[1],
        "init_state_digest": "",
        "render": "",
        "settled": {},
        "start_fault": "",
        "repeat": place[0],
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
        "device": "",
        "versions": {},
    }
