"""Putting a thing under a roof, as into a microwave: gripped at its near end, so that the hand stays outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from world_modality.benchmarks.libero.expert.boxes import Vector, about_z, half_turn
from world_modality.benchmarks.libero.expert.carrying import LARGEST_TURN, WAY_STEPS, Carrier
from world_modality.benchmarks.libero.expert.goals import Errand
from world_modality.benchmarks.libero.expert.grasp import PALM_SIZE, Grasp, downward
from world_modality.benchmarks.libero.expert.motion import CLOSED, Arm, Course, Missed
from world_modality.benchmarks.libero.expert.scene import Region, Scene

INSIDE = 0.010  # m from the region's edge to the thing's origin
PALM_ROOM = 0.004  # m between the palm and the roof's edge
BEFORE = 0.03  # m between the thing and the roof's edge, where it is lowered
OVER_FLOOR = 0.012  # m of the thing's bottom on its way in
PUSH = 0.03
STEPS = 70


@dataclass
class Inserter:
    """Puts things under roofs."""

    scene: Scene
    arm: Arm
    carrier: Carrier

    def insert(self, errand: Errand) -> Course:
        """Bring about ``errand.condition``; Missed if the thing was lost on the way."""
        thing, region = errand.thing, self.scene.region(errand.target)
        out = None if region is None else self.scene.mouth(region)
        if region is None or out is None:
            raise Missed(f"{errand.target} cannot be reached")
        low, high = self.scene.roof(region).bounds
        edge = float(np.maximum(low @ out, high @ out).max())
        border = float(region.center @ out + np.abs(out) @ region.half)
        least = edge - border + INSIDE + PALM_SIZE[1] + PALM_ROOM  # from the thing's origin to the hand

        def at_the_end(grasp: Grasp) -> bool:
            arm = grasp.point[:2] - self.scene.position(thing)[:2]
            across = abs(np.cos(grasp.yaw) * arm[0] + np.sin(grasp.yaw) * arm[1])
            return bool(np.linalg.norm(arm) > least and across < 0.25 * np.linalg.norm(arm))

        grasp = yield from self.carrier.pick(thing, at_the_end)
        try:
            yield from self._bring(errand, grasp, region, out, edge)
        except Missed:
            self.carrier.tried.setdefault(thing, []).append(grasp)
            raise

    def _bring(self, errand: Errand, grasp: Grasp, region: Region, out: Vector, edge: float) -> Course:
        scene, thing = self.scene, errand.thing
        held = self.carrier.held(thing)
        arm = scene.hand()[0][:2] - scene.position(thing)[:2]
        turn = float(np.arctan2(out[1], out[0]) - np.arctan2(arm[1], arm[0]))
        turn = float(np.arctan2(np.sin(turn), np.cos(turn)))
        if abs(grasp.yaw + turn - self.carrier.rest_yaw) > LARGEST_TURN:
            turn = half_turn(turn)
        rotation = downward(grasp.yaw + turn)
        low, high = scene.boxes(region.owner or "").bounds
        under = np.all((low[:, :2] < region.center[:2]) & (high[:, :2] > region.center[:2]), axis=1)
        floor = float(high[under & (high[:, 2] < region.center[2]), 2].max(initial=region.center[2] - region.half[2]))
        line = region.center - out * (region.center @ out)  # across the mouth, in its middle
        reach = float(np.max((scene.boxes(thing).points(0.02) - scene.position(thing)) @ about_z(turn).T @ -out))
        spot = line + out * (edge + BEFORE + reach)
        yield from self.carrier.lift(thing, spot, downward(grasp.yaw), held)
        for _ in range(WAY_STEPS):
            hand, _ = scene.hand()
            origin = scene.position(thing)
            away = float(np.linalg.norm((origin - spot)[:2]))
            if away < 0.012 and self.arm.turned_by(rotation) < 0.08:
                break
            self.carrier.check(thing, held)
            target = spot + hand - origin
            target[2] = self.carrier.safe_with(thing, hand, target)
            if hand[2] < target[2] - 0.03:
                target[:2] = hand[:2]
            yield "carry", self.arm.to(target, rotation, CLOSED, speed=0.7)
        yield from self._enter(errand, rotation, held, (line, out, floor))

    def _enter(self, errand: Errand, rotation: Vector, held: Vector, mouth: tuple[Vector, Vector, float]) -> Course:
        scene, thing, (line, out, floor) = self.scene, errand.thing, mouth
        start = float(scene.position(thing) @ out)
        for phase in ("lower", "carry"):
            for _ in range(STEPS):
                hand, _ = scene.hand()
                origin, bottom = scene.position(thing), float(scene.boxes(thing).low[2])
                at = start if phase == "lower" else float(origin @ out) - PUSH
                target = line + out * at + hand - origin
                target[2] = hand[2] + floor + OVER_FLOOR - bottom
                if phase == "lower" and abs(target[2] - hand[2]) < 0.006:
                    break
                if phase == "carry" and scene.holds(errand.condition):
                    break
                self.carrier.check(thing, held)
                yield phase, self.arm.to(target, rotation, CLOSED, speed=0.5)
        anchor, _ = scene.hand()
        for _ in range(6):
            yield "lower", self.arm.to(anchor - np.array([0.0, 0.0, OVER_FLOOR]), rotation, CLOSED, speed=0.3)
        yield from self.carrier.release(errand, rotation, out)
