"""What moves LIBERO's arm between two halves of a physics step: torques and fingers, 25 times in every control step.

The numbers are those of robosuite's own controller to the last bit. What is left out enters none of them: names looked
up, limits asked again, the whole mass matrix, records of recent values, forward passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

TRIALS = 20
"""Random states at which compiled torques are compared with plain ones before they are used."""


class Arm(Protocol):
    """The arm of one scene."""

    def aim(self, action: NDArray[np.float64]) -> None:
        """Begin a control step with an action [7], after its first mj_step1."""

    def act(self) -> None:
        """Write one physics step's torques (N m) and finger positions (m) into MuJoCo's controls."""


def arm_of(sim_env: Any) -> Arm:
    """The arm of a robosuite environment; once a reset has built the scene anew it needs another one."""
    return OperationalSpaceArm(sim_env) if follows_known_law(sim_env) else RobosuitesArm(sim_env)


class RobosuitesArm:
    """Driven by robosuite's own code, whatever its controller is."""

    def __init__(self, sim_env: Any) -> None:
        self._env = sim_env
        self._first = True

    def aim(self, action: NDArray[np.float64]) -> None:
        """Begin a control step with an action [7]."""
        self.action, self._first = action, True

    def act(self) -> None:
        """Write one physics step's controls, without the forward pass that robosuite would make for that."""
        self._env.sim.forward = _nothing  # mj_step1 has just computed what the controller reads
        try:
            self._env._pre_action(self.action, policy_step=self._first)
        finally:
            del self._env.sim.forward
        self._first = False


class OperationalSpaceArm:
    """Driven by LIBERO's default law for its Panda, at MuJoCo's own arrays."""

    def __init__(self, sim_env: Any) -> None:
        """Look up once what robosuite looks up every time. ``follows_known_law`` must hold of ``sim_env``."""
        import mujoco
        from robosuite.utils import transform_utils

        self._robosuites = RobosuitesArm(sim_env)
        robot = sim_env.robots[0]
        model, data = sim_env.sim.model._model, sim_env.sim.data._data
        self._controller, self._gripper = robot.controller, robot.gripper
        site, dofs = robot.eef_site_id, _run(robot.controller.qvel_index)
        arm, fingers = _run(robot._ref_joint_actuator_indexes), _run(robot._ref_joint_gripper_actuator_indexes)
        self._place, self._turn = data.site_xpos[site], data.site_xmat[site].reshape(3, 3)
        jacobian = np.zeros((6, model.nv))
        self._jacobian_of = mujoco.mj_jacSite
        self._site = (model, data, jacobian[:3], jacobian[3:], site)
        numbers = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, numbers, np.arange(model.nM, dtype=np.float64))
        entries = numbers[dofs, dofs].astype(np.intp)
        angles = data.qpos[_run(robot.controller.qpos_index)]
        self._measured = (self._place, self._turn, jacobian, data.qvel, data.qM, entries, data.qfrc_bias[dofs], angles)
        self._written = (dofs.start, np.stack(robot.torque_limits), data.ctrl[arm], data.ctrl[fingers])
        low, high = model.actuator_ctrlrange[fingers].T
        self._hand = np.stack((np.zeros(2), np.zeros(2), 0.5 * (high + low), 0.5 * (high - low)))
        self._closing = np.array([-1.0, 1.0]) * robot.gripper.speed
        law = self._controller
        law.scale_action(np.zeros(6))  # which computes the scale at its first call
        self._least, self._most, self._scale = law.input_min, law.input_max, law.action_scale
        self._from, self._to = law.action_input_transform, law.action_output_transform
        self._turned = transform_utils.axisangle2quat, transform_utils.quat2mat
        self._gains = np.stack((law.kp, law.kd))
        self._write = fastest_law()

    def aim(self, action: NDArray[np.float64]) -> None:
        """Set the goal of a control step from an action [7], relative to the pose that mj_step1 has just computed.

        An action that turns nothing leaves the goal's rotation as it was. In the first physics step after a reset
        robosuite's controller still goes by what it measured in that reset, so that one is left to it.
        """
        law = self._controller
        self._first_of_all = not law.new_update
        if self._first_of_all:
            self._robosuites.aim(action)
            return
        move = (np.minimum(np.maximum(action[:6], self._least), self._most) - self._from) * self._scale + self._to
        if move[3] or move[4] or move[5]:
            quaternion_of, matrix_of = self._turned
            law.goal_ori = np.dot(matrix_of(quaternion_of(move[3:])), self._turn)
        law.goal_pos = self._place + move[:3]
        self._gather(action)

    def act(self) -> None:
        """Write one physics step's torques (N m) and finger positions (m) into MuJoCo's controls."""
        if self._first_of_all:
            self._robosuites.act()
            self._gather(self._robosuites.action)
            self._first_of_all = False
            return
        self._jacobian_of(*self._site)
        self._write(*self._arguments)

    def _gather(self, action: NDArray[np.float64]) -> None:
        """All that a control step's law reads and writes, once its goal is set."""
        law, gripper, hand = self._controller, self._gripper, self._hand
        hand[0], hand[1] = gripper.current_action, self._closing * np.sign(action[6])
        gripper.current_action = hand[0]
        wanted = (law.goal_pos, law.goal_ori, self._gains, law.initial_joint, hand)
        self._arguments = (*self._measured, *wanted, *self._written)


