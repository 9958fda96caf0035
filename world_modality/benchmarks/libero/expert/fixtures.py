"""Skills for what is fixed: turning knobs, opening drawers by their handles, pushing drawers and doors shut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from world_modality.benchmarks.libero.expert.boxes import Boxes, Vector, about_z, half_turn
from world_modality.benchmarks.libero.expert.goals import Errand
from world_modality.benchmarks.libero.expert.grasp import HAND_WIDTH, PALM, PALM_WIDTH, TIPS, downward, grasps
from world_modality.benchmarks.libero.expert.motion import CLOSED, OPEN, Arm, Course, Missed, tallest
from world_modality.benchmarks.libero.expert.scene import Joint, Scene

ROOM = 0.02
LEAD = 0.5  # rad that the hand is ahead of a knob
TURN_STEPS = 60
TURN_ENOUGH = 0.1  # rad beyond where the condition begins to hold
ASIDE = 0.10  # m before a handle, where the hand comes from
PULL = 0.035  # m that the hand's goal is ahead of it
PULL_STEPS = 120
PUSH_ASIDE = 0.09
PUSH = 0.05
PUSH_STEPS = 110
LEVER = 0.8  # of a door's length, where it is pushed
HOME_STEPS = 45
TILT = np.radians(50)  # of a hand that pushes a drawer, from straight down


@dataclass
class Fitter:
    """Works fixtures."""

    scene: Scene
    arm: Arm
    rest_yaw: float
    home: Vector
    """Of the hand when the episode began [3] (m)."""

    def turn(self, errand: Errand) -> Course:
        """Grip a knob and turn it until the condition holds."""
        name = errand.thing
        knob = self.scene.joints(name)[0]
        joint = self.scene.joint(knob)
        part, rest = self.scene.part(name, knob)
        center = np.append(joint.anchor[:2], (part.low[2] + part.high[2]) / 2)
        found = grasps(part, rest, center, self.rest_yaw)
        if not found:
            raise Missed(f"the knob of {name} does not fit between the fingers")
        grip, yaw = found[0].point, self.rest_yaw + half_turn(found[0].yaw - self.rest_yaw)
        yield from self._over(grip, downward(yaw), OPEN)
        yield from self._down(grip, downward(yaw), OPEN)
        yield from self._hold("close", downward(yaw), CLOSED, 12)
        started = joint.value
        onward = 1.0 if (errand.condition[0] == "turnon") == (abs(joint.high) > abs(joint.low)) else -1.0
        done = 0
        for _ in range(TURN_STEPS):
            turned = (self.scene.joint(knob).value - started) * joint.axis[2]
            angle = turned + onward * LEAD * joint.axis[2]
            point = joint.anchor + about_z(angle) @ (grip - joint.anchor)
            yield "turn", self.arm.to(np.append(point[:2], grip[2]), downward(yaw + angle), CLOSED)
            done += self.scene.holds(errand.condition)
            if done > 2:
                break
        yield from self.arm.let_go(self.scene.hand()[1], np.array([0.0, 0.0, 1.0]))
        self._judge(errand)

    def open(self, errand: Errand) -> Course:
        """Grip a drawer's handle from the front and pull."""
        name, slide = self._moved(errand)
        joint = self.scene.joint(slide)
        outward = joint.outward
        handle = self.scene.handle(name, slide)
        rotation = facing(-outward)
        yield from self._over(handle + ASIDE * outward, rotation, OPEN)
        yield from self._approach(handle, rotation, outward)
        yield from self._hold("close", rotation, CLOSED, 12)
        line = self.scene.hand()[0]
        done = 0
        for _ in range(PULL_STEPS):
            hand, _ = self.scene.hand()
            along = float((hand - line) @ outward) + PULL
            yield "pull", self.arm.to(line + along * outward, rotation, CLOSED)
            if errand.for_what and self.wide_enough(errand):
                break
            done += self.scene.holds(errand.condition)
            if done > 3:
                break
        yield from self.arm.let_go(self.scene.hand()[1], outward)
        yield from self._home()
        if not errand.for_what:
            self._judge(errand)

    def wide_enough(self, errand: Errand) -> bool:
        """Whether a drawer is open far enough for all that has to go in."""
        region = self.scene.region(errand.thing)
        if region is None:
            return self.scene.holds(errand.condition)
        uncovered = self.scene.uncovered(region)
        needed = [self.scene.boxes(each.thing) for each in errand.for_what]
        axis = int(np.argmax(np.abs(self.scene.joint(region.joint).axis))) if region.joint else 0
        return all(2 * uncovered.half[axis] > float((boxes.high - boxes.low)[axis]) for boxes in needed)

    def close(self, errand: Errand) -> Course:
        """Push a drawer or a door shut."""
        name, moving = self._moved(errand)
        joint, (part, _) = self.scene.joint(moving), self.scene.part(name, moving)
        onward = -1.0 if abs(joint.high) > abs(joint.low) else 1.0
        point = _lever(part, joint) if joint.hinge else self.scene.handle(name, moving)
        way = onward * joint.direction(point)
        way /= float(np.linalg.norm(way))
        rotation = downward(self.rest_yaw) if joint.hinge else leaning(way, self._across(way))
        extent = float(np.max((part.points(0.02) - point) @ -way))
        start = point - (extent + PUSH_ASIDE) * way
        start[2] = point[2]
        yield from self._over(start, rotation, CLOSED)
        yield from self._down(start, rotation, CLOSED)
        line, radius = start, float(np.linalg.norm((point - joint.anchor)[:2]))
        for _ in range(PUSH_STEPS):
            hand, _ = self.scene.hand()
            if joint.hinge:
                way = onward * joint.direction(hand)
                way /= float(np.linalg.norm(way))
                spoke = (hand - joint.anchor) * np.array([1.0, 1.0, 0.0])
                length = float(np.linalg.norm(spoke))
                target = hand + PUSH * way + spoke / length * (radius - length)
            else:
                target = line + (float((hand - line) @ way) + PUSH) * way
            target[2] = start[2]
            yield "push", self.arm.to(target, rotation, CLOSED, speed=0.8)
            if self.scene.holds(errand.condition):
                break
        yield from self.arm.let_go(self.scene.hand()[1], -way)
        self._judge(errand)

    def _moved(self, errand: Errand) -> tuple[str, str]:
        """The fixture and the joint of what is opened or closed."""
        region = self.scene.region(errand.thing)
        if region is not None and region.owner is not None and region.joint is not None:
            return region.owner, region.joint
        return errand.thing, self.scene.joints(errand.thing)[0]

    def _across(self, way: Vector) -> Vector:
        """The horizontal direction across ``way`` that needs the least turn of the fingers."""
        across = np.array([-way[1], way[0], 0.0])
        fingers = self.scene.hand()[1][:, 0]
        return across if float(across @ fingers) >= 0 else -across

    def _judge(self, errand: Errand) -> None:
        if not self.scene.holds(errand.condition):
            raise Missed(f"{' '.join(errand.condition)} does not hold")

    # ---- ways of the hand

    def _over(self, point: Vector, rotation: Vector, gripper: float) -> Course:
        """Above a point, over everything on the way, turned as there."""
        for _ in range(120):
            hand, _ = self.scene.hand()
            others = self.scene.others()
            low = tallest(others, hand, point, HAND_WIDTH) + TIPS
            safe = max(low, tallest(others, hand, point, PALM_WIDTH) - PALM, point[2]) + ROOM
            sideways = float(np.linalg.norm((hand - point)[:2]))
            if sideways < 0.015 and self.arm.turned_by(rotation) < 0.12:
                return
            target = np.append(point[:2], safe)
            if hand[2] < safe - 0.03 and sideways > 0.03:
                target[:2] = hand[:2]
            yield "reach", self.arm.to(target, rotation, gripper)

    def _down(self, point: Vector, rotation: Vector, gripper: float) -> Course:
        for _ in range(50):
            hand, _ = self.scene.hand()
            if float(np.linalg.norm(hand - point)) < 0.012:
                return
            yield "descend", self.arm.to(point, rotation, gripper, speed=0.6)

    def _approach(self, handle: Vector, rotation: Vector, outward: Vector) -> Course:
        yield from self._down(handle + ASIDE * outward, rotation, OPEN)
        for _ in range(40):
            hand, _ = self.scene.hand()
            if float(np.linalg.norm(hand - handle)) < 0.008:
                return
            yield "descend", self.arm.to(handle, rotation, OPEN, speed=0.5)

    def _hold(self, phase: str, rotation: Vector, gripper: float, steps: int) -> Course:
        anchor, _ = self.scene.hand()
        for _ in range(steps):
            yield phase, self.arm.to(anchor, rotation, gripper)

    def _home(self) -> Course:
        """Back to where the hand was at first and pointing down: from a stretched arm not every way is free."""
        for _ in range(HOME_STEPS):
            if self.arm.turned_by(downward(self.rest_yaw)) < 0.3:
                return
            hand, _ = self.scene.hand()
            yield "retreat", self.arm.to(np.append(self.home[:2], hand[2] + 0.02), downward(self.rest_yaw), OPEN)


def facing(approach: Vector) -> Vector:
    """Rotation [3, 3] of a hand that points along a horizontal direction [3], its fingers one above the other."""
    approach = approach / float(np.linalg.norm(approach))
    # from a hand that points down, with its fingers along the way that it is to point
    fingers = np.array([0.0, 0.0, -1.0 if approach[1] < 0 else 1.0])
    return np.stack([fingers, np.cross(approach, fingers), approach], axis=1)


def leaning(way: Vector, across: Vector) -> Vector:
    """Rotation [3, 3] of a hand whose tips lead along ``way``, with its fingers side by side along ``across``."""
    approach = np.sin(TILT) * way - np.cos(TILT) * np.array([0.0, 0.0, 1.0])
    return np.stack([across, np.cross(approach, across), approach], axis=1)


def _lever(part: Boxes, joint: Joint) -> Vector:
    """Where a door is pushed [3]: on its leaf, far from the hinge."""
    leaf = part.centers[int(np.argmax(np.prod(part.halves, axis=1)))]
    return np.asarray(joint.anchor * [1, 1, 0] + (leaf - joint.anchor) * [2 * LEVER, 2 * LEVER, 0] + leaf * [0, 0, 1])
