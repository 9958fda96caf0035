"""Collision shapes as boxes: where they are, what they enclose, and the points that they are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Boxes:
    """``n`` boxes in the world (m)."""

    centers: Vector
    """[n, 3]"""
    rotations: Vector
    """[n, 3, 3], columns are a box's axes."""
    halves: Vector
    """[n, 3], half of each edge."""

    def __len__(self) -> int:
        return len(self.centers)

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """Lower and upper corners [n, 3] of the boxes around them that are parallel to the world's axes."""
        reach = np.einsum("nij,nj->ni", np.abs(self.rotations), self.halves)
        return self.centers - reach, self.centers + reach

    @property
    def low(self) -> Vector:
        """Lower corner [3] of all."""
        return np.asarray(self.bounds[0].min(axis=0))

    @property
    def high(self) -> Vector:
        """Upper corner [3] of all."""
        return np.asarray(self.bounds[1].max(axis=0))

    def near(self, point: Vector, reach: float) -> Boxes:
        """Those that come within ``reach`` (m, per axis) of a point [3]."""
        low, high = self.bounds
        return self.chosen(np.all((low < point + reach) & (high > point - reach), axis=1))

    def chosen(self, mask: NDArray[np.bool_]) -> Boxes:
        """Those that ``mask`` [n] marks."""
        return Boxes(self.centers[mask], self.rotations[mask], self.halves[mask])

    def moved(self, by: Vector) -> Boxes:
        """All of them somewhere else, ``by`` [3] (m) away."""
        return Boxes(self.centers + by, self.rotations, self.halves)

    def contain(self, points: Vector, margin: float) -> NDArray[np.bool_]:
        """Which of the points [m, 3] lie in any box made larger by ``margin`` on every side: [m]."""
        local = np.einsum("nji,nmj->nmi", self.rotations, points[None] - self.centers[:, None])
        inside = np.all(np.abs(local) <= (self.halves + margin)[:, None], axis=2)
        return np.asarray(inside.any(axis=0))

    def points(self, spacing: float) -> Vector:
        """Points [m, 3] that fill the boxes, at most ``spacing`` apart, their corners among them."""
        clouds = []
        for center, rotation, half in zip(self.centers, self.rotations, self.halves, strict=True):
            axes = [np.linspace(-edge, edge, 1 + max(1, int(np.ceil(2 * edge / spacing)))) for edge in half]
            grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
            clouds.append(center + grid @ rotation.T)
        return np.concatenate(clouds) if clouds else np.zeros((0, 3))

    @staticmethod
    def together(parts: list[Boxes]) -> Boxes:
        """All boxes of several collections."""
        if not parts:
            return Boxes(np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros((0, 3)))
        return Boxes(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("centers", "rotations", "halves")))


def rotation_vector(rotation: Vector) -> Vector:
    """Axis times angle (rad) of a rotation matrix [3, 3] that turns by less than half a turn (Rodrigues' formula)."""
    angle = float(np.arccos(np.clip((np.trace(rotation) - 1.0) / 2.0, -1.0, 1.0)))
    if angle < 1e-3:
        return np.zeros(3)
    skew = rotation - rotation.T
    axis = np.array([skew[2, 1], skew[0, 2], skew[1, 0]]) / (2.0 * np.sin(angle))
    return np.asarray(axis * angle)


def about_z(angle: float) -> Vector:
    """The rotation [3, 3] by ``angle`` (rad) about the vertical."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def rectangle(points: Vector) -> tuple[float, Vector, Vector]:
    """The narrowest upright rectangle around points [m, 2]: angle of its long side, half edges [2] long first, middle.

    The angle (rad) is in [-pi/2, pi/2); found on a grid of 3 degrees.
    """
    best: tuple[float, float, Vector, Vector] | None = None
    for step in range(30):
        angle = step * np.pi / 60
        c, s = np.cos(angle), np.sin(angle)
        axes = np.array([[c, s], [-s, c]])
        local = points @ axes.T
        low, high = local.min(axis=0), local.max(axis=0)
        size = (high - low) / 2
        area = float(size[0] * size[1])
        if best is None or area < best[0] - 1e-9:
            best = (area, angle, size, axes.T @ ((low + high) / 2))
    assert best is not None
    _, angle, size, middle = best
    if size[1] > size[0]:
        angle, size = angle + np.pi / 2, size[::-1]
    return half_turn(angle), np.asarray(size), middle


def half_turn(angle: float) -> float:
    """The same direction of a line, as an angle (rad) in [-pi/2, pi/2)."""
    return float((angle + np.pi / 2) % np.pi - np.pi / 2)