def follows_known_law(sim_env: Any) -> bool:
    """Whether a robot is one Panda under LIBERO's default law: relative poses, fixed gains, nothing interpolated."""
    from robosuite.controllers.osc import OperationalSpaceController
    from robosuite.models.grippers.panda_gripper import PandaGripper

    if len(sim_env.robots) != 1:
        return False
    robot = sim_env.robots[0]
    law = robot.controller
    if type(law) is not OperationalSpaceController or type(robot.gripper) is not PandaGripper:
        return False
    switches = (law.impedance_mode, law.use_delta, law.use_ori, law.uncoupling)
    absent = (law.position_limits, law.orientation_limits, law.interpolator_pos, law.interpolator_ori)
    runs = (robot._ref_joint_actuator_indexes, robot._ref_joint_gripper_actuator_indexes, law.qpos_index)
    return (
        switches == ("fixed", True, True, True)
        and all(part is None for part in absent)
        and all(list(run) == list(range(run[0], run[0] + len(run))) for run in (*runs, law.qvel_index))
        and len(law.qvel_index) == len(law.kp) + 1 == 7
    )


_LAWS: list[Callable[..., None]] = []


def fastest_law() -> Callable[..., None]:
    """``law.write_controls``, compiled where that rounds alike on this machine.

    Plain, its sums are numpy's, as in robosuite; compiled, they are scipy's, whose BLAS is of another version. Decided
    once in a process.
    """
    if not _LAWS:
        from world_modality.benchmarks.libero import law

        same = all(_controls(law.write_controls, trial) == _controls(law.compiled, trial) for trial in range(TRIALS))
        _LAWS.append(law.compiled if same else law.write_controls)
    return _LAWS[0]


def _controls(law: Callable[..., None], trial: int) -> bytes:
    """The controls of an arm in a scene of invented numbers, by trial of another size."""
    rng = np.random.default_rng(trial)
    dofs = 9 + 6 * (trial % 12)
    half = rng.normal(size=(7, 7))
    inertias = np.concatenate((rng.normal(size=5), (half @ half.T + np.eye(7)).ravel()))
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0].copy() for _ in range(2)]
    torques, fingers = np.zeros(7), np.zeros(2)
    limits, hand = np.outer([-80.0, 80.0], np.ones(7)), rng.uniform(-1, 1, size=(4, 2))
    entries = 5 + np.arange(49).reshape(7, 7)
    jacobian, speeds, place, goal = (rng.normal(size=size) for size in ((6, dofs), dofs, 3, 3))
    bias, angles, start, gains = (rng.normal(size=size) for size in (7, 7, 7, (2, 6)))
    measured = (place, turns[0], jacobian, speeds, inertias, entries, bias, angles)
    law(*measured, goal, turns[1], gains, start, hand, 0, limits, torques, fingers)
    return torques.tobytes() + fingers.tobytes()


def _run(numbers: Any) -> slice:
    """Consecutive numbers as a slice, which is a view where a list of them makes a copy."""
    return slice(int(numbers[0]), int(numbers[0]) + len(numbers))


def _nothing() -> None:
    """Stands in for a forward pass whose result is already there."""
