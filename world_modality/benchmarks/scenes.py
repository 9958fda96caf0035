"""How a suite's tasks begin: instruction, pictures and state, seen in a process of its own.

Simulators bring thousands of modules and an OpenGL context, which whoever only asks a question should not keep.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.contract import Picture, Referenced, Simulator, open_assets, open_simulator
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.study.specs import SimSpec

PATIENCE_S = 300.0
PATIENCE_PER_TASK_S = 20.0
EMPTY: Mapping[str, Any] = MappingProxyType({})
SEED = 0


@dataclass(frozen=True)
class Scene:
    """A task at its first control step, from its first initial state."""

    suite: str
    task: int
    instruction: str
    pictures: Mapping[str, Picture]
    state: NDArray[np.float32]


@dataclass(frozen=True)
class Beginnings:
    """What the simulator of a suite says of tasks: the instruction of each, and the scenes of a few."""

    instructions: Mapping[int, str]
    scenes: tuple[Scene, ...]
    replays: Mapping[str, tuple[NDArray[np.float32], ...]] = field(default_factory=dict)
    """By instruction, of each list of actions that was to be replayed, the states [n + 1, S] that it led through."""
    start_faults: Mapping[int, str] = field(default_factory=dict)
    """By task, what of its first scene is not as known; only such tasks, and only if they were to be settled."""


Replays = Mapping[str, Sequence[NDArray[np.float64]]]
"""Recorded actions [n, A] by the instruction under which they were recorded."""


@dataclass(frozen=True)
class Questions:
    """What is asked of a suite's tasks."""

    tasks: Sequence[int]
    """Of which the instruction is asked."""
    texts: Sequence[str] = ()
    """Instructions of recorded episodes,"""
    most: int = 0
    """and how many scenes at most are asked for, of tasks with one of them."""
    replays: Replays = EMPTY
    """Actions that are executed in these scenes, each list from the start."""
    settle: bool = False
    """Whether the first initial state of every task settles as it is known to."""

    def to_json(self) -> str:
        """For another process."""
        lists = {text: [each.tolist() for each in actions] for text, actions in self.replays.items()}
        return json.dumps({**vars(self), "tasks": list(self.tasks), "texts": list(self.texts), "replays": lists})

    @classmethod
    def of_json(cls, text: str) -> Questions:
        """As ``to_json`` wrote them."""
        asked = json.loads(text)
        replays = {text: [np.array(each) for each in lists] for text, lists in asked.pop("replays").items()}
        return cls(**asked, replays=replays)


def see(spec: SimSpec, asked: Questions) -> Beginnings:
    """The beginnings of a suite's tasks.

    Raises:
        UserError: the assets are not there, or the simulator fails.
    """
    suite, assets = SUITES[spec.suite], open_assets(spec)
    told: Mapping[int, str] | None = None if suite.instructions is None else suite.instructions.load()(spec.suite)
    instructions: dict[int, str] = {} if told is None else {task: told[task] for task in asked.tasks}
    scenes: list[Scene] = []
    led: dict[str, tuple[NDArray[np.float32], ...]] = {}
    faults: dict[int, str] = {}
    for task in asked.tasks:
        if asked.settle or told is None or (instructions[task] in asked.texts and len(scenes) < asked.most):
            with closing(open_simulator(spec, task, assets)) as simulator:
                instructions[task] = simulator.language
                simulator.reset(suite.recorded(0), SEED)
                if asked.settle and isinstance(simulator, Referenced) and simulator.start_fault():
                    faults[task] = simulator.start_fault()
                if simulator.language in asked.texts and len(scenes) < asked.most:
                    seen = simulator.observe()
                    scenes.append(Scene(spec.suite, task, simulator.language, dict(seen.images), seen.state))
                    lists = asked.replays.get(simulator.language, ())
                    led[simulator.language] = tuple(_replay(simulator, suite.recorded(0), each) for each in lists)
    return Beginnings(instructions, tuple(scenes), led, faults)


def _replay(simulator: Simulator, init_state: int | None, actions: NDArray[np.float64]) -> NDArray[np.float32]:
    """The states [n + 1, S] that ``actions`` [n, A] lead through; fewer if the simulator ends the episode."""
    simulator.reset(init_state, SEED)
    states = [simulator.observe(()).state]
    for action in actions:
        ended = simulator.step(action).terminated
        states.append(simulator.observe(()).state)
        if ended:
            break
    return np.stack(states)


def see_apart(spec: SimSpec, asked: Questions) -> Beginnings:
    """``see`` in a process of its own; UserError also if that cannot be had."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scenes.npz"
        question, patience = asked.to_json(), PATIENCE_S + PATIENCE_PER_TASK_S * len(asked.tasks)
        command = [sys.executable, "-P", "-m", __name__, spec.model_dump_json(), str(out)]
        try:
            done = subprocess.run(
                command, input=question, capture_output=True, text=True, timeout=patience, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(f"no simulator of {spec.suite} could be asked ({error})") from None
        if done.returncode or not out.is_file():
            said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise UserError(f"the simulator of {spec.suite} could not be asked: {said[-1].strip()}")
        with np.load(out) as arrays:
            instructions = json.loads(str(arrays["instructions"]))
            scenes = tuple(_scene(spec, arrays, number) for number in range(int(arrays["count"])))
            led = {
                text: tuple(arrays[name] for name in names) for text, names in json.loads(str(arrays["led"])).items()
            }
            faults = {int(task): text for task, text in json.loads(str(arrays["faults"])).items()}
    return Beginnings({int(task): text for task, text in instructions.items()}, scenes, led, faults)


def _scene(spec: SimSpec, arrays: Mapping[str, NDArray[Any]], number: int) -> Scene:
    own = {name.split("/")[1]: arrays[name] for name in arrays if name.startswith(f"{number}/")}
    cameras = SUITES[spec.suite].cameras
    return Scene(
        spec.suite,
        int(own["task"]),
        str(own["instruction"]),
        {camera: np.asarray(own[camera], np.uint8) for camera in cameras},
        np.asarray(own["state"], np.float32),
    )


def _main(spec: str, out: str) -> None:
    seen = see(SimSpec.model_validate_json(spec), Questions.of_json(sys.stdin.read()))
    arrays: dict[str, Any] = {"count": len(seen.scenes), "instructions": json.dumps(dict(seen.instructions))}
    for number, scene in enumerate(seen.scenes):
        own = {**scene.pictures, "state": scene.state, "task": scene.task, "instruction": scene.instruction}
        arrays |= {f"{number}/{name}": value for name, value in own.items()}
    names: dict[str, list[str]] = {}
    for place, (text, states) in enumerate(seen.replays.items()):
        named = {f"led {place} {number}": each for number, each in enumerate(states)}
        arrays, names[text] = arrays | named, list(named)
    arrays |= {"led": json.dumps(names), "faults": json.dumps(dict(seen.start_faults))}
    np.savez(out, **arrays)


if __name__ == "__main__":
    try:
        _main(*sys.argv[1:])
    except UserError as error:
        sys.exit(str(error))
