"""Operational space control of a seven-jointed arm, after Khatib (1987), as robosuite computes it to the last bit.

A force that pulls the point between the fingers to its goal, and a torque that turns it, each times the inertia that
is felt at that point, become torques of the joints. What the task leaves free pulls the joints to where they began.
Each step is the function of numpy or robosuite that robosuite's own controller calls, for arrays of the same shape and
order in memory, which decide how BLAS and LAPACK round. It is compiled as robosuite compiles its own, and kept beside
this file. Importing it imports robosuite.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from world_modality.benchmarks.libero.quiet import import_libero

import_libero()  # quietly: robosuite must not be imported without
_formulas = importlib.import_module("robosuite.utils.control_utils")
_opspace_matrices = _formulas.opspace_matrices
_nullspace_torques = _formulas.nullspace_torques
_orientation_error = _formulas.orientation_error

JOINTS = 7


def write_controls(
    place: Any,
    turn: Any,
    jacobian: Any,
    speeds: Any,
    inertias: Any,
    entries: Any,
    bias: Any,
    angles: Any,
    goal: Any,
    goal_turn: Any,
    gains: Any,
    start: Any,
    hand: Any,
    first: int,
    limits: Any,
    torques: Any,
    fingers: Any,
) -> None:
    """Write the joints' torques [7] (N m), within their limits, and the positions [2] (m) that the fingers are sent to.

    Args:
        place: position [3] (m) of the point between the fingers.
        turn: its rotation matrix [3, 3].
        jacobian: of its linear and angular velocity [6, nv].
        speeds: of all joints of the scene [nv].
        inertias: MuJoCo's packed mass matrix [nM].
        entries: where the arm's own is in it [7, 7].
        bias: torques [7] against gravity and the like.
        angles: of the arm's joints [7].
        goal: where the point is to be [3],
        goal_turn: and how turned [3, 3].
        gains: stiffness and damping [2, 6].
        start: angles [7] that the joints began with.
        hand: how closed the fingers are from -1 to 1, which is moved on, and by how much; the middle and half the width
            of what they are sent to: [4, 2].
        first: the arm's first number in ``speeds``.
        limits: least and greatest torques [2, 7].
        torques: a result,
        fingers: and the other.
    """
    last = first + JOINTS
    both, linear, angular = np.empty((JOINTS, 6)).T, np.empty((JOINTS, 3)).T, np.empty((JOINTS, 3)).T
    both[:] = jacobian[:, first:last]
    linear[:] = jacobian[:3, first:last]
    angular[:] = jacobian[3:, first:last]
    mass = np.take(inertias, entries).T
    velocity, spin = np.dot(jacobian[:3], speeds), np.dot(jacobian[3:], speeds)
    error = _orientation_error(goal_turn, turn)
    force = (goal - place) * gains[0, :3] + -velocity * gains[1, :3]
    torque = error * gains[0, 3:] + -spin * gains[1, 3:]
    _, felt_mass, felt_inertia, free = _opspace_matrices(mass, both, linear, angular)
    wrench = np.empty(6)
    wrench[:3] = np.dot(felt_mass, force)
    wrench[3:] = np.dot(felt_inertia, torque)
    wanted = np.dot(both.T, wrench) + bias
    wanted += _nullspace_torques(mass, free, start, angles, speeds[first:last])
    torques[:] = np.minimum(np.maximum(wanted, limits[0]), limits[1])
    hand[0] = np.minimum(np.maximum(hand[0] + hand[1], -1.0), 1.0)
    fingers[:] = hand[2] + hand[3] * hand[0]


compiled: Any = importlib.import_module("robosuite.utils.numba").jit_decorator(write_controls)
