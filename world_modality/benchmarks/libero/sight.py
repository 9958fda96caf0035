"""What no pixel of a camera's picture shows, so that it need not be drawn.

MuJoCo draws the whole scene once more for the first box or plane that reflects, cut out by its upper face, whether
that face is in the picture or not (``render_gl3.c`` of MuJoCo 3.3.2). All of this is decided by spheres around geoms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLACK = 0.005  # m; no geom is taken for unseen that comes closer than this to what a camera sees

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Sight:
    """A camera of a square picture, now."""

    position: Points  # [3]
    axes: Points  # [3, 3]: its columns are right, up and backwards
    half: float
    """Half the angle that it sees, rad."""

    @classmethod
    def of(cls, model: Any, data: Any, camera: str) -> Sight:
        """That of a named camera, once ``mj_camlight`` has placed it."""
        number = model.camera(camera).id
        axes = np.array(data.cam_xmat[number]).reshape(3, 3)
        return cls(np.array(data.cam_xpos[number]), axes, float(np.deg2rad(model.cam_fovy[number])) / 2)

    def sides(self, centres: Points, radii: Points) -> Mask:
        """Whether spheres [n] lie behind the camera, or beyond one of the four sides of what it sees: [5, n].

        At the origin, looking along d = -z, it sees a sphere (x, y, z) of radius r at most where
        ``x cos a - d sin a <= r``, for x, -x, y and -y, a being half its angle.
        """
        x, y, z = ((centres - self.position) @ self.axes).T
        radius, near, far = radii + SLACK, np.cos(self.half), -z * np.sin(self.half)
        return np.asarray([z > radius, *(each * near - far > radius for each in (x, -x, y, -y))])

    def misses(self, centres: Points, radii: Points) -> Mask:
        """Whether spheres [n] are in no place that it sees."""
        return np.asarray(self.sides(centres, radii).any(axis=0))


@dataclass(frozen=True)
class Mirror:
    """The upper face of a geom that reflects."""

    centre: Points  # [3]
    normal: Points  # [3]
    corners: Points  # [4, 3], in a ring; [0, 3] of a plane without an end

    @classmethod
    def of(cls, model: Any, data: Any, geom: int) -> Mirror:
        """That of a box, or a plane itself."""
        import mujoco

        size, axes = model.geom_size[geom], np.array(data.geom_xmat[geom]).reshape(3, 3)
        plane = model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE
        centre = data.geom_xpos[geom] + (0.0 if plane else size[2]) * axes[:, 2]
        ring = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]] if size[:2].all() else []).reshape(-1, 2)
        return cls(centre, axes[:, 2], centre + (ring * size[:2]) @ axes[:, :2].T)

    def is_seen(self, sight: Sight) -> bool:
        """Whether it may be in the picture, from the side that reflects."""
        if (sight.position - self.centre) @ self.normal < -SLACK:
            return False
        return not len(self.corners) or not sight.sides(self.corners, np.zeros(4)).all(axis=1).any()

    def shows(self, sight: Sight, centres: Points, radii: Points) -> Mask:
        """Whether the mirror images of spheres [n] may lie in the pyramid from the camera through the face."""
        height, radius = (centres - self.centre) @ self.normal, radii + SLACK
        images = centres - 2 * height[:, None] * self.normal
        shown = (height > -radius) & ~sight.misses(images, radii)
        for one, other in zip(self.corners, np.roll(self.corners, 1, axis=0), strict=True):
            inwards = np.cross(one - sight.position, other - sight.position)
            inwards *= np.sign(inwards @ (self.centre - sight.position)) / max(float(np.linalg.norm(inwards)), 1e-12)
            shown &= (images - sight.position) @ inwards > -radius
        return np.asarray(shown)


def reflecting(model: Any, shown: Mask) -> tuple[int, ...]:
    """The geoms among those ``shown`` [ngeom] that MuJoCo may reflect the scene in."""
    import mujoco

    flat = np.isin(model.geom_type, (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_BOX))
    material = model.geom_matid
    reflects = (material >= 0) & (model.mat_reflectance[material] > 0) if model.nmat else np.zeros(model.ngeom, bool)
    return tuple(int(geom) for geom in np.flatnonzero(flat & shown & reflects))


@dataclass(frozen=True)
class Unseen:
    """What need not be drawn of a picture."""

    geoms: Mask
    """[ngeom]: no pixel shows them, nor their mirror images."""
    mirrored: Mask | None
    """[ngeom]: no pixel shows their mirror images; None if no mirror is in the picture."""


def out_of_sight(model: Any, data: Any, camera: str, mirrors: tuple[int, ...]) -> Unseen:
    """What a camera does not see of a scene, nor in any of the geoms ``mirrors``.

    Planes, which have no radius, and the mirrors are always in sight.
    """
    sight = Sight.of(model, data, camera)
    centres, radii = data.geom_xpos, model.geom_rbound
    unseen = (radii > 0) & sight.misses(centres, radii)
    unseen[list(mirrors)] = False
    seen = [mirror for mirror in (Mirror.of(model, data, geom) for geom in mirrors) if mirror.is_seen(sight)]
    if not seen:
        return Unseen(unseen, None)
    mirrored = (radii > 0) & ~np.any([mirror.shows(sight, centres, radii) for mirror in seen], axis=0)
    return Unseen(unseen & mirrored, mirrored)
