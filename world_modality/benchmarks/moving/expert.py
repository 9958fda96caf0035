"""A scripted expert that leads a goal that moves, and follows it while it lets go."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from world_modality.benchmarks.libero.expert import Expert
from world_modality.benchmarks.libero.expert.boxes import Vector
from world_modality.benchmarks.libero.expert.carrying import ROOM, WAY_STEPS
from world_modality.benchmarks.libero.expert.goals import Errand
from world_modality.benchmarks.libero.expert.grasp import downward
from world_modality.benchmarks.libero.expert.motion import CLOSED, OPEN, Course, Missed
from world_modality.benchmarks.moving.simulator import MovingSimulator
from world_modality.benchmarks.moving.tasks import TOLERANCE
from world_modality.facts.benchmarks import SUITES

LAG = 5.0  # control steps that the hand is behind a target that moves
NEAR = 0.012  # m sideways between the thing and its goal's middle, as far as the expert knows where that is
FOLLOWED = 3  # control steps of being near before the thing is lowered
SINK = 0.035  # m below the hand, to where it is sent at most while it lowers
LOW = 0.010  # m of the thing's origin over that of its goal, to where it is lowered: what touches it is pushed away
LOW_ENOUGH = 0.016
CLEAR = 0.04  # the same while the thing is not over its goal's middle
FOLLOW_STEPS = 100
OPEN_STEPS = 8
RISE_STEPS = 14
RISE = 0.06  # m


class Sight(Protocol):
    """What somebody knows of where the goal is."""

    def __call__(self, ahead: float) -> Vector:
        """Where its origin [3] (m) will be in so many control steps."""


class Told:
    """All: where the goal is, which way it goes, and where it will be thrown back."""

    def __init__(self, simulator: MovingSimulator) -> None:
        self._simulator = simulator
        self._step = 1.0 / SUITES[simulator.spec.suite].control_rate

    def __call__(self, ahead: float) -> Vector:
        """Where the goal's origin [3] (m) will be in so many control steps."""
        place, _ = self._simulator.motion.at(self._simulator.time + ahead * self._step)
        return np.append(place, self._simulator.position(self._simulator.moving.goal)[2])


class MovingExpert(Expert):
    """Puts a thing on a goal that moves; an :class:`~world_modality.benchmarks.contract.Expert`.

    It picks up as LIBERO's expert does. From then on it goes by what it knows of the goal, its ``sight``.
    """

    def __init__(
        self, env: MovingSimulator, rng: np.random.Generator, noise: float | None = None, sight: Sight | None = None
    ) -> None:
        """As LIBERO's; by default it is told the goal's velocity."""
        super().__init__(env, rng, noise)
        self._simulator = env
        self._sight = Told(env) if sight is None else sight

    def _done(self, errand: Errand) -> bool:
        return super()._done(errand) and self._simulator.beside() < TOLERANCE

    def _do(self, errand: Errand) -> Course:
        carrier, thing = self._carrier, errand.thing
        grasp = yield from carrier.pick(thing)
        held, rotation = carrier.held(thing), downward(grasp.yaw)
        yield from carrier.lift(thing, self._sight(LAG), rotation, held, raised=grasp.taken_over)
        yield from self._follow(thing, rotation, held)
        yield from self._lower(thing, rotation, held)
        yield from self._let_go(rotation)
        if not self._done(errand):
            raise Missed(f"{thing} is not where it should be")

    def _away(self, thing: str) -> float:
        """Between a thing and its goal as far as that is known, sideways (m)."""
        return float(np.linalg.norm((self._scene.position(thing) - self._sight(0.0))[:2]))

    def _over(self, thing: str) -> Vector:
        """Where the hand is to be sent [3] (m) so that the thing is over its goal, at the hand's height."""
        hand, _ = self._scene.hand()
        target = self._sight(LAG) + hand - self._scene.position(thing)
        target[2] = hand[2]
        return target

    def _follow(self, thing: str, rotation: Vector, held: Vector) -> Course:
        near = 0
        for _ in range(WAY_STEPS):
            near = near + 1 if self._away(thing) < NEAR else 0
            if near >= FOLLOWED:
                return
            self._carrier.check(thing, held)
            hand, target = self._scene.hand()[0], self._over(thing)
            target[2] = self._carrier.safe_with(thing, hand, target)
            if hand[2] < target[2] - 1.5 * ROOM:
                target[:2] = hand[:2]
            yield "carry", self._arm.to(target, rotation, CLOSED)

    def _lower(self, thing: str, rotation: Vector, held: Vector) -> Course:
        for _ in range(FOLLOW_STEPS):
            height, away = float((self._scene.position(thing) - self._sight(0.0))[2]), self._away(thing)
            if height < LOW_ENOUGH and away < NEAR:
                return
            self._carrier.check(thing, held)
            target = self._over(thing)
            target[2] += max((LOW if away < 2 * NEAR else CLEAR) - height, -SINK)
            yield "lower", self._arm.to(target, rotation, CLOSED, speed=0.8)

    def _let_go(self, rotation: Vector) -> Course:
        """Open the hand over the goal and rise, while both go on."""
        anchor, _ = self._scene.hand()
        beside = anchor - self._sight(0.0)
        for _ in range(OPEN_STEPS):
            yield "open", self._arm.to(self._sight(LAG) + beside, rotation, OPEN)
        for _ in range(RISE_STEPS):
            if float(self._scene.hand()[0][2] - anchor[2]) > RISE:
                break
            yield "retreat", self._arm.to(self._sight(LAG) + beside + np.array([0.0, 0.0, 0.1]), rotation, OPEN)
