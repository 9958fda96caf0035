"""The things that stay: wooden cabinet with three drawers, flat stove with a knob."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from stand_ins.make.objects import add_placement_sites
from stand_ins.make.shapes import (
    UPRIGHT,
    Colour,
    Quaternion,
    Shape,
    Vector,
    add_shapes,
    box,
    disc,
    numbers,
)

WOOD: Colour = (0.17, 0.145, 0.125)
DARK_WOOD: Colour = (0.12, 0.1, 0.088)
STEEL: Colour = (0.5, 0.5, 0.5)
LIGHT_STEEL: Colour = (0.72, 0.72, 0.72)
IRON: Colour = (0.2, 0.2, 0.2)
RUBBER: Colour = (0.07, 0.07, 0.07)

MIDDLE = 0.0035  # the cabinet is not quite centred on its body
DRAWERS = (("top", 0.1511), ("middle", 0.0814), ("bottom", 0.0118))  # name, height of the drawer's underside
DRAWER_HEIGHT = 0.0660
FRONT, BACK = -0.078, 0.094
LYING: Quaternion = (0.70710678, 0.0, 0.70710678, 0.0)  # a site turned about y, as hf-libero's samplers measure drawers
PLACEMENT = ((0.0, 0.0, -0.045), (0.0, 0.0, 0.045), (0.045, 0.045, 0.0))


def cabinet_shell() -> list[Shape]:
    """Two sides, back, bottom, top and two shelves, open to the front; 25 x 18 x 22 cm.

    The closed drawers' fronts stand 1.3 cm before it, so that a bowl which LIBERO's init states drop into the open
    drawer clears the edge of the top for every pose of the cabinet.
    """
    left, right = MIDDLE - 0.1205, MIDDLE + 0.1205
    front, back = -0.0650, 0.1117
    return [
        box((left, front, 0.0046), (left + 0.0100, back, 0.2202), DARK_WOOD),
        box((right - 0.0100, front, 0.0046), (right, back, 0.2202), DARK_WOOD),
        box((left, back - 0.0040, 0.0046), (right, back, 0.2202), DARK_WOOD),
        box((left, front, 0.0046), (right, back, 0.0100), DARK_WOOD),
        *(
            box((left + 0.0100, front + 0.002, z), (right - 0.0100, back - 0.0040, z + 0.0016), DARK_WOOD)
            for z in (0.0785, 0.1485)
        ),
        box((left - 0.0035, front, 0.2202), (right + 0.0035, back, 0.2230), WOOD),
    ]


def drawer(floor: float) -> list[Shape]:
    """A box open to the top, its front panel, and a bar as handle; ``floor`` is the height of its underside."""
    left, right, top = MIDDLE - 0.1085, MIDDLE + 0.1085, floor + DRAWER_HEIGHT
    handle = floor + 0.0330
    return [
        box((left, FRONT, floor), (right, FRONT + 0.0125, top), WOOD),
        box((left, BACK - 0.0070, floor), (right, BACK, top), WOOD),
        box((left, FRONT, floor), (left + 0.0050, BACK, top), WOOD),
        box((right - 0.0050, FRONT, floor), (right, BACK, top), WOOD),
        box((left, FRONT, floor), (right, BACK, floor + 0.0080), DARK_WOOD),
        box((-0.0470, -0.1100, handle - 0.0080), (0.0418, -0.0940, handle + 0.0080), LIGHT_STEEL, "solid"),
        Shape(
            "capsule",
            (0.0075, 0.0370),
            (-0.0026, -0.1020, handle),
            (0.70710678, 0.0, 0.70710678, 0.0),
            LIGHT_STEEL,
            "look",
        ),
        *(
            box((x - 0.005, -0.0960, handle - 0.005), (x + 0.005, FRONT, handle + 0.005), STEEL)
            for x in (-0.0356, 0.0292)
        ),
    ]


def cabinet_xml() -> ET.Element:
    """The cabinet; each drawer slides 16 cm towards -y on the joint LIBERO's goals and samplers name."""
    root = ET.Element("mujoco", model="wooden_cabinet")
    outer = ET.SubElement(ET.SubElement(root, "worldbody"), "body")
    base = ET.SubElement(ET.SubElement(outer, "body", name="object"), "body", name="base")
    _region(base, "top_side", (MIDDLE, 0.0157, 0.2215), (0.1253, 0.0944, 0.0015))
    add_shapes(base, cabinet_shell())
    for name, floor in DRAWERS:
        body = ET.SubElement(base, "body", name=f"cabinet_{name}")
        ET.SubElement(
            body, "inertial", pos=numbers((MIDDLE, 0.0, floor + 0.03)), mass="2", diaginertia="0.02 0.02 0.02"
        )
        _joint(body, f"{name}_level", "slide", (0, 1, 0), (-0.16, 0.01), damping=50)
        _region(body, f"{name}_region", (MIDDLE, 0.0113, floor + 0.0345), (0.0299, 0.0756, 0.1022), LYING)
        add_shapes(body, drawer(floor))
    add_placement_sites(outer, *PLACEMENT)
    return root


