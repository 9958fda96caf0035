"""One LIBERO task as a deterministic simulator that renders only when asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from world_modality.benchmarks.contract import Observation, Picture, Pose, Step
from world_modality.benchmarks.libero.arm import Arm, arm_of
from world_modality.benchmarks.libero.compiled import compiling_once
from world_modality.benchmarks.libero.distance import goal_distances
from world_modality.benchmarks.libero.goal import Contacts, GoalParts
from world_modality.benchmarks.libero.quiet import import_libero, silenced
from world_modality.benchmarks.libero.settling import SETTLE_STEPS, collision_fault, start_fault
from world_modality.benchmarks.libero.snapshot import Snapshot, put_back, take
from world_modality.benchmarks.libero.tasks import Task, load_task
from world_modality.benchmarks.libero.view import CAMERAS, View
from world_modality.errors import UserError
from world_modality.facts.benchmarks import LIBERO_ACTION
from world_modality.study.specs import SimSpec

PLACEMENT_ATTEMPTS = 100
HAND = "hand"

# robosuite samples what a policy sees one physics step before the control step ends (its sampling clock
# is two ticks ahead after the two forced samples of LIBERO's reset), so that is when it is sampled here.
SAMPLED_SUBSTEP = -2


class LiberoSimulator:
    """A :class:`~world_modality.benchmarks.contract.Simulator` that can also be restored."""

    def __init__(self, spec: SimSpec, task: int, assets: Path) -> None:
        """Load the task's scene (0.4 s, and once per process about 7 s of imports).

        Args:
            spec: suite, picture size, render style and settling.
            task: index of the task in the suite.
            assets: LIBERO's asset folder.

        Raises:
            UserError: no such suite or task, or the folder lacks an asset of this task.
        """
        self.spec = spec
        self.assets = Path(assets).resolve()  # robosuite takes relative paths as its own
        self.task = self._find_task(task)
        self._sim_env = self._load()
        self._arm = self._take_over()
        robot = self._sim_env.robots[0]  # whose numbers are the same in every scene of the task
        body = self._sim_env.sim.model.body_name2id(robot.robot_model.eef_name)
        self._hand_ids = body, robot.eef_site_id, robot._ref_gripper_joint_pos_indexes
        self._goal = GoalParts(self._sim_env)
        self._view = View(self._sim_env.sim.model._model, spec)
        self._started = self._fault = ""
        self.placed: Mapping[str, Pose] = {}
        """Where the recorded initial state has the movable objects, before they settle; empty where none was."""
        self._look()
        self._seen_pose = self._measure_pose()

    @property
    def language(self) -> str:
        """The instruction, as in the public dataset."""
        return self.task.language

    @property
    def init_state_digest(self) -> str:
        """16 hex digits of the recorded state that the episode started from, or of the placement that was drawn."""
        return self._started

    def reset(self, init_state: int | None, seed: int) -> None:
        """Start an episode in LIBERO's official order: seed, hard reset, init state, settling no-ops.

        The seed decides what init states leave open (poses of cabinet and stove), and everything without one.
        """
        states = self.task.init_states
        if init_state is not None and not 0 <= init_state < len(states):
            raise UserError(
                f"{self.spec.suite} task {self.task.index} has no initial state {init_state}; choose from 0 to "
                f"{len(states) - 1}"
            )
        env = self._open()
        self._use_assets()
        np.random.seed(seed % 2**32)
        self._hard_reset()
        self._arm = self._take_over()
        self._view.follow(env.sim.model._model)
        if init_state is None:
            drawn = np.asarray(env.sim.get_state().flatten(), dtype=np.float64)
            self._started = hashlib.sha256(drawn.tobytes()).hexdigest()[:16]
        else:
            self._started = self.task.init_state_digest(init_state)
            env.sim.set_state_from_flattened(states[init_state])
        env.sim.forward()
        env._post_process()
        self.placed = {name: self._body_pose(name) for name in self.objects} if init_state is not None else {}
        self._look()
        self._seen_pose = self._measure_pose()
        fastest = 0.0
        for _ in range(self.spec.settle_steps):
            self.step(LIBERO_ACTION.no_op)
            fastest = max(fastest, float(np.abs(env.sim.data._data.qvel).max()))
        self._fault = self._find_fault(fastest, init_state)

    def step(self, action: ArrayLike) -> Step:
        """Execute one action [7] for one control step (1/20 s); LIBERO never ends an episode by itself.

        robosuite makes three forward passes per physics step: in the environment, in the controller and inside mj_step.
        Positions and velocities are the same in all of them, so they are computed once. The solver of contact forces
        starts where it last ended, though, so the first two move what the third finds in its last bits: the spec's
        ``exact`` solves three times as well, and equals robosuite's own ``step`` bit for bit.
        """
        import mujoco

        env = self._open()
        model, data = env.sim.model._model, env.sim.data._data
        command = np.asarray(action, dtype=np.float64)
        if command.shape != (LIBERO_ACTION.size,):
            raise ValueError(f"an action of LIBERO is {LIBERO_ACTION.size} numbers, not of shape {command.shape}")
        substeps = int(env.control_timestep / env.model_timestep)
        env.timestep += 1
        for substep in range(substeps):
            self._drive()
            sampled = substep == substeps + SAMPLED_SUBSTEP
            if sampled:
                self._look()
            mujoco.mj_step1(model, data)
            if self.spec.exact:  # with the controls of the physics step before, as robosuite's first two passes
                mujoco.mj_forwardSkip(model, data, mujoco.mjtStage.mjSTAGE_VEL, 1)
                mujoco.mj_fwdConstraint(model, data)
            if substep == 0:
                self._arm.aim(command)
            self._arm.act()
            mujoco.mj_step2(model, data)
            if sampled:
                self._seen_pose = self._measure_pose()
        env.cur_time += env.control_timestep
        reward, _, _ = env._post_action(command)
        return Step(success=bool(reward > 0), terminated=False, reward=float(reward), progress=self._goal.progress)

    def qpos(self) -> NDArray[np.float64]:
        """A copy of the simulator's joint positions [nq]."""
        return np.array(self._open().sim.data.qpos)

    def state(self) -> NDArray[np.float32]:
        """The robot's state, float32 [8]: end effector position (m) and axis-angle (rad), two finger positions (m).

        Equal to what LeRobot's LiberoProcessorStep makes of LeRobot's LIBERO environment.
        """
        position, quaternion, fingers = np.split(self._seen_pose, (3, 7))
        return np.asarray(np.concatenate((position, axis_angle(quaternion), fingers)), dtype=np.float32)

    def render(self, camera: str) -> Picture:
        """The picture of one camera, uint8 [H, W, 3], turned by 180 degrees as in the dataset."""
        self._open()
        return self._view.picture(self._seen_qpos, self._seen_lights, camera)

    def observe(self, cameras: Sequence[str] | None = None) -> Observation:
        """Pictures, by default both, and the state."""
        self._open()
        chosen = tuple(CAMERAS) if cameras is None else cameras
        return Observation({camera: self.render(camera) for camera in chosen}, self.state())

    def poses(self) -> Mapping[str, Pose]:
        """Poses of objects and fixtures, and of the point between the fingers."""
        env, data = self._open(), self._open().sim.data
        found = {name: self._body_pose(name) for name in (*self.objects, *self.fixtures)}
        robot = env.robots[0]
        turned = data.get_body_xquat(robot.robot_model.eef_name)
        return {**found, HAND: np.concatenate((data.site_xpos[robot.eef_site_id], turned))}

    def start_fault(self) -> str:
        """What settled otherwise than in the physics of published evaluations, in words; empty if nothing did."""
        return self._fault

    def goal_distances(self) -> Mapping[str, float]:
        """How far each conjunct of the goal is from holding: m, or the share of a joint's way."""
        return goal_distances(self._open(), self.goal)

    def snapshot(self) -> Snapshot:
        """The moment between two steps; see :class:`~world_modality.benchmarks.contract.Restorable`."""
        return take(self._open(), self, (self._seen_qpos, self._seen_lights, self._seen_pose))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this simulator."""
        if snapshot.task is not self:
            raise ValueError("a snapshot can be restored only by the simulator that made it")
        put_back(self._open(), snapshot)
        self._arm = arm_of(self._sim_env)  # which holds on to the data that were there
        self._seen_qpos, self._seen_lights, self._seen_pose = (value.copy() for value in snapshot.seen)

    @property
    def goal(self) -> tuple[tuple[str, ...], ...]:
        """The conjuncts of the task's goal, e.g. (("on", "akita_black_bowl_1", "plate_1"),)."""
        return tuple(tuple(conjunct) for conjunct in self._open().parsed_problem["goal_state"])

    @property
    def robosuite(self) -> Any:
        """robosuite's environment, for experts, which see more than a policy; RuntimeError after ``close``."""
        return self._open()

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of the movable objects."""
        return tuple(self._sim_env.objects_dict)

    @property
    def fixtures(self) -> tuple[str, ...]:
        """Names of the fixtures (table, cabinet, stove)."""
        return tuple(self._sim_env.fixtures_dict)

    def position(self, name: str) -> NDArray[np.float64]:
        """World position [3] (m) of an object's or fixture's origin, for experts and tests, not for policies."""
        env = self._open()
        return np.array(env.sim.data.body_xpos[env.obj_body_id[name]])

    def hand(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """World position [3] (m) and rotation matrix [3, 3] of the point between the fingers."""
        site, data = self._open().robots[0].eef_site_id, self._open().sim.data
        return np.array(data.site_xpos[site]), np.array(data.site_xmat[site]).reshape(3, 3)

    def touched(self) -> frozenset[str]:
        """Names of the movable objects that the hand or its fingers touch now."""
        env = self._open()
        gripper = env.robots[0].gripper
        return frozenset(name for name in self.objects if env.check_contact(gripper, env.get_object(name)))

    def close(self) -> None:
        """Free the simulator and its OpenGL context."""
        self._view.close()
        if self._sim_env is not None:
            self._sim_env.close()
            self._sim_env = None

    def _find_task(self, index: int) -> Task:
        """What the scene is built from."""
        return load_task(self.spec.suite, index)

    def _drive(self) -> None:
        """Before every physics step: put what moves by itself where it is then. In LIBERO nothing does."""

    def _open(self) -> Any:
        """robosuite's environment; RuntimeError after ``close``."""
        if self._sim_env is None:
            raise RuntimeError(f"the simulator of {self.spec.suite} task {self.task.index} is closed")
        return self._sim_env

    def _body_pose(self, name: str) -> Pose:
        data, body = self._sim_env.sim.data, self._sim_env.obj_body_id[name]
        return np.concatenate((data.body_xpos[body], data.body_xquat[body]))

    def _find_fault(self, fastest: float, init_state: int | None) -> str:
        if not self.placed:
            return ""
        moved = ""
        if self.spec.settle_steps == SETTLE_STEPS:
            moved = start_fault(self.spec.suite, self.task.index, self.placed, self.poses(), init_state)
        return "; ".join(filter(None, (moved, collision_fault(fastest))))

    def _look(self) -> None:
        """Keep what pictures of this moment are drawn from: joint positions, and what glows (a stove that is on)."""
        sim = self._sim_env.sim
        self._seen_qpos = sim.data._data.qpos.copy()
        self._seen_lights = sim.model._model.site_rgba.copy()

    def _measure_pose(self) -> NDArray[np.float64]:
        """What the state is made of [9]: position (m), quaternion (x, y, z, w), two finger positions (m)."""
        data, (body, site, fingers) = self._sim_env.sim.data._data, self._hand_ids
        return np.concatenate((data.site_xpos[site], data.xquat[body, [1, 2, 3, 0]], data.qpos[fingers]))

    def _use_assets(self) -> None:
        """hf-libero reads the asset folder from a global while it constructs objects."""
        libero: Any = import_libero()
        libero._assets_path_cache = str(self.assets)

    def _load(self) -> Any:
        self._use_assets()
        from libero.libero.envs.env_wrapper import ControlEnv

        try:
            with silenced(), compiling_once():
                wrapper = ControlEnv(
                    bddl_file_name=str(self.task.bddl),
                    use_camera_obs=False,
                    has_offscreen_renderer=False,
                    ignore_done=True,
                )
        except FileNotFoundError as error:
            raise UserError(
                f"the LIBERO asset folder {self.assets} lacks {error.filename}, which task {self.task.index} of "
                f"{self.spec.suite} needs: use assets that cover this suite"
            ) from error
        wrapper.env.check_contact = Contacts(wrapper.env).check
        for observable in wrapper.env._observables.values():
            observable.set_enabled(False)
            observable.set_active(False)
        return wrapper.env

    def _take_over(self) -> Arm:
        """What moves the arm of the scene that was just built. Its sensors, which nobody reads, are left out."""
        import mujoco

        self._sim_env.sim.model._model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_SENSOR
        return arm_of(self._sim_env)

    def _hard_reset(self) -> None:
        """Rebuild the scene; a placement that does not fit is drawn again, as hf-libero does."""
        from robosuite.utils.errors import RandomizationError

        own = self._sim_env.sim.model._model
        for _ in range(PLACEMENT_ATTEMPTS):
            # hf-libero appends to these lists at every load and draws from np.random for each entry of the first,
            # so without this the scene of a given seed would depend on how many resets came before.
            self._sim_env.object_property_initializers.clear()
            self._sim_env.visualization_sites_list.clear()
            try:
                with silenced(), compiling_once(own):
                    self._sim_env.reset()
                return
            except RandomizationError:
                continue
        raise RuntimeError(f"no placement found for task {self.task.index} in {PLACEMENT_ATTEMPTS} attempts")


def axis_angle(quaternion: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rotation vector (rad) of a unit quaternion (x, y, z, w): axis times 2 acos(w), in torch's float32 like LeRobot's.

    numpy's acos and square root differ from torch's in the last bit.
    """
    import torch

    q = torch.from_numpy(quaternion).float()
    w = q[3:].clamp(-1.0, 1.0)
    sine = (1.0 - w * w).clamp(min=0.0).sqrt()
    if sine.item() <= 1e-10:
        return np.zeros(3, np.float32)
    return np.asarray((q[:3] / sine * (2.0 * torch.acos(w))).numpy(), dtype=np.float32)
