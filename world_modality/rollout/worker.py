"""A simulator process: carries out commands for its slots, one after the other."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from world_modality.errors import UserError
from world_modality.rollout.messages import (
    Act,
    Begin,
    Broke,
    Command,
    Did,
    Frame,
    Outcome,
    Ready,
    Refused,
    Scene,
    Seen,
    Spent,
)
from world_modality.store.orphans import Identity, end_with
from world_modality.study.specs import Camera


class World(Protocol):
    """The part of a simulator that a rollout needs; ``world_modality.sim.environment.Environment`` is one."""

    @property
    def language(self) -> str:
        """The task's instruction."""

    def init_state_digest(self, init_state: int) -> str:
        """Digest of the bytes of an initial state."""

    def reset(self, init_state: int, seed: int) -> None:
        """Go to an initial state and let it settle."""

    def observe(self) -> Any:
        """Render every camera and read the state: ``images`` and ``state``."""

    def render(self, camera: Camera) -> Frame:
        """Render one camera; never changes the physics."""

    def step(self, action: NDArray[np.float32]) -> bool:
        """One control step without rendering; whether the goal is reached."""

    def close(self) -> None:
        """Free the simulator."""


OpenWorld = Callable[[int], World]
"""Opens the simulator of a task; must be picklable."""


class Worlds:
    """The simulators of a process: one per slot in use, and those that wait for a unit of their task."""

    def __init__(self, open_world: OpenWorld, spare: int) -> None:
        self._open = open_world
        self._spare = spare
        self._used: dict[int, tuple[int, World]] = {}
        self._waiting: list[tuple[int, World]] = []  # longest unused first

    def begin(self, slot: int, task: int) -> World:
        """The simulator that ``slot`` uses from now on."""
        if slot in self._used:
            self._waiting.append(self._used.pop(slot))
        fitting = next((entry for entry in reversed(self._waiting) if entry[0] == task), None)
        if fitting is not None:
            self._waiting.remove(fitting)
        while len(self._waiting) > self._spare:
            self._waiting.pop(0)[1].close()
        self._used[slot] = fitting or (task, self._open(task))
        return self._used[slot][1]

    def of(self, slot: int) -> World:
        """The simulator that ``slot`` uses."""
        return self._used[slot][1]

    def discard(self, slot: int) -> None:
        """Close a slot's simulator, which may be broken: a failure to close it must not hide why."""
        _, world = self._used.pop(slot, (0, None))
        if world is not None:
            with suppress(Exception):
                world.close()


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

    def spent(self) -> Spent:
        """The parts so far."""
        return Spent(**self._parts)


def begin(world: World, command: Begin, clock: Clock) -> Did:
    """Start a unit and look; what passed since the clock was made is part of the reset."""
    world.reset(command.init_state, command.seed)
    clock.charge("reset")
    view = _look(world)
    clock.charge("render")
    scene = Scene(world.language, world.init_state_digest(command.init_state))
    return Did(command.slot, scene, 0, False, view, {}, {}, clock.spent())


def act(world: World, command: Act) -> Did:
    """Execute a chunk, rendering what is asked for on the way."""
    clock = Clock()
    frames: dict[int, Mapping[Camera, Frame]] = {}
    looks: dict[int, Seen] = {}
    done, success = 0, False
    for action in command.actions:
        success = world.step(action)
        done += 1
        clock.charge("physics")
        if success:
            break
        if done in command.frames:
            frames[done] = {camera: world.render(camera) for camera in command.cameras}
        if done in command.looks:
            looks[done] = _look(world)
        clock.charge("render")
    view = None if success or not command.look else _look(world)
    clock.charge("render")
    return Did(command.slot, None, done, success, view, frames, looks, clock.spent())


def _look(world: World) -> Seen:
    view = world.observe()
    return Seen(dict(view.images), view.state)


def answer(worlds: Worlds, command: Command) -> Outcome:
    """Carry out one command; whatever the simulator raises becomes an answer, and the simulator is discarded."""
    try:
        if isinstance(command, Begin):
            clock = Clock()  # opening a simulator takes longer than all else
            return begin(worlds.begin(command.slot, command.task), command, clock)
        return act(worlds.of(command.slot), command)
    except UserError as error:
        return Refused(str(error))
    except Exception as error:
        worlds.discard(command.slot)
        return Broke(command.slot, f"{type(error).__name__}: {error}")


def serve(connection: Connection, open_world: OpenWorld, spare: int, parent: Identity) -> None:
    """Answer commands until the other end is closed. A process's main function."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the rollout's affair
    end_with(parent)  # even in the middle of a command
    worlds = Worlds(open_world, spare)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(Ready())
        while True:
            connection.send(answer(worlds, connection.recv()))
    os._exit(0)  # OpenGL contexts that are torn down in a random order print complaints