def stove_xml() -> ET.Element:
    """The stove: a 19 cm plate beside a knob on a hinge; the burner's glow is a site that hf-libero switches."""
    root = ET.Element("mujoco", model="flat_stove")
    outer = ET.SubElement(ET.SubElement(root, "worldbody"), "body")
    base = ET.SubElement(ET.SubElement(outer, "body", name="object"), "body", name="base")
    burner = ET.SubElement(base, "body", name="plate", pos="0.15 0 0")
    _region(burner, "cook_region", (0.0, 0.0, 0.0), (0.075, 0.075, 0.0025))
    glow = {
        "name": "burner",
        "type": "cylinder",
        "pos": "0 0 0.022",
        "size": "0.0625 0.0005",
        "rgba": "0.9 0.05 0.05 1",
    }
    ET.SubElement(burner, "site", glow)
    plate = box((-0.095, -0.095, -0.020), (0.095, 0.095, 0.0255), STEEL, "solid")
    rings = [
        disc(radius, 0.020, 0.0205 + 0.0008 * k, IRON if k % 2 == 0 else STEEL)
        for k, radius in enumerate((0.065, 0.055, 0.046, 0.036, 0.027, 0.016))
    ]
    add_shapes(burner, [plate, box((-0.095, -0.095, -0.020), (0.095, 0.095, 0.020), STEEL, "look"), *rings])
    knob = ET.SubElement(base, "body", name="knob", quat="0.70710678 0 0 0.70710678")
    ET.SubElement(knob, "inertial", pos="0 0 0.02", mass="0.5", diaginertia="0.05 0.05 0.05")
    _joint(knob, "button", "hinge", (0, 0, 1), (-0.005, 2.1), damping=1)
    add_shapes(knob, knob_shapes())
    add_placement_sites(outer, *PLACEMENT)
    return root


def knob_shapes() -> list[Shape]:
    """A round base 9 cm wide with a bar across it."""
    return [
        box((-0.034, -0.034, 0.0004), (0.034, 0.034, 0.0128), RUBBER, "solid"),
        disc(0.045, 0.0004, 0.0128, RUBBER),
        box((-0.012, -0.040, 0.0128), (0.013, 0.042, 0.050), RUBBER),
    ]


def _joint(
    body: ET.Element, name: str, kind: str, axis: tuple[int, int, int], limits: tuple[float, float], damping: float
) -> None:
    place = {"name": name, "type": kind, "axis": numbers(axis), "damping": f"{damping:g}"}
    ET.SubElement(body, "joint", place | {"limited": "true", "range": numbers(limits)})


def _region(body: ET.Element, name: str, pos: Vector, half: Vector, quat: Quaternion = UPRIGHT) -> None:
    """An invisible box that hf-libero's predicates test objects against."""
    place = {"name": name, "type": "box", "pos": numbers(pos), "size": numbers(half), "quat": numbers(quat)}
    ET.SubElement(body, "site", place | {"rgba": "0 0 0 0", "group": "0"})
