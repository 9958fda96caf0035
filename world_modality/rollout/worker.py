"""A simulator process: carries out commands for its slots, one after the other."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from world_modality.benchmarks.contract import (
    Action,
    Expert,
    Measured,
    Observation,
    Picture,
    Referenced,
    Restorable,
    Simulator,
)
from world_modality.errors import UserError
from world_modality.rollout.messages import (
    Act,
    Ahead,
    Begin,
    Broke,
    Command,
    Did,
    Outcome,
    Ready,
    Refused,
    Scene,
    Timing,
    Way,
    onward,
)
from world_modality.store.orphans import Identity, end_with

OpenSimulator = Callable[[int], Simulator]
"""Opens the simulator of a task; must be picklable."""


class Simulators:
    """The simulators of a process: one per slot in use, and those that wait for an episode of their task."""

    def __init__(self, open_simulator: OpenSimulator, spare: int) -> None:
        self._open = open_simulator
        self._spare = spare
        self._used: dict[int, tuple[int, Simulator]] = {}
        self._waiting: list[tuple[int, Simulator]] = []  # longest unused first
        self.moments: dict[int, Any] = {}  # by slot, where the look ahead began that is under way

    def begin(self, slot: int, task: int) -> Simulator:
        """The simulator that ``slot`` uses from now on."""
        self.moments.pop(slot, None)
        if slot in self._used:
            self._waiting.append(self._used.pop(slot))
        fitting = next((entry for entry in reversed(self._waiting) if entry[0] == task), None)
        if fitting is not None:
            self._waiting.remove(fitting)
        while len(self._waiting) > self._spare:
            self._waiting.pop(0)[1].close()
        self._used[slot] = fitting or (task, self._open(task))
        return self._used[slot][1]

    def of(self, slot: int) -> Simulator:
        """The simulator that ``slot`` uses."""
        return self._used[slot][1]

    def discard(self, slot: int) -> None:
        """Close a slot's simulator, which may be broken: a failure to close it must not hide why."""
        self.moments.pop(slot, None)
        _, simulator = self._used.pop(slot, (0, None))
        if simulator is not None:
            with suppress(Exception):
                simulator.close()


class Clock:
    """CPU seconds of this process, cut into parts."""

    def __init__(self) -> None:
        self._parts = {"reset": 0.0, "physics": 0.0, "render": 0.0}
        self._last = time.process_time()

    def charge(self, part: str) -> None:
        """What passed since the last call was spent on ``part``."""
        now = time.process_time()
        self._parts[part] += now - self._last
        self._last = now

    def timing(self) -> Timing:
        """The parts so far."""
        return Timing(**self._parts)


def begin(simulator: Simulator, command: Begin, clock: Clock) -> Did:
    """Start an episode and observe; what passed since the clock was made is part of the reset."""
    simulator.reset(command.init_state, command.seed)
    settled = dict(simulator.poses())
    clock.charge("reset")
    view = simulator.observe(command.views)
    clock.charge("render")
    fault = simulator.start_fault() if isinstance(simulator, Referenced) else ""
    scene = Scene(simulator.language, simulator.init_state_digest, settled, fault)
    return Did(command.slot, scene, 0, None, 0.0, view, {}, {}, clock.timing(), measured(simulator))


def act(simulator: Simulator, command: Act) -> Did:
    """Execute a chunk, rendering what is asked for on the way."""
    clock = Clock()
    frames: dict[int, Mapping[str, Picture]] = {}
    observations: dict[int, Observation] = {}
    done, reward, last, over = 0, 0.0, None, False
    ways: Mapping[str, Way] = {}
    for action in command.actions:
        last = simulator.step(action)
        ways = onward(ways, measured(simulator))
        done += 1
        reward += last.reward
        over = last.success or last.terminated
        clock.charge("physics")
        if over:
            break
        if done in command.frames:
            frames[done] = {camera: simulator.render(camera) for camera in command.cameras}
        if done in command.observations:
            observations[done] = simulator.observe(command.views)
        clock.charge("render")
    view = None if over or not command.observe else simulator.observe(command.views)
    clock.charge("render")
    return Did(command.slot, None, done, last, reward, view, frames, observations, clock.timing(), ways)


def measured(simulator: Simulator) -> Mapping[str, Way]:
    """How far each part of the goal is from holding now; nothing of a simulator that cannot tell."""
    found = simulator.goal_distances() if isinstance(simulator, Measured) else {}
    return {name: Way(value, value, value) for name, value in found.items()}


def look_ahead(simulator: Simulator, command: Ahead, moments: dict[int, Any]) -> Did:
    """Execute the actions, or what the expert does, and render what they lead to; ``moments`` says where the slot's
    look began, and loses that where it ends."""
    clock = Clock()
    if not isinstance(simulator, Restorable):
        raise UserError("the memory looks ahead, and this simulator cannot go back: choose another memory mode")
    if command.begins:
        moments[command.slot] = simulator.snapshot()
    act = _next_action(simulator, command)
    frames: dict[int, Mapping[str, Picture]] = {}
    observations: dict[int, Observation] = {}
    done, reward, last, over = 0, 0.0, None, False
    while done < command.steps and not over:
        last = simulator.step(act(done))
        done += 1
        reward += last.reward
        over = last.success or last.terminated
        clock.charge("physics")
        frames[done] = {camera: simulator.render(camera) for camera in command.cameras}
        if done in command.observations and not over:
            observations[done] = simulator.observe(command.views)
        clock.charge("render")
    view = simulator.observe(command.views) if command.observe and not over else None
    clock.charge("render")
    if view is None:
        simulator.restore(moments.pop(command.slot))
    clock.charge("physics")
    return Did(command.slot, None, done, last, reward, view, frames, observations, clock.timing())


def _next_action(simulator: Simulator, command: Ahead) -> Callable[[int], Action]:
    """What is executed after so many steps of a look ahead."""
    if command.actions is not None:
        return command.actions.__getitem__
    assert command.expert is not None
    expert: Expert = command.expert.load()(simulator, np.random.default_rng(command.seed), None)
    return lambda _done: expert.act()


def carry_out(simulators: Simulators, command: Command) -> Outcome:
    """Carry out one command; whatever the simulator raises becomes an answer, and the simulator is discarded."""
    try:
        if isinstance(command, Begin):
            clock = Clock()  # opening a simulator takes longer than all else
            return begin(simulators.begin(command.slot, command.task), command, clock)
        if isinstance(command, Ahead):
            return look_ahead(simulators.of(command.slot), command, simulators.moments)
        return act(simulators.of(command.slot), command)
    except UserError as error:
        return Refused(str(error))
    except Exception as error:
        simulators.discard(command.slot)
        return Broke(command.slot, f"{type(error).__name__}: {error}")


def serve(connection: Connection, open_simulator: OpenSimulator, spare: int, parent: Identity) -> None:
    """Answer commands until the other end is closed. A process's main function."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the rollout's affair
    end_with(parent)  # even in the middle of a command
    simulators = Simulators(open_simulator, spare)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(Ready())
        while True:
            connection.send(carry_out(simulators, connection.recv()))
    os._exit(0)  # OpenGL contexts that are torn down in a random order print complaints
