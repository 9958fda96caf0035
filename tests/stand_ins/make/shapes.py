"""Primitive shapes and the MuJoCo elements they become."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
Colour = tuple[float, float, float]
Role = Literal["solid", "look", "both"]

UPRIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)
DENSITY = 300.0  # kg/m^3: light, so that a slip does not shove the arm, and heavy enough to stay where it was put
CONTACT = {"friction": "0.95 0.3 0.1", "solref": "0.001 1", "solimp": "0.998 0.998 0.001"}


@dataclass(frozen=True)
class Shape:
    """A primitive: MuJoCo type, half sizes (m), place in its body, and whether it collides, shows, or both."""

    kind: Literal["box", "cylinder", "ellipsoid", "capsule"]
    size: tuple[float, ...]
    pos: Vector = (0.0, 0.0, 0.0)
    quat: Quaternion = UPRIGHT
    colour: Colour = (0.5, 0.5, 0.5)
    role: Role = "both"


def box(low: Vector, high: Vector, colour: Colour = (0.5, 0.5, 0.5), role: Role = "both") -> Shape:
    """An axis-aligned box between two corners (m)."""
    centre = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
    half = tuple((b - a) / 2 for a, b in zip(low, high, strict=True))
    return Shape("box", half, (centre[0], centre[1], centre[2]), colour=colour, role=role)


def turned(shape: Shape, degrees: float) -> Shape:
    """The shape turned about its body's z axis."""
    angle = math.radians(degrees)
    c, s = math.cos(angle), math.sin(angle)
    x, y, z = shape.pos
    return replace(shape, pos=(c * x - s * y, s * x + c * y, z), quat=_product(_about_z(angle), shape.quat))


def ring(
    lower: tuple[float, float],
    upper: tuple[float, float],
    thickness: float,
    facets: int,
    colour: Colour,
    role: Role = "both",
) -> list[Shape]:
    """A wall of ``facets`` boxes around z whose middle surface runs from ``lower`` to ``upper``, each (radius, height).

    One facet is centred on each of +x and +y when ``facets`` is a multiple of four.
    """
    (r0, z0), (r1, z1) = lower, upper
    slant = math.hypot(r1 - r0, z1 - z0)
    tilt = math.atan2(r1 - r0, z1 - z0)
    half_width = max(r0, r1) * math.tan(math.pi / facets)
    facet = Shape(
        "box",
        (thickness / 2, half_width, slant / 2),
        ((r0 + r1) / 2, 0.0, (z0 + z1) / 2),
        (math.cos(tilt / 2), 0.0, math.sin(tilt / 2), 0.0),
        colour,
        role,
    )
    return [turned(facet, 360.0 * k / facets) for k in range(facets)]


def star(half_side: float, bottom: float, top: float, role: Role = "solid") -> list[Shape]:
    """Two square slabs turned by 45 degrees: a nearly round floor that collides as boxes."""
    slab = box((-half_side, -half_side, bottom), (half_side, half_side, top), role=role)
    return [slab, turned(slab, 45.0)]


def disc(radius: float, bottom: float, top: float, colour: Colour, x: float = 0.0) -> Shape:
    """A cylinder around z that only shows."""
    return Shape("cylinder", (radius, (top - bottom) / 2), (x, 0.0, (bottom + top) / 2), colour=colour, role="look")


def add_shapes(body: ET.Element, shapes: Iterable[Shape], density: float = DENSITY) -> None:
    """Append geoms: group 0 collides and is hidden, group 1 shows and is inert (robosuite's convention)."""
    for shape in shapes:
        place = {"type": shape.kind, "size": numbers(shape.size), "pos": numbers(shape.pos)}
        if shape.quat != UPRIGHT:
            place["quat"] = numbers(shape.quat)
        if shape.role != "look":
            ET.SubElement(body, "geom", place | {"group": "0", "density": f"{density:g}"} | CONTACT)
        if shape.role != "solid":
            look = {"group": "1", "contype": "0", "conaffinity": "0", "rgba": numbers((*shape.colour, 1.0))}
            ET.SubElement(body, "geom", place | look)


def numbers(values: Iterable[float]) -> str:
    """Space-separated numbers, rounded to a hundredth of a millimetre for lengths of this scale."""
    return " ".join(f"{round(value, 6) + 0.0:g}" for value in values)


def _about_z(angle: float) -> Quaternion:
    return (math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2))


def _product(a: Quaternion, b: Quaternion) -> Quaternion:
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )
