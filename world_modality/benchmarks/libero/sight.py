"""What no pixel of a camera's picture shows, so that it need not be drawn.

MuJoCo draws the whole scene once more for the first box or plane that reflects, cut out by its upper face, whether
that face is in the picture or not (``render_gl3.c`` of MuJoCo 3.3.2). All of this is decided by spheres around geoms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLACK = 0.05  # m; no geom is taken for unseen that comes closer than this to what a camera sees

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

    def misses(self, centres: Points, radii: Points) -> Mask:
        """Whether spheres [n] lie behind the camera or beside what it sees.

        At the origin, looking along d = -z, it sees a sphere (x, y, z) of radius r at most where
        ``x cos a - d sin a <= r``, for x, -x, y and -y, a being half its angle.
        """
        own = (centres - self.position) @ self.axes
        depth, radius = -own[:, 2], radii + SLACK
        beside = np.abs(own[:, :2]).max(axis=1) * np.cos(self.half) - depth * np.sin(self.half)
        return np.asarray((depth < -radius) | (beside > radius))


@dataclass(frozen=True)
class Mirror:
    """The upper face of a geom that reflects."""

    centre: Points  # [3]
    normal: Points  # [3]
    radius: float
    """Of the sphere that holds the face; infinite for a plane without an end."""

    @classmethod
    def of(cls, model: Any, data: Any, geom: int) -> Mirror:
        """That of a box, or a plane itself."""
        import mujoco

        size, normal = model.geom_size[geom], np.array(data.geom_xmat[geom]).reshape(3, 3)[:, 2]
        plane = model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE
        radius = np.inf if plane and not size[:2].all() else float(np.hypot(size[0], size[1]))
        return cls(data.geom_xpos[geom] + (0.0 if plane else size[2]) * normal, normal, radius)

    def is_seen(self, sight: Sight) -> bool:
        """Whether it may be in the picture, from the side that reflects."""
        if (sight.position - self.centre) @ self.normal < -SLACK:
            return False
        return np.isinf(self.radius) or not bool(sight.misses(self.centre[None], np.array([self.radius]))[0])

    def shows(self, sight: Sight, centres: Points, radii: Points) -> Mask:
        """Whether the mirror images of spheres [n] may lie in the cone from the camera around the face."""
        height = (centres - self.centre) @ self.normal
        radius = radii + SLACK
        towards = self.centre - sight.position
        distance = float(np.linalg.norm(towards))
        if distance <= self.radius + SLACK:
            return np.asarray(height > -radius)
        image = centres - 2 * height[:, None] * self.normal - sight.position
        far = np.linalg.norm(image, axis=1)
        cosine = np.clip(image @ towards / np.maximum(far * distance, 1e-12), -1, 1)
        wide = np.arcsin(np.minimum(1.0, radius / np.maximum(far, 1e-12)))
        inside = np.arccos(cosine) <= np.arcsin((self.radius + SLACK) / distance) + wide
        return np.asarray((height > -radius) & (inside | (far <= radius)))


def reflecting(model: Any, shown: Mask) -> tuple[int, ...]:
    """The geoms among those ``shown`` [ngeom] that MuJoCo may reflect the scene in."""
    import mujoco

    flat = np.isin(model.geom_type, (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_BOX))
    material = model.geom_matid
    reflects = (material >= 0) & (model.mat_reflectance[material] > 0) if model.nmat else np.zeros(model.ngeom, bool)
    return tuple(int(geom) for geom in np.flatnonzero(flat & shown & reflects))


def out_of_sight(model: Any, data: Any, camera: str, mirrors: tuple[int, ...]) -> tuple[Mask, bool]:
    """Geoms [ngeom] that no pixel shows, and whether any of the geoms ``mirrors`` may be seen to reflect.

    Planes, which have no radius, and the mirrors are always in sight.
    """
    sight = Sight.of(model, data, camera)
    centres, radii = data.geom_xpos, model.geom_rbound
    unseen = (radii > 0) & sight.misses(centres, radii)
    seen = [mirror for mirror in (Mirror.of(model, data, geom) for geom in mirrors) if mirror.is_seen(sight)]
    for mirror in seen:
        unseen &= ~mirror.shows(sight, centres, radii)
    unseen[list(mirrors)] = False
    return unseen, bool(seen)
