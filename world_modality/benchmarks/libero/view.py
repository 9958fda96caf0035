"""Pictures of a scene at given joint positions, drawn beside the physics and never touching it.

``render: coarse`` draws fewer triangles: what a small picture shows hardly changes.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.libero.sight import out_of_sight, reflecting
from world_modality.study.specs import SimSpec

CAMERAS: dict[str, str] = {"image": "agentview", "image2": "robot0_eye_in_hand"}
MAX_GEOMS = 2000
COLLISION_GROUP = 0  # robosuite's convention: group 0 collides, group 1 shows
UNSEEN_GROUP = 5  # MuJoCo's last, which nothing in these scenes is in

POSE_FIELDS = ("body_pos", "body_quat")  # what resets change in a model; steps change its site_rgba: a stove glows
CELL = 0.003  # metres: about a pixel of 256 at a metre's distance; from 8 mm on thin walls get holes
LEAST_FACES = 200  # meshes with fewer are left alone


class View:
    """A renderer of one task's MuJoCo model, with simulation data of its own.

    The OpenGL context is created at the first picture, so a simulator that never renders needs none, and is kept
    over resets: uploading the arm's meshes again costs as much as ten pictures.
    """

    def __init__(self, model: Any, spec: SimSpec) -> None:
        """Prepare to render ``model``, a mujoco.MjModel, in the spec's size and style."""
        self._source = model
        self._spec = spec
        self._model: Any = None  # the one whose meshes and textures the OpenGL context holds
        self._data: Any = None
        self._renderer: Any = None
        self._option: Any = None
        self._groups: Any = None  # of the model's geoms, before any is out of sight
        self._mirrors: tuple[int, ...] = ()  # geoms that are drawn to reflect
        self._shadows = False  # whether any are drawn

    def follow(self, model: Any) -> None:
        """Go on with ``model``, which a reset built anew from the same files: only its POSE_FIELDS may differ."""
        self._source = model

    def picture(self, qpos: NDArray[np.float64], lights: NDArray[np.float32], camera: str) -> NDArray[np.uint8]:
        """The scene at joint positions [nq] and colours of sites [nsite, 4], uint8 [H, W, 3].

        It is turned by 180 degrees as in the public dataset.
        """
        import mujoco

        if self._renderer is None:
            self._open()
        for field in POSE_FIELDS:
            getattr(self._model, field)[:] = getattr(self._source, field)
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        unseen = out_of_sight(self._model, self._data, CAMERAS[camera], self._mirrors)
        if not self._shadows:  # which may be those of what is not seen
            self._model.geom_group[:] = np.where(unseen.geoms, UNSEEN_GROUP, self._groups)
        now, self._model.site_rgba[:] = self._model.site_rgba.copy(), lights
        self._renderer.update_scene(self._data, CAMERAS[camera], self._option)
        self._model.site_rgba[:] = now  # the physics may be running on this model
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = self._shadows
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = unseen.mirrored is not None
        if unseen.mirrored is not None and not self._shadows:
            self._renderer.leave_out_of_mirrors(unseen.mirrored)
        upright: NDArray[np.uint8] = self._renderer.render()
        # LIBERO's raw pictures are upside down; the dataset turns those by 180 degrees, which leaves a mirror image.
        return np.ascontiguousarray(upright[:, ::-1])

    def close(self) -> None:
        """Free the OpenGL context."""
        if self._renderer is not None:
            self._renderer.close()
        self._renderer = self._data = self._model = None

    def _open(self) -> None:
        import mujoco

        from world_modality.benchmarks.renderer import Renderer

        self._model = self._source
        if self._spec.render == "coarse":
            self._model = copy(self._source)  # physics runs on the other one
            simplify_meshes(self._model)
        size = self._spec.camera_size
        frame = self._model.vis.global_
        frame.offwidth, frame.offheight = max(frame.offwidth, size), max(frame.offheight, size)
        if self._spec.render != "stock":
            self._model.vis.quality.offsamples = 0  # read when the context is made
        self._data = mujoco.MjData(self._model)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[COLLISION_GROUP] = self._option.geomgroup[UNSEEN_GROUP] = 0
        self._groups = self._model.geom_group.copy()
        if self._spec.render == "stock":
            self._shadows = bool((self._model.light_castshadow & self._model.light_active).any())
            self._mirrors = reflecting(self._model, self._groups != COLLISION_GROUP)
        self._renderer = Renderer(self._model, size, size, max_geom=MAX_GEOMS)


def simplify_meshes(model: Any, cell: float = CELL) -> int:
    """Simplify every mesh of a mujoco.MjModel in place; how many triangles are left.

    Vertices that share a cell of a cubic grid become one of them, and triangles with fewer than three different
    corners go (Rossignac and Borrel 1993, vertex clustering). A corner keeps its own normal and texture coordinate.
    For a model of one's own that no physics runs on: collisions and inertias were computed from the full meshes.
    """
    left = 0
    for mesh in range(model.nmesh):
        start, count = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
        if count >= LEAST_FACES:
            first = int(model.mesh_vertadr[mesh])
            vertices = model.mesh_vert[first : first + int(model.mesh_vertnum[mesh])]
            kept, faces = clustered(vertices, model.mesh_face[start : start + count], cell)
            own = slice(start, start + len(kept))
            for corners in (model.mesh_facenormal, model.mesh_facetexcoord):
                corners[own] = corners[start + kept]
            model.mesh_face[own] = faces
            model.mesh_facenum[mesh] = len(kept)
        left += int(model.mesh_facenum[mesh])
    return left


def clustered(
    vertices: NDArray[np.float32], faces: NDArray[np.int32], cell: float
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Which of ``faces`` [F, 3] are left, and their corners after ``vertices`` [V, 3] were clustered.

    A cell is stood for by its vertex nearest to the mean of all of them. Of triangles with the same corners one stays.
    """
    cells, member = np.unique(_packed(np.floor(vertices / cell).astype(np.int64)), return_inverse=True)
    sums = np.zeros((len(cells), 3))
    np.add.at(sums, member, vertices)
    means = sums / np.bincount(member)[:, None]
    distance = np.linalg.norm(vertices - means[member], axis=1)
    order = np.lexsort((distance, member))
    standing = order[np.searchsorted(member[order], np.arange(len(cells)))]
    moved = standing[member][faces].astype(np.int32)
    a, b, c = moved.T
    whole = np.flatnonzero((a != b) & (b != c) & (a != c))
    _, one_each = np.unique(_packed(np.sort(moved[whole], axis=1).astype(np.int64)), return_index=True)
    kept = whole[np.sort(one_each)]
    return kept, moved[kept]


def _packed(triples: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole numbers [N], equal where triples [N, 3] are: sorting those takes a tenth of the time."""
    if not len(triples):
        return np.zeros(0, np.int64)
    numbers = triples - triples.min(axis=0)
    sizes = numbers.max(axis=0) + 1
    return np.asarray((numbers[:, 0] * sizes[1] + numbers[:, 1]) * sizes[2] + numbers[:, 2])
