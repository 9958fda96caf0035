"""The expert itself: errand after errand, with what went wrong tried again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.libero.expert.carrying import Carrier
from world_modality.benchmarks.libero.expert.fixtures import Fitter
from world_modality.benchmarks.libero.expert.goals import Errand, errands
from world_modality.benchmarks.libero.expert.inserting import Inserter
from world_modality.benchmarks.libero.expert.known import impossible, missing_skill
from world_modality.benchmarks.libero.expert.motion import OPEN, Action, Arm, Course, Missed
from world_modality.benchmarks.libero.expert.scene import Scene
from world_modality.benchmarks.libero.noise import ActionNoise, displace_arm
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.errors import UserError

DELICATE = frozenset({"close", "open", "retreat", "recover", "turn"})
"""Phases in which one wrong step ends the attempt: closing and opening the hand, turning what it holds, and getting
out of a failed grip."""
LETTING_GO = frozenset({"open", "retreat"})
RECOVER_STEPS = 9
DOWN = np.array([0.0, 0.0, 0.12])


class Expert:
    """Solves a task by its goal; an :class:`~world_modality.benchmarks.contract.Expert`.

    It does what it does from the state alone, and may take over at any moment: what the hand holds it carries on.
    """

    def __init__(self, env: LiberoSimulator, rng: np.random.Generator, noise: float | None = None) -> None:
        """Plan for the scene as it is now, or with ``noise`` as it is after the arm was displaced.

        Raises:
            UserError: the goal has a part that it has no skill for.
        """
        self._noise: ActionNoise | None = None
        if noise is not None:
            displace_arm(env, rng, noise)
            self._noise = ActionNoise(noise, rng)
        self._scene = scene = Scene(env)
        self._arm = Arm(scene)
        fingers = scene.hand()[1][:, 0]
        rest = float(np.arctan2(fingers[1], fingers[0]))
        self._carrier = Carrier(scene, self._arm, rest, scene.in_hand())
        self._inserter = Inserter(scene, self._arm, self._carrier)
        self._fitter = Fitter(scene, self._arm, rest, scene.hand()[0])
        self._errands = known_errands(env, scene)
        self._phase = "reach"
        self._last = False
        self._course = self._work()

    @property
    def phase(self) -> str:
        """The phase the expert is in after its last action."""
        return self._phase

    @property
    def delicate(self) -> bool:
        """Whether one wrong step in the last action's place would end the attempt."""
        return self._phase in DELICATE

    @property
    def finishing(self) -> bool:
        """Whether it lets go, or has let go, of the last thing, which it takes to be in its place."""
        return self._last and self._phase in LETTING_GO

    def act(self) -> Action:
        """The action [7] in [-1, 1] for the current state: translation, rotation, gripper."""
        self._phase, action = next(self._course)
        return action

    def disturb(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """The action with the present phase's noise."""
        return action if self._noise is None else self._noise.disturb(action, self._phase)

    def _work(self) -> Course:
        while True:
            left = [errand for errand in self._errands if not self._done(errand)]
            if not left:
                yield from self._wait()
                continue
            self._last = len(left) == 1
            try:
                yield from self._do(next((each for each in left if each.thing == self._carrier.holding), left[0]))
            except Missed:
                yield from self._recover()

    def _done(self, errand: Errand) -> bool:
        if self._scene.holds(errand.condition):
            return True
        needed = [each for each in errand.for_what if not self._scene.holds(each.condition)]
        return bool(errand.for_what) and (not needed or self._fitter.wide_enough(errand))

    def _do(self, errand: Errand) -> Course:
        skills = {
            "place": self._inserter.insert if self._roofed(errand) else self._carrier.place,
            "turn": self._fitter.turn,
            "open": self._fitter.open,
            "close": self._fitter.close,
        }
        return skills[errand.verb](errand)

    def _roofed(self, errand: Errand) -> bool:
        region = self._scene.region(errand.target) if errand.condition[0] == "in" else None
        return region is not None and len(self._scene.roof(region)) > 0

    def _wait(self) -> Course:
        hand, rotation = self._scene.hand()
        yield "retreat", self._arm.to(hand + DOWN / 2, rotation, OPEN)

    def _recover(self) -> Iterator[tuple[str, Action]]:
        """Open the hand and rise, to begin anew."""
        hand, rotation = self._scene.hand()
        for _ in range(RECOVER_STEPS):
            yield "recover", self._arm.to(hand + DOWN, rotation, OPEN)


def known_errands(env: LiberoSimulator, scene: Scene) -> tuple[Errand, ...]:
    """The errands of the task's goal; UserError if there is no skill for one."""
    lacking = missing_skill(scene)
    if lacking is None:
        found = errands(scene.goal, doors(scene))
        lacking = impossible(scene, found)
        if lacking is None:
            return found
    raise UserError(
        f"{env.spec.suite} task {env.task.index}: the scripted expert has no skill for {lacking}; leave this task out "
        "of data.tasks, or choose hub or folder as data.source; where a memory looks ahead with it, choose another mode"
    )


def doors(scene: Scene) -> dict[str, str]:
    """Target of the goal -> the drawer or fixture that must be open while something is put in."""
    found = {}
    for conjunct in scene.goal:
        region = scene.region(conjunct[2]) if len(conjunct) == 3 else None
        if region is None or region.owner is None:
            continue
        if region.joint is not None:
            found[region.name] = region.name
        elif scene.opens(region.owner):
            found[region.name] = region.owner
    return found
