"""The control law of LIBERO's arm at MuJoCo's own arrays, for 25 physics steps in every control step.

Operational space control (Khatib 1987): a force that pulls the point between the fingers to its goal, times the mass
that is felt there, becomes torques of the joints; what the task leaves free pulls them to where they began. The numbers
are those of robosuite's own controller to the last bit, since the same functions of numpy, numba and robosuite get the
same numbers in arrays of the same shape and order. What is left out is what enters no torque: names looked up, limits
asked again, the whole mass matrix, records of recent values, and forward passes.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

JOINTS = 7


class Arm(Protocol):
    """What moves the arm of one scene between mj_step1 and mj_step2."""

    def aim(self, action: NDArray[np.float64]) -> None:
        """Begin a control step with an action [7]."""

    def act(self) -> None:
        """Write one physics step's torques (N m) and finger positions (m) into MuJoCo's controls."""


def arm_of(sim_env: Any) -> Arm:
    """The arm of a robosuite environment; a reset that builds the scene anew needs another one."""
    return OperationalSpaceArm(sim_env) if follows_known_law(sim_env) else RobosuitesArm(sim_env)


class RobosuitesArm:
    """Driven by robosuite's own code, whatever its controller is."""

    def __init__(self, sim_env: Any) -> None:
        self._env = sim_env
        self._first = True

    def aim(self, action: NDArray[np.float64]) -> None:
        """Begin a control step with an action [7]."""
        self._action, self._first = action, True

    def act(self) -> None:
        """Write one physics step's controls, without the forward pass that robosuite would make for that."""
        self._env.sim.forward = _nothing  # mj_step1 has just done what the controller reads
        try:
            self._env._pre_action(self._action, policy_step=self._first)
        finally:
            del self._env.sim.forward
        self._first = False


class OperationalSpaceArm:
    """Driven by LIBERO's default law for its Panda."""

    def __init__(self, sim_env: Any) -> None:
        """Look up once what robosuite looks up at every physics step. ``follows_known_law`` must hold of ``sim_env``."""
        import mujoco
        from robosuite.utils import control_utils

        robot = sim_env.robots[0]
        model, data = sim_env.sim.model._model, sim_env.sim.data._data
        self._model, self._data = model, data
        self._jacobian_of = mujoco.mj_jacSite
        self._formulas = control_utils
        self._controller, self._gripper = robot.controller, robot.gripper
        self._site: int = robot.eef_site_id
        joints, dofs = _run(robot.controller.qpos_index), _run(robot.controller.qvel_index)
        self._position, self._turn = data.site_xpos[self._site], data.site_xmat[self._site].reshape(3, 3)
        self._angles, self._speeds, self._bias = data.qpos[joints], data.qvel[dofs], data.qfrc_bias[dofs]
        self._all_speeds, self._inertias = data.qvel, data.qM
        self._torques = data.ctrl[_run(robot._ref_joint_actuator_indexes)]
        self._fingers = data.ctrl[_run(robot._ref_joint_gripper_actuator_indexes)]
        self._dofs = dofs
        self._least, self._most = (np.array(limit) for limit in robot.torque_limits)
        ranges = model.actuator_ctrlrange[_run(robot._ref_joint_gripper_actuator_indexes)]
        self._middle, self._half = 0.5 * (ranges[:, 1] + ranges[:, 0]), 0.5 * (ranges[:, 1] - ranges[:, 0])
        numbers = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, numbers, np.arange(model.nM, dtype=np.float64))
        self._entries = numbers[dofs, dofs].astype(np.intp)  # where in MuJoCo's packed matrix each inertia is
        # The orders in memory are robosuite's: they decide how BLAS sums.
        self._jacobian = np.zeros((6, model.nv))
        self._linear, self._angular = self._jacobian[:3], self._jacobian[3:]
        self._both = np.zeros((6, JOINTS), order="F")
        self._moving, self._turning = np.zeros((3, JOINTS), order="F"), np.zeros((3, JOINTS), order="F")
        self._mass = np.zeros((JOINTS, JOINTS))
        self._wrench = np.zeros(6)

    def aim(self, action: NDArray[np.float64]) -> None:
        """Set the goal of a control step from an action [7], at the pose that mj_step1 has just computed."""
        controller = self._controller
        controller.ee_pos, controller.ee_ori_mat = self._position.copy(), self._turn.copy()
        controller.new_update = False  # the pose is there: without this it would be computed once more
        controller.set_goal(action[:6])
        controller.new_update = True
        self._goal, self._goal_turn = controller.goal_pos, controller.goal_ori
        self._pull, self._twist = controller.kp[:3], controller.kp[3:]
        self._brake, self._untwist = controller.kd[:3], controller.kd[3:]
        self._start = controller.initial_joint
        self._closing = np.array([-1.0, 1.0]) * self._gripper.speed * np.sign(action[6:])

    def act(self) -> None:
        """Write this physics step's torques (N m) and finger positions (m) into MuJoCo's controls."""
        formulas = self._formulas
        self._jacobian_of(self._model, self._data, self._linear, self._angular, self._site)
        arm = self._jacobian[:, self._dofs]
        self._both[:], self._moving[:], self._turning[:] = arm, arm[:3], arm[3:]
        mass = np.take(self._inertias, self._entries, out=self._mass, mode="clip").T
        velocity, spin = np.dot(self._linear, self._all_speeds), np.dot(self._angular, self._all_speeds)
        force = (self._goal - self._position) * self._pull + -velocity * self._brake
        error = formulas.orientation_error(self._goal_turn, self._turn)
        torque = error * self._twist + -spin * self._untwist
        _, felt_mass, felt_inertia, free = formulas.opspace_matrices(mass, self._both, self._moving, self._turning)
        np.dot(felt_mass, force, out=self._wrench[:3])
        np.dot(felt_inertia, torque, out=self._wrench[3:])
        torques = np.dot(self._both.T, self._wrench) + self._bias
        torques += formulas.nullspace_torques(mass, free, self._start, self._angles, self._speeds)
        np.minimum(np.maximum(torques, self._least, out=torques), self._most, out=self._torques)
        fingers = np.minimum(np.maximum(self._gripper.current_action + self._closing, -1.0), 1.0)
        self._gripper.current_action = fingers
        np.add(self._middle, self._half * fingers, out=self._fingers)


def follows_known_law(sim_env: Any) -> bool:
    """Whether a robot is one Panda under LIBERO's default law: relative poses, fixed stiffness, nothing interpolated."""
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
        and len(law.qvel_index) == JOINTS
    )


def _run(numbers: Any) -> slice:
    """Consecutive numbers as a slice, which is a view where a list of them makes a copy."""
    return slice(int(numbers[0]), int(numbers[0]) + len(numbers))


def _nothing() -> None:
    """Stands in for a forward pass whose result is already there."""
