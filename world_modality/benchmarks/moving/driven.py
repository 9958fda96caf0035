"""A movable object of a scene that goes where it is told, whatever touches it, and takes along what lies on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MASS = 100.0  # kg: what a hand or a load does to it within one physics step is not seen
COLLIDES = 1 << 20  # a bit of MuJoCo's collision masks that no scene uses


class DrivenObject:
    """One of the objects of a scene that was just built or restored, until the next one is.

    It has no weight and does not touch what stands fast: friction on the table would be felt by what lies on it.
    """

    def __init__(self, sim_env: Any, name: str) -> None:
        """Take over the object ``name`` of a robosuite environment, which lies where it has settled."""
        self._model, self._data = sim_env.sim.model._model, sim_env.sim.data._data
        self._body = sim_env.obj_body_id[name]
        joint = self._model.body_jntadr[self._body]
        self._qpos, self._dof = int(self._model.jnt_qposadr[joint]), int(self._model.jnt_dofadr[joint])
        self.rest: NDArray[np.float64] = self._data.qpos[self._qpos + 2 : self._qpos + 7].copy()
        """Its height (m) and turn (quaternion), which stay."""
        self._free()

    def put(self, place: NDArray[np.float64], velocity: NDArray[np.float64]) -> None:
        """Be at ``place`` [2] (m) with ``velocity`` [2] (m/s) at the beginning of a physics step."""
        self._data.qpos[self._qpos : self._qpos + 2] = place
        self._data.qpos[self._qpos + 2 : self._qpos + 7] = self.rest
        self._data.qvel[self._dof : self._dof + 2] = velocity
        self._data.qvel[self._dof + 2 : self._dof + 6] = 0.0

    def _free(self) -> None:
        """Make it heavy, weightless, and blind to what stands fast."""
        model, body, dofs = self._model, self._body, slice(self._dof, self._dof + 6)
        parts = model.body_rootid == body
        more = MASS / model.body_subtreemass[body]
        model.body_subtreemass[0] += MASS - model.body_subtreemass[body]
        for heavier in (model.body_mass, model.body_inertia, model.body_subtreemass):
            heavier[parts] *= more
        model.body_invweight0[parts] /= more
        model.dof_invweight0[dofs] /= more
        model.dof_M0[dofs] *= more
        self._data.qfrc_applied[self._dof : self._dof + 3] = -MASS * model.opt.gravity
        own = parts[model.geom_bodyid]
        solid = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
        fast = model.body_weldid[model.geom_bodyid] == 0
        model.geom_conaffinity[solid & ~own & ~fast] |= COLLIDES
        model.geom_contype[solid & own] = COLLIDES
        model.geom_conaffinity[solid & own] = 0
