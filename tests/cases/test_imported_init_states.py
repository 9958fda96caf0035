"""Initial states of LeRobot's own results, which its eval_info.json does not tell."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from stand_ins import STAND_INS
from support.command_line import ROLLOUT, wm

from lerobot_policy_world_modality.convert import convert
from world_modality.benchmarks.libero.libero_config import (
    ASSETS_VARIABLE,
    CONFIG_VARIABLE,
    import_configured_libero,
    write_missing_config,
)
from world_modality.cli.lerobot_scripts import eval_main
from world_modality.embedded import BASE_POLICY

TRUE_STATES = [0, 1, 6, 3, 12, 5]
"""Of six episodes in two synchronous environments, the first of which succeeds long before the second ends."""
EARLY = 8  # steps until the first environment is told that it has succeeded


def imported_states(eval_info: Path) -> list[int | None]:
    outcome = wm(ROLLOUT, "--import", eval_info, "--output", "records")
    assert outcome.accepted, outcome.said
    lines = Path("records", "libero_spatial.jsonl").read_text().splitlines()
    return [json.loads(line)["init_state"] for line in lines]


def certain(states: list[int | None]) -> bool:
    """Whether no state is made up: all unknown, or all as they were."""
    return states in ([None] * len(TRUE_STATES), sorted(TRUE_STATES))


def test_states_of_unknown_environments_are_unknown(place: Path) -> None:
    """The file says neither how many environments there were nor whether they were synchronous."""
    metrics = {"successes": [True, False] * 3, "sum_rewards": [], "video_paths": []}
    task = {"task_group": "libero_spatial", "task_id": 2, "metrics": metrics}
    (place / "eval_info.json").write_text(json.dumps({"per_task": [task], "per_group": {}, "overall": {}}))
    assert imported_states(place / "eval_info.json") == [None] * 6


@pytest.mark.slow
def test_states_of_synchronous_environments_are_theirs_or_unknown(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ASSETS_VARIABLE, str(STAND_INS))
    monkeypatch.setenv(CONFIG_VARIABLE, str(place / "libero"))
    write_missing_config()
    import_configured_libero()
    from lerobot.envs import libero

    reset, step = libero.LiberoEnv.reset, libero.LiberoEnv.step
    started: list[int] = []
    steps: Counter[int] = Counter()

    def watched(self: Any, seed: int | None = None, **more: Any) -> Any:
        if seed is not None:  # an episode's; else the vector environment restarts what ended before its neighbours
            started.append(self.init_state_id % 50)
        steps[self.episode_index] = 0
        return reset(self, seed=seed, **more)

    def early(self: Any, action: Any) -> Any:
        view, _, terminated, truncated, info = step(self, action)
        steps[self.episode_index] += 1
        won = self.episode_index == 0 and steps[0] >= EARLY
        return view, float(won), terminated or won, truncated, {**info, "is_success": won}

    monkeypatch.setattr(libero.LiberoEnv, "reset", watched)
    monkeypatch.setattr(libero.LiberoEnv, "step", early)
    convert(BASE_POLICY, place / "policy", world_memory_mode_train="disabled")
    settings = {
        "policy.path": place / "policy",
        "policy.device": "cpu",
        "env.type": "libero",
        "env.task": "libero_spatial",
        "env.task_ids": "[2]",
        "env.observation_height": 256,
        "env.observation_width": 256,
        "env.episode_length": 20,
        "eval.batch_size": 2,
        "eval.n_episodes": 6,
        "eval.use_async_envs": "false",
        "output_dir": place / "eval",
    }
    monkeypatch.setattr(sys, "argv", ["lerobot-wm-eval", *(f"--{name}={value}" for name, value in settings.items())])
    if eval_main() != 0 or started != TRUE_STATES:
        pytest.fail(f"LeRobot starts from other states by now: {started}")
    assert certain(imported_states(place / "eval" / "eval_info.json"))
